"""Left and right exchanged by the detector: finding the frames and putting the sides back.

Detectors sometimes call the left leg the right one for a few frames, most often from the side. The tracks then jump to
each other's place, while a real crossing of the legs, or somebody turning round, goes on smoothly. So the sides are
chosen, for the whole clip at once, such that all points move with the least acceleration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import Skeleton

Mask = NDArray[np.bool_]

_DEPTH_KNOWN = 0.9  # of the points: with less of it, depth would silence the picture

GROUPS = ("head", "trunk", "arms", "legs")
_PARTS = {
    "head": ("eye", "ear", "mouth"),
    "trunk": ("shoulder", "hip", "collar"),
    "legs": ("knee", "ankle", "foot", "heel", "toe"),  # before the arms: a foot_index is no finger
    "arms": ("elbow", "wrist", "hand", "pinky", "index", "thumb"),
}


@dataclass(frozen=True)
class SwapParameters:
    """When two sides count as exchanged. Lengths are in body sizes, so zoom does not matter.

    switch_cost: mean jump that an exchange must explain; well above noise, well below the distance of two limbs.
    swapped_cost_per_s: what a second of exchanged sides costs; the detector is right most of the time.
    max_jump: a point's jump counts no more than this; one lost point must not decide.
    max_gap_s: after a longer time unseen nothing is known about which side went where.
    """

    switch_cost: float = 0.05
    swapped_cost_per_s: float = 0.05
    max_jump: float = 0.15
    max_gap_s: float = 0.3

    def __post_init__(self) -> None:
        for name in ("switch_cost", "swapped_cost_per_s", "max_jump", "max_gap_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be zero or more.")


@dataclass(frozen=True, eq=False)
class SwapReport:
    """Which frames had their sides exchanged.

    Attributes:
        groups: G names of body parts; each is judged by itself.
        flagged: (T, G) True where left and right were exchanged.
    """

    groups: tuple[str, ...]
    flagged: Mask

    @property
    def frames(self) -> Mask:
        """(T,) True where any body part was exchanged."""
        return np.asarray(self.flagged.any(axis=1))


def body_size(points: Array | None) -> float:
    """Diagonal of the box around (T, J, D) points when the body is stretched out: 90th percentile over the frames.

    In the unit of the points; NaN when nothing was seen. Close to the height of somebody who stands in some frames.
    """
    if points is None or not points.size:
        return float("nan")
    diagonal = np.linalg.norm(np.fmax.reduce(points, axis=1) - np.fmin.reduce(points, axis=1), axis=1)
    diagonal = diagonal[np.isfinite(diagonal)]
    return float(np.percentile(diagonal, 90)) if len(diagonal) else float("nan")


def body_size_px(sequence: PoseSequence) -> float:
    """``body_size`` of the key points in the picture, in pixels."""
    return body_size(sequence.xy_px)


def group_of(joint: str) -> str | None:
    """The body part in whose exchange a joint takes part; None for the joints of the midline."""
    return next((group for group, parts in _PARTS.items() if any(part in joint for part in parts)), None)


def repair_swaps(sequence: PoseSequence, parameters: SwapParameters | None = None) -> tuple[PoseSequence, SwapReport]:
    """The sequence with the exchanged sides put back (points, scores and space alike), and what was exchanged."""
    report = find_swaps(sequence, parameters)
    if not report.flagged.any():
        return sequence, report
    order = np.tile(np.arange(len(sequence.skeleton)), (len(sequence), 1))
    for column, group in enumerate(report.groups):
        for left, right in _pairs(sequence.skeleton, group):
            order[report.flagged[:, column], left] = right
            order[report.flagged[:, column], right] = left

    def put_back(values: Array) -> Array:
        index = order if values.ndim == 2 else order[:, :, None]
        return np.take_along_axis(values, index, axis=1)

    repaired = replace(
        sequence,
        xy_px=put_back(sequence.xy_px),
        score=put_back(sequence.score),
        xyz_m=None if sequence.xyz_m is None else put_back(sequence.xyz_m),
        raw_score=None if sequence.raw_score is None else put_back(sequence.raw_score),
    )
    return repaired, report


def find_swaps(sequence: PoseSequence, parameters: SwapParameters | None = None) -> SwapReport:
    """The frames in which the detector exchanged left and right, for head, trunk, arms and legs by themselves.

    The cheapest sequence of "kept" and "exchanged" is found by dynamic programming (Viterbi 1967). A frame costs the
    mean distance (in body sizes) of the points from where the two frames before, going on at constant speed, would
    put them; changing between kept and exchanged, and staying exchanged, cost extra. Constant speed, and not place, so
    that limbs which pass each other are left alone. Where space is known, depth counts too: of two limbs that pass each
    other the near one stays near.
    """
    parameters = parameters or SwapParameters()
    size = body_size_px(sequence)
    flagged = np.zeros((len(sequence), len(GROUPS)), dtype=bool)
    if not np.isfinite(size) or size <= 0:
        return SwapReport(GROUPS, flagged)
    places = sequence.xy_px / size
    if sequence.xyz_m is not None:
        depth = sequence.xyz_m[:, :, 2:] / body_size(sequence.xyz_m)
        if np.isfinite(depth[np.isfinite(places).all(axis=2)]).mean() > _DEPTH_KNOWN:
            places = np.concatenate([places, depth], axis=2)
    for column, group in enumerate(GROUPS):
        pairs = np.array(_pairs(sequence.skeleton, group), dtype=int).reshape(-1, 2)
        tracks = places[:, pairs]  # (T, pairs, 2 sides, 2 or 3)
        seen = np.flatnonzero(np.isfinite(tracks).all(axis=(2, 3)).any(axis=1))
        if len(seen) > 2:
            flagged[seen, column] = _exchanged(tracks[seen], sequence.time_s[seen], parameters)
    return SwapReport(GROUPS, flagged)


def _pairs(skeleton: Skeleton, group: str) -> list[tuple[int, int]]:
    return [pair for pair in skeleton.left_right if group_of(skeleton.joints[pair[0]]) == group]


def _exchanged(tracks: Array, time_s: Array, parameters: SwapParameters) -> Mask:
    """(T,) True where exchanged, for the (T, P, 2, D) tracks of a body part.

    A state is the pair of choices (frame before, this frame), as acceleration takes three frames: ``total_01`` is the
    least cost of having kept the frame before and exchanged this one.
    """
    costs = _costs(tracks, time_s, parameters).reshape(-1, 4).tolist()
    staying = (np.minimum(np.diff(time_s), parameters.max_gap_s) * parameters.swapped_cost_per_s).tolist()
    switch = parameters.switch_cost
    total_00, total_01, total_10, total_11 = 0.0, np.inf, np.inf, 0.0
    back: list[tuple[tuple[bool, bool], tuple[bool, bool]]] = []  # the choice before the state's two
    for (same, near_differs, far_differs, both_differ), stay in zip(costs[1:], staying, strict=True):
        kept_00, exchanged_00 = total_00 + same, total_10 + far_differs
        kept_01, exchanged_01 = total_00 + both_differ, total_10 + near_differs
        kept_10, exchanged_10 = total_01 + near_differs, total_11 + both_differ
        kept_11, exchanged_11 = total_01 + far_differs, total_11 + same
        back.append(
            ((exchanged_00 < kept_00, exchanged_01 < kept_01), (exchanged_10 < kept_10, exchanged_11 < kept_11))
        )
        total_00 = exchanged_00 if exchanged_00 < kept_00 else kept_00
        total_01 = (exchanged_01 if exchanged_01 < kept_01 else kept_01) + switch + stay
        total_10 = (exchanged_10 if exchanged_10 < kept_10 else kept_10) + switch
        total_11 = (exchanged_11 if exchanged_11 < kept_11 else kept_11) + stay
    totals = {(0, 0): total_00, (0, 1): total_01, (1, 0): total_10, (1, 1): total_11}
    before, now = min(totals, key=lambda state: totals[state])
    choices = [now]
    for came_from in reversed(back):
        before, now = int(came_from[before][now]), before
        choices.append(now)
    return np.array(choices[::-1], dtype=bool)


def _costs(tracks: Array, time_s: Array, parameters: SwapParameters) -> Array:
    """(T, 2, 2) mean jump of frame t when the choices of frames t-2 and t-1 agree (0) or not (1) with that of t."""
    costs = np.zeros((len(time_s), 2, 2))
    step_s = np.diff(time_s)
    now, before = tracks[1:], tracks[:-1]
    earlier = np.concatenate([tracks[:1], tracks[:-2]])
    previous_s = np.concatenate([step_s[:1], step_s[:-1]])
    ratio = np.where(previous_s <= parameters.max_gap_s, step_s / previous_s, 0.0)
    ratio[0] = 0.0  # one frame tells no speed
    ratio = np.minimum(ratio, 2.0)[:, None, None, None]
    for a in (0, 1):
        for b in (0, 1):
            near = before[:, :, ::-1] if b else before
            far = earlier[:, :, ::-1] if a else earlier
            far = np.where(np.isfinite(far), far, near)
            jump = np.minimum(np.linalg.norm(now - near - ratio * (near - far), axis=3), parameters.max_jump)
            known = np.isfinite(jump)
            costs[1:, a, b] = np.where(known, jump, 0).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)
    costs[1:][step_s > parameters.max_gap_s] = 0
    return costs
