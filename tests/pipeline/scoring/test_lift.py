"""The lift against the rendered actor, whose joints in space are known exactly and were never trained on."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from pipeline.networks.lift import ARCHITECTURES, INPUTS, DenseDepth, DenseToKinect
from pipeline.poses import PoseSequence
from pipeline.scoring import lift as lifting
from pipeline.scoring.lift import LiftError, features, lift, stature
from pipeline.skeletons import BLAZEPOSE_33, COCO_17, KINECT_13
from pipeline.synthetic.actor import ActorSpec, clip_truth
from pipeline.synthetic.body import Build

MODELS = ("temporal", "dense")


@lru_cache(maxsize=16)
def acted(motion: str = "squat", view: str = "oblique", fps: float = 30.0, height_m: float = 1.8) -> PoseSequence:
    """Exact 2D of the actor, with the truth in ``xyz_m``."""
    spec = ActorSpec.one(motion, view=view, fps=fps, repetitions=2, seed=4, build=Build(height_m))
    person = clip_truth(spec).recording.people[0]
    return replace(person, score=np.full(person.score.shape, 0.95))


def error_mm(lifted: PoseSequence, truth: PoseSequence) -> float:
    true = truth.to(KINECT_13).xyz_m
    assert true is not None
    assert lifted.xyz_m is not None
    hips = true[:, [KINECT_13.index("left_hip"), KINECT_13.index("right_hip")]].mean(axis=1, keepdims=True)
    return float(1000 * np.nanmean(np.linalg.norm(lifted.xyz_m - (true - hips), axis=2)))


def flat(sequence: PoseSequence) -> PoseSequence:
    return replace(sequence, xyz_m=None, root_m=None)


@pytest.mark.parametrize("view", ["front", "oblique", "side"])
@pytest.mark.parametrize("motion", ["squat", "lunge"])
def test_depth_is_found_where_the_motion_goes_into_it(motion: str, view: str) -> None:
    """A body that no data set holds; the same pose without its depth must be far worse."""
    truth = acted(motion, view)
    lifted = lift(flat(truth), "temporal", height_m=1.8)
    assert lifted.skeleton is KINECT_13
    assert lifted.xyz_m is not None
    assert error_mm(lifted, truth) < 0.75 * error_mm(replace(lifted, xyz_m=lifted.xyz_m * (1, 1, 0)), truth)


@pytest.mark.parametrize("view", ["front", "oblique", "side"])
def test_the_actor_is_lifted_to_where_it_is(view: str) -> None:
    truth = acted("biceps_curl", view)
    assert error_mm(lift(flat(truth), "temporal", height_m=1.8), truth) < 75


@pytest.mark.parametrize("model", MODELS)
def test_hips_are_the_origin_and_left_is_left(model: str) -> None:
    lifted = lift(flat(acted("squat", "front")), model)
    hips = (lifted.xyz_m[:, KINECT_13.index("left_hip")] + lifted.xyz_m[:, KINECT_13.index("right_hip")]) / 2  # type: ignore[index]
    assert np.nanmax(np.abs(hips)) < 1e-6
    left, right = (lifted.xyz_m[:, KINECT_13.index(f"{side}_shoulder"), 0] for side in ("left", "right"))  # type: ignore[index]
    assert (left > right).all()


@pytest.mark.parametrize("model", MODELS)
def test_lengths_scale_with_the_height_that_is_told(model: str) -> None:
    small, tall = (lift(flat(acted()), model, height_m=height) for height in (1.5, 2.0))
    assert small.xyz_m is not None
    assert tall.xyz_m is not None
    np.testing.assert_allclose(tall.xyz_m, small.xyz_m * (2.0 / 1.5), atol=1e-9)
    np.testing.assert_allclose(tall.raw_score, small.raw_score * (2.0 / 1.5), atol=1e-9)  # type: ignore[operator]


@pytest.mark.parametrize("model", MODELS)
def test_the_frame_rate_does_not_matter(model: str) -> None:
    slow, quick = (lift(flat(acted(fps=fps)), model) for fps in (15.0, 60.0))
    shared = np.searchsorted(quick.time_s, slow.time_s - 1e-6)
    assert np.allclose(quick.time_s[shared], slow.time_s)
    off = np.linalg.norm(quick.xyz_m[shared] - slow.xyz_m, axis=2)  # type: ignore[index]
    assert 1000 * np.nanmean(off) < 10


@pytest.mark.parametrize("model", MODELS)
def test_a_mirrored_clip_gives_a_mirrored_body(model: str) -> None:
    sequence = flat(acted("lunge", "oblique"))
    plain, mirrored = lift(sequence, model), lift(sequence.mirrored(), model).mirrored()
    # a mirrored picture's middle may lie a pixel beside the plain one's
    assert 1000 * np.nanmean(np.linalg.norm(plain.xyz_m - mirrored.xyz_m, axis=2)) < 2  # type: ignore[operator]


def test_how_sure_a_pose_model_is_near_one_does_not_matter() -> None:
    """BlazePose says 1.00 where others say 0.9; the same key points must give the same body."""
    sequence = flat(acted("squat", "oblique"))
    sure, modest = (replace(sequence, score=np.full(sequence.score.shape, value)) for value in (1.0, 0.88))
    np.testing.assert_allclose(lift(sure).xyz_m, lift(modest).xyz_m, atol=1e-9)  # type: ignore[arg-type]


def test_size_and_place_in_the_picture_hardly_matter() -> None:
    sequence = flat(acted())
    moved = replace(sequence, xy_px=sequence.xy_px * 2.0, image_size=(1280, 960))
    np.testing.assert_allclose(lift(moved).xyz_m, lift(sequence).xyz_m, atol=0.02)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS)
def test_both_skeletons_of_the_house_are_lifted_alike(model: str) -> None:
    blaze = lift(flat(acted()), model)
    coco = lift(flat(acted()).to(COCO_17), model)
    assert 1000 * np.nanmean(np.linalg.norm(blaze.xyz_m - coco.xyz_m, axis=2)) < 15  # type: ignore[operator]


def test_uncertainty_grows_where_key_points_are_bad() -> None:
    sequence = flat(acted("biceps_curl", "front"))
    rng = np.random.default_rng(0)
    xy, score = sequence.xy_px.copy(), sequence.score.copy()
    wrist = sequence.skeleton.index("left_wrist")
    xy[:, wrist] += rng.normal(0, 40, (len(sequence), 2))
    score[:, wrist] = 0.1
    hand = KINECT_13.index("left_hand")
    calm, wild = lift(sequence), lift(replace(sequence, xy_px=xy, score=score))
    assert wild.raw_score[:, hand].mean() > 1.05 * calm.raw_score[:, hand].mean()  # type: ignore[index]
    assert wild.score[:, hand].mean() < calm.score[:, hand].mean()


@pytest.mark.parametrize("view", ["front", "oblique", "side"])
@pytest.mark.parametrize("moving", ["nothing", "arms"])
def test_a_body_that_keeps_perfectly_still_is_nothing_strange(moving: str, view: str) -> None:
    """As drawn figures do, whose key points are exact."""
    truth = acted("biceps_curl", view)
    arms = [truth.skeleton.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("elbow", "wrist")]
    xy = np.repeat(truth.xy_px[:1], len(truth), axis=0)
    if moving == "arms":
        xy[:, arms] = truth.xy_px[:, arms]
    still, usual = lift(replace(flat(truth), xy_px=xy)), lift(flat(truth))
    assert still.raw_score is not None
    assert usual.raw_score is not None
    assert still.raw_score.max() < 0.2  # metres
    assert still.raw_score.mean() < 1.3 * usual.raw_score.mean()
    others = [k for k in range(len(KINECT_13)) if KINECT_13.joints[k].split("_")[-1] not in ("elbow", "hand")]
    apart = np.linalg.norm((still.xyz_m - usual.xyz_m)[:, others], axis=2)  # type: ignore[operator]
    assert 1000 * apart.mean() < (20 if moving == "arms" else 75)  # a moment alone says less of the depth


@pytest.mark.parametrize("model", MODELS)
def test_nobody_and_nothing_are_ordinary(model: str) -> None:
    assert len(lift(PoseSequence.empty(BLAZEPOSE_33, (640, 480)), model)) == 0
    unseen = lift(PoseSequence.empty(COCO_17, (640, 480), time_s=np.arange(20) / 30), model)
    assert len(unseen) == 20
    assert not unseen.seen.any()
    single = flat(acted()).select(np.array([3]))
    assert not np.isfinite(lift(single, model).xyz_m).any()  # type: ignore[arg-type]


def test_short_gaps_are_bridged_and_long_ones_stay_unknown() -> None:
    sequence = flat(acted())
    xy = sequence.xy_px.copy()
    xy[20:26] = np.nan
    xy[60:90] = np.nan
    lifted = lift(replace(sequence, xy_px=xy))
    known = np.isfinite(lifted.xyz_m).all(axis=(1, 2))  # type: ignore[arg-type]
    assert known[20:26].all()
    assert not known[62:88].any()
    assert known[:58].all()
    assert known[92:].all()


def test_a_joint_that_was_never_seen_leaves_nothing_to_lift() -> None:
    sequence = flat(acted())
    xy = sequence.xy_px.copy()
    xy[:, [sequence.skeleton.index(f"left_{joint}") for joint in ("ankle", "heel", "foot_index")]] = np.nan
    assert not np.isfinite(lift(replace(sequence, xy_px=xy)).xyz_m).any()  # type: ignore[arg-type]


def test_wrong_choices_are_refused_in_words() -> None:
    with pytest.raises(LiftError, match="choose one of: temporal, dense"):
        lift(flat(acted()), "magic")
    with pytest.raises(LiftError, match=r"between 0\.5 and 2\.5"):
        lift(flat(acted()), height_m=17)
    with pytest.raises(LiftError, match="missing"):
        lifting.network("temporal", Path("/nowhere"))


def test_ten_seconds_take_less_than_a_second() -> None:
    sequence = flat(acted())
    ten = PoseSequence(
        sequence.skeleton, np.arange(300) / 30, np.resize(sequence.xy_px, (300, 33, 2)),
        np.full((300, 33), 0.9), None, sequence.image_size,
    )  # fmt: skip
    lift(ten)
    started = time.process_time()
    lift(ten)
    assert time.process_time() - started < 1.0


def test_stature_of_a_standing_body_is_its_height() -> None:
    truth = acted("squat", "front", height_m=1.8).to(KINECT_13)
    assert stature(truth.xyz_m[None])[0] == pytest.approx(1.8, rel=0.05)  # type: ignore[index]


def test_features_do_not_depend_on_where_and_how_large_the_body_is() -> None:
    rng = np.random.default_rng(1)
    xy, score = rng.uniform(100, 400, (2, 48, 13, 2)), rng.uniform(0, 1, (2, 48, 13))
    size = np.array([[640.0, 480.0]] * 2)
    one, other = features(xy, score, size), features(0.5 * xy + 20, score, size)
    assert one.shape == (2, 48, INPUTS)
    np.testing.assert_allclose(one[..., :39], other[..., :39], atol=1e-5)
    assert np.abs(one[..., 41] / other[..., 41] - 2).max() < 1e-5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_come_back_as_they_were_kept(name: str, tmp_path: Path) -> None:
    net = ARCHITECTURES[name]().eval()
    lifting.kept(net, tmp_path / "net.safetensors", name)
    values = np.random.default_rng(0).normal(size=(1, 48, INPUTS)).astype(np.float32)
    first = lifting.one_network(net)(values)[0]
    again = lifting.one_network(tmp_path / "net.safetensors")(values)[0]
    np.testing.assert_allclose(again, first, atol=5e-3)  # half precision


def test_the_dense_pair_has_the_floors_shapes(tmp_path: Path) -> None:
    lifting.kept(DenseToKinect(), tmp_path / "a.safetensors", "to_kinect", width=256)
    lifting.kept(DenseDepth(), tmp_path / "b.safetensors", "depth", width=256)
    points, error = lifting.dense_pair(tmp_path / "a.safetensors", tmp_path / "b.safetensors")(
        np.zeros((2, 48, INPUTS), dtype=np.float32)
    )
    assert points.shape == (2, 48, 13, 3)
    assert error.shape == (2, 48, 13)
    assert (error > 0).all()


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(LiftError, match="no lifting network"):
        lifting.loaded(tmp_path / "other.safetensors")
