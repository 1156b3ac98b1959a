"""Pictures and clips in, pictures and H.264 out (a first version; see the tests for what it must bear)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.poses import MediaInfo

Image = NDArray[np.uint8]


class MediaError(ValueError):
    """One sentence: what is wrong with this file and what to do."""


@dataclass(frozen=True)
class Frame:
    index: int
    time_s: float
    image: Image


def probe(path: Path) -> MediaInfo:
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 0) or float("nan")
            duration = container.duration / 1e6 if container.duration else float("nan")
            kind = "image" if path.suffix.lower() in (".jpg", ".png", ".jpeg") else "video"
            return MediaInfo(
                path.name,
                kind,
                stream.width,
                stream.height,
                fps,
                duration,
                0,
                stream.frames or None,
                stream.codec.name,
                container.format.name,
            )
    except (av.FFmpegError, IndexError, OSError) as error:
        raise MediaError(f"{path.name} cannot be read as a picture or clip ({error}).") from error


def read_frames(
    path: Path, *, start_s: float | None = None, end_s: float | None = None, max_side_px: int | None = None
) -> Iterator[Frame]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first, last, index = None, -1.0, 0
        for frame in container.decode(stream):
            time_s = frame.time if frame.time is not None else last + 1 / 30
            first = time_s if first is None else first
            time_s = max(time_s - first, last + 1e-4) if index else 0.0
            last = time_s
            if end_s is not None and time_s >= end_s:
                return
            if start_s is None or time_s >= start_s:
                yield Frame(index, time_s, frame.to_ndarray(format="rgb24"))
            index += 1


def read_frame_at(path: Path, time_s: float) -> Frame:
    best = None
    for frame in read_frames(path):
        if best is not None and frame.time_s > time_s:
            break
        best = frame
    if best is None:
        raise MediaError(f"{path.name} holds no frame.")
    return best


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_image(path: Path, image: Image) -> None:
    cv2.imwrite(str(path), image[:, :, ::-1])


class VideoWriter:
    def __init__(
        self, path: Path, size: tuple[int, int], *, fps_hint: float = 30.0, crf: int = 23, preset: str = "veryfast"
    ) -> None:
        self._container = av.open(str(path), "w", options={"movflags": "faststart"})
        self._path = path
        self._stream: Any = self._container.add_stream(
            "libx264", rate=Fraction(fps_hint).limit_denominator(1001), options={"crf": str(crf), "preset": preset}
        )
        self._stream.width, self._stream.height = size[0] // 2 * 2, size[1] // 2 * 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, 90000)

    def write(self, image: Image, time_s: float) -> None:
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(image[: self._stream.height, : self._stream.width]), format="rgb24"
        )
        frame.pts, frame.time_base = round(time_s * 90000), Fraction(1, 90000)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()

    def abort(self) -> None:
        self._container.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort() if kind else self.close()
