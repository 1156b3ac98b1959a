"""A closed body surface: rings of flesh and cloth around the joints of an anatomy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from pipeline.poses import Array
from pipeline.synthetic.anatomy import Anatomy
from pipeline.synthetic.body import SIDES, apply, unit

SEGMENTS = 18  # corners of a ring
MATERIALS = ("skin", "shirt", "legs", "shoe", "sole", "hair", "white", "iris", "lips", "brow")


@dataclass
class _Rings:
    """Rows of rings under construction."""

    start: list[str] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    axes: list[str] = field(default_factory=list)
    shape: list[tuple[float, ...]] = field(default_factory=list)  # along, left, forward offsets; half widths
    material: list[int] = field(default_factory=list)
    parts: list[tuple[int, int]] = field(default_factory=list)

    def tube(self, a: str, b: str, axes: str, rows: list[tuple[float, float, float, float, str]], *,
             first_cap: bool = True, last_cap: bool = True) -> None:  # fmt: skip
        """A tube from a to b; rows (share, half width, half depth, forward offset, material), shares of height."""
        begin = len(self.share)
        caps = [(1.0, 0.05), (0.72, 0.69), (0.35, 0.93)]
        if first_cap:
            t, wide, deep, offset, material = rows[0]
            for back, narrow in caps:
                self._ring(a, b, t, axes, -back * min(wide, deep), offset, wide * narrow, deep * narrow, material)
        for t, wide, deep, offset, material in rows:
            self._ring(a, b, t, axes, 0.0, offset, wide, deep, material)
        if last_cap:
            t, wide, deep, offset, material = rows[-1]
            for ahead, narrow in reversed(caps):
                self._ring(a, b, t, axes, ahead * min(wide, deep), offset, wide * narrow, deep * narrow, material)
        self.parts.append((begin, len(self.share)))

    def _ring(self, a: str, b: str, t: float, axes: str, along: float, offset: float, wide: float, deep: float,
              material: str) -> None:  # fmt: skip
        self.start.append(a)
        self.end.append(b)
        self.share.append(t)
        self.axes.append(axes)
        self.shape.append((along, offset, wide, deep))
        self.material.append(MATERIALS.index(material))


@dataclass(frozen=True)
class Clothes:
    """What decides the outline and the materials.

    Attributes:
        girth: thickness of the flesh, 1 average; sleeve: covered share of the arm, 0 to 1 (of shoulder to wrist);
        trouser: covered share of the leg; loose: extra width of the cloth; long_hair: hair down to the neck.
    """

    girth: float = 1.0
    sleeve: float = 0.30
    trouser: float = 0.42
    loose: float = 1.08
    long_hair: bool = False


def _limb_rows(profile: list[tuple[float, float, float, float]], covered: float, cloth: str, loose: float,
               girth: float) -> list[tuple[float, float, float, float, str]]:  # fmt: skip
    """Rows of a limb with cloth up to ``covered`` of its length; the hem is a step."""

    def at(t: float) -> tuple[float, float, float]:
        columns = np.array(profile)
        wide, deep, offset = (float(np.interp(t, columns[:, 0], columns[:, k])) for k in (1, 2, 3))
        return wide * girth, deep * girth, offset * girth

    shares = sorted({row[0] for row in profile} | ({covered, covered + 1e-3} if 0 < covered < 1 else set()))
    rows = []
    for t in shares:
        wide, deep, offset = at(t)
        under = t <= covered
        grow = loose if under else 1.0
        rows.append((t, wide * grow, deep * grow, offset, cloth if under else "skin"))
    return rows


_THIGH = [(-0.06, 0.034, 0.040, 0.0), (0.0, 0.047, 0.052, 0.0), (0.2, 0.050, 0.053, 0.002), (0.5, 0.042, 0.046, 0.003),
          (0.8, 0.034, 0.037, 0.001),
          (1.0, 0.0315, 0.034, 0.0)]  # fmt: skip
_SHANK = [(0.0, 0.028, 0.029, -0.001), (0.10, 0.0295, 0.031, -0.003), (0.32, 0.032, 0.034, -0.008),
          (0.60, 0.024, 0.027, -0.006), (0.85, 0.0185, 0.021, -0.003), (1.0, 0.0185, 0.021, -0.002)]  # fmt: skip
_UPPER_ARM = [(0.0, 0.026, 0.029, 0.0), (0.2, 0.027, 0.030, 0.0), (0.5, 0.024, 0.027, 0.0), (0.85, 0.020, 0.022, 0.0),
              (1.0, 0.020, 0.021, 0.0)]  # fmt: skip
_FOREARM = [
    (0.0, 0.0205, 0.021, 0.0),
    (0.25, 0.022, 0.0225, 0.0),
    (0.6, 0.0175, 0.0175, 0.0),
    (1.0, 0.0145, 0.0135, 0.0),
]
_TORSO = [  # share from hips to shoulders, half width, half depth, forward offset
    (-0.19, 0.026, 0.034, -0.006), (-0.15, 0.062, 0.052, -0.008), (-0.08, 0.088, 0.064, -0.010),
    (0.02, 0.094, 0.067, -0.009), (0.14, 0.088, 0.063, -0.004), (0.32, 0.079, 0.057, 0.002),
    (0.50, 0.082, 0.060, 0.004),
    (0.70, 0.094, 0.066, 0.003), (0.84, 0.104, 0.066, -0.001), (0.95, 0.112, 0.056, -0.004),
    (1.03, 0.112, 0.042, -0.007),
    (1.08, 0.100, 0.037, -0.009), (1.12, 0.078, 0.036, -0.010), (1.16, 0.056, 0.034, -0.010),
    (1.21, 0.037, 0.031, -0.008),
]  # fmt: skip


def _finer(profile: list[tuple[float, float, float, float]], count: int) -> list[tuple[float, float, float, float]]:
    """The profile at ``count`` evenly spread shares, smoothly (PCHIP)."""
    columns = np.array(profile)
    shares = np.linspace(columns[0, 0], columns[-1, 0], count)
    values = PchipInterpolator(columns[:, 0], columns[:, 1:])(shares)
    return [(float(t), *(float(value) for value in row)) for t, row in zip(shares, values, strict=True)]  # type: ignore[misc]


@dataclass(frozen=True, eq=False)
class Surface:
    """The rings of one person, ready to be put around any frame of its anatomy."""

    anatomy: Anatomy
    centre_m: Array  # (T, R, 3)
    across_m: Array  # (T, R, 3) half width
    through_m: Array  # (T, R, 3) half depth
    parts: tuple[tuple[int, int], ...]
    material: NDArray[np.int64]  # (Q,) of each quad
    quads: NDArray[np.int64]  # (Q, 4) vertices
    rings_of: NDArray[np.int64]  # (Q, 2) the rings of each quad
    patches: tuple[tuple[Array, int], ...]  # head-fixed polygons (4, 3) in the head's axes, and their material

    def vertices(self, frame: int) -> Array:
        """(R, SEGMENTS, 3)."""
        angle = np.arange(SEGMENTS) * (2 * np.pi / SEGMENTS)
        points: Array = (
            self.centre_m[frame][:, None]
            + np.cos(angle)[:, None] * self.across_m[frame][:, None]
            + np.sin(angle)[:, None] * self.through_m[frame][:, None]
        )
        return points

    def patch_points(self, frame: int) -> Array:
        """(P, 4, 3) the face's patches in the world."""
        local = np.stack([polygon for polygon, _ in self.patches])
        turned = apply(self.anatomy.axes["head"][frame], local)
        placed: Array = self.anatomy.points_m["ears"][frame] + turned
        return placed


def surface(body: Anatomy, clothes: Clothes) -> Surface:
    """The body's surface around every frame of ``body``."""
    rings, girth = _Rings(), clothes.girth
    waist = 0.15
    rings.tube("hips", "neck", "trunk", [
        (t, wide * (1 + 0.7 * (girth - 1)), deep * girth, offset, "legs" if t < waist else "shirt")
        for t, wide, deep, offset in _finer(_TORSO, 30)
    ], first_cap=False, last_cap=False)  # fmt: skip
    rings.tube("neck", "ears", "neck", [
        (0.40, 0.033, 0.032, -0.006, "skin"), (0.52, 0.032, 0.032, -0.004, "skin"),
        (0.65, 0.0305, 0.031, -0.003, "skin"),
        (0.75, 0.030, 0.031, -0.002, "skin"), (0.95, 0.030, 0.031, 0.0, "skin"),
    ], first_cap=False)  # fmt: skip
    for side in SIDES:
        leg, arm = clothes.trouser * 2, clothes.sleeve * 2
        rings.tube(f"{side}_hip", f"{side}_knee", f"{side}_thigh",
                   _limb_rows(_THIGH, min(leg, 1), "legs", clothes.loose, girth), first_cap=False)  # fmt: skip
        rings.tube(f"{side}_knee", f"{side}_ankle", f"{side}_shank",
                   _limb_rows(_SHANK, min(leg - 1, 0.94), "legs", clothes.loose, girth**0.5))  # fmt: skip
        rings.tube(f"{side}_shoulder", f"{side}_elbow", f"{side}_upper_arm",
                   _limb_rows(_UPPER_ARM, min(arm, 1), "shirt", clothes.loose, girth**0.7))  # fmt: skip
        rings.tube(f"{side}_elbow", f"{side}_wrist", f"{side}_forearm",
                   _limb_rows(_FOREARM, min(arm - 1, 0.97), "shirt", clothes.loose, girth**0.5))  # fmt: skip
        rings.tube(f"{side}_wrist", f"{side}_knuckles", f"{side}_hand", [
            (0.0, 0.0125, 0.012, 0.0, "skin"), (0.45, 0.0205, 0.0115, 0.0, "skin"), (1.0, 0.0235, 0.0105, 0.0, "skin"),
            (1.5, 0.020, 0.0085, 0.0, "skin"), (1.9, 0.014, 0.007, 0.0, "skin"),
        ])  # fmt: skip
        rings.tube(f"{side}_wrist", f"{side}_thumb", f"{side}_hand", [
            (0.25, 0.008, 0.008, 0.0, "skin"), (1.0, 0.0078, 0.0078, 0.0, "skin"), (1.3, 0.0065, 0.0065, 0.0, "skin"),
        ])  # fmt: skip
        rings.tube(f"{side}_heel", f"{side}_toe", f"{side}_foot", [
            (-0.02, 0.018, 0.015, 0.009, "shoe"), (0.12, 0.021, 0.017, 0.011, "shoe"),
            (0.32, 0.022, 0.018, 0.012, "shoe"),
            (0.55, 0.026, 0.017, 0.009, "shoe"), (0.78, 0.029, 0.015, 0.007, "shoe"),
            (0.96, 0.023, 0.011, 0.004, "shoe"),
        ])  # fmt: skip
    _head_rings(rings)
    return _assemble(body, rings, clothes)


_HEAD_ROWS = 17
_HEAD_SHAPE = (0.0435, 0.066, 0.0555)  # half width, half height, half depth of the skull with hair
_HEAD_MIDDLE = (0.000, 0.006)  # up and forward from the middle between the ears


def _head_rings(rings: _Rings) -> None:
    wide, tall, deep = _HEAD_SHAPE
    begin = len(rings.share)
    for row in range(_HEAD_ROWS):
        up = -np.cos(np.pi * (row + 0.15) / (_HEAD_ROWS - 0.7))
        radius = np.sqrt(max(1 - up**2, 0.0))
        jaw = 1.0 if up > -0.1 else 1.0 - 0.30 * (-up - 0.1)  # narrower towards the chin
        chin = 0.010 * max(0.0, -up) - 0.004 * max(0.0, up)
        rings._ring("ears", "ears", 0.0, "head", _HEAD_MIDDLE[0] + tall * up, _HEAD_MIDDLE[1] + chin,
                    wide * radius * jaw, deep * radius * (jaw**0.5), "skin")  # fmt: skip
    rings.parts.append((begin, len(rings.share)))
    rings.tube("ears", "nose", "nose", [
        (0.80, 0.006, 0.010, 0.012, "skin"), (0.90, 0.0085, 0.011, 0.007, "skin"), (1.0, 0.0090, 0.008, 0.0, "skin"),
    ])  # fmt: skip
    for side in SIDES:
        rings.tube("ears", f"{side}_ear", "ear", [
            (0.92, 0.008, 0.013, -0.002, "skin"), (1.04, 0.010, 0.016, -0.002, "skin"),
            (1.10, 0.007, 0.012, -0.002, "skin"),
        ], first_cap=False, last_cap=False)  # fmt: skip


def _bone_axes(body: Anatomy) -> dict[str, tuple[Array, Array, Array]]:
    """For every tube: (along, across, through) unit vectors, each (T, 3)."""
    points, axes = body.points_m, body.axes

    def around(a: str, b: str, across: Array) -> tuple[Array, Array, Array]:
        along = unit(points[b] - points[a])
        side = unit(across - (across * along).sum(-1, keepdims=True) * along)
        return along, side, np.cross(side, along)

    def parts(frame: Array) -> tuple[Array, Array, Array]:
        return frame[..., 1], frame[..., 0], frame[..., 2]

    trunk_left = unit(axes["pelvis"][..., 0] + axes["chest"][..., 0])
    found = {
        "trunk": around("hips", "neck", trunk_left),
        "neck": around("neck", "ears", axes["head"][..., 0]),
        "head": parts(axes["head"]),
        "nose": around("ears", "nose", axes["head"][..., 0]),
        "ear": (axes["head"][..., 0], axes["head"][..., 2], axes["head"][..., 1]),
    }
    for side in SIDES:
        pelvis_left, chest_forward = axes["pelvis"][..., 0], axes["chest"][..., 2]
        upper = unit(points[f"{side}_elbow"] - points[f"{side}_shoulder"])
        aside = np.cross(upper, chest_forward) + 0.05 * axes["chest"][..., 0]
        toes = points[f"{side}_toe"] - points[f"{side}_heel"]
        shank = points[f"{side}_ankle"] - points[f"{side}_knee"]
        foot_left = np.cross(-shank, toes)
        thumb = points[f"{side}_thumb"] - points[f"{side}_wrist"]
        found |= {
            f"{side}_thigh": around(f"{side}_hip", f"{side}_knee", pelvis_left),
            f"{side}_shank": around(f"{side}_knee", f"{side}_ankle", foot_left),
            f"{side}_upper_arm": around(f"{side}_shoulder", f"{side}_elbow", aside),
            f"{side}_forearm": around(f"{side}_elbow", f"{side}_wrist", thumb),
            f"{side}_hand": around(f"{side}_wrist", f"{side}_knuckles", thumb),
            f"{side}_foot": around(f"{side}_heel", f"{side}_toe", foot_left),
        }
        along, across, through = found[f"{side}_foot"]
        sole = through * np.sign((through * -shank).sum(-1, keepdims=True))  # the instep is up, towards the shank
        found[f"{side}_foot"] = (along, across, sole)
        along, across, through = found[f"{side}_shank"]
        found[f"{side}_shank"] = (along, across, through * np.sign((through * toes).sum(-1, keepdims=True)))
        along, across, through = found[f"{side}_thigh"]
        fore = axes["pelvis"][..., 2] - axes["pelvis"][..., 1]
        found[f"{side}_thigh"] = (along, across, through * np.sign((through * fore).sum(-1, keepdims=True)))
    return found


def _assemble(body: Anatomy, rings: _Rings, clothes: Clothes) -> Surface:
    bones, height = _bone_axes(body), body.height_m
    share = np.array(rings.share)[:, None]
    start = np.stack([body.points_m[name] for name in rings.start], axis=1)
    end = np.stack([body.points_m[name] for name in rings.end], axis=1)
    along, across, through = (np.stack([bones[name][k] for name in rings.axes], axis=1) for k in range(3))
    shape = np.array(rings.shape)[..., None] * height
    centre = start + share * (end - start) + shape[:, 0] * along + shape[:, 1] * through
    corner = np.arange(SEGMENTS)
    quads, rings_of, material = [], [], []
    for begin, stop in rings.parts:
        for ring in range(begin, stop - 1):
            low, high = ring * SEGMENTS, (ring + 1) * SEGMENTS
            following = (corner + 1) % SEGMENTS
            quads.append(np.stack([low + corner, low + following, high + following, high + corner], axis=1))
            rings_of.append(np.tile([ring, ring + 1], (SEGMENTS, 1)))
            material.append(_materials(rings, ring, begin, clothes))
    return Surface(
        body, centre, shape[:, 2] * across, shape[:, 3] * through, tuple(rings.parts), np.concatenate(material),
        np.concatenate(quads), np.concatenate(rings_of), _face(height),
    )  # fmt: skip


def _materials(rings: _Rings, ring: int, begin: int, clothes: Clothes) -> NDArray[np.int64]:
    """(SEGMENTS,) material of the quads between a ring and the next: hair and soles go by angle."""
    kind = np.full(SEGMENTS, rings.material[ring])
    middle = (np.arange(SEGMENTS) + 0.5) * (2 * np.pi / SEGMENTS)
    forward = np.sin(middle)
    if rings.axes[ring] == "head":
        up = (ring - begin + 0.65) / (_HEAD_ROWS - 0.7)  # 0 chin, 1 crown
        low = 0.15 if clothes.long_hair else 0.36
        hair = (up > 0.70) | ((forward < 0.62) & (up > 0.60)) | ((forward < -0.10) & (up > low))
        kind[hair] = MATERIALS.index("hair")
    if rings.material[ring] == MATERIALS.index("shoe"):
        kind[forward < -0.55] = MATERIALS.index("sole")
    return kind


def _face(height: float) -> tuple[tuple[Array, int], ...]:
    """Polygons on the face in metres in the head's axes, each with its material."""

    def oval(x: float, y: float, z: float, wide: float, tall: float, slant: float) -> Array:
        corners = np.array([[-1, -0.2], [-0.3, 0.9], [0.3, 0.9], [1, -0.2], [0.4, -1], [-0.4, -1]])
        return np.stack([x + corners[:, 0] * wide, y - 0.005 + corners[:, 1] * tall,
                         z - np.abs(x + corners[:, 0] * wide) * slant], axis=-1) * height  # fmt: skip

    def patch(polygon: Array, material: str) -> tuple[Array, int]:
        return polygon, MATERIALS.index(material)

    patches = []
    for sign in (1.0, -1.0):
        patches += [
            patch(oval(sign * 0.0180, 0.013, 0.0605, 0.0080, 0.0042, 0.36), "white"),
            patch(oval(sign * 0.0180, 0.013, 0.0612, 0.0036, 0.0038, 0.36), "iris"),
            patch(oval(sign * 0.0185, 0.0225, 0.0600, 0.0100, 0.0019, 0.36), "brow"),
        ]
    patches.append(patch(oval(0.0, -0.0330, 0.0590, 0.0130, 0.0034, 0.30), "lips"))
    return tuple(patches)
