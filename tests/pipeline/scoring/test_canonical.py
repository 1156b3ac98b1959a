"""Who moves, how large they are and from where they are seen is taken out; what they do is not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.scoring.canonical import FRAMES, CanonicalError, canonical, facing, mirror, standard_lengths, turned
from pipeline.skeletons import KINECT_13
from pipeline.synthetic.body import Build
from tests.pipeline.scoring.performed import clip, cut


def one(**settings: object) -> tuple[np.ndarray, np.ndarray]:
    return cut(clip(repetitions=1, variation=0.0, **settings))[0]


def test_height_and_camera_do_not_matter_and_depth_does() -> None:
    xyz, time_s = one()
    base = canonical(xyz, time_s).xyz
    assert base.shape == (FRAMES, 13, 3)
    tall = canonical(*one(build=Build(height_m=2.0)))
    assert np.abs(tall.xyz - base).max() < 0.03
    for angle in (0.6, -1.2, 2.5):
        assert np.allclose(canonical(turned(xyz, angle), time_s).xyz, base, atol=1e-9)
    shallow = canonical(*one(depth=0.6)).xyz
    assert np.abs(shallow - base).max() > 0.2


def test_a_turn_brings_the_left_to_plus_x_and_mirrors_nothing() -> None:
    xyz, _ = one()
    front = facing(turned(xyz, 1.9))
    left, right = KINECT_13.index("left_shoulder"), KINECT_13.index("right_shoulder")
    assert (front[:, left, 0] > front[:, right, 0]).all()
    across, up = front[:, left] - front[:, right], np.array([0.0, 1.0, 0.0])
    knee, hip = KINECT_13.index("left_knee"), KINECT_13.index("left_hip")
    bent = len(front) // 2  # knees bend forwards, and leftward x up is forwards
    assert ((front[bent, knee] - front[bent, hip]) @ np.cross(across[bent], up)) > 0


def test_bones_have_standard_lengths_and_keep_their_directions() -> None:
    rng = np.random.default_rng(0)
    wild = rng.normal(size=(5, 13, 3))
    made = standard_lengths(wild)
    knee, foot = KINECT_13.index("right_knee"), KINECT_13.index("right_foot")
    assert np.allclose(np.linalg.norm(made[:, foot] - made[:, knee], axis=1), 0.76)
    way = wild[:, foot] - wild[:, knee]
    assert np.allclose((made[:, foot] - made[:, knee]) / 0.76, way / np.linalg.norm(way, axis=1, keepdims=True))
    assert np.allclose(standard_lengths(made), made)


def test_a_mirror_image_is_the_same_repetition_with_the_sides_named() -> None:
    xyz, time_s = one(faults={"asymmetric": 1.0})
    plain, seen = canonical(xyz, time_s), canonical(mirror(xyz), time_s)
    assert plain.mirrored != seen.mirrored
    assert np.allclose(plain.xyz, seen.xyz, atol=1e-9)
    swapped = plain if plain.mirrored else seen
    assert swapped.joints[KINECT_13.index("left_knee")] == "right_knee"


def test_frame_rate_does_not_matter_and_gaps_are_bridged() -> None:
    xyz, time_s = one(fps=60.0)
    whole_fours = 4 * ((len(xyz) - 1) // 4) + 1  # both end at the same frame
    xyz, time_s = xyz[:whole_fours], time_s[:whole_fours]
    whole = canonical(xyz, time_s).xyz
    assert np.abs(canonical(xyz[::4], time_s[::4]).xyz - whole).max() < 0.05
    holes = xyz.copy()
    holes[10:14, 3] = np.nan
    assert np.abs(canonical(holes, time_s).xyz - whole).max() < 0.05


def test_what_cannot_be_done_is_said() -> None:
    xyz, time_s = one()
    with pytest.raises(CanonicalError, match="fewer than two frames"):
        canonical(xyz[:1], time_s[:1])
    lost = xyz.copy()
    lost[:, KINECT_13.index("left_foot")] = np.nan
    with pytest.raises(CanonicalError, match="left foot"):
        canonical(lost, time_s)


def test_free_joints_do_not_choose_the_side() -> None:
    xyz, time_s = one(faults={"asymmetric": 1.0})
    legs = tuple(k for k, joint in enumerate(KINECT_13.joints) if "hand" not in joint and "elbow" not in joint)
    waving = xyz.copy()
    waving[:, KINECT_13.index("left_hand"), 1] += np.sin(np.arange(len(xyz)))
    assert canonical(waving, time_s, legs).mirrored == canonical(xyz, time_s, legs).mirrored
