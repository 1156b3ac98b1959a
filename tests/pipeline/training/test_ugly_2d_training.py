"""Spoiled clips keep their truth, and the gate learns from it; the pose model is replaced by one that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.estimation.base import Estimator, Image, PersonPose, Region
from pipeline.poses import ModelInfo
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.actor import clip_truth
from pipeline.training import degraded_clips, detected_pairs, framework, ugly_2d
from pipeline.training.cameras import resampled
from pipeline.training.degraded_clips import FAR, Damage, Judged, Spoiling, actor_clip, actor_spec, random_damage

from .test_lift_training import motion


class Knowing(Estimator):
    """A pose model that answers what ``points`` says for each frame; None is nobody."""

    name = "knowing"
    skeleton = BLAZEPOSE_33

    def __init__(self, points: Callable[[int], np.ndarray | None]) -> None:
        self.points = points
        self.frame = 0

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("knowing")

    def reset(self) -> None:
        self.frame = 0

    def update(self, _image: Image, _time_s: float) -> tuple[PersonPose, ...]:
        xy = self.points(self.frame)
        self.frame += 1
        if xy is None:
            return ()
        return (PersonPose(xy, np.full(33, 0.9), 0.9, Region((0, 0), (1, 1)), xyz_m=np.zeros((33, 3))),)


@pytest.mark.parametrize("seed", range(4))
def test_key_points_move_with_the_spoiled_picture(seed: int) -> None:
    """A bright dot is where the spoiled truth says it is, after shake, a cut side, a smear and low resolution."""
    size = (320, 240)
    damage = Damage({"shake": 0.8, "low_resolution": 0.2}, smear_px=9, cut=(0.2, 0.1, 0.0, 0.15))
    time_s = np.arange(6) / 10
    spoiling = Spoiling(damage, time_s, size, seed)
    dot = np.array([190.0, 120.0])
    moved = spoiling.points(np.tile(dot, (6, 1, 1)))[:, 0]
    assert np.abs(np.diff(moved, axis=0)).max() > 0.5
    for frame in range(6):
        image = np.zeros((240, 320, 3), dtype=np.uint8)
        image[117:124, 187:194] = 255
        seen = spoiling.picture(image, frame)[..., 0].astype(float)
        assert seen.shape == (240 - 24 - 36, 320 - 64)
        rows, columns = np.indices(seen.shape)
        found = np.array([(columns * seen).sum(), (rows * seen).sum()]) / seen.sum()
        np.testing.assert_allclose(found, moved[frame], atol=1.0)


def test_a_pose_model_that_is_right_makes_no_error_and_one_that_is_off_just_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(degraded_clips, "random_damage", lambda _rng: Damage({}))
    truth = clip_truth(actor_spec(3, ("squat",))).recording.people[0]
    right = actor_clip(3, ("squat",), Knowing(lambda frame: truth.xy_px[frame]))
    assert right.error.max() < 1e-5
    assert (right.share == 1).all()
    assert right.crops.max() > 0
    torso = np.median(degraded_clips.torso_px(truth.to(degraded_clips.KINECT_13).xy_px))
    off = actor_clip(3, ("squat",), Knowing(lambda frame: truth.xy_px[frame] + (0.2 * torso, 0)))
    np.testing.assert_allclose(off.error, 0.2, rtol=1e-4)
    assert (off.share == 0).all()
    blind = actor_clip(3, ("squat",), Knowing(lambda _frame: None))
    assert (blind.error == FAR).all()
    assert (blind.seen == 0).all()


def test_damage_goes_from_none_to_severe() -> None:
    made = [random_damage(np.random.default_rng(seed)) for seed in range(200)]
    clean = [d for d in made if not d.strengths and not d.smear_px and not any(d.cut)]
    assert 0.15 < len(clean) / len(made) < 0.4
    assert {name for d in made for name in d.strengths} == {
        "dark", "blur", "noise", "low_resolution", "occluder", "shake",
    }  # fmt: skip
    assert any(d.smear_px for d in made)
    assert any(any(d.cut) for d in made)


def some_windows(count: int = 240, seed: int = 0) -> Judged:
    """Windows whose error is seen in their confidences and in their pictures."""
    rng = np.random.default_rng(seed)
    bad = rng.random(count) < 0.5
    crops = rng.integers(0, 60, (count, 5, 48, 48), dtype=np.uint8) + np.where(bad, 0, 120)[:, None, None, None].astype(
        np.uint8
    )
    poses = rng.normal(0, 0.1, (count, 5, 66)).astype(np.float32)
    poses[..., 2:39:3] = np.where(bad, 0.3, 0.9)[:, None, None]
    error = np.where(bad, 0.3, 0.05).astype(np.float32)
    return Judged(
        crops, poses, error, (1 - bad).astype(np.float32), np.ones(count, dtype=np.float32),
        np.arange(count) // 4, np.full(count, "actor"),
    )  # fmt: skip


def test_the_gate_is_trained_resumed_and_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seeds = {"train": 0, "validation": 1, "test": 2}
    monkeypatch.setattr(ugly_2d, "clips", lambda split, *_more: some_windows(seed=seeds[split]))
    config = ugly_2d.GateConfig(epochs=4, real=False)
    framework.train(ugly_2d.STAGE, config, tmp_path)
    metrics = framework.evaluate(ugly_2d.STAGE, config, tmp_path)
    assert metrics["primary"]["value"] > 0.95
    assert metrics["primary"]["low"] <= metrics["primary"]["value"] <= metrics["primary"]["high"]
    assert metrics["poses_alone"]["value"] > 0.95
    assert (tmp_path / "reliability.png").stat().st_size > 1000
    before = (tmp_path / "history.csv").read_text()
    framework.train(ugly_2d.STAGE, config, tmp_path)  # nothing is left to do
    assert (tmp_path / "history.csv").read_text() == before


def test_mirroring_a_window_twice_changes_nothing() -> None:
    poses = some_windows(8).poses
    once = ugly_2d.mirrored_poses(poses)
    assert np.abs(once - poses).max() > 0.1
    np.testing.assert_allclose(ugly_2d.mirrored_poses(once), poses, atol=1e-6)
    np.testing.assert_allclose(once[..., 0], -poses[..., 0])  # the head stays, on the other side


def test_the_area_under_the_curve_counts_unseen_people_as_refused() -> None:
    windows = some_windows(40)
    good = (windows.error <= 0.1).astype(np.float64)
    assert ugly_2d.auc_of(good, windows) == 1.0
    assert ugly_2d.auc_of(1 - good, windows) == 0.0
    hidden = replace(windows, seen=np.where(windows.error > 0.1, 0.0, 1.0).astype(np.float32))
    assert ugly_2d.auc_of(np.ones(40), hidden) == 1.0
    assert np.isnan(ugly_2d.auc_of(good[good > 0], windows.part(good > 0)))
    told = np.random.default_rng(1).random(40).round(1)  # with ties
    assert ugly_2d.auc_of(told, windows) == pytest.approx(roc_auc_score(windows.error > 0.1, -told))


def test_windows_are_kept_as_they_are(tmp_path: Path) -> None:
    windows = some_windows(12)
    degraded_clips._write(tmp_path / "w.npz", windows)
    again = degraded_clips._read(tmp_path / "w.npz")
    np.testing.assert_array_equal(again.crops, windows.crops)
    assert list(again.source) == list(windows.source)
    assert len(list(degraded_clips.by_clip(again))) == 3


# --- real pairs -----------------------------------------------------------------------------------------------------


def test_pairs_hold_what_was_detected_beside_the_truth(tmp_path: Path) -> None:
    one = motion("squat")
    pair = detected_pairs.render_pair(one, 5, Knowing(lambda frame: np.full((33, 2), float(frame))))
    frames = len(resampled(one))
    assert len(pair.truth) == len(pair.detected) == min(frames, detected_pairs.LONGEST_FRAMES)
    np.testing.assert_allclose(pair.detected.xy_px[3], 3.0)
    detected_pairs._write(tmp_path / "p.npz", [pair, pair])
    again = detected_pairs._read(tmp_path / "p.npz")
    assert len(again) == 2
    assert again[1].movement == "squat"
    np.testing.assert_allclose(again[1].truth.xyz_m, pair.truth.xyz_m, atol=1e-6)  # type: ignore[arg-type]
    assert again[0].truth.image_size == pair.truth.image_size
