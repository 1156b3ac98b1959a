"""A part of a run as a run of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.inference import InferenceOptions, Progress, infer
from pipeline.live.recordings import RecordedPoses
from pipeline.media import VideoWriter, read_frames
from pipeline.poses import Array, PoseSequence
from pipeline.runs import Run, RunError, RunStore

CRF = 17  # hardly to be told from the source
SHORTEST_S = 0.2


def trim(
    run: Run,
    store: RunStore,
    start_s: float,
    end_s: float,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Run:
    """The frames with ``start_s <= time < end_s``, their poses and an overlay as a new run; the old one stays.

    The new run begins at 0 s. Its manifest says what it was cut from.

    Raises:
        RunError: the part is too short or empty, or the run's source is gone.
        MediaError: the source cannot be read.
    """
    if end_s - start_s < SHORTEST_S:
        raise RunError(f"Choose at least {SHORTEST_S} s; {start_s:.2f} s to {end_s:.2f} s is too short.")
    if run.source is None:
        raise RunError("The source clip of this run is gone, so nothing can be cut from it.")
    manifest, recording = run.manifest, run.recording()
    name = str(manifest.source.get("name") or run.id)
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        part = Path(folder) / "part.mp4"
        first_s: float | None = None
        writer: VideoWriter | None = None
        for frame in read_frames(run.source, start_s=start_s, end_s=end_s):
            if writer is None:
                first_s, size = frame.time_s, (frame.image.shape[1], frame.image.shape[0])
                writer = VideoWriter(part, size, fps_hint=float(manifest.source.get("fps") or 30.0), crf=CRF)
            writer.write(frame.image, frame.time_s)
        if writer is None or first_s is None:
            raise RunError(f"There is no frame between {start_s:.2f} s and {end_s:.2f} s; choose another part.")
        writer.close()
        options = InferenceOptions(model=recording.model.name, detector=recording.model.detector, max_people=50,
                                   subject=manifest.subject, tags=tuple(manifest.tags))  # fmt: skip
        poses = RecordedPoses.of(recording, first_s)
        made = infer(part, store, options, name=name, estimator=poses, progress=progress, cancelled=cancelled)
    cut = {"run": run.id, "start_s": round(start_s, 3), "end_s": round(end_s, 3)}
    return made.update(parameters=dict(manifest.parameters) | {"trimmed_from": cut})


def motion_curve(person: PoseSequence) -> Array:
    """(T,) how far the body's points are from their median places, on average, in body heights; NaN where unseen.

    Standing still is near zero and every movement is a hill, whatever it is: what one looks for when cutting.
    """
    if not len(person):
        return np.empty(0)
    with np.errstate(all="ignore"):
        boxes = person.boxes_px()
        height = float(np.nanmedian(boxes[:, 3] - boxes[:, 1])) if person.seen.any() else np.nan
        if not height > 0:
            return np.full(len(person), np.nan)
        middle = np.nanmedian(person.xy_px[person.seen], axis=0)
        distance = np.linalg.norm(person.xy_px - middle, axis=2) / height
        curve = np.full(len(person), np.nan)
        curve[person.seen] = np.nanmean(distance[person.seen], axis=1)
    return curve
