"""The ugly-2D gate: what it sees, what it says, and that it tells good clips from bad ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import settings
from pipeline.media import Frame
from pipeline.networks.ugly_2d import Ugly2D
from pipeline.networks.ugly_2d_shape import CROP, FRAMES, LEVELS, POSE
from pipeline.poses import PoseSequence
from pipeline.scoring.lift import LiftError
from pipeline.scoring.pose_windows import Samples, crop, samples, window_frames
from pipeline.scoring.ugly_2d import GateParameters, blocks, gate_of, jitter, judge, network_gate, steadied
from pipeline.skeletons import BLAZEPOSE_33, KINECT_13
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth

needs_gate = pytest.mark.skipif(
    not (settings.PROJECT_DIR / "checkpoints" / "ugly_2d.safetensors").is_file(),
    reason="the gate's weights are not in checkpoints/: train and deploy the stage ugly_2d",
)


@pytest.fixture(scope="module")
def clean() -> tuple[PoseSequence, list[Frame]]:
    """Two seconds of the actor at 10 frames a second with exact key points."""
    spec = ActorSpec.one("squat", view="oblique", fps=10.0, repetitions=1, duration_s=2.0, size=(320, 240), seed=2)
    person = clip_truth(spec).recording.people[0]
    frames = [Frame(number, time_s, image) for number, (image, time_s) in enumerate(clip_frames(spec))]
    return replace(person, score=np.full(person.score.shape, 0.95), xyz_m=None, root_m=None), frames


def shaken(sequence: PoseSequence, size_px: float, score: float, seed: int = 0) -> PoseSequence:
    rng = np.random.default_rng(seed)
    xy = sequence.xy_px + rng.normal(0, size_px, sequence.xy_px.shape)
    return replace(sequence, xy_px=xy, score=np.full(sequence.score.shape, score))


def always(goodness: float, confidence: float):  # type: ignore[no-untyped-def]
    return lambda found: np.tile([goodness, confidence], (len(found), 1))


def rising(found: Samples) -> np.ndarray:
    """A gate that trusts later windows more."""
    return np.stack([np.full(len(found), 0.9), np.linspace(0.4, 0.8, len(found))], axis=1)


@needs_gate
def test_good_key_points_pass_and_scattered_ones_are_refused(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, frames = clean
    good, bad = judge(sequence, frames), judge(shaken(sequence, 14, 0.35), frames)
    assert good.ok, good.reasons
    assert not bad.ok
    assert good.measurements["goodness"] > bad.measurements["goodness"] + 0.3
    assert "goodness" in bad.reasons[0]


@needs_gate
def test_goodness_falls_as_key_points_scatter(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, _ = clean
    told = [judge(shaken(sequence, size, 0.95 - 0.04 * size)).measurements["goodness"] for size in (0, 4, 8, 16)]
    assert told[0] > told[2] > told[3] - 1e-6
    assert told[0] - told[3] > 0.4


def test_a_verdict_has_the_diagnostics_of_the_floor(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, frames = clean
    found = judge(sequence, frames, gate=rising).measurements
    assert set(found["blocks"]) == {"top left", "top right", "bottom left", "bottom right"}
    assert len(found["windows"]) == 4
    assert found["judged_with_pictures"]
    worst = found["worst_by_confidence"]
    assert worst[0]["confidence"] == min(window["confidence"] for window in found["windows"])
    assert found["worst_by_jitter"][0]["jitter"] == max(window["jitter"] for window in found["windows"])
    assert all(0 <= window["start_s"] <= window["end_s"] <= 2.1 for window in found["windows"])
    json.dumps(found)


def test_the_worst_moment_and_the_worst_part_are_named(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, _ = clean
    xy, score = sequence.xy_px.copy(), sequence.score.copy()
    leg = [BLAZEPOSE_33.index(f"left_{joint}") for joint in ("hip", "knee", "ankle")]
    rng = np.random.default_rng(1)
    xy[10:15, leg] += rng.normal(0, 25, (5, 3, 2))
    score[:, leg] = 0.2
    verdict = judge(replace(sequence, xy_px=xy, score=score), gate=always(0.2, 0.2))
    assert verdict.measurements["worst_by_jitter"][0]["start_s"] == pytest.approx(1.0, abs=0.15)
    assert any("bottom left" in reason for reason in verdict.reasons)


def test_advice_names_what_is_wrong_with_the_picture(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, frames = clean
    dark = [replace(frame, image=(frame.image * 0.1).astype(np.uint8)) for frame in frames]
    said = " ".join(judge(sequence, dark, gate=always(0.1, 0.1)).reasons)
    assert "dark" in said
    assert "cut off" not in said
    far = replace(sequence, xy_px=sequence.xy_px / 4 + 100)
    assert any("pixels tall" in reason for reason in judge(far, gate=always(0.1, 0.1)).reasons)
    left = replace(sequence, xy_px=sequence.xy_px - (120, 0))
    assert any("cut off" in reason for reason in judge(left, gate=always(0.1, 0.1)).reasons)


def test_thresholds_are_the_floors_and_can_be_moved(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, _ = clean
    assert judge(sequence, gate=always(0.5, 0.3)).ok
    assert not judge(sequence, gate=always(0.49, 0.9)).ok
    assert not judge(sequence, gate=always(0.9, 0.29)).ok
    assert judge(sequence, None, GateParameters(least_goodness=0.2), always(0.3, 0.3)).ok


def test_nobody_is_refused_in_words() -> None:
    for empty in (PoseSequence.empty(), PoseSequence.empty(time_s=np.arange(30) / 30)):
        verdict = judge(empty)
        assert not verdict.ok
        assert "Nobody was found" in verdict.reasons[0]


def test_a_person_who_is_hardly_there_is_refused(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, _ = clean
    xy = sequence.xy_px.copy()
    xy[6:] = np.nan
    verdict = judge(replace(sequence, xy_px=xy), gate=always(0.9, 0.9))
    assert not verdict.ok
    assert any("not found in" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("fps", [10.0, 15.0, 29.97, 60.0])
def test_windows_last_half_a_second_at_every_frame_rate(fps: float) -> None:
    time_s = 3.0 + np.arange(int(4 * fps)) / fps
    windows = window_frames(time_s)
    assert windows.shape == (8, FRAMES)
    np.testing.assert_allclose(np.diff(time_s[windows], axis=1), 0.1, atol=0.5 / fps + 1e-6)
    assert (np.diff(windows.ravel()) >= 0).all()


def test_few_frames_make_one_window_and_none_make_none() -> None:
    assert window_frames(np.empty(0)).shape == (0, FRAMES)
    assert (window_frames(np.array([1.0])) == 0).all()
    assert window_frames(np.array([0.0, 0.1])).shape == (1, FRAMES)


def test_jitter_of_a_straight_path_is_nothing_and_of_noise_its_size() -> None:
    time_s = np.arange(200) / 20
    straight = np.zeros((200, 13, 2)) + np.stack([30 * time_s, 5 * time_s], axis=1)[:, None]
    assert np.nanmax(jitter(straight, time_s, 100.0)) < 1e-9
    rng = np.random.default_rng(0)
    noise = jitter(straight + rng.normal(0, 3, straight.shape), time_s, 100.0)
    # a point minus the mean of two others: variance 1.5; mean length of a 2D normal: sqrt(pi / 2)
    assert np.nanmean(noise) == pytest.approx(0.03 * np.sqrt(1.5) * np.sqrt(np.pi / 2), rel=0.05)


def test_blocks_tell_which_part_was_not_seen() -> None:
    xy = np.random.default_rng(0).uniform(50, 200, (20, 13, 2))
    arm = [KINECT_13.index(f"right_{joint}") for joint in ("shoulder", "elbow", "hand")]
    xy[:, arm] = np.nan
    found = blocks(PoseSequence(KINECT_13, np.arange(20) / 10, xy, np.full((20, 13), 0.9), None, (300, 300)))
    assert found["top right"]["seen"] == 0
    assert found["top right"]["confidence"] == 0
    assert found["top left"]["confidence"] == pytest.approx(0.9)


@pytest.mark.parametrize("box", [((10, 10), (300, 200)), ((100, 100), (130, 120)), ((-80, -50), (60, 90))])
def test_crops_show_the_person(box: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """The middle of the box is the middle of the crop, whether the picture is shrunk, enlarged or left behind."""
    image = np.full((240, 320, 3), 60, dtype=np.uint8)
    low, high = np.array(box[0], dtype=float), np.array(box[1], dtype=float)
    x, y = (low + high) / 2
    if x > 0:
        reach = max(2, int((high - low).max() / 12))
        image[max(0, int(y) - reach) : int(y) + reach, max(0, int(x) - reach) : int(x) + reach] = 250
    cut = crop(image, low, high)
    assert cut.shape == (CROP, CROP)
    if x > 0:
        bright = np.argwhere(cut > 150).mean(axis=0)
        np.testing.assert_allclose(bright, CROP / 2 - 0.5, atol=2.0)


def test_a_box_outside_the_picture_is_black() -> None:
    image = np.full((100, 100, 3), 255, dtype=np.uint8)
    assert crop(image, np.array([300.0, 300.0]), np.array([700.0, 700.0])).max() == 0
    assert crop(image, np.array([300.0, 300.0]), np.array([310.0, 310.0])).max() == 0


def test_samples_without_pictures_say_so(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, frames = clean
    blind, seeing = samples(sequence), samples(sequence, frames)
    assert not blind.has_pictures.any()
    assert seeing.has_pictures.all()
    assert seeing.crops.any()
    assert blind.poses.shape == (len(blind), FRAMES, POSE)
    np.testing.assert_array_equal(blind.poses, seeing.poses)
    assert len(samples(PoseSequence.empty())) == 0
    assert network_gate(Ugly2D())(samples(PoseSequence.empty())).shape == (0, 2)


def test_pose_features_do_not_depend_on_size(clean: tuple[PoseSequence, list[Frame]]) -> None:
    sequence, _ = clean
    large = replace(sequence, xy_px=sequence.xy_px * 3, image_size=(960, 720))
    np.testing.assert_allclose(samples(large).poses, samples(sequence).poses, atol=1e-5)
    assert isinstance(samples(large), Samples)


def test_missing_weights_are_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(LiftError, match="train and deploy the stage ugly_2d"):
        gate_of(tmp_path / "ugly_2d.safetensors")


def test_a_network_comes_back_from_its_file(clean: tuple[PoseSequence, list[Frame]], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    nets = Ugly2D(32), Ugly2D(32)
    path = tmp_path / "ugly_2d.safetensors"
    save_file({f"{k}.{name}": tensor for k, net in enumerate(nets) for name, tensor in net.state_dict().items()}, path)
    found = samples(*clean)
    np.testing.assert_allclose(gate_of(path)(found), network_gate(*nets)(found), atol=1e-6)
    assert np.abs(gate_of(path)(found) - network_gate(nets[0])(found)).max() > 1e-4


def test_windows_are_steadied_by_their_neighbours_within_a_clip() -> None:
    logits = np.array([[0.0], [3.0], [0.0], [9.0]])
    same = steadied(logits, np.zeros(4, dtype=np.int64))
    np.testing.assert_allclose(same[1], (3 + 0.5 * 0 + 0.5 * 0) / 2)
    apart = steadied(logits, np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(apart[:, 0], [1.0, 1.5, 1.0, 9.0])
    assert len(steadied(np.empty((0, 1)), np.empty(0, dtype=np.int64))) == 0


def test_the_network_tells_levels_and_joints(clean: tuple[PoseSequence, list[Frame]]) -> None:
    found = samples(*clean)
    with torch.inference_mode():
        answer = Ugly2D().eval()(
            torch.from_numpy(found.crops).float() / 255, torch.from_numpy(found.poses), torch.ones(len(found))
        )
    assert answer.shape == (len(found), len(LEVELS) + 13)
