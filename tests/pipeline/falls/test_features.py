"""Fall features: they know the body, not the picture; missing is missing; every name is explained."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.falls.features import STEP_S, body, describe, features, joint
from pipeline.poses import PoseSequence
from pipeline.skeletons import BLAZEPOSE_33, COCO_17
from tests.pipeline.falls.people_acted import CAMERA, fallen, moved, part, seen, times


@pytest.fixture(scope="module")
def faller() -> PoseSequence:
    return seen(fallen())


def column(one: PoseSequence, name: str) -> np.ndarray:
    table = features(body(one))
    return table.values[:, table.names.index(name)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda one: moved(one, 0.5), id="half size"),
        pytest.param(lambda one: moved(one, 3.0), id="larger"),
        pytest.param(lambda one: moved(one, 1.0, (140.0, -60.0)), id="elsewhere"),
        pytest.param(lambda one: one.mirrored(), id="mirrored"),
    ],
)
def test_the_picture_does_not_matter(faller: PoseSequence, change: object) -> None:
    given, other = features(body(faller)), features(body(change(faller)))  # type: ignore[operator]
    assert given.names == other.names
    np.testing.assert_allclose(other.values, given.values, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("fps", [10.0, 15.0, 60.0])
def test_the_frame_rate_hardly_matters(fps: float) -> None:
    slow, usual = features(body(seen(fallen(), fps=fps, noise_px=0))), features(body(seen(fallen(), noise_px=0)))
    count = min(len(slow.values), len(usual.values))
    for name, tolerance in (("hip_drop_h", 0.03), ("trunk_deg.after", 4.0), ("box_height_h.change", 0.05)):
        number = usual.names.index(name)
        a, b = slow.values[:count, number], usual.values[:count, number]
        both = np.isfinite(a) & np.isfinite(b)
        assert both.sum() >= np.isfinite(b).sum() - 3
        np.testing.assert_allclose(a[both], b[both], atol=tolerance)


def test_known_numbers_of_a_known_fall(faller: PoseSequence) -> None:
    truth = times(fallen())[0]
    middle = round((truth.onset_s + truth.impact_s) / 2 / STEP_S)
    assert column(faller, "trunk_deg.before")[middle] < 10
    assert 60 < column(faller, "trunk_deg.after")[middle] < 150
    assert column(faller, "hip_fall_speed_h_s")[middle] > 0.6
    assert column(faller, "stillness_h_s")[middle] < 0.1
    # from about 0.53 of the body height (Drillis and Contini) to the floor, seen from above and a little aside
    assert 0.3 < column(faller, "hip_drop_h")[middle] < 0.7


def test_standing_is_upright_and_as_tall_as_the_camera_shows() -> None:
    standing = seen([part("stand", end_s=4.0)])
    assert np.nanmax(column(standing, "trunk_deg.max")) < 12
    grid = body(standing)
    depth_m = CAMERA.distance_m
    assert np.median(grid.height_px) == pytest.approx(1.75 * CAMERA.focal_px / depth_m, rel=0.12)


def test_missing_joints_are_missing_and_the_rest_stays(faller: PoseSequence) -> None:
    legs = [BLAZEPOSE_33.index(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle")]
    xy_px = faller.xy_px.copy()
    xy_px[:, legs] = np.nan
    blind = PoseSequence(BLAZEPOSE_33, faller.time_s, xy_px, faller.score, None, faller.image_size)
    assert np.isnan(column(blind, "knee_flexion_deg.drop")).all()
    np.testing.assert_allclose(column(blind, "trunk_deg.after"), column(faller, "trunk_deg.after"), atol=1e-3)
    assert column(blind, "missing.drop")[30] == pytest.approx(4 / 13, abs=1e-6)


def test_unsure_joints_are_missing(faller: PoseSequence) -> None:
    score = faller.score.copy()
    score[:, BLAZEPOSE_33.index("left_knee")] = 0.02
    unsure = PoseSequence(BLAZEPOSE_33, faller.time_s, faller.xy_px, score, None, faller.image_size)
    assert np.isnan(joint(body(unsure).xy_px, "left_knee")).all()


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_few_frames_and_nobody_are_ordinary(frames: int) -> None:
    nobody = features(body(PoseSequence.empty(COCO_17, time_s=np.arange(frames) / 30)))
    assert np.isnan(nobody.values[:, nobody.names.index("hip_drop_h")]).all()
    assert nobody.values.shape[1] == len(nobody.names)


def test_every_feature_has_a_unit_and_words() -> None:
    names = features(body(PoseSequence.empty())).names
    assert len(set(names)) == len(names)
    texts = [describe(name) for name in names]
    assert all(len(text) > 10 for text in texts)
    units = ("(h)", "(deg)", "(h/s)", "(deg/s)", "share", "flat", "confidence", "square", "width over")
    assert all(any(unit in text for unit in units) for text in texts), [
        t for t in texts if not any(u in t for u in units)
    ]
    with pytest.raises(KeyError):
        describe("head_x_colour_h")
