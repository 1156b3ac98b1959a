"""Windows of half a second of a clip, as the ugly-2D gate's network sees them: key points and crops of the person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import Frame
from pipeline.networks.ugly_2d_shape import BODY, BONES, CROP, CROP_MARGIN, EACH, FRAMES, POSE
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import KINECT_13

WINDOW_S = 0.5  # five frames, a tenth of a second apart
_SHOULDERS = [KINECT_13.index("left_shoulder"), KINECT_13.index("right_shoulder")]
_HIPS = [KINECT_13.index("left_hip"), KINECT_13.index("right_hip")]
_FROM, _TO = np.array(KINECT_13.bone_indices).T
_JOINTS = list(KINECT_13.mirror_order)
_SORTED_BONES = [frozenset(bone) for bone in KINECT_13.bone_indices]
_BONES = [_SORTED_BONES.index(frozenset(_JOINTS[joint] for joint in bone)) for bone in KINECT_13.bone_indices]


@dataclass(frozen=True, eq=False)
class Samples:
    """What the network sees of one or several clips: N windows of five frames, in order.

    crops: (N, 5, 48, 48) grey 0..255; poses: (N, 5, POSE); has_pictures: (N,); time_s: (N, 5); seen: (N, 5) found at
    all; clip: (N,) number of the clip.
    """

    crops: NDArray[np.uint8]
    poses: NDArray[np.float32]
    has_pictures: NDArray[np.bool_]
    time_s: Array
    seen: NDArray[np.bool_]
    clip: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.poses)


def window_frames(time_s: Array) -> NDArray[np.int64]:
    """(N, 5) positions of the frames of each window, about a tenth of a second apart, whatever the frame rate.

    A sequence under half a second gives one window that repeats frames; an empty one gives none.
    """
    if not len(time_s):
        return np.empty((0, FRAMES), dtype=np.int64)
    step = WINDOW_S / FRAMES
    count = max(1, int((time_s[-1] - time_s[0] + step) / WINDOW_S + 1e-6))
    wanted = time_s[0] + step * np.arange(count * FRAMES)
    after = np.clip(np.searchsorted(time_s, wanted), 1, max(len(time_s) - 1, 1))
    after = np.minimum(after, len(time_s) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(time_s[before] - wanted) <= np.abs(time_s[after] - wanted), before, after)
    return nearest.reshape(count, FRAMES).astype(np.int64)


def torso_px(xy_px: Array) -> Array:
    """(...) distance from the shoulders' middle to the hips' middle of (..., 13, 2), in pixels."""
    return np.asarray(np.linalg.norm(xy_px[..., _SHOULDERS, :].mean(-2) - xy_px[..., _HIPS, :].mean(-2), axis=-1))


def clip_torso_px(flat: PoseSequence) -> float:
    """Median length of the torso in the picture; NaN when it is never seen."""
    lengths = torso_px(flat.xy_px)
    known = lengths[np.isfinite(lengths)]
    return float(np.median(known)) if known.size else float("nan")


def seen_in(xy_px: NDArray) -> NDArray[np.bool_]:
    """(...) whether half of the key points (..., 13, 2) were found."""
    return np.asarray(np.isfinite(xy_px).all(axis=-1).sum(axis=-1) >= len(KINECT_13) // 2)


def pose_features(xy_px: NDArray, score: NDArray, image_size: NDArray, torso: NDArray) -> NDArray[np.float32]:
    """(N, 5, POSE): what the network is told of the key points.

    For each joint its place in the person's box, movement and change of movement from frame to frame in torso lengths,
    confidence as a logit, whether it was found, and whether it lies inside the picture. For each frame the lengths of
    the bones against the clip's torso and how they change within the window, the torso's share of the box, and the
    margins between box and picture. None depends on the size of the picture. Key points that were not found are 0.

    Args:
        xy_px: (N, 5, 13, 2); score: (N, 5, 13); image_size: (N, 2); torso: (N,) ``clip_torso_px`` of their clip.
    """
    if not len(xy_px):
        return np.zeros((0, FRAMES, POSE), dtype=np.float32)
    known = np.isfinite(xy_px).all(axis=3)
    low, high = boxes(xy_px)
    size = np.maximum((high - low).max(axis=-1), 8.0)
    unit = np.maximum(np.where(np.isfinite(torso), torso, size / 3), 0.1 * size)[:, None, None, None]
    place = (xy_px - (low + high)[:, None, None] / 2) / size[:, None, None, None]
    moved = np.diff(xy_px, axis=1, prepend=xy_px[:, :1]) / unit
    changed = np.diff(moved, axis=1, prepend=moved[:, :1])
    changed[:, 1] = 0  # there is no movement before the first frame
    limit = image_size[:, None, None] - 1
    inside = known & (xy_px >= 0).all(axis=3) & (xy_px <= limit).all(axis=3)
    sure = np.clip(np.nan_to_num(score), 0.002, 0.998)
    logit = np.where(known, np.log(sure / (1 - sure)) / 3, -2.0)
    joints = np.concatenate(
        [np.clip(place, -2, 2), np.clip(moved, -1, 1), np.clip(changed, -1, 1), logit[..., None],
         known[..., None], inside[..., None]], axis=3
    )  # fmt: skip
    bones = np.clip(np.linalg.norm(xy_px[:, :, _FROM] - xy_px[:, :, _TO], axis=3) / unit[..., 0], 0, 3)
    unsteady = np.broadcast_to(np.abs(bones - bones.mean(axis=1, keepdims=True)).mean(axis=1, keepdims=True) * 5,
                               bones.shape)  # fmt: skip
    sides = np.minimum(low, image_size - high) / size[:, None]  # the nearer of left and right, of top and bottom
    frame = np.stack([torso / size, *np.clip(sides, -1, 1).T], axis=1)
    frames = np.broadcast_to(frame[:, None], (*xy_px.shape[:2], 3))
    parts = [joints.reshape(*xy_px.shape[:2], -1), bones, unsteady, frames]
    features = np.nan_to_num(np.concatenate(parts, axis=2)).astype(np.float32)
    assert features.shape[2] == POSE
    return features


def mirrored(poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """The features (N, 5, POSE) as a mirror gives them: x reversed, left and right exchanged."""
    joints, bones, frame = _parts(poses)
    joints, bones = joints[:, :, _JOINTS].copy(), bones[..., _BONES]
    joints[..., 0:6:2] *= -1
    return _whole(joints, bones, frame)


def rolled(poses: NDArray[np.float32], angle_rad: NDArray) -> NDArray[np.float32]:
    """The features (N, 5, POSE) of people who are turned in the picture by (N,) angles, clockwise as it is seen."""
    joints, bones, frame = _parts(poses)
    c, s = (part(angle_rad)[:, None, None] for part in (np.cos, np.sin))
    joints = joints.copy()
    for x in (0, 2, 4):
        joints[..., x], joints[..., x + 1] = (
            c * joints[..., x] - s * joints[..., x + 1],
            s * joints[..., x] + c * joints[..., x + 1],
        )
    return _whole(joints, bones, frame)


def _parts(poses: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """(N, 5, 13, EACH) of joints, (N, 5, 2, BONES) of bones, (N, 5, 3) of the frame."""
    cut = poses.shape[2] - BODY
    joints = poses[..., :cut].reshape(*poses.shape[:2], len(KINECT_13), EACH)
    bones = poses[..., cut : cut + 2 * BONES].reshape(*poses.shape[:2], 2, BONES)
    return joints, bones, poses[..., cut + 2 * BONES :]


def _whole(joints: NDArray, bones: NDArray, frame: NDArray) -> NDArray[np.float32]:
    shape = joints.shape[:2]
    return np.concatenate([joints.reshape(*shape, -1), bones.reshape(*shape, -1), frame], axis=2).astype(np.float32)


def boxes(xy_px: NDArray) -> tuple[Array, Array]:
    """(N, 2) corners around all known points of each window (N, 5, 13, 2); the unit square where there are none."""
    far = xy_px.astype(np.float64).reshape(len(xy_px), -1, 2)
    far[~np.isfinite(far).all(axis=2)] = np.nan
    empty = np.isnan(far).all(axis=(1, 2))
    far[empty] = np.array([0.0, 1.0])[None, np.arange(far.shape[1]) % 2, None]
    return np.nanmin(far, axis=1), np.nanmax(far, axis=1)


def crop(image: NDArray[np.uint8], low: Array, high: Array) -> NDArray[np.uint8]:
    """(48, 48) grey square of the picture (H, W, 3) around a box, a fifth larger; what is outside is black."""
    centre, side = (low + high) / 2, max(float((high - low).max()) * CROP_MARGIN, 16.0)
    scale = CROP / side
    if scale < 1:  # smooth first, so that a large person is not sampled into noise
        left, top = np.maximum((centre - side / 2).astype(int), 0)
        right, bottom = np.maximum((centre + side / 2).astype(int) + 1, 1)
        part = image[top:bottom, left:right]
        if part.size == 0:
            return np.zeros((CROP, CROP), dtype=np.uint8)
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)[:CROP, :CROP]
        result = np.zeros((CROP, CROP), dtype=np.uint8)
        x = int(np.clip(round((left - centre[0] + side / 2) * scale), 0, CROP - small.shape[1]))
        y = int(np.clip(round((top - centre[1] + side / 2) * scale), 0, CROP - small.shape[0]))
        result[y : y + small.shape[0], x : x + small.shape[1]] = small
        return result
    matrix = np.array([[scale, 0, CROP / 2 - scale * centre[0]], [0, scale, CROP / 2 - scale * centre[1]]])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.warpAffine(grey, matrix, (CROP, CROP), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def window_crops(
    flat: PoseSequence, windows: NDArray[np.int64], frames: Iterable[Frame]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(N, 5, 48, 48) crops of the person, and (N,) whether every picture of a window was there.

    Args:
        flat: Kinect-13; windows: ``window_frames``; frames: the clip's pictures in order, with their times.
    """
    crops = np.zeros((*windows.shape, CROP, CROP), dtype=np.uint8)
    got = np.zeros(windows.shape, dtype=bool)
    if not len(windows):
        return crops, got.all(axis=1)
    low, high = boxes(flat.xy_px[windows])
    places: dict[int, list[tuple[int, int]]] = {}
    for (n, k), frame in np.ndenumerate(windows):
        places.setdefault(int(frame), []).append((n, k))
    for picture in frames:
        index = int(np.argmin(np.abs(flat.time_s - picture.time_s)))
        if abs(flat.time_s[index] - picture.time_s) < 0.01:
            for n, k in places.get(index, ()):
                crops[n, k] = crop(picture.image, low[n], high[n])
                got[n, k] = True
    return crops, got.all(axis=1)


def samples(sequence: PoseSequence, frames: Iterable[Frame] | None = None) -> Samples:
    """The windows of a clip.

    Args:
        sequence: any skeleton that maps to Kinect-13.
        frames: the clip's pictures in order, with their times; None judges by the poses alone.
    """
    flat = sequence.to(KINECT_13)
    windows = window_frames(flat.time_s)
    count = len(windows)
    crops, got = window_crops(flat, windows, () if frames is None else frames)
    size = np.tile(np.array(flat.image_size, dtype=np.float64), (count, 1))
    poses = pose_features(flat.xy_px[windows], flat.score[windows], size, np.full(count, clip_torso_px(flat)))
    seen = seen_in(flat.xy_px)[windows]
    return Samples(crops, poses, got, flat.time_s[windows], seen, np.zeros(count, dtype=np.int64))
