"""Curves: gaps, outliers, filters and left/right swaps, against SciPy, hand-made truth and properties."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import signal as scipy_signal

from pipeline.poses import Array, PoseSequence
from pipeline.settings import data_dir
from pipeline.signal import (
    CleanParameters,
    FilterParameters,
    GapParameters,
    OneEuro,
    OneEuroParameters,
    OutlierParameters,
    body_size_px,
    butterworth,
    clean,
    fill_gaps,
    find_outliers,
    median_of_known,
    one_euro,
    repair_swaps,
    savitzky_golay,
)
from pipeline.skeletons import BLAZEPOSE_33, COCO_17, KINECT_20, Skeleton
from pipeline.swaps import group_of

HEIGHT_PX = 400.0


def clock(duration_s: float, fps: float) -> Array:
    return np.arange(round(duration_s * fps) + 1) / fps


def sequence_of(
    time_s: Array, points: dict[str, Array], skeleton: Skeleton = BLAZEPOSE_33, noise_px: float = 0.0
) -> PoseSequence:
    """Points by joint name in body heights (x right, y down); joints without points are missing."""
    xy = np.full((len(time_s), len(skeleton), 2), np.nan)
    for joint, place in points.items():
        if joint in skeleton:
            xy[:, skeleton.index(joint)] = np.broadcast_to(place, (len(time_s), 2)) * HEIGHT_PX + (300, 100)
    xy += np.random.default_rng(4).normal(0, noise_px, xy.shape) if noise_px else 0
    score = np.where(np.isfinite(xy).all(axis=2), 0.9, np.nan)
    return PoseSequence(skeleton, time_s, xy, score, None, (1280, 720))


def walk(time_s: Array, *, cadence_hz: float = 0.9, spread: float = 0.02, noise_px: float = 2.0) -> PoseSequence:
    """A walk on the spot seen from the side: the legs and arms of the two sides swing in opposite phase and cross."""
    points: dict[str, Array] = {"nose": np.array([0.05, 0.05])}
    for side, sign in (("left", 1), ("right", -1)):
        phase = 2 * np.pi * cadence_hz * time_s
        swing = sign * np.sin(phase)
        lift = np.maximum(0, sign * np.cos(phase))
        shift = sign * spread

        def at(
            x: float, y: float, swing: Array = swing, lift: Array = lift, shift: float = shift, up: float = 0
        ) -> Array:
            return np.stack([shift + x * swing, y - up * lift], axis=1)

        points |= {
            f"{side}_shoulder": at(-0.02, 0.18),
            f"{side}_elbow": at(-0.10, 0.36),
            f"{side}_wrist": at(-0.18, 0.50),
            f"{side}_hip": at(0.02, 0.52),
            f"{side}_knee": at(0.14, 0.74, up=0.03),
            f"{side}_ankle": at(0.26, 0.94, up=0.06),
            f"{side}_heel": at(0.26, 0.97, up=0.08) - (0.03, 0),
            f"{side}_foot_index": at(0.26, 0.98, up=0.04) + (0.10, 0),
        }
    return sequence_of(time_s, points, noise_px=noise_px)


def swapped(sequence: PoseSequence, frames: Array, parts: tuple[str, ...]) -> PoseSequence:
    order = np.tile(np.arange(len(sequence.skeleton)), (len(sequence), 1))
    for left, right in sequence.skeleton.left_right:
        if any(part in sequence.skeleton.joints[left] for part in parts):
            order[frames, left], order[frames, right] = right, left
    return replace(
        sequence,
        xy_px=np.take_along_axis(sequence.xy_px, order[:, :, None], axis=1),
        score=np.take_along_axis(sequence.score, order, axis=1),
    )


# Gaps


@pytest.mark.parametrize("fps", [10, 29.97, 60, 240])
@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_gap_limit_is_exact_in_seconds(fps: float, method: str) -> None:
    time_s = clock(3, fps)
    values = time_s[:, None] * 5 + 1
    start, end = round(fps), round(2 * fps)
    values[start + 1 : end] = np.nan
    gap_s = time_s[end] - time_s[start]
    np.testing.assert_allclose(fill_gaps(values, time_s, gap_s, method), time_s[:, None] * 5 + 1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(fill_gaps(values, time_s, gap_s - 1e-6, method), values)  # type: ignore[arg-type]


def test_gaps_follow_timestamps_not_frame_numbers() -> None:
    time_s = np.array([0.0, 0.1, 0.4, 0.5])
    filled = fill_gaps(np.array([0.0, np.nan, 4.0, 5.0]), time_s, 0.4)
    assert filled[1] == pytest.approx(1.0)


def test_nothing_is_invented_beyond_the_ends() -> None:
    time_s = clock(1, 10)
    values = np.full(11, np.nan)
    values[3:8] = 7.0
    for method in ("linear", "cubic"):
        filled = fill_gaps(values, time_s, 9.0, method)  # type: ignore[arg-type]
        np.testing.assert_array_equal(filled, values)


def test_cubic_rounds_a_turn_better_than_linear() -> None:
    time_s = clock(2, 30)
    truth = np.cos(2 * np.pi * time_s)
    values = truth.copy()
    values[28:33] = np.nan  # at a peak
    error = {m: np.abs(fill_gaps(values, time_s, 0.25, m) - truth).max() for m in ("linear", "cubic")}  # type: ignore[arg-type]
    assert error["cubic"] < 0.01 < 0.1 < error["linear"]


curves = arrays(
    np.float64,
    st.tuples(st.integers(0, 30), st.integers(1, 4)),
    elements=st.one_of(st.just(np.nan), st.floats(-1e3, 1e3)),
)


@settings(max_examples=150, deadline=None)
@given(curves, st.floats(0, 1), st.sampled_from(["linear", "cubic"]), st.integers(0, 99))
def test_gap_filling_properties(values: Array, max_gap_s: float, method: str, seed: int) -> None:
    time_s = np.cumsum(np.random.default_rng(seed).uniform(0.01, 0.2, len(values)))
    filled = fill_gaps(values, time_s, max_gap_s, method)  # type: ignore[arg-type]
    assert filled.shape == values.shape
    seen = np.isfinite(values)
    np.testing.assert_array_equal(filled[seen], values[seen])
    for column in range(values.shape[1]):
        known = np.flatnonzero(seen[:, column])
        for frame in np.flatnonzero(~seen[:, column]):
            before, after = known[known < frame], known[known > frame]
            short = len(before) and len(after) and time_s[after[0]] - time_s[before[-1]] <= max_gap_s
            assert np.isfinite(filled[frame, column]) == bool(short)
            if short and method == "linear":
                ends = values[[before[-1], after[0]], column]
                assert ends.min() - 1e-9 <= filled[frame, column] <= ends.max() + 1e-9
    again = fill_gaps(filled, time_s, max_gap_s, method)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again, filled)


@settings(max_examples=60, deadline=None)
@given(curves, st.sampled_from(["butterworth", "savitzky_golay", "one_euro"]), st.integers(0, 99))
def test_filters_keep_shape_and_missing_values(values: Array, kind: str, seed: int) -> None:
    time_s = np.cumsum(np.random.default_rng(seed).uniform(0.01, 0.2, len(values)))
    smooth = {"butterworth": butterworth, "savitzky_golay": savitzky_golay, "one_euro": one_euro}[kind](values, time_s)
    assert smooth.shape == values.shape
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(values))
    constant = np.where(np.isnan(values), np.nan, 5.0)
    flat = {"butterworth": butterworth, "savitzky_golay": savitzky_golay, "one_euro": one_euro}[kind](constant, time_s)
    np.testing.assert_allclose(flat, constant, atol=1e-6)


# Filters


@pytest.mark.parametrize("fps", [30.0, 59.94, 120.0])
@pytest.mark.parametrize("order", [2, 4, 8])
def test_butterworth_leaves_half_the_power_at_the_cutoff_and_no_delay(fps: float, order: int) -> None:
    time_s = clock(20, fps)
    middle = (time_s > 5) & (time_s < 15)

    def response(frequency_hz: float) -> complex:
        smooth = butterworth(np.sin(2 * np.pi * frequency_hz * time_s), time_s, 6.0, order)
        wave = np.exp(-2j * np.pi * frequency_hz * time_s[middle])
        return complex((smooth[middle] * wave).sum() / (np.sin(2 * np.pi * frequency_hz * time_s)[middle] * wave).sum())

    assert abs(response(6.0)) == pytest.approx(1 / np.sqrt(2), abs=0.01)
    assert np.angle(response(3.0), deg=True) == pytest.approx(0, abs=0.2)
    assert abs(response(1.0)) == pytest.approx(1, abs=0.03)
    single = order // 2
    warped = np.arctan(np.tan(np.pi * 6 / fps) / (np.sqrt(2) - 1) ** (1 / order)) / np.pi * fps
    numerator, denominator = scipy_signal.butter(single, warped, fs=fps)
    for frequency_hz in (2.0, 4.0, 9.0, 12.0):  # what SciPy says two passes of this filter do
        _, expected = scipy_signal.freqz(numerator, denominator, [frequency_hz], fs=fps)
        assert abs(response(frequency_hz)) == pytest.approx(abs(expected[0]) ** 2, abs=0.01)


@pytest.mark.parametrize("smooth", [butterworth, savitzky_golay])
def test_same_curve_at_30_and_60_fps(smooth: object) -> None:
    def curve(time_s: Array) -> Array:
        return np.sin(2 * np.pi * 0.7 * time_s) + 0.4 * np.sin(2 * np.pi * 2.5 * time_s + 1)

    slow, fast = clock(6, 30), clock(6, 60)
    low, high = smooth(curve(slow), slow), smooth(curve(fast), fast)  # type: ignore[operator]
    np.testing.assert_allclose(high[::2], low, atol=0.02)


@pytest.mark.parametrize("smooth", [butterworth, savitzky_golay])
def test_uneven_timestamps_give_the_curve_of_even_ones(smooth: object) -> None:
    random = np.random.default_rng(0)
    even = clock(8, 30)
    uneven = np.sort(np.concatenate([[0, 8], random.uniform(0, 8, 300)]))
    uneven = uneven[np.concatenate([[True], np.diff(uneven) > 2e-3])]
    curve = lambda t: np.sin(2 * np.pi * 0.8 * t)  # noqa: E731
    expected = np.interp(uneven, even, smooth(curve(even), even))  # type: ignore[operator]
    inner = (uneven > 0.3) & (uneven < 7.7)
    np.testing.assert_allclose(smooth(curve(uneven), uneven)[inner], expected[inner], atol=0.03)  # type: ignore[operator]


def test_millisecond_timestamps_count_as_even() -> None:
    time_s = clock(5, 30)
    values = np.random.default_rng(1).normal(size=len(time_s)).cumsum()
    rounded = butterworth(values, np.round(time_s, 3))
    np.testing.assert_allclose(rounded, butterworth(values, time_s), atol=1e-2)


def test_runs_are_filtered_one_by_one_and_short_ones_kept_raw() -> None:
    time_s = clock(6, 30)
    random = np.random.default_rng(2)
    values = random.normal(size=(len(time_s), 2))
    values[60:90, 0] = np.nan
    values[96:, 0] = np.nan  # six frames left between two gaps
    smooth = butterworth(values, time_s)
    np.testing.assert_array_equal(smooth[90:96, 0], values[90:96, 0])
    np.testing.assert_allclose(smooth[:60, 0], butterworth(values[:60, 0], time_s[:60]))
    np.testing.assert_allclose(smooth[:, 1], butterworth(values[:, 1], time_s))
    assert not (smooth == 0).any()


def test_nothing_is_smoothed_across_a_cut() -> None:
    time_s = np.concatenate([clock(2, 30), clock(2, 30) + 60])
    values = np.concatenate([np.zeros(61), np.full(61, 100.0)])
    np.testing.assert_allclose(butterworth(values, time_s), values, atol=1e-9)


def test_a_cutoff_that_the_frame_rate_cannot_hold_leaves_the_curve_raw() -> None:
    time_s = clock(5, 10)
    values = np.random.default_rng(3).normal(size=len(time_s))
    np.testing.assert_array_equal(butterworth(values, time_s, cutoff_hz=6.0), values)


def test_one_euro_live_equals_batch_with_missing_values_and_starts_afresh_after_reset() -> None:
    random = np.random.default_rng(5)
    time_s = np.cumsum(random.uniform(0.01, 0.06, 200))
    values = random.normal(size=(200, 33, 2)).cumsum(axis=0) * 20
    values[random.random((200, 33)) < 0.1] = np.nan
    batch = one_euro(values, time_s, scale=HEIGHT_PX)
    live = OneEuro(scale=HEIGHT_PX)
    for _ in range(2):
        by_frame = np.stack([live.update(v, float(t)) for v, t in zip(values, time_s, strict=True)])
        np.testing.assert_array_equal(by_frame, batch)
        live.reset()
    live.update(values[0], 1.0)
    with pytest.raises(ValueError, match="not after"):
        live.update(values[0], 1.0)


def test_one_euro_agrees_with_the_published_algorithm_written_out() -> None:
    parameters = OneEuroParameters(min_cutoff_hz=1.0, beta=0.5, derivative_cutoff_hz=1.0)
    time_s = np.array([0.0, 0.03, 0.07, 0.1])
    values = np.array([1.0, 1.5, 3.0, 2.0])

    def alpha(cutoff: float, elapsed: float) -> float:
        return 1 / (1 + (1 / (2 * np.pi * cutoff)) / elapsed)

    smooth, speed, expected = values[0], 0.0, [values[0]]
    for value, elapsed in zip(values[1:], np.diff(time_s), strict=True):
        a = alpha(1.0, elapsed)
        speed = a * (value - smooth) / elapsed + (1 - a) * speed
        a = alpha(1.0 + 0.5 * abs(speed), elapsed)
        smooth = a * value + (1 - a) * smooth
        expected.append(smooth)
    np.testing.assert_allclose(one_euro(values, time_s, parameters), expected)


def test_one_euro_is_calm_at_rest_and_quick_in_motion() -> None:
    time_s = clock(6, 30)
    noise = np.random.default_rng(6).normal(0, 2, len(time_s))
    assert one_euro(noise + 100, time_s, scale=HEIGHT_PX)[30:].std() < 0.7 * noise[30:].std()
    squat = 100 * np.cos(2 * np.pi * 0.5 * time_s)
    lag_s = min(np.linspace(0, 0.3, 61), key=lambda lag: np.abs(
        np.interp(time_s[60:], time_s + 0, one_euro(squat, time_s, scale=HEIGHT_PX))
        - 100 * np.cos(2 * np.pi * 0.5 * (time_s[60:] - lag))
    ).sum())  # fmt: skip
    assert lag_s < 0.08


# Outliers


def test_slips_are_found_and_fast_movement_is_not() -> None:
    time_s = clock(10, 30)
    random = np.random.default_rng(7)
    arm = np.stack([np.sin(2 * np.pi * 2 * time_s), np.cos(2 * np.pi * 2 * time_s)], axis=1) * 0.2 * HEIGHT_PX
    values = np.stack([arm, np.zeros_like(arm)], axis=1) + random.normal(0, 1.5, (len(time_s), 2, 2))
    slips = np.zeros((len(time_s), 2), dtype=bool)
    slips[40::37, 0] = slips[50:52, 1] = slips[200::29, 1] = True
    values[slips] += 0.35 * HEIGHT_PX
    values[100:110] = np.nan
    found = find_outliers(values, time_s, HEIGHT_PX)
    slips &= np.isfinite(values[..., 0])
    assert (found & slips).sum() >= 0.9 * slips.sum()
    assert (found & ~slips).sum() == 0


def test_short_sequences_have_no_outliers() -> None:
    assert not find_outliers(np.array([[[0.0, 0]], [[900, 0]], [[0, 0]]]), clock(0.2, 10), 100.0).any()


# Left and right


@pytest.mark.parametrize("fps", [15, 30, 60])
@pytest.mark.parametrize(
    "parts", [("knee", "ankle", "heel", "foot"), ("elbow", "wrist", "shoulder", "hip", "knee", "ankle", "heel", "foot")]
)
def test_injected_swaps_are_flagged_and_repaired(fps: float, parts: tuple[str, ...]) -> None:
    time_s = clock(20, fps)
    truth = walk(time_s)
    random = np.random.default_rng(8)
    frames = np.zeros(len(time_s), dtype=bool)
    for start_s in np.arange(1, 19, 1.3):
        frames |= (time_s >= start_s) & (time_s < start_s + random.uniform(0.05, 0.6))
    repaired, report = repair_swaps(swapped(truth, frames, parts))

    apart = np.linalg.norm(truth["left_ankle"] - truth["right_ankle"], axis=1) > 0.15 * HEIGHT_PX
    legs = report.flagged[:, report.groups.index("legs")]
    recall = (legs & frames & apart).sum() / (frames & apart).sum()
    precision = (legs & frames & apart).sum() / max(1, (legs & apart).sum())
    assert recall >= 0.97, f"recall {recall:.3f}"
    assert precision >= 0.97, f"precision {precision:.3f}"
    error = np.linalg.norm(repaired["left_ankle"] - truth["left_ankle"], axis=1)
    assert (error[apart] < 1).mean() >= 0.97


@pytest.mark.parametrize("fps", [15, 30, 60])
@pytest.mark.parametrize("cadence_hz", [0.5, 0.9, 1.5])
def test_legs_that_really_cross_are_left_alone(fps: float, cadence_hz: float) -> None:
    _, report = repair_swaps(walk(clock(20, fps), cadence_hz=cadence_hz))
    assert report.frames.mean() < 0.005


@pytest.mark.parametrize("turn_s", [0.8, 3.0])
def test_somebody_who_turns_round_is_left_alone(turn_s: float) -> None:
    time_s = clock(12, 30)
    angle = np.pi * np.clip((time_s - 4) / turn_s, 0, 1) * (1 + (time_s > 8) * 0)
    points = {}
    for side, sign in (("left", 1), ("right", -1)):
        for joint, half_width, y in (
            ("eye", 0.02, 0.05), ("ear", 0.045, 0.06), ("shoulder", 0.11, 0.18), ("elbow", 0.14, 0.36),
            ("wrist", 0.15, 0.5), ("hip", 0.06, 0.52), ("knee", 0.06, 0.74), ("ankle", 0.06, 0.95),
        ):  # fmt: skip
            x = sign * half_width * np.cos(angle)
            points[f"{side}_{joint}"] = np.stack([x, np.full_like(x, y)], axis=1)
    _, report = repair_swaps(sequence_of(time_s, points, noise_px=1.5))
    assert not report.frames.any()


@pytest.mark.parametrize("hands", [False, True])
def test_sides_that_meet_and_part_again_are_left_alone(hands: bool) -> None:
    """Jumping jacks from the front: feet, and overhead the hands, come together and go back."""
    time_s = clock(10, 30)
    open_ = 0.5 - 0.5 * np.cos(2 * np.pi * time_s)
    points = {}
    for side, sign in (("left", 1), ("right", -1)):
        raise_ = np.pi * open_ * (1.0 if hands else 0.8)
        elbow = np.stack([sign * (0.11 + 0.17 * np.sin(raise_)), 0.18 + 0.17 * np.cos(raise_)], axis=1)
        wrist = np.stack(
            [sign * (0.03 + 0.28 * np.sin(raise_) + 0.08 * (1 - open_)), 0.18 + 0.33 * np.cos(raise_)], axis=1
        )
        points |= {
            f"{side}_shoulder": np.array([sign * 0.11, 0.18]), f"{side}_hip": np.array([sign * 0.06, 0.52]),
            f"{side}_elbow": elbow, f"{side}_wrist": wrist,
            f"{side}_knee": np.stack([sign * (0.05 + 0.07 * open_), np.full_like(open_, 0.74)], axis=1),
            f"{side}_ankle": np.stack([sign * (0.04 + 0.15 * open_), np.full_like(open_, 0.95)], axis=1),
        }  # fmt: skip
    _, report = repair_swaps(sequence_of(time_s, points, noise_px=1.5))
    assert not report.frames.any()


def _side_first(match: re.Match[str]) -> str:
    part, side = match.groups()
    return f"{part}_{side}" if side == "Center" else f"{side}_{part}"


@pytest.mark.parametrize("azimuth_deg", [0, 45, 90])
def test_swaps_on_motion_capture(azimuth_deg: float) -> None:
    """True sides are left alone and injected exchanges found, on real squats, jogs, hops, throws and jumping jacks."""
    file = data_dir() / "data/mocap_kinect20/mocap_kinect20.npz"
    if not file.exists():
        pytest.skip(
            f"the motion capture set is not there ({file.name}); set KINOSCOPE_DATA to the folder that holds it"
        )
    with np.load(file) as data:
        xyz, offset = data["xyz_i16"] * float(data["scale_m"]), data["offset"]
        names = [re.sub("(.*)(Left|Right|Center)$", _side_first, str(name)).lower() for name in data["joints"]]
    columns = [names.index(joint) for joint in KINECT_20.joints]
    random = np.random.default_rng(11)
    c, s = np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))
    right = wrong = missed = false_alarms = frames = 0
    for first, last in list(pairwise(offset))[::6]:
        if last - first < 40:
            continue
        take = xyz[first:last][:, columns]
        xy = np.stack([take[..., 0] * c + take[..., 2] * s, -take[..., 1]], axis=2) * 230 + 500
        xy += random.normal(0, 1.2, xy.shape)
        time_s = np.arange(len(xy)) / 30
        person = PoseSequence(KINECT_20, time_s, xy, np.ones(xy.shape[:2]), None, (1000, 1000))
        legs = [pair for pair in KINECT_20.left_right if group_of(KINECT_20.joints[pair[0]]) == "legs"]
        apart = np.mean([np.linalg.norm(xy[:, a] - xy[:, b], axis=1) for a, b in legs], axis=0) > 0.08 * HEIGHT_PX
        _, report = repair_swaps(person)
        false_alarms += int((report.flagged[:, report.groups.index("legs")] & apart).sum())
        injected = np.zeros(len(xy), dtype=bool)
        for start in range(int(random.integers(5, 20)), len(xy) - 20, 45):
            injected[start : start + int(random.integers(1, 18))] = True
        _, report = repair_swaps(swapped(person, injected, ("knee", "ankle", "foot")))
        flagged = report.flagged[:, report.groups.index("legs")]
        right += int((flagged & injected & apart).sum())
        wrong += int((flagged & ~injected & apart).sum())
        missed += int((~flagged & injected & apart).sum())
        frames += len(xy)
    assert frames > 5_000
    assert false_alarms <= 0.001 * frames
    assert right / (right + missed) > 0.97, f"recall {right / (right + missed):.3f}"
    assert right / (right + wrong) > 0.95, f"precision {right / (right + wrong):.3f}"


# The whole chain


def noisy(frames: int = 10_000, *, space: bool = True) -> PoseSequence:
    random = np.random.default_rng(9)
    base = walk(np.arange(frames) / 30.0, noise_px=3.0)
    xy = np.where(np.isfinite(base.xy_px), base.xy_px, 250 + random.normal(0, 3, base.xy_px.shape))
    xy[random.random(xy.shape[:2]) < 0.03] = np.nan
    xy[frames // 2 : frames // 2 + 45] = np.nan
    score = np.clip(random.normal(0.8, 0.15, xy.shape[:2]), 0, 1)
    xyz = np.concatenate([(xy - 300) / 230, np.full((*xy.shape[:2], 1), 0.1)], axis=2) if space else None
    return PoseSequence(BLAZEPOSE_33, base.time_s, xy, score, xyz, (1280, 720), 3)


@pytest.mark.parametrize("kind", ["butterworth", "savitzky_golay", "one_euro", "none"])
def test_clean_is_fast_and_keeps_what_it_must(kind: str) -> None:
    sequence = noisy()
    raw = sequence.xy_px.copy()
    started = time.process_time()  # others may be using the machine
    cleaned = clean(sequence, CleanParameters(filter=FilterParameters(kind=kind)))  # type: ignore[arg-type]
    assert time.process_time() - started < 2.0  # measured 0.5 s; the goal of 1 s with room for a slow machine
    np.testing.assert_array_equal(sequence.xy_px, raw)
    assert cleaned.person == 3 and cleaned.skeleton is BLAZEPOSE_33
    np.testing.assert_array_equal(cleaned.time_s, sequence.time_s)
    assert np.isnan(cleaned.xy_px[5_000:5_045]).all()
    assert np.isfinite(cleaned.xy_px[100:4_900]).mean() > 0.99
    assert not (cleaned.xy_px == 0).any() and cleaned.xyz_m is not None


def test_clean_brings_noisy_points_nearer_to_the_truth() -> None:
    time_s = clock(20, 30)
    truth, measured = walk(time_s, noise_px=0), walk(time_s, noise_px=6)
    random = np.random.default_rng(10)
    xy = measured.xy_px.copy()
    xy[random.random(xy.shape[:2]) < 0.02] += 120
    xy[random.random(xy.shape[:2]) < 0.05] = np.nan
    frames = (time_s > 7) & (time_s < 7.2)
    measured = swapped(replace(measured, xy_px=xy), frames, ("knee", "ankle", "heel", "foot"))
    cleaned = clean(measured)
    before = np.linalg.norm(measured.xy_px - truth.xy_px, axis=2)
    after = np.linalg.norm(cleaned.xy_px - truth.xy_px, axis=2)
    assert np.nanmean(after) < 0.5 * np.nanmean(before)
    assert np.nanpercentile(after, 99.5) < 25


def test_clean_treats_unsure_points_as_missing() -> None:
    base = walk(clock(4, 30), noise_px=0)
    score = base.score.copy()
    knee = BLAZEPOSE_33.index("left_knee")
    score[30:60, knee] = 0.2
    sequence = replace(base, score=score)
    parameters = CleanParameters(min_score=0.3)
    assert np.isnan(clean(sequence, parameters)["left_knee"][30:60]).all()
    assert np.isfinite(clean(sequence)["left_knee"]).all()
    unknown = replace(base, score=np.full_like(score, np.nan))
    assert np.isfinite(clean(unknown, parameters)["left_knee"]).all()


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 8])
def test_clean_takes_any_length(frames: int) -> None:
    whole = noisy(100)
    cleaned = clean(whole.select(slice(0, frames)))
    assert len(cleaned) == frames


def test_clean_of_nobody_is_nobody() -> None:
    nobody = clean(PoseSequence.empty(COCO_17, time_s=clock(2, 30)))
    assert nobody.frames_seen == 0 and np.isnan(nobody.xy_px).all()
    assert np.isnan(body_size_px(nobody))


def test_every_step_can_be_switched_off() -> None:
    sequence = noisy(200)
    off = CleanParameters(min_score=0, swaps=None, outliers=None, gaps=None, filter=FilterParameters(kind="none"))
    np.testing.assert_array_equal(clean(sequence, off).xy_px, sequence.xy_px)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: FilterParameters(kind="median"),  # type: ignore[arg-type]
        lambda: FilterParameters(order=3),
        lambda: FilterParameters(cutoff_hz=0),
        lambda: GapParameters(max_gap_s=-1),
        lambda: GapParameters(method="spline"),  # type: ignore[arg-type]
        lambda: OutlierParameters(window_s=0),
        lambda: OneEuroParameters(min_cutoff_hz=float("nan")),
        lambda: CleanParameters(min_score=2),
    ],
)
def test_parameters_refuse_nonsense_in_words(wrong: object) -> None:
    with pytest.raises(ValueError, match="it must be"):
        wrong()  # type: ignore[operator]


def test_the_quick_median_is_that_of_the_known_numbers() -> None:
    table = np.random.default_rng(4).normal(size=(200, 7))
    table[np.random.default_rng(5).random(table.shape) < 0.5] = np.nan
    table[:, 0] = np.arange(200)
    assert median_of_known(table) == pytest.approx(np.nanmedian(table, axis=1))
    assert median_of_known(np.empty((0, 4))).shape == (0,)
