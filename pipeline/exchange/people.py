"""From the bodies that a file lists frame by frame to people with ids on one timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.estimation.base import PersonPose, RecordingBuilder, Region
from pipeline.estimation.tracking import Reach, Track, match
from pipeline.exchange.base import MOST_FRAMES, ExchangeError
from pipeline.poses import Array, MediaInfo, ModelInfo, Recording
from pipeline.skeletons import Skeleton

_FORGET_S = 2.0  # somebody out of sight for longer comes back as somebody new
_MOST_BODIES = 200  # in one frame; more is a damaged file


@dataclass(frozen=True, eq=False)
class Body:
    """One person in one frame of a file.

    Attributes:
        xy_px: (J, 2) pixels; NaN where not seen.
        raw_score: (J,) the file's own confidences; NaN where it has none.
        person: the file's id; None when it has none.
        xyz_m: (J, 3) metres as in ``PoseSequence``, or None.
    """

    xy_px: Array
    raw_score: Array
    person: int | None = None
    xyz_m: Array | None = None


Frames = dict[int, list[Body]]
"""Frame number to the bodies in it; frames that are not there hold nobody."""


def assemble(
    frames: Frames, skeleton: Skeleton, time_s: Array, size: tuple[int, int], source: MediaInfo, model: ModelInfo
) -> Recording:
    """Everybody on one timeline: by the file's ids where every body has one, else followed from frame to frame.

    Scores are the file's, cut to 0..1 (1 for a body without any); its own stay in ``raw_score`` where they differ.

    Args:
        frames: numbered from 0, within ``time_s``.
    """
    bodies = [body for found in frames.values() for body in found]
    numbered = bool(bodies) and all(
        all(body.person is not None for body in found) and len({b.person for b in found}) == len(found)
        for found in frames.values()
    )
    mapped = any(np.nanmax(body.raw_score, initial=0.0) > 1 for body in bodies)
    spatial = any(body.xyz_m is not None for body in bodies)
    builder = RecordingBuilder(skeleton, size)
    follower = _Follower()
    for frame, second in enumerate(time_s):
        poses = [(_pose(body, mapped, spatial), body.person) for body in frames.get(frame, [])]
        poses = [(pose, person) for pose, person in poses if np.isfinite(pose.xy_px).all(axis=1).any()]
        if numbered:
            builder.add(second, [pose.named(person or 0) for pose, person in poses])
        else:
            builder.add(second, follower.update([pose for pose, _ in poses], float(second)))
    return builder.build(source, model)


def _pose(body: Body, mapped: bool, spatial: bool) -> PersonPose:
    seen = np.isfinite(body.xy_px).all(axis=1)
    score = body.raw_score if np.isfinite(body.raw_score).any() else np.ones(len(seen))
    xy_px = np.where(seen[:, None], body.xy_px, np.nan)
    raw = np.where(seen, score, np.nan)
    xyz_m = None
    if spatial:
        xyz_m = body.xyz_m if body.xyz_m is not None else np.full((len(seen), 3), np.nan)
    nowhere = Region((0.0, 0.0), (0.0, 0.0))  # nothing looks for these people in a picture
    return PersonPose(xy_px, np.clip(raw, 0.0, 1.0), 1.0, nowhere, xyz_m, raw if mapped else None)


class _Follower:
    """Gives ids by place and speed, as the estimators do, without looking at pictures."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._next = 1

    def update(self, poses: list[PersonPose], time_s: float) -> list[PersonPose]:
        self._tracks = [track for track in self._tracks if time_s - track.time_s <= _FORGET_S]
        looks: list[Array | None] = [None] * len(poses)
        pairs = {pose: track for track, pose in match(self._tracks, poses, looks, time_s, Reach())}
        named = []
        for number, pose in enumerate(poses):
            if number in pairs:
                track = self._tracks[pairs[number]]
                track.follow(pose, time_s)
            else:
                track = Track(self._next, pose, time_s, None)
                self._next += 1
                self._tracks.append(track)
            named.append(pose.named(track.person))
        return named


def check_frames(frames: Frames, what: str) -> Frames:
    """The same frames when their numbers and bodies are believable. Raises ExchangeError."""
    if frames and (min(frames) < 0 or max(frames) >= MOST_FRAMES):
        raise ExchangeError(f"{what} has a frame number of {max(frames, key=abs)}, which no clip has; it is damaged.")
    crowd = max((len(found) for found in frames.values()), default=0)
    if crowd > _MOST_BODIES:
        raise ExchangeError(f"{what} has {crowd} people in one frame; at most {_MOST_BODIES} can be told apart.")
    return frames


def extent(frames: Frames) -> tuple[int, int]:
    """The smallest picture from (0, 0) that holds every point."""
    corners = [np.nanmax(body.xy_px, axis=0) for found in frames.values() for body in found if _seen(body)]
    if not corners:
        return 0, 0
    width, height = np.ceil(np.max(corners, axis=0)) + 1
    return int(np.clip(width, 1, 100_000)), int(np.clip(height, 1, 100_000))


def largest(frames: Frames) -> float:
    """The largest coordinate; NaN where nothing was seen."""
    values = [np.nanmax(np.abs(body.xy_px)) for found in frames.values() for body in found if _seen(body)]
    return float(max(values)) if values else float("nan")


def scaled(frames: Frames, size: tuple[int, int]) -> Frames:
    """Points given as shares of the picture, in pixels."""
    return {
        number: [Body(body.xy_px * size, body.raw_score, body.person, body.xyz_m) for body in found]
        for number, found in frames.items()
    }


def reordered(values: Array, joints: Sequence[str], skeleton: Skeleton) -> Array:
    """(K, ...) values of these joints in the skeleton's order (J, ...); NaN for the joints that are not among them."""
    full = np.full((len(skeleton), *values.shape[1:]), np.nan)
    for row, joint in enumerate(joints):
        if joint in skeleton:
            full[skeleton.index(joint)] = values[row]
    return full


def _seen(body: Body) -> bool:
    return bool(np.isfinite(body.xy_px).any())
