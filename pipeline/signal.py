"""From raw key points to clean curves: left/right swaps, outliers, gaps, filters.

Parameters are seconds and hertz, never frames, so that a clip gives the same curves at 30 and at 60 fps. Missing is
NaN: a gap that is too long to fill stays NaN and splits a curve into runs that are filtered one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage
from scipy import signal as scipy_signal

from pipeline.one_euro import OneEuro, OneEuroParameters, one_euro
from pipeline.poses import Array, PoseSequence
from pipeline.swaps import SwapParameters, SwapReport, body_size, body_size_px, repair_swaps

__all__ = [
    "CleanParameters",
    "FilterParameters",
    "GapParameters",
    "OneEuro",
    "OneEuroParameters",
    "OutlierParameters",
    "SwapParameters",
    "SwapReport",
    "body_size_px",
    "butterworth",
    "clean",
    "fill_gaps",
    "find_outliers",
    "one_euro",
    "repair_swaps",
    "savitzky_golay",
]

Mask = NDArray[np.bool_]

_TIME_TOLERANCE_S = 1e-9  # so that a gap of exactly the limit is filled in spite of rounding
_MAD_TO_SD = 1.4826  # median absolute deviation to standard deviation of a normal distribution


@dataclass(frozen=True)
class OutlierParameters:
    """What is a slip of the detector and not a movement.

    window_s: the neighbourhood whose median a point is compared with; slips last a few frames, movements longer.
    spread_s: the time over which the usual distance from that median is taken; about one repetition.
    deviations: robust standard deviations from the local median; 3 is Hampel's usual choice.
    min_jump: and at least this far, in body sizes; keeps the small noise of somebody who stands still.
    """

    window_s: float = 0.2
    spread_s: float = 1.0
    deviations: float = 3.0
    min_jump: float = 0.05

    def __post_init__(self) -> None:
        _require(self.window_s > 0, "window_s", self.window_s, "a positive number of seconds")
        _require(self.spread_s > 0, "spread_s", self.spread_s, "a positive number of seconds")
        _require(self.deviations > 0, "deviations", self.deviations, "a positive number")
        _require(self.min_jump >= 0, "min_jump", self.min_jump, "zero or more body sizes")


@dataclass(frozen=True)
class GapParameters:
    """Which gaps are filled, and how.

    max_gap_s: seconds between the two points seen on either side; in a quarter of a second a limb can't turn unseen.
    method: "linear" can't overshoot when a point before the gap is noisy; "cubic" rounds fast turns better.
    """

    max_gap_s: float = 0.25
    method: Literal["linear", "cubic"] = "linear"

    def __post_init__(self) -> None:
        _require(self.max_gap_s >= 0, "max_gap_s", self.max_gap_s, "zero or more seconds")
        _require(self.method in ("linear", "cubic"), "method", self.method, "'linear' or 'cubic'")


@dataclass(frozen=True)
class FilterParameters:
    """How curves are smoothed.

    kind: "butterworth" is the standard of movement analysis; "savitzky_golay" keeps peaks; "one_euro" is the live one.
    order: of the Butterworth filter after both passes; 4 is Winter's zero-lag filter.
    cutoff_hz: half of the power is left here; voluntary movement of the whole body lies below 6 Hz (Winter).
    window_s: Savitzky-Golay's window; a quarter of a second has about the bandwidth of the 6 Hz filter.
    polynomial_order: Savitzky-Golay's polynomial; 3 follows the turn of a repetition.
    one_euro: the parameters of "one_euro".
    max_step_s: a longer step between two timestamps is a cut, and nothing is smoothed across it.
    """

    kind: Literal["butterworth", "savitzky_golay", "one_euro", "none"] = "butterworth"
    order: int = 4
    cutoff_hz: float = 6.0
    window_s: float = 0.25
    polynomial_order: int = 3
    one_euro: OneEuroParameters = field(default_factory=OneEuroParameters)
    max_step_s: float = 0.5

    def __post_init__(self) -> None:
        kinds = ("butterworth", "savitzky_golay", "one_euro", "none")
        _require(self.kind in kinds, "kind", self.kind, f"one of {', '.join(kinds)}")
        _require(self.order >= 2 and self.order % 2 == 0, "order", self.order, "2, 4, 6 ...: half of it in each pass")
        _require(self.cutoff_hz > 0, "cutoff_hz", self.cutoff_hz, "a positive number of hertz")
        _require(self.window_s > 0, "window_s", self.window_s, "a positive number of seconds")
        _require(self.polynomial_order >= 0, "polynomial_order", self.polynomial_order, "zero or more")
        _require(self.max_step_s > 0, "max_step_s", self.max_step_s, "a positive number of seconds")


@dataclass(frozen=True)
class CleanParameters:
    """The whole chain, in the order in which it runs.

    min_score: a key point less sure than this counts as missing; below 0.1 detectors only guess.
    swaps: left/right repair; None leaves the sides as they are.
    outliers: rejection of slips; None keeps them.
    gaps: which gaps are filled; None fills none.
    filter: smoothing; its kind "none" leaves the curves as they are.
    """

    min_score: float = 0.1
    swaps: SwapParameters | None = field(default_factory=SwapParameters)
    outliers: OutlierParameters | None = field(default_factory=OutlierParameters)
    gaps: GapParameters | None = field(default_factory=GapParameters)
    filter: FilterParameters = field(default_factory=FilterParameters)

    def __post_init__(self) -> None:
        _require(0 <= self.min_score <= 1, "min_score", self.min_score, "between 0 and 1")


def _require(ok: bool, name: str, value: object, expected: str) -> None:
    if not ok:
        raise ValueError(f"{name} is {value!r}; it must be {expected}.")


def clean(sequence: PoseSequence, parameters: CleanParameters | None = None) -> PoseSequence:
    """Unsure points out, swaps repaired, outliers out, short gaps filled, curves filtered.

    Works on ``xy_px``, ``xyz_m`` and ``root_m``. Scores stay those of the detector (of the other side where a swap was
    repaired), so a filled point keeps the low or missing score that says it was not measured. The caller keeps the raw
    sequence; frames and times are the same in both.
    """
    parameters = parameters or CleanParameters()
    if not len(sequence):
        return sequence
    unsure = (sequence.score < parameters.min_score)[:, :, None]
    sequence = replace(
        sequence,
        xy_px=np.where(unsure, np.nan, sequence.xy_px),
        xyz_m=None if sequence.xyz_m is None else np.where(unsure, np.nan, sequence.xyz_m),
    )
    if parameters.swaps is not None:
        sequence, _ = repair_swaps(sequence, parameters.swaps)

    parts = [sequence.xy_px] + [part for part in (sequence.xyz_m, sequence.root_m) if part is not None]
    sizes = [body_size(part) if part.ndim == 3 else body_size(sequence.xyz_m) for part in parts]
    if parameters.outliers is not None:
        parts = [
            _without_outliers(p, sequence.time_s, s, parameters.outliers) for p, s in zip(parts, sizes, strict=True)
        ]
    frames = len(sequence)
    flat = np.concatenate([part.reshape(frames, -1) for part in parts], axis=1)
    scales = np.concatenate([np.full(part.size // frames, size) for part, size in zip(parts, sizes, strict=True)])
    if parameters.gaps is not None:
        flat = fill_gaps(flat, sequence.time_s, parameters.gaps.max_gap_s, parameters.gaps.method)
    flat = _filtered(flat, sequence.time_s, parameters.filter, scales)

    columns = np.split(flat, np.cumsum([part.size // frames for part in parts])[:-1], axis=1)
    cleaned = [column.reshape(part.shape) for column, part in zip(columns, parts, strict=True)]
    rest = iter(cleaned[1:])
    return replace(
        sequence,
        xy_px=cleaned[0],
        xyz_m=None if sequence.xyz_m is None else next(rest),
        root_m=None if sequence.root_m is None else next(rest),
    )


def _filtered(values: Array, time_s: Array, parameters: FilterParameters, scale: Array) -> Array:
    if parameters.kind == "butterworth":
        return butterworth(values, time_s, parameters.cutoff_hz, parameters.order, parameters.max_step_s)
    if parameters.kind == "savitzky_golay":
        order, step = parameters.polynomial_order, parameters.max_step_s
        return savitzky_golay(values, time_s, parameters.window_s, order, step)
    return one_euro(values, time_s, parameters.one_euro, scale) if parameters.kind == "one_euro" else values


# Outliers


def _without_outliers(values: Array, time_s: Array, size: float, parameters: OutlierParameters) -> Array:
    if not np.isfinite(size):
        return values
    points = values if values.ndim == 3 else values[:, None]
    return np.where(find_outliers(points, time_s, size, parameters)[..., None], np.nan, points).reshape(values.shape)


def find_outliers(values: Array, time_s: Array, size: float, parameters: OutlierParameters | None = None) -> Mask:
    """(T, J) True where a point lies off its own neighbourhood in time (Hampel identifier).

    A point is an outlier when its distance from the rolling median position exceeds both ``deviations`` robust standard
    deviations (1.4826 times the median of those distances over ``spread_s``) and ``min_jump`` times ``size``. Windows
    are at least 5 samples; missing points are bridged for the medians and never flagged.

    Source: Pearson et al. 2016, Generalized Hampel Filters, EURASIP J. Adv. Signal Process. 2016:87.

    Args:
        values: (T, J, D) positions; NaN missing.
        time_s: (T,) seconds.
        size: the body's size in the unit of ``values``.
    """
    parameters = parameters or OutlierParameters()
    frames, joints, _ = values.shape
    if frames < 5:
        return np.zeros((frames, joints), dtype=bool)
    step_s = float(np.median(np.diff(time_s)))
    window, spread_window = (
        max(5, 2 * round(seconds / step_s / 2) + 1) for seconds in (parameters.window_s, parameters.spread_s)
    )
    median = _rolling_median(_bridged(values.reshape(frames, -1), time_s), window).reshape(values.shape)
    distance = np.linalg.norm(values - median, axis=2)
    spread = _MAD_TO_SD * _rolling_median(_bridged(distance, time_s), spread_window, "mirror")
    return distance > np.maximum(parameters.deviations * spread, parameters.min_jump * size)


def _bridged(values: Array, time_s: Array) -> Array:
    finite = np.isfinite(values)
    bridged = values.copy()
    for column in np.flatnonzero(~finite.all(axis=0) & finite.any(axis=0)):
        seen = finite[:, column]
        bridged[~seen, column] = np.interp(time_s[~seen], time_s[seen], values[seen, column])
    return bridged


def _rolling_median(values: Array, window: int, ends: Literal["nearest", "mirror"] = "nearest") -> Array:
    """Column by column: SciPy's one-dimensional rank filter is four times as fast as its general one."""
    columns = [ndimage.median_filter(np.ascontiguousarray(column), size=window, mode=ends) for column in values.T]
    return np.stack(columns, axis=1) if columns else values


# Gaps


def fill_gaps(values: Array, time_s: Array, max_gap_s: float, method: Literal["linear", "cubic"] = "linear") -> Array:
    """Fills the gaps that are short enough; never before the first or after the last value of a column.

    A gap's length is the time between the two values that enclose it; a gap of exactly ``max_gap_s`` is filled. All
    other values, NaN included, come back unchanged.

    Args:
        values: (T, ...) with time along the first axis; NaN missing.
        time_s: (T,) seconds, strictly increasing.
        max_gap_s: longest gap to fill.
        method: "linear", or "cubic" for a cubic spline through the column's values (linear where there are under 4).
    """
    frames = len(time_s)
    flat = np.array(values, dtype=np.float64).reshape(frames, -1 if frames else 0)
    finite = np.isfinite(flat)
    if finite.all() or frames < 3:
        return flat.reshape(np.shape(values))
    index = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(finite, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(finite, index, frames)[::-1], axis=0)[::-1]
    inside = ~finite & (before >= 0) & (after < frames)
    length_s = time_s[np.minimum(after, frames - 1)] - time_s[np.maximum(before, 0)]
    fill = inside & (length_s <= max_gap_s + _TIME_TOLERANCE_S)

    row, column = np.nonzero(fill)
    start, end = before[row, column], after[row, column]
    share = (time_s[row] - time_s[start]) / (time_s[end] - time_s[start])
    filled = flat.copy()
    filled[row, column] = (1 - share) * flat[start, column] + share * flat[end, column]
    if method == "cubic":
        for one in np.flatnonzero(fill.any(axis=0) & (finite.sum(axis=0) >= 4)):
            seen, wanted = finite[:, one], fill[:, one]
            filled[wanted, one] = interpolate.CubicSpline(time_s[seen], flat[seen, one])(time_s[wanted])
    return filled.reshape(np.shape(values))


# Zero-phase filters for files


def butterworth(values: Array, time_s: Array, cutoff_hz: float = 6.0, order: int = 4, max_step_s: float = 0.5) -> Array:
    """Zero-phase Butterworth low pass: half the order forwards, half backwards.

    The cutoff of each pass is raised so that the amplitude at ``cutoff_hz`` is 1/sqrt(2) after both, as Winter does
    (Biomechanics and Motor Control of Human Movement, 4th ed. 2009, section 3.4.4.2). Each finite run of a column is
    filtered by itself. Runs no longer than the padding (one period of the cutoff, at least 9 samples) and runs sampled
    too slowly to hold the cutoff (under 2.05 times) come back raw. Runs with uneven timestamps are resampled with a
    cubic spline to a uniform grid, filtered and sampled back at their own times.

    Args:
        values: (T, ...) with time along the first axis; NaN missing.
        time_s: (T,) seconds, strictly increasing.
        cutoff_hz: frequency at which half of the power is left.
        order: even; 4 is the usual zero-lag filter of movement analysis.
        max_step_s: a longer step between timestamps ends a run.
    """
    return _by_run(values, time_s, max_step_s, partial(_butterworth_run, cutoff_hz=cutoff_hz, order=order))


def _butterworth_run(run: Array, rate_hz: float, cutoff_hz: float, order: int) -> Array:
    if rate_hz < 2.05 * cutoff_hz:
        return run
    single = order // 2
    correction = (np.sqrt(2) - 1) ** (1 / (2 * single))
    warped = np.tan(np.pi * cutoff_hz / rate_hz) / correction
    sections = scipy_signal.butter(single, 2 / np.pi * np.arctan(warped), output="sos")
    padding = max(9, int(np.ceil(rate_hz / cutoff_hz)))
    if len(run) <= padding:
        return run
    return np.asarray(scipy_signal.sosfiltfilt(sections, run, axis=0, padlen=padding))


def savitzky_golay(
    values: Array, time_s: Array, window_s: float = 0.25, polynomial_order: int = 3, max_step_s: float = 0.5
) -> Array:
    """Savitzky-Golay smoothing (Anal. Chem. 36, 1627, 1964): a polynomial fitted in a window sliding over each run.

    The window is ``window_s`` rounded to an odd number of samples that can hold the polynomial; shorter runs come back
    raw. Runs and uneven timestamps as in ``butterworth``.
    """
    return _by_run(values, time_s, max_step_s, partial(_savitzky_golay_run, window_s=window_s, order=polynomial_order))


def _savitzky_golay_run(run: Array, rate_hz: float, window_s: float, order: int) -> Array:
    window = max(2 * round(window_s * rate_hz / 2) + 1, 2 * (order // 2 + 1) + 1)
    if len(run) < window:
        return run
    return np.asarray(scipy_signal.savgol_filter(run, window, order, axis=0, mode="interp"))


def _by_run(values: Array, time_s: Array, max_step_s: float, apply: Callable[[Array, float], Array]) -> Array:
    """``apply(run, rate_hz)`` on every finite run; columns that share a run are filtered together."""
    shape, frames = np.shape(values), len(time_s)
    flat = np.array(values, dtype=np.float64).reshape(frames, -1 if frames else 0)
    finite = np.isfinite(flat)
    cut = np.diff(time_s) > max_step_s
    groups: dict[bytes, list[int]] = {}
    for column, packed in enumerate(np.packbits(finite, axis=0).T):
        groups.setdefault(packed.tobytes(), []).append(column)
    for columns in groups.values():
        for start, stop in _runs(finite[:, columns[0]], cut):
            if stop - start > 2:
                flat[start:stop, columns] = _evenly(flat[start:stop, columns], time_s[start:stop], apply)
    return flat.reshape(shape)


def _runs(mask: Mask, cut: Mask) -> Iterator[tuple[int, int]]:
    begins = mask & np.concatenate([[True], ~mask[:-1] | cut])[: len(mask)]
    ends = mask & np.concatenate([~mask[1:] | cut, [True]])[-len(mask) :]
    return zip(np.flatnonzero(begins).tolist(), (np.flatnonzero(ends) + 1).tolist(), strict=True)


def _evenly(run: Array, time_s: Array, apply: Callable[[Array, float], Array]) -> Array:
    duration_s, steps = float(time_s[-1] - time_s[0]), len(time_s) - 1
    even = np.linspace(time_s[0], time_s[-1], len(time_s))
    if np.abs(time_s - even).max() <= max(0.01 * duration_s / steps, 6e-4):  # timestamps rounded to milliseconds
        return apply(run, steps / duration_s)
    step_s = max(float(np.percentile(np.diff(time_s), 10)), duration_s / (4 * steps))
    grid = np.linspace(time_s[0], time_s[-1], max(4, int(np.ceil(duration_s / step_s)) + 1))
    smooth = apply(interpolate.CubicSpline(time_s, run)(grid), (len(grid) - 1) / duration_s)
    return np.asarray(interpolate.CubicSpline(grid, smooth)(time_s))


def median_of_known(table: Array) -> Array:
    """(K,) ``np.nanmedian`` of each row of (K, N), a hundred times faster for small N; each has a finite number."""
    ordered = np.sort(table, axis=1)  # NaN comes last
    known = np.isfinite(table).sum(axis=1)
    row = np.arange(len(table))
    return np.asarray((ordered[row, (known - 1) // 2] + ordered[row, known // 2]) / 2, dtype=np.float64)
