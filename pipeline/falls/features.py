"""What a fall looks like, as numbers that do not know where the camera stands, how far away or how fast it films.

A person is brought to 13 joints and to a grid of ten moments a second (a Gaussian-weighted mean of the frames around
each moment, so that the frame rate does not matter). Around every moment lies a window: ``BEFORE_S`` seconds before and
``AFTER_S`` after. Everything is measured in heights of the person (`height`, h), seconds and degrees; left and right
are treated alike, so a mirrored person gives the same numbers. What was not seen is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import sparse

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import KINECT_13

STEP_S = 0.1
BEFORE_S, AFTER_S = 1.5, 2.0
WINDOW = round((BEFORE_S + AFTER_S) / STEP_S) + 1  # moments
CENTRE = round(BEFORE_S / STEP_S)  # position of the window's moment in it
KERNEL_S = 0.08  # standard deviation of the weights; below half a step nothing is left out at 10 frames a second
REACH_S = 0.25  # frames further away have no weight
GAP_S = 0.5  # longer gaps stay gaps
MIN_SCORE = 0.1  # joints less certain than this are missing
# Lengths in shares of body height between joint centres (Drillis and Contini 1966, in Winter 2009, fig. 4.1).
TRUNK, THIGH, SHANK = 0.288, 0.245, 0.246
HEIGHT_QUANTILE = 0.8  # of all the estimates in a window: foreshortening only makes a limb shorter

_PAIRS = ("shoulder", "elbow", "hand", "hip", "knee", "foot")


@dataclass(frozen=True, eq=False)
class Body:
    """A person on the even grid.

    Attributes:
        time_s: (G,) multiples of ``STEP_S``.
        xy_px: (G, 13, 2) pixels of the joints of ``KINECT_13``, NaN where missing.
        score: (G, 13) mean confidence of the frames around.
        height_px: (G,) body height from the lengths of trunk, thighs and shanks in the window around each moment.
    """

    time_s: Array
    xy_px: Array
    score: Array
    height_px: Array

    def __len__(self) -> int:
        return len(self.time_s)


def body(sequence: PoseSequence) -> Body:
    """A person in the picture on the even grid; no frames give no moments."""
    person = sequence.to(KINECT_13)
    if not len(person):
        return Body(np.empty(0), np.empty((0, 13, 2)), np.empty((0, 13)), np.empty(0))
    first, last = (round(float(t) / STEP_S) for t in (person.time_s[0], person.time_s[-1]))
    time_s = np.arange(first, last + 1) * STEP_S
    known = np.isfinite(person.xy_px).all(axis=2) & (np.nan_to_num(person.score) >= MIN_SCORE)
    weights = _weights(person.time_s, time_s)
    total = weights @ known.astype(float)
    enough = total >= np.exp(-0.5 * (1.5) ** 2)  # a frame within 1.5 standard deviations
    safe = np.where(enough, total, np.nan)
    points = np.where(known[..., None], person.xy_px, 0.0)
    xy_px = np.stack([(weights @ points[..., axis]) / safe for axis in (0, 1)], axis=-1)
    score = (weights @ np.where(known, person.score, 0.0)) / np.maximum(np.asarray(weights.sum(axis=1)), 1e-9)[:, None]
    xy_px = _bridge(xy_px.reshape(len(time_s), -1)).reshape(xy_px.shape)
    return Body(time_s, xy_px, np.asarray(score), _height_px(xy_px))


def _weights(frames_s: Array, grid_s: Array) -> sparse.csr_array:
    """(G, T) weight of each frame at each moment."""
    reach = int(np.ceil(REACH_S / STEP_S))
    nearest = np.round((frames_s - grid_s[0]) / STEP_S).astype(int)
    rows = nearest[:, None] + np.arange(-reach, reach + 1)
    columns = np.repeat(np.arange(len(frames_s)), rows.shape[1]).reshape(rows.shape)
    inside = (rows >= 0) & (rows < len(grid_s))
    rows, columns = rows[inside], columns[inside]
    values = np.exp(-0.5 * ((frames_s[columns] - grid_s[rows]) / KERNEL_S) ** 2)
    return sparse.csr_array((values, (rows, columns)), shape=(len(grid_s), len(frames_s)))


def _bridge(columns: Array) -> Array:
    """Gaps of at most ``GAP_S`` filled by straight lines."""
    filled, place = columns.copy(), np.arange(len(columns))
    for column in filled.T:
        known = np.flatnonzero(np.isfinite(column))
        if len(known) < 2:
            continue
        gap = np.flatnonzero((np.diff(known) > 1) & (np.diff(known) * STEP_S <= GAP_S + 1e-9))
        for start, end in zip(known[gap], known[gap + 1], strict=True):
            inside = place[start + 1 : end]
            column[inside] = np.interp(inside, (start, end), column[[start, end]])
    return filled


def joint(points: Array, name: str) -> Array:
    """(..., 2) a joint of KINECT_13, or the middle of a pair ("hip"); one side stands for both when alone."""
    if name in KINECT_13:
        return points[..., KINECT_13.index(name), :]
    sides = points[..., [KINECT_13.index(f"left_{name}"), KINECT_13.index(f"right_{name}")], :]
    return _mean(sides, axis=-2)


def _mean(values: Array, axis: int) -> Array:
    """Mean of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    return np.where(known, values, 0.0).sum(axis=axis) / np.where(count, count, np.nan)


def _height_px(xy_px: Array) -> Array:
    limbs = [(joint(xy_px, "shoulder") - joint(xy_px, "hip"), TRUNK)]
    for side in ("left", "right"):
        hip, knee, foot = (joint(xy_px, f"{side}_{name}") for name in ("hip", "knee", "foot"))
        limbs += [(hip - knee, THIGH), (knee - foot, SHANK)]
    estimates = np.stack([np.linalg.norm(vector, axis=-1) / share for vector, share in limbs], axis=1)  # (G, 5)
    windows = _windows(estimates).reshape(len(xy_px), -1)
    height = np.full(len(xy_px), np.nan)
    some = np.isfinite(windows).any(axis=1)
    if some.any():
        height[some] = np.nanquantile(windows[some], HEIGHT_QUANTILE, axis=1)
    return np.where(height > 1.0, height, np.nan)


def _windows(values: Array) -> Array:
    """(G, columns, WINDOW) of (G, columns): the window around each moment, NaN beyond the ends."""
    if not len(values):
        return np.empty((0, values.shape[1], WINDOW))
    lead = np.full((CENTRE, values.shape[1]), np.nan)
    tail = np.full((WINDOW - 1 - CENTRE, values.shape[1]), np.nan)
    return sliding_window_view(np.concatenate([lead, values, tail]), WINDOW, axis=0)


# --- signals: one number a moment -----------------------------------------------------------------------------------

SIGNALS: dict[str, str] = {
    "trunk_deg": "angle of the trunk from upright (0 standing, 90 lying, 180 head down)",
    "hip_flexion_deg": "bend of the hips, 0 straight, mean of both sides",
    "knee_flexion_deg": "bend of the knees, 0 straight, mean of both sides",
    "thigh_deg": "angle of the thighs from hanging straight down, mean of both sides",
    "head_over_hip_h": "head above hips",
    "head_over_foot_h": "head above ankles",
    "hip_over_foot_h": "hips above ankles",
    "hand_over_foot_h": "hands above ankles",
    "lowest_under_hip_h": "lowest joint below the hips",
    "box_flatness": "width over width plus height of the box around the joints (0.5 a square)",
    "box_height_h": "height of that box",
    "box_width_h": "width of that box",
    "extent_h": "mean distance of the joints from their middle",
}
HEIGHTS: dict[str, str] = {
    "head": "height of the head",
    "shoulder": "height of the shoulders",
    "hip": "height of the hips",
    "middle": "height of the middle of all joints",
}
OTHERS: dict[str, str] = {
    "motion": "mean speed of the joints (h/s)",
    "place_x": "sideways place of the middle (h)",
    "confidence": "mean confidence of the joints",
    "missing": "share of the joints that are missing",
}
PARTS = ("head", *_PAIRS)
FLOOR_STATISTICS = ("mean", "std", "min", "max")  # of the forest this one replaces


def _angle_deg(a: Array, b: Array) -> Array:
    """Between (..., 2) vectors, 0..180 degrees."""
    dot = (a * b).sum(axis=-1)
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.degrees(np.arctan2(np.abs(cross), dot))


def signals(one: Body) -> dict[str, Array]:
    """(G,) each of ``SIGNALS``, ``HEIGHTS`` and ``OTHERS``; lengths in pixels still, up is positive."""
    xy = one.xy_px * (1.0, -1.0)
    head, shoulder, hip, foot, hand = (joint(xy, name) for name in ("head", "shoulder", "hip", "foot", "hand"))
    up, down = np.array([0.0, 1.0]), np.array([0.0, -1.0])
    bends: dict[str, list[Array]] = {"hip": [], "knee": [], "thigh": []}
    for side in ("left", "right"):
        s, h, k, f = (joint(xy, f"{side}_{name}") for name in ("shoulder", "hip", "knee", "foot"))
        bends["hip"].append(180 - _angle_deg(s - h, k - h))
        bends["knee"].append(180 - _angle_deg(h - k, f - k))
        bends["thigh"].append(_angle_deg(k - h, np.broadcast_to(down, h.shape)))
    low, high = _reduced(np.fmin, xy), _reduced(np.fmax, xy)
    size = high - low
    middle = _mean(xy, axis=1)
    trunk = shoulder - hip
    speed = np.full(len(one), np.nan)
    if len(one) > 2:
        speed = _mean(np.linalg.norm(np.gradient(xy, STEP_S, axis=0), axis=2), axis=1)
    total = size.sum(axis=1)
    return {
        "trunk_deg": _angle_deg(trunk, np.broadcast_to(up, trunk.shape)),
        **{f"{name}_flexion_deg": _mean(np.stack(bends[name]), axis=0) for name in ("hip", "knee")},
        "thigh_deg": _mean(np.stack(bends["thigh"]), axis=0),
        "head_over_hip_h": (head - hip)[:, 1],
        "head_over_foot_h": (head - foot)[:, 1],
        "hip_over_foot_h": (hip - foot)[:, 1],
        "hand_over_foot_h": (hand - foot)[:, 1],
        "lowest_under_hip_h": hip[:, 1] - low[:, 1],
        "box_flatness": size[:, 0] / np.where(total > 0, total, np.nan),
        "box_height_h": size[:, 1],
        "box_width_h": size[:, 0],
        "extent_h": _mean(np.linalg.norm(xy - middle[:, None], axis=2), axis=1),
        "head": head[:, 1],
        "shoulder": shoulder[:, 1],
        "hip": hip[:, 1],
        "middle": middle[:, 1],
        "motion": speed,
        "place_x": middle[:, 0],
        "confidence": one.score.mean(axis=1),
        "missing": np.isnan(xy[..., 0]).mean(axis=1),
    }


def _reduced(reduce: np.ufunc, points: Array) -> Array:
    return np.asarray(reduce.reduce(points, axis=1))


# --- features: one row a window -------------------------------------------------------------------------------------

_PHASES = {"before": (-1.5, -0.5), "drop": (-0.4, 0.4), "after": (0.6, 2.0)}  # seconds around the moment


def _phase(name: str) -> slice:
    start, end = _PHASES[name]
    return slice(CENTRE + round(start / STEP_S), CENTRE + round(end / STEP_S) + 1)


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """(N,) moments in seconds and (N, F) features with their names; NaN where it cannot be known."""

    time_s: Array
    values: Array
    names: tuple[str, ...]


def features(one: Body) -> FeatureTable:
    """The features of the window around every moment of the grid; ``describe`` explains each name."""
    names: list[str] = []
    columns: list[Array] = []

    def put(name: str, values: Array) -> None:
        names.append(name)
        columns.append(values)

    given = signals(one)
    scale = one.height_px
    window = {name: _windows(values[:, None])[:, 0] for name, values in given.items()}
    for name in SIGNALS:
        values = window[name] / scale[:, None] if name.endswith("_h") else window[name]
        for phase in _PHASES:
            put(f"{name}.{phase}", _mean(values[:, _phase(phase)], axis=1))
        put(f"{name}.change", columns[-1] - columns[-3])
        put(f"{name}.min", _least(values))
        put(f"{name}.max", -_least(-values))
    put("trunk_rate_deg_s", -_least(-_rate(window["trunk_deg"], 3)))
    for name in HEIGHTS:
        values = window[name] / scale[:, None]
        before, after = (_mean(values[:, _phase(phase)], axis=1) for phase in ("before", "after"))
        put(f"{name}_drop_h", before - after)
        put(f"{name}_fall_speed_h_s", -_least(_rate(values, 3)))
        put(f"{name}_rise_speed_h_s", -_least(-_rate(values, 3)))
        put(f"{name}_rise_after_h", -_least(-values[:, CENTRE + 10 :]) - _least(values[:, CENTRE : CENTRE + 10]))
    motion = window["motion"] / scale[:, None]
    for phase in _PHASES:
        put(f"motion_h_s.{phase}", _mean(motion[:, _phase(phase)], axis=1))
    put("stillness_h_s", _least(_running_mean(motion[:, CENTRE + 5 :], 5)))
    put("travel_h", np.abs(_rate(window["place_x"] / scale[:, None], 10))[:, CENTRE - 5] * 10 * STEP_S)
    for name in ("confidence", "missing"):
        for phase in _PHASES:
            put(f"{name}.{phase}", _mean(window[name][:, _phase(phase)], axis=1))
    _floor(one, put)
    values = np.stack(columns, axis=1) if len(one) else np.empty((0, len(names)))
    return FeatureTable(one.time_s, values.astype(np.float32), tuple(names))


def _floor(one: Body, put: object) -> None:
    """Mean, standard deviation, least and greatest of each coordinate, of joints around the hips in body heights."""
    assert callable(put)
    centred = one.xy_px - joint(one.xy_px, "hip")[:, None]
    for part in PARTS:
        points = joint(centred, part)
        for axis, values in (("x", np.abs(points[:, 0])), ("y", -points[:, 1])):
            if part == "hip":  # always 0: its place in the window instead
                values = (joint(one.xy_px, "hip")[:, "xy".index(axis)]) * (1.0 if axis == "x" else -1.0)
            rows = _windows(values[:, None])[:, 0] / one.height_px[:, None]
            mean = _mean(rows, axis=1)
            std = np.sqrt(_mean((rows - mean[:, None]) ** 2, axis=1))
            if part == "hip":
                put(f"hip_{axis}_std_h", std)
                continue
            for name, column in zip(FLOOR_STATISTICS, (mean, std, _least(rows), -_least(-rows)), strict=True):
                put(f"{part}_{axis}_{name}_h", column)


def _least(values: Array) -> Array:
    """Smallest of each row, NaN where nothing is known."""
    return np.asarray(np.fmin.reduce(values, axis=1)) if values.shape[1] else np.full(len(values), np.nan)


def _rate(values: Array, steps: int) -> Array:
    """Change a second of each row over ``steps`` steps."""
    return (values[:, steps:] - values[:, :-steps]) / (steps * STEP_S)


def _running_mean(values: Array, width: int) -> Array:
    rows: Array = sliding_window_view(values, width, axis=1).mean(axis=2)
    return rows


_STATISTICS = {
    "before": "mean 1.5 to 0.5 s before",
    "drop": "mean of the 0.8 s around the moment",
    "after": "mean 0.6 to 2 s after",
    "change": "after minus before",
    "min": "least in the window",
    "max": "greatest in the window",
}
_SPECIAL = {
    "trunk_rate_deg_s": "fastest tilt of the trunk, over 0.3 s (deg/s)",
    "stillness_h_s": "quietest half second after, mean speed of the joints (h/s)",
    "travel_h": "sideways way of the body in the second around the moment (h)",
    "hip_x_std_h": "spread of the hips' sideways place in the window (h)",
    "hip_y_std_h": "spread of the hips' height in the window (h)",
}
_SUFFIXES = {
    "_drop_h": "before minus after (h)",
    "_fall_speed_h_s": "fastest way down over 0.3 s (h/s)",
    "_rise_speed_h_s": "fastest way up over 0.3 s (h/s)",
    "_rise_after_h": "how far it comes up again, 1 to 2 s after (h)",
}


def describe(name: str) -> str:
    """A feature in words, with its unit; h is the person's own height. Raises KeyError for one that there is not."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    for suffix, text in _SUFFIXES.items():
        if name.endswith(suffix):
            return f"{HEIGHTS[name.removesuffix(suffix)]}: {text}"
    if "." in name:
        signal, statistic = name.split(".")
        unit = "deg" if signal.endswith("_deg") else "h" if signal.endswith("_h") else ""
        text = {**SIGNALS, **OTHERS, "motion_h_s": OTHERS["motion"]}[signal]
        return f"{text}: {_STATISTICS[statistic]}" + (f" ({unit})" if unit else "")
    part, axis, statistic, _ = name.split("_")
    if part not in PARTS or statistic not in FLOOR_STATISTICS:
        raise KeyError(f"there is no feature {name!r}")
    where = "beside" if axis == "x" else "above"
    return f"{part} {where} the hips: {statistic} over the window (h)"
