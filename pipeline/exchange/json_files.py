"""Poses that MMPose, OpenPose and AlphaPose write as JSON, and the boxes of MMDet.

- MMPose: the inferencer's ``predictions/*.json`` and the demos' ``results_*.json`` (``split_instances`` in
  mmpose/structures/utils.py).
- MMDet: the inferencer's ``preds/*.json``, one a picture (mmdet/apis/det_inferencer.py), or a list of them.
- OpenPose: a folder of ``*_keypoints.json``, one a frame (doc/02_output.md), BODY_25 or COCO.
- AlphaPose: ``alphapose-results.json`` (docs/output.md), 17, 26, 133 or 136 points; ``idx`` is its tracking id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.estimation.base import Region
from pipeline.exchange.base import ExchangeError
from pipeline.exchange.markers import ORDERS
from pipeline.exchange.people import Body, Frames, check_frames, reordered
from pipeline.poses import Array
from pipeline.skeletons import COCO_17, HALPE_26, SKELETONS, Skeleton

LEAST_BOX_SCORE = 0.3  # as MMDet's own pictures; its files hold hundreds of boxes that are nothing
_SKELETONS = {17: COCO_17, 18: HALPE_26, 25: HALPE_26, 26: HALPE_26, 136: HALPE_26}


def skeleton_of(points: int) -> Skeleton:
    """The skeleton of a list of this many points. Raises ExchangeError for a number that no model here has."""
    if points in _SKELETONS:
        return _SKELETONS[points]
    for skeleton in SKELETONS.values():
        if len(skeleton) == points and points in ORDERS:
            return skeleton
    known = ", ".join(map(str, sorted(ORDERS)))
    raise ExchangeError(f"The bodies of this file have {points} points; bodies with {known} points can be read.")


def load(path: Path) -> Any:
    """The document of a JSON file. Raises ExchangeError."""
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ExchangeError(f"{path.name} is not JSON ({error}); export the poses again.") from error


def format_of(document: Any) -> str:
    """ "kinoscope", "mmpose", "mmdet", "openpose" or "alphapose"; empty when it looks like none of them."""
    if isinstance(document, dict):
        if "schema_version" in document and "people" in document:
            return "kinoscope"
        if "instance_info" in document:
            return "mmpose"
        if isinstance(document.get("people"), list):
            return "openpose"
        if "bboxes" in document and "labels" in document:
            return "mmdet"
        return ""
    if not isinstance(document, list):
        return ""
    first = next((item for item in document if item), None)
    if isinstance(first, list) or (document and first is None and isinstance(document[0], list)):
        return "mmpose"
    if isinstance(first, dict):
        if "instances" in first or "keypoint_scores" in first:
            return "mmpose"
        if "image_id" in first and "keypoints" in first:
            return "alphapose"
        if "bboxes" in first and "labels" in first:
            return "mmdet"
    return ""


def first_number(numbers: Sequence[int], in_clip: bool, usual: int) -> int:
    """What the file calls the first frame: its smallest number; in a clip 0 or 1 (``usual`` if it begins later)."""
    smallest = min(numbers, default=0)
    return smallest if smallest <= 1 or not in_clip else usual


def read_mmdet(documents: Sequence[Any], numbers: Sequence[int]) -> dict[int, list[Region]]:
    """The boxes of people (class 0 of COCO) in the frames of a clip, one document a frame. Raises ExchangeError."""
    first = first_number(numbers, True, 0)
    boxes: dict[int, list[Region]] = {}
    for document, number in zip(documents, numbers, strict=True):
        values = _dict(document, "a frame")
        corners = _numbers(values.get("bboxes", []), "bboxes").ravel()
        if len(corners) % 4:
            raise ExchangeError(
                "The bboxes of this MMDet file are no lists of left, top, right, bottom; export it again."
            )
        corners = corners.reshape(-1, 4)
        labels = _numbers(values.get("labels", []), "labels").ravel()
        scores = _numbers(values.get("scores", [1.0] * len(corners)), "scores").ravel()
        if not len(corners) == len(labels) == len(scores):
            raise ExchangeError(
                "A frame of this MMDet file has not as many labels and scores as boxes; export it again."
            )
        sizes = corners[:, 2:] - corners[:, :2]
        people = (labels == 0) & (scores >= LEAST_BOX_SCORE) & (sizes > 0).all(axis=1)  # False where one is NaN
        boxes[number - first] = [
            Region.from_box(box, min(1.0, score)) for box, score in zip(corners[people], scores[people], strict=True)
        ]
    return boxes


def read_mmpose(document: Any, in_clip: bool = False) -> tuple[Frames, Skeleton]:
    """Frames of an MMPose prediction. Raises ExchangeError.

    Args:
        in_clip: the frames are those of a clip, whose first one is number 0 or 1; else the first one in the file is 0.
    """
    if isinstance(document, dict):
        document = document.get("instance_info")
    if not isinstance(document, list):
        raise ExchangeError("This MMPose file has no list of frames under instance_info.")
    if document and all(isinstance(item, dict) and "keypoints" in item for item in document):
        document = [document]  # one picture
    numbers: list[int] = []
    lists: list[Any] = []
    for place, item in enumerate(document):
        if isinstance(item, dict):
            numbers.append(_whole(item.get("frame_id", place), "a frame_id"))
            lists.append(item.get("instances", []))
        else:
            numbers.append(place)
            lists.append(item)
    first = first_number(numbers, in_clip, 1)  # the demos count from 1
    frames: Frames = {}
    skeleton: Skeleton | None = None
    for number, found in zip(numbers, lists, strict=True):
        bodies = []
        for instance in _list(found, "the instances of a frame"):
            values = _dict(instance, "an instance")
            points = _points(values.get("keypoints"))
            raw = _numbers(values.get("keypoint_scores", [np.nan] * len(points)), "keypoint_scores").ravel()
            body, skeleton = _body(points[:, :2], raw, values.get("track_id"), skeleton)
            bodies.append(body)
        frames.setdefault(number - first, []).extend(bodies)
    return check_frames(frames, "This MMPose file"), skeleton or COCO_17


def read_alphapose(document: Any) -> tuple[Frames, Skeleton]:
    """Frames of an AlphaPose result by the number in ``image_id``. Raises ExchangeError."""
    frames: Frames = {}
    skeleton: Skeleton | None = None
    order: dict[str, int] = {}
    items = [_dict(item, "an entry") for item in _list(document, "the file")]
    names = [str(item.get("image_id")) for item in items]
    numbered = all(re.search(r"\d+", Path(name).stem) for name in names)
    for item, name in zip(items, names, strict=True):
        number = int(re.findall(r"\d+", Path(name).stem)[-1][-15:]) if numbered else order.setdefault(name, len(order))
        points = _triples(item.get("keypoints"), "keypoints")
        body, skeleton = _body(points[:, :2], points[:, 2], item.get("idx"), skeleton)
        frames.setdefault(number, []).append(body)
    return check_frames(frames, "This AlphaPose file"), skeleton or COCO_17


def read_openpose(documents: Sequence[Any], numbers: Sequence[int], in_clip: bool = False) -> tuple[Frames, Skeleton]:
    """Frames of OpenPose's files, one document a frame. A point at (0, 0) was not seen. Raises ExchangeError.

    Args:
        in_clip: as in ``read_mmpose``.
    """
    frames: Frames = {}
    skeleton: Skeleton | None = None
    first = first_number(numbers, in_clip, 0)
    for document, number in zip(documents, numbers, strict=True):
        bodies = []
        for item in _list(_dict(document, "the file").get("people"), "people"):
            person = _dict(item, "a person")
            points = _triples(person.get("pose_keypoints_2d", person.get("pose_keypoints")), "pose_keypoints_2d")
            if not len(points):
                continue
            ids = person.get("person_id")
            known = ids[0] if isinstance(ids, list) and ids else ids
            body, skeleton = _body(points[:, :2], points[:, 2], known, skeleton)
            unseen = (body.xy_px == 0).all(axis=1)
            bodies.append(Body(np.where(unseen[:, None], np.nan, body.xy_px), body.raw_score, body.person))
        frames[number - first] = bodies
    return check_frames(frames, "This OpenPose folder"), skeleton or HALPE_26


def frame_numbers(paths: Sequence[Path]) -> list[int]:
    """The frame numbers in names like ``clip_000000000012_keypoints.json``; 0, 1 ... where they tell none apart."""
    if len(paths) == 1:
        return [0]
    found = [re.search(r"(\d+)(?:_keypoints)?$", path.stem) for path in paths]
    numbers = [int(number[1][-15:]) if number else place for place, number in enumerate(found)]
    return numbers if len(set(numbers)) == len(numbers) else list(range(len(paths)))


def _body(xy_px: Array, raw: Array, person: Any, skeleton: Skeleton | None) -> tuple[Body, Skeleton]:
    found = skeleton_of(len(xy_px))
    if skeleton is not None and found is not skeleton:
        raise ExchangeError("The bodies of this file have different numbers of points; export one model's poses.")
    if len(raw) != len(xy_px):
        raise ExchangeError(f"A body of this file has {len(xy_px)} points and {len(raw)} scores; export it again.")
    joints = ORDERS[len(xy_px)]
    known = _whole(person, "a person's id") if isinstance(person, int | float) and not isinstance(person, bool) else -1
    seen = np.isfinite(raw) & (raw < 0)  # a negative confidence marks what was not found
    xy_px = np.where(seen[:, None], np.nan, xy_px)
    body = Body(reordered(xy_px, joints, found), reordered(raw, joints, found), known if 0 <= known < 2**31 else None)
    return body, found


def _points(value: Any) -> Array:
    points = _numbers(value, "keypoints")
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not len(points):
        raise ExchangeError("The keypoints of this MMPose file are no lists of x and y; export the predictions again.")
    return points


def _triples(value: Any, name: str) -> Array:
    values = _numbers(value if value is not None else [], name).ravel()
    if len(values) % 3:
        raise ExchangeError(f"The {name} of this file are no triples of x, y and confidence: {len(values)} numbers.")
    return values.reshape(-1, 3)


def _numbers(value: Any, name: str) -> Array:
    try:
        numbers = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ExchangeError(f"The {name} of this file hold something that is no number; export it again.") from None
    return np.where(np.abs(numbers) < 1e9, numbers, np.nan)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise ExchangeError(f"{name} of this file is {str(value)[:30]!r}, which is no whole number.")
    return int(value)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ExchangeError(f"{name} should be a list and is {type(value).__name__}; export the poses again.")
    return value


def _dict(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ExchangeError(f"{name} should be an object and is {type(value).__name__}; export the poses again.")
    return value
