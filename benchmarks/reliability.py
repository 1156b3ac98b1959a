"""kill -9 at random moments, again and again, and then a count of what is there: benchmarks/reliability.md.

    python -m benchmarks.reliability                  # 50 kills each of infer, batch and the service
    python -m benchmarks.reliability --only serve     # the table of one, printed only

The processes are the real commands with the real model. After the kills: no run is half there, no clip has two, every
job that the service acknowledged is done, and nothing hidden is left once the next worker has begun.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.people import table
from pipeline.media import VideoWriter
from pipeline.runs import RunStore
from pipeline.settings import PROJECT_DIR

HERE = Path(__file__).parent
FRAMES = 8


@dataclass
class Outcome:
    """What a series of kills left behind; ``troubles`` is empty when everything was as it must be."""

    what: str
    kills: int = 0
    asked: int = 0
    runs: int = 0
    seconds: float = 0.0
    troubles: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """One line of the report."""
        return {
            "what was killed": self.what,
            "kills": self.kills,
            "clips or acknowledged jobs": self.asked,
            "whole runs in the end": self.runs,
            "troubles": len(self.troubles),
            "seconds": f"{self.seconds:.0f}",
        }


def write_clips(folder: Path, count: int) -> list[Path]:
    """Small clips that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        with VideoWriter(folder / f"clip {number}.mp4", (96, 64), fps_hint=10) as writer:
            for frame in range(FRAMES):
                writer.write(np.full((64, 96, 3), 10 * number + frame, dtype=np.uint8), frame / 10)
    return sorted(folder.iterdir())


def start(*arguments: object, log: Path) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *map(str, arguments)], cwd=PROJECT_DIR, stdout=file, stderr=file
        )


def usual_s(*arguments: object, log: Path) -> float:
    """How long the command takes now, when nobody kills it."""
    began = time.monotonic()
    if start(*arguments, log=log).wait():
        raise RuntimeError(f"`{' '.join(map(str, arguments))}` fails even unharmed; see {log}")
    return time.monotonic() - began


def killed(process: subprocess.Popen[bytes], after_s: float) -> bool:
    """Kill a process after some seconds; False when it had ended by itself."""
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def look_at_runs(store: Path, troubles: list[str]) -> int:
    """Read every run in full; what cannot be read is a trouble."""
    runs = RunStore(store).runs()
    for run in runs:
        try:
            if len(run.recording()) != FRAMES or run.manifest.frames != FRAMES or run.manifest.id != run.id:
                troubles.append(f"{run.id} is not whole")
            run.results()
        except ValueError as error:
            troubles.append(f"{run.id}: {error}")
    for folder in store.iterdir() if store.is_dir() else ():
        known = folder.name.startswith(".") or folder.name in ("batches", "service")
        if not known and not (folder / "manifest.json").is_file():
            troubles.append(f"{folder.name} looks like a run and is none")
    return len(runs)


def kill_infer(folder: Path, kills: int, longest_s: float = 0.0, seed: int = 0) -> Outcome:
    """``infer`` killed at random moments up to ``longest_s`` (0: found out first): runs are whole or not there."""
    outcome, dice, began = Outcome("infer"), random.Random(seed), time.monotonic()
    (clip,) = write_clips(folder / "clips", 1)
    store = folder / "store"
    alone = ("infer", clip, "--out", folder / "unharmed", "--json")
    longest_s = longest_s or 1.2 * usual_s(*alone, log=folder / "log.txt")
    while outcome.kills < kills:
        outcome.asked += 1
        process = start("infer", clip, "--out", store, "--json", log=folder / "log.txt")
        outcome.kills += killed(process, dice.uniform(0.0, longest_s))
        outcome.runs = look_at_runs(store, outcome.troubles)
    outcome.seconds = time.monotonic() - began
    return outcome


def kill_batch(folder: Path, kills: int, clips: int = 12, longest_s: float = 0.0, seed: int = 1) -> Outcome:
    """``batch --resume`` killed at random moments until it ends, as often as it takes: every clip has one run.

    The moments lie up to ``longest_s`` after its start (0: found out first).
    """
    outcome, dice, began = Outcome("batch"), random.Random(seed), time.monotonic()
    write_clips(folder / "clips", clips)
    alone = ("batch", folder / "clips", "--out", folder / "unharmed", "--json")
    longest_s = longest_s or 0.8 * usual_s(*alone, log=folder / "log.txt")
    rounds = 0
    while outcome.kills < kills or rounds == 0:
        out = folder / f"out{rounds}"
        command = ("batch", folder / "clips", "--tasks", "infer,repetitions", "--out", out, "--resume", "--json")
        rounds += 1
        while True:
            wait_s = dice.uniform(0.0, longest_s) if outcome.kills < kills else 600.0
            process = start(*command, log=folder / "log.txt")
            if not killed(process, wait_s):
                break
            outcome.kills += 1
            look_at_runs(out, outcome.troubles)
        runs = look_at_runs(out, outcome.troubles)
        sources = {run.manifest.source["name"] for run in RunStore(out).runs()}
        outcome.asked, outcome.runs = outcome.asked + clips, outcome.runs + runs
        if process.returncode or runs != clips or len(sources) != clips:
            outcome.troubles.append(f"{clips} clips, {runs} runs of {len(sources)} clips, exit {process.returncode}")
        if hidden := [path.name for path in out.iterdir() if path.name.startswith(".")]:
            outcome.troubles.append(f"left behind: {hidden}")
    outcome.seconds = time.monotonic() - began
    return outcome


def kill_service(folder: Path, kills: int, longest_s: float = 5.0, seed: int = 2) -> Outcome:
    """The service killed at random moments while somebody posts clips: what it acknowledged, it does."""
    outcome, dice, began = Outcome("serve"), random.Random(seed), time.monotonic()
    (clip,) = write_clips(folder / "clips", 1)
    store, acknowledged = folder / "store", list[str]()
    for _ in range(kills):
        with _service(folder, store) as service:
            poster = threading.Thread(target=_post_until_dead, args=(service, clip, acknowledged))
            poster.start()
            outcome.kills += killed(service.process, dice.uniform(0.0, longest_s))
            poster.join()
        look_at_runs(store, outcome.troubles)
    with _service(folder, store) as service:
        jobs = _all_jobs(service)
        while any(job["state"] in ("waiting", "running") for job in jobs.values()):
            time.sleep(0.2)
            jobs = _all_jobs(service)
        service.process.terminate()
        service.process.wait(60)
    outcome.asked, outcome.runs = len(acknowledged), look_at_runs(store, outcome.troubles)
    lost = [job for job in acknowledged if job not in jobs]
    failed = [f"{job['id']}: {job['error']}" for job in jobs.values() if job["state"] != "done"]
    outcome.troubles += [f"acknowledged and lost: {job}" for job in lost] + failed
    if {job["run"] for job in jobs.values()} != {run.id for run in RunStore(store).runs()}:
        outcome.troubles.append(f"{len(jobs)} jobs, {outcome.runs} runs")
    left = [*(store / "service" / "uploads").iterdir(), *store.glob(".*"), *(store / "service" / "workers").iterdir()]
    outcome.troubles += [f"left behind: {path.name}" for path in left]
    outcome.seconds = time.monotonic() - began
    return outcome


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    url: str

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _service(folder: Path, store: Path) -> Service:
    """The command, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ("serve", "--port", port, "--out", store, "--max-attempts", 10_000)
    service = Service(start(*arguments, log=folder / "log.txt"), f"http://127.0.0.1:{port}")
    for _ in range(12_000):  # ten minutes: a busy machine imports for one
        if service.process.poll() is not None:
            break
        try:
            _get(service.url + "/health")
            return service
        except OSError:
            time.sleep(0.05)
    service.__exit__()
    raise RuntimeError(f"the service did not start; see {folder / 'log.txt'}")


def _post_until_dead(service: Service, clip: Path, acknowledged: list[str]) -> None:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="clip.mp4"\r\n\r\n'
    tasks = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="tasks"\r\n\r\ninfer,repetitions'
    body = head.encode() + clip.read_bytes() + f"{tasks}\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    while service.process.poll() is None:
        try:
            request = urllib.request.Request(service.url + "/jobs", body, kind)
            with urllib.request.urlopen(request, timeout=30) as answer:
                acknowledged.append(json.loads(answer.read())["id"])
        except (OSError, ValueError, http.client.HTTPException):
            pass  # killed before, or in the middle of, its answer
        time.sleep(0.3)


def _all_jobs(service: Service) -> dict[str, Any]:
    jobs: dict[str, Any] = {}
    before = ""
    while True:
        page = _get(f"{service.url}/jobs?limit=1000{before}")
        jobs |= {job["id"]: job for job in page["jobs"]}
        if page["next"] is None:
            return jobs
        before = f"&before={page['next']}"


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


KINDS: dict[str, Callable[[Path, int], Outcome]] = {"infer": kill_infer, "batch": kill_batch, "serve": kill_service}


def main() -> None:
    """Kill, count, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", choices=tuple(KINDS), help="kill only this; prints the table and writes no report")
    arguments = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        for what in (arguments.only,) if arguments.only else KINDS:
            folder = Path(name) / what
            folder.mkdir()
            outcomes.append(KINDS[what](folder, arguments.kills))
            print(outcomes[-1], file=sys.stderr)
    troubles = [f"- {outcome.what}: {trouble}" for outcome in outcomes for trouble in outcome.troubles]
    if arguments.only:
        print(table([outcome.row() for outcome in outcomes]), *troubles, sep="\n")
        return
    text = f"""# kill -9

Made by `python -m benchmarks.reliability --kills {arguments.kills}`: the real commands with the real model on clips of
{FRAMES} frames, killed with SIGKILL at moments drawn evenly: infer from its start to a fifth longer than it usually
takes, batch within the first four fifths, the service within 5 s after it answers, while a client posts clips.

{table([outcome.row() for outcome in outcomes])}

A trouble would be: a run that cannot be read in full, a clip without a run or with two, a job that was acknowledged
(202) and is gone or failed, a file left behind. {"Found:" if troubles else "None was found."}

{chr(10).join([*troubles, ""]) if troubles else ""}
`batch` is begun again until it has done all its clips, and anew while kills are left. The service is run with
`--max-attempts 10000`; by default a job is given up after its worker died five times over it, and says so.
Jobs may outnumber acknowledgements: a kill between the commit and the answer leaves a job that nobody was told of.

What the tests cover besides: a full disk, a folder that cannot be written, two processes on one store, one batch, one
queue, a clock that jumps back, mutated clips, posted poses and requests (schemathesis).
A loss of power is not simulated: uploads and the queue are flushed to the disk before they are acknowledged
(fsync, SQLite with synchronous=FULL); a run's own files are not, except for its manifest.
"""
    (HERE / "reliability.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
