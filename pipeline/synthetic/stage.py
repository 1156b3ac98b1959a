"""The room: floor, wall, light, and the objects that belong to a motion. Drawn once a clip."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.synthetic.camera import Camera

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Stage:
    """An empty room as the camera sees it.

    Attributes:
        picture: (H, W, 3) RGB.
        floor: (H, W) 1 where the floor is, 0 on the wall.
        light: (3,) unit vector from the scene to the lamp.
    """

    picture: Picture
    floor: NDArray[np.float32]
    light: Array


_WALLS = ((206, 203, 196), (189, 198, 205), (214, 205, 190), (180, 190, 180), (200, 190, 196), (170, 178, 190))
_FLOORS = ((150, 116, 82), (120, 118, 116), (168, 142, 110), (96, 104, 112), (134, 98, 72), (140, 146, 140))


def lamp(seed: int, camera: Camera) -> Array:
    """(3,) direction to the lamp: high up, in front of the scene as the camera sees it, left or right by seed."""
    rng = np.random.default_rng([seed, 5])
    aside, front = rng.uniform(-0.75, 0.75), rng.uniform(0.35, 0.8)
    way = aside * camera.level_axes[0] + front * camera.level_axes[2] + np.array([0, 1.25, 0])
    towards: Array = way / np.linalg.norm(way)
    return towards


def empty_room(camera: Camera, seed: int) -> Stage:
    """Floor and wall with light, texture, a skirting board and one or two things on the wall, all by seed."""
    rng = np.random.default_rng([seed, 3])
    rays = camera.rays()
    right, _, back = camera.level_axes
    wall_m = rng.uniform(1.9, 2.8)  # behind the middle of the scene
    to_wall = (wall_m + camera.distance_m) / np.maximum(-(rays @ back), 1e-3)
    to_floor = np.where(rays[..., 1] < -1e-6, camera.height_m / np.maximum(-rays[..., 1], 1e-6), np.inf)
    floor = to_floor < to_wall
    point = camera.position_m + rays * np.minimum(to_floor, to_wall)[..., None]
    across, away, up = point @ right, point @ back, point[..., 1]
    wall_colour = np.array(_WALLS[rng.integers(len(_WALLS))], dtype=np.float64) * rng.uniform(0.86, 1.06)
    floor_colour = np.array(_FLOORS[rng.integers(len(_FLOORS))], dtype=np.float64) * rng.uniform(0.9, 1.1)
    picture = np.where(floor[..., None], floor_colour, wall_colour)
    picture *= np.where(floor, _floor_texture(across, away, rng), _wall_texture(across, up, rng))[..., None]
    picture[~floor & (up < 0.09)] = wall_colour * 0.72
    _decorate(picture, ~floor, across, up, rng)
    glow = 1.05 - 0.05 * ((across - rng.uniform(-1.5, 1.5)) ** 2 + (up - 1.6) ** 2) / 4
    depth_shade = np.where(floor, 1.0 - 0.10 * np.clip(-away / wall_m, 0, 1), 1.0)
    corner = 1 - 0.16 * np.exp(-np.abs(np.where(floor, (away + wall_m) / 0.35, up / 0.30)))  # dark where they meet
    picture *= (np.clip(glow, 0.7, 1.08) * depth_shade * corner)[..., None]
    image = np.clip(picture, 0, 255).astype(np.uint8)
    soft = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.6), dtype=np.uint8)
    return Stage(soft, floor.astype(np.float32), lamp(seed, camera))


def _floor_texture(across: Array, away: Array, rng: np.random.Generator) -> Array:
    board = rng.uniform(0.10, 0.35)
    rows = np.floor(across / board)
    tone = np.sin(rows * 12.9898) * 43758.5453
    grain = np.sin(away * 9 + 3 * np.sin(rows * 7.1)) * np.sin(across * 170 + rows)
    seam = np.abs(across / board - rows - 0.5) > 0.485
    texture: Array = 1 + 0.07 * (tone - np.floor(tone) - 0.5) + 0.018 * grain - 0.10 * seam
    return texture


def _wall_texture(across: Array, up: Array, rng: np.random.Generator) -> Array:
    waves = sum(
        np.sin(across * rng.uniform(0.5, 9) + rng.uniform(0, 6)) * np.sin(up * rng.uniform(0.5, 9) + rng.uniform(0, 6))
        for _ in range(4)
    )
    texture: Array = 1 + 0.012 * np.asarray(waves)
    return texture


def _decorate(picture: Array, wall: NDArray[np.bool_], across: Array, up: Array, rng: np.random.Generator) -> None:
    """A picture, a window or a door, away from the middle so that the person stands free."""
    for side in rng.permutation([-1.0, 1.0])[: rng.integers(1, 3)]:
        kind = rng.integers(3)
        x = side * rng.uniform(1.5, 2.4)
        half, low, high = ((0.35, 1.25, 1.75), (0.55, 0.95, 2.1), (0.45, 0.0, 2.05))[kind]
        inside = wall & (np.abs(across - x) < half) & (up > low) & (up < high)
        frame = inside & ((np.abs(across - x) > half - 0.05) | (up < low + 0.05) | (up > high - 0.05))
        fill = rng.uniform(90, 180, 3) if kind != 1 else np.array([205.0, 220.0, 232.0])
        picture[inside] = fill
        picture[inside] *= (1 + 0.10 * np.sin(across[inside] * 14 + up[inside] * 6))[:, None]
        picture[frame] = rng.uniform(50, 225)


@dataclass(frozen=True, eq=False)
class Faces:
    """Quads in the world with one colour each: what the painter draws.

    Attributes:
        points_m: (Q, 4, 3); colour: (Q, 3) RGB 0..255 before light; outward: (Q, 3) roughly outward normals.
    """

    points_m: Array
    colour: Array
    outward: Array


def box(low: tuple[float, float, float], high: tuple[float, float, float], colour: tuple[int, int, int],
        cell_m: float = 0.12) -> Faces:  # fmt: skip
    """An axis-parallel box, its sides cut into cells so that it sorts well with a body."""
    lower, upper = np.array(low), np.array(high)
    quads, normals = [], []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        steps = [max(1, round(float(upper[k] - lower[k]) / cell_m)) for k in (u, v)]
        gu, gv = (np.linspace(lower[k], upper[k], count + 1) for k, count in zip((u, v), steps, strict=True))
        for sign, level in ((-1.0, lower[axis]), (1.0, upper[axis])):
            for i in range(steps[0]):
                for j in range(steps[1]):
                    corners = np.empty((4, 3))
                    corners[:, axis] = level
                    corners[:, u] = gu[[i, i + 1, i + 1, i]]
                    corners[:, v] = gv[[j, j, j + 1, j + 1]]
                    quads.append(corners)
                    normals.append(sign * np.eye(3)[axis])
    points = np.stack(quads)
    return Faces(points, np.tile(np.array(colour, dtype=np.float64), (len(points), 1)), np.stack(normals))


def rod(start: Array, end: Array, radius_m: float, colour: tuple[int, int, int], cell_m: float = 0.10) -> Faces:
    """A straight round bar from ``start`` to ``end``, closed by flat ends."""
    axis = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    helper = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    side = np.cross(axis, helper)
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    corners = 8
    angle = np.arange(corners) * 2 * np.pi / corners
    ring = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other
    count = max(1, round(float(np.linalg.norm(end - start)) / cell_m))
    along = start + np.linspace(0, 1, count + 1)[:, None] * (end - start)
    grid = along[:, None] + radius_m * ring
    k = np.arange(corners)
    following = (k + 1) % corners
    sides = np.stack([grid[:-1][:, k], grid[:-1][:, following], grid[1:][:, following], grid[1:][:, k]], axis=2)
    outward = np.tile((ring[k] + ring[following]) / 2, (count, 1))
    caps = [np.stack([np.full((corners, 3), centre), rim[k], rim[following], rim[following]], axis=1)
            for centre, rim in ((along[0], grid[0]), (along[-1], grid[-1]))]  # fmt: skip
    points = np.concatenate([sides.reshape(-1, 4, 3), *caps])
    normals = np.concatenate([outward, np.tile(-axis, (corners, 1)), np.tile(axis, (corners, 1))])
    return Faces(points, np.tile(np.array(colour, dtype=np.float64), (len(points), 1)), normals)


def placed(faces: Faces, turn: Array, place_m: tuple[float, float]) -> Faces:
    """The faces turned about the vertical and moved on the floor, as a person's place and facing ask."""
    return Faces(faces.points_m @ turn.T + [place_m[0], 0, place_m[1]], faces.colour, faces.outward @ turn.T)


def together(parts: list[Faces]) -> Faces:
    """All faces as one; none is an ordinary answer."""
    if not parts:
        return Faces(np.empty((0, 4, 3)), np.empty((0, 3)), np.empty((0, 3)))
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("points_m", "colour", "outward"))
    return Faces(*columns)
