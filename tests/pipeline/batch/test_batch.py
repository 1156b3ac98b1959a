"""Many clips: errors stay beside their file, a killed batch goes on, nothing is done or there twice."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.batch.batch import open_batch, run_batch, stored_batches
from pipeline.batch.items import BatchError, Record, find_items
from pipeline.batch.places import Place, PlaceError
from pipeline.cli import main
from pipeline.inference import InferenceOptions
from pipeline.runs import RunStore
from pipeline.settings import PROJECT_DIR
from tests.pipeline.batch.conftest import FRAMES, CountingPeople, write_clip

pytestmark = pytest.mark.usefixtures("model")
TASKS = ("infer", "analyze", "repetitions")


def names(store: Path) -> list[str]:
    return sorted(run.manifest.source["name"] for run in RunStore(store).runs())


def hidden(store: Path) -> list[Path]:
    return [path for path in store.iterdir() if path.name.startswith(".")]


def test_a_folder_becomes_runs_and_a_table(clips: Path, model: CountingPeople, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch = run_batch(open_batch([str(clips)], TASKS, str(out)))
    assert names(out) == ["a.mp4", "b with (odd) name.mov", "day 2/a.mp4"]
    assert model.shown == 3 * FRAMES
    assert hidden(out) == []
    for run in RunStore(out).runs():
        assert run.id == run.manifest.id
        assert {"repetitions"} < set(run.results())
        assert len(run.recording()) == FRAMES
        assert run.overlay is not None
    table = pd.read_csv(out / "batches" / "batch" / "summary.csv")
    assert list(table["file"]) == ["a.mp4", "b with (odd) name.mov", "day 2/a.mp4"]
    assert list(table["state"]) == ["done"] * 3
    assert list(table["frames"]) == [FRAMES] * 3
    assert {"analyze.movement", "analyze.complete_repetitions", "repetitions.repetitions_count"} <= set(table)
    parquet = pd.read_parquet(out / "batches" / "batch" / "summary.parquet")
    assert list(parquet["run"]) == list(table["run"]) == [s.record.run for s in batch.status.values() if s.record]


def test_trouble_stays_beside_its_file(clips: Path, tmp_path: Path) -> None:
    (clips / "broken.mp4").write_bytes(b"no clip at all")
    (clips / "a.mp4").write_bytes((clips / "a.mp4").read_bytes()[:300])
    batch = run_batch(open_batch([str(clips)], TASKS, str(tmp_path / "out")))
    states = {status.item.name: status for status in batch.status.values()}
    assert {name for name, status in states.items() if status.state == "failed"} == {"a.mp4", "broken.mp4"}
    assert "broken.mp4" in states["broken.mp4"].errors
    assert names(tmp_path / "out") == ["b with (odd) name.mov", "day 2/a.mp4"]
    table = batch.table().set_index("file")
    assert "broken.mp4" in table["error"]["broken.mp4"]
    assert batch.counts() == {"done": 2, "failed": 2, "waiting": 0, "done_before": 0}
    write_clip(clips / "broken.mp4")
    again = run_batch(open_batch([str(clips)], TASKS, str(tmp_path / "out"), resume=True))
    assert again.counts() == {"done": 3, "failed": 1, "waiting": 0, "done_before": 2}


def test_an_unexpected_error_in_one_task_stops_neither_the_others_nor_the_next_clip(
    clips: Path, model: CountingPeople, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_person: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pipeline.batch.tasks.find_repetitions", broken)
    batch = run_batch(open_batch([str(clips)], TASKS, str(tmp_path / "out")))
    for status in batch.status.values():
        assert status.record is not None
        assert {name: task.state for name, task in status.record.tasks.items()} == {
            "infer": "done", "analyze": "done", "repetitions": "failed",
        }  # fmt: skip
        assert "ZeroDivisionError" in status.errors
    monkeypatch.undo()
    shown = model.shown
    again = run_batch(open_batch([str(clips)], TASKS, str(tmp_path / "out"), resume=True))
    assert model.shown == shown, "the poses were there"
    assert not any(status.errors for status in again.status.values())


def test_resume_does_only_what_is_missing(clips: Path, model: CountingPeople, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    stop_at = FRAMES + 2

    def cancelled() -> bool:
        return model.shown >= stop_at

    batch = run_batch(open_batch([str(clips)], TASKS, out), cancelled=cancelled)
    assert batch.counts() == {"done": 1, "failed": 0, "waiting": 2, "done_before": 0}
    assert len(RunStore(Path(out)).runs()) == 1
    write_clip(clips / "new.mp4", 30)
    shown = model.shown
    run_batch(open_batch([str(clips)], TASKS, out, resume=True))
    assert model.shown == shown + 3 * FRAMES
    assert len(RunStore(Path(out)).runs()) == 4
    more = run_batch(open_batch([str(clips)], (*TASKS, "squat"), out, resume=True))
    assert model.shown == shown + 3 * FRAMES, "another task needs no new poses"
    assert all("movement-squat-person1" in run.results() for run in RunStore(Path(out)).runs())
    assert all(set(s.record.tasks) == {*TASKS, "squat"} for s in more.status.values() if s.record)
    write_clip(clips / "a.mp4", 10)
    run_batch(open_batch([str(clips)], TASKS, out, resume=True))
    assert model.shown == shown + 4 * FRAMES, "a changed clip is a new one"


def test_a_batch_is_not_begun_twice_and_keeps_its_options(clips: Path, model: CountingPeople, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    run_batch(open_batch([str(clips)], TASKS, out))
    with pytest.raises(BatchError, match="--resume"):
        open_batch([str(clips)], TASKS, out)
    with pytest.raises(BatchError, match="other options \\(max_people\\)"):
        open_batch([str(clips)], TASKS, out, InferenceOptions(max_people=1), resume=True)
    run_batch(open_batch([str(clips / "a.mp4")], ("infer",), out, InferenceOptions(max_people=1), name="second"))
    assert sorted(stored_batches(Path(out))) == ["batch", "second"]
    assert model.shown == 4 * FRAMES


def test_a_run_that_was_published_before_its_record_is_kept(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_batch(open_batch([str(clips)], TASKS, str(out)))
    before = {run.id: (run.folder / "poses.parquet").stat().st_mtime_ns for run in RunStore(out).runs()}
    for record in (out / "batches" / "batch" / "items").iterdir():
        record.write_text("{" if record.name < "8" else "half a rec")  # as after a crash of the whole machine
    again = run_batch(open_batch([str(clips)], TASKS, str(out), resume=True))
    assert again.counts()["done"] == 3
    assert before == {run.id: (run.folder / "poses.parquet").stat().st_mtime_ns for run in RunStore(out).runs()}


@pytest.mark.parametrize("given", ["{clips}/*.mp4", "{clips}/**/*.mp4", "{clips}/a.mp4"])
def test_globs_and_files(given: str, clips: Path) -> None:
    found = [item.name for item in find_items([given.format(clips=clips)])]
    assert found == (["a.mp4", "day 2/a.mp4"] if "**" in given else ["a.mp4"])


def test_what_cannot_be_worked_on_is_said(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given, said in ((tmp_path / "empty", "no pictures or clips"), (tmp_path / "nowhere", "nothing at")):
        with pytest.raises(ValueError, match=said):
            find_items([str(given)])
    with pytest.raises(PlaceError, match="nosuch"):
        find_items(["nosuch://bucket/x"])
    with pytest.raises(ValueError, match="no task 'jump'"):
        open_batch([str(clips)], ("jump",), str(tmp_path / "out"))
    with pytest.raises(BatchError, match="cannot name"):
        open_batch([str(clips)], TASKS, str(tmp_path / "out"), name="../up")
    assert not (tmp_path / "out").exists()


def test_the_batch_s_own_folder_is_not_its_input(clips: Path) -> None:
    run_batch(open_batch([str(clips)], ("infer",), str(clips / "out")))
    again = open_batch([str(clips)], ("infer",), str(clips / "out"), resume=True)
    assert len(again.status) == 3
    assert not again.pending


def test_only_one_process_works_on_a_batch(clips: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    batch = open_batch([str(clips)], ("infer",), out)
    script = (
        "import sys, time; from pipeline.batch.batch import _alone; from pipeline.batch.places import Place\n"
        "with _alone(Place(sys.argv[1])): print('ready', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(batch.place.local)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(BatchError, match="Another process"):
            run_batch(batch)
    finally:
        other.kill()
        other.wait()
    assert run_batch(batch).counts()["done"] == 3, "a dead process holds nothing"


def test_a_full_disk_is_said_and_leaves_nothing(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.runs.write_poses", full)
        batch = run_batch(open_batch([str(clips)], TASKS, str(out)))
    assert batch.counts()["failed"] == 3
    assert all("is full" in status.errors for status in batch.status.values())
    assert RunStore(out).runs() == []
    assert hidden(out) == []
    assert run_batch(open_batch([str(clips)], TASKS, str(out), resume=True)).counts()["done"] == 3


def test_everything_may_lie_in_another_file_system(clips: Path, model: CountingPeople) -> None:
    files = Place("memory://clips").files
    for path in clips.rglob("*.m*"):
        if not path.name.startswith("."):
            files.pipe_file(f"/clips/{path.relative_to(clips)}", path.read_bytes())
    files.pipe_file("/clips/broken.mp4", b"x")
    try:
        out = "memory://lab/out"
        batch = run_batch(open_batch(["memory://clips"], TASKS, out))
        assert batch.counts() == {"done": 3, "failed": 1, "waiting": 0, "done_before": 0}
        assert "broken.mp4" in next(s.errors for s in batch.status.values() if s.state == "failed")
        run = next(s.record.run for s in batch.status.values() if s.record and s.item.name == "a.mp4")
        assert json.loads(Place(f"{out}/{run}").read("manifest.json") or b"")["source"]["name"] == "a.mp4"
        assert Place(f"{out}/{run}/results").names() != []
        shown = model.shown
        run_batch(open_batch(["memory://clips"], (*TASKS, "squat"), out, resume=True))
        assert model.shown == shown
        assert "movement-squat-person1.json" in Place(f"{out}/{run}/results").names()
    finally:
        files.store.clear()


def test_a_record_reads_back_and_a_damaged_one_is_none() -> None:
    record = Record("k", "/x/a.mp4", "a.mp4", "failed", error="why", seconds=1.5)
    assert Record.from_json(record.to_json()) == record
    for damaged in (b"[]", b'{"tasks": {}}', b'{"tasks": {"a": {"b": 1}}}'):
        with pytest.raises(ValueError, match="no record"):
            Record.from_json(damaged)


KILLED = """
import os, signal, sys
from pipeline.cli import main
from pipeline.estimation.base import RecordingBuilder
add, shown = RecordingBuilder.add, []
def counted(*arguments):
    shown.append(1)
    if len(shown) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    add(*arguments)
RecordingBuilder.add = counted
sys.exit(main(sys.argv[2:]))
"""


def test_a_killed_batch_goes_on(clips: Path, tmp_path: Path) -> None:
    """kill -9 inside the second and then inside the third clip; what was done stays, nothing is half there."""
    out = tmp_path / "out"
    command = ["batch", str(clips), "--tasks", "infer,repetitions", "--out", str(out), "--json"]
    for number, (frame, arguments, done) in enumerate(
        ((FRAMES + 3, command, 1), (FRAMES + 3, [*command, "--resume"], 2), (99, [*command, "--resume"], 3))
    ):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(frame), *arguments], cwd=PROJECT_DIR, capture_output=True, text=True
        )
        assert killed.returncode == (-signal.SIGKILL if number < 2 else 0), killed.stderr
        assert len(RunStore(out).runs()) == done
        assert all(len(run.recording()) == FRAMES for run in RunStore(out).runs())
    answer = json.loads(killed.stdout)
    assert (answer["done"], answer["done_before"], answer["failed"]) == (3, 2, 0)
    assert hidden(out) == [], "the next worker takes away what dead ones left"


def test_the_command_says_what_happened(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "broken.mp4").write_text("x")
    code = main(["batch", str(clips), "--tasks", "infer, repetitions", "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert code == 0
    assert "4 clips: 3 done (0 of them before), 1 failed" in out
    assert "broken.mp4" in err
    code = main(["batch", str(clips), "--tasks", "infer,fly", "--out", str(tmp_path / "out")])
    assert code == 1
    assert "There is no task 'fly'" in capsys.readouterr().err
    code = main(["batch", str(clips / "broken.mp4"), "--out", str(tmp_path / "broken"), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["done"], answer["failed"]) == (1, 0, 1), "nothing came of it, and what there is is said"
    with pytest.raises(SystemExit):
        main(["batch", "--help"])
    assert "Exits with 1 when" in capsys.readouterr().out


def test_batch_equals_the_single_command(clips: Path, tmp_path: Path) -> None:
    """The same poses and answers as infer and analyze give."""
    from pipeline.inference import infer
    from pipeline.movements.analyze import analyze

    single = infer(clips / "a.mp4", RunStore(tmp_path / "single"), name="a.mp4")
    run_batch(open_batch([str(clips / "a.mp4")], TASKS, str(tmp_path / "out")))
    (run,) = RunStore(tmp_path / "out").runs()
    np.testing.assert_array_equal(run.recording().people[0].xy_px, single.recording().people[0].xy_px)
    report = analyze(single.recording())
    stored = run.results()[f"movement-{report.movement}-person{report.person}"]
    assert {key: stored[key] for key in report.to_json()} == json.loads(json.dumps(report.to_json()))
