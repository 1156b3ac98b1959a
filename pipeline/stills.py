"""Still pictures, opened by Pillow, and what reading of any file needs: errors in words, sizes, upright RGB."""

from __future__ import annotations

import stat
import struct
import zlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

RGB = NDArray[np.uint8]

MAX_SIDE_PX = 16384  # the longest side H.264 knows; 8K is 7680
MAX_PIXELS = 150_000_000  # 450 MB as RGB: above a 108-megapixel phone, below what brings a laptop down

_PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM")
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
    return Still(turned(image, transposed, flip_x, flip_y), str(picture.format).lower(), rotation_deg)


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


def on_white(rgba: NDArray[np.uint8]) -> RGB:
    """(H, W, 4) with transparency as RGB on white."""
    if rgba[..., 3].min() == 255:
        return np.ascontiguousarray(rgba[..., :3])
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def turned(image: Any, transposed: bool, flip_x: bool, flip_y: bool) -> RGB:
    """The picture transposed first, then flipped; C-contiguous."""
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
        return on_white(np.asarray(picture.convert("RGBA")))
    return np.asarray(picture.convert("RGB"))


def _too_large(name: str) -> MediaError:
    return MediaError(
        f"{name} is larger than {MAX_SIDE_PX} pixels a side or {MAX_PIXELS // 1_000_000} megapixels; make it smaller."
    )


def _damaged_picture(name: str) -> MediaError:
    return MediaError(f"{name} is damaged or cut off and cannot be decoded; copy it again or export it again.")
