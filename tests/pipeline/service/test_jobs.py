"""The job queue: order, dead workers, two processes, a clock that jumps, files that nobody owns."""

from __future__ import annotations

import io
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.batch.items import DONE, FAILED, RUNNING, WAITING, Record
from pipeline.inference import InferenceOptions
from pipeline.service import jobs as jobs_module
from pipeline.service.jobs import Job, JobQueue, QueueError, UnknownJob
from pipeline.settings import PROJECT_DIR


def submit(queue: JobQueue, name: str = "clip.mp4", owner: str = "me") -> Job:
    return queue.submit(owner, name, io.BytesIO(b"clip " + name.encode()), ("infer",), InferenceOptions(tags=("a",)))


def test_jobs_are_done_in_order_and_listed_newest_first(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path)
    made = [submit(queue, f"{number}.mp4") for number in range(3)]
    assert [job.name for job in queue.jobs("me")] == ["2.mp4", "1.mp4", "0.mp4"]
    assert queue.jobs("you") == []
    with queue.worker() as worker:
        claimed = [queue.claim(worker) for _ in range(4)]
    assert [job.id if job else None for job in claimed] == [*[job.id for job in made], None]
    assert claimed[0] is not None
    assert claimed[0].options == InferenceOptions(tags=("a",))
    assert Path(queue.item(claimed[0]).url).read_bytes() == b"clip 0.mp4"


def test_a_clock_that_jumps_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = JobQueue(tmp_path)
    first = submit(queue, "first.mp4")

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            assert tz is UTC
            return datetime.now(UTC) - timedelta(days=400)

    monkeypatch.setattr(jobs_module, "datetime", Earlier)
    second = submit(queue, "second.mp4")
    assert second.created_utc < first.created_utc
    assert [job.name for job in queue.jobs("me")] == ["second.mp4", "first.mp4"]
    with queue.worker() as worker:
        claimed = queue.claim(worker)
        assert claimed is not None
        assert claimed.id == first.id
        assert queue.recover() == [], "a living worker keeps its job whatever the clock says"
    assert first.plan.run_id(queue.item(first)) != second.plan.run_id(queue.item(second))


HOLD = """
import sys, time
from pathlib import Path
from pipeline.service.jobs import JobQueue
queue = JobQueue(Path(sys.argv[1]))
with queue.worker() as worker:
    print(queue.claim(worker).id, flush=True)
    time.sleep(60)
"""


def test_a_dead_worker_s_job_waits_again_and_is_given_up_in_the_end(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, max_attempts=2)
    job = submit(queue)
    for attempt in (1, 2):
        other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, cwd=PROJECT_DIR)
        assert other.stdout is not None
        assert other.stdout.readline().decode().strip() == job.id
        assert queue.recover() == [], "it lives"
        assert (queue.get("me", job.id).state, queue.get("me", job.id).attempts) == (RUNNING, attempt)
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert queue.recover() == [job.id]
        assert queue.get("me", job.id).state == (WAITING if attempt == 1 else FAILED)
    record = queue.get("me", job.id).record
    assert record is not None
    assert "died 2 times" in record.errors
    idle = subprocess.Popen(
        [sys.executable, "-c", HOLD.replace("queue.claim(worker).id", "worker"), str(tmp_path)],
        stdout=subprocess.PIPE, cwd=PROJECT_DIR,
    )  # fmt: skip
    assert idle.stdout is not None
    lock = queue.folder / "workers" / idle.stdout.readline().decode().strip()
    queue.recover()
    assert lock.is_file()
    idle.kill()
    idle.wait()
    queue.recover()
    assert not lock.exists(), "a worker that died idle leaves nothing, either"


CLAIM_ALL = """
import sys
from pathlib import Path
from pipeline.batch.items import DONE, Record
from pipeline.service.jobs import JobQueue
queue = JobQueue(Path(sys.argv[1]))
with queue.worker() as worker:
    print("ready", flush=True)
    sys.stdin.readline()
    while (job := queue.claim(worker)) is not None:
        print(job.id, flush=True)
        queue.finish(job, Record("k", "", job.name, DONE, "no run"))
"""


def test_two_processes_never_do_a_job_twice(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path)
    made = {submit(queue, f"{number}.mp4").id for number in range(16)}
    command = [sys.executable, "-c", CLAIM_ALL, str(tmp_path)]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_DIR)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    done = [process.communicate("go\n", timeout=60)[0].split() for process in both]
    assert sorted(done[0] + done[1]) == sorted(made)
    assert {job.state for job in queue.jobs("me")} == {DONE}
    assert list(queue.uploads.iterdir()) == []


def test_uploads_that_nobody_acknowledged_go_and_those_in_hand_stay(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path)
    job = submit(queue)
    (queue.uploads / "0123.mp4").write_bytes(b"its service was killed")

    class Slow(io.BytesIO):
        """An upload during which another service starts."""

        def read(self, size: int | None = -1) -> bytes:
            JobQueue(tmp_path).sweep_uploads()
            return super().read(size)

    other = queue.submit("me", "slow.mp4", Slow(b"slow"), ("infer",), InferenceOptions())
    assert {path.stem for path in queue.uploads.iterdir()} == {job.id, other.id}
    assert Path(queue.item(other).url).read_bytes() == b"slow"


@pytest.mark.parametrize("moment", ["fcntl.flock", "os.fsync", "os.close"])
def test_an_upload_is_never_unlocked_before_its_job_is_there(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another service starts when the file is made, when it is written, and when its name is."""
    queue, other = JobQueue(tmp_path), JobQueue(tmp_path)
    do = getattr(getattr(jobs_module, moment.partition(".")[0]), moment.partition(".")[2])
    sweeps: list[threading.Thread] = []

    def swept(*arguments: int) -> None:
        if threading.current_thread() is threading.main_thread():
            sweeps.append(threading.Thread(target=other.sweep_uploads))
            sweeps[-1].start()
            sweeps[-1].join(0.2)
        do(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(f"pipeline.service.jobs.{moment}", swept)
        job = submit(queue)
    for sweep in sweeps:
        sweep.join(10)
    assert sweeps
    assert Path(queue.item(job).url).read_bytes() == b"clip clip.mp4"


def test_a_job_deleted_in_hand_is_gone_when_its_worker_lets_go(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path)
    job = submit(queue)
    with queue.worker() as worker:
        assert queue.claim(worker) is not None
        queue.delete("me", job.id)
        with pytest.raises(UnknownJob):
            queue.get("me", job.id)
        with pytest.raises(UnknownJob):
            queue.delete("me", job.id)
        assert not queue.tell(job, {"frames": 1})
        queue.finish(job, Record("k", "", job.name, DONE, "no run"))
    assert queue.jobs("me") == []
    assert list(queue.uploads.iterdir()) == []


def test_what_is_stopped_does_not_count_as_an_attempt(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path)
    job = submit(queue)
    with queue.worker() as worker:
        for _ in range(10):
            claimed = queue.claim(worker)
            assert claimed is not None
            queue.release(claimed)
    assert (queue.get("me", job.id).state, queue.get("me", job.id).attempts) == (WAITING, 0)


def test_a_damaged_queue_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "jobs.sqlite3").write_bytes(b"no database at all " * 100)
    with pytest.raises(QueueError, match="cannot be used"):
        JobQueue(tmp_path)


def test_a_committed_job_is_whole_in_the_file(tmp_path: Path) -> None:
    """Another reader sees it at once, with what makes it last through a crash of the machine."""
    queue = JobQueue(tmp_path)
    job = submit(queue)
    with sqlite3.connect(queue.folder / "jobs.sqlite3") as database:
        assert database.execute("SELECT id, state FROM jobs").fetchall() == [(job.id, WAITING)]
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
