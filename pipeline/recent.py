"""The last frames of one person, as analyses that run along get them."""

from __future__ import annotations

from collections import deque
from itertools import takewhile

import numpy as np

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import Skeleton


class RecentFrames:
    """Takes frames one by one, checks them and gives them back as a sequence."""

    def __init__(self, skeleton: Skeleton, image_size: tuple[int, int], person: int) -> None:
        self.skeleton, self.image_size, self.person = skeleton, image_size, person
        self._frames: deque[tuple[float, Array, Array, Array]] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def first_s(self) -> float:
        """The oldest frame's time; there must be one."""
        return self._frames[0][0]

    @property
    def last_s(self) -> float:
        """The newest frame's time; there must be one."""
        return self._frames[-1][0]

    def append(self, xy_px: Array, score: Array, time_s: float, xyz_m: Array | None = None) -> None:
        """Keep a copy of a frame.

        Args:
            xy_px: (J, 2) pixels, NaN where not seen.
            score: (J,) 0..1.
            time_s: later than the last frame's.
            xyz_m: (J, 3) metres, if they are known.

        Raises:
            ValueError: the time does not increase, or the shapes are not the skeleton's.
        """
        joints = len(self.skeleton)
        points, scores = np.array(xy_px, dtype=np.float64), np.array(score, dtype=np.float64)
        space = np.full((joints, 3), np.nan) if xyz_m is None else np.array(xyz_m, dtype=np.float64)
        if points.shape != (joints, 2) or scores.shape != (joints,) or space.shape != (joints, 3):
            raise ValueError(
                f"a frame needs ({joints}, 2) points and {joints} scores of skeleton {self.skeleton.name!r}, "
                f"got {points.shape} and {scores.shape}."
            )
        if self._frames and time_s <= self.last_s:
            raise ValueError("time_s must increase from frame to frame; call reset() to start another clip.")
        self._frames.append((float(time_s), points, scores, space))

    def drop_before(self, time_s: float) -> None:
        """Forget the frames before a time."""
        while self._frames and self.first_s < time_s:
            self._frames.popleft()

    def sequence(self, from_s: float = -np.inf) -> PoseSequence:
        """What is kept, from a moment on; there must be a frame since then."""
        since = list(takewhile(lambda frame: frame[0] >= from_s, reversed(self._frames)))[::-1]
        times, points, scores, space = zip(*since, strict=True)
        xyz_m = np.stack(space)
        return PoseSequence(
            self.skeleton, np.array(times), np.stack(points), np.stack(scores),
            xyz_m if np.isfinite(xyz_m).any() else None, self.image_size, self.person,
        )  # fmt: skip
