"""A long computation in a thread of its own, which pages look at and never wait for."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from pipeline.inference import Progress
from pipeline.runs import Run

Work = Callable[[Callable[[Progress], None], Callable[[], bool]], Run]

_log = logging.getLogger(__name__)


class Background(ABC):
    """Work in a thread that knows nothing of Streamlit, so it outlives the page that started it.

    Subclasses set their own fields first: the thread starts in ``__init__``. ``kept`` says what an unexpected error
    leaves.

    Args:
        name: what is worked on, for people.
    """

    kept: str

    def __init__(self, name: str) -> None:
        self.name = name
        self.error = ""
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)
        self._thread.start()

    @abstractmethod
    def work(self) -> None:
        """Do it; ``self.cancelling`` becomes True when it is to stop."""

    @property
    def running(self) -> bool:
        """False once it has ended, well or with ``error``."""
        return self._thread.is_alive()

    @property
    def cancelling(self) -> bool:
        """True once somebody asked to stop."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Stop at the next frame."""
        self._cancel.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for the end, for tests and scripts."""
        self._thread.join(timeout_s)

    def _guarded(self) -> None:
        try:
            self.work()
        except (ValueError, OSError) as error:  # the pipeline's own sentences
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 -- a thread has nobody else to tell
            _log.exception("the work on %r failed", self.name)
            self.error = (
                f"The work stopped because of an unexpected error ({type(error).__name__}: {error}). {self.kept}"
            )


class Job(Background):
    """One run being made; cancelled, what is done becomes a run.

    Args:
        work: ``work(progress, cancelled)`` makes the run, tells how far it is and asks whether to stop.
    """

    kept = "Nothing half-done was kept; the terminal shows where it happened."

    def __init__(self, name: str, work: Work) -> None:
        self.progress: Progress | None = None
        self.run: Run | None = None
        self._work = work
        super().__init__(name)

    def work(self) -> None:
        """Make the run."""
        self.run = self._work(self._report, self._cancel.is_set)

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
