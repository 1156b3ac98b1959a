"""Pictures and clips: what is in a file, its upright RGB frames with their times, and H.264 that every browser plays.

What a file is, is decided by its content and never by its name. Videos, animated GIFs and APNGs go through PyAV,
still pictures through Pillow (``pipeline.stills``). Reading and writing are streams: memory does not grow with a
clip's length.

Times come from the container, not from a frame count; the first frame is at 0 s and they increase strictly
(``decoding.increasing_times`` has the rules for damaged clocks). Frames are upright (display matrix of a video, EXIF
orientation of a picture, both with mirroring) and have square pixels. Transparent pixels are shown on white.
Sixteen-bit pictures keep their high byte. Sound is not read.
"""

from __future__ import annotations

import errno
import hashlib
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image

from pipeline.decoding import Clip
from pipeline.poses import MediaInfo
from pipeline.stills import MAX_SIDE_PX, RGB, MediaError, open_file, read_still, shown_name

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Frame",
    "MediaError",
    "VideoWriter",
    "probe",
    "read_frame_at",
    "read_frames",
    "sha256",
    "transcode_for_browser",
    "write_image",
]

VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".avi",
    ".webm",
    ".mkv",
    ".gif",
    ".m4v",
    ".3gp",
    ".mpg",
    ".mpeg",
    ".wmv",
    ".flv",
    ".ts",
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")

KEYFRAME_EVERY_S = 1.0  # a browser that jumps to a moment decodes at most this much
CLOCK_HZ = 90_000  # MPEG's own clock: 11 µs

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Frame:
    """One picture of a clip.

    Attributes:
        index: 0, 1, 2 ... in the order of this reading (it starts at 0 wherever the reading starts).
        time_s: seconds since the clip's first frame.
        image: (H, W, 3) upright RGB, C-contiguous.
    """

    index: int
    time_s: float
    image: RGB


def probe(path: Path) -> MediaInfo:
    """What the file holds. Decodes one picture, so that a file that passes can be shown.

    ``width`` and ``height`` are those of the frames, ``rotation_deg`` is the clockwise turn that made them upright,
    ``declared_frames`` is the container's claim (None when it makes none) and nothing here relies on it; ``frames`` is
    0 and ``sha256`` empty. A still picture has ``kind="image"`` and neither rate nor duration (NaN).

    Raises:
        MediaError: the file cannot be read as a picture or a clip.
    """
    path = Path(path)
    if (still := read_still(path)) is not None:
        height, width = still.image.shape[:2]
        return MediaInfo(
            name=path.name,
            kind="image",
            width=width,
            height=height,
            declared_frames=1,
            codec=still.format,
            container=still.format,
            rotation_deg=still.rotation_deg,
        )
    with Clip(path) as clip:
        upright = clip.upright()
        return MediaInfo(
            name=path.name,
            kind="video",
            width=upright.size[0],
            height=upright.size[1],
            fps=clip.fps,
            duration_s=clip.duration_s,
            declared_frames=clip.declared_frames,
            codec=clip.codec,
            container=clip.container,
            rotation_deg=upright.rotation_deg,
        )


def sha256(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hex, read in pieces. Raises MediaError."""
    path = Path(path)
    with open_file(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise MediaError(
                f"{shown_name(path)} cannot be read to its end ({error.strerror}); copy it again."
            ) from error


def read_frames(
    path: Path, *, start_s: float | None = None, end_s: float | None = None, max_side_px: int | None = None
) -> Iterator[Frame]:
    """The frames with ``start_s <= time_s < end_s``, in order; all have the size of the first.

    What does not decode is left out; a clip that is cut off gives the frames before the cut. ``start_s`` seeks where
    the container has an index.

    Args:
        path: a clip, or a still picture (one frame at 0 s).
        max_side_px: scale down to this longer side; smaller pictures stay as they are.

    Raises:
        MediaError: on the first ``next``, when not a single frame decodes.
    """
    path = Path(path)
    first_s, end_s = start_s or 0.0, math.inf if end_s is None else end_s
    if (still := read_still(path, max_side_px)) is not None:
        if first_s <= 0 < end_s:
            yield Frame(0, 0.0, still.image)
        return
    with Clip(path) as clip:
        upright = clip.upright(max_side_px)
        index = 0
        for picture, time_s in clip.pictures(first_s):
            if time_s >= end_s:
                return
            if time_s >= first_s:
                yield Frame(index, time_s, upright.image(picture))
                index += 1


def read_frame_at(path: Path, time_s: float) -> Frame:
    """The frame shown at ``time_s``: the last that starts at or before it (the first one before the clip begins).

    Seeks where the container has an index. ``index`` is 0. Raises MediaError.
    """
    path = Path(path)
    if (still := read_still(path)) is not None:
        return Frame(0, 0.0, still.image)
    with Clip(path) as clip:
        shown, shown_s = clip.first, 0.0
        for picture, picture_s in clip.pictures(max(0.0, time_s)):
            if picture_s > time_s + 1e-6 and picture_s > 0:
                break
            shown, shown_s = picture, picture_s
        return Frame(0, shown_s, clip.upright().image(shown))


class VideoWriter:
    """An H.264 file (yuv420p, BT.709, index in front) from RGB pictures with their own times.

    The pictures are written beside the target and renamed on ``close``: the target is whole or is not there. As a
    context manager it closes, or aborts when an exception passes through. Without a single picture nothing is written.
    An odd width or height gets one more column or row that repeats the edge, since yuv420p knows only even sizes;
    pixel coordinates stay what they were. There are no B-frames, so that players need no edit list to show true times.

    Args:
        path: the file to make (or replace); its folder must exist.
        size: width, height of the pictures in pixels.
        fps_hint: nominal frames a second, for the last frame's duration and the spacing of key frames.
        crf: x264's constant quality, 0 (lossless) to 51.
        preset: x264's speed preset.

    Raises:
        MediaError: the file cannot be made or the disk is full; nothing is left behind.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], *, fps_hint: float = 30.0, crf: int = 23, preset: str = "superfast"
    ) -> None:
        self.path = Path(path)
        self.size = width, height = size
        if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
            raise MediaError(f"A video of {width} x {height} pixels cannot be written; use 1 to {MAX_SIDE_PX} a side.")
        fps = min(max(fps_hint, 1.0), 1000.0) if math.isfinite(fps_hint) else 30.0
        self._step = round(CLOCK_HZ / fps)
        self._origin_s = 0.0
        self._last: int | None = None
        self._temporary = self.path.parent / f".{uuid.uuid4().hex}.part"
        self._container: Any = None
        with self._words():
            self._temporary.touch(exist_ok=False)  # the plain error of the system, before FFmpeg's
            self._container = av.open(f"file:{self._temporary}", "w", format="mp4", options={"movflags": "+faststart"})
            options = {"crf": str(crf), "preset": preset, "bf": "0"}
            stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
            stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, CLOCK_HZ)
            context = stream.codec_context
            context.gop_size = max(1, round(fps * KEYFRAME_EVERY_S))
            context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
            context.color_range = 1  # limited
            self._stream = stream
            self._reformatter = VideoReformatter()

    def write(self, image_rgb: RGB, time_s: float) -> None:
        """Add a picture (height, width, 3) uint8 shown from ``time_s``; the first one written is at 0 in the file.

        Raises:
            ValueError: another size than promised, or a time that is not after the previous one.
            MediaError: the disk is full, or writing failed otherwise.
        """
        if self._container is None:
            raise ValueError(f"{self.path.name} is closed; make a new VideoWriter to write again.")
        width, height = self.size
        if image_rgb.shape != (height, width, 3) or image_rgb.dtype != np.uint8:
            raise ValueError(
                f"expected a picture of shape {(height, width, 3)} and type uint8, "
                f"got {image_rgb.shape} and {image_rgb.dtype}; bring every picture to the writer's size."
            )
        if not math.isfinite(time_s):
            raise ValueError(f"time_s must be finite seconds, got {time_s}.")
        if self._last is None:
            self._origin_s = time_s
        tick = round((time_s - self._origin_s) * CLOCK_HZ)
        if self._last is not None and tick <= self._last:
            raise ValueError(f"time_s must increase by at least {1 / CLOCK_HZ:.0e} s a picture, got {time_s} again.")
        if width % 2 or height % 2:
            image_rgb = np.asarray(
                cv2.copyMakeBorder(image_rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), dtype=np.uint8
            )
        with self._words():
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image_rgb), format="rgb24")
            picture = self._reformatter.reformat(
                picture, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
            )
            picture.pts, picture.time_base = tick, Fraction(1, CLOCK_HZ)
            self._mux(picture)
        self._last = tick

    def close(self) -> None:
        """Finish the file and put it in its place; safe to call again. Raises MediaError and leaves nothing then."""
        if self._container is None:
            return
        if self._last is None:
            self.abort()
            return
        with self._words():
            self._mux(None)
            self._container.close()
            self._container = None
            self._temporary.replace(self.path)

    def abort(self) -> None:
        """Give up: nothing is left behind, and a file that was there before stays; safe to call again."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(av.error.FFmpegError, OSError):  # the file goes anyway
                container.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _mux(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            packet.duration = packet.duration or self._step
            self._container.mux(packet)

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError, MemoryError) as error:
            self.abort()
            raise _write_error(self.path, error) from error


def write_image(path: Path, image: RGB) -> None:
    """Write a (H, W, 3) RGB picture in the format of the name's ending (jpg, png, webp, bmp), whole or not at all.

    Raises:
        MediaError: unknown ending, a folder that cannot be written to, or a full disk.
    """
    path = Path(path)
    formats = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}
    if path.suffix.lower() not in formats:
        raise MediaError(f"{shown_name(path)} has no ending of a picture; use one of {', '.join(formats)}.")
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        options = {"quality": 90} if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else {}
        Image.fromarray(image).save(temporary, format=formats[path.suffix.lower()], **options)
        temporary.replace(path)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def transcode_for_browser(source: Path, target: Path, progress: Callable[[float], None] | None = None) -> None:
    """Any clip that decodes, as an upright H.264 file that every browser plays, with its own times and without sound.

    Args:
        progress: called with the part done, 0..1, by time.

    Raises:
        MediaError: the source has no picture that decodes, or the target cannot be written.
    """
    info = probe(source)
    fps = info.fps if math.isfinite(info.fps) else 30.0
    with VideoWriter(target, (info.width, info.height), fps_hint=fps) as writer:
        for frame in read_frames(source):
            writer.write(frame.image, frame.time_s)
            if progress is not None and info.duration_s > 0:
                progress(min(1.0, frame.time_s / info.duration_s))
    if progress is not None:
        progress(1.0)


def _write_error(path: Path, error: Exception) -> MediaError:
    """The sentence for a failed write."""
    number = getattr(error, "errno", None)
    if number in _DISK_FULL:
        reason = "the disk is full or your quota is used up; free some space and try again"
    elif isinstance(error, FileNotFoundError | NotADirectoryError):
        reason = f"the folder {shown_name(path.parent)} does not exist; make it first"
    elif isinstance(error, PermissionError) or number == errno.EROFS:
        reason = f"you may not write to the folder {shown_name(path.parent)}; choose another one"
    elif number == errno.ENAMETOOLONG:
        reason = "its name is too long; choose a name below 200 characters"
    elif isinstance(error, IsADirectoryError):
        reason = "there is a folder of that name; choose another name"
    elif isinstance(error, MemoryError):
        reason = "there is not enough memory for pictures of this size; make them smaller"
    else:
        reason = f"the system said {getattr(error, 'strerror', None) or error}; choose another folder or name"
    return MediaError(f"{shown_name(path)} was not written: {reason}.")
