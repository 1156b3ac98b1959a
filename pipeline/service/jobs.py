"""The service's job queue: one SQLite file and one folder of uploads, which survive kill -9 at any moment.

A job is acknowledged when its upload is on the disk and its row is committed (``synchronous=FULL``). A worker holds a
lock on a file of its own while it lives; a running job whose worker's lock is free goes back to waiting. Nothing here
depends on the clock: order is the row's number, life is a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import orjson

from pipeline.batch.items import DONE, FAILED, RUNNING, WAITING, Item, Plan, Record
from pipeline.inference import InferenceOptions
from pipeline.runs import RunError, RunStore

FOLDER = "service"
DELETED = "deleted"  # nobody sees it any more; its files are on their way out

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    tasks TEXT NOT NULL,
    options TEXT NOT NULL,
    created_utc TEXT NOT NULL,
    state TEXT NOT NULL,
    worker TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    progress TEXT NOT NULL DEFAULT '{}',
    record TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, number);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
"""


class QueueError(ValueError):
    """The queue cannot take the job or cannot be used; the message says why."""


class QueueFull(QueueError):
    """The caller has too many jobs waiting."""


class UnknownJob(KeyError):
    """There is no such job for this caller."""


@dataclass(frozen=True)
class Job:
    """A job as it was when it was read."""

    number: int
    id: str
    owner: str
    name: str
    tasks: tuple[str, ...]
    options: InferenceOptions
    created_utc: str
    state: str
    attempts: int
    progress: dict[str, Any]
    record: Record | None

    @property
    def plan(self) -> Plan:
        """What to do with the clip; the run's name comes from when the job was made."""
        stamp = datetime.fromisoformat(self.created_utc).strftime("%Y%m%d-%H%M%S")
        return Plan(self.tasks, self.options, stamp)

    def to_json(self) -> dict[str, Any]:
        """What its caller may know."""
        record = self.record
        whole = {"frames": record.frames, "frames_total": record.frames, "share": 1.0} if record else self.progress
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "tasks": list(self.tasks),
            "created_utc": self.created_utc,
            "progress": whole if self.state == DONE else self.progress,
            "error": record.errors if record else "",
            "run": record.run if record else "",
        }


class JobQueue:
    """The jobs of a run store. Several processes may use one at the same time.

    Args:
        store: the run store's folder; the queue lies in ``service/`` in it.
        max_waiting: a caller's jobs that may wait; more are refused.
        max_attempts: how often a job is begun whose worker died over it.

    Raises:
        QueueError: the folder cannot be written.
    """

    def __init__(self, store: Path, *, max_waiting: int = 1000, max_attempts: int = 5) -> None:
        self.store = RunStore(Path(store).resolve())
        self.folder = self.store.folder / FOLDER
        self.uploads = self.folder / "uploads"
        self._workers = self.folder / "workers"
        self._max_waiting, self._max_attempts = max_waiting, max_attempts
        try:
            self.uploads.mkdir(parents=True, exist_ok=True)
            self._workers.mkdir(exist_ok=True)
            with self._open() as database:
                database.executescript(f"PRAGMA journal_mode=WAL; {_TABLE}")
        except (OSError, sqlite3.Error) as error:
            raise QueueError(f"The queue in {self.folder} cannot be used ({error}); choose another --out.") from error

    @contextlib.contextmanager
    def _open(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        """A connection whose statements are committed together."""
        database = sqlite3.connect(self.folder / "jobs.sqlite3", timeout=60.0, isolation_level=None)
        database.row_factory = sqlite3.Row
        try:
            database.execute("PRAGMA synchronous=FULL")
            database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield database
            database.commit()
        finally:
            database.close()  # rolls back what is not committed

    def submit(self, owner: str, name: str, content: BinaryIO, tasks: Sequence[str], options: InferenceOptions) -> Job:
        """Put the upload on the disk and the job into the queue; when this returns, both will survive.

        Args:
            name: what the caller calls the clip; text, never a path.

        Raises:
            QueueFull: the caller has too many jobs waiting. QueueError: the disk is full or read-only.
        """
        with self._open(write=False) as database:
            row = database.execute("SELECT COUNT(*) FROM jobs WHERE owner=? AND state=?", (owner, WAITING)).fetchone()
        if row[0] >= self._max_waiting:
            raise QueueFull(f"{row[0]} of your jobs are waiting already; delete some, or wait.")
        job_id = uuid.uuid4().hex
        shown = name.encode("utf-8", "replace").decode()[:200] or "clip"
        target = self.uploads / f"{job_id}{_suffix(shown)}"
        values = (
            job_id, owner, shown, orjson.dumps(list(tasks)).decode(), orjson.dumps(asdict(options)).decode(),
            datetime.now(UTC).isoformat(timespec="seconds"), WAITING,
        )  # fmt: skip
        try:
            with self._write_through(content, target), self._open() as database:
                database.execute(
                    "INSERT INTO jobs (id, owner, name, tasks, options, created_utc, state) VALUES (?,?,?,?,?,?,?)",
                    values,
                )
        except BaseException as error:
            target.unlink(missing_ok=True)
            if isinstance(error, OSError | sqlite3.Error):
                raise QueueError(f"The upload could not be stored ({error}); the disk may be full.") from error
            raise
        return self.get(owner, job_id)

    def get(self, owner: str, job_id: str) -> Job:
        """A caller's job. Raises UnknownJob, for another caller's, too."""
        with self._open(write=False) as database:
            row = database.execute(
                "SELECT * FROM jobs WHERE id=? AND owner=? AND state<>?", (job_id, owner, DELETED)
            ).fetchone()
        if row is None:
            raise UnknownJob(f"There is no job {job_id[:64]!r}.")
        return _job(row)

    def jobs(self, owner: str, limit: int = 100, before: int | None = None) -> list[Job]:
        """A caller's jobs, newest first; ``before`` is the number of the last one seen."""
        with self._open(write=False) as database:
            rows = database.execute(
                "SELECT * FROM jobs WHERE owner=? AND state<>? AND number<? ORDER BY number DESC LIMIT ?",
                (owner, DELETED, before if before is not None else 2**62, limit),
            ).fetchall()
        return [_job(row) for row in rows]

    def delete(self, owner: str, job_id: str) -> None:
        """Forget a caller's job with its upload and its run; a running one stops soon. Raises UnknownJob."""
        with self._open() as database:
            found = database.execute("SELECT state FROM jobs WHERE id=? AND owner=?", (job_id, owner)).fetchone()
            if found is None or found["state"] == DELETED:
                raise UnknownJob(f"There is no job {job_id[:64]!r}.")
            database.execute("UPDATE jobs SET state=? WHERE id=?", (DELETED, job_id))
        if found["state"] != RUNNING:
            self.sweep()  # a running one's worker does it

    def claim(self, worker: str) -> Job | None:
        """The job that has waited longest, now this worker's; None when there is none."""
        with self._open() as database:
            row = database.execute(
                "UPDATE jobs SET state=?, worker=?, attempts=attempts+1, progress='{}' WHERE number="
                "(SELECT number FROM jobs WHERE state=? ORDER BY number LIMIT 1) RETURNING *",
                (RUNNING, worker, WAITING),
            ).fetchone()
        return _job(row) if row is not None else None

    def tell(self, job: Job, progress: dict[str, Any]) -> bool:
        """Write how far a job is; False when it was deleted meanwhile."""
        with self._open() as database:
            changed = database.execute(
                "UPDATE jobs SET progress=? WHERE id=? AND state=?", (orjson.dumps(progress).decode(), job.id, RUNNING)
            ).rowcount
        return changed == 1

    def finish(self, job: Job, record: Record) -> None:
        """Write what became of a job; its upload goes, the run has its own copy."""
        with self._open() as database:
            database.execute(
                "UPDATE jobs SET state=?, record=? WHERE id=? AND state=?",
                (record.state, record.to_json().decode(), job.id, RUNNING),
            )
        self.let_go(job)

    def let_go(self, job: Job) -> None:
        """A worker's last word on a job that was deleted under its hands."""
        with self._open() as database:
            database.execute("UPDATE jobs SET worker='' WHERE id=?", (job.id,))
        self.sweep()

    def release(self, job: Job) -> None:
        """Put a job back that was begun and could not be ended (the service stops); this begin does not count."""
        with self._open() as database:
            database.execute(
                "UPDATE jobs SET state=?, worker='', attempts=attempts-1 WHERE id=? AND state=?",
                (WAITING, job.id, RUNNING),
            )

    def recover(self) -> list[str]:
        """Take the running jobs of dead workers back; returns their ids. One tried too often becomes failed."""
        taken: list[str] = []
        with self._open() as database:
            for path in self._workers.iterdir():
                if not _held(path):
                    path.unlink(missing_ok=True)  # its worker died idle, or with a job that is taken below
            for row in database.execute("SELECT * FROM jobs WHERE state=? OR (state=? AND worker<>'')",
                                        (RUNNING, DELETED)).fetchall():  # fmt: skip
                if self._lives(row["worker"]):
                    continue
                job = _job(row)
                taken.append(job.id)
                if job.state == DELETED or job.attempts < self._max_attempts:
                    state = DELETED if job.state == DELETED else WAITING
                    database.execute("UPDATE jobs SET state=?, worker='' WHERE id=?", (state, job.id))
                else:
                    text = f"Its worker died {job.attempts} times over it; the clip may need more memory than there is."
                    record = Record(self.item(job).key, "", job.name, FAILED, error=text)
                    database.execute(
                        "UPDATE jobs SET state=?, worker='', record=? WHERE id=?",
                        (FAILED, record.to_json().decode(), job.id),
                    )
        return taken

    def sweep(self) -> None:
        """Remove the uploads that no job needs any more, and deleted jobs with their runs."""
        uploads = {path.stem: path for path in self.uploads.iterdir()}
        with self._open(write=False) as database:
            deleted = [_job(row) for row in database.execute(
                "SELECT * FROM jobs WHERE state=? AND worker=''", (DELETED,)).fetchall()]  # fmt: skip
            states = {job_id: database.execute("SELECT state FROM jobs WHERE id=?", (job_id,)).fetchone()
                      for job_id in uploads}  # fmt: skip
        for job in deleted:
            with contextlib.suppress(RunError):
                self.store.delete(job.plan.run_id(self.item(job)))
        gone = {job.id for job in deleted} | {i for i, row in states.items() if row and row["state"] in (DONE, FAILED)}
        for job_id in gone & uploads.keys():
            uploads[job_id].unlink(missing_ok=True)
        if deleted:
            with self._open() as database:
                database.executemany("DELETE FROM jobs WHERE id=?", [(job.id,) for job in deleted])

    def sweep_uploads(self) -> None:
        """Remove uploads that nobody acknowledged and nobody is making (the service's start)."""
        with self._open() as database:  # nobody begins or acknowledges an upload meanwhile
            known = {row["id"] for row in database.execute("SELECT id FROM jobs").fetchall()}
            for path in self.uploads.iterdir():
                if path.stem not in known and not _held(path):
                    path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _write_through(self, content: BinaryIO, target: Path) -> Iterator[None]:
        """Copy to the disk itself, name and all; locked until the block ends, so that no sweep takes it away."""
        with contextlib.ExitStack() as held:
            with self._open():  # nobody sweeps meanwhile, so nobody sees it unlocked
                file = held.enter_context(target.open("xb"))
                fcntl.flock(file, fcntl.LOCK_EX)
            shutil.copyfileobj(content, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            yield

    def item(self, job: Job) -> Item:
        """The job's clip, as a worker takes it."""
        return Item(str(self.uploads / f"{job.id}{_suffix(job.name)}"), job.name, job.id)

    @contextlib.contextmanager
    def worker(self) -> Iterator[str]:
        """A worker's name, alive as long as this block and this process last."""
        name = secrets.token_hex(8)
        path = self._workers / name
        with contextlib.ExitStack() as held:
            with self._open():  # nobody recovers meanwhile, so nobody sees it unlocked
                file = held.enter_context(path.open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
            held.callback(path.unlink, missing_ok=True)
            yield name

    def _lives(self, worker: str) -> bool:
        return bool(worker) and _held(self._workers / worker)


def _held(path: Path) -> bool:
    """Does a living process hold a lock on this file?"""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix) else ""


def _job(row: sqlite3.Row) -> Job:
    options = orjson.loads(row["options"])
    return Job(
        number=row["number"],
        id=row["id"],
        owner=row["owner"],
        name=row["name"],
        tasks=tuple(orjson.loads(row["tasks"])),
        options=InferenceOptions(**options | {"tags": tuple(options["tags"])}),
        created_utc=row["created_utc"],
        state=row["state"],
        attempts=row["attempts"],
        progress=orjson.loads(row["progress"]),
        record=Record.from_json(row["record"].encode()) if row["record"] else None,
    )
