"""A film of a run: something drawn on every picture of its clip, kept beside the poses."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from pipeline.estimation.base import Image
from pipeline.inference import OVERLAY_MAX_SIDE_PX, PROGRESS_EVERY_S, Progress, shrink
from pipeline.media import VideoWriter, read_frames
from pipeline.poses import Array
from pipeline.runs import Run

Draw = Callable[[Image, int, float], None]
"""``draw(image, frame, scale)`` draws one moment into the picture, which is ``scale`` times the source's size."""
Told = Callable[[Progress], None] | None
Asked = Callable[[], bool] | None


class FilmError(ValueError):
    """The film cannot be made; the message says why."""


def draw_film(
    run: Run,
    name: str,
    time_s: Array,
    draw: Draw,
    *,
    replaces: str = "",
    progress: Told = None,
    cancelled: Asked = None,
) -> Path:
    """Draw a film on the run's source clip and keep it in the run under ``name``.

    Args:
        time_s: (T,) of the run's recording; ``draw`` is given positions in it.
        replaces: a glob of the earlier films in the run that go once this one is there.
        progress: called a few times a second.
        cancelled: asked before each frame; True stops and leaves nothing.

    Raises:
        FilmError: the source is gone, is a picture, has no frame at these times, or it was stopped.
        MediaError: the source does not decode, or the disk is full.
    """
    source = run.source
    if source is None:
        raise FilmError("The film is drawn on the source clip, which is gone; put it back, or look at the curves.")
    if len(time_s) < 2:
        raise FilmError("There is no film of a single picture.")
    made = run.add_file(name, lambda path: _write(path, source, time_s, draw, progress, cancelled))
    for other in run.folder.glob(replaces) if replaces else ():
        if other != made:
            other.unlink(missing_ok=True)
    return made


def _write(path: Path, source: Path, time_s: Array, draw: Draw, progress: Told, cancelled: Asked) -> None:
    started, told, done = time.monotonic(), -np.inf, 0
    step_s = float(np.median(np.diff(time_s)))
    writer: VideoWriter | None = None
    with ExitStack() as stack:
        for picture in read_frames(source, start_s=float(time_s[0]) - step_s / 2, end_s=float(time_s[-1]) + step_s / 2):
            if cancelled is not None and cancelled():
                raise FilmError("The film was stopped; nothing of it was kept.")
            image, scale = shrink(picture.image, OVERLAY_MAX_SIDE_PX)
            image = image.copy() if image is picture.image else image
            draw(image, int(np.abs(time_s - picture.time_s).argmin()), scale)
            if writer is None:
                size = (image.shape[1], image.shape[0])
                writer = stack.enter_context(VideoWriter(path, size, fps_hint=1 / step_s))
            writer.write(image, picture.time_s)
            done += 1
            seconds = time.monotonic() - started
            if progress is not None and seconds - told >= PROGRESS_EVERY_S:
                told = seconds
                progress(Progress(done, len(time_s), seconds))
        if writer is None:
            raise FilmError("The source clip has no picture at the times of the poses; run the inference again.")
    if progress is not None:
        progress(Progress(done, done, time.monotonic() - started))
