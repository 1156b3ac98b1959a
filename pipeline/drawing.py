"""Draws poses into pictures. Draws what it is given, infers nothing, knows no files."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from pipeline.estimation.base import Image
from pipeline.poses import Array
from pipeline.skeletons import Skeleton

# Okabe and Ito's palette, told apart by colour-blind readers (jfly.uni-koeln.de/color).
PERSON_COLORS: tuple[tuple[int, int, int], ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0), (0, 114, 178),
)  # fmt: skip
DEFAULT_THRESHOLD = 0.3

_CONFIDENCE = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
_SHIFT = 4  # sub-pixel bits of OpenCV's drawing
_FAR_PX = 10_000


def person_color(person: int) -> tuple[int, int, int]:
    """RGB of a person's bones; ids beyond the palette share colours, the label tells them apart."""
    return PERSON_COLORS[(person - 1) % len(PERSON_COLORS)]


def confidence_color(score: float) -> tuple[int, int, int]:
    """RGB of a point, dark blue (0) to yellow (1), matplotlib's viridis."""
    r, g, b = _CONFIDENCE[int(np.clip(score, 0, 1) * 255)]
    return int(r), int(g), int(b)


def draw_pose(
    image: Image,
    skeleton: Skeleton,
    xy_px: Array,
    score: Array,
    *,
    person: int = 1,
    threshold: float = DEFAULT_THRESHOLD,
    label: str | None = None,
) -> None:
    """Draw one person into ``image`` (in place).

    Bones have the person's colour. Points have the colour of their confidence; those below ``threshold`` are not
    drawn, nor the bones they end.

    Args:
        xy_px: (J, 2) pixels of this picture; NaN is left out.
        score: (J,) confidence 0..1.
        label: written above the head; the person's number when None, nothing when empty.
    """
    drawn = np.isfinite(xy_px).all(axis=1) & (score >= threshold) & (np.abs(np.nan_to_num(xy_px)) < _FAR_PX).all(axis=1)
    if not drawn.any():
        return
    size = max(1.0, min(image.shape[:2]) / 240)
    points = np.round(np.where(drawn[:, None], xy_px, 0) * (1 << _SHIFT)).astype(int)
    color = person_color(person)
    for a, b in skeleton.bone_indices:
        if drawn[a] and drawn[b]:
            start, end = tuple(map(int, points[a])), tuple(map(int, points[b]))
            cv2.line(image, start, end, (0, 0, 0), round(size * 2.2) + 1, cv2.LINE_AA, _SHIFT)
            cv2.line(image, start, end, color, max(1, round(size * 1.4)), cv2.LINE_AA, _SHIFT)
    radius = round(size * 1.7 * (1 << _SHIFT))
    for joint in np.flatnonzero(drawn):
        center = tuple(map(int, points[joint]))
        cv2.circle(image, center, radius, confidence_color(float(score[joint])), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, center, radius, (0, 0, 0), 1, cv2.LINE_AA, _SHIFT)
    text = str(person) if label is None else label
    if text:
        top = xy_px[drawn][np.argmin(xy_px[drawn, 1])]
        draw_text(image, text, (float(top[0]), float(top[1]) - 10 * size), color)


def draw_text(image: Image, text: str, position_px: tuple[float, float], color: tuple[int, int, int]) -> None:
    """White text on a coloured plate, centred on ``position_px`` and kept inside the picture (in place)."""
    scale = max(0.4, min(image.shape[:2]) / 700)
    thickness = max(1, round(scale * 1.6))
    (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    left = int(np.clip(position_px[0] - width / 2, 2, max(2, image.shape[1] - width - 4)))
    bottom = int(np.clip(position_px[1], height + 4, max(height + 4, image.shape[0] - baseline - 2)))
    plate = (max(left - 4, 0), max(bottom - height - 4, 0)), (left + width + 4, bottom + baseline)
    cv2.rectangle(image, *plate, tuple(int(c * 0.55) for c in color), -1)
    cv2.putText(image, text, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thickness, cv2.LINE_AA)


def draw_people(
    image: Image,
    skeleton: Skeleton,
    people: Iterable[tuple[int, Array, Array]],
    *,
    threshold: float = DEFAULT_THRESHOLD,
) -> None:
    """Draw several people, each (id, xy_px (J, 2), score (J,)), into ``image`` (in place)."""
    for person, xy_px, score in people:
        draw_pose(image, skeleton, xy_px, score, person=person, threshold=threshold)
