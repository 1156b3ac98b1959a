"""The service's worker: a thread that takes one job after the other, with the models kept warm."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from pipeline.batch.items import FAILED, Record
from pipeline.batch.worker import Cancelled, Worker
from pipeline.inference import Progress
from pipeline.service.jobs import Job, JobQueue

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0  # for jobs of other processes, and for those of dead ones
_TELL_EVERY_S = 0.5


class ServiceWorker:
    """Works on a queue until it is stopped. What it has in hand then goes back into the queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._worker = Worker(str(queue.store.folder))
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self.run, name="service worker", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """There is a new job."""
        self._wake.set()

    def stop(self) -> None:
        """End before the next frame, and wait for it."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def run(self) -> None:
        """Take jobs until stopped."""
        with self._queue.worker() as name:
            while not self._stop.is_set():
                try:
                    self._queue.recover()
                    while not self._stop.is_set() and (job := self._queue.claim(name)) is not None:
                        self._try(job)
                except Exception:  # noqa: BLE001 -- a full disk, a locked file: the queue stays as it is, and we try again
                    _log.exception("the queue could not be used; trying again")
                self._wake.wait(_LOOK_EVERY_S)
                self._wake.clear()

    def _try(self, job: Job) -> None:
        try:
            self._do(job)
        except BaseException:
            self._queue.release(job)  # nobody knows what became of it
            raise

    def _do(self, job: Job) -> None:
        told = _Told(self._queue, job)
        item = self._queue.item(job)
        try:
            record = self._worker.process(
                item, job.plan, progress=told, cancelled=lambda: self._stop.is_set() or told.deleted,
                begins=told.begins,
            )  # fmt: skip
        except Cancelled:
            if self._stop.is_set() and not told.deleted:
                self._queue.release(job)
            else:
                self._queue.let_go(job)
            return
        except ValueError as error:  # a task that an older version took and this one does not know
            record = Record(item.key, "", job.name, FAILED, error=str(error))
        self._queue.finish(job, record)


class _Told:
    """Writes the progress a few times a second, and sees so whether the job was deleted."""

    def __init__(self, queue: JobQueue, job: Job) -> None:
        self._queue, self._job = queue, job
        self._last = -_TELL_EVERY_S
        self._told: dict[str, Any] = {}
        self.deleted = False

    def begins(self, task: str) -> None:
        """A task is begun: said at once, for an analysis tells nothing until it ends."""
        self._tell({"task": task})

    def __call__(self, progress: Progress) -> None:
        now, total = time.monotonic(), progress.frames_total
        if now - self._last < _TELL_EVERY_S and progress.frames != total:
            return
        self._last = now
        self._tell(
            {
                "frames": progress.frames,
                "frames_total": total,
                "share": round(min(1.0, progress.frames / total), 4) if total else None,
                "frames_per_s": round(progress.frames_per_s, 2),
                "left_s": None if progress.left_s is None else round(progress.left_s, 1),
            }
        )

    def _tell(self, news: dict[str, Any]) -> None:
        self._told |= news
        self.deleted = not self._queue.tell(self._job, self._told)
