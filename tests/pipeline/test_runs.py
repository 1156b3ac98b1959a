"""The run store: whole runs or none, under every kind of misfortune."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

from pipeline.poses import SCHEMA_VERSION, MediaInfo, ModelInfo, Recording, SchemaError
from pipeline.runs import Run, RunError, RunStore, slug, write_atomically
from tests.conftest import random_sequence


def recording(people: int = 1) -> Recording:
    sequences = tuple(replace(random_sequence(), person=number + 1) for number in range(people))
    return Recording(sequences, random_sequence().time_s, MediaInfo(name="x"), ModelInfo(name="test", device="CPU"))


def make(store: RunStore, tmp_path: Path, name: str = "clip.mp4", people: int = 1, **manifest: object) -> Run:
    source = tmp_path / "incoming.mp4"
    source.write_bytes(b"not really a video")
    with store.create(name) as builder:
        builder.keep_source(source, name)
        builder.finish(recording(people), **manifest)
    return store.get(builder.id)


def test_a_run_holds_everything_and_reads_back(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "store")
    run = make(store, tmp_path, people=2, subject="P01", tags=["pilot"], parameters={"max_people": 3})
    manifest = run.manifest
    assert manifest.schema_version == SCHEMA_VERSION
    assert manifest.source["sha256"] == hashlib.sha256(b"not really a video").hexdigest()
    assert (manifest.subject, manifest.tags, manifest.parameters) == ("P01", ["pilot"], {"max_people": 3})
    assert manifest.people == [{"person": 1, "frames_seen": 11}, {"person": 2, "frames_seen": 11}]
    assert run.source is not None
    assert run.source.read_bytes() == b"not really a video"
    for before, after in zip(recording(2).people, run.recording().people, strict=True):
        np.testing.assert_array_equal(before.xy_px, after.xy_px)
        np.testing.assert_array_equal(before.xyz_m, after.xyz_m)
    table = pd.read_csv(run.folder / "poses.csv")
    assert len(table) == 2 * 11 * 33
    assert Recording.from_json((run.folder / "poses.json").read_bytes()).people[1].person == 2
    assert [r.id for r in store.runs()] == [run.id]


def test_the_place_in_the_room_is_kept_for_whom_it_is_known(tmp_path: Path) -> None:
    known, unknown = recording(2).people
    root_m = np.random.default_rng(3).normal(0, 1, (len(known), 3))
    root_m[2] = np.nan
    store = RunStore(tmp_path)
    placed = replace(known, root_m=root_m)
    for people in ((placed, unknown), (placed.select(slice(0)),)):
        with store.create("clip") as builder:
            builder.finish(Recording(people, people[0].time_s))
        for before, after in zip(people, store.get(builder.id).recording().people, strict=True):
            if before.root_m is None:
                assert after.root_m is None
            else:
                np.testing.assert_array_equal(before.root_m, after.root_m)


def test_nobody_is_an_ordinary_run(tmp_path: Path) -> None:
    run = make(RunStore(tmp_path), tmp_path, people=0)
    assert run.recording().people == ()
    assert len(run.recording()) == 12
    assert list(pd.read_csv(run.folder / "poses.csv").columns)[:4] == ["person", "frame", "time_s", "joint"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "🎥 squat ÄÖ.mp4", "x" * 300 + ".mp4", "", "a/b\\c.mp4", "con\0"])
def test_names_are_text_and_never_paths(tmp_path: Path, name: str) -> None:
    store = RunStore(tmp_path / "store")
    run = make(store, tmp_path, name=name)
    assert run.folder.parent == store.folder
    assert len(run.id) < 80
    assert run.id.isascii()
    assert run.manifest.source["name"] == (name or "incoming.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["incoming.mp4", "store"]


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "store")

    def fail() -> None:
        with store.create("clip") as builder:
            (builder.folder / "overlay.mp4").write_bytes(b"half")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert list(store.folder.iterdir()) == []


def test_a_killed_process_leaves_no_run(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pipeline.runs import RunStore\n"
        "with RunStore(Path(sys.argv[1])).create('clip') as b:\n"
        "    (b.folder / 'poses.csv').write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = RunStore(tmp_path)
    assert store.runs() == []
    leftover = next(tmp_path.iterdir())
    two_days_ago = time.time() - 2 * 86400
    os.utime(leftover, (two_days_ago, two_days_ago))
    with store.create("next") as builder:
        builder.finish(recording())
    assert [p.name for p in tmp_path.iterdir()] == [builder.id]


MAKE_TEN = """
import sys
from pathlib import Path
from pipeline.poses import MediaInfo, ModelInfo, Recording
from pipeline.runs import RunStore
for _ in range(10):
    with RunStore(Path(sys.argv[1])).create("same name") as builder:
        builder.finish(Recording((), [0.0, 0.1], MediaInfo(name="x"), ModelInfo(name="test", device="CPU")))
"""


def test_two_processes_never_collide(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", MAKE_TEN, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    runs = RunStore(tmp_path).runs()
    assert len(runs) == 20
    assert all(run.manifest.frames == 2 for run in runs)


def test_a_newer_run_is_refused_in_words_and_a_damaged_one_too(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "store")
    run = make(store, tmp_path)
    path = run.folder / "manifest.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(SchemaError, match="newer Kinoscope"):
        store.get(run.id).manifest  # noqa: B018
    path.write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        store.get(run.id).manifest  # noqa: B018
    (run.folder / "poses.parquet").write_bytes(b"rubbish")
    with pytest.raises(RunError, match="run the inference again"):
        run.recording()


def test_a_linked_source_that_is_gone_is_said(tmp_path: Path) -> None:
    source = tmp_path / "film.mov"
    source.write_bytes(b"film")
    store = RunStore(tmp_path / "store")
    with store.create("film.mov") as builder:
        builder.keep_source(source, link=True)
        builder.finish(recording())
    run = store.get(builder.id)
    assert run.source == source
    assert run.missing() == ""
    source.unlink()
    assert run.source is None
    assert "film.mov" in run.missing()
    assert len(run.recording().people) == 1


def test_results_are_added_whole(tmp_path: Path) -> None:
    run = make(RunStore(tmp_path / "store"), tmp_path)
    run.add_result("squat", {"repetitions": [1, 2]})
    run.add_result("squat", {"repetitions": [1, 2, 3]})
    assert run.results()["squat"]["repetitions"] == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        run.add_file("figure.png", lambda path: path.write_bytes(bytes([1 // 0])))
    assert [p.name for p in run.folder.glob("*.png")] == []
    assert not list(run.folder.glob(".making-*"))


def test_delete_removes_and_stays_inside_the_store(tmp_path: Path) -> None:
    store, other = RunStore(tmp_path / "store"), RunStore(tmp_path / "other")
    run, foreign = make(store, tmp_path), make(other, tmp_path)
    with pytest.raises(RunError, match="not in"):
        store.delete(str(foreign.folder))
    with pytest.raises(RunError, match="no run"):
        store.delete("../other")
    store.delete(run.id)
    assert store.runs() == []
    assert foreign.folder.is_dir()


def test_a_full_disk_and_a_read_only_folder_get_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.runs.write_poses", full)
        with pytest.raises(RunError, match="is full"), RunStore(tmp_path / "store").create("clip") as builder:
            builder.finish(recording())
    assert list((tmp_path / "store").iterdir()) == []
    blocked = tmp_path / "file"
    blocked.write_text("a file where the store should be")
    with pytest.raises(RunError, match="Cannot write"), RunStore(blocked / "store").create("clip"):
        pass


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old")

    def broken(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]


def test_slugs_are_plain() -> None:
    assert slug("Kniebeuge (1) – Ä.MP4") == "kniebeuge-1-mp4"
    assert slug("🎥") == "clip"
