"""The sample, from rendering to poses, against its own truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import sample
from pipeline.cli import main
from pipeline.inference import InferenceOptions, infer
from pipeline.runs import RunStore
from pipeline.skeletons import COCO_17
from pipeline.synthetic.actor import read_truth, truth_path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("store"))
    sample.make_sample_run(store, lambda _: None)
    return store


def test_the_sample_is_made_once(store: RunStore) -> None:
    said: list[str] = []
    run = sample.make_sample_run(store, said.append)
    assert len(store.runs()) == 1
    assert said == [f"The sample is already analysed: {run.id}"]
    assert run.manifest.subject == ""
    assert sample.SAMPLE_TAG in run.manifest.tags


def test_the_default_model_finds_the_actor_where_the_actor_is(store: RunStore) -> None:
    """The goal for upright motions: found in 95 % of the frames, median error under 4 % of body height."""
    recording = sample.ensure_sample_run(store).recording()
    truth = read_truth(truth_path(sample.sample_clip())).recording.people[0].to(COCO_17)
    (person,) = recording.people
    assert person.frames_seen >= 0.95 * len(recording)
    found = person.to(COCO_17)
    limbs = [
        COCO_17.index(j)
        for j in COCO_17.joints
        if j.split("_")[-1] in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ]
    boxes = truth.boxes_px()
    height_px = np.nanmax(boxes[:, 3] - boxes[:, 1])
    error = np.linalg.norm(found.xy_px[:, limbs] - truth.xy_px[:, limbs], axis=2) / height_px
    assert np.nanmedian(error) < 0.04


def test_metric_points_stand_upright_and_face_the_camera(store: RunStore) -> None:
    (person,) = sample.ensure_sample_run(store).recording().people
    assert person.xyz_m is not None
    middle = np.nanmedian(person.xyz_m, axis=0)
    index = person.skeleton.index
    assert middle[index("nose"), 1] > 0.3  # y is up, the hips are the origin
    assert middle[index("left_ankle"), 1] < -0.3
    assert middle[index("left_shoulder"), 0] > middle[index("right_shoulder"), 0]  # facing: left is image right


def test_a_damaged_run_does_not_hide_the_sample(store: RunStore) -> None:
    folder = store.folder / "99999999-broken"
    folder.mkdir()
    (folder / "manifest.json").write_text("{")
    try:
        assert sample.find_sample_run(store) is not None
    finally:
        (folder / "manifest.json").unlink()
        folder.rmdir()


def test_half_size_and_a_cut_give_the_same_person(tmp_path: Path) -> None:
    options = InferenceOptions(start_s=1.0, end_s=2.0)
    run = infer(sample.sample_clip(), RunStore(tmp_path), options)
    assert run.manifest.people == [{"person": 1, "frames_seen": run.manifest.frames}]
    assert run.manifest.frames == pytest.approx(30, abs=1)


def test_synth_writes_a_clip_and_its_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clip.mp4"
    command = ["synth", "squat", "--reps", "1", "--fault", "knees_in=0.5", "--size", "160x120", "--fps", "10"]
    assert main([*command, "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["clip"] == str(out)
    assert [r["faults"] for r in answer["repetitions"]] == [{"knees_in": 0.5}]
    truth = read_truth(truth_path(out))
    assert truth_path(out) == Path(answer["truth"])
    assert len(truth.recording) == answer["frames"]
    assert truth.spec.size == (160, 120)


@pytest.mark.parametrize(
    "arguments",
    [["moonwalk"], ["squat", "--fault", "wings"], ["squat", "--fault", "knees_in=much"], ["squat", "--view", "above"],
     ["squat", "--size", "big"], ["squat", "--fps", "0"], ["squat", "--disturb", "rain=1"]],
)  # fmt: skip
def test_synth_refuses_what_it_cannot_do(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synth", *arguments, "--out", str(tmp_path / "clip.mp4")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_sample_is_analysed_on_the_way_and_the_command_says_the_same(
    store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sample.ensure_sample_run(store)
    assert list(run.results()) == ["movement-squat-person1"]
    assert main(["analyze", run.id, "--movement", "squat", "--out", str(store.folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    truth = read_truth(truth_path(sample.sample_clip())).people[0].repetitions
    assert len(answer["repetitions"]) == len(truth)
    for found, true in zip(answer["repetitions"], truth, strict=True):
        assert {"person", "start_s", "turn_s", "end_s", "complete", "remarks"} <= set(found)
        assert found["complete"]
        assert found["turn_s"] == pytest.approx(true.turn_s, abs=0.5)
    assert isinstance(answer["refusals"], list)


def test_analyze_refuses_an_unknown_run_and_counts_nobody_as_nothing(
    store: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "no-such-run", "--out", str(store.folder)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    picture = tmp_path / "wall.png"
    picture.write_bytes(_grey_png())
    assert main(["analyze", str(picture), "--out", str(tmp_path / "o"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repetitions"] == []


def _grey_png() -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", np.full((40, 60, 3), 90, dtype=np.uint8))[1])
