"""The moving body: lengths stay, feet stay, nothing jumps, ground truth is where the movement is."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.angles import body_angles_deg
from pipeline.synthetic.body import Build
from pipeline.synthetic.motions import MOTIONS, Actor, Truth, act, pose_sequence
from pipeline.synthetic.timeline import MotionError, Tempo

EXERCISES = [name for name, motion in MOTIONS.items() if motion.repeats]
BONES = {("hip", "knee"): 0.245, ("knee", "ankle"): 0.246, ("shoulder", "elbow"): 0.172, ("elbow", "wrist"): 0.146}


def performed(motion: str, fps: float = 60.0, **settings: object) -> Truth:
    actor = Actor(motion, **settings)  # type: ignore[arg-type]
    return act(actor, np.arange(0, actor.duration_s, 1 / fps))


def joint(truth: Truth, name: str) -> np.ndarray:
    return truth.joints_m[:, BLAZEPOSE_33.index(name)]


@pytest.mark.parametrize("motion", MOTIONS)
def test_bones_keep_their_length_nothing_jumps_and_nothing_sinks(motion: str) -> None:
    truth = performed(motion, fps=480.0, repetitions=2, build=Build(height_m=1.80))
    for (a, b), share in BONES.items():
        for side in ("left", "right"):
            length = np.linalg.norm(joint(truth, f"{side}_{a}") - joint(truth, f"{side}_{b}"), axis=1)
            assert length == pytest.approx(share * 1.80, abs=1e-9)
    speed = np.linalg.norm(np.diff(truth.joints_m, axis=0), axis=2) * 480
    assert speed.max() < 10  # m/s, faster than any of these movements
    assert truth.joints_m[..., 1].min() > 0.0


@pytest.mark.parametrize(
    "motion", ["squat", "front_raise", "biceps_curl", "overhead_press", "sit_down", "pick_up", "bench_press", "sit_up"]
)
def test_feet_stay_planted(motion: str) -> None:
    truth = performed(motion)
    for name in ("left_heel", "right_heel", "left_foot_index", "right_foot_index"):
        assert np.ptp(joint(truth, name), axis=0).max() < 0.004  # metres


def test_a_foot_on_the_floor_does_not_slide_in_a_walk() -> None:
    truth = performed("walk", repetitions=6, variation=0.0)
    toe = joint(truth, "left_foot_index")
    heel = joint(truth, "left_heel")
    down = (toe[:, 1] < 0.022) & (heel[:, 1] < 0.03)
    both = down[1:] & down[:-1]
    assert both.mean() > 0.3
    assert np.abs(np.diff(toe[:, 2]))[both].max() * 60 < 0.25  # m/s, against 1.2 m/s of walking
    assert np.ptp(joint(truth, "left_hip")[:, 2]) == pytest.approx(6 * 0.36 * 1.75, abs=0.1)


def test_push_up_and_bar_keep_the_hands() -> None:
    for motion in ("push_up", "pull_up"):
        truth = performed(motion)
        assert np.ptp(joint(truth, "left_wrist"), axis=0).max() < 0.006


@pytest.mark.parametrize("motion", EXERCISES)
def test_repetitions_are_where_the_movement_is(motion: str) -> None:
    truth = performed(motion, repetitions=3, variation=0.0, lead_in_s=1.0)
    assert len(truth.repetitions) == 3
    assert all(repetition.complete for repetition in truth.repetitions)
    signal = np.linalg.norm(truth.joints_m - truth.joints_m[0], axis=2).sum(axis=1)
    still = signal.max() * 0.02
    for repetition in truth.repetitions:
        assert 0 < repetition.start_s < repetition.turn_s < repetition.end_s < truth.time_s[-1]
        at_turn = signal[np.argmin(np.abs(truth.time_s - repetition.turn_s))]
        assert at_turn > 0.9 * signal.max() * (0.8 if motion == "lunge" else 1)
        for rest in (repetition.start_s, repetition.end_s):
            assert signal[np.argmin(np.abs(truth.time_s - rest))] < still
    assert truth.repetitions[0].start_s == 1.0


def test_a_full_squat_has_level_thighs_and_a_shallow_one_has_not() -> None:
    def deepest(**settings: object) -> dict[str, float]:
        truth = performed("squat", repetitions=1, variation=0.0, **settings)
        angles = body_angles_deg(truth.joints_m, BLAZEPOSE_33)
        frame = int(np.argmin(angles["left_knee_deg"]))
        return {name: float(values[frame]) for name, values in angles.items()}

    full = deepest()
    assert abs(full["left_thigh_deg"]) < 4
    assert full["left_knee_deg"] < 90
    assert full["left_knee_deg"] == pytest.approx(full["right_knee_deg"], abs=0.1)
    assert abs(full["left_knee_inward_deg"]) < 3
    for fault, name, sign in (
        ("knees_in", "left_knee_inward_deg", 1),
        ("knees_in", "right_knee_inward_deg", 1),
        ("shallow", "left_knee_deg", 1),
        ("forward_lean", "trunk_lean_deg", 1),
        ("heels_up", "left_ankle_deg", 1),
        ("asymmetric", "right_knee_deg", 1),
    ):
        grades = [deepest(faults={fault: severity})[name] * sign for severity in (0.0, 0.33, 0.67, 1.0)]
        assert (np.diff(grades) > 0.5).all(), (fault, grades)  # worse with severity, degrees


def test_heels_up_lifts_the_heel_and_not_the_toe() -> None:
    truth = performed("squat", faults={"heels_up": 1.0})
    assert joint(truth, "left_heel")[:, 1].max() > 0.06
    assert np.ptp(joint(truth, "left_foot_index")[:, 1]) < 0.01


def test_a_fall_ends_on_the_floor_at_its_impact() -> None:
    for motion in ("fall_forward", "fall_backward", "fall_sideways"):
        truth = performed(motion, fps=120.0, lead_in_s=1.0)
        assert truth.fall is not None
        hips = (joint(truth, "left_hip") + joint(truth, "right_hip"))[:, 1] / 2
        before = hips[truth.time_s < truth.fall.onset_s]
        after = hips[truth.time_s > truth.fall.impact_s + 0.5]
        assert truth.fall.onset_s == 1.0
        assert np.ptp(before) < 0.01
        assert after.max() < 0.25
        falling = (truth.time_s >= truth.fall.onset_s) & (truth.time_s <= truth.fall.impact_s)
        assert np.diff(hips[falling]).min() * 120 < -1.4  # m/s downwards; lying down on purpose stays slower
    slow = performed("lie_down")
    hips = (joint(slow, "left_hip") + joint(slow, "right_hip"))[:, 1] / 2
    assert slow.fall is None
    assert hips[-1] < 0.2
    assert np.diff(hips).min() * 60 > -1.2


def test_tempo_and_count_are_as_asked() -> None:
    truth = performed("squat", repetitions=2, tempo=Tempo(2.0, 1.0, 1.5, 0.5), variation=0.0)
    first, second = truth.repetitions
    assert first.end_s - first.start_s == pytest.approx(4.5)
    assert first.turn_s - first.start_s == pytest.approx(2.5)
    assert second.start_s - first.end_s == pytest.approx(0.5)


def test_repetitions_vary_by_seed_and_only_by_seed() -> None:
    first, again, other = (performed("squat", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.joints_m, again.joints_m)
    assert first.repetitions != other.repetitions
    lengths = [repetition.end_s - repetition.start_s for repetition in first.repetitions]
    assert len(set(lengths)) == 3
    assert max(lengths) / min(lengths) < 1.35


def test_an_unfinished_repetition_is_marked() -> None:
    truth = performed("squat", unfinished_last=True)
    assert [repetition.complete for repetition in truth.repetitions] == [True, True, False]
    assert truth.repetitions[-1].end_s <= truth.time_s[-1] + 1 / 60 + 1e-9


def test_lunges_alternate() -> None:
    truth = performed("lunge", repetitions=4)
    assert [repetition.side for repetition in truth.repetitions] == ["right", "left", "right", "left"]
    ahead = joint(truth, "left_ankle")[:, 2] - joint(truth, "right_ankle")[:, 2]
    for repetition in truth.repetitions:
        at_turn = ahead[np.argmin(np.abs(truth.time_s - repetition.turn_s))]
        assert (at_turn > 0.5) == (repetition.side == "left")
        assert abs(at_turn) > 0.5


def test_place_and_facing_move_the_person() -> None:
    truth = performed("stand", place_m=(1.0, -0.5), facing_deg=90.0, variation=0.0)
    sequence = pose_sequence(truth, 3)
    assert sequence.person == 3
    assert sequence.root_m is not None
    assert sequence.root_m[0, [0, 2]] == pytest.approx([1.0, -0.5], abs=0.02)
    face = joint(truth, "nose")[0] - joint(truth, "left_ear")[0]
    assert face[0] > 0.05  # looks to the right of a front camera's picture
    assert abs((sequence.xyz_m[:, 23] + sequence.xyz_m[:, 24]).max()) < 1e-9  # hip-centred


def test_no_frames_and_no_repetitions_are_ordinary() -> None:
    assert act(Actor("squat"), np.empty(0)).joints_m.shape == (0, 33, 3)
    assert act(Actor("push_up"), np.empty(0)).joints_m.shape == (0, 33, 3)
    nothing = performed("squat", repetitions=0, variation=0.0)
    assert nothing.repetitions == ()
    assert np.ptp(nothing.joints_m, axis=0).max() < 1e-9
    assert performed("walk", repetitions=0).joints_m.shape[1] == 33


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"motion": "moonwalk"}, "there is no motion 'moonwalk'"),
        ({"faults": {"knees_out": 1.0}}, "there is no fault 'knees_out'"),
        ({"motion": "biceps_curl", "faults": {"knees_in": 1.0}}, "cannot show 'knees_in'"),
        ({"faults": {"knees_in": 2.0}}, "between 0 and 1"),
        ({"depth": 0.0}, "depth"),
        ({"repetitions": -1}, "repetitions"),
    ],
)
def test_impossible_wishes_are_refused_in_words(settings: dict[str, object], words: str) -> None:
    with pytest.raises(MotionError, match=words):
        Actor(**settings)  # type: ignore[arg-type]
