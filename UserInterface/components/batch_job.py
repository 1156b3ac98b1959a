"""A batch that runs in a thread of its own: every browser session sees it, and it outlives the page."""

from __future__ import annotations

import logging
import threading
import time

import streamlit as st

from pipeline.batch.batch import Batch, Runner, run_batch

_log = logging.getLogger(__name__)


class BatchJob:
    """One batch at work. ``batch.status`` follows it; nothing here knows Streamlit."""

    def __init__(self, batch: Batch, runner: Runner | None = None) -> None:
        self.batch = batch
        self.error = ""
        self.started_s = time.monotonic()
        self._runner = runner
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batch", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """False once it has ended."""
        return self._thread.is_alive()

    @property
    def cancelling(self) -> bool:
        """True once somebody asked to stop."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Stop at the next frame; the clip in hand is begun again when the batch is resumed."""
        self._cancel.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for the end, for tests."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            run_batch(self.batch, self._runner, cancelled=self._cancel.is_set)
        except (ValueError, OSError) as error:  # the pipeline's own sentences
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 -- a thread has nobody else to tell
            _log.exception("the batch %r failed", self.batch.name)
            self.error = (
                f"The batch stopped because of an unexpected error ({type(error).__name__}: {error}); what is done is "
                "kept, and Resume goes on from there."
            )


@st.cache_resource(show_spinner=False)
def _jobs() -> dict[tuple[str, str], BatchJob]:
    return {}


def job_of(out: str, name: str) -> BatchJob | None:
    """The batch of this name that runs here, or ran last since the dashboard was started."""
    return _jobs().get((out, name))


def start(batch: Batch, runner: Runner | None = None) -> BatchJob:
    """Begin; a batch of this name that runs already is kept."""
    known = job_of(batch.out, batch.name)
    if known is not None and known.running:
        return known
    job = _jobs()[batch.out, batch.name] = BatchJob(batch, runner)
    return job
