"""From a file to decoded pictures with their times: what ``pipeline.media`` reads with.

Still pictures are opened by Pillow (``stills.py``), everything that moves by PyAV (``Clip``). Bad input ends in a
``MediaError``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import av
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from pipeline.stills import MAX_PIXELS, RGB, MediaError, check_size, fit, on_white, open_file, shown_name, turned

Item = TypeVar("Item")

CLOCK_LOST_FRAMES = 8

# Only containers that carry their pictures themselves: a playlist could open anything on the machine.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,asf,flv,mpeg,mpegts,mpegvideo,m4v,h263,h264,hevc,vvc,obu,ivf,"
    "ogg,mxf,nut,dv,rm,swf,wtv,yuv4mpegpipe,mjpeg,mp3,wav,flac,aac,aiff,amr,ac3,w64,caf"
)
_INDEXED = ("mov,mp4", "matroska")  # seeking in these lands on a key frame at or before the time


class Clip:
    """An open video, with its first picture decoded.

    Raises:
        MediaError: it cannot be opened, has no video, or not a single picture decodes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = shown_name(path)
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        file = self._stack.enter_context(open_file(self.path))
        head = file.read(64)
        file.seek(0)
        if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1"):
            raise MediaError(f"{self._name} is a HEIC photo, which cannot be read; save it as JPEG.")
        try:
            self._input = self._stack.enter_context(
                av.open(
                    file,
                    "r",
                    container_options={"format_whitelist": _CONTAINERS},
                    metadata_errors="replace",
                    buffer_size=1 << 17,
                )
            )
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            raise self._unreadable(head) from error
        videos = [s for s in self._input.streams.video if not s.disposition & Disposition.attached_pic]
        if not videos:
            if self._input.streams.audio:
                raise MediaError(f"{self._name} holds only sound; choose a file with video.")
            raise MediaError(f"{self._name} holds no video; choose a clip or a picture.")
        best = self._input.streams.best("video")
        self._stream = next((stream for stream in videos if stream is best), videos[0])
        context = self._stream.codec_context
        if context is None:
            raise MediaError(f"{self._name} uses a codec that cannot be decoded here; convert it to H.264.")
        if context.width and context.height:
            check_size(self._name, context.width, context.height)
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_type = "AUTO"
        self._rest = self._decode()
        first = next(self._rest, None)
        if first is None:
            raise MediaError(
                f"{self._name} has no picture that can be decoded: it is empty, cut off or damaged; "
                "copy it again from the camera or export it again."
            )
        check_size(self._name, first.width, first.height)
        self.first = first

    def _unreadable(self, head: bytes) -> MediaError:
        if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free"):
            return MediaError(
                f"{self._name} is cut off or damaged: its index (moov) cannot be read; copy it again from the camera, "
                "or repair it with a tool such as untrunc."
            )
        if head.startswith((b"\x1aE\xdf\xa3", b"RIFF", b"GIF8", b"OggS", b"FLV")):
            return MediaError(f"{self._name} is cut off or damaged right at its beginning; copy it again.")
        return MediaError(
            f"{self._name} is neither a picture nor a clip that can be read, whatever its name says; "
            "choose a JPEG, PNG, MP4, MOV, AVI, WebM, MKV or GIF file."
        )

    def close(self) -> None:
        """Close the file; safe to call again."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def fps(self) -> float:
        """The average number of frames a second that the container states; NaN when it states none."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else math.nan

    @property
    def duration_s(self) -> float:
        """The duration that the container states; NaN when it states none."""
        tick, ticks = self._stream.time_base or Fraction(0), self._stream.duration
        length_s = float(ticks * tick) if ticks else (self._input.duration or 0) / av.time_base
        if self.container == "matroska":  # it states when the clip ends
            length_s -= max(0.0, float((self._ticks(self.first) or 0) * tick))
        return length_s if length_s > 0 else math.nan

    @property
    def declared_frames(self) -> int | None:
        """The number of frames that the container claims; None when it claims none."""
        return self._stream.frames or None

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, such as h264."""
        return self._stream.codec_context.codec.canonical_name

    @property
    def container(self) -> str:
        """FFmpeg's short name of the container, such as mov."""
        return self._input.format.name.split(",")[0]

    def upright(self, max_side_px: int | None = None) -> Upright:
        """What turns this clip's pictures into upright RGB."""
        return Upright(self.first, self._stream.sample_aspect_ratio, max_side_px)

    def pictures(self, start_s: float = 0.0) -> Iterator[tuple[av.VideoFrame, float]]:
        """The pictures from at or before ``start_s`` on, with their seconds since the first. To be called once."""
        rate = self._stream.guessed_rate or self._stream.average_rate
        step_s = min(1.0, float(1 / rate)) if rate else 1 / 30
        pictures = ((picture, self._seconds(picture)) for picture in self._from(start_s))
        yield from increasing_times(pictures, step_s)

    def _from(self, start_s: float) -> Iterator[av.VideoFrame]:
        tick, origin = self._stream.time_base, self._ticks(self.first)
        if start_s > 0 and tick and origin is not None and self._input.format.name.startswith(_INDEXED):
            try:
                self._input.seek(origin + math.floor(start_s / tick), stream=self._stream)
            except (av.error.FFmpegError, OverflowError):
                landed = None
            else:
                self._rest = self._decode()
                landed = next(self._rest, None)
            landed_s = self._seconds(landed) if landed is not None else None
            if landed is not None and landed_s is not None and landed_s <= start_s:
                return chain([landed], self._rest)
            self.close()
            self._open()  # from the beginning again
        return chain([self.first], self._rest)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """The pictures that decode, to the end of what can be read."""
        packets = self._input.demux(self._stream)
        while True:
            try:
                packet = next(packets)  # the last one is empty and drains the decoder
            except (StopIteration, av.error.FFmpegError):
                break
            except OSError as error:
                raise MediaError(
                    f"{self._name} cannot be read to its end ({error.strerror}); copy it to another disk."
                ) from error
            with suppress(av.error.FFmpegError, MemoryError):
                yield from self._stream.decode(packet)
        with suppress(av.error.FFmpegError, MemoryError):
            yield from self._stream.decode(None)

    def _seconds(self, picture: av.VideoFrame) -> float | None:
        ticks, tick = self._ticks(picture), self._stream.time_base
        return None if ticks is None or not tick else float((ticks - (self._ticks(self.first) or 0)) * tick)

    @staticmethod
    def _ticks(picture: av.VideoFrame) -> int | None:
        return picture.pts if picture.pts is not None else picture.dts


def increasing_times(items: Iterable[tuple[Item, float | None]], step_s: float) -> Iterator[tuple[Item, float]]:
    """Every item with a time, strictly increasing.

    - An item without a time, or whose time is not after the previous one's, is placed evenly between its neighbours.
    - When that goes on for more than ``CLOCK_LOST_FRAMES`` items (no times at all, a clock that stands still or was
      set back), these follow at the nominal rate, and the clock is taken up again from there.

    Args:
        items: in the order shown, each with its time in seconds or None.
        step_s: nominal seconds a frame.
    """
    last_s, offset_s = -math.inf, 0.0
    waiting: list[Item] = []
    for item, time_s in items:
        shown_s = None if time_s is None else time_s + offset_s
        if last_s == -math.inf:
            last_s = 0.0 if shown_s is None else shown_s
            yield item, last_s
        elif shown_s is not None and shown_s > last_s + 1e-6:
            gap_s = (shown_s - last_s) / (len(waiting) + 1)
            for number, late in enumerate(waiting, start=1):
                yield late, last_s + number * gap_s
            waiting.clear()
            last_s = shown_s
            yield item, shown_s
        else:
            waiting.append(item)
            if len(waiting) > CLOCK_LOST_FRAMES:
                for late in waiting:
                    last_s += step_s
                    yield late, last_s
                waiting.clear()
                offset_s = offset_s if time_s is None else last_s - time_s
    for late in waiting:
        last_s += step_s
        yield late, last_s


class Upright:
    """Makes upright RGB of a clip's decoded pictures, all of the size that follows from the first."""

    def __init__(self, first: av.VideoFrame, aspect: Fraction | None, max_side_px: int | None = None) -> None:
        self._transposed, self._flip_x, self._flip_y, self.rotation_deg = _orientation(first)
        # Ratios within 1 % of square are rounding in the encoder, those beyond 4 damaged headers.
        stretch = float(aspect) if aspect and 0.25 <= aspect <= 4 and abs(aspect - 1) > 0.01 else 1.0
        width, height = fit(round(first.width * stretch), first.height, max_side_px)
        self._coded = width, height
        self.size = (height, width) if self._transposed else (width, height)
        self._reformatter = VideoReformatter()

    def image(self, picture: av.VideoFrame) -> RGB:
        """The picture as (H, W, 3) upright RGB, C-contiguous."""
        transparent = any(component.is_alpha for component in picture.format.components)
        try:
            converted = self._reformatter.reformat(
                picture, *self._coded, format="rgba" if transparent else "rgb24", threads=1
            )
        except (av.error.FFmpegError, MemoryError) as error:
            raise MediaError(
                f"The pictures (pixel format {picture.format.name}) cannot be converted to RGB; "
                "convert the clip to H.264 and try again."
            ) from error
        image: Any = converted.to_ndarray()
        if transparent:
            image = on_white(image)
        return turned(image, self._transposed, self._flip_x, self._flip_y)


def _orientation(picture: av.VideoFrame) -> tuple[bool, bool, bool, int]:
    """(transpose first, then flip x, flip y, clockwise degrees) of the display matrix.

    The matrix maps x' = a x + c y, y' = b x + d y in 16.16 fixed point (ISO/IEC 14496-12, 8.3.2).
    """
    side_data: Any = picture.side_data
    matrix = side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False, 0
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    degrees = round(math.degrees(math.atan2(b, a)) / 90) * 90 % 360
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0, degrees
    return True, c < 0, b < 0, degrees
