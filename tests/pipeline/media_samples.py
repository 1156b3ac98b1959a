"""Media made for the tests, with times, sizes and turns that are known. Not made by the writer under test."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.media import read_frames

RGB = NDArray[np.uint8]
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 40), (30, 40, 220), (230, 220, 30)
MATRICES = {  # clockwise degrees -> a, b, u, c, d, v, x, y, w of ISO/IEC 14496-12 (16.16 and 2.30 fixed point)
    0: (1, 0, 0, 0, 1, 0, 0, 0, 1),
    90: (0, 1, 0, -1, 0, 0, 0, 0, 1),
    180: (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    270: (0, -1, 0, 1, 0, 0, 0, 0, 1),
}


def corners(width: int = 96, height: int = 64) -> RGB:
    """Red, green / blue, yellow quadrants."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, YELLOW
    return image


def grey(level: int, width: int = 64, height: int = 48) -> RGB:
    return np.full((height, width, 3), level, np.uint8)


def levels(count: int) -> list[int]:
    """Grey levels that tell neighbouring frames apart."""
    return [40 + (k * 37) % 160 for k in range(count)]


def encode(
    path: Path,
    times: Sequence[float],
    images: Sequence[RGB],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    *,
    clock: Fraction = Fraction(1, 90_000),
    options: dict[str, str] | None = None,
    rate: Fraction | int = 30,
) -> Path:
    """A clip straight from PyAV, not through the writer under test."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = clock
        for time_s, image in zip(times, images, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = round(time_s / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def patch_matrix(path: Path, matrix: Sequence[int]) -> None:
    """Write a display matrix into the first version-0 ``tkhd`` box of an mp4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    assert data[at] == 0
    values = [value << (30 if place % 3 == 2 else 16) for place, value in enumerate(matrix)]
    struct.pack_into(">9i", data, at + 40, *values)
    path.write_bytes(data)


def times_of(path: Path, **limits: Any) -> list[float]:
    return [frame.time_s for frame in read_frames(path, **limits)]


def near(image: RGB, other: RGB, within: float = 6.0) -> bool:
    return image.shape == other.shape and float(np.abs(image.astype(int) - other).mean()) < within
