"""Pictures of a report: frames with the evidence drawn in, and seaborn figures."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image as Pillow

from pipeline.estimation.base import Image
from pipeline.media import MediaError, read_frame_at
from pipeline.movements.base import Metric, Remark, RepetitionReport
from pipeline.movements.evidence import evidence_picture
from pipeline.movements.figures import figure_bytes
from pipeline.report.document import Picture
from pipeline.report.sessions import Session

THUMBNAIL_PX, EVIDENCE_PX = 150, 480
MOST_THUMBNAILS = 24  # a longer set is shown without


def jpeg(image: Image, quality: int = 85) -> bytes:
    """An RGB picture as JPEG."""
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(image)).save(buffer, format="JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def moment_picture(
    session: Session,
    repetition: RepetitionReport,
    remark: Remark | None = None,
    metric: Metric | None = None,
    *,
    close: bool = False,
) -> Picture | None:
    """The frame of a fault or of a turning point with the measure drawn in; None when nothing can be drawn.

    Without the source clip the pose is drawn on a plain field.
    """
    person = session.person
    if person is None or not len(person) or not np.isfinite(person.xy_px).any() or min(person.image_size) < 2:
        return None
    time_s = repetition.turn_s if remark is None else remark.time_s
    image: Image | None = None
    if (source := session.run.source) is not None:
        try:
            image = read_frame_at(source, time_s).image
        except MediaError:
            image = None  # the pose alone still shows the moment
    height_px = THUMBNAIL_PX if close else EVIDENCE_PX
    drawn = evidence_picture(image, person, repetition, remark, metric, height_px=height_px, close=close)
    what = "turning point" if remark is None else remark.label
    return Picture(jpeg(drawn), f"repetition {repetition.number}, {what}, {time_s:.2f} s")


def figure_picture(figure: Figure, alt: str, caption: str = "", width: float = 1.0) -> Picture:
    """A figure at 200 dots an inch."""
    return Picture(figure_bytes(figure, "png"), alt, caption, width)
