"""What every pose model looks like to the rest of the house.

A *detector* says where people may be (``Region``), a *key-point model* says how the person in a region stands
(``PersonPose``), and an ``Estimator`` runs both through a clip and gives people ids. Callers know only ``Estimator``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, MediaInfo, ModelInfo, PoseSequence, Recording
from pipeline.skeletons import Skeleton

if TYPE_CHECKING:
    from pipeline.media import Frame

Image = NDArray[np.uint8]  # (H, W, 3) RGB, upright


class EstimatorError(ValueError):
    """A model cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Region:
    """A rectangle in which to look for one person.

    Attributes:
        center_px: x, y of the centre.
        size_px: width, height before rotation.
        rotation_rad: clockwise turn of the rectangle in the picture; 0 where the person's head is up.
        score: the detector's confidence 0..1; 1 for a region that follows a person already seen.
        tight: True where the rectangle hugs the person (a detector's box), False where it has a margin already.
    """

    center_px: tuple[float, float]
    size_px: tuple[float, float]
    rotation_rad: float = 0.0
    score: float = 1.0
    tight: bool = True

    @classmethod
    def from_box(cls, box_px: Array | Sequence[float], score: float = 1.0) -> Region:
        """From left, top, right, bottom in pixels."""
        left, top, right, bottom = (float(v) for v in box_px)
        return cls(((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top), 0.0, score)

    @property
    def box_px(self) -> Array:
        """(4,) left, top, right, bottom of the upright rectangle around it."""
        cos, sin = abs(np.cos(self.rotation_rad)), abs(np.sin(self.rotation_rad))
        half_width = (self.size_px[0] * cos + self.size_px[1] * sin) / 2
        half_height = (self.size_px[0] * sin + self.size_px[1] * cos) / 2
        x, y = self.center_px
        return np.array([x - half_width, y - half_height, x + half_width, y + half_height])


@dataclass(frozen=True, eq=False)
class PersonPose:
    """One person in one frame, as a key-point model sees them.

    Attributes:
        xy_px: (J, 2) pixels; NaN where unknown.
        score: (J,) confidence 0..1.
        presence: confidence 0..1 that the region holds a person at all.
        next_region: where to look in the next frame.
        xyz_m: (J, 3) metres as in ``PoseSequence``; None when the model is 2D.
        raw_score: (J,) the model's own confidences; None when ``score`` is them.
        person: the id; -1 before one is given.
    """

    xy_px: Array
    score: Array
    presence: float
    next_region: Region
    xyz_m: Array | None = None
    raw_score: Array | None = None
    person: int = -1

    @property
    def box_px(self) -> Array:
        """(4,) left, top, right, bottom of the known points."""
        return np.concatenate([np.nanmin(self.xy_px, axis=0), np.nanmax(self.xy_px, axis=0)])

    def named(self, person: int) -> PersonPose:
        """The same pose with an id."""
        return replace(self, person=person)


class Detector(Protocol):
    """Finds people in a picture."""

    name: str
    device: str
    versions: dict[str, str]
    weights_sha256: dict[str, str]

    def detect(self, image: Image) -> list[Region]:
        """Regions that may hold a person, best first."""
        ...


class KeypointModel(Protocol):
    """Finds the key points of the person in each region."""

    name: str
    device: str
    versions: dict[str, str]
    weights_sha256: dict[str, str]
    skeleton: Skeleton

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        """One pose a region, in their order."""
        ...


@dataclass
class RecordingBuilder:
    """Collects what ``Estimator.update`` returns, frame by frame, into a ``Recording``."""

    skeleton: Skeleton
    image_size: tuple[int, int] = (0, 0)
    time_s: list[float] = field(default_factory=list)
    poses: dict[int, list[tuple[int, PersonPose]]] = field(default_factory=dict)

    def add(self, time_s: float, poses: Iterable[PersonPose]) -> None:
        """The people of the next frame."""
        for pose in poses:
            self.poses.setdefault(pose.person, []).append((len(self.time_s), pose))
        self.time_s.append(time_s)

    def build(self, source: MediaInfo, model: ModelInfo) -> Recording:
        """Everybody on the timeline of the frames added so far."""
        time_s = np.array(self.time_s, dtype=np.float64)
        people = tuple(self._sequence(person, time_s) for person in sorted(self.poses))
        return Recording(people, time_s, replace(source, frames=len(time_s)), model)

    def _sequence(self, person: int, time_s: Array) -> PoseSequence:
        rows = self.poses[person]
        frames = [frame for frame, _ in rows]

        def grid(values: list[Array | None], *tail: int) -> Array | None:
            if values[0] is None:
                return None
            full = np.full((len(time_s), len(self.skeleton), *tail), np.nan)
            full[frames] = np.stack([v for v in values if v is not None])
            return full

        xy_px, score = grid([p.xy_px for _, p in rows], 2), grid([p.score for _, p in rows])
        assert xy_px is not None and score is not None
        xyz_m = grid([p.xyz_m for _, p in rows], 3)
        raw_score = grid([p.raw_score for _, p in rows])
        return PoseSequence(self.skeleton, time_s, xy_px, score, xyz_m, self.image_size, person, raw_score)


class Estimator(ABC):
    """A detector and a key-point model that follow people through a clip.

    ``update`` and ``estimate`` share their code: the same frames give the same poses.
    """

    name: str
    skeleton: Skeleton

    @property
    @abstractmethod
    def info(self) -> ModelInfo:
        """Names, versions, weights and the device really used."""

    @abstractmethod
    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:
        """The people in the next frame, each with a stable id; none is an ordinary answer.

        Args:
            image: (H, W, 3) RGB, upright.
            time_s: seconds; each later than the one before.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget everybody: the next frame starts a new clip."""

    def estimate(self, frames: Iterable[Frame], source: MediaInfo | None = None) -> Recording:
        """Everybody in a clip (from its start)."""
        self.reset()
        builder = RecordingBuilder(self.skeleton)
        for frame in frames:
            builder.image_size = (frame.image.shape[1], frame.image.shape[0])
            builder.add(frame.time_s, self.update(frame.image, frame.time_s))
        return builder.build(source or MediaInfo(), self.info)
