"""The bad-3D gate: a squat passes as a squat, well or badly done; anything else is stopped, with joint and moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.scoring.bad_3d import Likeness, gate, judge, likeness, most_like
from pipeline.scoring.canonical import facing
from pipeline.scoring.exercises import EXERCISES
from pipeline.scoring.models import ModelMissingError, read_gate, write
from pipeline.skeletons import KINECT_13
from tests.pipeline.scoring.performed import SQUAT, clip, cut


def squat(**settings: object) -> tuple[np.ndarray, np.ndarray]:
    return cut(clip(repetitions=1, **settings))[0]


def test_squats_pass_well_or_badly_done_and_are_recognised() -> None:
    for faults in ({}, {"knees_in": 0.8}, {"forward_lean": 0.8}):
        xyz, time_s = squat(faults=faults)
        assert likeness(gate(), xyz, time_s, SQUAT).plausibility >= gate().threshold
        assert SQUAT.name in [other.exercise for other in most_like(gate(), xyz, time_s)]


def test_a_gate_of_another_version_is_told_and_not_read(tmp_path: Path) -> None:
    write("bad_3d", tmp_path, gate().network, {"threshold": 0.5})  # before the balance was kept in it
    with pytest.raises(ModelMissingError, match="another version"):
        read_gate(tmp_path)


def test_only_the_exercises_that_are_asked_for_are_compared() -> None:
    xyz, time_s = squat()
    among = ("leg_raise", "deep_squat", "hurdle_step")
    some, every = most_like(gate(), xyz, time_s, among), most_like(gate(), xyz, time_s)
    assert {one.exercise for one in some} == set(among)
    assert some[0].exercise == "deep_squat"
    same = next(one for one in every if one.exercise == "deep_squat")
    assert some[0].plausibility == pytest.approx(same.plausibility)
    assert all(one.plausibility < 0.5 * some[0].plausibility for one in some[1:])


def test_other_motion_is_stopped_whatever_it_is_taken_for() -> None:
    for motion in ("jumping_jack", "push_up", "sit_up"):
        xyz, time_s = cut(clip(motion, repetitions=1))[0]
        best = most_like(gate(), xyz, time_s)
        verdict = judge(gate(), list(best[:1]), EXERCISES[best[0].exercise], best)
        assert not verdict.ok, (motion, best[0])
        assert "unlike any exercise" in " ".join(verdict.reasons)


def test_the_joint_that_went_wrong_is_named_with_its_moment() -> None:
    xyz, time_s = squat()
    wrong = facing(xyz).copy()
    third = len(wrong) // 3
    for joint in ("left_knee", "left_foot"):
        wrong[-third:, KINECT_13.index(joint)] += np.array([0.9, 0.9, -0.6])
    found = likeness(gate(), wrong, time_s, SQUAT)
    assert found.plausibility < gate().threshold
    assert found.joint in ("left_knee", "left_foot")
    assert found.when == "end" and found.time_s > time_s[-2 * third]


def test_free_joints_do_not_stop_anybody() -> None:
    xyz, time_s = squat()
    waving = xyz.copy()
    for joint in SQUAT.free:
        waving[:, KINECT_13.index(joint)] += np.array([0.2, 0.5, 0.3])
    before, after = (likeness(gate(), motion, time_s, SQUAT).plausibility for motion in (xyz, waving))
    assert after == pytest.approx(before, abs=1e-5)


def test_verdicts_say_what_to_do() -> None:
    good, bad = (Likeness("deep_squat", p, "left_knee", "end", 2.5) for p in (0.9, 0.01))
    other = Likeness("side_lunge", 0.9, "head", "end", 1.0)
    assert judge(gate(), [good, good], SQUAT).ok
    assert "1 of 2 repetitions" in judge(gate(), [good, bad], SQUAT).reasons[0]
    stopped = judge(gate(), [bad], SQUAT, (other,))
    assert not stopped.ok and "left knee at 2.5 s" in stopped.reasons[0] and "side lunge" in stopped.reasons[1]
    assert not judge(gate(), [], SQUAT).ok
