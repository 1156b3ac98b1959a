"""Detector x key-point model: people followed through a clip, each in a region of their own.

The detector looks now and then (and at once when somebody is lost); in between every person is followed by the region
their last pose predicts. That costs one run of the key-point network a person and frame, whatever the number of people
the detector could see, and it is what keeps ids in place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.estimation.base import Detector, Estimator, Image, KeypointModel, PersonPose, Region
from pipeline.estimation.tracking import (
    LOOK_EVERY_S,
    Reach,
    Track,
    appearance,
    body_size_px,
    inside,
    look_distance,
    match,
    overlap,
    similarity,
)
from pipeline.poses import Array, ModelInfo

CLOSE_UP = 1.5  # how far around a lost person's place to look, in body sizes
LONGEST_WAIT_S = 2.0  # between two looks for newcomers, however slow the machine is
MIN_PICTURE_PX = 16
KNOWN_OVERLAP = 0.5  # of a region with that of somebody who is followed
FOUND_OVERLAP = 0.8  # and share of the smaller one: the key points' box drifts and shrinks between two looks
UNFOUND_LOOKS = 2
UNFOUND_FOR_S = 0.9  # two looks at the usual pace
SAME_BODY = 0.6  # key-point similarity above which two poses in one frame are one person


@dataclass(frozen=True)
class FollowParameters:
    """How people are found and followed. Times are seconds, so the frame rate does not matter.

    max_people: more than these are ignored (the first found stay).
    detect_every_s: how often the detector looks for newcomers while everybody known is in sight.
    search_every_s: how often it looks while nobody is in sight, or somebody has just gone out of sight.
    min_detection: the detector's confidence below which a region is not looked at.
    min_presence: the key-point network's own confidence that a region holds a person.
    second_look: a newcomer counts only when a closer look, plain and mirrored, finds the same pose again.
    agreement: key-point similarity that the second look must reach (0.7: no ghost left on the photographs).
    mirror: the detector also looks at the mirrored picture.
    tiles: 1 looks at the whole picture only; n adds overlapping tiles of 2/(n+1) of its size, for small people.
    tiles_in_turn: a search looks at one tile only, the next one at the next; for clips, where it costs little.
    trust_for_s: somebody lost for no longer than this comes back without a second look.
    forget_after_s: how long somebody out of sight keeps their id.
    follow_for_s: the longest gap between two frames over which a region is still followed.
    unfound_for_s: whom the detector has not found again for longer than this, at two looks or more, is not followed any
        further, and where it finds somebody the next pose is taken from its box: for detectors that miss few people.
        None: the key-point network alone says who is there.
    target_fps: frames a second to keep; where this machine is too slow for it, the detector looks less often (at most
        ``LONGEST_WAIT_S`` apart). For live use only: what is found then depends on the machine's clock. None: never.
    """

    max_people: int = 8
    detect_every_s: float = 0.5
    search_every_s: float = 0.1
    min_detection: float = 0.3
    min_presence: float = 0.5
    second_look: bool = True
    agreement: float = 0.7
    mirror: bool = False
    tiles: int = 1
    tiles_in_turn: bool = False
    trust_for_s: float = 1.0
    forget_after_s: float = 3.0
    follow_for_s: float = 0.35
    unfound_for_s: float | None = None
    target_fps: float | None = None

    def __post_init__(self) -> None:
        if self.target_fps is not None and not self.target_fps > 0:
            raise ValueError(f"target_fps must be more than 0 frames a second, got {self.target_fps}; or give None.")


WORKING_POINTS: dict[str, FollowParameters] = {
    "fast": FollowParameters(second_look=False, min_detection=0.5),
    "balanced": FollowParameters(mirror=True, tiles=2, tiles_in_turn=True),
    "thorough": FollowParameters(mirror=True, tiles=3),
}


def suited(parameters: FollowParameters, detector: str) -> FollowParameters:
    """The parameters as far as ``detector`` needs them.

    BlazePose's detector misses small people and finds ghosts; the mirrored look, the tiles and the second look make up
    for it. Any other detector needs none of them, but the tiles where all are looked at at once (thorough), for people
    too small for its input. It is asked again and again about those who are followed instead.
    """
    if detector == "blazepose":
        return parameters
    tiles = 1 if parameters.tiles_in_turn else parameters.tiles
    return replace(parameters, second_look=False, mirror=False, tiles=tiles, tiles_in_turn=False,
                   unfound_for_s=UNFOUND_FOR_S)  # fmt: skip


@dataclass
class Pace:
    """What this machine manages, as running averages in seconds; NaN before the first.

    Attributes:
        interval_s: from a frame to the next when nobody is searched for: what following takes, or the camera's rate.
        search_s: what a frame takes in which somebody is searched for.
    """

    interval_s: float = float("nan")
    search_s: float = float("nan")

    def wait_s(self, wished_s: float, target_fps: float) -> float:
        """Seconds between two searches, at least ``wished_s``, that leave ``target_fps`` frames a second.

        In w seconds there are one frame with a search and ``(w - search_s) / interval_s`` without: that makes
        ``w * target_fps`` frames when ``w = (search_s - interval_s) / (1 - target_fps * interval_s)``.
        """
        extra_s, spare = self.search_s - self.interval_s, 1 - target_fps * self.interval_s
        if np.isnan(self.search_s) or extra_s <= 0:
            return wished_s
        if np.isnan(self.interval_s):
            return max(wished_s, 2 * self.search_s)  # long enough for a frame without a search
        return max(wished_s, min(extra_s / spare, LONGEST_WAIT_S) if spare > 0 else LONGEST_WAIT_S)


def _running(average: float, value: float, weight: float = 0.2) -> float:
    return value if np.isnan(average) else (1 - weight) * average + weight * value


class TopDownEstimator(Estimator):
    """Follows people with any detector and any key-point model."""

    def __init__(
        self,
        detector: Detector,
        keypoint_model: KeypointModel,
        parameters: FollowParameters | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        Args:
            detector, keypoint_model: the networks.
            parameters: how people are found and followed; None for the balanced working point.
            clock: seconds; read only when the parameters ask for a frame rate.
        """
        self._clock = clock
        self.detector = detector
        self.keypoint_model = keypoint_model
        self.parameters = parameters or WORKING_POINTS["balanced"]
        self.skeleton = keypoint_model.skeleton
        self.name = keypoint_model.name
        self.reset()

    @property
    def info(self) -> ModelInfo:
        """Names, versions, weights and device of both models."""
        models = (self.detector, self.keypoint_model)
        return ModelInfo(
            name=self.keypoint_model.name,
            detector=self.detector.name,
            versions={k: v for model in models for k, v in model.versions.items()},
            weights_sha256={k: v for model in models for k, v in model.weights_sha256.items()},
            device=", ".join(dict.fromkeys(model.device for model in models)),
            parameters=asdict(self.parameters),
        )

    def reset(self) -> None:
        """Forget everybody."""
        self._tracks: list[Track] = []  # in sight in the last frame
        self._lost: list[Track] = []
        self._next_person = 1
        self._turn = -1
        self._detected_s = -np.inf
        self._time_s = -np.inf
        self._pace = Pace()
        self._last_started_s: float | None = None  # None after a search, which says nothing about the ordinary pace

    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:
        """The people in the next frame (see ``Estimator.update``)."""
        if time_s <= self._time_s:
            raise ValueError(
                f"frame at {time_s:.3f} s does not come after the last one at {self._time_s:.3f} s; "
                "pass frames in order, or call reset() before a new clip."
            )
        before = len(self._tracks)
        started_s = self._clock() if self.parameters.target_fps else 0.0
        self._follow(image, time_s)
        searching = self._must_search(before, time_s)
        if searching:
            self._search(image, time_s)
        if self.parameters.target_fps:
            self._measure(started_s, searching)
        self._lost = [track for track in self._lost if time_s - track.time_s <= self.parameters.forget_after_s]
        self._time_s = time_s
        return tuple(track.pose.named(track.person) for track in sorted(self._tracks, key=lambda t: t.person))

    def _measure(self, started_s: float, searched: bool) -> None:
        """How long this frame took, and how long ago the last one began."""
        if searched:
            self._pace.search_s = _running(self._pace.search_s, self._clock() - started_s)
        if self._last_started_s is not None:
            self._pace.interval_s = _running(self._pace.interval_s, started_s - self._last_started_s)
        self._last_started_s = None if searched else started_s

    def _must_search(self, before: int, time_s: float) -> bool:
        """At once when somebody was lost, else when it is time again.

        Never when nobody more is wanted, unless the detector has a say about those who are followed.
        """
        parameters = self.parameters
        everybody_here = self._tracks and not any(self._missing(track) for track in self._lost)
        wait_s = parameters.detect_every_s if everybody_here else parameters.search_every_s
        if parameters.target_fps:
            wait_s = self._pace.wait_s(wait_s, parameters.target_fps)
        lost_somebody = len(self._tracks) < before
        wanted = len(self._tracks) < parameters.max_people or parameters.unfound_for_s is not None
        return wanted and (lost_somebody or time_s - self._detected_s >= wait_s - 1e-6)

    def _follow(self, image: Image, time_s: float) -> None:
        """Everybody known, in the region their last pose predicts."""
        if not self._tracks:
            return
        if time_s - self._time_s > self.parameters.follow_for_s:
            self._lost += self._tracks
            self._tracks = []
            return
        poses = self.keypoint_model.keypoints(image, [track.region for track in self._tracks])
        kept: list[Track] = []
        for track, pose in zip(self._tracks, poses, strict=True):
            if self._plausible(image, pose):
                track.follow(pose, time_s)
                kept.append(track)
            else:
                self._lost.append(track)
        self._tracks = self._one_track_a_body(image, kept)
        self._learn_looks(image, time_s)

    def _plausible(self, image: Image, pose: PersonPose) -> bool:
        if pose.presence < self.parameters.min_presence or not np.isfinite(pose.xy_px).any():
            return False
        x, y = pose.next_region.center_px
        height, width = image.shape[:2]
        return body_size_px(pose) >= 8 and -0.25 * width < x < 1.25 * width and -0.25 * height < y < 1.25 * height

    def _one_track_a_body(self, image: Image, tracks: list[Track]) -> list[Track]:
        """When two tracks have slid onto one body, the one whose person looks like it stays."""
        dropped: set[int] = set()
        for i, j in combinations(range(len(tracks)), 2):
            first, second = tracks[i], tracks[j]
            if dropped & {i, j} or similarity(first.pose, second.pose, self.skeleton) < SAME_BODY:
                continue
            look = appearance(image, first.pose, self.skeleton)
            keep_first = look_distance(first.look, look) <= look_distance(second.look, look)
            dropped.add(j if keep_first else i)
            self._lost.append(second if keep_first else first)
        return [track for number, track in enumerate(tracks) if number not in dropped]

    def _learn_looks(self, image: Image, time_s: float) -> None:
        """Learn clothes while people stand apart; exchange ids if they came out of a crossing the wrong way round."""
        crossing: set[int] = set()
        for i, j in combinations(range(len(self._tracks)), 2):
            first, second = self._tracks[i], self._tracks[j]
            if overlap(first.pose.box_px, second.pose.box_px) > 0.05:
                crossing |= {i, j}
            elif first.crossing and second.crossing:
                looks = [appearance(image, track.pose, self.skeleton) for track in (first, second)]
                as_is = look_distance(first.look, looks[0]) + look_distance(second.look, looks[1])
                swapped = look_distance(first.look, looks[1]) + look_distance(second.look, looks[0])
                if swapped < as_is - 0.3:
                    first.person, second.person = second.person, first.person
                    first.look, second.look = second.look, first.look
        for number, track in enumerate(self._tracks):
            track.crossing = number in crossing
            if not track.crossing and time_s - track.look_s >= LOOK_EVERY_S:
                track.learn_look(appearance(image, track.pose, self.skeleton), time_s)

    def _search(self, image: Image, time_s: float) -> None:
        """Newcomers and people who come back."""
        self._detected_s = time_s
        regions = self._unknown(self._regions(image, time_s), time_s)
        if len(self._tracks) >= self.parameters.max_people:
            return
        poses = [pose for pose in self.keypoint_model.keypoints(image, regions) if self._plausible(image, pose)]
        looks = [appearance(image, pose, self.skeleton) for pose in poses]
        recent = [t for t in self._lost if time_s - t.time_s <= self.parameters.trust_for_s]
        welcome = {j for _, j in match(recent, poses, looks, time_s, Reach())}

        found: list[int] = []
        for j in sorted(range(len(poses)), key=lambda j: j not in welcome):
            others = [poses[i] for i in found] + [track.pose for track in self._tracks]
            if any(self._same_body(poses[j], other) for other in others):
                continue
            if j in welcome or not self.parameters.second_look or self._seen_again(image, poses[j]):
                found.append(j)
        poses, looks = [poses[j] for j in found], [looks[j] for j in found]

        returned = {j: i for i, j in match(self._lost, poses, looks, time_s, Reach())}
        for j, pose in enumerate(poses):
            if len(self._tracks) >= self.parameters.max_people:
                break
            if j in returned:
                track = self._lost[returned[j]]
                track.follow(pose, time_s)
                track.velocity_px_s, track.found_s, track.missed = None, time_s, 0
            else:
                track = Track(self._next_person, pose, time_s, looks[j], look_s=time_s, found_s=time_s)
                self._next_person += 1
            self._tracks.append(track)
        self._lost = [track for track in self._lost if track not in self._tracks]
        if self.parameters.unfound_for_s is not None:
            for track in self._lost:
                track.confirm(None, time_s)

    def _unknown(self, regions: list[Region], time_s: float) -> list[Region]:
        """The regions of nobody who is followed. The detector's word on those who are is taken here."""
        boxes = [track.pose.next_region.box_px for track in self._tracks]
        found = {} if self.parameters.unfound_for_s is None else self._confirm(boxes, regions, time_s)
        return [
            region
            for j, region in enumerate(regions)
            if j not in found.values() and not any(overlap(box, region.box_px) > KNOWN_OVERLAP for box in boxes)
        ]

    def _confirm(self, boxes: list[Array], regions: list[Region], time_s: float) -> dict[int, int]:
        """Which region is whose (track: region), after those whom the detector no longer finds were let go."""
        found: dict[int, int] = {}
        if boxes and regions:
            alike = np.array([[overlap(b, r.box_px) + inside(b, r.box_px) for r in regions] for b in boxes])
            pairs = zip(*linear_sum_assignment(-alike), strict=True)
            found = {int(i): int(j) for i, j in pairs if alike[i, j] >= FOUND_OVERLAP}
        for i, track in enumerate(self._tracks):
            track.confirm(regions[found[i]] if i in found else None, time_s)
        assert self.parameters.unfound_for_s is not None
        lost_s = time_s - self.parameters.unfound_for_s
        gone = [track for track in self._tracks if track.missed >= UNFOUND_LOOKS and track.found_s < lost_s]
        self._lost += gone
        self._tracks = [track for track in self._tracks if track not in gone]
        return found

    @staticmethod
    def _missing(track: Track) -> bool:
        """Whether somebody lost is worth searching for in a hurry: not whom the detector has not found twice."""
        return track.missed < UNFOUND_LOOKS

    def _same_body(self, first: PersonPose, second: PersonPose) -> bool:
        return similarity(first, second, self.skeleton) >= SAME_BODY or overlap(first.box_px, second.box_px) > 0.6

    def _regions(self, image: Image, time_s: float) -> list[Region]:
        """The detector's regions in the whole picture, in its tiles and around where lost people were, best first."""
        height, width = image.shape[:2]
        places = tiles(width, height, self.parameters.tiles)
        if self.parameters.tiles_in_turn and places:
            self._turn += 1
            places = [places[self._turn % len(places)]]
        for track in filter(self._missing, self._lost):
            center, reach = track.expected_center(time_s), CLOSE_UP * body_size_px(track.pose)
            places.append(_square(center, reach, width, height))
        regions = self._detect(image, 0, 0)
        for left, top, part_width, part_height in places:
            if min(part_width, part_height) >= MIN_PICTURE_PX:
                regions += self._detect(image[top : top + part_height, left : left + part_width], left, top)
        return sorted(regions, key=lambda region: -region.score)

    def _detect(self, image: Image, left: int, top: int) -> list[Region]:
        regions = self._detector_regions(image)
        if self.parameters.mirror:
            mirrored = self._detector_regions(image[:, ::-1])
            regions = regions + [mirrored_region(region, image.shape[1]) for region in mirrored]
        return [replace(r, center_px=(r.center_px[0] + left, r.center_px[1] + top)) for r in regions]

    def _detector_regions(self, image: Image) -> list[Region]:
        regions = self.detector.detect(np.ascontiguousarray(image))
        return [region for region in regions if region.score >= self.parameters.min_detection]

    def _seen_again(self, image: Image, pose: PersonPose) -> bool:
        """True when detector and key points find the same pose in a close-up, plain and mirrored."""
        height, width = image.shape[:2]
        center = (pose.box_px[:2] + pose.box_px[2:]) / 2
        left, top, part_width, part_height = _square(center, 0.75 * body_size_px(pose) + 8, width, height)
        if min(part_width, part_height) < MIN_PICTURE_PX:
            return False
        close_up = image[top : top + part_height, left : left + part_width]
        for mirrored in (False, True):
            picture = np.ascontiguousarray(close_up[:, ::-1] if mirrored else close_up)
            poses = self.keypoint_model.keypoints(picture, self._detector_regions(picture))
            if not any(self._agrees(pose, other, left, top, picture.shape[1], mirrored) for other in poses):
                return False
        return True

    def _agrees(self, pose: PersonPose, other: PersonPose, left: int, top: int, width: int, mirrored: bool) -> bool:
        xy_px = other.xy_px
        if mirrored:
            xy_px = xy_px[list(self.skeleton.mirror_order)] * (-1, 1) + (width - 1, 0)
        moved = replace(other, xy_px=xy_px + (left, top))
        return (
            other.presence >= self.parameters.min_presence
            and similarity(pose, moved, self.skeleton) >= self.parameters.agreement
        )


def _square(center: Array, reach: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width, height of the square of ``2 * reach`` around a point, as far as it lies in the picture."""
    left, top = np.clip(np.nan_to_num(center) - reach, 0, (width, height)).astype(int)
    right, bottom = np.clip(np.nan_to_num(center) + reach, 0, (width, height)).astype(int)
    return int(left), int(top), int(right - left), int(bottom - top)


def tiles(width: int, height: int, count: int) -> list[tuple[int, int, int, int]]:
    """Overlapping tiles (left, top, width, height) of 2/(n+1) of the picture, n x n for each n in 2..count."""
    places = []
    for n in range(2, count + 1):
        tile_width, tile_height = 2 * width // (n + 1), 2 * height // (n + 1)
        for row in range(n):
            for column in range(n):
                left, top = (width - tile_width) * column // (n - 1), (height - tile_height) * row // (n - 1)
                places.append((left, top, tile_width, tile_height))
    return places


def mirrored_region(region: Region, width: int) -> Region:
    """The region of a mirrored picture, in the picture itself."""
    center = (width - 1 - region.center_px[0], region.center_px[1])
    return replace(region, center_px=center, rotation_rad=-region.rotation_rad)


def create_blazepose(parameters: FollowParameters | None = None, threads: int | None = None) -> TopDownEstimator:
    """The embedded default: BlazePose's detector and its "full" landmarks, offline."""
    from pipeline.estimation.blazepose import BlazePoseDetector, BlazePoseLandmarks

    return TopDownEstimator(BlazePoseDetector(threads=threads), BlazePoseLandmarks(threads=threads), parameters)


def estimate_image(estimator: Estimator, image: Image) -> Sequence[PersonPose]:
    """The people in one picture."""
    estimator.reset()
    return estimator.update(image, 0.0)
