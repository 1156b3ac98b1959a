"""A recording being written: the frames as they came and their poses, on disk second by second.

``<store>/.recording-<id>/`` holds ``video.mp4`` (fragmented: every finished fragment plays, whatever happens to the
next), ``poses.jsonl`` (a line a frame), ``recording.json`` (what it is) and ``lock`` (held by whoever works on it).
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import orjson
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from filelock import FileLock

from pipeline.estimation.base import Image, PersonPose
from pipeline.media import CLOCK_HZ
from pipeline.poses import SCHEMA_VERSION, ModelInfo
from pipeline.runs import write_atomically
from pipeline.skeletons import Skeleton

PREFIX = ".recording-"
VIDEO, POSES, ABOUT, LOCK = "video.mp4", "poses.jsonl", "recording.json", "lock"
FLUSH_EVERY_S = 0.5  # a killed program loses this and the fragment being written
MOST_WAITING = 60  # frames; two seconds of a busy disk, 55 MB at 640 x 480
_DECIMALS = 3


class RecordingError(ValueError):
    """Nothing can be recorded, or made of what was; the message says why and what to do."""


@dataclass(frozen=True)
class RecordingInfo:
    """What a recording is.

    Attributes:
        name: for people; subject: whom it shows, as the user calls them.
        skeleton: name of the poses' skeleton; size: width, height of the frames in pixels.
        model: what makes the poses.
        settings: what else the user had chosen.
        found: what the live analyses had found when it was stopped; empty when it was cut off.
        created_utc: ISO time.
    """

    name: str
    skeleton: str
    size: tuple[int, int]
    model: ModelInfo
    subject: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    created_utc: str = ""
    schema_version: int = SCHEMA_VERSION


class Recorder:
    """Writes frames and poses in a thread of its own; callers never wait.

    Args:
        store: the folder of runs, in which the hidden folder is made.
        info: what is recorded.

    Raises:
        RecordingError: the folder cannot be made or the video cannot be begun.
    """

    def __init__(self, store: Path, skeleton: Skeleton, size: tuple[int, int], model: ModelInfo, *,
                 name: str = "webcam", subject: str = "", settings: dict[str, Any] | None = None) -> None:  # fmt: skip
        created = datetime.now(UTC)
        self.info = RecordingInfo(
            name, skeleton.name, size, model, subject, settings or {},
            created_utc=created.isoformat(timespec="seconds"),
        )  # fmt: skip
        self.folder = store / f"{PREFIX}{created:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self.error = ""
        self.frames = self.lost_frames = 0
        self.duration_s = 0.0
        self._origin_s: float | None = None
        self._queue: queue.Queue[tuple[Image, float] | None] = queue.Queue(MOST_WAITING)
        self._lines: list[bytes] = []
        self._guard = threading.Lock()
        try:
            self.folder.mkdir(parents=True)
            self._lock = FileLock(self.folder / LOCK)
            self._lock.acquire(timeout=0)
            self._write_info()
            self._poses = (self.folder / POSES).open("ab", buffering=0)
            self._video = _FragmentedVideo(self.folder / VIDEO, size)
        except (OSError, av.error.FFmpegError) as error:
            raise RecordingError(
                f"Nothing can be recorded in {store} ({error.strerror or error}); free some space or choose another "
                "folder with KINOSCOPE_OUTPUTS."
            ) from error
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def add_frame(self, image: Image, time_s: float) -> None:
        """The next frame, (H, W, 3) RGB of any size; left out, and counted, when the disk is too slow."""
        if self._origin_s is None:
            self._origin_s = time_s
        try:
            self._queue.put_nowait((image, time_s))
        except queue.Full:
            self.lost_frames += 1

    def add_poses(self, time_s: float, poses: tuple[PersonPose, ...], image_size: tuple[int, int]) -> None:
        """The poses of the frame at ``time_s``, in pixels of a picture of ``image_size``."""
        if self._origin_s is None or time_s < self._origin_s:
            return
        scale = np.array(self.info.size) / image_size
        line = orjson.dumps(
            {"time_s": round(time_s - self._origin_s, 6), "people": [_person(pose, scale) for pose in poses]},
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        with self._guard:
            self._lines.append(line + b"\n")

    def stop(self, turns_s: Sequence[float] = ()) -> Path:
        """Finish writing; the folder. The lock is given back, so that a run can be made of it.

        ``turns_s`` are the turning points that were counted live, in seconds of the stream; the run keeps them.
        """
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        if self._origin_s is not None and not self.error:
            counted = [round(turn_s - self._origin_s, 3) for turn_s in turns_s if turn_s >= self._origin_s]
            self.info = replace(self.info, found={"repetition_turns_s": counted})
            with contextlib.suppress(OSError):  # a full disk shall not cost the recording
                self._write_info()
        self._lock.release()
        return self.folder

    def _write_info(self) -> None:
        write_atomically(self.folder / ABOUT, orjson.dumps(asdict(self.info), option=orjson.OPT_SERIALIZE_NUMPY))

    def _run(self) -> None:
        flushed_s = time.monotonic()
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    item = self._queue.get(timeout=FLUSH_EVERY_S)
                    if item is None:
                        break
                    self._write(*item)
                if time.monotonic() - flushed_s >= FLUSH_EVERY_S:
                    self._flush()
                    flushed_s = time.monotonic()
        except (OSError, av.error.FFmpegError, ValueError) as error:
            self.error = (
                f"The recording stopped ({getattr(error, 'strerror', None) or error}); what was written is kept."
            )
            while self._queue.get() is not None:  # nobody shall wait for a place in the queue
                pass
        finally:
            with contextlib.suppress(OSError, av.error.FFmpegError):
                self._flush()
                self._poses.close()
                self._video.close()

    def _write(self, image: Image, time_s: float) -> None:
        assert self._origin_s is not None
        if self._video.write(fitted(image, self.info.size), time_s - self._origin_s):
            self.frames += 1
            self.duration_s = time_s - self._origin_s

    def _flush(self) -> None:
        with self._guard:
            lines, self._lines = self._lines, []
        if lines:
            self._poses.write(b"".join(lines))


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """The picture brought to this width and height (a camera's stream may change its size); itself when it has it."""
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _person(pose: PersonPose, scale: np.ndarray) -> dict[str, Any]:
    rows: dict[str, Any] = {"person": pose.person, "xy_px": np.round(pose.xy_px * scale, _DECIMALS)}
    rows |= {"score": np.round(pose.score, 4)}
    for name, values in (("xyz_m", pose.xyz_m), ("raw_score", pose.raw_score)):
        if values is not None:
            rows[name] = np.round(values, 4)
    return {name: np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v for name, v in rows.items()}


class _FragmentedVideo:
    """H.264 in fragments of half a second, each on disk as soon as it is whole."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        options = {"movflags": "empty_moov+default_base_moof", "frag_duration": str(int(FLUSH_EVERY_S * 1e6)),
                   "flush_packets": "1"}  # fmt: skip
        self._container = av.open(f"file:{path}", "w", format="mp4", options=options)
        encoder = {"crf": "20", "preset": "ultrafast", "tune": "zerolatency", "bf": "0"}
        stream: Any = self._container.add_stream("libx264", rate=30, options=encoder)
        width, height = size
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, CLOCK_HZ)
        context = stream.codec_context
        context.gop_size, context.thread_count = 30, 1
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1  # BT.709, limited
        self._stream, self._last = stream, -1
        self._reformatter = VideoReformatter()

    def write(self, image: Image, time_s: float) -> bool:
        """Add a frame; False for one that is not later than the last."""
        tick = round(time_s * CLOCK_HZ)
        if tick <= self._last:
            return False
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        picture = self._reformatter.reformat(
            picture, self._stream.width, self._stream.height, "yuv420p",
            dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1,
        )  # fmt: skip
        picture.pts, picture.time_base = tick, Fraction(1, CLOCK_HZ)
        self._container.mux(self._stream.encode(picture))
        self._last = tick
        return True

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
