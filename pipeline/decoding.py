"""From a file to decoded pictures with their times: what ``pipeline.media`` reads with.

Still pictures are opened by Pillow, everything that moves by PyAV (``Clip``). Bad input ends in a ``MediaError``.
"""

from __future__ import annotations

import math
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BufferedReader
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

RGB = NDArray[np.uint8]
Item = TypeVar("Item")

MAX_SIDE_PX = 16384  # the longest side H.264 knows; 8K is 7680
MAX_PIXELS = 150_000_000  # 450 MB as RGB: above a 108-megapixel phone, below what brings a laptop down
CLOCK_LOST_FRAMES = 8

_PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM")
# Only containers that carry their pictures themselves: a playlist could open anything on the machine.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,asf,flv,mpeg,mpegts,mpegvideo,m4v,h263,h264,hevc,vvc,obu,ivf,"
    "ogg,mxf,nut,dv,rm,swf,wtv,yuv4mpegpipe,mjpeg,mp3,wav,flac,aac,aiff,amr,ac3,w64,caf"
)
_INDEXED = ("mov,mp4", "matroska")  # seeking in these lands on a key frame at or before the time
_PICTURE_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# EXIF orientation: transpose, then flip x, flip y; and the clockwise turn without the mirroring (TIFF 6.0, tag 274).
_EXIF = {
    2: (False, True, False, 0),
    3: (False, True, True, 180),
    4: (False, False, True, 180),
    5: (True, False, False, 90),
    6: (True, True, False, 90),
    7: (True, True, True, 270),
    8: (True, False, True, 270),
}


class MediaError(ValueError):
    """A file that cannot be read or written; the message says what is wrong with it and what to do."""


@dataclass(frozen=True)
class Still:
    """A still picture: (H, W, 3) upright RGB, its format in lower case and the clockwise turn that made it upright."""

    image: RGB
    format: str
    rotation_deg: int


def shown_name(path: Path) -> str:
    """The file's name as messages show it: quoted, and shortened in the middle when it is long."""
    name = path.name or str(path)
    name = name.encode("utf-8", "replace").decode()
    return f"\u201c{name if len(name) <= 60 else f'{name[:40]}…{name[-15:]}'}\u201d"


def open_file(path: Path) -> BufferedReader:
    """The file opened for reading; raises MediaError for what is not a readable file with something in it."""
    name = shown_name(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{name} is a folder; choose a picture or a clip in it.")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{name} is not an ordinary file; choose a picture or a clip on a disk.")
        if status.st_size == 0:
            raise MediaError(f"{name} is empty; copy or upload it again.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise MediaError(f"{name} does not exist; check the path.") from error
    except PermissionError as error:
        raise MediaError(f"{name} may not be read by you; change its permissions or copy it elsewhere.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, MediaError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{name} cannot be opened ({reason}); give the file a shorter, plainer name.") from error


def read_still(path: Path, max_side_px: int | None = None) -> Still | None:
    """The file as a still picture, or None when it is something that moves (or no picture at all).

    Raises:
        MediaError: a missing, damaged or too large picture.
    """
    name = shown_name(path)
    with open_file(path) as file:
        try:
            Image.init()  # Pillow knows all formats only after this
            picture = Image.open(file, formats=_PICTURE_FORMATS)
            moves = picture.format in ("GIF", "PNG", "WEBP", "AVIF") and getattr(picture, "is_animated", False)
        except UnidentifiedImageError:
            return None
        except Image.DecompressionBombError as error:
            raise _too_large(name) from error
        except _PICTURE_ERRORS as error:
            raise _damaged_picture(name) from error
        if picture.format in ("GIF", "PNG") and moves:
            return None
        if moves:
            raise MediaError(f"{name} is an animated {picture.format}, which cannot be read; save it as MP4 or GIF.")
        check_size(name, *picture.size)
        try:
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
        except _PICTURE_ERRORS:
            orientation = 1
        try:
            image = _rgb(picture)
        except _PICTURE_ERRORS as error:
            raise _damaged_picture(name) from error
    height, width = image.shape[:2]
    size = fit(width, height, max_side_px)
    if size != (width, height):
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    transposed, flip_x, flip_y, rotation_deg = _EXIF.get(orientation, (False, False, False, 0))
    return Still(_turned(image, transposed, flip_x, flip_y), str(picture.format).lower(), rotation_deg)


def check_size(name: str, width: int, height: int) -> None:
    """Raises MediaError for a picture that would fill the memory."""
    if width < 1 or height < 1:
        raise MediaError(f"{name} has a picture of {width} x {height} pixels; export it again.")
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise _too_large(name)


def fit(width: int, height: int, max_side_px: int | None) -> tuple[int, int]:
    """The size scaled down to a longer side of ``max_side_px``; never up."""
    scale = min(1.0, max_side_px / max(width, height)) if max_side_px else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


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
            image = _on_white(image)
        return _turned(image, self._transposed, self._flip_x, self._flip_y)


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


def _on_white(rgba: NDArray[np.uint8]) -> RGB:
    if rgba[..., 3].min() == 255:
        return np.ascontiguousarray(rgba[..., :3])
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _turned(image: Any, transposed: bool, flip_x: bool, flip_y: bool) -> RGB:
    if transposed:
        image = cv2.transpose(image)
    if flip_x or flip_y:
        image = cv2.flip(image, -1 if flip_x and flip_y else int(flip_x))
    return np.ascontiguousarray(image, dtype=np.uint8)


def _rgb(picture: Image.Image) -> RGB:
    """The picture's pixels as RGB; more than 8 bits keep the high ones, transparency becomes white."""
    if picture.mode.startswith("I;16"):
        return np.repeat((np.asarray(picture) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(picture, dtype=np.float64))
        top = next((top for top in (1.0, 255.0, 65535.0) if values.max() <= top), float(values.max()))
        top = 255.0 if picture.mode == "I" and top == 1.0 else top
        return np.repeat((values.clip(0, top) * (255 / top)).astype(np.uint8)[..., None], 3, axis=2)
    if picture.has_transparency_data:
        return _on_white(np.asarray(picture.convert("RGBA")))
    return np.asarray(picture.convert("RGB"))


def _too_large(name: str) -> MediaError:
    return MediaError(
        f"{name} is larger than {MAX_SIDE_PX} pixels a side or {MAX_PIXELS // 1_000_000} megapixels; make it smaller."
    )


def _damaged_picture(name: str) -> MediaError:
    return MediaError(f"{name} is damaged or cut off and cannot be decoded; copy it again or export it again.")
