"""Repetitions of stick figures whose movement is a known function of time, of damaged ones, and of real clips."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import settings
from pipeline.inference import InferenceOptions, infer
from pipeline.poses import Array, PoseSequence
from pipeline.repetitions import (
    SIGNAL_NAMES,
    LiveRepetitions,
    RepetitionParameters,
    RepetitionSet,
    candidate_signals,
    find_repetitions,
)
from pipeline.runs import RunStore
from pipeline.skeletons import BLAZEPOSE_33, COCO_17, Skeleton

Figure = dict[str, Array]

HEIGHT_PX = 400.0


def bumps(time_s: Array, starts_s: list[float], duration_s: float) -> Array:
    """1 - cos bumps from 0 to 1 and back, one from each start."""
    depth = np.zeros_like(time_s)
    for start in starts_s:
        inside = (time_s >= start) & (time_s <= start + duration_s)
        depth[inside] = (1 - np.cos(2 * np.pi * (time_s[inside] - start) / duration_s)) / 2
    return depth


def standing(time_s: Array) -> Figure:
    """A person of height 1 seen obliquely, y up, feet at 0."""
    figure = {"nose": (0.03, 0.93)}
    for side, sign in (("left", 1), ("right", -1)):
        figure |= {
            f"{side}_shoulder": (0.07 * sign, 0.82), f"{side}_elbow": (0.09 * sign, 0.65),
            f"{side}_wrist": (0.1 * sign, 0.5), f"{side}_hip": (0.05 * sign, 0.53),
            f"{side}_knee": (0.06 * sign, 0.28), f"{side}_ankle": (0.06 * sign, 0.04),
        }  # fmt: skip
    return {joint: np.tile(np.array(place, dtype=float), (len(time_s), 1)) for joint, place in figure.items()}


def squat(time_s: Array, depth: Array) -> Figure:
    figure = standing(time_s)
    for joint in figure:
        if "ankle" not in joint:
            share = 0.1 if "knee" in joint else 0.3
            figure[joint][:, 1] -= share * depth
        if "knee" in joint:
            figure[joint][:, 0] += 0.12 * depth
        if "wrist" in joint:
            figure[joint] += depth[:, None] * (0.3, 0.25)
        if "hip" in joint:
            figure[joint][:, 0] -= 0.1 * depth
    return figure


def raise_arm(figure: Figure, side: str, angle_rad: Array) -> Figure:
    """The straight arm turned in the shoulder, 0 hanging down."""
    direction = np.stack([np.sin(angle_rad), -np.cos(angle_rad)], axis=1) * (1 if side == "left" else -1, 1)
    figure[f"{side}_elbow"] = figure[f"{side}_shoulder"] + 0.17 * direction
    figure[f"{side}_wrist"] = figure[f"{side}_shoulder"] + 0.32 * direction
    return figure


def walk(time_s: Array, speed: float = 0.7) -> Figure:
    """Legs and arms swing by turns, the whole person moves to the right."""
    figure, swing = standing(time_s), np.sin(2 * np.pi * 0.9 * time_s)
    for side, sign in (("left", 1), ("right", -1)):
        figure[f"{side}_ankle"][:, 0] += 0.18 * sign * swing
        figure[f"{side}_ankle"][:, 1] += 0.05 * np.clip(sign * np.cos(2 * np.pi * 0.9 * time_s), 0, None)
        figure[f"{side}_knee"][:, 0] += 0.08 * sign * swing
        figure[f"{side}_wrist"][:, 0] -= 0.12 * sign * swing
        figure[f"{side}_elbow"][:, 0] -= 0.05 * sign * swing
    for points in figure.values():
        points[:, 0] += speed * time_s
    return figure


def sequence(
    time_s: Array, figure: Figure, skeleton: Skeleton = BLAZEPOSE_33, noise_px: float = 0.6, person: int = 3
) -> PoseSequence:
    """The figure in a 1280 x 720 picture, with a little key-point noise."""
    random = np.random.default_rng(7)
    xy_px = np.full((len(time_s), len(skeleton), 2), np.nan)
    score = np.full((len(time_s), len(skeleton)), np.nan)
    for joint, points in figure.items():
        place = points * (HEIGHT_PX, -HEIGHT_PX) + (500, 600)
        xy_px[:, skeleton.index(joint)] = place + random.normal(0, noise_px, place.shape)
        score[:, skeleton.index(joint)] = 0.9
    return PoseSequence(skeleton, time_s, xy_px, score, None, (1280, 720), person)


def times(seconds: float, fps: float = 30.0) -> Array:
    return np.arange(0, seconds, 1 / fps)


STARTS_S = [2.0, 5.0, 8.0, 11.0, 14.0]


def five_squats(fps: float = 30.0) -> PoseSequence:
    time_s = times(19, fps)
    return sequence(time_s, squat(time_s, bumps(time_s, STARTS_S, 2.4)))


@pytest.fixture(scope="module")
def squats() -> RepetitionSet:
    return find_repetitions(five_squats())


def test_counts_and_times_squats(squats: RepetitionSet) -> None:
    assert squats.count == len(squats) == 5
    assert squats.person == 3 and all(one.person == 3 for one in squats.repetitions)
    for one, start in zip(squats.repetitions, STARTS_S, strict=True):
        assert one.start_s == pytest.approx(start, abs=0.45)  # a cosine leaves the resting band late
        assert one.turn_s == pytest.approx(start + 1.2, abs=0.15)
        assert one.end_s == pytest.approx(start + 2.4, abs=0.45)
        assert one.complete and one.confidence > 0.8
    assert squats.signal in SIGNAL_NAMES and len(squats.time_s) == len(squats.values) > 0
    assert squats.to_dict()["count"] == 5


@pytest.mark.parametrize("fps", [60, 15, 10])
def test_same_at_any_frame_rate(fps: float, squats: RepetitionSet) -> None:
    other = find_repetitions(five_squats(fps))
    assert other.count == squats.count
    for one, same in zip(other.repetitions, squats.repetitions, strict=True):
        assert one.turn_s == pytest.approx(same.turn_s, abs=0.15)


def test_same_with_irregular_timestamps() -> None:
    random = np.random.default_rng(0)
    time_s = np.sort(random.uniform(0, 19, 500))
    assert find_repetitions(sequence(time_s, squat(time_s, bumps(time_s, STARTS_S, 2.4)))).count == 5


@pytest.mark.parametrize("zoom", [0.3, 2.5])
def test_same_at_any_zoom_and_place(zoom: float, squats: RepetitionSet) -> None:
    near = five_squats()
    moved = find_repetitions(replace(near, xy_px=near.xy_px * zoom + (37, -81)))
    assert [one.turn_s for one in moved.repetitions] == pytest.approx([one.turn_s for one in squats.repetitions])


def test_same_in_a_mirror_and_another_skeleton() -> None:
    assert find_repetitions(five_squats().mirrored()).count == 5
    assert find_repetitions(five_squats().to(COCO_17)).count == 5


def test_a_forced_signal_is_used() -> None:
    forced = find_repetitions(five_squats(), signal="knee_angle")
    assert forced.signal == "knee_angle" and forced.unit == "rad" and forced.count == 5
    with pytest.raises(ValueError, match="knee_angle"):
        find_repetitions(five_squats(), signal="toe_wiggle")


def test_curls_with_one_arm() -> None:
    time_s = times(16)
    figure = standing(time_s)
    bend = bumps(time_s, [1.0, 4.0, 7.0, 10.0, 13.0], 2.5) * np.radians(140)
    elbow = figure["left_elbow"]
    figure["left_wrist"] = elbow + 0.15 * np.stack([np.sin(bend), -np.cos(bend)], axis=1)
    assert find_repetitions(sequence(time_s, figure)).count == 5


def test_alternating_lunges_count_one_by_one() -> None:
    time_s = times(20)
    starts = [1.0, 4.0, 7.0, 10.0, 13.0, 16.0]
    left, right = bumps(time_s, starts[0::2], 2.6), bumps(time_s, starts[1::2], 2.6)
    figure = standing(time_s)
    for joint, points in figure.items():
        if "ankle" not in joint:
            points[:, 1] -= (0.1 if "knee" in joint else 0.25) * (left + right)
    for side, step in (("left", left), ("right", right)):
        figure[f"{side}_ankle"][:, 0] += 0.35 * step
        figure[f"{side}_knee"][:, 0] += 0.3 * step
    assert find_repetitions(sequence(time_s, figure)).count == 6


def test_a_long_hold_at_the_bottom_is_one_repetition() -> None:
    time_s = times(13)
    depth = np.interp(time_s, [0, 2, 3.2, 7.5, 8.7, 13], [0, 0, 1, 1, 0, 0])
    held = find_repetitions(sequence(time_s, squat(time_s, depth)))
    assert held.count == len(held) == 1
    assert held.repetitions[0].start_s == pytest.approx(2.1, abs=0.3)
    assert held.repetitions[0].end_s == pytest.approx(8.6, abs=0.3)
    assert 3.0 < held.repetitions[0].turn_s < 7.7


def test_the_whole_posture_tells_where_it_turns() -> None:
    time_s = times(19)
    whole = sequence(time_s, squat(time_s, bumps(time_s, STARTS_S, 2.4)))
    for signal in ("knee_angle", "left_wrist_x", "left_ankle_y"):
        turns = [one.turn_s for one in find_repetitions(whole, signal=signal).repetitions]
        assert turns == pytest.approx([start + 1.2 for start in STARTS_S], abs=0.06)


def test_idle_parts_hold_no_repetitions() -> None:
    time_s = times(60)
    found = find_repetitions(sequence(time_s, squat(time_s, bumps(time_s, [20.0, 23.0, 26.0], 2.4))))
    assert found.count == 3
    assert min(one.start_s for one in found.repetitions) > 19 and max(one.end_s for one in found.repetitions) < 30


@pytest.mark.parametrize(
    ("start_s", "end_s", "complete"), [(3.5, 14.4, [False, True, True, True]), (4.5, 15.0, [True, True, True, False])]
)
def test_cut_off_repetitions_are_marked(start_s: float, end_s: float, complete: list[bool]) -> None:
    cut = find_repetitions(five_squats().between(start_s, end_s))
    assert cut.count == 3
    assert [one.complete for one in cut.repetitions] == complete
    if not complete[0]:
        assert cut.repetitions[0].start_s == pytest.approx(start_s, abs=0.1)
    else:
        assert cut.repetitions[-1].end_s == pytest.approx(end_s, abs=0.1)
    assert min(one.confidence for one in cut.complete) > max(
        one.confidence for one in cut.repetitions if not one.complete
    )


def test_missing_is_not_movement(squats: RepetitionSet) -> None:
    whole = five_squats()
    xy_px = whole.xy_px.copy()
    xy_px[np.random.default_rng(1).random(len(whole)) < 0.3] = np.nan
    flickering = find_repetitions(replace(whole, xy_px=xy_px))
    assert [one.turn_s for one in flickering.repetitions] == pytest.approx(
        [one.turn_s for one in squats.repetitions], abs=0.15
    )
    xy_px = whole.xy_px.copy()
    xy_px[(whole.time_s > 7.8) & (whole.time_s < 10.6)] = np.nan  # the third repetition goes unseen
    assert find_repetitions(replace(whole, xy_px=xy_px)).count == 4


@pytest.mark.parametrize("part", ["left_", "right_"])
def test_a_hidden_side_does_not_matter(part: str) -> None:
    whole = five_squats()
    hidden = [number for number, joint in enumerate(BLAZEPOSE_33.joints) if joint.startswith(part)]
    xy_px = whole.xy_px.copy()
    xy_px[:, hidden] = np.nan
    assert find_repetitions(replace(whole, xy_px=xy_px)).count == 5


def _still(time_s: Array) -> Figure:
    return standing(time_s)


def _swinging_arm(time_s: Array) -> Figure:
    return raise_arm(standing(time_s), "left", np.radians(28) * np.sin(2 * np.pi * 0.8 * time_s))


def _swinging_arms(time_s: Array) -> Figure:
    swing = np.radians(28) * np.sin(2 * np.pi * 0.8 * time_s)
    return raise_arm(raise_arm(standing(time_s), "left", swing), "right", swing)


def _walk_past(time_s: Array) -> Figure:
    return walk(time_s)


def _sway(time_s: Array) -> Figure:
    figure = standing(time_s)
    for points in figure.values():
        points[:, 0] += 0.02 * np.sin(2 * np.pi * 0.3 * time_s) * points[:, 1]
    return figure


def _pick_up(time_s: Array) -> Figure:
    """Walks in, bends to a bottle with one arm, walks on."""
    bend = bumps(time_s, [4.0], 2.0)
    figure, still = walk(time_s), squat(time_s, 0.7 * bend)
    along = np.interp(time_s, [0, 3.8, 6.2, 10], [0, 2.6, 2.6, 5.2])
    moving = ((time_s < 3.8) | (time_s > 6.2))[:, None]
    for joint, points in figure.items():
        points[:, 0] -= 0.7 * time_s
        figure[joint] = np.where(moving, points, still[joint])
        if joint == "right_wrist":
            figure[joint][:, 1] -= 0.2 * bend
        figure[joint][:, 0] += along
    return figure


def _cut(time_s: Array) -> Figure:
    """Stands; another shot shows the person crouching elsewhere, closer; back to the first."""
    depth = ((time_s > 3) & (time_s < 6)).astype(float)
    figure = squat(time_s, depth)
    for points in figure.values():
        points[depth > 0] = points[depth > 0] * 1.4 + (0.5, 0.1)
    return figure


def _sit_down(time_s: Array) -> Figure:
    return squat(time_s, np.interp(time_s, [0, 3, 4.5, 10], [0, 0, 1, 1]))


@pytest.mark.parametrize(
    "movement", [_still, _swinging_arm, _swinging_arms, _walk_past, _sway, _pick_up, _cut, _sit_down]
)
def test_other_movement_is_no_repetition(movement: Callable[[Array], Figure]) -> None:
    time_s = times(10)
    assert find_repetitions(sequence(time_s, movement(time_s))).count == 0


def test_a_walk_to_the_bar_before_the_set_does_not_count() -> None:
    time_s = times(24)
    figure, lifting = walk(np.minimum(time_s, 5.0)), squat(time_s, bumps(time_s, [8.0, 11.0, 14.0, 17.0], 2.4))
    lifting = {joint: points + (0.7 * 5.0, 0) for joint, points in lifting.items()}
    figure = {joint: np.where((time_s < 5)[:, None], points, lifting[joint]) for joint, points in figure.items()}
    found = find_repetitions(sequence(time_s, figure))
    assert found.count == 4 and min(one.start_s for one in found.complete) > 7


@pytest.mark.parametrize(("bends_deg", "count"), [((140, 140, 140), 3), ((140, -100, 100), 0)])
def test_after_a_walk_one_arm_must_move_alike_to_be_counted(bends_deg: tuple[int, ...], count: int) -> None:
    time_s = times(20)
    figure = walk(np.minimum(time_s, 14.0))
    starts, lengths_s = (14.5, 16.2, 17.9), (1.5, 1.5, 1.5) if count else (1.5, 0.9, 1.9)
    bend = sum(
        bumps(time_s, [start], length_s) * np.radians(degrees)
        for start, length_s, degrees in zip(starts, lengths_s, bends_deg, strict=True)
    )
    figure["left_wrist"] = figure["left_elbow"] + 0.15 * np.stack([np.sin(bend), -np.cos(bend)], axis=1)
    assert find_repetitions(sequence(time_s, figure)).count == count


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_little_or_nothing_to_see(frames: int) -> None:
    assert find_repetitions(PoseSequence.empty(time_s=np.arange(frames) / 30)).count == 0
    assert find_repetitions(five_squats().select(slice(0, frames))).count == 0


def test_all_joints_at_one_point() -> None:
    whole = five_squats()
    assert find_repetitions(replace(whole, xy_px=np.zeros_like(whole.xy_px))).count == 0


def test_parameters_are_checked_and_explained() -> None:
    with pytest.raises(ValueError, match="min_duration_s"):
        RepetitionParameters(min_duration_s=20.0)
    with pytest.raises(ValueError, match="hysteresis"):
        RepetitionParameters(hysteresis=())
    for name in RepetitionParameters.__dataclass_fields__:
        assert f"    {name}: " in (RepetitionParameters.__doc__ or "")


def play(whole: PoseSequence, live: LiveRepetitions) -> list[float]:
    """The turning points of what is told, frame by frame."""
    told = [live.update(*frame) for frame in zip(whole.xy_px, whole.score, whole.time_s, strict=True)]
    return [one.turn_s for one in (*told, *live.finish()) if one is not None]


def test_live_agrees_with_batch(squats: RepetitionSet) -> None:
    whole = five_squats()
    live = LiveRepetitions(whole.skeleton, whole.image_size, whole.person)
    told = play(whole, live)
    assert told == pytest.approx([one.turn_s for one in squats.repetitions], abs=0.15)
    assert live.count == squats.count
    assert [one.turn_s for one in live.repetitions] == [one.turn_s for one in squats.repetitions]
    live.reset()
    assert live.count == 0 and live.repetitions == () and live.told == ()
    assert len(play(whole, live)) == 5


def test_live_remembers_what_no_longer_fits_its_memory() -> None:
    starts = [1 + 3.0 * number for number in range(19)]
    time_s = times(60, 15)
    whole = sequence(time_s, squat(time_s, bumps(time_s, starts, 2.4)))
    live = LiveRepetitions(whole.skeleton, whole.image_size, memory_s=20.0, every_s=1.0)
    assert len(play(whole, live)) == 19
    assert live.count == 19


def test_live_refuses_frames_that_do_not_fit() -> None:
    live = LiveRepetitions()
    points, score = np.zeros((33, 2)), np.ones(33)
    assert live.finish() == ()
    assert live.update(points * np.nan, score * np.nan, 1.0) is None
    with pytest.raises(ValueError, match="increase"):
        live.update(points, score, 1.0)
    with pytest.raises(ValueError, match="33"):
        live.update(points[:5], score, 2.0)


def test_a_running_median_takes_out_moments_of_another_posture() -> None:
    still = five_squats(20)
    random = np.random.default_rng(0)
    xy_px = still.xy_px.copy()
    known = np.flatnonzero(np.isfinite(xy_px[0, :, 0]))
    for frame in range(7, len(xy_px), 15):
        xy_px[frame, known] = xy_px[frame, random.permutation(known)]
    spoiled = replace(still, xy_px=xy_px)
    truth = candidate_signals(still, 1.0)["left_knee_y"]
    rough, even = (candidate_signals(spoiled, 1.0, despike_s=width)["left_knee_y"] for width in (0.0, 0.35))
    assert np.abs(rough - truth).max() > 0.3
    assert np.abs(even - truth).max() < 0.1


@pytest.mark.parametrize(
    ("video", "count", "without"),
    [
        ("train3899", 2, RepetitionParameters(strong_score=np.inf, large_score=np.inf)),  # the posture drifts
        ("stu2_6", 3, RepetitionParameters(restless=np.inf, large_score=np.inf)),  # key points of a lying person jump
        ("train2534", 2, RepetitionParameters(large_score=np.inf)),  # large, but little alike
    ],
)
def test_landmarks_that_drift_or_jump(video: str, count: int, without: RepetitionParameters) -> None:
    file = settings.data_dir() / "data" / "repcount" / "repcount_test152.npz"
    if not file.is_file():
        pytest.skip("RepCount's landmarks are not here.")
    data = np.load(file)
    number = int(np.flatnonzero(data["name"] == video)[0])
    raw = data["lm_u16"][data["offset"][number] : data["offset"][number + 1]]
    xy_px = np.where((raw == 0).all(axis=(1, 2), keepdims=True), np.nan, raw * float(data["scale"]) * 1000)[..., :2]
    score = np.where(np.isfinite(xy_px[..., 0]), 1.0, np.nan)
    landmarks = PoseSequence(BLAZEPOSE_33, np.arange(len(raw)) / 30, xy_px, score, None, (1000, 1000))
    assert find_repetitions(landmarks).count == count
    assert find_repetitions(landmarks, without).count == 0


def test_ten_thousand_frames_take_a_moment() -> None:
    time_s = times(10_000 / 30)
    whole = sequence(time_s, squat(time_s, bumps(time_s, [3.0 * number for number in range(1, 110)], 2.4)))
    started = time.process_time()
    assert find_repetitions(whole).count == 109
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    ("clip", "count"),
    [("squat_side/sq_side_barbell_plate_occlusion_3reps.mp4", 3), ("squat_front/sq_oblique_8reps.mp4", 8)],
)
def test_real_clips(clip: str, count: int, media_dir: Path, tmp_path: Path) -> None:
    run = infer(media_dir / clip, RunStore(tmp_path), InferenceOptions(overlay=False))
    assert max(find_repetitions(person).count for person in run.recording().people) == count
