"""From a clip to a run: decoding, pose estimation, drawing and encoding overlap, memory does not grow with the clip."""

from __future__ import annotations

import queue
import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import cv2
import numpy as np

from pipeline.ahead import ReadAhead
from pipeline.drawing import DEFAULT_THRESHOLD, draw_people
from pipeline.estimation.base import Estimator, Image, PersonPose, RecordingBuilder
from pipeline.estimation.topdown import WORKING_POINTS, FollowParameters
from pipeline.media import Frame, VideoWriter, probe, read_frames, write_image
from pipeline.poses import MediaInfo, Recording
from pipeline.runs import Run, RunBuilder, RunStore

OVERLAY_MAX_SIDE_PX = 1920  # what a browser plays smoothly; the poses keep the source's pixels
THUMBNAIL_SIDE_PX = 320
PROGRESS_EVERY_S = 0.2


@dataclass(frozen=True)
class InferenceOptions:
    """What the user chooses; page, command line and manifest all show these fields.

    model: key-point model; empty takes the best that is installed.
    detector: what finds people; empty takes the one that goes with the model.
    engine: what runs RTMDet and RTMPose, "onnx" (fast) or "mmpose" (any config); BlazePose has its own.
    working_point: "fast", "balanced" or "thorough"; "auto" is thorough for a picture and balanced for a clip.
    max_people: more people than these are ignored.
    start_s, end_s: only this part of the clip.
    threshold: points less confident than this are not drawn (they are stored all the same).
    overlay: make the picture or video with the poses drawn in.
    link_source: store the source's path and hash instead of a copy.
    """

    model: str = ""
    detector: str = ""
    engine: str = "onnx"
    working_point: str = "auto"
    max_people: int = 8
    start_s: float | None = None
    end_s: float | None = None
    threshold: float = DEFAULT_THRESHOLD
    overlay: bool = True
    link_source: bool = False
    subject: str = ""
    tags: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.working_point not in ("auto", *WORKING_POINTS):
            names = ", ".join(("auto", *WORKING_POINTS))
            raise ValueError(f"unknown working point {self.working_point!r}; choose one of: {names}.")
        if self.engine not in ("onnx", "mmpose"):
            raise ValueError(f"unknown engine {self.engine!r}; choose onnx or mmpose.")
        if self.max_people < 1:
            raise ValueError(f"max_people must be at least 1, got {self.max_people}.")
        if self.start_s is not None and self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s ({self.end_s}) must come after start_s ({self.start_s}).")

    def follow_parameters(self, kind: str) -> FollowParameters:
        """How people are found in a source of this ``kind`` ("video" or "image")."""
        point = self.working_point
        if point == "auto":
            point = "thorough" if kind == "image" else "balanced"
        return replace(WORKING_POINTS[point], max_people=self.max_people)

    def command(self, path: str) -> str:
        """The command line that does the same."""
        parts = ["python -m pipeline infer", shlex.quote(path)]
        for option in fields(self):
            value = getattr(self, option.name)
            if value == option.default or (option.name == "tags" and not value):
                continue
            flag = "--" + option.name.replace("_", "-")
            if isinstance(value, bool):
                parts.append(flag if value else f"--no-{option.name.replace('_', '-')}")
            elif isinstance(value, tuple):
                parts += [f"{flag} {shlex.quote(str(item))}" for item in value]
            else:
                parts.append(f"{flag} {shlex.quote(str(value))}")
        return " ".join(parts)


@dataclass(frozen=True)
class Progress:
    """How far the work is. ``frames_total`` is an estimate from the container, None when it says nothing."""

    frames: int
    frames_total: int | None
    seconds: float

    @property
    def frames_per_s(self) -> float:
        """Frames done a second so far."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate; None when the length is unknown."""
        if not self.frames_total or not self.frames:
            return None
        return max(0.0, (self.frames_total - self.frames) * self.seconds / self.frames)


def infer(
    path: Path,
    store: RunStore,
    options: InferenceOptions | None = None,
    *,
    name: str = "",
    estimator: Estimator | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Run:
    """Estimate everybody's poses in a picture or clip and store them as a run.

    Args:
        path: the media file.
        name: what the user calls it (an upload's name); never used as a path.
        estimator: a warm one to use again; made from the options when None.
        progress: called a few times a second.
        cancelled: asked before each frame; True stops, and what is done becomes a run of state "cancelled".

    Raises:
        MediaError, EstimatorError, RunError: in words; no run is left behind.
    """
    options = options or InferenceOptions()
    path = Path(path)
    info = probe(path)
    started = time.monotonic()
    estimator = estimator or create_estimator(options, info.kind)
    with store.create(name or path.name) as builder:
        kept = builder.keep_source(path, name, link=options.link_source)
        source = path if options.link_source else builder.folder / str(kept["file"])
        info = replace(info, name=str(kept["name"]), sha256=str(kept["sha256"]))
        recording, stopped = _process(source, info, builder, options, estimator, progress, cancelled)
        builder.finish(
            recording,
            parameters=asdict(options),
            command=options.command(name or path.name),
            seconds=round(time.monotonic() - started, 3),
            state="cancelled" if stopped else "complete",
            subject=options.subject,
            tags=list(options.tags),
        )
    return store.get(builder.id)


def create_estimator(options: InferenceOptions, kind: str = "video") -> Estimator:
    """The estimator that the options ask for. Raises EstimatorError when it is unknown or not installed."""
    from pipeline.estimation import registry

    engine: registry.Engine = "mmpose" if options.engine == "mmpose" else "onnx"
    return registry.create_estimator(
        options.model or None, options.detector or None, options.follow_parameters(kind), engine=engine
    )


def _process(
    source: Path,
    info: MediaInfo,
    run: RunBuilder,
    options: InferenceOptions,
    estimator: Estimator,
    progress: Callable[[Progress], None] | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[Recording, bool]:
    """Read ahead, estimate, and hand on to be drawn and encoded, each in its own thread."""
    estimator.reset()
    builder = RecordingBuilder(estimator.skeleton, (info.width, info.height))
    total = expected_frames(info, options.start_s, options.end_s)
    started = reported = time.monotonic()
    stopped = False
    frames = ReadAhead(read_frames(source, start_s=options.start_s, end_s=options.end_s))
    overlay = _Overlay(run.folder, info, estimator, options)
    try:
        for frame in frames:
            if cancelled is not None and cancelled():
                stopped = True
                break
            poses = estimator.update(frame.image, frame.time_s)
            builder.image_size = (frame.image.shape[1], frame.image.shape[0])
            builder.add(frame.time_s, poses)
            overlay.put(frame, poses)
            now = time.monotonic()
            if progress is not None and (now - reported >= PROGRESS_EVERY_S or len(builder.time_s) == 1):
                reported = now
                progress(Progress(len(builder.time_s), total, now - started))
        overlay.close()
    finally:
        frames.stop()
        overlay.abort()
    if progress is not None:
        progress(Progress(len(builder.time_s), len(builder.time_s), time.monotonic() - started))
    width, height = builder.image_size
    return builder.build(replace(info, width=width, height=height), estimator.info), stopped


def expected_frames(info: MediaInfo, start_s: float | None = None, end_s: float | None = None) -> int | None:
    """How many frames the container promises for this part; for the progress bar only. None when it promises none."""
    if info.kind == "image":
        return 1
    if not (np.isfinite(info.fps) and np.isfinite(info.duration_s)):
        return info.declared_frames
    whole_s = info.duration_s
    part_s = min(whole_s, whole_s if end_s is None else end_s) - (start_s or 0.0)
    return max(1, round(part_s * info.fps))


class _Overlay:
    """Draws and encodes in a thread of its own; also makes the thumbnail."""

    def __init__(self, folder: Path, info: MediaInfo, estimator: Estimator, options: InferenceOptions) -> None:
        self._folder, self._info, self._options = folder, info, options
        self._skeleton = estimator.skeleton
        self._queue: queue.Queue[tuple[Frame, tuple[PersonPose, ...]] | None] = queue.Queue(8)
        self._error: BaseException | None = None
        self._aborted = False
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name="encode", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, poses: tuple[PersonPose, ...]) -> None:
        """Hand a frame on; waits when the encoder is behind. Raises what went wrong there."""
        self._raise()
        self._queue.put((frame, poses))

    def close(self) -> None:
        """Finish the file and wait for it."""
        self._join()
        self._raise()

    def abort(self) -> None:
        """Stop without a file, unless it was closed before."""
        self._aborted = True
        self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        writer: VideoWriter | None = None
        try:
            first = True
            while (item := self._queue.get()) is not None:
                if self._error is not None or self._aborted:
                    continue
                try:
                    writer = self._draw(*item, writer, first)
                except BaseException as error:  # noqa: BLE001 -- raised again in put() or close()
                    self._error = error
                first = False
        finally:
            if writer is not None:
                if self._aborted or self._error is not None:
                    writer.abort()
                else:
                    try:
                        writer.close()
                    except BaseException as error:  # noqa: BLE001 -- raised again in close()
                        self._error = error

    def _draw(
        self, frame: Frame, poses: tuple[PersonPose, ...], writer: VideoWriter | None, first: bool
    ) -> VideoWriter | None:
        image, scale = shrink(frame.image, OVERLAY_MAX_SIDE_PX)
        people = [(p.person, p.xy_px * scale, p.score) for p in poses]
        if image is frame.image:
            image = image.copy()
        draw_people(image, self._skeleton, people, threshold=self._options.threshold)
        if first:
            write_image(self._folder / "thumbnail.jpg", shrink(image, THUMBNAIL_SIDE_PX)[0])
        if not self._options.overlay:
            return None
        if self._info.kind == "image":
            write_image(self._folder / "overlay.png", image)
            return None
        if writer is None:
            size = (image.shape[1], image.shape[0])
            fps = self._info.fps if np.isfinite(self._info.fps) else 30.0
            writer = VideoWriter(self._folder / "overlay.mp4", size, fps_hint=fps)
        writer.write(image, frame.time_s)
        return writer


def shrink(image: Image, max_side_px: int) -> tuple[Image, float]:
    """The picture with its longer side at most ``max_side_px``, and the scale; the same object when it fits."""
    scale = max_side_px / max(image.shape[:2])
    if scale >= 1:
        return image, 1.0
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), scale
