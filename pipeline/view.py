"""Where the camera stands: the view of the person over time, the floor line and the camera's tilt.

All of it comes from the key points alone; everything carries a confidence or an error, because it decides which
measurements are allowed to speak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from pipeline.poses import Array, PoseSequence
from pipeline.swaps import body_size_px

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ViewParameters:
    """How the view is judged. The proportions are medians of BlazePose's points on clips whose view is known.

    smoothing_s: people take about a second to turn; the judgement is averaged over half of that.
    trunk_s: leaning forwards shortens the trunk in the picture; the longest trunk of a repetition's time is taken.
    shoulder_width: of the trunk's length, seen from the front.
    hip_width: of the trunk's length, seen from the front.
    foot_length: heel to toes, of the trunk's length, seen from the side.
    nose_length: ears to nose, of the trunk's length, seen from the side.
    front_deg: up to this turn a view counts as front (or back).
    side_deg: from this turn on it counts as side; between the two it is oblique.
    yaw_error_deg: standard error of the turn when all cues agree.
    """

    smoothing_s: float = 0.5
    trunk_s: float = 4.0
    shoulder_width: float = 0.67
    hip_width: float = 0.39
    foot_length: float = 0.40
    nose_length: float = 0.16
    front_deg: float = 30.0
    side_deg: float = 60.0
    yaw_error_deg: float = 12.0


@dataclass(frozen=True, eq=False)
class CameraView:
    """How the camera sees the person, frame by frame.

    Attributes:
        time_s: (T,) seconds.
        yaw_deg: (T,) the person's turn about the vertical: 0 faces the camera, 90 faces picture right, -90
            picture left, 180 shows the back; NaN unknown.
        label: (T,) "front", "oblique", "side", "back" or "unknown"; an oblique view from behind has a yaw above 90.
        confidence: (T,) 0..1 that the label is right; 0 where unknown.
    """

    time_s: Array
    yaw_deg: Array
    label: NDArray[np.str_]
    confidence: Array

    @property
    def near_side(self) -> NDArray[np.str_]:
        """(T,) "left" or "right": the side of the body nearer to the camera; "" from the front, the back or unknown."""
        clear = np.abs(np.sin(np.radians(np.nan_to_num(self.yaw_deg)))) > 0.5
        return np.where(clear, np.where(self.yaw_deg > 0, "right", "left"), "")

    @property
    def facing(self) -> NDArray[np.int_]:
        """(T,) 1 while the person faces picture right, -1 picture left, 0 towards or away from the camera, or unknown.

        With hysteresis, so that somebody who stands obliquely does not flicker: a side is taken at 37 degrees of turn
        and given up at 17.
        """
        sine = np.sin(np.radians(self.yaw_deg))
        clear = np.where(np.abs(sine) > 0.6, np.sign(sine), np.where(np.abs(sine) < 0.3, 0.0, np.nan))
        return np.nan_to_num(_held(clear)).astype(int)

    @property
    def from_behind(self) -> Mask:
        """(T,) True while more of the back than of the front is seen."""
        return np.asarray(np.abs(self.yaw_deg) > 90)

    def main(self) -> tuple[str, float]:
        """The view of most of the clip, and its mean confidence times its share of the frames; ("unknown", 0.0)."""
        known = self.label != "unknown"
        if not known.any():
            return "unknown", 0.0
        weight = {name: float(self.confidence[self.label == name].sum()) for name in np.unique(self.label[known])}
        best = max(weight, key=lambda name: weight[name])
        return str(best), weight[best] / len(self.label)


def camera_view(sequence: PoseSequence, parameters: ViewParameters | None = None) -> CameraView:
    """The view over time, from the proportions in the picture and, where there is space, from the pelvis and shoulders.

    In the picture the cosine of the turn is the signed width of shoulders and hips relative to the trunk (left joints
    at picture right: facing the camera), its sine the direction of feet and nose. All are measured across the trunk, so
    that people who lie or lean are judged alike. Without feet and face the bend of the knees over the whole clip says
    which way the person faces. In space the turn is that of the line from right to left hip and shoulder. The cues are
    averaged as unit vectors; their disagreement adds to the error from which the confidence follows.
    """
    parameters = parameters or ViewParameters()
    cues = [_in_picture(sequence, parameters)]
    if sequence.xyz_m is not None:
        cues.append(_in_space(sequence))
    steps = np.diff(sequence.time_s)
    window = max(1, round(parameters.smoothing_s / float(np.median(steps)))) if len(steps) else 1
    units = np.stack([_unit(_smoothed(cue, window)) for cue in cues])  # (cues, T, 2)
    known = np.isfinite(units).all(axis=2)
    mean = np.where(known[..., None], units, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)[:, None]
    yaw_deg = np.where(known.any(axis=0), np.degrees(np.arctan2(mean[:, 1], mean[:, 0])), np.nan)
    agreement = np.clip(np.linalg.norm(mean, axis=1), 0, 1)
    error_deg = parameters.yaw_error_deg + np.degrees(np.arccos(agreement))

    turn = np.abs(yaw_deg)
    edges = np.array(
        [0.0, parameters.front_deg, parameters.side_deg, 180 - parameters.side_deg, 180 - parameters.front_deg]
    )
    names = np.array(["front", "oblique", "side", "oblique", "back", "unknown"])
    place = np.where(np.isfinite(turn), np.searchsorted(edges, np.nan_to_num(turn), side="right") - 1, 5)
    low = np.array([-np.inf, *edges[1:], np.nan])[place]
    high = np.array([*edges[1:], np.inf, np.nan])[place]
    certain = special.ndtr((high - turn) / error_deg) - special.ndtr((low - turn) / error_deg)
    trunk = [sequence.skeleton.index(j) for j in _TRUNK if j in sequence.skeleton]
    score = sequence.score[:, trunk]
    seen = np.isfinite(score)
    sureness = np.where(seen, score, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    sureness = np.where(seen.any(axis=1), sureness, 0.5)  # no scores given: neither sure nor unsure
    return CameraView(sequence.time_s, yaw_deg, names[place], np.nan_to_num(certain * sureness))


_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def _in_picture(sequence: PoseSequence, parameters: ViewParameters) -> Array:
    """(T, 2) cosine and sine of the turn."""

    def point(*names: str) -> Array:
        found = [sequence[name] for name in names if name in sequence.skeleton]
        return np.mean(found, axis=0) if len(found) == len(names) else np.full((len(sequence), 2), np.nan)

    trunk = point("left_shoulder", "right_shoulder") - point("left_hip", "right_hip")
    length = np.linalg.norm(trunk, axis=1)
    across = np.stack([-trunk[:, 1], trunk[:, 0]], axis=1) / np.where(length > 0, length, np.nan)[:, None]
    steps = np.diff(sequence.time_s)
    if len(steps):
        window = max(1, round(parameters.trunk_s / float(np.median(steps))))
        length = ndimage.percentile_filter(np.nan_to_num(length), 90, size=window, mode="nearest")
    length = np.where(length > 0, length, np.nan)

    def measure(vector: Array, normal: float) -> Array:
        return np.clip(np.einsum("td,td->t", vector, across) / length / normal, -1, 1)

    cosine = _mean(
        [
            measure(point("left_shoulder") - point("right_shoulder"), parameters.shoulder_width),
            measure(point("left_hip") - point("right_hip"), parameters.hip_width),
        ]
    )
    feet = []
    for side in ("left", "right"):
        toe = next((n for n in (f"{side}_foot_index", f"{side}_big_toe") if n in sequence.skeleton), f"{side}_toe")
        feet.append(measure(point(toe) - point(f"{side}_heel"), parameters.foot_length))
    nose = measure(point("nose") - point("left_ear", "right_ear"), parameters.nose_length)
    foot = _mean(feet)
    sine = _mean([foot, foot, nose])  # the head turns by itself, so it counts half as much
    if not np.isfinite(sine).any():
        ankles = [j for j in ("ankle", "foot") if f"left_{j}" in sequence.skeleton][:1]
        bend = [
            measure(point(f"{side}_knee") - (point(f"{side}_hip") + point(f"{side}_{ankle}")) / 2, 1.0)
            for side in ("left", "right")
            for ankle in ankles
        ]
        direction = float(np.nansum(bend)) if bend else 0.0
        sine = np.sign(direction) * np.sqrt(1 - cosine**2)
    return np.stack([cosine, sine], axis=1)


def _in_space(sequence: PoseSequence) -> Array:
    """(T, 2) cosine and sine of the turn; forwards is the line from right to left crossed with the vertical."""
    assert sequence.xyz_m is not None
    lines = [
        sequence.xyz_m[:, sequence.skeleton.index(f"left_{joint}")]
        - sequence.xyz_m[:, sequence.skeleton.index(f"right_{joint}")]
        for joint in ("shoulder", "hip")
        if f"left_{joint}" in sequence.skeleton and f"right_{joint}" in sequence.skeleton
    ]
    if not lines:
        return np.full((len(sequence), 2), np.nan)
    line = _mean(lines)
    return np.stack([line[:, 0], -line[:, 2]], axis=1)


def _mean(values: list[Array]) -> Array:
    """The mean of what is known, NaN where nothing is."""
    stack = np.stack(values)
    known = np.isfinite(stack)
    return np.where(known.any(axis=0), np.where(known, stack, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _smoothed(values: Array, window: int) -> Array:
    """Moving average of the rows that are known; rows that are not stay NaN."""
    known = np.isfinite(values).all(axis=1)
    weight = ndimage.uniform_filter1d(known.astype(float), window, mode="constant") if len(values) else known
    total = ndimage.uniform_filter1d(np.where(known[:, None], values, 0.0), window, axis=0, mode="constant")
    return np.where(known[:, None], total / np.where(known, weight, 1.0)[:, None], np.nan)


def _unit(values: Array) -> Array:
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0.05, length, np.nan)


def _held(values: Array) -> Array:
    """NaN replaced by the last value before it; before the first one by the first."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    place = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    return values[known[np.maximum(place, 0)]]


@dataclass(frozen=True)
class FloorParameters:
    """Which foot points stand on the floor. Lengths are in body sizes.

    max_speed: body sizes a second; a standing foot hardly moves, a swinging one moves at 1 and more.
    max_height: above the lowest point of the body in the same frame; a raised foot may rest, too.
    min_span: the contacts must lie this far apart to show a tilt; the feet of somebody standing do.
    ankle_height: the ankle's height over the floor, of the body's (Drillis and Contini 1966), without heels and toes.
    """

    max_speed: float = 0.2
    max_height: float = 0.1
    min_span: float = 0.12
    ankle_height: float = 0.039


@dataclass(frozen=True, eq=False)
class Floor:
    """The floor as a line in the picture, and how far the camera is tilted against it.

    Attributes:
        y_px: height of the line at ``x_px`` = 0; NaN when no foot stood anywhere.
        slope: pixels down per pixel to the right.
        tilt_deg: the floor's angle in the picture, anticlockwise positive (rises to the right); 0 where
            it can't be told.
        tilt_error_deg: its error; NaN where it can't be told.
        contact: (T, 2) True while the left, right foot stands.
    """

    y_px: float
    slope: float
    tilt_deg: float
    tilt_error_deg: float
    contact: Mask

    def height_px(self, xy_px: Array) -> Array:
        """(...,) how far points (..., 2) are above the line, at right angles to it."""
        return np.asarray((self.y_px + self.slope * xy_px[..., 0] - xy_px[..., 1]) / np.hypot(1, self.slope))


def floor_line(sequence: PoseSequence, parameters: FloorParameters | None = None) -> Floor:
    """A line through heels and toes (ankles where there are none) while they stand, by Huber's robust regression.

    Feet at different distances from the camera stand at different heights in the picture without any tilt. So the two
    feet are compared with each other only from the front or back, where they are about equally far; from other views
    the slope comes from where each foot stands in turn, as in walking across the picture. Where that shows nothing the
    tilt is 0 with an unknown error. Assumes a still camera and a level floor; expects a cleaned sequence (speeds).
    """
    parameters = parameters or FloorParameters()
    size, nothing = body_size_px(sequence), np.zeros((len(sequence), 2), dtype=bool)
    if not np.isfinite(size) or size <= 0 or len(sequence) < 2:
        return Floor(np.nan, 0.0, 0.0, np.nan, nothing)
    contact, points, groups = nothing, [], []
    labels = camera_view(sequence).label
    level_with = np.isin(labels, ["front", "back"])  # the other foot
    bottom = sequence.boxes_px()[:, 3]
    for column, side in enumerate(("left", "right")):
        names = [f"{side}_{part}" for part in ("heel", "foot_index", "big_toe", "toe")]
        names = [name for name in names if name in sequence.skeleton]
        drop = 0.0
        if not names:
            drop = parameters.ankle_height * size
            names = [n for n in (f"{side}_ankle", f"{side}_foot") if n in sequence.skeleton][:1]
        for part, name in enumerate(names):
            place = sequence[name]
            speed = np.linalg.norm(np.gradient(place, sequence.time_s, axis=0), axis=1)
            stands = (speed < parameters.max_speed * size) & (place[:, 1] > bottom - parameters.max_height * size)
            contact[:, column] |= stands
            points.append(place[stands] + (0, drop))
            groups.append(np.where(level_with[stands], part, 8 * (column + 1) + part))
    standing = np.concatenate(points) if points else np.empty((0, 2))
    if not len(standing):
        return Floor(np.nan, 0.0, 0.0, np.nan, contact)
    step = max(1, len(standing) // 2000)
    standing, group = standing[::step], np.unique(np.concatenate(groups)[::step], return_inverse=True)[1]
    apart = standing[:, 0] - np.array([standing[group == g, 0].mean() for g in range(group.max() + 1)])[group]
    span = float(np.subtract(*np.percentile(apart, [95, 5])))
    if span < parameters.min_span * size:
        return Floor(float(np.median(standing[:, 1])), 0.0, 0.0, np.nan, contact)
    slope, spread = _robust_slope(apart, standing[:, 1], group)
    y_px = float(np.median(standing[:, 1] - slope * standing[:, 0]))
    return Floor(
        y_px, slope, float(np.degrees(np.arctan(-slope))), float(np.degrees(np.arctan(spread / span))), contact
    )


def _robust_slope(x: Array, y: Array, group: NDArray[np.int_]) -> tuple[float, float]:
    """Slope common to all groups, each with its own intercept, and the robust spread of the residuals.

    Huber weights (k = 1.345) by iteration (Huber 1964, Ann. Math. Stat. 35:73).
    """
    weight = np.ones(len(x))
    design = np.concatenate([x[:, None], np.eye(group.max() + 1)[group]], axis=1)
    fit, spread = np.zeros(design.shape[1]), 0.0
    for _ in range(15):
        root = np.sqrt(weight)[:, None]
        fit = np.linalg.lstsq(design * root, y * root[:, 0], rcond=None)[0]
        residual = np.abs(y - design @ fit)
        spread = 1.4826 * float(np.median(residual))
        weight = np.minimum(1, 1.345 * max(spread, 1e-9) / np.maximum(residual, 1e-9))
    return float(fit[0]), spread
