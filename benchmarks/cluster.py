"""How a batch scales on Ray, and what 1,000 hours of video cost on N nodes: benchmarks/cluster.md.

    python -m benchmarks.cluster

Two nodes with one core each on this machine (``ray.cluster_utils``); the same clips here in one process, on one worker
and on two. Time of the first clip (a process starts, models load) and of each further one are taken apart, because only
the first is paid once a worker.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.people import table
from pipeline.batch.batch import Batch, Runner, Status, open_batch, run_batch
from pipeline.batch.cluster import ClusterOptions, ray_runner
from pipeline.batch.items import DONE
from pipeline.runs import RunStore
from pipeline.synthetic.actor import ActorSpec, render_clip

HERE = Path(__file__).parent
TASKS = ("infer", "analyze")
FRAME_RATE = 30.0


def make_clips(folder: Path, count: int) -> list[Path]:
    """Squats of different people in different rooms, 640x480, and copies of them under other names."""
    folder.mkdir()
    made = []
    for seed in range(min(2, count)):
        spec = ActorSpec.one("squat", repetitions=3, view="oblique", fps=FRAME_RATE, seed=seed)
        render_clip(spec, folder / f"{seed}.mp4")
        made.append((folder / f"{seed}.mp4").read_bytes())
    for number in range(len(made), count):
        (folder / f"{number}.mp4").write_bytes(made[number % len(made)])
    return sorted(folder.glob("*.mp4"))


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """Two nodes of one core each, on 127.0.0.1 only; gives the address."""
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "memory": 4 << 30}
    nodes = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    nodes.add_node(**node)
    try:
        yield str(nodes.address)
    finally:
        nodes.shutdown()


def actors() -> list[psutil.Process]:
    """The workers' processes on this machine."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Actor"):
                found.append(process)
    return found


def stored_mb_a_minute(store: Path) -> float:
    """What a minute of video becomes in the store, source and overlay included."""
    runs = RunStore(store).runs()
    size = sum(path.stat().st_size for run in runs for path in run.folder.rglob("*"))
    return size / 1e6 / (sum(run.manifest.duration_s for run in runs) / 60)


def measured(name: str, clips: Path, out: Path, runner: Runner | None) -> tuple[dict[str, Any], Batch]:
    """One batch: wall time, the time until the first clip was done, and the rate after it."""
    batch = open_batch([str(clips)], TASKS, str(out))
    ends: list[float] = []
    load: list[float] = []
    memory: list[float] = [0.0]
    began = time.monotonic()

    def watch(status: Status) -> None:
        if status.state == DONE:
            ends.append(time.monotonic() - began)
            load.append(os.getloadavg()[0])
            memory.extend(process.memory_info().rss / 2**20 for process in actors())

    run_batch(batch, runner, watch)
    frames = sum(status.record.frames for status in batch.status.values() if status.record)
    rest = frames * (len(ends) - 1) / len(ends) / (ends[-1] - ends[0])
    return {
        "where": name,
        "clips": len(ends),
        "frames": frames,
        "first clip done after, s": f"{ends[0]:.1f}",
        "all done after, s": f"{ends[-1]:.1f}",
        "frames/s after the first": f"{rest:.1f}",
        "largest worker, MiB": f"{max(memory):.0f}" if runner else "",
        "machine's load": f"{statistics.mean(load):.1f}",
    }, batch


def differences(one: Path, other: Path) -> int:
    """How many clips have other poses or answers in the two stores."""
    mine = {run.manifest.source["name"]: run for run in RunStore(one).runs()}
    theirs = {run.manifest.source["name"]: run for run in RunStore(other).runs()}
    different = len(mine.keys() ^ theirs.keys())
    for name in mine.keys() & theirs.keys():
        pairs = zip(mine[name].recording().people, theirs[name].recording().people, strict=True)
        same = all(np.array_equal(a.xy_px, b.xy_px, equal_nan=True) for a, b in pairs)
        different += not (same and mine[name].results() == theirs[name].results())
    return different


def hours(rate: float, nodes: int, workers: int, start_s: float, files: int = 30_000) -> float:
    """Hours for 1,000 hours of video: even work, one start a worker, and half a file's length of idle end."""
    frames = 1000 * 3600 * FRAME_RATE
    per_file_s = frames / files / rate
    return (frames / (rate * nodes * workers) + start_s + per_file_s / 2) / 3600


def main() -> None:
    """Measure, model, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=8)
    count = parser.parse_args().clips
    rows = []
    with tempfile.TemporaryDirectory() as name, cluster() as address:
        folder = Path(name)
        make_clips(folder / "clips", count)
        for label, workers in (("this process, 2 threads", 0), ("1 worker of 1 core", 1), ("2 workers of 1 core", 2)):
            runner = ray_runner(address, ClusterOptions(workers)) if workers else None
            row, _ = measured(label, folder / "clips", folder / str(workers), runner)
            print(row, file=sys.stderr)
            rows.append(row)
        apart = [differences(folder / "0", folder / str(workers)) for workers in (1, 2)]
        stored = stored_mb_a_minute(folder / "0")
    one, two = (float(row["frames/s after the first"]) for row in rows[1:])
    start_s = float(rows[1]["first clip done after, s"])
    model = [
        {
            "nodes of 16 cores": nodes,
            "workers": 16 * nodes,
            "hours": f"{hours(one, nodes, 16, start_s):.1f}",
            "core hours": f"{hours(one, nodes, 16, start_s) * 16 * nodes:.0f}",
        }
        for nodes in (1, 2, 4, 8, 16)
    ]
    text = f"""# A batch on Ray

Made by `python -m benchmarks.cluster --clips {count}`: two nodes of one core each on one machine with
{psutil.cpu_count()} cores, {count} clips of squats (640x480, 30 frames a second), tasks {" and ".join(TASKS)}. The
machine was shared; its load average is in the last column (above {psutil.cpu_count()}: others took part of the cores).

{table(rows)}

Two workers did {two / one:.2f} times the work of one in the same time. Clips whose poses or answers differ from those
of this process: {apart[0]} (1 worker), {apart[1]} (2 workers).

## How it scales

Clips are independent: one goes to one worker as a whole, nothing passes between workers, and the driver only sends a
name and gets a record back (a few kB). A worker starts once (about {start_s:.0f} s until its first clip is done, above)
and keeps its models; `--worker-memory-gib` bounds how many fit on a node, and one that has grown beyond it is replaced
between clips. For F frames on N nodes with W workers each, a worker doing r frames a second:

    time = F / (r N W) + start + half a clip at the end (the last worker to finish)

For 1,000 hours of video ({1000 * 3600 * FRAME_RATE / 1e6:.0f} million frames at 30 a second, in 30,000 files of two
minutes) and r = {one:.1f} as measured here for one worker of one core, on nodes of 16 cores with 16 workers:

{table(model)}

This is a model, not a measurement: nobody had 16 nodes. What it leaves out: cores that slow each other down through
memory and clock (measure one full node first); reading and writing: a minute of these clips becomes {stored:.1f} MB in
the store (source, overlay, tables), so 1,000 hours become {stored * 60:.0f} GB; and workers that are lost, whose clip
in hand is done again (half a clip each on average). `--no-overlay` saves drawing and encoding.
"""
    (HERE / "cluster.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
