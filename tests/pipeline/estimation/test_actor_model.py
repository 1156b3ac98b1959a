"""The whole RTM path on trained weights: our own RTMPose-t on a rendered person whom it never saw."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.estimation.base import Estimator, Image, Region
from pipeline.estimation.export import export_onnx
from pipeline.estimation.onnx_models import next_region
from pipeline.estimation.registry import (
    create_estimator,
    create_keypoint_model,
    default_pair,
    entry,
    is_installed,
)
from pipeline.estimation.topdown import WORKING_POINTS
from pipeline.poses import PoseSequence
from pipeline.settings import data_dir
from pipeline.skeletons import COCO_17
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth
from pipeline.training.framework import read_config
from pipeline.training.rtmpose_actor import FIRST_SEED, STAGE

NAME = "rtmpose-t-actor"
DETECTOR = data_dir() / "models/rtmdet_nano_person_end2end.onnx"
SPEC = ActorSpec.one("squat", seed=500_003, view="oblique", repetitions=1, fps=10, size=(480, 480))
PARAMETERS = WORKING_POINTS["balanced"]
LOWEST_PCK = 0.9  # PCK@0.2 of the torso on this clip; measured: see the model card


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A models folder with the exported ONNX file, and the private detector where it is here."""
    folder = tmp_path_factory.mktemp("models")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("KINOSCOPE_MODELS", str(folder))
        if DETECTOR.exists():
            (folder / "rtmdet-nano.onnx").symlink_to(DETECTOR)
        report = export_onnx(NAME)
        assert report.largest_difference < 1e-4 * report.largest_output
        yield folder
    torch.set_num_threads(threads)


@cache
def clip() -> tuple[list[tuple[Image, float]], PoseSequence]:
    """Frames and true COCO key points of a person of another seed than all those trained on."""
    return list(clip_frames(SPEC)), clip_truth(SPEC).recording.people[0].to(COCO_17)


def pck(found: list[np.ndarray], truth: PoseSequence) -> float:
    """PCK@0.2 of the torso; a frame without a person counts as all wrong."""
    shoulders, hips = truth.xy_px[:, [5, 6]].mean(axis=1), truth.xy_px[:, [11, 12]].mean(axis=1)
    torso_px = np.linalg.norm(shoulders - hips, axis=1)
    distance = np.linalg.norm(np.array(found) - truth.xy_px, axis=2)
    distance[np.isnan(distance)] = np.inf
    right = distance <= 0.2 * torso_px[:, None]
    return float(right[truth.score > 0].mean())


def followed(estimator: Estimator, frames: int | None = None) -> list[np.ndarray]:
    """The person of the first frames of the clip, or of all: the surest, should there be more than one."""
    found = []
    for image, time_s in clip()[0][:frames]:
        poses = estimator.update(image, time_s)
        assert len(poses) <= 2
        xy_px = max(poses, key=lambda pose: pose.presence).xy_px if poses else np.full((17, 2), np.nan)
        found.append(np.stack([xy_px[estimator.skeleton.index(joint)] for joint in COCO_17.joints]))
    return found


def test_the_clip_was_never_trained_on() -> None:
    config = read_config(STAGE)[0]
    assert SPEC.seed not in range(FIRST_SEED["train"], FIRST_SEED["train"] + config.train_clips)


def test_it_comes_with_the_program_but_is_never_preselected() -> None:
    model = entry(NAME)
    assert is_installed(model, "mmpose") and is_installed(model, "onnx")
    assert model.checkpoint_path is not None and model.checkpoint_path.stat().st_size < 8 * 2**20
    assert model.checkpoint_path.with_suffix(".md").exists()
    for engine in ("onnx", "mmpose"):
        assert NAME not in default_pair(engine)


def test_it_follows_a_rendered_person_with_blazeposes_detector_in_onnx() -> None:
    found = followed(create_estimator(NAME, "blazepose", PARAMETERS))
    assert pck(found, clip()[1]) >= LOWEST_PCK


@pytest.mark.skipif(not DETECTOR.exists(), reason="the private detector is not here")
def test_it_follows_a_rendered_person_with_rtmdet_in_onnx() -> None:
    estimator = create_estimator(NAME, "rtmdet-nano", PARAMETERS)
    assert (estimator.info.detector, estimator.info.name) == ("rtmdet-nano", NAME)
    found = followed(estimator)
    assert pck(found, clip()[1]) >= LOWEST_PCK


def test_both_engines_find_the_same_key_points() -> None:
    onnx, pytorch = (create_keypoint_model(NAME, engine=engine) for engine in ("onnx", "mmpose"))
    frames, truth = clip()
    errors = []
    for number in range(0, len(frames), 8):
        image = frames[number][0]
        region = true_region(truth, number)
        (a,), (b,) = onnx.keypoints(image, [region]), pytorch.keypoints(image, [region])
        errors.append(np.linalg.norm(a.xy_px - b.xy_px, axis=1))
        assert a.raw_score is not None and b.raw_score is not None
        assert np.allclose(a.raw_score, b.raw_score, rtol=1e-3, atol=1e-4)
    assert (np.concatenate(errors) <= 0.5).mean() >= 0.99


def test_it_follows_a_rendered_person_in_pytorch() -> None:
    found = followed(create_estimator(NAME, "blazepose", PARAMETERS, engine="mmpose"), frames=10)
    assert pck(found, clip()[1].select(slice(10))) >= LOWEST_PCK


def true_region(truth: PoseSequence, number: int) -> Region:
    """The region of the true person in a frame."""
    return next_region(truth.xy_px[number], np.ones(17), Region((0, 0), (1, 1)))
