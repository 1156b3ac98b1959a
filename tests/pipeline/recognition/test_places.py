"""Whether the hands or the trunk move: what the frames' own boxes hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.recognition.classes import CLASSES, UNKNOWN
from pipeline.recognition.places import ASIDE, PAIRS, chances_at, opened, trunk_odds
from pipeline.recognition.recognizer import Recognizer, shipped
from pipeline.recognition.windows import Clock, boxed, on_clock, window_centres
from pipeline.synthetic.motions import Actor, act
from pipeline.training.recognition_camera import seen_by_camera, with_arms_turned
from tests.pipeline.recognition.people import filmed


def places(exercise: str, seed: int = 921) -> tuple[Clock, np.ndarray]:
    clock = on_clock(filmed(Actor(exercise, 4, seed=seed, lead_in_s=0.0, lead_out_s=0.0), yaw_deg=50.0))
    return clock, window_centres(clock.first, clock.first + len(clock.points) - 1)[3:-3]


@pytest.mark.parametrize(("trunk", "hands"), PAIRS)
def test_the_trunk_moves_in_one_and_the_hands_in_the_other(trunk: str, hands: str) -> None:
    found = trunk_odds(*places(trunk))
    assert (found >= 1).all() and found.max() > 4  # 1: nearly all of the window is a rest
    clock, centres = places(hands)
    shaken = replace(clock, points=clock.points + np.random.default_rng(0).normal(0, 1.5, clock.points.shape))
    assert (trunk_odds(shaken, centres) < 1 / 4).all()


def test_frames_in_their_own_box_and_people_around_their_own_hips_say_nothing() -> None:
    clock, centres = places("pull_up")
    own = replace(clock, points=(lambda p: (p - p.min(axis=1, keepdims=True)) / np.ptp(p, axis=1, keepdims=True))(
        clock.points))  # fmt: skip
    assert_allclose(trunk_odds(own, centres), 1)
    hips = clock.points[:, [23, 24]].mean(axis=1, keepdims=True)
    assert_allclose(trunk_odds(replace(clock, points=clock.points - hips), centres), 1)
    assert_allclose(trunk_odds(replace(clock, points=np.full_like(clock.points, np.nan)), centres), 1)
    assert len(trunk_odds(clock, centres[:0])) == 0


@pytest.mark.parametrize("yaw_deg", [0.0, 35.0])
def test_arms_to_the_side_are_no_front_raise(yaw_deg: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same arms, turned about the trunk by a right angle; half of the windows at least are settled."""
    rng = np.random.default_rng(1)
    points = act(Actor("front_raise", 4, seed=7, lead_in_s=0.0, lead_out_s=0.0), np.arange(0, 12, 1 / 15)).joints_m
    given = np.full(len(CLASSES), 0.01)
    front, none = CLASSES.index("front_raise"), CLASSES.index(UNKNOWN)
    given[front] = 0.9
    monkeypatch.setattr(Recognizer, "probabilities", lambda _, windows: np.tile(given, (len(windows), 1)))
    for turn_deg in (0.0, 90.0):
        picture = seen_by_camera(with_arms_turned(points, turn_deg), rng, yaw_deg) * 500.0
        clock = Clock(0, picture.astype(np.float64))
        centres = window_centres(0, len(picture) - 1)[3:-3]
        wide, found = opened(clock, centres), chances_at(shipped(), clock, centres)
        if turn_deg:
            assert np.median(wide) > ASIDE and np.median(found[:, front]) < 0.4 < np.median(found[:, none])
        else:
            assert wide.max() < 0.75 * ASIDE and (found[:, front] > 0.8).all()
        assert_allclose(found.sum(axis=1), given.sum())
        assert (opened(replace(clock, points=boxed(clock.points)), centres) == 0).all()


def test_only_the_two_of_a_pair_change_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that cannot tell a press from a pull-up is helped; what it thinks of all the others stays."""
    clock, centres = places("overhead_press")
    given = np.full((len(centres), len(CLASSES)), 0.02)
    trunk, hands = CLASSES.index("pull_up"), CLASSES.index("overhead_press")
    given[:, [trunk, hands]] = 0.5, 0.32
    monkeypatch.setattr(Recognizer, "probabilities", lambda *_: given.copy())
    found = chances_at(shipped(), clock, centres)
    assert (found[:, hands] > 0.7).all() and (found[:, trunk] < 0.12).all()
    assert_allclose(found.sum(axis=1), given.sum(axis=1))
    paired = {CLASSES.index(name) for pair in PAIRS for name in pair}
    others = [number for number in range(len(CLASSES)) if number not in paired]
    assert_allclose(found[:, others], given[:, others])
    lost = replace(clock, points=boxed(clock.points)[:, :, :2])
    assert chances_at(shipped(), lost, centres).shape == given.shape
