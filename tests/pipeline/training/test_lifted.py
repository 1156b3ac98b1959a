"""Recorded motion as video shows it, and people's styles exchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.scoring.canonical import canonical
from pipeline.scoring.lift import network
from pipeline.skeletons import KINECT_13
from pipeline.training import lifted
from pipeline.training.motion_data import Motion
from pipeline.training.variation import Styles
from tests.pipeline.scoring.performed import SQUAT, clip, in_space, squats


def squatting(name: str = "a", seconds: float = 4.0) -> Motion:
    """The actor's squats as a recorded motion."""
    space = in_space(clip(repetitions=2))
    assert space.xyz_m is not None
    keep = space.time_s <= seconds
    root = np.tile([0.0, 0.9, 0.0], (int(keep.sum()), 1))
    return Motion("actor", "1", "deep squat", "correct", space.time_s[keep], space.xyz_m[keep], name, root)


def test_video_shows_the_same_motion_with_the_lifts_errors() -> None:
    motion = squatting()
    seen = lifted.lifted(motion, network("temporal"), np.random.default_rng(0))
    assert seen is not None and seen.source == "actor" + lifted.LIFTED and (seen.subject, seen.name) == ("1", "a")
    assert seen.time_s[-1] == pytest.approx(motion.time_s[-1], abs=0.1)
    one = canonical(motion.xyz_m, motion.time_s, SQUAT.counted).xyz
    two = canonical(seen.xyz_m, seen.time_s, SQUAT.counted).xyz
    error = np.linalg.norm(one - two, axis=2)[:, list(SQUAT.counted)].mean()
    assert 0.01 < error < 0.35  # trunk lengths: the same squat, turned to the front, but not exactly


def test_a_motion_without_a_joint_or_too_short_is_left_out() -> None:
    motion = squatting()
    rng = np.random.default_rng(0)
    points = motion.xyz_m.copy()
    points[:, KINECT_13.index("left_foot")] = np.nan
    blind = Motion("actor", "1", "deep squat", "", motion.time_s, points, "b", motion.root_m)
    assert lifted.seen_by_a_camera(blind, rng) is None
    assert lifted.seen_by_a_camera(squatting(seconds=0.2), rng) is None


def test_what_was_lifted_is_kept_and_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    motions = [squatting("a"), squatting("short", seconds=0.2), squatting("c")]
    monkeypatch.setattr(lifted, "load", lambda *_: motions)
    monkeypatch.setattr(lifted.settings, "cache_dir", lambda: tmp_path)
    first = lifted.lifted_motions("actor")
    monkeypatch.setattr(lifted, "network", lambda _name: pytest.fail("lifted twice"))
    again = lifted.lifted_motions("actor")
    assert [motion.name for motion in first] == [motion.name for motion in again] == ["a", "c"]
    for one, two in zip(first, again, strict=True):
        assert np.allclose(one.xyz_m, two.xyz_m, atol=1e-5) and np.allclose(one.time_s, two.time_s)
    other = np.abs(first[0].xyz_m - first[1].xyz_m).max()
    assert other > 0.005  # the same squats from two cameras


def test_styles_are_of_people_and_leave_who_has_none_to_exchange() -> None:
    data = squats(people=2, repetitions=2)
    xyz, exercise = torch.from_numpy(data.xyz), torch.from_numpy(data.exercise)
    person = torch.from_numpy(np.unique(data.subject, return_inverse=True)[1])
    usual = torch.from_numpy(~data.incorrect)
    everybody, generator = torch.arange(len(data)), torch.Generator().manual_seed(0)
    alone = Styles(xyz, exercise, torch.zeros_like(person), usual)
    assert torch.allclose(alone.exchanged(xyz, everybody, 1.0, generator), xyz, atol=1e-6)
    styles = Styles(xyz, exercise, person, usual)
    assert torch.equal(styles.exchanged(xyz, everybody, 0.0, generator), xyz)
    moved = styles.exchanged(xyz, everybody, 1.0, generator) - xyz
    between = xyz[usual & (person == 0)].mean(0) - xyz[usual & (person == 1)].mean(0)
    flat, way = moved.flatten(1), between.flatten() / between.norm()
    across = flat - (flat @ way)[:, None] * way
    assert flat.norm(dim=1).max() > 0.1 * between.norm()
    assert across.norm() < 1e-3 * flat.norm()  # only from one person's style to the other's
