"""Damaged files of every kind: only MediaError or valid frames come out, never a library's own exception."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.media import MediaError, VideoWriter, probe, read_frame_at, read_frames

MUTATIONS = 30
FRAMES = 6
EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x00")


def picture(number: int) -> np.ndarray:
    rows, columns = np.mgrid[:48, :64]
    return np.dstack([(rows * 4 + number * 30) % 256, columns * 3, (rows + columns) % 256]).astype(np.uint8)


def make(path: Path) -> bytes:
    """A tiny valid file of the kind that the name says."""
    if path.suffix == ".mp4":
        with VideoWriter(path, (64, 48)) as writer:
            for number in range(FRAMES):
                writer.write(picture(number), number / 10)
    elif path.suffix in (".mkv", ".avi"):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(FRAMES):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
            container.mux(stream.encode(None))
    else:
        first, *others = [Image.fromarray(picture(number)) for number in range(FRAMES)]
        if path.suffix == ".gif":
            first.save(path, save_all=True, append_images=others, duration=[40, 200, 10, 90, 100, 60])
        else:
            first.save(path)
    return path.read_bytes()


def damaged(data: bytes, rng: np.random.Generator) -> Iterable[bytes]:
    """Single bytes changed, the end cut off, a piece taken out, and a number in the header made extreme; in turn."""
    for number in range(MUTATIONS):
        copy = bytearray(data)
        at = int(rng.integers(1, len(copy)))
        if number % 4 == 0:
            for place in rng.integers(len(copy), size=8):
                copy[place] = rng.integers(256)
        elif number % 4 == 1:
            del copy[at:]
        elif number % 4 == 2:
            del copy[at : at + int(rng.integers(1, 40))]
        else:
            at = int(rng.integers(min(len(copy), 800)))
            copy[at : at + 4] = EXTREMES[rng.integers(len(EXTREMES))]
        yield bytes(copy)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks about damaged tags
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "gif", "png", "jpg", "webp", "bmp", "tiff", "avif"])
def test_damaged_files(tmp_path: Path, suffix: str) -> None:
    data = make(tmp_path / f"whole.{suffix}")
    whole = [frame.time_s for frame in read_frames(tmp_path / f"whole.{suffix}")]
    assert len(whole) == (FRAMES if suffix in ("mp4", "mkv", "avi", "gif") else 1)
    path = tmp_path / f"damaged.{suffix}"
    refused: list[str] = []
    for number, copy in enumerate(damaged(data, np.random.default_rng(len(suffix) + ord(suffix[0])))):
        path.write_bytes(copy)
        try:
            info = probe(path)
            frames = list(read_frames(path))
            times = np.array([frame.time_s for frame in frames])
            assert frames and times[0] == 0 and np.isfinite(times).all() and (np.diff(times) > 0).all(), number
            for frame in [*frames, read_frame_at(path, 0.3)]:
                assert frame.image.shape == (info.height, info.width, 3) and frame.image.dtype == np.uint8, number
        except MediaError as error:
            refused.append(str(error))
    assert refused and all(f"damaged.{suffix}" in sentence and sentence.endswith(".") for sentence in refused)
