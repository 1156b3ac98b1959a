"""Many clips: what was asked and what is done lies in ``<out>/batches/<name>/``, so that a killed batch goes on.

``batch.json`` holds what was asked, ``items/<key>.json`` one record a clip, ``summary.csv`` and ``summary.parquet``
one row a clip. The runs themselves lie in ``<out>/<run id>/`` like any others.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from pipeline.batch.items import (
    DONE,
    FAILED,
    RUNNING,
    WAITING,
    BatchError,
    Item,
    Plan,
    Record,
    find_items,
)
from pipeline.batch.places import Place, in_words
from pipeline.batch.tasks import csv_text, tasks_named
from pipeline.batch.worker import Cancelled, Worker
from pipeline.inference import InferenceOptions, Progress
from pipeline.poses import SCHEMA_VERSION, check_schema
from pipeline.runs import slug

FOLDER = "batches"
DEFAULT_NAME = "batch"
_ASKED = "batch.json"


@dataclass
class Status:
    """Where one clip is, for whoever watches. ``state``: waiting, running, done or failed."""

    item: Item
    state: str = WAITING
    progress: Progress | None = None
    record: Record | None = None
    earlier: bool = False

    @property
    def errors(self) -> str:
        """What went wrong with it, in sentences."""
        return self.record.errors if self.record else ""


@dataclass
class Batch:
    """A batch, open for work: ``status`` follows it clip by clip."""

    out: str
    name: str
    plan: Plan
    status: dict[str, Status] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where its records and tables lie."""
        return Place(self.out) / FOLDER / self.name

    @property
    def pending(self) -> list[Status]:
        """What is still to do."""
        return [s for s in self.status.values() if s.record is None or not s.record.finished(self.plan.tasks)]

    def fill(self, items: Sequence[Item], records: Mapping[str, Record]) -> None:
        """Put the clips in, with what became of them before."""
        for item in items:
            record = records.get(item.key)
            done = record is not None and record.finished(self.plan.tasks)
            tried = record is not None and (record.state == FAILED or set(self.plan.tasks) <= record.tasks.keys())
            state = record.state if record is not None and tried else WAITING
            self.status[item.key] = Status(item, state, None, record, done)

    def keep(self, record: Record) -> Status:
        """Write what became of a clip."""
        (self.place / "items").write(f"{record.key}.json", record.to_json())
        status = self.status[record.key]
        status.record, status.state, status.progress = record, record.state, None
        return status

    def table(self) -> pd.DataFrame:
        """One row a clip; a task's numbers stand under ``task.name``."""
        return pd.DataFrame([_row(status) for status in self.status.values()])

    def write_table(self) -> None:
        """``summary.csv`` and ``summary.parquet``."""
        rows = [_row(status) for status in self.status.values()]
        self.place.write("summary.csv", csv_text(rows).encode())
        table, buffer = pd.DataFrame(rows).convert_dtypes(), io.BytesIO()
        for name in table.select_dtypes(object).columns:  # of several kinds
            table[name] = table[name].astype("string")
        table.to_parquet(buffer, index=False)
        self.place.write("summary.parquet", buffer.getvalue())

    def counts(self) -> dict[str, int]:
        """How many clips are done, failed and waiting, and how many were done before."""
        states = [status.state for status in self.status.values()]
        return {state: states.count(state) for state in (DONE, FAILED, WAITING)} | {
            "done_before": sum(status.earlier for status in self.status.values())
        }


Runner = Callable[[Batch, Sequence[Status], Callable[[Status], None], Callable[[], bool]], Iterator[Record]]
"""Does the pending clips of a batch and hands on each one's record, in any order."""


def open_batch(
    inputs: Sequence[str],
    tasks: Sequence[str],
    out: str,
    options: InferenceOptions | None = None,
    *,
    name: str = DEFAULT_NAME,
    resume: bool = False,
) -> Batch:
    """A new batch, or the old one of this name to go on with.

    Args:
        inputs: folders, globs, files or URLs of them.
        tasks: names out of ``tasks.TASKS``.
        out: the run store's folder or URL.
        options: the same for every clip.
        resume: go on; what is done is not done again, clips that came since are done, too.

    Raises:
        BatchError: nothing to work on; a batch of this name is there already (without ``resume``), or asked for other
            options. TaskError: an unknown task. PlaceError: a folder cannot be reached.
    """
    options = options or InferenceOptions()
    names = tuple(task.name for task in tasks_named(tasks))
    if name != slug(name):
        raise BatchError(f"{name[:40]!r} cannot name a batch; use lower-case letters, digits and dashes.")
    batch = Batch(out, name, Plan(names, options))
    asked = stored(out, name)
    if asked is not None:
        if not resume:
            raise BatchError(
                f"{out} holds a batch {name!r} already; add --resume to go on with it, or choose a --name."
            )
        _same_options(asked, options, name)
        batch.plan = Plan(names, options, str(asked["created"]))
    batch.fill(find_items(inputs, but_not_in=out), _records(batch.place) if asked is not None else {})
    wanted = {"schema_version": SCHEMA_VERSION, "created": batch.plan.created, "inputs": list(inputs)}
    wanted |= {"tasks": list(names), "options": asdict(options)}
    batch.place.write(_ASKED, orjson.dumps(wanted, option=orjson.OPT_INDENT_2))
    return batch


def run_batch(
    batch: Batch,
    runner: Runner | None = None,
    report: Callable[[Status], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Batch:
    """Do what is pending, one clip after the other or on a cluster; the tables are written however it ends.

    Args:
        runner: ``run_here``, or a cluster's.
        report: told when a clip begins, gets on, ends.
        cancelled: asked again and again; True stops, and the clip in hand is as if it had not begun.

    Raises:
        BatchError: somebody else works on this batch. RunError, PlaceError: the store cannot be written.
    """
    told = report or (lambda _status: None)
    with _alone(batch.place):
        try:
            for record in (runner or run_here)(batch, batch.pending, told, cancelled or (lambda: False)):
                told(batch.keep(record))
        finally:
            for status in batch.status.values():
                if status.state == RUNNING:
                    status.state, status.progress = WAITING, None
            batch.write_table()
    return batch


def run_here(
    batch: Batch, pending: Sequence[Status], report: Callable[[Status], None], cancelled: Callable[[], bool]
) -> Iterator[Record]:
    """One clip after the other in this process, which uses all cores anyway."""
    worker = Worker(batch.out)
    for status in pending:
        if cancelled():
            return

        def tell(progress: Progress, status: Status = status) -> None:
            status.progress = progress
            report(status)

        status.state = RUNNING
        report(status)
        with contextlib.suppress(Cancelled):
            yield worker.process(status.item, batch.plan, status.record, progress=tell, cancelled=cancelled)


def stored(out: str, name: str = DEFAULT_NAME) -> dict[str, Any] | None:
    """What was asked of a batch of this name; None when there is none. Raises BatchError when it cannot be read."""
    content = (Place(out) / FOLDER / name).read(_ASKED)
    if content is None:
        return None
    try:
        asked = orjson.loads(content)
        check_schema(asked.get("schema_version"), f"The batch {name!r}")
        return {key: asked[key] for key in ("created", "inputs", "tasks", "options")}
    except (orjson.JSONDecodeError, AttributeError, KeyError) as error:
        raise BatchError(f"The batch {name!r} in {out} cannot be read ({error}); choose another --name.") from error


def look_at(out: str, name: str = DEFAULT_NAME) -> Batch:
    """A stored batch as it stands, without touching it; clips that are gone from their folder are shown all the same.

    Raises:
        BatchError: there is none of this name, or it cannot be read.
    """
    asked = stored(out, name)
    if asked is None:
        raise BatchError(f"There is no batch {name!r} in {out}.")
    batch = Batch(out, name, Plan(tuple(asked["tasks"]), options_of(asked), str(asked["created"])))
    records = _records(batch.place)
    gone = {record.key: Item(record.source, record.name) for record in records.values()}
    with contextlib.suppress(ValueError):
        found = find_items(asked["inputs"], but_not_in=out)
        batch.fill(found, records)
        gone = {key: item for key, item in gone.items() if item.url not in {one.url for one in found}}
    for key, item in gone.items():
        batch.status[key] = Status(item, records[key].state, None, records[key], True)
    return batch


def options_of(asked: Mapping[str, Any]) -> InferenceOptions:
    """The options of a stored batch. Raises BatchError when they are those of another version."""
    try:
        return InferenceOptions(**asked["options"] | {"tags": tuple(asked["options"].get("tags", ()))})
    except TypeError as error:
        raise BatchError(f"The options of this batch are of another version of Kinoscope ({error}).") from error


def stored_batches(out: Path) -> list[str]:
    """The names of the batches in a run store on this machine, newest first."""
    found = sorted((out / FOLDER).glob(f"*/{_ASKED}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent.name for path in found]


def _same_options(asked: Mapping[str, Any], options: InferenceOptions, name: str) -> None:
    now = orjson.loads(orjson.dumps(asdict(options)))
    other = sorted(key for key in now if now[key] != asked["options"].get(key))
    if other:
        raise BatchError(
            f"The batch {name!r} was begun with other options ({', '.join(other)}): runs of one batch must be alike. "
            "Resume it with the same ones, or choose another --name."
        )


def _records(place: Place) -> dict[str, Record]:
    found = {}
    folder = place / "items"
    for name in folder.names():
        with contextlib.suppress(ValueError):  # a record that cannot be read is none: its clip is done again
            record = Record.from_json(folder.read(name) or b"")
            found[record.key] = record
    return found


def _row(status: Status) -> dict[str, Any]:
    record = status.record
    row: dict[str, Any] = {"file": status.item.name, "state": status.state, "run": "", "error": status.errors}
    if record is None or record.state != DONE:
        return row | {"source": status.item.url}
    row |= {"run": record.run, "frames": record.frames, "duration_s": record.duration_s, "people": record.people}
    for name, task in record.tasks.items():
        row |= {f"{name}.{column}": value for column, value in task.columns.items()}
    return row | {"source": status.item.url, "seconds": record.seconds, "worker": record.worker}


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Only one process works on a batch on this machine's disk; elsewhere nobody can tell."""
    if place.local is None:
        yield
        return
    with in_words(place.url):
        file = (place.local / "lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BatchError(f"Another process is working on the batch in {place.url}; wait for it.") from error
        yield
