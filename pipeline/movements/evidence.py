"""Pictures that prove a remark: the limb it is about, the angle that was measured, the value and its limit.

What is drawn follows from the joints of a reading, so a new movement needs no drawing of its own: three joints of a
limb are an angle at the middle one, two are a line against the horizontal, shoulders and hips are the trunk against the
vertical. An angle is drawn where the picture shows it; the number beside it is the measured one, which allows for the
view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from pipeline.drawing import draw_pose
from pipeline.estimation.base import Image
from pipeline.movements.base import Metric, Reading, Remark, RepetitionReport
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import is_left, is_right

Color = tuple[int, int, int]

# Okabe and Ito's vermillion, bluish green and a dark plate; words stand beside every colour.
FAULT: Color = (213, 94, 0)
GOOD: Color = (0, 158, 115)
PLATE: Color = (23, 37, 42)

_WHITE: Color = (255, 255, 255)
_UPRIGHT = (("shoulder", "elbow"), ("elbow", "shoulder"))  # two joints that are looked at against the vertical


def amount(value: float, unit: str) -> str:
    """A number with its unit as people write it: "14°", "0.62", "0.8 s"; a dash when it is unknown."""
    if not math.isfinite(value):
        return "–"
    if unit == "°":
        return f"{value:.0f}°"
    number = f"{value:.0f}" if unit.startswith("%") else f"{value:.2f}"
    return f"{number} {unit}".strip()


def limit_words(remark: Remark) -> str:
    """The limit with its direction: "at most 25°"."""
    side = "at most" if remark.value > remark.threshold else "at least"
    return f"{side} {amount(remark.threshold, remark.unit)}"


def frame_at(person: PoseSequence, time_s: float) -> int:
    """The position of the frame nearest to a moment."""
    return int(np.abs(person.time_s - time_s).argmin())


def reading(repetition: RepetitionReport, metric: str) -> Reading | None:
    """A metric of a repetition: of the middle or both sides, else of the one side that was seen."""
    known = [r for r in repetition.metrics if r.metric == metric and not r.refused]
    return next((r for r in known if r.side == "both"), known[0] if known else None)


def evidence_picture(
    image: Image | None,
    person: PoseSequence,
    repetition: RepetitionReport,
    remark: Remark | None = None,
    metric: Metric | None = None,
    *,
    height_px: int = 720,
    close: bool = False,
) -> Image:
    """The frame of a remark, close to the person, with the limb and the angle on it; else the turning point.

    Args:
        image: (H, W, 3) RGB frame of the source at that moment; None draws on an empty field.
        metric: what to show of a turning point; None draws the pose only.
        height_px: of the picture.
        close: a square without words, for a thumbnail; else 4 : 3.

    Returns:
        (height_px, W, 3) RGB.
    """
    width, height = max(person.image_size[0], 1), max(person.image_size[1], 1)
    if image is None:
        image = np.full((height, width, 3), 40, np.uint8)
    if not len(person):
        return image.copy()
    frame = frame_at(person, repetition.turn_s if remark is None else remark.time_s)
    left, top, right, bottom = _around(person.boxes_px()[frame], (width, height), 1.0 if close else 4 / 3)
    scale = image.shape[1] / width
    part = image[round(top * scale) : round(bottom * scale), round(left * scale) : round(right * scale)]
    zoom = height_px / (bottom - top)
    size = (max(1, round((right - left) * zoom)), height_px)
    canvas = np.asarray(
        cv2.resize(part, size, interpolation=cv2.INTER_AREA if zoom < scale else cv2.INTER_CUBIC), np.uint8
    )
    xy_px = (person.xy_px[frame] - (left, top)) * zoom
    draw_pose(canvas, person.skeleton, xy_px, person.score[frame], person=person.person, label="")
    if remark is not None:
        text = f"{amount(remark.value, remark.unit)} ({limit_words(remark)})"
        draw_measure(canvas, person, xy_px, remark.joints, remark.unit, "" if close else text, FAULT)
    elif metric is not None and (found := reading(repetition, metric.name)) is not None:
        text = amount(found.value, metric.unit)
        draw_measure(canvas, person, xy_px, found.joints, metric.unit, "" if close else text, GOOD)
    return canvas


def _around(box: Array, size: tuple[int, int], aspect: float) -> tuple[float, float, float, float]:
    """A field of this aspect around a box with a margin, inside the picture; the whole picture without a box.

    Args:
        box: (4,) left, top, right, bottom in pixels; NaN where nothing was seen.
        size: width and height of the picture.
    """
    if not np.isfinite(box).all():
        return 0.0, 0.0, float(size[0]), float(size[1])
    left, top, right, bottom = map(float, box)
    height = max(1.35 * (bottom - top), 1.5 * (right - left) / aspect, 32.0)
    spans = []
    for middle, span, limit in (((left + right) / 2, height * aspect, size[0]), ((top + bottom) / 2, height, size[1])):
        start = float(np.clip(middle - span / 2, 0, max(0.0, limit - span)))
        spans.append((start, min(start + span, limit)))
    (x0, x1), (y0, y1) = spans
    return x0, y0, x1, y1


def highlight(image: Image, person: PoseSequence, xy_px: Array, joints: Sequence[str], color: Color) -> None:
    """The limbs between ``joints`` in a strong colour with a white edge (in place)."""
    size = _size(image)
    points = _points(person, xy_px, joints)
    for a, b in person.skeleton.bones:
        if a in points and b in points:
            _line(image, points[a], points[b], _WHITE, 5.0 * size)
            _line(image, points[a], points[b], color, 3.2 * size)
    for point in points.values():
        cv2.circle(image, point, round(4.5 * size), _WHITE, -1, cv2.LINE_AA)
        cv2.circle(image, point, round(3.5 * size), color, -1, cv2.LINE_AA)


def draw_measure(
    image: Image, person: PoseSequence, xy_px: Array, joints: Sequence[str], unit: str, text: str, color: Color
) -> None:
    """Highlight the limbs of a reading, draw what was measured between them, and write ``text`` beside it (in place).

    Args:
        xy_px: (J, 2) pixels of this picture.
        joints: those of the reading or the remark.
        unit: "°" draws angles; anything else distances.
    """
    highlight(image, person, xy_px, joints, color)
    points = _points(person, xy_px, joints)
    if not points:
        return
    anchors = _draw_geometry(image, points, joints, unit, color)
    if text:
        _label(image, text, anchors[0] if anchors else next(iter(points.values())), xy_px, color)


def _label(image: Image, text: str, anchor: tuple[float, float], xy_px: Array, color: Color) -> None:
    """The words beside the person, with a line to what they are about."""
    seen = xy_px[np.isfinite(xy_px).all(axis=1)]
    left, right = float(seen[:, 0].min()), float(seen[:, 0].max())
    gap = 20 * _size(image)
    on_right = anchor[0] >= (left + right) / 2
    if (image.shape[1] - right if on_right else left) < 0.2 * image.shape[1]:  # no room for words there
        on_right = image.shape[1] - right >= left
    x = right + gap if on_right else left - gap
    y = float(np.clip(anchor[1] - 1.5 * gap, 0, image.shape[0]))
    _line(image, anchor, (x, y), _WHITE, 2.5 * _size(image))
    _line(image, anchor, (x, y), color, 1.2 * _size(image))
    write(image, text, (x, y), color, align="left" if on_right else "right")


def _draw_geometry(
    image: Image, points: dict[str, tuple[int, int]], joints: Sequence[str], unit: str, color: Color
) -> list[tuple[float, float]]:
    """Angles and distances by the parts of the body that are named; where the text may stand."""
    by_side = {
        side: {_part(joint): points[joint] for joint in joints if joint in points and test(joint)}
        for side, test in (("left", is_left), ("right", is_right))
    }
    parts = tuple(dict.fromkeys(_part(joint) for joint in joints))
    sides = [found for found in by_side.values() if len(found) == len(parts)]
    middle = {
        part: tuple(np.mean([found[part] for found in by_side.values() if part in found], axis=0))
        for part in parts
        if any(part in found for found in by_side.values())
    }
    degrees = unit == "°"
    if len(parts) == 1:
        if len(sides) == 2:
            a, b = (found[parts[0]] for found in by_side.values())
            low, high = sorted((a, b), key=lambda point: point[0])
            return [_against(image, low, high, (1, 0), color, arc=degrees)]
    elif degrees and set(parts) >= {"shoulder", "hip"} and len(parts) != 3:
        if {"shoulder", "hip"} <= set(middle):
            anchors = [_against(image, middle["hip"], middle["shoulder"], (0, -1), color)]
            if {"knee", "ankle"} <= set(middle):
                _against(image, middle["ankle"], middle["knee"], (0, -1), color)
            return anchors
    elif degrees and len(parts) == 3:
        first, vertex, last = parts
        return [_bend(image, found[first], found[vertex], found[last], color) for found in sides]
    elif degrees and len(parts) == 2:
        away = (0, 1) if parts in _UPRIGHT else None
        return [_against(image, *_from_far(found, parts), away, color) for found in sides]
    elif len(parts) == 2 and len(sides) == 2 and set(parts) == {"knee", "ankle"}:
        for part in parts:
            _dashed(image, by_side["left"][part], by_side["right"][part], color)
        return [middle["knee"]]
    elif len(parts) == 2 and len(middle) == 2:
        return [_plumb(image, middle[parts[0]], middle[parts[1]], color)]
    return []


def _from_far(
    found: dict[str, tuple[int, int]], parts: tuple[str, ...]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the line of a limb begins and ends: at the knee for the thigh, at the toes for the foot."""
    a, b = parts
    return (found[a], found[b]) if (a, b) == ("shoulder", "elbow") else (found[b], found[a])


def _against(
    image: Image,
    start: tuple[float, float],
    end: tuple[float, float],
    reference: tuple[int, int] | None,
    color: Color,
    *,
    arc: bool = True,
) -> tuple[float, float]:
    """A line from ``start`` to ``end`` against a dashed reference (the horizontal on its side when None)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(math.hypot(dx, dy), 1.0)
    if reference is None:
        reference = (1 if dx >= 0 else -1, 0)
    tip = (start[0] + 1.15 * length * reference[0], start[1] + 1.15 * length * reference[1])
    _dashed(image, start, tip, color)
    _line(image, start, end, color, 2.0 * _size(image))
    if arc:
        _arc(image, start, (dx, dy), reference, 0.5 * length, color)
    return tip


def _bend(
    image: Image, a: tuple[float, float], vertex: tuple[float, float], b: tuple[float, float], color: Color
) -> tuple[float, float]:
    """The angle at ``vertex`` between the lines to ``a`` and ``b``."""
    first = (a[0] - vertex[0], a[1] - vertex[1])
    second = (b[0] - vertex[0], b[1] - vertex[1])
    radius = 0.4 * min(math.hypot(*first), math.hypot(*second))
    _arc(image, vertex, first, second, radius, color)
    return vertex


def _plumb(image: Image, over: tuple[float, float], base: tuple[float, float], color: Color) -> tuple[float, float]:
    """How far ``over`` is beside the vertical through ``base``."""
    foot = (base[0], over[1])
    _dashed(image, base, foot, color)
    _line(image, foot, over, color, 2.0 * _size(image))
    return over


def write(
    image: Image, text: str, position_px: tuple[float, float], color: Color = PLATE, *, align: str = "center"
) -> int:
    """White text on a plate, kept inside the picture (in place); returns the plate's height in pixels.

    Unlike OpenCV's own, these letters know signs such as °.

    Args:
        position_px: the plate's middle, the middle of its left or right edge with ``align`` "left" or "right", its
            left upper corner with "corner".
    """
    plate = _plate(text, max(11, round(min(image.shape[:2]) / 26)), tuple(int(0.75 * c) for c in color))
    height, width = plate.shape[:2]
    x = position_px[0] - {"center": width / 2, "right": width}.get(align, 0)
    y = position_px[1] - (0 if align == "corner" else height / 2)
    left = int(np.clip(x, 0, max(0, image.shape[1] - width)))
    top = int(np.clip(y, 0, max(0, image.shape[0] - height)))
    place = image[top : top + height, left : left + width]
    place[:] = plate[: place.shape[0], : place.shape[1]]
    return height


@lru_cache(maxsize=256)
def _plate(text: str, size_px: int, color: Color) -> Image:
    font = ImageFont.load_default(size_px)
    left, _, right, _ = font.getbbox(text)
    pad = max(3, size_px // 3)
    picture = Picture.new("RGB", (int(right - left) + 2 * pad, round(1.6 * size_px)), color)
    ImageDraw.Draw(picture).text((pad - left, picture.height / 2), text, font=font, fill="white", anchor="lm")
    plate = np.asarray(picture)
    plate.setflags(write=False)
    return plate


def _part(joint: str) -> str:
    """``left_knee`` is a knee."""
    return joint.removeprefix("left_").removeprefix("right_")


def _points(person: PoseSequence, xy_px: Array, joints: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The seen ones of ``joints`` in pixels."""
    found = {}
    for joint in joints:
        if joint in person.skeleton and np.isfinite(xy_px[person.skeleton.index(joint)]).all():
            x, y = np.clip(xy_px[person.skeleton.index(joint)], -10_000, 10_000)
            found[joint] = (round(x), round(y))
    return found


def _size(image: Image) -> float:
    return max(1.0, min(image.shape[:2]) / 360)


def _whole(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])


def _line(image: Image, a: tuple[float, float], b: tuple[float, float], color: Color, width: float) -> None:
    cv2.line(image, _whole(a), _whole(b), color, max(1, round(width)), cv2.LINE_AA)


def _dashed(image: Image, a: tuple[float, float], b: tuple[float, float], color: Color) -> None:
    """Dashes in the colour with a white edge."""
    size = _size(image)
    start, vector = np.array(a, float), np.subtract(b, a).astype(float)
    pieces = max(1, int(np.hypot(*vector) / (10 * size)))
    for piece in range(pieces):
        first, last = start + vector * (piece / pieces), start + vector * ((piece + 0.6) / pieces)
        _line(image, tuple(first), tuple(last), _WHITE, 3.0 * size)
        _line(image, tuple(first), tuple(last), color, 1.6 * size)


def _arc(
    image: Image,
    center: tuple[float, float],
    first: tuple[float, float],
    second: tuple[float, float],
    radius: float,
    color: Color,
) -> None:
    """The smaller arc between two directions."""
    begin = math.degrees(math.atan2(first[1], first[0]))
    turn = (math.degrees(math.atan2(second[1], second[0])) - begin + 180) % 360 - 180
    axes = (max(2, round(radius)),) * 2
    for edge, width in ((_WHITE, 4.0), (color, 2.4)):
        thickness = max(1, round(width * _size(image)))
        cv2.ellipse(image, _whole(center), axes, 0, begin, begin + turn, edge, thickness, cv2.LINE_AA)
