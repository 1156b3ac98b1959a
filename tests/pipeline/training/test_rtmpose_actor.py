"""Rendered examples, crops, accuracy and a training that is killed and goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.estimation.mmpose_models import load_checkpoint
from pipeline.estimation.onnx_models import Tensor
from pipeline.estimation.registry import weights_sha256
from pipeline.poses import Array
from pipeline.skeletons import COCO_17
from pipeline.training import actor_frames
from pipeline.training.actor_accuracy import accuracy_of, by_clip
from pipeline.training.actor_crops import plain_crop, varied_crop
from pipeline.training.actor_frames import ActorFrames, random_spec
from pipeline.training.framework import TrainingError, Work, read_config
from pipeline.training.rtmpose_actor import FIRST_SEED, STAGE, ActorConfig, evaluate, learning_rate, split, train

SIZE = (192, 256)
TINY = ActorConfig(
    train_clips=3, validation_clips=1, test_clips=1, unseen_clips=1, frames_a_clip=3, epochs=4, batch_size=3,
    warmup_steps=2, bfloat16=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frames")


@pytest.fixture(scope="module")
def frames(folder: Path) -> ActorFrames:
    return split(TINY, "train", folder)


def test_a_clip_follows_from_its_seed_and_is_drawn_once(
    folder: Path, frames: ActorFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert random_spec(5, ("squat", "walk"), 10) == random_spec(5, ("squat", "walk"), 10)
    assert random_spec(5, ("squat", "walk"), 10) != random_spec(6, ("squat", "walk"), 10)

    def never(*_: object) -> None:
        raise AssertionError("it was drawn before")

    monkeypatch.setattr(actor_frames, "_draw", never)
    again = split(TINY, "train", folder)
    assert again.jpeg == frames.jpeg
    assert np.array_equal(again.xy_px, frames.xy_px)


def test_examples_are_people_in_the_picture(frames: ActorFrames) -> None:
    assert len(frames) >= 6
    assert set(frames.clip) <= set(range(3))
    for k in range(len(frames)):
        height, width = frames.image(k).shape[:2]
        left, top, right, bottom = frames.box_px[k]
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        seen = frames.xy_px[k][frames.visible[k]]
        assert ((seen >= (left - 1, top - 1)) & (seen <= (right + 1, bottom + 1))).all()


def test_no_clip_is_in_two_splits_and_unseen_motions_are_never_trained() -> None:
    config, _ = read_config(STAGE)
    counts = (config.train_clips, config.validation_clips, config.test_clips, config.unseen_clips)
    seeds = [set(range(start, start + n)) for start, n in zip(FIRST_SEED.values(), counts, strict=True)]
    assert sum(map(len, seeds)) == len(set.union(*seeds))
    assert not set(config.trained_motions) & set(config.unseen_motions)
    motions = {actor.motion for seed in range(40) for actor in random_spec(seed, config.trained_motions, 5).actors}
    assert motions <= set(config.trained_motions) and len(motions) > 8


def test_a_crop_carries_its_key_points(frames: ActorFrames) -> None:
    crop, matrix = plain_crop(frames, 0, SIZE)
    assert crop.picture.shape == (256, 192, 3)
    assert np.allclose(crop.xy, np.c_[frames.xy_px[0], np.ones(17)] @ matrix.T)
    inside = (crop.xy >= 0).all(axis=1) & (crop.xy <= (191, 255)).all(axis=1)
    assert np.array_equal(crop.visible, frames.visible[0] & inside)


def test_variation_follows_from_the_generator_and_mirrors_left_and_right(frames: ActorFrames) -> None:
    still = replace(TINY, background=0, covered=0, rotated=0, scale=0, shift=0)
    first, second = (varied_crop(frames, 0, SIZE, TINY, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.picture, second.picture) and np.array_equal(first.xy, second.xy)
    plain, _ = plain_crop(frames, 0, SIZE)
    mirrored = varied_crop(frames, 0, SIZE, replace(still, flip=1.0), np.random.default_rng(3))
    left, right = COCO_17.index("left_wrist"), COCO_17.index("right_wrist")
    assert np.allclose(mirrored.xy[left], (191 - plain.xy[right, 0], plain.xy[right, 1]), atol=1e-3)
    assert mirrored.visible[left] == plain.visible[right]


def test_a_crop_of_nobody_has_no_key_points(frames: ActorFrames) -> None:
    empty = replace(TINY, background=1.0)
    crops = [varied_crop(frames, k, SIZE, empty, np.random.default_rng(k)) for k in range(len(frames))]
    assert sum(not crop.visible.any() for crop in crops) >= len(frames) // 2  # where there is room beside people


def test_accuracy_counts_points_within_a_share_of_the_torso(frames: ActorFrames) -> None:
    def respond_with(shift_of_torso: float) -> float:
        position = iter(range(len(frames)))

        def respond(tensor: Tensor) -> tuple[Array, Array]:
            points = []
            for _, k in zip(tensor, position, strict=False):
                xy_px = frames.xy_px[k]
                torso = np.linalg.norm(xy_px[[5, 6]].mean(axis=0) - xy_px[[11, 12]].mean(axis=0))
                longer = (frames.box_px[k, 2:] - frames.box_px[k, :2]).max()
                _, matrix = plain_crop(frames, k, SIZE)
                moved = xy_px + (shift_of_torso * max(torso, 0.2 * longer), 0)
                points.append(np.c_[moved, np.ones(17)] @ matrix.T)
            return np.array(points), np.ones((len(points), 17))

        return accuracy_of(respond, frames, SIZE, batch=1).torso_02.value

    assert respond_with(0.0) == 1.0
    assert respond_with(0.19) == 1.0
    assert respond_with(0.21) == 0.0


def test_the_interval_is_over_clips_not_points() -> None:
    visible = np.ones((40, 17), dtype=bool)
    correct = np.repeat(np.arange(40) % 2 == 0, 17).reshape(40, 17)
    four, forty = (by_clip(correct, visible, np.arange(40) % n) for n in (4, 40))
    assert four.value == forty.value == 0.5
    assert four.high - four.low > forty.high - forty.low > 0.2
    assert by_clip(visible, visible, np.arange(40)) == by_clip(visible, visible, np.arange(40) % 4)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [learning_rate(step, 100, replace(TINY, warmup_steps=10)) for step in range(101)]
    assert rates[0] < rates[5] < rates[9]
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[100] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "says"), [("sed = 3", "sed"), ('unseen_motions = ["swim"]', "swim"), ("a = ", "readable")]
)
def test_a_wrong_configuration_is_explained(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=says):
        read_config(STAGE, path)
    with pytest.raises(TrainingError, match="readable"):
        read_config(STAGE, tmp_path / "missing.toml")


class Killed(Exception):
    """Stands for a killed process."""


def test_a_killed_training_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # which an untrained network makes many of
    config = replace(TINY, batch_size=1, epochs=2)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    try:
        train(config, Work(tmp_path / "whole"), frames_dir=folder)

        def kill(_: str, share: float) -> None:
            if share > 0.6:  # within the second epoch
                raise Killed

        with pytest.raises(Killed):
            train(config, Work(tmp_path / "killed", progress=kill), frames_dir=folder)
        assert Work(tmp_path / "killed").load_state() is not None
        seen: list[float] = []
        train(config, Work(tmp_path / "killed", progress=lambda _, share: seen.append(share)), frames_dir=folder)
        metrics = evaluate(config, Work(tmp_path / "whole"), frames_dir=folder)
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
    first, second = (load_checkpoint(tmp_path / d / "rtmpose-t-actor.pth")["state_dict"] for d in ("whole", "killed"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(value.dtype in (torch.float16, torch.int64) for value in first.values())
    history = (tmp_path / "whole/history.csv").read_text().splitlines()
    assert len(history) == 1 + config.epochs
    assert json.loads((tmp_path / "whole/training.json").read_text())["score"] >= 0
    assert metrics["sha256"] == {p.name: weights_sha256(p) for p in [tmp_path / "whole/rtmpose-t-actor.pth"]}
    assert metrics["primary"]["value"] == metrics["test"]["torso_02"]["value"]
    assert set(metrics["unseen_motions"]["by_motion_torso_02"]) <= set(TINY.unseen_motions)
