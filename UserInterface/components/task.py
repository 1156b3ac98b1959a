"""Something that takes a while and makes no run: a download, a measurement. Pages look at it and never wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import streamlit as st

Report = Callable[[str, float], None]

REFRESH_S = 0.5

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """Raised inside the work when somebody asked to stop."""


class Task:
    """Work in a thread of its own.

    Args:
        name: what is done, for people.
        work: ``work(report)`` does it; ``report(text, share)`` tells how far it is, and ends it when it shall stop.
    """

    def __init__(self, name: str, work: Callable[[Report], None]) -> None:
        self.name, self.text, self.share = name, "", 0.0
        self.error = ""
        self._work, self._stop = work, threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """False once it is done, stopped or failed."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it at its next report."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for the end, for tests."""
        self._thread.join(timeout_s)

    def _report(self, text: str, share: float) -> None:
        if self._stop.is_set():
            raise Stopped
        self.text, self.share = text, min(max(share, 0.0), 1.0)

    def _run(self) -> None:
        try:
            self._work(self._report)
        except Stopped:
            self.error = f"{self.name} was stopped; what was done is kept, and it goes on from there next time."
        except (ValueError, OSError) as error:  # the pipeline's own sentences
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 -- a thread has nobody else to tell
            _log.exception("%s failed", self.name)
            self.error = f"{self.name} failed: {type(error).__name__}: {error}"


@st.fragment(run_every=REFRESH_S)
def task_panel(task: Task, key: str) -> None:
    """The bar and the button that stops it; runs the page again when it has ended."""
    if not task.running:
        st.rerun(scope="app")
    st.progress(task.share, text=f"{task.name}: {task.text}" if task.text else task.name)
    st.button("Stop", icon=":material/stop_circle:", on_click=task.stop, key=key)
