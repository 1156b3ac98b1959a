"""Every bad file gets one sentence that names the problem and what to do."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.media import (
    MediaError,
    VideoWriter,
    probe,
    read_frames,
    sha256,
    write_image,
)
from tests.pipeline.media_samples import (
    corners,
    encode,
    grey,
    levels,
)


def sentence(path: Path) -> str:
    """What probe and read_frames say about a bad file: the same, in one sentence."""
    with pytest.raises(MediaError) as probed:
        probe(path)
    with pytest.raises(MediaError) as read:
        list(read_frames(path))
    assert str(probed.value) == str(read.value)
    message = str(probed.value)
    assert message.endswith(".") and "\n" not in message and "av." not in message and "Errno" not in message
    return message


class TestDamage:
    def test_missing_folder_and_empty(self, tmp_path: Path) -> None:
        (tmp_path / "empty.mp4").touch()
        assert "does not exist" in sentence(tmp_path / "none.mp4")
        assert "folder" in sentence(tmp_path)
        assert "empty" in sentence(tmp_path / "empty.mp4")
        assert "cannot be opened" in sentence(tmp_path / ("x" * 300 + ".mp4"))
        with pytest.raises(MediaError, match="does not exist"):
            sha256(tmp_path / "none.mp4")

    def test_not_a_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.mp4")
        assert "not an ordinary file" in sentence(tmp_path / "pipe.mp4")

    def test_unreadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "locked.mp4"
        path.write_bytes(b"x")

        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)  # the administrator may read everything
        assert "may not be read" in sentence(path)

    @pytest.mark.parametrize(
        "content",
        [
            b"This is not a film.\n" * 200,
            b"ffconcat version 1.0\nfile /etc/hostname\n",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n",
            b"\x00" * 5000,
            b"1\n00:00:00,000 --> 00:00:05,000\nsubtitle\n",
        ],
    )
    @pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.m3u8", "a.jpg"])
    def test_text_and_playlists(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        assert "neither a picture nor a clip" in sentence(tmp_path / name)

    def test_only_sound(self, tmp_path: Path) -> None:
        for name, codec in (("a.wav", "pcm_s16le"), ("a.mp4", "aac")):
            with av.open(str(tmp_path / name), "w") as container:
                stream: Any = container.add_stream(codec, rate=16000, layout="mono")
                sound: Any = np.zeros((1, 1024), np.int16 if codec == "pcm_s16le" else np.float32)
                frame = av.AudioFrame.from_ndarray(sound, "s16" if codec == "pcm_s16le" else "fltp", "mono")
                frame.sample_rate = 16000
                container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            assert "only sound" in sentence(tmp_path / name)

    def test_no_frames(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.mkv", [0], [grey(99)])
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75")])  # everything before the first cluster
        assert "cut off" in sentence(path)
        path = encode(tmp_path / "b.avi", [0, 0.1], [grey(99)] * 2, "mjpeg", "yuvj420p", rate=10)
        data = bytearray(path.read_bytes())
        at = data.index(b"movi") + 4
        while data[at : at + 4] == b"00dc":  # nothing of the pictures is left
            size = struct.unpack_from("<I", data, at + 4)[0]
            data[at + 8 : at + 8 + size] = bytes(size)
            at += 8 + size + size % 2
        path.write_bytes(data)
        assert "no picture that can be decoded" in sentence(path)

    def test_cut_off_without_index(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.mp4", [k / 25 for k in range(20)], [corners()] * 20)
        data = path.read_bytes()
        assert data.index(b"mdat") < data.index(b"moov")
        path.write_bytes(data[: data.index(b"moov") - 8])
        assert "cut off" in sentence(path) and "moov" in sentence(path)

    def test_cut_off_with_index_gives_what_is_there(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        with VideoWriter(tmp_path / "a.mp4", (64, 48)) as writer:
            for k in range(60):
                writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8), k / 30)
        data = (tmp_path / "a.mp4").read_bytes()
        (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
        frames = list(read_frames(tmp_path / "a.mp4"))
        assert 15 < len(frames) < 45
        assert probe(tmp_path / "a.mp4").declared_frames == 60
        assert [f.time_s for f in frames] == pytest.approx([k / 30 for k in range(len(frames))], abs=1e-3)

    def test_header_that_lies(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "a.avi", [k / 25 for k in range(10)], [corners()] * 10, "mjpeg", "yuvj420p", rate=25)
        data = bytearray(path.read_bytes())
        struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, 5000)  # dwLength of the stream
        path.write_bytes(data)
        assert probe(path).declared_frames == 5000
        assert len(list(read_frames(path))) == 10

    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
    def test_corrupt_picture(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        write_image(path, np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert "damaged" in sentence(path)

    def test_huge_pictures(self, tmp_path: Path) -> None:
        def header(width: int, height: int) -> bytes:
            ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
            return b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + bytes(4) + b"IDAT"

        for size in ((20_000, 10), (14_000, 14_000), (60_000, 60_000)):
            (tmp_path / "bomb.png").write_bytes(header(*size))
            assert "megapixels" in sentence(tmp_path / "bomb.png")

    def test_iphone_photo(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 500)
        assert "HEIC" in sentence(tmp_path / "a.jpg") and "JPEG" in sentence(tmp_path / "a.jpg")

    def test_animated_webp(self, tmp_path: Path) -> None:
        pictures = [Image.fromarray(grey(v)) for v in levels(3)]
        pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=100)
        assert "animated WEBP" in sentence(tmp_path / "a.webp")
