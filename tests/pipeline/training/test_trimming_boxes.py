"""The trimmer's variant on landmarks in their own box: what it is shown, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import settings
from pipeline.poses import PoseSequence
from pipeline.scoring.models import read_trimmer
from pipeline.skeletons import BLAZEPOSE_33, KINECT_13
from pipeline.training import framework, trimming, trimming_boxes
from pipeline.training.motion_data import MotionDataError
from pipeline.training.trimming_boxes import BOX_PX, Video, boxed


def video(name: str, seconds: float = 12.0, still_s: float = 4.0) -> Video:
    """Landmarks that stand, then go up and down once a second, in boxes as RepCount has them."""
    rng = np.random.default_rng(len(name))
    time_s = np.arange(int(seconds * 30)) / 30
    active = time_s >= still_s
    points = np.tile(np.random.default_rng(0).uniform(0, 1, (33, 2)), (len(time_s), 1, 1))
    wave = np.where(active, 1 - np.cos(2 * np.pi * (time_s - still_s)), 0)
    points[:, 11:23, 1] += 0.4 * wave[:, None]
    points += 0.003 * rng.normal(size=points.shape)
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    xy = (points - low) / (high - low) * BOX_PX
    sequence = PoseSequence(BLAZEPOSE_33, time_s, xy, np.ones(xy.shape[:2]), None, (1000, 1000))
    return Video(name, "squat", sequence, active)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> tuple[Video, ...]:
    made = tuple(video(f"clip-{number}.mp4") for number in range(14))
    monkeypatch.setattr(trimming_boxes, "videos", lambda: made)
    assert {one.side for one in made} == {trimming.TRAIN, trimming.VALIDATION, trimming.TEST}
    return made


def test_boxes_leave_neither_size_nor_place() -> None:
    xy = np.random.default_rng(1).normal(size=(6, 13, 2))
    inside = boxed(xy)
    np.testing.assert_allclose(inside.min(axis=1), -0.5)
    np.testing.assert_allclose(inside.max(axis=1), 0.5)
    np.testing.assert_allclose(boxed(xy * (3, 7) + (100, -20)), inside)
    assert np.isfinite(boxed(np.zeros((1, 13, 2)))).all()


def test_frames_without_a_pose_are_bridged_and_a_video_without_any_is_refused() -> None:
    whole = video("a")
    holes = whole.sequence.xy_px.copy()
    holes[40:44] = np.nan
    bridged = trimming_boxes.on_grid(_with(whole, holes))
    assert np.isfinite(bridged.xyz).all()
    assert np.abs(bridged.xyz - trimming_boxes.on_grid(whole).xyz).max() < 0.2
    assert bridged.active.mean() == pytest.approx(whole.active.mean(), abs=0.01)
    with pytest.raises(MotionDataError, match="no pose"):
        trimming_boxes.on_grid(_with(whole, np.full_like(holes, np.nan)))


def _with(one: Video, xy: np.ndarray) -> Video:
    score = np.where(np.isfinite(xy[..., 0]), 1.0, np.nan)
    sequence = PoseSequence(BLAZEPOSE_33, one.sequence.time_s, xy, score, None, (1000, 1000))
    return Video(one.name, one.label, sequence, one.active)


def test_a_camera_in_front_sees_left_on_the_right_and_up_above() -> None:
    class Straight:
        def uniform(self, low: float, high: float) -> float:
            return 0.0 if low < 0 else high

    xyz = np.random.default_rng(2).normal(0, 0.05, (1, 13, 3))
    xyz[0, KINECT_13.index("left_hand")] = (1, 0, 0)
    xyz[0, KINECT_13.index("head")] = (0, 1, 0)
    clip = trimming.Clip(xyz, np.ones(1, dtype=bool), np.zeros(1, dtype=bool), "")
    (seen,) = trimming_boxes.projected(clip, Straight()).xyz  # type: ignore[arg-type]
    assert seen[KINECT_13.index("left_hand"), 0] == pytest.approx(0.5)
    assert seen[KINECT_13.index("head"), 1] == pytest.approx(-0.5)


def test_stretching_keeps_what_is_active() -> None:
    clip = trimming_boxes.on_grid(video("b"))
    for seed in range(4):
        other = trimming_boxes.stretched(clip, np.random.default_rng(seed))
        assert other.active.mean() == pytest.approx(clip.active.mean(), abs=0.02)


def test_the_variant_is_trained_and_measured_beside_what_is_free(
    few: tuple[Video, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "material", lambda _side: trimming.Material({}, [], []))
    config = trimming.TrimmingConfig(
        boxes=True, films=1.0, clips=8, steps=90, batch_size=4, seconds=8.0, width=16, check_every=45
    )
    framework.train(trimming.STAGE, config, tmp_path)
    metrics = framework.evaluate(trimming.STAGE, config, tmp_path)
    assert read_trimmer(tmp_path).network.look[0].in_features == 13 * 4
    unseen = _with(few[0], np.full_like(few[0].sequence.xy_px, np.nan))
    assert not trimming_boxes.marked(read_trimmer(tmp_path), unseen).any()
    tested = [one for one in few if one.side == trimming.TEST]
    assert metrics["videos"] == len(tested)
    share = np.concatenate([one.active for one in tested]).mean()
    table = metrics["frame_f1"]
    assert table["every_frame"]["value"] == pytest.approx(2 * share / (1 + share))
    assert metrics["primary"]["value"] > table["every_frame"]["value"]
    assert metrics["primary"]["low"] <= metrics["primary"]["value"] <= metrics["primary"]["high"]
    gain = metrics["primary"]["value"] - table["repetition_counter"]["value"]
    assert table["network_minus_repetition_counter"]["value"] == pytest.approx(gain)
    kept = framework.deploy(trimming.STAGE, config, tmp_path, "trimming_repcount", tmp_path / "checkpoints")
    assert [path.name for path in kept] == ["trimming_repcount.evaluation.json"]


needs_repcount: Callable = pytest.mark.skipif(
    not (settings.data_dir() / "data" / "repcount").is_dir(), reason="RepCount's private landmarks are not here"
)


@needs_repcount
def test_repcount_is_read_as_its_readme_says() -> None:
    found = trimming_boxes.videos()
    assert len(found) == 152
    assert sum(len(one.active) for one in found) == 130_293
    assert 1 - np.concatenate([one.active for one in found]).mean() == pytest.approx(0.22, abs=0.01)
