"""The body as a set of segments: lengths, speeds, the body's height, centre of mass, and metres from pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import Skeleton, other_side

_ONE_SIDE = (
    *("left_shoulder", "left_elbow", "left_wrist", "left_index"),
    *("left_hip", "left_knee", "left_ankle", "left_heel", "left_big_toe"),
)
BODY_POINTS = Skeleton("angles", ("head", "neck", "hip_center", *_ONE_SIDE, *(other_side(j) for j in _ONE_SIDE)), ())


def _segments() -> dict[str, tuple[str, str]]:
    one_side = (
        *(("foot", "heel", "big_toe"), ("shank", "knee", "ankle"), ("thigh", "hip", "knee")),
        *(("arm", "shoulder", "elbow"), ("forearm", "elbow", "wrist"), ("hand", "wrist", "index")),
    )
    limbs = {f"{s}_{name}": (f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for name, a, b in one_side}
    middle = {"trunk": ("hip_center", "neck"), "head": ("neck", "head")}
    return limbs | middle | {p: (f"right_{j}", f"left_{j}") for p, j in (("pelvis", "hip"), ("shoulders", "shoulder"))}


SEGMENTS: Mapping[str, tuple[str, str]] = _segments()  # from which point to which a segment points


def between(points: Array, names: tuple[str, str]) -> Array:
    """(T, D) the vectors from the first to the second of two points named in ``BODY_POINTS``."""
    a, b = names
    return points[:, BODY_POINTS.index(b)] - points[:, BODY_POINTS.index(a)]


def velocity(values: Array, time_s: Array) -> Array:
    """Change per second of values (T, ...), by second-order differences on the real timestamps; same shape.

    A frame next to a missing one has no velocity (NaN); nor have sequences of fewer than two frames.
    """
    if len(time_s) < 2:
        return np.full(np.shape(values), np.nan)
    return np.asarray(np.gradient(np.asarray(values, dtype=np.float64), time_s, axis=0))


def segment_lengths(sequence: PoseSequence, *, space: bool = False) -> pd.DataFrame:
    """Length of every segment in every frame; columns time_s and ``<segment>_px`` (``<segment>_m`` for ``space``)."""
    points = sequence.to(BODY_POINTS)
    values, unit = (points.xyz_m, "m") if space else (points.xy_px, "px")
    if values is None:
        raise ValueError("these poses have no xyz_m; take the lengths from the picture (space=False).")
    lengths = {f"{name}_{unit}": np.linalg.norm(between(values, ends), axis=1) for name, ends in SEGMENTS.items()}
    return pd.DataFrame({"time_s": sequence.time_s, **lengths})


# Share of the body's height between joint centres: Drillis and Contini 1966, in Winter 2009, figure 4.1.
_HEIGHT_SHARES = {"trunk": 0.288, "thigh": 0.245, "shank": 0.246}


def stature(sequence: PoseSequence, *, space: bool = False) -> float:
    """The body's height in pixels (metres for ``space``); NaN when the trunk was never seen.

    Trunk, thigh and shank make 0.779 of the height (Drillis and Contini 1966). A segment that leans towards the camera
    looks shorter, never longer; so each is taken at the 90th percentile of its frames, the longer side of the body, and
    legs that were never seen are left out. Assumes that the person keeps their distance from the camera and stretches
    each segment across the view at some time; the proportions of adults vary by about 3 %.
    """
    lengths = segment_lengths(sequence, space=space)
    unit = "m" if space else "px"
    measured, share = 0.0, 0.0
    for segment, part in _HEIGHT_SHARES.items():
        names = [segment] if segment == "trunk" else [f"left_{segment}", f"right_{segment}"]
        columns = [lengths[f"{name}_{unit}"].dropna() for name in names]
        longest = [float(np.percentile(column, 90)) for column in columns if len(column)]
        if longest:
            measured, share = measured + max(longest), share + part
        elif segment == "trunk":
            return float("nan")
    return measured / share


def pixels_per_metre(sequence: PoseSequence, height_m: float) -> float:
    """Pixels per metre at the person's distance, from the height they gave; see ``stature`` for what is assumed.

    Raises:
        ValueError: ``height_m`` is not between 0.5 and 2.5.
    """
    if not 0.5 <= height_m <= 2.5:
        raise ValueError(f"a body height of {height_m} m is not one; give it in metres, such as 1.75.")
    return stature(sequence) / height_m


@dataclass(frozen=True)
class _Mass:
    """A segment's share of the body's mass, and where its centre lies from the first point to the second."""

    segment: tuple[str, str]
    share: Mapping[str, float]
    place: Mapping[str, float]


def _masses() -> tuple[_Mass, ...]:
    """Table 4 of de Leva 1996, J. Biomech. 29(9):1223-1230: its alternative trunk from mid-shoulder to mid-hip, and
    its alternative shank from knee to ankle joint centre.

    The head's centre is taken at the point "head" (between the ears); hands at the wrist where there are no fingers.
    """
    limbs = (
        (("shoulder", "elbow"), (2.55, 2.71), (0.5754, 0.5772)),
        (("elbow", "wrist"), (1.38, 1.62), (0.4559, 0.4574)),
        (("wrist", "wrist"), (0.56, 0.61), (0.0, 0.0)),
        (("hip", "knee"), (14.78, 14.16), (0.3612, 0.4095)),
        (("knee", "ankle"), (4.81, 4.33), (0.4352, 0.4395)),
        (("ankle", "ankle"), (1.29, 1.37), (0.0, 0.0)),
    )

    def both(values: tuple[float, float], unit: float = 1.0) -> dict[str, float]:
        return {"female": values[0] * unit, "male": values[1] * unit, "mean": sum(values) / 2 * unit}

    rows = [
        _Mass(("head", "head"), both((6.68, 6.94), 0.01), both((0.0, 0.0))),
        _Mass(("neck", "hip_center"), both((42.57, 43.46), 0.01), both((0.3782, 0.4310))),
    ]
    for side in ("left", "right"):
        rows += [_Mass((f"{side}_{a}", f"{side}_{b}"), both(m, 0.01), both(p)) for (a, b), m, p in limbs]
    return tuple(rows)


_MASSES = _masses()
_ENOUGH_MASS = 0.8  # of the body's mass must be seen; a lost arm moves the centre little, a lost leg a lot


def centre_of_mass(
    sequence: PoseSequence, *, space: bool = False, sex: Literal["female", "male", "mean"] = "mean"
) -> Array:
    """(T, 2) pixels, or (T, 3) metres for ``space``: the body's centre of mass by the segments of de Leva 1996.

    Hands and feet (1.1 % and 2.7 % of the mass) are taken at wrist and ankle, the head between the ears. Frames in
    which less than 80 % of the mass was seen are NaN.
    """
    points = sequence.to(BODY_POINTS)
    values = points.xyz_m if space else points.xy_px
    if values is None:
        raise ValueError("these poses have no xyz_m; take the centre of mass from the picture (space=False).")
    total, mass = np.zeros((len(points), values.shape[2])), np.zeros(len(points))
    for row in _MASSES:
        a, b = (values[:, BODY_POINTS.index(name)] for name in row.segment)
        centre = a + row.place[sex] * (b - a)
        seen = np.isfinite(centre).all(axis=1)
        total[seen] += row.share[sex] * centre[seen]
        mass[seen] += row.share[sex]
    return np.where((mass >= _ENOUGH_MASS)[:, None], total / np.maximum(mass, 1e-9)[:, None], np.nan)
