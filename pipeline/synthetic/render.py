"""Draws people in a room: shaded surfaces in painter's order, a soft shadow, a little sensor noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.synthetic.anatomy import anatomy
from pipeline.synthetic.camera import Camera
from pipeline.synthetic.figure import MATERIALS, Clothes, Surface, surface
from pipeline.synthetic.stage import Faces, Picture, Stage, empty_room, together

Objects = Callable[[int], Sequence[Faces]]  # what else stands in the room at a frame, each piece convex

_SUPERSAMPLE = 2
_SHIFT = 4  # fractional bits of polygon corners
_SKINS = ((236, 196, 170), (224, 178, 148), (204, 156, 124), (172, 124, 92), (132, 92, 68), (100, 68, 52))
_HAIRS = ((46, 34, 28), (28, 24, 24), (92, 62, 40), (150, 112, 66), (70, 48, 34), (120, 118, 116))
_SHIRTS = ((60, 104, 168), (176, 60, 58), (70, 134, 92), (224, 222, 218), (52, 56, 66), (214, 164, 60), (120, 84, 150))
_TROUSERS = ((44, 48, 62), (86, 84, 82), (36, 60, 96), (110, 92, 70), (60, 40, 44))
_SHOES = ((40, 40, 44), (214, 214, 216), (120, 46, 44), (50, 70, 110))


@dataclass(frozen=True)
class Looks:
    """Colours and clothes of one person."""

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    shirt: tuple[int, int, int]
    legs: tuple[int, int, int]
    shoe: tuple[int, int, int]
    clothes: Clothes

    def palette(self) -> Array:
        """(materials, 3) RGB."""
        fixed = {"sole": (226, 224, 220), "white": (244, 242, 238), "iris": (44, 34, 28)}
        own = {"skin": self.skin, "hair": self.hair, "shirt": self.shirt, "legs": self.legs, "shoe": self.shoe}
        lips = tuple(int(c) for c in np.array(self.skin) * (0.82, 0.60, 0.60))
        rest = {"lips": lips, "brow": tuple(int(0.8 * c) for c in self.hair)}
        return np.array([(fixed | own | rest)[name] for name in MATERIALS], dtype=np.float64)


def looks(seed: int, girth: float = 1.0) -> Looks:
    """A person's colours and clothes by seed; shirt and trousers never have the same colour."""
    rng = np.random.default_rng([seed, 11])

    def pick(options: tuple[tuple[int, int, int], ...]) -> tuple[int, int, int]:
        return options[int(rng.integers(len(options)))]

    sleeve = float(rng.choice([0.28, 0.33, 0.96]))
    trouser = float(rng.choice([0.40, 0.46, 0.97]))
    clothes = Clothes(girth, sleeve, trouser, float(rng.uniform(1.04, 1.12)), bool(rng.integers(2)))
    skin = pick(_SKINS)
    hair = pick(tuple(colour for colour in _HAIRS if sum(skin) - sum(colour) > 130) or _HAIRS[1:2])
    return Looks(skin, hair, pick(_SHIRTS), pick(_TROUSERS), pick(_SHOES), clothes)


@dataclass(frozen=True, eq=False)
class _Person:
    surface: Surface
    colour: Array  # (Q, 3)
    patch_colour: Array


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is the same in all frames of a clip."""

    camera: Camera
    stage: Stage
    people: tuple[_Person, ...]
    objects: Objects
    noise: NDArray[np.int16]  # (H + 64, W + 64, 3)
    seed: int


def scene(
    people: Sequence[PoseSequence],
    camera: Camera,
    seed: int = 0,
    appearances: Sequence[Looks] | None = None,
    objects: Objects | None = None,
    noise: float = 2.0,
) -> Scene:
    """A room with people in it.

    Args:
        people: 3D pose sequences of any skeleton, in the world's axes (x right and z towards a camera of yaw 0),
            all of the same length.
        camera: where it is seen from.
        seed: of room, light, looks and noise.
        appearances: looks of each person; by seed when None.
        objects: further faces by frame number.
        noise: standard deviation of the sensor's noise in grey levels.

    Raises:
        FigureError: a sequence has no ``xyz_m``.
    """
    chosen = appearances or [looks(seed + 101 * number) for number in range(len(people))]
    dressed = []
    for sequence, look in zip(people, chosen, strict=True):
        body = surface(anatomy(sequence), look.clothes)
        palette = look.palette()
        weave = np.random.default_rng([seed, 21]).normal(1.0, 0.010, (len(body.material), 1))
        colour = palette[body.material] * weave
        dressed.append(_Person(body, colour, palette[[material for _, material in body.patches]]))
    width, height = camera.size
    rng = np.random.default_rng([seed, 31])
    grain = (noise * rng.standard_normal((height + 64, width + 64, 3))).round().astype(np.int16)
    return Scene(camera, empty_room(camera, seed), tuple(dressed), objects or _nothing, grain, seed)


def _nothing(_frame: int) -> Sequence[Faces]:
    return ()


def frames(room: Scene, count: int) -> Iterator[Picture]:
    """The pictures (H, W, 3) RGB of frames 0 to ``count`` - 1."""
    for number in range(count):
        yield draw(room, number)


def draw(room: Scene, frame: int) -> Picture:
    """One picture (H, W, 3) RGB; the same scene and frame always give the same pixels."""
    picture = room.stage.picture.copy()
    faces, hulls, patches = _gather(room, frame)
    if len(faces.points_m):
        _shadow(picture, room, hulls)
        _paint(picture, room, faces, patches)
    if room.noise.any():
        rng = np.random.default_rng([room.seed, frame, 41])
        top, left = rng.integers(0, 64, 2)
        height, width = picture.shape[:2]
        grain = room.noise[top : top + height, left : left + width]
        picture = np.asarray(cv2.add(picture, grain, dtype=cv2.CV_8U), dtype=np.uint8)
    return picture


@dataclass(frozen=True, eq=False)
class _Patches:
    """Face details: polygons that lie on the skin and face one way."""

    points_m: list[Array]
    colour: list[Array]


def _gather(room: Scene, frame: int) -> tuple[Faces, list[Array], _Patches]:
    parts, patches = list(room.objects(frame)), _Patches([], [])
    hulls = [piece.points_m.reshape(-1, 3) for piece in parts]
    for person in room.people:
        body = person.surface
        rings = body.vertices(frame)
        vertices = rings.reshape(-1, 3)
        points = vertices[body.quads]
        known = np.isfinite(points).all(axis=(1, 2))
        middle = body.centre_m[frame][body.rings_of].mean(axis=1)
        normal = np.cross(points[:, 2] - points[:, 0], points[:, 3] - points[:, 1])
        outward = np.where(((points.mean(axis=1) - middle) * normal).sum(-1, keepdims=True) < 0, -normal, normal)
        parts.append(Faces(points[known], person.colour[known], outward[known]))
        hulls += [block for a, b in body.parts if np.isfinite(block := rings[a:b].reshape(-1, 3)).all()]
        spots = body.patch_points(frame)
        if np.isfinite(spots).all():
            patches.points_m.extend(spots)
            patches.colour.extend(person.patch_colour)
    return together(parts), hulls, patches


def _shadow(picture: Picture, room: Scene, hulls: list[Array]) -> None:
    """Darken the floor where the bodies keep the lamp away, softly, and more where they touch it."""
    stage, camera = room.stage, room.camera
    scale = 0.25
    height, width = (max(1, int(side * scale)) for side in picture.shape[:2])
    dark = np.zeros((height, width), dtype=np.uint8)
    for block in hulls:
        ground = block - (block[:, 1:2] / stage.light[1]) * stage.light
        ground[:, 1] = 0
        pixels, _ = camera.project(ground)
        if np.isfinite(pixels).all() and np.abs(pixels).max() < 1e5:
            outline = cv2.convexHull((pixels * scale).astype(np.float32)).astype(np.int32)
            cv2.fillConvexPoly(dark, outline, (255,))
    soft = cv2.GaussianBlur(dark, (0, 0), max(1.0, 0.018 * width))
    touch = np.zeros_like(dark)
    for block in hulls:
        low = block[block[:, 1] < 0.06]
        if len(low) >= 3:
            pixels, _ = camera.project(low * [1, 0, 1])
            if np.isfinite(pixels).all() and np.abs(pixels).max() < 1e5:
                outline = cv2.convexHull((pixels * scale).astype(np.float32)).astype(np.int32)
                cv2.fillConvexPoly(touch, outline, (255,))
    near = cv2.GaussianBlur(touch, (0, 0), max(0.8, 0.006 * width))
    amount = cv2.addWeighted(soft, 0.34, near, 0.30, 0)
    rows, columns = np.flatnonzero(amount.any(axis=1)), np.flatnonzero(amount.any(axis=0))
    if not len(rows) or not len(columns):
        return
    full_height, full_width = picture.shape[:2]
    top, bottom = int(rows[0] / scale), min(full_height, int((rows[-1] + 1) / scale) + 1)
    left, right = int(columns[0] / scale), min(full_width, int((columns[-1] + 1) / scale) + 1)
    large = cv2.resize(amount[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], (right - left, bottom - top))
    keep = 1 - large.astype(np.float32) / 255 * stage.floor[top:bottom, left:right]
    region = picture[top:bottom, left:right]
    region[:] = cv2.multiply(region, cv2.merge([keep, keep, keep]), dtype=cv2.CV_8U)


def _paint(picture: Picture, room: Scene, faces: Faces, patches: _Patches) -> None:
    """Faces from far to near on a canvas twice as fine, then laid over the picture."""
    camera = room.camera
    middle = faces.points_m.mean(axis=1)
    towards = camera.position_m - middle
    front = (faces.outward * towards).sum(axis=1) > 0
    points, colour = faces.points_m[front], faces.colour[front]
    normal = faces.outward[front]
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    pixels, depth = camera.project(points)
    far = depth.mean(axis=1)
    lit = colour * _light(normal, middle[front], room)[:, None]
    extra, extra_depth, extra_colour = _visible_patches(room, patches)
    usable = np.isfinite(pixels).all(axis=(1, 2))
    pixels, far, lit = pixels[usable], far[usable], lit[usable]
    if not len(pixels):
        return
    width, height = camera.size
    low = np.maximum(np.floor(pixels.reshape(-1, 2).min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(pixels.reshape(-1, 2).max(axis=0)).astype(int) + 3, [width, height])
    if (high <= low).any():
        return
    span = high - low
    canvas = np.zeros((int(span[1]) * _SUPERSAMPLE, int(span[0]) * _SUPERSAMPLE, 4), dtype=np.uint8)
    polygons = [_fixed(pixels, low)] + [_fixed(polygon[None], low) for polygon in extra]
    corners = [*polygons[0], *(polygon[0] for polygon in polygons[1:])]
    colours = np.concatenate([lit, np.array(extra_colour).reshape(-1, 3)])
    colours = np.clip(np.column_stack([colours, np.full(len(colours), 255.0)]), 0, 255).tolist()
    order = np.argsort(-np.concatenate([far, np.array(extra_depth)]), kind="stable").tolist()
    fill, line = cv2.fillConvexPoly, cv2.LINE_8
    for number in order:
        fill(canvas, corners[number], colours[number], line, _SHIFT)
    soft = cv2.GaussianBlur(canvas, (5, 5), 0.9)  # a lens is softer than polygons
    small = cv2.resize(soft, (int(span[0]), int(span[1])), interpolation=cv2.INTER_AREA)
    region = picture[low[1] : high[1], low[0] : high[0]]
    clear = cv2.cvtColor(255 - small[..., 3], cv2.COLOR_GRAY2RGB)
    region[:] = cv2.add(cv2.multiply(region, clear, scale=1 / 255), small[..., :3])


def _fixed(pixels: Array, low: Array) -> np.ndarray:
    """Corners on the finer canvas as fixed-point integers; a pixel's centre is at its whole number."""
    fine = (pixels - low + 0.5) * _SUPERSAMPLE - 0.5
    return np.clip(np.round(fine * (1 << _SHIFT)), -(1 << 24), 1 << 24).astype(np.int32)


def _light(normal: Array, middle: Array, room: Scene) -> Array:
    """(Q,) brightness: lamp, sky, a little from the camera's side, less close to the floor."""
    lamp = np.maximum(normal @ room.stage.light, 0)
    towards = room.camera.position_m - middle
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    facing = np.clip((normal * towards).sum(axis=1), 0, 1)
    ambient = 0.40 + 0.09 * normal[:, 1]
    ground = 1 - 0.18 * np.exp(-np.maximum(middle[:, 1], 0) / 0.10) * (normal[:, 1] < 0.2)
    brightness: Array = (ambient + 0.52 * lamp + 0.20 * facing) * ground
    return brightness


def _visible_patches(room: Scene, patches: _Patches) -> tuple[list[Array], list[float], list[Array]]:
    """Face details turned towards the camera: pixels, depth a little nearer than the skin, colour."""
    shown: tuple[list[Array], list[float], list[Array]] = ([], [], [])
    for points, colour in zip(patches.points_m, patches.colour, strict=True):
        normal = np.cross(points[1] - points[0], points[2] - points[1])
        normal = normal / max(float(np.linalg.norm(normal)), 1e-12)
        pixels, depth = room.camera.project(points)
        towards = room.camera.position_m - points.mean(axis=0)
        towards /= np.linalg.norm(towards)
        if not np.isfinite(pixels).all() or abs(float(normal @ towards)) < 0.12:
            continue
        shown[0].append(pixels)
        shown[1].append(float(depth.mean()) - 0.03)
        shown[2].append(colour * 0.9)
    return shown
