"""The training set and a whole small training: sources, splits, windows, train, evaluate, corrected labels."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline import settings
from pipeline.recognition.classes import CLASSES, EXERCISES, UNKNOWN, RecognitionError
from pipeline.recognition.labels import LabelledSpan, checked_spans, labels_file, read_labels
from pipeline.recognition.recognizer import NETWORKS, Recognizer
from pipeline.recognition.windows import CORE_INDEX, WINDOW, boxed, mirrored, on_clock, seen_frames
from pipeline.skeletons import BLAZEPOSE_33, KINECT_20
from pipeline.synthetic.motions import Actor, act
from pipeline.training import framework, recognition_frames, recognition_sources
from pipeline.training.framework import TrainingError
from pipeline.training.recognition import STAGE, RecognitionConfig, choice
from pipeline.training.recognition_camera import as_blazepose, seen_by_camera, with_arms_of
from pipeline.training.recognition_data import (
    load_tracks,
    places,
    plain_windows,
    sequence_of,
    source_weights,
    stock_of,
    varied_windows,
)
from pipeline.training.recognition_near_misses import NEAR_MISSES, burpee, near_misses, performed
from pipeline.training.recognition_sources import NOBODY_KNOWS, Track, samples_within, split_evenly, split_of
from tests.pipeline.recognition.people import filmed

UNKNOWN_NUMBER = CLASSES.index(UNKNOWN)
SMALL = RecognitionConfig(
    sources=("actor",), actor_exercises=4, actor_others=3, views=1, epochs=2, windows_an_epoch=64, batch_size=32
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    rng = np.random.default_rng(0)
    bodies = list(recognition_sources.actor(rng, 2, 1))
    return [track for body in bodies for track in recognition_sources.filmed(body, rng, 2)]


def test_the_cameras_picture_is_seen_from_its_side() -> None:
    """From a person's left, the left hand is nearer; the head is above; the hips do not change the picture's size."""
    points = act(Actor("stand", variation=0.0), np.arange(0, 1, 0.1)).joints_m
    left, nose, ankle = (BLAZEPOSE_33.index(j) for j in ("left_wrist", "nose", "left_ankle"))
    picture = seen_by_camera(points, np.random.default_rng(0), yaw_deg=90.0)
    assert (picture[:, left, 2] < picture[:, BLAZEPOSE_33.index("right_wrist"), 2]).all()
    assert (picture[:, nose, 1] < picture[:, ankle, 1]).all()
    front = seen_by_camera(points, np.random.default_rng(0), yaw_deg=0.0)
    assert (front[:, left, 0] > front[:, BLAZEPOSE_33.index("right_wrist"), 0]).all()


def test_a_kinects_head_becomes_a_nose_before_it() -> None:
    points = np.zeros((3, len(KINECT_20), 3))
    for joint, place in {"head": (0, 1.6, 0), "left_shoulder": (0.2, 1.4, 0), "right_shoulder": (-0.2, 1.4, 0),
                         "left_hip": (0.1, 0.9, 0), "right_hip": (-0.1, 0.9, 0)}.items():  # fmt: skip
        points[:, KINECT_20.index(joint)] = place
    found = as_blazepose(points, KINECT_20)
    assert_allclose(found[:, BLAZEPOSE_33.index("nose")], [[0, 1.6, 0.11]] * 3)
    named = as_blazepose(
        points,
        [
            "HipCenter",
            "Spine",
            "ShoulderCenter",
            "Head",
            "ShoulderLeft",
            "ElbowLeft",
            "WristLeft",
            "HandLeft",
            "ShoulderRight",
            *(f"x{n}" for n in range(3)),
            "HipLeft",
            "KneeLeft",
            "AnkleLeft",
            "FootLeft",
            "HipRight",
            *(f"y{n}" for n in range(3)),
        ],
    )
    assert_allclose(named[:, BLAZEPOSE_33.index("left_hip")], found[:, BLAZEPOSE_33.index("left_hip")])


def test_grafted_arms_keep_the_bodys_lengths_and_the_donors_angles() -> None:
    time_s = np.arange(0, 3, 1 / 15)
    donor = act(Actor("biceps_curl", 1, variation=0.0, facing_deg=70.0), time_s).joints_m
    body = act(Actor("stand", facing_deg=-30.0), time_s).joints_m
    mixed = with_arms_of(body, donor)
    at = BLAZEPOSE_33.index

    def elbow(points: np.ndarray) -> np.ndarray:
        a = points[:, at("left_shoulder")] - points[:, at("left_elbow")]
        b = points[:, at("left_wrist")] - points[:, at("left_elbow")]
        return np.degrees(np.arccos((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))

    assert_allclose(elbow(mixed), elbow(donor), atol=1e-3)
    assert np.ptp(elbow(mixed)) > 60
    assert_allclose(mixed[:, at("left_knee")], body[:, at("left_knee")])
    length = np.linalg.norm(mixed[:, at("left_elbow")] - mixed[:, at("left_shoulder")], axis=1)
    own = np.linalg.norm(body[:, at("left_elbow")] - body[:, at("left_shoulder")], axis=1)
    assert_allclose(length, np.median(own), rtol=1e-6)


def test_labels_leave_the_edges_of_a_set_open() -> None:
    marks = samples_within(np.arange(0, 16, 0.1), np.array([[3.0, 4.0], [5.2, 6.0], [9.0, 10.0]]), 2)
    assert (marks[31:60] == 2).all()  # a short rest belongs to the set
    assert (marks[[25, 75, 120]] == NOBODY_KNOWS).all()  # a window there sees part of a repetition
    assert (marks[[5, 130]] == UNKNOWN_NUMBER).all()


def test_splits_are_fixed_and_even_over_classes() -> None:
    assert split_of("ui_prmd/3") == split_of("ui_prmd/3")
    sides = split_evenly({f"{label}/{n}": label for label in "abc" for n in range(20)})
    for label in "abc":
        own = [side for name, side in sides.items() if name.startswith(label)]
        assert (own.count("test"), own.count("validation")) == (4, 3)


def test_the_views_of_a_motion_share_a_split(tracks: list[Track]) -> None:
    sides = defaultdict(set)
    for track in tracks:
        sides[track.group].add(track.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {CLASSES[int(label)] for track in tracks for label in set(track.label) if label >= 0} == set(CLASSES)


def test_windows_are_drawn_from_certain_labels_and_every_class_counts(tracks: list[Track]) -> None:
    found = places(tracks, "train")
    for number, centre, label in zip(found.track, found.centre, found.label, strict=True):
        assert tracks[number].label[centre] == label and tracks[number].split == "train"
    weights = source_weights(tracks, found, ("repcount",), 0.65)
    assert weights.sum() == pytest.approx(1)
    shares = [weights[found.label == label].sum() for label in np.unique(found.label[found.label != UNKNOWN_NUMBER])]
    assert_allclose(shares, shares[0])


def test_varied_windows_are_boxed_and_spoiled(tracks: list[Track]) -> None:
    found = places(tracks, "train", 40)
    plain = plain_windows(tracks, found)
    varied = varied_windows(stock_of(tracks, "tcn"), found, np.random.default_rng(3))
    assert varied.shape == plain.shape == (len(found.track), WINDOW, 33, 3)
    core = varied[:, :, CORE_INDEX, :2]
    seen = seen_frames(varied)
    assert np.nanmin(core[seen]) >= 0 and np.nanmax(core[seen]) <= 1
    assert np.isnan(core).mean() > np.isnan(plain[:, :, CORE_INDEX, :2]).mean()
    assert (seen.sum(axis=1) > 0).all()
    small = varied_windows(stock_of(tracks, "motion"), found, np.random.default_rng(3))
    assert small.shape == (len(found.track), WINDOW, 13, 2)
    assert np.nanmin(small) >= 0 and np.nanmax(small) <= 1


def test_a_stock_has_the_tracks_and_their_mirror_image(tracks: list[Track]) -> None:
    stock = stock_of(tracks, "motion")
    number = len(tracks) // 2
    own = stock.points[stock.start[number] : stock.end[number]]
    assert_allclose(own, boxed(tracks[number].points)[:, CORE_INDEX, :2])
    whole = mirrored(boxed(tracks[number].points))[:, CORE_INDEX, :2]
    assert_allclose(own[:, stock.mirror] * (-1, 1) + (1, 0), whole, atol=1e-6)


def test_a_track_is_a_person_again(tracks: list[Track]) -> None:
    """What was put on the clock comes back as poses with the same boxed landmarks, at the same moments."""
    clock = on_clock(sequence_of(tracks[0]))
    assert clock.first == 0
    assert_allclose(boxed(clock.points), boxed(tracks[0].points), atol=1e-4)
    lost = replace(tracks[0], source="repcount")
    assert_allclose(boxed(on_clock(sequence_of(lost)).points), boxed(tracks[0].points), atol=1e-4)


def test_a_lateral_raise_is_no_front_raise() -> None:
    rng = np.random.default_rng(0)
    donors = list(recognition_sources.actor(rng, 1, 1))
    (raised,) = recognition_sources.lateral_raises(donors, rng)
    (donor,) = [one for one in donors if one.name.startswith("front_raise")]
    at = BLAZEPOSE_33.index
    hands = raised.points_m[:, at("left_wrist")] - raised.points_m[:, at("right_wrist")]
    assert np.linalg.norm(hands, axis=1).max() > 1.2 > np.linalg.norm(
        donor.points_m[:, at("left_wrist")] - donor.points_m[:, at("right_wrist")], axis=1
    ).max()  # fmt: skip
    assert set(raised.label) <= {UNKNOWN_NUMBER, NOBODY_KNOWS} and raised.group == donor.group
    reach = np.linalg.norm(raised.points_m[:, at("left_wrist")] - raised.points_m[:, at("left_shoulder")], axis=1)
    own = np.linalg.norm(donor.points_m[:, at("left_wrist")] - donor.points_m[:, at("left_shoulder")], axis=1)
    assert_allclose(reach, own, rtol=1e-6)


def test_frames_of_lunges_and_curls_become_motions() -> None:
    """Two files of single frames, without arms or legs: played to and fro, with the missing limbs put in."""
    import fsspec

    def write(file: str, joints: list[str], labels: str, place: Callable[[str, int], tuple[float, float]]) -> None:
        head = ",".join(["label", *(f"{joint}_{axis}" for joint in joints for axis in "xyzv")])
        rows = [
            ",".join([label, *(f"{value:.4f}" for joint in joints for value in (*place(joint, n), 0.0, 1.0))])
            for n, label in enumerate(labels)
        ]
        with fsspec.open(f"memory://gym/exercise_correction/{file}.csv.gz", "wb") as target:
            target.write(gzip.compress("\n".join([head, *rows]).encode()))

    heights = {"nose": 0.1, "shoulder": 0.2, "elbow": 0.35, "hip": 0.5, "knee": 0.7, "ankle": 0.9, "heel": 0.92,
               "foot_index": 0.93, "wrist": 0.5}  # fmt: skip

    def standing(joint: str, down: float, curled: float) -> tuple[float, float]:
        side, _, name = joint.partition("_") if "_" in joint else ("", "", joint)
        x = 0.5 + {"left": 0.02, "right": -0.02}.get(side, 0.0) + (0.1 if name == "foot_index" else 0.0)
        if name == "wrist":
            return x + 0.15 * np.sin(curled), 0.35 + 0.15 * np.cos(curled)
        return x, heights[name] + (down if heights[name] < 0.6 else 0.0)

    sides = [f"{side}_{name}" for name in heights for side in ("left", "right") if name != "nose"]
    legs = ["nose", *(joint for joint in sides if not joint.endswith(("elbow", "wrist")))]
    arms = ["nose", *(joint for joint in sides if joint.endswith(("shoulder", "elbow", "wrist", "hip")))]
    write("lunge_model.stage.test", legs, "I" * 8 + "D" * 8, lambda j, n: standing(j, 0.15 * (n >= 8), 0.0))
    write("bicep_model.test", arms, "C" * 40, lambda j, n: standing(j, 0.0, 2.4 * np.sin(np.pi * n / 39)))
    found = list(recognition_frames.gym("memory://gym", np.random.default_rng(0), takes=4))
    assert {(CLASSES[int(track.label[0])], track.split) for track in found} == {
        ("biceps_curl", "train"), ("lunge", "train"),
    }  # fmt: skip
    for track in found:
        core = track.points[:, CORE_INDEX, :2]
        curl = track.label[0] == CLASSES.index("biceps_curl")
        assert len(track.points) > 100 and np.isfinite(core[:, 7:]).all()  # hips, knees and ankles
        assert (np.ptp(core[:, 5, 1]) if curl else np.ptp(core[:, 7, 1])) > 0.1  # wrists, or hips, travel


def test_outside_its_repetitions_a_film_of_an_exercise_is_left_out() -> None:
    import fsspec

    with fsspec.open("memory://rest/repcount/repcount_test152.npz", "wb") as file:
        np.savez(
            file, lm_u16=np.random.default_rng(0).integers(1, 500, (600, 33, 3), dtype=np.uint16),
            scale=np.float32(0.002), offset=np.array([0, 600]), label=np.array(["squat"]), name=np.array(["a"]),
            rep_video=np.array([0]), rep_start_end=np.array([[0, 59]]),
        )  # fmt: skip
    (track,) = recognition_sources.repcount("memory://rest")
    assert set(track.label) == {CLASSES.index("squat"), NOBODY_KNOWS}


@pytest.mark.parametrize("network", list(NETWORKS))
@pytest.mark.usefixtures("cache")
def test_a_training_goes_from_configuration_to_metrics(network: str, tmp_path: Path) -> None:
    config = replace(SMALL, network=network, epochs=5, windows_an_epoch=128)
    folder = framework.train(STAGE, config, tmp_path / network)
    rows = (folder / "history.csv").read_text().splitlines()
    assert len(rows) == 6
    assert float(rows[5].split(",")[1]) < float(rows[1].split(",")[1])  # the loss falls
    recognizer = Recognizer.load(network, folder)
    assert 0.1 < recognizer.calibration.temperature < 8
    metrics = framework.evaluate(STAGE, config, folder)
    assert metrics["windows"]["actor"]["windows"] > 20
    exports = metrics["exports"]
    assert abs(exports["onnx"]["loss"]) < 0.01
    assert exports["int8"]["bytes"] < exports["onnx"]["bytes"]
    assert (folder / "confusion-actor.png").stat().st_size > 5000
    written = framework.deploy(STAGE, config, folder, "small", tmp_path / "checkpoints")
    assert {path.name for path in written} >= {f"recognition-{network}.safetensors", f"recognition-{network}.json"}


@pytest.mark.usefixtures("cache")
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    whole = framework.train(STAGE, SMALL, tmp_path / "whole")

    class Killed(Exception):
        pass

    def stop(text: str, _share: float) -> None:
        if text.startswith("epoch 2"):
            raise Killed

    with pytest.raises(Killed):
        framework.train(STAGE, SMALL, tmp_path / "parts", progress=stop)
    parts = framework.train(STAGE, SMALL, tmp_path / "parts")
    first, second = (load_file(folder / "recognition-motion.safetensors") for folder in (whole, parts))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.usefixtures("cache")
def test_data_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        load_tracks(choice(RecognitionConfig(data="/nowhere", sources=("repcount",))), lambda *_: None)
    with pytest.raises(TrainingError, match="no source films"):
        load_tracks(choice(RecognitionConfig(sources=("films",))), lambda *_: None)
    with pytest.raises(ValueError, match="network must be one of"):
        RecognitionConfig(network="lstm")


@pytest.mark.usefixtures("cache")
def test_corrected_labels_are_read_from_any_place_that_fsspec_knows() -> None:
    import fsspec

    squats = filmed(Actor("squat", 2, seed=4))
    with fsspec.open("memory://labels/one.json", "wb") as file:
        file.write(labels_file(squats, [LabelledSpan(1.0, 3.0, "lunge")], "mine"))
    config = RecognitionConfig(sources=(), corrected=("memory://labels/*.json",))
    (track,) = load_tracks(choice(config), lambda *_: None)
    assert track.source == "corrected" and (track.label == CLASSES.index("lunge")).sum() == 31
    with pytest.raises(TrainingError, match="no corrected labels"):
        load_tracks(choice(RecognitionConfig(sources=(), corrected=("memory://nothing/*.json",))), lambda *_: None)


def test_data_sets_are_read_from_any_place_that_fsspec_knows() -> None:
    import fsspec

    with fsspec.open("memory://lab/repcount/repcount_test152.npz", "wb") as file:
        np.savez(
            file, lm_u16=np.random.default_rng(0).integers(1, 500, (120, 33, 3), dtype=np.uint16),
            scale=np.float32(0.002), offset=np.array([0, 60, 120]), label=np.array(["squat", "pommelhorse"]),
            name=np.array(["a", "b"]),
            rep_video=np.array([0]), rep_start_end=np.array([[0, 59]]),
        )  # fmt: skip
    first, second = recognition_sources.repcount("memory://lab")
    assert set(first.label) == {CLASSES.index("squat")} and set(second.label) == {UNKNOWN_NUMBER}
    assert first.points.shape == (30, 33, 3)


def test_repcount_has_every_class_on_every_side() -> None:
    root = settings.data_dir() / "data"
    if not (root / recognition_sources.REPCOUNT).is_file():
        pytest.skip("the private data set RepCount is not here")
    found = list(recognition_sources.repcount(str(root)))
    assert len(found) == 152
    for side in ("train", "validation", "test"):
        labels = {CLASSES[int(one)] for track in found if track.split == side for one in set(track.label) if one >= 0}
        assert labels >= {
            "squat",
            "push_up",
            "pull_up",
            "sit_up",
            "jumping_jack",
            "front_raise",
            "bench_press",
            UNKNOWN,
        }


def test_every_exercise_has_more_than_one_source() -> None:
    named: dict[str, set[str]] = {name: {"actor"} for name in EXERCISES}
    tables = {
        "repcount": recognition_sources.REPCOUNT_CLASSES.values(),
        "countix": recognition_frames.COUNTIX_CLASSES.values(),
        "gym": ("biceps_curl", "lunge"),
        "ui_prmd": recognition_sources.UI_PRMD_CLASSES.values(),
        "irds": recognition_sources.IRDS_CLASSES.values(),
        "grafted": recognition_sources.ARM_EXERCISES,
    }
    for source, names in tables.items():
        for name in names:
            named.setdefault(name, set()).add(source)
    assert all(len(sources) >= 2 for name, sources in named.items() if name in EXERCISES)


def test_rows_of_labels_are_checked_in_words() -> None:
    good = [{"start_s": 4.0, "end_s": 6.0, "exercise": "squat"}, {"start_s": 1.0, "end_s": 3.0, "exercise": "lunge"}]
    assert [span.start_s for span in checked_spans(good, 0.0, 10.0)] == [1.0, 4.0]
    for row, words in (
        ({"start_s": 2.0, "end_s": None, "exercise": "squat"}, "not complete"),
        ({"start_s": 2.0, "end_s": 5.0, "exercise": "swim"}, "no exercise 'swim'"),
        ({"start_s": 5.0, "end_s": 4.0, "exercise": "squat"}, "no part of this clip"),
        ({"start_s": 2.0, "end_s": 5.0, "exercise": "squat"}, "overlap"),
    ):
        with pytest.raises(RecognitionError, match=words):
            checked_spans([*good, row], 0.0, 10.0)
    with pytest.raises(RecognitionError, match="no file of recognition labels"):
        read_labels(b'{"kind": "something else"}')


@pytest.mark.parametrize("name", [*NEAR_MISSES, "burpee"])
def test_near_misses_are_movements_of_a_body_that_repeat(name: str) -> None:
    rng = np.random.default_rng(5)
    points = burpee(rng) if name == "burpee" else performed(name, rng)
    at = BLAZEPOSE_33.index
    assert np.isfinite(points).all() and 60 < len(points) < 800
    if name != "burpee":  # whose joints go straight from posture to posture
        thigh = np.linalg.norm(points[:, at("left_hip")] - points[:, at("left_knee")], axis=1)
        assert np.ptp(thigh) < 0.01 * thigh.mean()
    step = np.linalg.norm(np.diff(points, axis=0), axis=2).max()
    assert 1e-4 < step < 1.0  # metres in a fifteenth of a second: no jumps


def test_a_burpee_goes_from_standing_to_lying_and_a_raise_to_the_side() -> None:
    at = BLAZEPOSE_33.index
    points = burpee(np.random.default_rng(2))
    trunk = points[:, at("left_shoulder")] - points[:, at("left_hip")]
    lean = np.degrees(np.arccos(trunk[:, 1] / np.linalg.norm(trunk, axis=1)))
    assert lean.min() < 15 and lean.max() > 70
    raised = performed("lateral_raise", np.random.default_rng(2))
    aside = (raised[:, at("left_wrist")] - raised[:, at("left_shoulder")])[:, [0, 2]]
    assert aside[:, 0].max() > 2 * np.abs(aside[:, 1]).max()
    found = list(near_misses(np.random.default_rng(0), 1))
    assert len(found) == len(NEAR_MISSES) + 3
    assert all((body.label == UNKNOWN_NUMBER).all() and body.source == "near_miss" for body in found)


def test_frames_of_both_ends_become_repetitions_of_people_who_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setattr(recognition_frames, "_ALIKE", 1)

    rng = np.random.default_rng(0)
    left, right = rng.random((33, 3)), rng.random((33, 3))  # two people's postures at the top
    rows = [["id", "pose"]]
    for number, pose in enumerate((left, right)):
        for end, shift in (("up", 0.0), ("down", 0.2)):
            rows.append([str(number), f"squats_{end}", *(f"{value:.4f}" for value in (pose + (0, shift, 0)).ravel())])
    content = "\n".join(",".join(row) for row in rows)
    for file in (recognition_frames.KAGGLE, recognition_frames.MLKIT):
        body = content if file == recognition_frames.KAGGLE else content.split("\n", 1)[1]
        with fsspec.open(f"memory://stages/{file}", "wb") as out:
            out.write(gzip.compress(body.encode()))
    found = list(recognition_frames.stages("memory://stages", np.random.default_rng(0), takes=4))
    assert len(found) == 8 and {track.split for track in found} == {"train"}
    assert all((track.label == CLASSES.index("squat")).all() for track in found)
    for track in found:
        assert np.ptp(track.points[:, 0, 1]) > 0.1
        assert np.ptp(track.points[:, 0, 0]) < 1e-4  # the same person at both ends


def test_gestures_of_msr_are_unknown_and_turned_to_the_camera() -> None:
    import fsspec

    raw = np.zeros((30, 20, 6), np.int16)
    raw[:, :, 1] = 1000
    raw[:, [0, 4, 15], 0] = -200  # left of the body, in the sensor's mirrored picture
    raw[:, :, 2] = 2000
    raw[:, 19, 1] = 1700
    with fsspec.open("memory://msr/kinect_sets/msraction3d_20.npz", "wb") as file:
        np.savez(file, data_i16=raw, scale=np.full(6, 0.001), offset=np.array([0, 20, 30]),
                 name=np.array(["a01_s01_e01", "a01_s01_e02"]))  # fmt: skip
    (body,) = recognition_sources.msr_actions("memory://msr")
    assert (body.source, body.group) == ("msr", "msr/s01") and (body.label == UNKNOWN_NUMBER).all()
    assert body.points_m.shape == (30, 33, 3)
    assert (body.points_m[:, BLAZEPOSE_33.index("left_shoulder"), 0] > 0.1).all()
