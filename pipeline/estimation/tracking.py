"""Who is who: how alike two poses are, how alike two people look, and ids that survive short occlusions.

The kept tracking libraries (ByteTrack, norfair and kin) associate boxes and count their patience in frames; here a
person is followed by key points, forgotten after seconds (so the frame rate does not matter) and told from others by
the colour of the clothes. SciPy's Hungarian assignment does the matching.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.estimation.base import Image, PersonPose, Region
from pipeline.poses import Array
from pipeline.skeletons import Skeleton

# Standard deviations of human annotators per joint relative to body scale: COCO key-point evaluation
# (cocodataset.org/#keypoints-eval).
COCO_SIGMAS = {
    "nose": 0.026, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
LOOK_EVERY_S, NEW_LOOK = 0.2, 0.25  # clothes are looked at now and then, and known after about a second
_BODY_AREA_SHARE = 0.3  # a person's segment covers about this share of the square over their longer side


def limb_joints(skeleton: Skeleton) -> tuple[Array, Array]:
    """Positions and COCO sigmas of the joints that carry a pose (nose, shoulders to ankles) in ``skeleton``."""
    rows = [
        (number, COCO_SIGMAS[kind])
        for number, joint in enumerate(skeleton.joints)
        if (kind := joint.split("_")[-1]) in COCO_SIGMAS and joint.count("_") <= 1
    ]
    positions, sigmas = zip(*rows, strict=True)
    return np.array(positions), np.array(sigmas)


def similarity(first: PersonPose, second: PersonPose, skeleton: Skeleton) -> float:
    """Object key-point similarity of two poses, 0..1 (COCO), scaled by the larger of the two bodies."""
    joints, sigmas = limb_joints(skeleton)
    area = max(body_size_px(first), body_size_px(second)) ** 2 * _BODY_AREA_SHARE
    squared = ((first.xy_px[joints] - second.xy_px[joints]) ** 2).sum(axis=1)
    return float(np.nanmean(np.exp(-squared / (2 * (2 * sigmas) ** 2 * max(area, 1.0)))))


def overlap(first: Array, second: Array) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    areas, shared = _areas(first, second)
    return float(shared / max(areas.sum() - shared, 1e-9))


def inside(first: Array, second: Array) -> float:
    """Intersection of two boxes as a share of the smaller one."""
    areas, shared = _areas(first, second)
    return float(shared / max(areas.min(), 1e-9))


def _areas(first: Array, second: Array) -> tuple[Array, float]:
    size = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None)
    return np.array([(first[2:] - first[:2]).prod(), (second[2:] - second[:2]).prod()]), float(size.prod())


def body_size_px(pose: PersonPose) -> float:
    """The longer side of a pose's box."""
    return float(max(pose.box_px[2:] - pose.box_px[:2]))


def appearance(image: Image, pose: PersonPose, skeleton: Skeleton) -> Array | None:
    """Colours of the trunk and the thighs as one histogram (sums to 1); None when too little is in the picture."""
    corners = [skeleton.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
    knees = [skeleton.index(f"{side}_knee") for side in ("left", "right")]
    left_shoulder, right_shoulder, left_hip, right_hip = pose.xy_px[corners]
    u, v = (grid.ravel()[:, None] for grid in np.meshgrid(np.linspace(0.15, 0.85, 8), np.linspace(0.1, 0.9, 10)))
    trunk = (1 - v) * ((1 - u) * left_shoulder + u * right_shoulder) + v * ((1 - u) * left_hip + u * right_hip)
    along = np.linspace(0.2, 0.8, 8)[:, None]
    thighs = np.concatenate(
        [hip + along * (knee - hip) for hip, knee in zip((left_hip, right_hip), pose.xy_px[knees], strict=True)]
    )
    histograms = []
    for points in (trunk, thighs):
        pixels = np.round(points[np.isfinite(points).all(axis=1)]).astype(int)
        inside = ((pixels >= 0) & (pixels < (image.shape[1], image.shape[0]))).all(axis=1)
        if inside.mean() < 0.5 if inside.size else True:
            histograms.append(np.zeros(64))
            continue
        x, y = pixels[inside].T
        lab = cv2.cvtColor(image[y, x][None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)
        lab[:, 1:] = np.clip(lab[:, 1:], 96, 159)  # clothes are rarely more colourful; what is counts as the last bin
        histogram, _ = np.histogramdd(lab, bins=(4, 4, 4), range=((0, 256), (96, 160), (96, 160)))
        histograms.append(histogram.ravel() / max(histogram.sum(), 1))
    if not histograms[0].any():
        return None
    both = np.concatenate(histograms)
    return np.asarray(both / both.sum())


def look_distance(first: Array | None, second: Array | None) -> float:
    """Hellinger distance of two appearances, 0 (alike) to 1; 0.5 when one is unknown."""
    if first is None or second is None:
        return 0.5
    return float(np.sqrt(max(0.0, 1 - np.sqrt(first * second).sum())))


@dataclass(eq=False)
class Track:
    """One person being followed.

    Attributes:
        look: learned only while nobody else stands in the way; look_s: when last.
        found: the detector's newest region of this person, until the next pose.
        found_s: when that was; missed: how often the detector has looked in vain since.
    """

    person: int
    pose: PersonPose
    time_s: float
    look: Array | None
    look_s: float = -np.inf
    velocity_px_s: Array | None = None
    crossing: bool = False
    found: Region | None = None
    found_s: float = -np.inf
    missed: int = 0

    @property
    def region(self) -> Region:
        """Where to look for this person next."""
        return self.found or self.pose.next_region

    def confirm(self, region: Region | None, time_s: float) -> None:
        """What the detector has just seen of this person; None for nothing."""
        if region is None:
            self.missed += 1
        else:
            self.found, self.found_s, self.missed = region, time_s, 0

    def expected_center(self, time_s: float) -> Array:
        """(2,) where the box centre should be by now, at constant velocity for at most 0.3 s."""
        center = (self.pose.box_px[:2] + self.pose.box_px[2:]) / 2
        if self.velocity_px_s is None:
            return np.asarray(center)
        return np.asarray(center + self.velocity_px_s * min(time_s - self.time_s, 0.3))

    def follow(self, pose: PersonPose, time_s: float) -> None:
        """Take the pose of the next frame."""
        center = (pose.box_px[:2] + pose.box_px[2:]) / 2
        before = (self.pose.box_px[:2] + self.pose.box_px[2:]) / 2
        velocity = (center - before) / max(time_s - self.time_s, 1e-3)
        self.velocity_px_s = velocity if self.velocity_px_s is None else 0.7 * self.velocity_px_s + 0.3 * velocity
        self.pose, self.time_s, self.found = pose, time_s, None

    def learn_look(self, look: Array | None, time_s: float) -> None:
        """Blend in how the person looks now."""
        if look is not None:
            self.look = look if self.look is None else (1 - NEW_LOOK) * self.look + NEW_LOOK * look
        self.look_s = time_s


@dataclass(frozen=True)
class Reach:
    """How far and how different a person may come back.

    body_sizes: allowed distance at once, in body sizes (a detector's box wobbles by about a third).
    body_sizes_per_s: growth of that distance with the time out of sight (a fast walk is about one body a second).
    look: largest Hellinger distance of the clothes' colours.
    """

    body_sizes: float = 0.4
    body_sizes_per_s: float = 1.0
    look: float = 0.75


def match(
    tracks: list[Track], poses: list[PersonPose], looks: list[Array | None], time_s: float, reach: Reach
) -> list[tuple[int, int]]:
    """Pairs (track, pose) of the same person: near enough for the time gone by, alike enough, cheapest in sum."""
    if not tracks or not poses:
        return []
    impossible = 1e6
    cost = np.full((len(tracks), len(poses)), impossible)
    for i, track in enumerate(tracks):
        expected, gone_s = track.expected_center(time_s), time_s - track.time_s
        for j, pose in enumerate(poses):
            size = max(body_size_px(track.pose), body_size_px(pose), 1.0)
            distance = float(np.hypot(*((pose.box_px[:2] + pose.box_px[2:]) / 2 - expected))) / size
            allowed = reach.body_sizes + reach.body_sizes_per_s * gone_s
            different = look_distance(track.look, looks[j])
            ratio = body_size_px(pose) / max(body_size_px(track.pose), 1.0)
            if distance <= allowed and different <= reach.look and 0.4 < ratio < 2.5:
                cost[i, j] = distance / allowed + 2 * different
    rows, columns = linear_sum_assignment(cost)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost[i, j] < impossible]
