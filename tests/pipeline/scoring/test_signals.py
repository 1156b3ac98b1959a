"""The angles and distances that the trees ask for, on a figure whose angles are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.networks.signals import MOMENTS, signals, summary
from pipeline.scoring.exercises import EXERCISES
from pipeline.skeletons import KINECT_13

UPRIGHT = {
    "head": (0, 1.5, 0), "left_shoulder": (0.3, 1, 0), "right_shoulder": (-0.3, 1, 0),
    "left_elbow": (0.3, 0.5, 0), "right_elbow": (-0.3, 0.5, 0), "left_hand": (0.3, 0, 0), "right_hand": (-0.3, 0, 0),
    "left_hip": (0.1, 0, 0), "right_hip": (-0.1, 0, 0), "left_knee": (0.1, -0.75, 0), "right_knee": (-0.1, -0.75, 0),
    "left_foot": (0.1, -1.5, 0), "right_foot": (-0.1, -1.5, 0),
}  # fmt: skip
ALL = torch.ones(1, 13)


def figure(**moved: tuple[float, float, float]) -> Tensor:
    """(1, 48, 13, 3) that keeps still."""
    places = UPRIGHT | moved
    return torch.tensor([places[joint] for joint in KINECT_13.joints]).float().expand(1, 48, 13, 3).clone()


def changed(**moved: tuple[float, float, float]) -> Tensor:
    """(S,) what becomes of the signals when joints move."""
    return (signals(figure(**moved), ALL) - signals(figure(), ALL))[0, 0]


def test_angles_are_those_of_the_figure() -> None:
    still = signals(figure(), ALL)[0, 0]
    assert torch.isfinite(still).all()
    hips = 180 - np.degrees(np.arctan2(0.2, 1))  # the shoulders are wider
    straight = [hips, hips, 180, 180, 180, 180]  # and knees and elbows
    assert sorted(still[still > 90].tolist()) == pytest.approx(straight, abs=0.1)
    bent = changed(left_foot=(0.1, -0.75, -0.75))
    assert bent.min() == pytest.approx(-90, abs=0.1)
    leaning = changed(left_shoulder=(0.3, 0.866, 0.5), right_shoulder=(-0.3, 0.866, 0.5))
    assert leaning[0] == pytest.approx(30, abs=0.1)
    sideways = changed(left_shoulder=(0.8, 0.866, 0), right_shoulder=(0.2, 0.866, 0))
    assert sideways[1] == pytest.approx(30, abs=0.1)


def test_a_knee_that_falls_in_is_seen_beside_its_line_and_in_the_distance() -> None:
    inward = changed(left_knee=(0.0, -0.75, 0))
    straight = torch.isclose(inward, torch.tensor(-0.1), atol=1e-3).sum()
    assert straight >= 3  # its place, beside the line from hip to foot, the distance of the knees


def test_arms_overhead_make_no_jump() -> None:
    up = {"left_elbow": (0.3, 1.5, 0.01), "left_hand": (0.3, 2.0, 0.01)}
    down = {"left_elbow": (0.3, 1.5, -0.01), "left_hand": (0.3, 2.0, -0.01)}
    assert (signals(figure(**up), ALL) - signals(figure(**down), ALL)).abs().max() < 5


@pytest.mark.parametrize("exercise", list(EXERCISES.values()), ids=list(EXERCISES))
def test_free_joints_do_not_matter_and_the_counted_do(exercise) -> None:  # type: ignore[no-untyped-def]
    counted = torch.zeros(1, 13)
    counted[0, list(exercise.counted)] = 1
    xyz = figure() + 0.1 * torch.randn(1, 48, 13, 3, generator=torch.Generator().manual_seed(1))
    before = summary(signals(xyz, counted))
    assert torch.isfinite(before).all()
    for joint in range(13):
        other = xyz.clone()
        other[:, :, joint] += 0.2
        same = torch.equal(summary(signals(other, counted)), before)
        assert same == (joint not in exercise.counted)


def test_the_summary_says_how_far_when_and_from_where() -> None:
    course = torch.from_numpy(np.sin(np.linspace(0, np.pi, 48)).astype(np.float32))[None, :, None] + 2
    found = summary(course)[0]
    assert len(found) == 10 + MOMENTS - 1
    high, low, far, _, _, peak, when_high, when_low, above, below = found[:10].tolist()
    assert (high, low, far) == pytest.approx((3, 2, 1), abs=0.01)
    assert when_high == pytest.approx(0.5, abs=0.02)
    assert when_low in (0.0, 1.0)
    assert above == pytest.approx(1, abs=0.1)
    assert below == pytest.approx(0, abs=0.1)
    assert peak > 0
    assert (found[10:17] > 0).all()  # from the first sixteenth on it rises
