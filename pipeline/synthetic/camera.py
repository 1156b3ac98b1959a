"""A pinhole camera on a tripod, and the scene's geometry as it sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.poses import Array

VIEWS: dict[str, float] = {"front": 0.0, "oblique": 40.0, "left": 90.0, "side": 90.0, "right": -90.0, "back": 180.0}
FULL_FRAME_MM = 36.0


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and what it sees.

    Attributes:
        yaw_deg: where it stands around the scene: 0 in front (on +z), 90 on +x, where it sees the left side of a
            person who faces the front camera.
        height_m: above the floor; distance_m: along the floor from the middle of the scene.
        pitch_deg: looking down, positive.
        focal_mm: 35 mm equivalent of the longer picture side; 26 is a phone, 50 a normal lens.
        size: width and height of the picture in pixels.
    """

    yaw_deg: float = 0.0
    height_m: float = 1.05
    distance_m: float = 3.4
    pitch_deg: float = 0.0
    focal_mm: float = 35.0
    size: tuple[int, int] = (640, 480)

    def __post_init__(self) -> None:
        if min(self.size) < 16 or max(self.size) > 8192:
            raise ValueError(f"the picture must be 16 to 8192 pixels wide and high, got {self.size}.")
        if self.distance_m <= 0.3 or self.focal_mm <= 0 or not -89 < self.pitch_deg < 89:
            raise ValueError(
                f"the camera needs a distance over 0.3 m, a positive focal length and a pitch within 89 degrees, "
                f"got {self.distance_m} m, {self.focal_mm} mm, {self.pitch_deg} degrees."
            )

    @property
    def focal_px(self) -> float:
        return self.focal_mm / FULL_FRAME_MM * max(self.size)

    @property
    def level_axes(self) -> Array:
        """(3, 3) rows: picture right, up, towards the camera, all level with the floor."""
        yaw = np.radians(self.yaw_deg)
        return np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])

    @property
    def axes(self) -> Array:
        """(3, 3) rows: right, up and back of the tilted camera."""
        pitch = np.radians(self.pitch_deg)
        tilt = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        tilted: Array = tilt @ self.level_axes
        return tilted

    @property
    def position_m(self) -> Array:
        """(3,) in the world."""
        return self.level_axes[2] * self.distance_m + [0, self.height_m, 0]

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """(..., 2) pixels and (...) depth in metres along the optical axis of (..., 3) world points.

        Points nearer than 5 cm in front of the lens, or behind it, get NaN pixels.
        """
        seen = (points_m - self.position_m) @ self.axes.T
        depth = -seen[..., 2]
        safe = np.where(depth > 0.05, depth, np.nan)
        width, height = self.size
        across = (width - 1) / 2 + self.focal_px * seen[..., 0] / safe
        down = (height - 1) / 2 - self.focal_px * seen[..., 1] / safe
        return np.stack([across, down], axis=-1), depth

    def rays(self) -> Array:
        """(H, W, 3) directions in the world through the pixels, of depth 1 along the optical axis."""
        width, height = self.size
        x = (np.arange(width) - (width - 1) / 2) / self.focal_px
        y = ((height - 1) / 2 - np.arange(height)) / self.focal_px
        grid = np.stack(np.broadcast_arrays(x[None], y[:, None], -1.0), axis=-1)
        rays: Array = grid @ self.axes
        return rays
