"""One clip, from its file to a run in the store with every answer in it: the same for batch, cluster and service.

A run is made and analysed in a hidden place and published under a name that belongs to the clip (``Plan.run_id``), as
one rename on a disk, manifest last elsewhere. Whoever is killed in between leaves nothing, or a whole run that the next
worker finds and keeps: nothing is lost, nothing is there twice.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline import inference
from pipeline.batch.items import DONE, FAILED, BatchError, Item, Plan, Record, TaskRecord
from pipeline.batch.places import Place, in_words
from pipeline.batch.tasks import INFER, Task, tasks_named
from pipeline.estimation.base import Estimator
from pipeline.inference import InferenceOptions, Progress, infer
from pipeline.media import probe
from pipeline.runs import Run, RunError, RunStore, slug

_log = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
_HERE = f".making-worker-{slug(socket.gethostname())}-"  # a lock tells of processes on its own machine only
_LOCK = "lock"

Report = Callable[[Progress], None]
CreateEstimator = Callable[[InferenceOptions, str], Estimator]


class Cancelled(Exception):
    """Somebody asked to stop; nothing of the clip was kept."""


class Worker:
    """Keeps its models warm from clip to clip.

    Args:
        out: the run store's folder or URL.
        create: makes an estimator from the options and "video" or "image"; None is ``inference.create_estimator``.
    """

    def __init__(self, out: str, create: CreateEstimator | None = None) -> None:
        self._out = Place(out)
        self._create = create
        self._warm: dict[tuple[str, ...], Estimator] = {}

    def process(
        self,
        item: Item,
        plan: Plan,
        known: Record | None = None,
        *,
        progress: Report | None = None,
        cancelled: Callable[[], bool] | None = None,
        begins: Callable[[str], None] | None = None,
    ) -> Record:
        """The clip's run and the answers that are asked for; a trouble is part of the record.

        Args:
            known: an earlier record of the clip; what is done there is not done again.
            begins: told the name of each task that is begun; ``infer`` comes first.

        Raises:
            Cancelled: ``cancelled`` said so.
            TaskError: an unknown task.
        """
        tasks = tasks_named(plan.tasks)
        started = time.monotonic()
        failed = Record(item.key, item.url, item.name, FAILED)
        try:
            with self._scratch() as scratch:
                record = self._done(item, plan, tasks, known or failed, scratch, progress, cancelled, begins)
        except (ValueError, OSError, KeyError) as error:
            record = replace(failed, error=_sentence(error))
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 -- one clip must not stop the others
            _log.exception("%r failed", item.name)
            record = replace(failed, error=f"An unexpected error stopped it ({type(error).__name__}: {error}).")
        return replace(record, seconds=round(time.monotonic() - started, 3))

    def _done(
        self,
        item: Item,
        plan: Plan,
        tasks: Sequence[Task],
        known: Record,
        scratch: Path,
        progress: Report | None,
        cancelled: Callable[[], bool] | None,
        begins: Callable[[str], None] | None,
    ) -> Record:
        run_id = plan.run_id(item)
        run = self._published(run_id, scratch)
        fresh = run is None
        told = begins or (lambda _task: None)
        if run is None:
            told(INFER)
            run = self._infer(item, plan, run_id, scratch, progress, cancelled)
        answers = {}
        for task in tasks:
            if cancelled is not None and cancelled():
                raise Cancelled
            before = known.tasks.get(task.name)
            if before and before.state == DONE and not fresh:
                answers[task.name] = before
                continue
            if task.name != INFER:
                told(task.name)
            answers[task.name] = _answer(task, run)
        manifest = run.manifest
        self._publish(run, fresh)
        return Record(
            item.key, item.url, item.name, DONE, run_id, "",
            manifest.frames, manifest.duration_s, len(manifest.people), dict(known.tasks) | answers,
        )  # fmt: skip

    def _infer(
        self,
        item: Item,
        plan: Plan,
        run_id: str,
        scratch: Path,
        progress: Report | None,
        cancelled: Callable[[], bool] | None,
    ) -> Run:
        clip = self._fetched(item, scratch)
        fetched = clip.is_relative_to(scratch)
        options = replace(plan.options, link_source=False) if fetched else plan.options  # the copy will be gone
        try:
            kind = probe(clip).kind
            made = infer(
                clip, RunStore(scratch), options, name=item.name, estimator=self._estimator(options, kind),
                progress=progress, cancelled=cancelled,
            )  # fmt: skip
        except ValueError as error:
            raise BatchError(str(error).replace(clip.name, PurePosixPath(item.name).name)) from error
        if made.manifest.state != "complete":
            raise Cancelled
        made.update(id=run_id)
        return Run(made.folder.rename(scratch / run_id))

    def _fetched(self, item: Item, scratch: Path) -> Path:
        """The clip on this machine's disk."""
        source = Place(item.url)
        if source.local is not None:
            return source.local
        target = scratch / f"source{PurePosixPath(item.name).suffix.lower()[:6]}"
        with in_words(item.url):
            source.files.get_file(source.path, str(target))
        return target

    def _estimator(self, options: InferenceOptions, kind: str) -> Estimator:
        key = (options.model, options.detector, options.engine, options.working_point, str(options.max_people), kind)
        if key not in self._warm:
            while len(self._warm) >= 2:  # a picture's and a clip's; more would fill the memory
                self._warm.pop(next(iter(self._warm)))
            self._warm[key] = (self._create or inference.create_estimator)(options, kind)
        return self._warm[key]

    def _published(self, run_id: str, scratch: Path) -> Run | None:
        """The run that an earlier worker put into the store."""
        if self._out.local is not None:
            with contextlib.suppress(RunError):
                return RunStore(self._out.local).get(run_id)
            return None
        remote = self._out / run_id
        if not remote.exists(_MANIFEST):
            return None
        remote.get_folder(scratch / run_id)
        return Run(scratch / run_id)

    def _publish(self, run: Run, fresh: bool) -> None:
        """Put the run into the store; an earlier one of this name stays (it is of the same clip)."""
        if self._out.local is None:
            (self._out / run.id).put_folder(run.folder, last=_MANIFEST)
        elif fresh:
            try:
                run.folder.rename(self._out.local / run.id)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A hidden folder, on the store's own disk if it has one; gone afterwards."""
        if self._out.local is None:
            with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
                yield Path(folder)
            return
        with in_words(self._out.url):
            self._out.local.mkdir(parents=True, exist_ok=True)
            _sweep(self._out.local)
        with _held_folder(self._out.local / f"{_HERE}{secrets.token_hex(6)}") as scratch:
            yield scratch


@contextlib.contextmanager
def _held_folder(folder: Path) -> Iterator[Path]:
    """A new folder with a lock in it that lasts as long as this process; gone afterwards."""
    with in_words(str(folder)):
        folder.mkdir()
        file = (folder / "new").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _LOCK)  # so that nobody sees it unlocked
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(store: Path) -> None:
    """Remove the folders of workers that are no more."""
    for lock in store.glob(f"{_HERE}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody's: its process has ended
            shutil.rmtree(lock.parent, ignore_errors=True)


def _answer(task: Task, run: Run) -> TaskRecord:
    try:
        found = task.of_run(run)
    except (ValueError, OSError, KeyError) as error:
        return TaskRecord(FAILED, error=_sentence(error))
    except Exception as error:  # noqa: BLE001 -- one task must not stop the others
        _log.exception("the task %r failed for %r", task.name, run.id)
        return TaskRecord(FAILED, error=f"An unexpected error stopped it ({type(error).__name__}: {error}).")
    if found is None:
        return TaskRecord(DONE)
    return TaskRecord(DONE, found.analysis, columns=task.columns(found.values))


def _sentence(error: Exception) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(text).split()) or type(error).__name__
