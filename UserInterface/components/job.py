"""A long computation in a thread of its own, which pages look at and never wait for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from pipeline.inference import Progress
from pipeline.runs import Run

Work = Callable[[Callable[[Progress], None], Callable[[], bool]], Run]

_log = logging.getLogger(__name__)


class Job:
    """One run being made. The thread knows nothing of Streamlit, so it outlives the page that started it.

    Args:
        name: what is worked on, for people.
        work: ``work(progress, cancelled)`` makes the run, tells how far it is and asks whether to stop.
    """

    def __init__(self, name: str, work: Work) -> None:
        self.name = name
        self.progress: Progress | None = None
        self.run: Run | None = None
        self.error = ""
        self._work = work
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """False once there is a run or an error."""
        return self._thread.is_alive()

    @property
    def cancelling(self) -> bool:
        """True once somebody asked to stop."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Stop at the next frame; what is done becomes a run."""
        self._cancel.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for the end, for tests and scripts."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self.run = self._work(self._report, self._cancel.is_set)
        except (ValueError, OSError) as error:  # the pipeline's own sentences
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 -- a thread has nobody else to tell
            _log.exception("the work on %r failed", self.name)
            self.error = (
                f"The work stopped because of an unexpected error ({type(error).__name__}: {error}). "
                "Nothing half-done was kept; the terminal shows where it happened."
            )

    def _report(self, progress: Progress) -> None:
        self.progress = progress


def progress_text(progress: Progress | None) -> tuple[float, str]:
    """The share done (0..1) and a line such as "120 of 300 frames, 24 frames a second, about 8 s left"."""
    if progress is None:
        return 0.0, "Getting ready ..."
    total = progress.frames_total
    share = min(1.0, progress.frames / total) if total else 0.0
    parts = [f"{progress.frames} of {max(total, progress.frames)} frames" if total else f"{progress.frames} frames"]
    if progress.frames_per_s:
        parts.append(f"{progress.frames_per_s:.1f} frames a second")
    if progress.left_s is not None:
        parts.append(f"about {_duration(progress.left_s)} left")
    return share, ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
