"""Spoiled clips keep their truth, and the gate learns from it; the pose model is replaced by one that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from pipeline.estimation.base import Estimator, Image, PersonPose, Region
from pipeline.poses import ModelInfo
from pipeline.scoring.pose_windows import mirrored, rolled, torso_px
from pipeline.skeletons import BLAZEPOSE_33, KINECT_13
from pipeline.synthetic.actor import clip_truth
from pipeline.training import degraded_clips, detected_pairs, framework, ugly_2d
from pipeline.training.cameras import resampled
from pipeline.training.degraded_clips import (
    FAR,
    Damage,
    Judged,
    Spoiling,
    actor_clips,
    actor_spec,
    random_damage,
    softened,
)  # fmt: skip

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
    (right,) = actor_clips(3, ("squat",), Knowing(lambda frame: truth.xy_px[frame]))
    assert right.error.max() < 1e-5
    assert right.crops.max() > 0
    torso = np.median(torso_px(truth.to(KINECT_13).xy_px))
    (off,) = actor_clips(3, ("squat",), Knowing(lambda frame: truth.xy_px[frame] + (0.2 * torso, 0)))
    np.testing.assert_allclose(off.error, 0.2, rtol=1e-4)
    (blind,) = actor_clips(3, ("squat",), Knowing(lambda _frame: None))
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
    weak = softened(Damage({"dark": 0.8}, 20, (0.4, 0, 0, 0)), 0.25)
    assert (weak.strengths, weak.smear_px, weak.cut) == ({"dark": 0.2}, 5, (0.1, 0, 0, 0))


def test_clips_of_the_training_are_varied_and_spoiled_twice() -> None:
    clips = actor_clips(5, degraded_clips.motions_of("train", 5), Knowing(lambda _frame: None), wide=True)
    assert [len(clip) for clip in clips] == [4, 4]  # two seconds each
    assert clips[0].clip[0] != clips[1].clip[0]
    assert clips[0].group[0] == clips[1].group[0]


def test_the_motions_and_films_of_one_split_are_not_in_another() -> None:
    motions = {split: {m for seed in range(6) for m in degraded_clips.motions_of(split, seed)}
               for split in ("train", "validation", "test")}  # fmt: skip
    assert not motions["train"] & {*degraded_clips.UNSEEN_MOTIONS, *degraded_clips.CHECKED_MOTIONS}
    assert not motions["validation"] & set(degraded_clips.UNSEEN_MOTIONS)
    assert set(degraded_clips.UNSEEN_MOTIONS) <= motions["test"]
    assert {degraded_clips.film_split(number) for number in range(6)} == {"train", "validation", "test"}


def test_joints_that_nobody_is_sure_of_do_not_count() -> None:
    truth = clip_truth(actor_spec(3, ("squat",))).recording.people[0].to(KINECT_13)
    sure = np.ones(truth.score.shape, dtype=bool)
    sure[:, 4] = False
    wrong = replace(truth, xy_px=truth.xy_px + np.where(sure, 0, 500)[..., None])
    windows = degraded_clips.judged(wrong, truth.xy_px, sure, [], 0, 0, "real")
    assert windows.error.max() < 1e-6
    assert np.isnan(windows.off[:, :, 4]).all()
    sure[: len(sure) // 2] = False
    fewer = degraded_clips.judged(wrong, truth.xy_px, sure, [], 0, 0, "real")
    assert 0 < len(fewer.off) < len(windows.off), "where nothing is sure nothing is told"
    assert np.isfinite(fewer.error).all()


def some_windows(count: int = 240, seed: int = 0) -> Judged:
    """Windows whose error is seen in their confidences and in their pictures."""
    rng = np.random.default_rng(seed)
    bad = rng.random(count) < 0.5
    crops = rng.integers(0, 60, (count, 5, 48, 48), dtype=np.uint8) + np.where(bad, 0, 120)[:, None, None, None].astype(
        np.uint8
    )
    xy = np.random.default_rng(0).uniform(50, 250, (13, 2)) + rng.normal(0, 2, (count, 5, 13, 2))
    score = np.broadcast_to(np.where(bad, 0.3, 0.9)[:, None, None], (count, 5, 13))
    off = np.broadcast_to(np.where(bad, 0.4, 0.04)[:, None, None], (count, 5, 13))
    clip = np.arange(count)
    return Judged(
        crops, xy.astype(np.float32), score.astype(np.float32), np.full((count, 2), 300, dtype=np.float32),
        np.full(count, 80, dtype=np.float32), off.astype(np.float32), clip, clip // 4, np.full(count, "actor"),
    )  # fmt: skip


def test_the_gate_is_trained_resumed_and_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seeds = {"train": 0, "validation": 1, "test": 2}
    monkeypatch.setattr(ugly_2d, "clips", lambda split, *_more: some_windows(64, seeds[split]))
    config = ugly_2d.GateConfig(epochs=3, members=2, batch_size=16, width=32, recorded=0, real=False)
    framework.train(ugly_2d.STAGE, config, tmp_path)
    metrics = framework.evaluate(ugly_2d.STAGE, config, tmp_path)
    assert metrics["primary"]["value"] > 0.95
    assert metrics["primary"]["low"] <= metrics["primary"]["value"] <= metrics["primary"]["high"]
    assert metrics["poses_alone"]["value"] > 0.95
    assert (tmp_path / "reliability.png").stat().st_size > 1000
    before = (tmp_path / "history.csv").read_text()
    framework.train(ugly_2d.STAGE, config, tmp_path)  # nothing is left to do
    assert (tmp_path / "history.csv").read_text() == before

    class KilledError(Exception):
        pass

    def kill(text: str, _share: float) -> None:
        if text.startswith("member 2, epoch 3"):
            raise KilledError

    other = tmp_path / "killed"
    with pytest.raises(KilledError):
        framework.train(ugly_2d.STAGE, config, other, progress=kill)
    framework.train(ugly_2d.STAGE, config, other)
    whole, gone_on = load_file(tmp_path / ugly_2d.FILE), load_file(other / ugly_2d.FILE)
    for name, weights in whole.items():
        torch.testing.assert_close(gone_on[name], weights, msg=f"{name} is another after a kill")


def test_mirroring_a_window_twice_changes_nothing_and_is_what_a_mirror_shows() -> None:
    windows = some_windows(8)
    poses = ugly_2d.features(windows)
    assert np.abs(mirrored(poses) - poses).max() > 0.1
    np.testing.assert_allclose(mirrored(mirrored(poses)), poses, atol=1e-6)
    order = list(KINECT_13.mirror_order)
    xy = (windows.xy_px * (-1, 1) + (300, 0))[:, :, order].astype(np.float32)
    seen = replace(windows, xy_px=xy, score=windows.score[:, :, order])
    np.testing.assert_allclose(mirrored(poses), ugly_2d.features(seen), atol=1e-5)


def test_turning_people_turns_pictures_and_key_points_alike() -> None:
    poses = ugly_2d.features(some_windows(4))
    np.testing.assert_allclose(rolled(rolled(poses, np.full(4, 0.7)), np.full(4, -0.7)), poses, atol=1e-6)
    quarter = rolled(poses, np.full(4, np.pi / 2))
    np.testing.assert_allclose(quarter[..., 0], -poses[..., 1], atol=1e-6)  # what was below is to the left
    picture = np.zeros((5, 48, 48), dtype=np.uint8)
    picture[:, 40, 24] = 255
    _, _, columns = np.nonzero(ugly_2d._turned(picture, np.pi / 2) > 100)
    assert columns.max() < 12


def test_truth_is_told_for_levels_and_joints() -> None:
    windows = some_windows(20)
    levels, each = ugly_2d.truths(windows)
    good = windows.error < 0.1
    assert (levels[good] == 1).all()
    assert (levels[~good][:, :-1] == 0).all()
    np.testing.assert_array_equal(each, np.repeat(good[:, None], 13, axis=1))


def test_the_area_under_the_curve_counts_unseen_people_as_refused() -> None:
    windows = some_windows(40)
    good = (windows.error <= 0.1).astype(np.float64)
    assert ugly_2d.auc_of(good, windows) == 1.0
    assert ugly_2d.auc_of(1 - good, windows) == 0.0
    hidden = replace(windows, xy_px=np.where((windows.error > 0.1)[:, None, None, None], np.nan, windows.xy_px))
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
    np.testing.assert_array_equal(again.seen, windows.seen)


def test_recorded_motion_is_judged_without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = clip_truth(actor_spec(3, ("squat",))).recording.people[0]
    exact = truth.to(KINECT_13)
    pair = detected_pairs.Pair(truth, exact, "cmu", "01", "", "", "01_01")
    monkeypatch.setattr(degraded_clips, "pairs", lambda _split, most: [pair] * most)
    windows = degraded_clips.recorded_clips(2)
    assert windows.error.max() < 1e-5
    assert len(np.unique(windows.group)) == 2
    config = ugly_2d.GateConfig(without_pictures=0.0)
    _, _, has = ugly_2d.augmented(windows.crops, ugly_2d.features(windows), config, np.random.default_rng(0))
    assert not has.any()


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
