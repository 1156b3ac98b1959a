"""A cluster of two nodes on this machine: the same answers as here, and a lost node costs nothing but time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from pipeline.batch.batch import Status, open_batch, run_batch
from pipeline.batch.cluster import ClusterOptions, ray_runner, with_cores
from pipeline.batch.items import DONE, RUNNING, BatchError
from pipeline.estimation.base import Estimator
from pipeline.inference import InferenceOptions
from pipeline.runs import RunStore
from tests.pipeline.batch.conftest import ALIKE, squats_clip, write_clip
from tests.UserInterface.conftest import StandingPeople

TASKS = ("infer", "squat", "falls", "score", "recognize")
SMALL = ClusterOptions(worker_memory_gib=1.5)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two squats, three empty walls, and one that is no clip."""
    folder = tmp_path_factory.mktemp("clips")
    squats_clip(folder / "0 squat.mp4")
    for number in range(1, 4):
        write_clip(folder / f"{number} wall.mp4", 20 * number)
    (folder / "broken.mp4").write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def nodes() -> Iterator[object]:
    """Two nodes with one core each, listening on 127.0.0.1 only."""
    before = os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    memory = 2 << 30
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "memory": memory, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=1, memory=memory)
    yield cluster
    cluster.shutdown()
    if before is None:
        del os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"]


def test_a_node_that_is_lost_costs_nothing_but_time(nodes: object, rendered: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    run_batch(open_batch([str(rendered)], TASKS, str(here)))
    batch = open_batch([str(rendered)], TASKS, str(there))
    begun: list[str] = []
    listening: set[str] = set()

    def watch(status: Status) -> None:
        """Kill the second node while it works on its first clip."""
        if status.state == RUNNING:
            begun.append(status.item.name)
        if status.state == DONE and len(nodes.list_all_nodes()) == 2:  # type: ignore[attr-defined]
            listening.update(_listening())
            nodes.remove_node(nodes.list_all_nodes()[1], allow_graceful=False)  # type: ignore[attr-defined]

    run_batch(batch, ray_runner(nodes.address, SMALL), watch)  # type: ignore[attr-defined]
    assert len(nodes.list_all_nodes()) == 1, "the node was killed"  # type: ignore[attr-defined]
    assert batch.counts() == {"done": 4, "failed": 1, "waiting": 0, "done_before": 0}
    assert set(begun) == {status.item.name for status in batch.status.values()}
    assert listening and listening <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    _same_runs(RunStore(here), RunStore(there))
    _same_tables(here, there)


def _same_runs(here: RunStore, there: RunStore) -> None:
    mine = {run.manifest.source["name"]: run for run in here.runs()}
    theirs = {run.manifest.source["name"]: run for run in there.runs()}
    assert len(there.runs()) == len(theirs) == 4, "nothing is there twice"
    assert mine.keys() == theirs.keys()
    assert mine["0 squat.mp4"].manifest.people, "somebody was seen, or this compares nothing"
    for name, run in mine.items():
        assert _untimed(run.results()) == _untimed(theirs[name].results())
        for one, other in zip(run.recording().people, theirs[name].recording().people, strict=True):
            np.testing.assert_array_equal(one.xy_px, other.xy_px)
            np.testing.assert_array_equal(one.score, other.score)


def _untimed(value: object) -> object:
    """An answer without how long its stages took."""
    if isinstance(value, dict):
        return {key: _untimed(item) for key, item in value.items() if key != "seconds"}
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def _same_tables(here: Path, there: Path) -> None:
    mine, theirs = (pd.read_csv(out / "batches" / "batch" / "summary.csv").set_index("file") for out in (here, there))
    own = ["run", "seconds", "worker"]  # a run is named after when its batch began
    pd.testing.assert_frame_equal(mine.drop(columns=own), theirs.drop(columns=own))
    squats = theirs.loc["0 squat.mp4"]
    assert (squats["score.exercise"] in ALIKE, squats["score.repetitions_count"]) == (True, 2)
    assert 0.0 <= squats["score.score"] < 1.0, "these are done well"
    assert (squats["squat.complete_repetitions"], squats["falls.events_count"]) == (2, 0)
    assert (squats["recognize.exercise"], squats["recognize.segments_count"]) == ("squat", 1)
    walls = theirs[theirs.index.str.contains("wall")]
    assert len(walls) == 3 and walls["score.score"].isna().all(), "nobody, no score"


def _listening() -> set[str]:
    """The addresses on which the processes that this one started listen."""
    addresses = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    addresses.add(connection.laddr.ip)
    return addresses


def test_a_worker_that_dies_again_and_again_is_given_up(
    nodes: object, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip that kills its worker fails with a sentence; the others are done."""
    batch = open_batch([str(rendered / "1 wall.mp4"), str(rendered / "2 wall.mp4")], ("infer",), str(tmp_path / "out"))
    poison = next(status for status in batch.status.values() if status.item.name == "1 wall.mp4")
    killed: list[int] = []
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)  # type: ignore[attr-defined]

    def watch(status: Status) -> None:
        if status is poison and status.state == RUNNING:
            killed.append(_kill_a_worker())

    run_batch(batch, ray_runner("auto", ClusterOptions(1, worker_memory_gib=1.0, retries=1)), watch)
    assert len(killed) == 2
    assert "lost 2 times" in poison.errors
    assert batch.counts() == {"done": 1, "failed": 1, "waiting": 0, "done_before": 0}


def _kill_a_worker() -> int:
    """kill -9 of the process that runs the actor, once it is there."""
    for _ in range(600):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "".join(process.cmdline()[:1]).startswith("ray::Actor"):
                    process.kill()
                    return process.pid
        time.sleep(0.05)
    raise AssertionError("there is no worker")


def test_more_than_a_node_has_is_refused(nodes: object, rendered: Path, tmp_path: Path) -> None:
    batch = open_batch([str(rendered)], ("infer",), str(tmp_path))
    with pytest.raises(BatchError, match="No node of the Ray cluster has 64 cores"):
        run_batch(batch, ray_runner(nodes.address, ClusterOptions(worker_cpus=64)))  # type: ignore[attr-defined]
    assert batch.counts()["waiting"] == 5


def test_memory_of_this_process_is_no_place_for_a_cluster(rendered: Path) -> None:
    batch = open_batch([str(rendered / "1 wall.mp4")], ("infer",), "memory://nowhere")
    with pytest.raises(BatchError, match="this process's memory"):
        run_batch(batch, ray_runner("local"))


def test_no_cluster_is_said(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    batch = open_batch([str(rendered)], ("infer",), str(tmp_path))
    with pytest.raises(BatchError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        run_batch(batch, ray_runner("127.0.0.1:1"))


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"retries": -1}, {"worker_cpus": 0}, {"worker_memory_gib": 0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BatchError, match="above 0"):
        ClusterOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_an_estimator_takes_the_cores_it_is_given_and_binds_nobody() -> None:
    every = os.sched_getaffinity(0)
    seen: list[int] = []

    def create(_options: InferenceOptions, _kind: str) -> Estimator:
        seen.append(len(os.sched_getaffinity(0)))
        return StandingPeople()

    with_cores(create, 1)(InferenceOptions(), "video")
    assert seen == [1]
    assert os.sched_getaffinity(0) == every
