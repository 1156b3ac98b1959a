"""Virtual cameras, noise, windows and the training loop of the lift, on motion made here."""

from __future__ import annotations

import csv
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.networks.lift import INPUTS, TemporalLift
from pipeline.scoring.lift import WINDOW, features, mirrored_features, one_network
from pipeline.skeletons import KINECT_13
from pipeline.synthetic.actor import ActorSpec, clip_truth
from pipeline.training import depth, framework, lift, lift_data, lift_training, to_kinect
from pipeline.training.cameras import Noise, in_world, measured_noise, noisy, random_camera, resampled, view, views
from pipeline.training.lift_data import BLAZEPOSE_NOISE, Tracks, Windows, joined_of_one, windows_of_motion
from pipeline.training.motion_data import Motion, bends
from pipeline.training.optimisers import HiddenMatrices


def motion(name: str = "squat", seed: int = 0, source: str = "ui_prmd_kinect") -> Motion:
    """A recorded motion, as far as anybody can tell: the actor's."""
    person = clip_truth(ActorSpec.one(name, repetitions=1, seed=seed)).recording.people[0].to(KINECT_13)
    assert person.xyz_m is not None
    assert person.root_m is not None
    hips = person.xyz_m[:, 7:9].mean(axis=1)
    return Motion(
        source, str(seed), name, "", person.time_s, person.xyz_m - hips[:, None], f"{name}{seed}", person.root_m + hips
    )


@pytest.fixture(scope="module")
def windows() -> Windows:
    rng = np.random.default_rng(0)
    return joined_of_one([window for _ in range(3) for window in windows_of_motion(some_motions(), rng)])


def some_motions() -> list[Motion]:
    return [motion(name, seed) for seed, name in enumerate(("squat", "biceps_curl", "lunge", "walk"))]


@pytest.fixture(scope="module")
def tracks() -> Tracks:
    return lift_data.tracks_of(some_motions())


# --- cameras --------------------------------------------------------------------------------------------------------


def test_virtual_cameras_project_as_opencv_does() -> None:
    world = in_world(motion("lunge"))
    rng = np.random.default_rng(3)
    for _ in range(5):
        camera = random_camera(rng, world)
        seen = view(world, camera)
        points = (world.xyz_m + world.root_m[:, None]).reshape(-1, 3)  # type: ignore[index, operator]
        # OpenCV's camera looks along +z with y down; ours along -z with y up
        turn = np.diag([1.0, -1.0, -1.0]) @ camera.axes
        width, height = camera.size
        inner = np.array([[camera.focal_px, 0, (width - 1) / 2], [0, camera.focal_px, (height - 1) / 2], [0, 0, 1]])
        rotation, _ = cv2.Rodrigues(turn)
        expected, _ = cv2.projectPoints(points, rotation, -turn @ camera.position_m, inner, np.zeros(5))
        np.testing.assert_allclose(seen.xy_px.reshape(-1, 2), expected[:, 0], atol=1e-6)


def test_every_camera_sees_a_body_that_is_not_mirrored_and_mostly_in_the_picture() -> None:
    world = in_world(resampled(motion("squat")))
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(60):
        seen = view(world, random_camera(rng, world))
        assert bends(seen.xyz_m) > 0.05  # type: ignore[arg-type]
        inside.append(((seen.xy_px >= 0) & (seen.xy_px < np.array(seen.image_size))).all(axis=2).mean())
        across = seen.xy_px[:, 1, 0] - seen.xy_px[:, 2, 0]  # the picture agrees with the space: left shoulder to right
        depth_free = seen.xyz_m[:, 1, 0] - seen.xyz_m[:, 2, 0]  # type: ignore[index]
        clear = np.abs(depth_free) > 0.1
        assert (np.sign(across[clear]) == np.sign(depth_free[clear])).all()
    assert np.mean(inside) > 0.9


def test_motion_is_brought_to_fifteen_frames_a_second_and_gaps_are_bridged() -> None:
    fast = motion("squat")
    broken = np.array(fast.xyz_m)
    broken[10:14, 5] = np.nan
    even = resampled(replace(fast, xyz_m=broken))
    np.testing.assert_allclose(np.diff(even.time_s), 1 / 15)
    assert np.isfinite(even.xyz_m).all()
    np.testing.assert_allclose(even.xyz_m[[0, 20]], fast.xyz_m[[0, 40]], atol=1e-9)
    lost = np.array(fast.xyz_m)
    lost[:, 5] = np.nan
    assert np.isnan(resampled(replace(fast, xyz_m=lost)).xyz_m[:, 5]).all()


def test_noise_is_measured_as_it_was_made() -> None:
    """What ``noisy`` makes, ``measured_noise`` finds again."""
    made = Noise((0.012,) * 13, tuple(0.004 + 0.0005 * k for k in range(13)), (0.003,) * 13, 0.0, 0.08, 0.0)
    exact = np.zeros((300, 48, 13, 2), dtype=np.float32)
    xy, score = noisy(exact, made, np.random.default_rng(0), np.full(300, 100.0, dtype=np.float32))
    assert ((score > 0) & (score <= 1)).all()
    found = measured_noise(xy.reshape(-1, 13, 2) / 100.0, np.repeat(np.arange(300), 48))
    np.testing.assert_allclose(found.bias, made.bias, rtol=0.15)
    np.testing.assert_allclose(found.drift, made.drift, rtol=0.2)
    np.testing.assert_allclose(found.jitter, made.jitter, rtol=0.2)
    assert found.lost == 0


def test_joints_that_are_far_off_have_low_confidence() -> None:
    wild = replace(BLAZEPOSE_NOISE, lost=0.2, lost_size=0.3, swapped=0.0)
    exact = np.zeros((50, 48, 13, 2), dtype=np.float32)
    xy, score = noisy(exact, wild, np.random.default_rng(0), np.ones(50, dtype=np.float32))
    size = np.linalg.norm(xy, axis=3)
    assert (size > 0.2).mean() > 0.03
    assert score[size > 0.2].mean() < 0.1 < 0.7 < score[size < 0.03].mean()


def test_noise_needs_a_number_for_every_joint() -> None:
    with pytest.raises(ValueError, match="13 numbers"):
        Noise((0.1,), (0.1,), (0.1,))


# --- windows --------------------------------------------------------------------------------------------------------


def test_windows_hold_bodies_of_one_height_and_know_what_is_real(windows: Windows) -> None:
    from pipeline.scoring.lift import stature

    assert windows.xy_px.shape[1:] == (WINDOW, 13, 2)
    np.testing.assert_allclose(np.median(stature(windows.xyz_m)), 1.70, rtol=0.03)
    assert windows.real.any(axis=1).all()
    still = ~windows.real[:, 1:]
    assert np.abs(np.diff(windows.xy_px, axis=1)[still]).max(initial=0) == 0


def test_many_cameras_at_once_see_what_each_sees() -> None:
    world = in_world(resampled(motion("lunge")))
    rng = np.random.default_rng(5)
    cameras = [random_camera(rng, world) for _ in range(4)]
    many = np.repeat(np.asarray(world.xyz_m)[None], 4, axis=0), np.repeat(np.asarray(world.root_m)[None], 4, axis=0)
    pixels, points = views(*many, cameras)
    for number, camera in enumerate(cameras):
        one = view(world, camera)
        np.testing.assert_allclose(pixels[number], one.xy_px, atol=1e-6)
        np.testing.assert_allclose(points[number], one.xyz_m, atol=1e-9)  # type: ignore[arg-type]


def test_every_look_at_a_motion_is_another_one(tracks: Tracks) -> None:
    from pipeline.scoring.lift import stature

    first, again = (lift_data.seen_anew(tracks, 12, np.random.default_rng(seed)) for seed in (0, 0))
    np.testing.assert_array_equal(first.xy_px, again.xy_px)
    other = lift_data.seen_anew(tracks, 200, np.random.default_rng(1))
    assert len(np.unique(other.xy_px[:, 0, 0, 0])) == len(other) == 200
    np.testing.assert_allclose(np.median(stature(other.xyz_m)), 1.70, rtol=0.03)
    assert np.ptp(other.xyz_m[:, 0, 1, 2]) > 0.2  # seen from everywhere
    inside = ((other.xy_px >= 0) & (other.xy_px < other.size[:, None, None])).all(axis=3)
    assert inside[other.real].mean() > 0.9


def test_other_proportions_keep_the_pose_and_both_sides_alike(tracks: Tracks) -> None:
    body = tracks.xyz_m[:20][None].repeat(5, axis=0)
    made = lift_data.other_proportions(body, np.random.default_rng(0))
    np.testing.assert_allclose(lift_data.other_proportions(body, np.random.default_rng(0), 0.0), body, atol=1e-5)
    for upper, lower in ((1, 3), (2, 4), (3, 5), (4, 6), (7, 9), (8, 10), (9, 11), (10, 12)):
        was, now = body[:, :, lower] - body[:, :, upper], made[:, :, lower] - made[:, :, upper]
        lengths = [np.linalg.norm(bone, axis=2, keepdims=True) for bone in (was, now)]
        np.testing.assert_allclose(was / lengths[0], now / lengths[1], atol=1e-4)
        ratio = (lengths[1] / lengths[0])[..., 0]
        assert np.ptp(ratio, axis=1).max() < 1e-4  # one factor through the window
        assert np.ptp(ratio[:, 0]) > 0.01  # another for every body
    hips = made[:, :, 7:9].mean(axis=2)
    np.testing.assert_allclose(hips, 0, atol=1e-5)


def test_some_bodies_are_held_still_but_for_limbs(tracks: Tracks) -> None:
    walk = tracks.first[3] + np.arange(24)
    frame = np.tile(walk, (400, 1))
    points, root = lift_data.held(tracks, frame, np.random.default_rng(0))
    as_recorded = (points == tracks.xyz_m[frame]).all(axis=(1, 2, 3))
    assert 0.65 < as_recorded.mean() < 0.85
    limbs, trunk = [3, 5, 4, 6, 9, 11, 10, 12], [1, 2, 7, 8]
    still = (np.ptp(points[:, :, trunk], axis=1) == 0).all(axis=(1, 2)) & (np.ptp(root, axis=1) == 0).all(axis=1)
    moves = np.ptp(points[still][:, :, limbs], axis=1).max(axis=2) > 0.01
    assert still.sum() > 40
    assert moves.any(axis=0).all()  # each limb somewhere
    assert (~moves.any(axis=1)).mean() > 0.1  # and somewhere none
    for upper, lower in ((1, 3), (3, 5), (8, 10), (10, 12)):
        made, was = (body[:, :, lower] - body[:, :, upper] for body in (points, tracks.xyz_m[frame]))
        lengths = [np.linalg.norm(bone, axis=2).mean(axis=1) for bone in (made, was)]
        np.testing.assert_allclose(*lengths, rtol=0.05)


def test_some_errors_do_not_change_and_some_are_none(tracks: Tracks) -> None:
    """Of a body that never moves, what a window shows changes with the errors alone."""
    still = Tracks(
        tracks.xyz_m[:1].repeat(WINDOW, axis=0), tracks.root_m[:1].repeat(WINDOW, axis=0), tracks.first[:1],
        np.array([WINDOW]), tracks.scale[:1], tracks.reach[:1], tracks.source[:1],
    )  # fmt: skip
    seen, truth, _ = lift_data.batch(still, None, 300, WINDOW, 0.0, BLAZEPOSE_NOISE, np.random.default_rng(0))
    constant = np.ptp(seen[..., :26], axis=1).max(axis=1) < 1e-6
    assert 0.2 < constant.mean() < 0.4
    off = np.linalg.norm(1.7 * seen[constant, 0, :26].reshape(-1, 13, 2) - truth[constant, 0, :, :2], axis=2)
    assert 0.3 < (off.mean(axis=1) < 0.03).mean() < 0.7  # perspective alone


def test_a_window_without_any_motion_can_be_learned_from() -> None:
    torch.manual_seed(0)
    net = TemporalLift()
    points, spread = net(torch.randn(2, 1, INPUTS).expand(-1, 12, -1))
    (points.norm(dim=-1).mean() + spread.mean()).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters())


def test_nothing_to_learn_from_is_told() -> None:
    with pytest.raises(ValueError, match="no motion to learn from"):
        lift_data.tracks_of([])


def test_a_training_batch_is_spoiled_mirrored_and_cut(tracks: Tracks, windows: Windows) -> None:
    seen, truth, real = lift_data.batch(tracks, windows, 16, 12, 0.5, BLAZEPOSE_NOISE, np.random.default_rng(0))
    assert seen.shape == (16, 12, INPUTS)
    assert seen.dtype == np.float32
    assert truth.shape == (16, 12, 13, 3)
    assert real.shape == (16, 12)
    assert np.isfinite(seen).all()
    # mirrored or not, knees bend forwards: left and right were exchanged together with x
    assert all(not bends(part.astype(np.float64)) < -0.01 for part in truth)


def test_mirroring_twice_changes_nothing(windows: Windows) -> None:
    part = (windows.xy_px, windows.score, windows.xyz_m)
    flip = np.ones(len(windows), dtype=bool)
    once = lift_data.mirrored(*part, windows.size, flip)
    assert np.abs(once[0] - part[0]).max() > 1
    for again, first in zip(lift_data.mirrored(*once, windows.size, flip), part, strict=True):
        np.testing.assert_allclose(again, first, atol=1e-3)
    plain, turned = (features(xy, score, windows.size) for xy, score in (part[:2], once[:2]))
    np.testing.assert_allclose(mirrored_features(plain), turned, atol=1e-5)


def test_a_batch_borrows_the_errors_of_drawn_clips(tracks: Tracks, windows: Windows) -> None:
    """Exact 2D with no noise of its own is as wrong as the drawn clips are, in half of the windows."""
    silent = Noise((0.0,) * 13, (0.0,) * 13, (0.0,) * 13, 0.0, 0.0, 0.0)
    assert not windows.error.any()
    shift = np.zeros_like(windows.error)
    shift[:, :, 3] = 0.5  # one wrist half a body away
    wrong = replace(windows, error=shift)
    seen, truth, _ = lift_data.batch(tracks, wrong, 200, WINDOW, 0.0, silent, np.random.default_rng(0))
    flat = seen[..., :26].reshape(*seen.shape[:2], 13, 2) * np.float32(1.7)
    off = np.linalg.norm(flat - truth[..., :2], axis=3)[:, 0]
    far = off[:, [3, 4]].max(axis=1) > 0.4  # or the other wrist, where it was mirrored
    assert 0.35 < far.mean() < 0.65
    assert np.median(off[:, 9:]) < 0.1


def test_hidden_matrices_learn_and_go_on_where_they_were() -> None:
    """Twice 10 steps are 20, and a convolution is trained in its own memory."""

    def steps(net: TemporalLift, optimiser: HiddenMatrices, count: int) -> None:
        for _ in range(count):
            optimiser.step((net(seen)[0] - target).norm(dim=-1).mean(), 1.0)

    torch.manual_seed(0)
    seen, target = torch.randn(2, 12, INPUTS), torch.randn(2, 12, 13, 3)
    net = TemporalLift(dropout=0.0)
    first = (net(seen)[0] - target).norm(dim=-1).mean().item()
    optimiser = HiddenMatrices(net, 1e-3, 0.01)
    steps(net, optimiser, 10)
    other = TemporalLift(dropout=0.0)
    again = HiddenMatrices(other, 1e-3, 0.01)
    other.load_state_dict(net.state_dict())
    again.load(deepcopy(optimiser.state()))
    for one, its in ((net, optimiser), (other, again)):
        steps(one, its, 10)
    assert (net(seen)[0] - target).norm(dim=-1).mean().item() < 0.8 * first
    for weight, same in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(weight, same)


def test_nobody_who_is_held_out_or_validates_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, set[str]]] = []
    people = {
        name: [motion("squat", k) for k in range(3)] for name in ("ui_prmd_kinect", "hdm05", "cmu", "precog", "irds")
    }
    people["ui_prmd_vicon"] = people["ui_prmd_kinect"]
    named = {"ui_prmd_kinect": "178", "ui_prmd_vicon": "178", "hdm05": ("bd", "mm", "bk"), "cmu": ("01", "05", "35"),
             "precog": "123", "irds": "123"}  # fmt: skip

    def load(name: str, subjects: object = None) -> list[Motion]:
        known = [replace(m, subject=s) for m, s in zip(people[name], named[name], strict=True)]
        return known if subjects is None else [m for m in known if m.subject in subjects]  # type: ignore[operator]

    def windows_of(motions: list[Motion], _rng: object) -> list[Windows]:
        asked.append(("validation", {m.subject for m in motions}))
        return windows_of_motion(motions, np.random.default_rng(0))

    def tracks_of(motions: list[Motion]) -> None:
        asked.append(("train", {m.subject for m in motions}))

    monkeypatch.setattr(lift_data, "load", load)
    monkeypatch.setattr(lift_data, "windows_of_motion", windows_of)
    monkeypatch.setattr(lift_data, "tracks_of", tracks_of)
    lift_data.motion_tracks()
    lift_data.motion_windows("validation")
    trained = set.union(*(who for what, who in asked if what == "train"))
    validated = set.union(*(who for what, who in asked if what == "validation"))
    assert {"7", "8", "mm"} == validated
    assert {"1", "bd", "05", "3"} <= trained
    assert not {"7", "8", "mm", "01", "9", "tr"} & trained


# --- training -------------------------------------------------------------------------------------------------------


@pytest.fixture(name="small")
def few_windows(windows: Windows, tracks: Tracks, monkeypatch: pytest.MonkeyPatch) -> Windows:
    """The stages on these few windows instead of the private data."""
    split = lift.Split(windows, lift_training.spoiled(windows, BLAZEPOSE_NOISE), windows)
    monkeypatch.setattr(lift_data, "motion_tracks", lambda *_args, **_more: tracks)
    for stage in (lift, to_kinect, depth):
        monkeypatch.setattr(stage, "measured_on", lambda *_args, **_more: split)
    monkeypatch.setattr(lift_training, "VALIDATE_EVERY", 10)
    return windows


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("architecture", ["temporal", "simple_baseline", "video_pose"])
def test_training_a_lift_learns_and_is_measured(architecture: str, tmp_path: Path) -> None:
    config = lift.LiftConfig(architecture, steps=40, batch_size=4, learning_rate=3e-3, pair_clips=0)
    framework.train(lift.STAGE, config, tmp_path)
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40]
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    metrics = framework.evaluate(lift.STAGE, config, tmp_path)
    primary = metrics["primary"]
    assert primary["low"] <= primary["value"] <= primary["high"]
    assert not primary["higher_is_better"]
    assert (tmp_path / "reliability_detected.png").stat().st_size > 1000
    assert json.loads((tmp_path / "training.json").read_text())["score"] < 1000
    assert (tmp_path / config.file).is_file()


def test_the_dense_stages_train_and_make_a_pair(small: Windows, tmp_path: Path) -> None:
    from pipeline.scoring.lift import dense_pair

    for stage, config in (
        (to_kinect.STAGE, to_kinect.ToKinectConfig(steps=60, batch_size=4, pair_clips=0)),
        (depth.STAGE, depth.DepthConfig(steps=60, batch_size=4)),
    ):
        framework.train(stage, config, tmp_path / stage.name)
        assert framework.evaluate(stage, config, tmp_path / stage.name)["primary"]["value"] < 400
    net = dense_pair(tmp_path / "to_kinect" / to_kinect.FILE, tmp_path / "depth" / depth.FILE)
    flat = lift_training.errors_of(np.zeros_like(small.xyz_m), small).mm.mean()
    assert lift_training.errors(net, small).mm.mean() < 0.7 * flat


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("at", ["step 20:", "step 30:", "step 40:"])  # within each round, and where the second begins
def test_a_killed_training_goes_on_where_it_was(at: str, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(text: str, _share: float) -> None:
        if text.startswith(at):
            raise KilledError

    config = lift.LiftConfig(steps=20, again=30, batch_size=4, pair_clips=0)
    with pytest.raises(KilledError):
        framework.train(lift.STAGE, config, tmp_path / "killed", progress=kill)
    framework.train(lift.STAGE, config, tmp_path / "killed")
    framework.train(lift.STAGE, config, tmp_path / "whole")
    whole, killed = (load_file(tmp_path / name / config.file) for name in ("whole", "killed"))
    for name, weights in whole.items():
        torch.testing.assert_close(killed[name], weights, msg=f"{name} is another after a kill")
    steps = [int(row["step"]) for row in csv.DictReader((tmp_path / "whole" / "history.csv").open())]
    assert steps == [10, 20, 30, 40, 50]


@pytest.mark.usefixtures("small")
def test_the_second_round_begins_from_the_best_weights_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([1.0, 2.0, 3.0])
    seen: list[torch.Tensor] = []

    def validate(net: torch.nn.Module) -> float:
        seen.append(next(net.parameters()).detach().clone())
        return next(scores)

    def no_step(self: HiddenMatrices, _value: torch.Tensor, _share: float) -> None:
        if len(seen) >= 2:  # the second round
            begun.append(next(self._net.parameters()).detach().clone())
        else:
            step(self, _value, _share)

    begun: list[torch.Tensor] = []
    step = HiddenMatrices.step
    monkeypatch.setattr(HiddenMatrices, "step", no_step)
    how = lift_training.Steps(20, 4, 1e-2, 0.0, 0.0, 1, again=10)
    tracks = lift_data.motion_tracks()
    net = TemporalLift()

    def loss(given: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return lift_training.where_real((net(given)[0] - truth).norm(dim=-1), mask)

    lift_training.fit(net, loss, validate, tracks, None, BLAZEPOSE_NOISE, how, framework.Work(tmp_path))
    assert not torch.equal(seen[0], seen[1])
    torch.testing.assert_close(begun[0], seen[0])


@pytest.mark.usefixtures("small")
def test_fine_tuning_starts_from_given_weights(tmp_path: Path) -> None:
    from pipeline.scoring.lift import kept, loaded

    kept(TemporalLift(), tmp_path / "lift.safetensors", "temporal")
    net = lift_training.started_from(TemporalLift(), tmp_path / "lift.safetensors")
    for name, tensor in loaded(tmp_path / "lift.safetensors").state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], tensor)
    with pytest.raises(framework.TrainingError, match="does not fit"):
        lift_training.started_from(depth.DenseDepth(), tmp_path / "lift.safetensors")
    with pytest.raises(framework.TrainingError, match="no architecture"):
        lift.LiftConfig("magic")


def test_how_wrong_the_points_are_is_learned_again_and_the_points_stay(tracks: Tracks, windows: Windows) -> None:
    torch.manual_seed(0)
    net = TemporalLift()
    with torch.no_grad():  # a network that tells errors of metres where it is off by less
        net.leave.weight[39:] = 2.0
        net.leave.bias[39:] = 5.0
    before = lift_training.errors(one_network(net), windows)
    how = lift_training.Steps(1, 8, 1e-3, 0.0, 0.0, 1)
    lift_training.teach_errors(net, tracks, None, BLAZEPOSE_NOISE, how, rounds=4)
    after = lift_training.errors(one_network(net), windows)
    np.testing.assert_allclose(after.mm, before.mm, rtol=1e-5)
    assert before.expected_mm.mean() > 3 * before.found_mm.mean()
    assert after.expected_mm.mean() == pytest.approx(after.found_mm.mean(), rel=0.35)


def test_errors_are_those_that_were_put_in(windows: Windows) -> None:
    """A known shift of the points, and a known scale, are measured as such."""
    truth = windows.xyz_m * windows.scale[:, None, None, None]
    shifted = truth.copy()
    shifted[:, :, 0] += np.float32([0.13, 0, 0])  # one joint of 13
    assert lift_training.errors_of(shifted, windows).mm == pytest.approx(10.0, rel=1e-3)
    scaled = lift_training.errors_of(1.2 * truth, windows)
    assert scaled.aligned_mm.max() < 1e-2
    assert scaled.mm.min() > 20


def test_an_interval_covers_the_mean_and_none_is_nothing() -> None:
    values = np.random.default_rng(0).normal(50, 10, 400)
    low, high = lift_training.interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 10 / 20, rel=0.25)
    assert np.isnan(lift_training.interval(np.empty(0))).all()


def test_validation_does_not_depend_on_batches(windows: Windows) -> None:
    net = one_network(TemporalLift())
    np.testing.assert_allclose(
        lift_training.errors(net, windows, batch=3).mm, lift_training.errors(net, windows).mm, rtol=1e-4
    )
