"""Writing pictures and H.264: true times, what browsers play, and whole files or none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.media import (
    MediaError,
    VideoWriter,
    probe,
    read_frame_at,
    read_frames,
    transcode_for_browser,
    write_image,
)
from pipeline.stills import MAX_SIDE_PX
from tests.pipeline.media_samples import (
    MATRICES,
    RED,
    corners,
    encode,
    grey,
    near,
    patch_matrix,
    times_of,
)


class TestWriter:
    def test_times_and_pixels_round_trip(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(1)
        times = np.cumsum(rng.uniform(0.002, 0.3, 40))
        with VideoWriter(tmp_path / "a.mp4", (96, 64)) as writer:
            for k, time_s in enumerate(times):
                writer.write(np.roll(corners(), k, axis=1), float(time_s))
        frames = list(read_frames(tmp_path / "a.mp4"))
        assert np.abs(np.array([f.time_s for f in frames]) - (times - times[0])).max() < 1e-3
        for k, frame in enumerate(frames):
            assert near(frame.image, np.roll(corners(), k, axis=1), 8)

    def test_plays_in_browsers(self, tmp_path: Path) -> None:
        """H.264, 4:2:0, index before the pictures, colours declared, key frames for jumping."""
        with VideoWriter(tmp_path / "a.mp4", (96, 64), fps_hint=25) as writer:
            for k in range(100):
                writer.write(corners(), k / 25)
        data = (tmp_path / "a.mp4").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat") and data[4:8] == b"ftyp"
        with av.open(str(tmp_path / "a.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt, stream.codec_context.colorspace) == (
                "h264",
                "yuv420p",
                1,
            )
            assert stream.start_time == 0
            keys = [packet.pts for packet in container.demux(stream) if packet.is_keyframe and packet.pts is not None]
            assert len(keys) >= 4
        info = probe(tmp_path / "a.mp4")
        assert (info.fps, info.duration_s) == pytest.approx((25, 4))

    @pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 17), (64, 47)])
    def test_odd_sizes_repeat_the_edge(self, tmp_path: Path, size: tuple[int, int]) -> None:
        width, height = size
        with VideoWriter(tmp_path / "a.mp4", size) as writer:
            writer.write(np.full((height, width, 3), RED, np.uint8), 0)
        image = read_frame_at(tmp_path / "a.mp4", 0).image
        assert image.shape == (height + height % 2, width + width % 2, 3)
        assert near(image, np.full(image.shape, RED, np.uint8), 4)

    def test_single_frame_lasts_one_step(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", (64, 48), fps_hint=10) as writer:
            writer.write(grey(99), 3.0)
        assert probe(tmp_path / "a.mp4").duration_s == pytest.approx(0.1)
        assert times_of(tmp_path / "a.mp4") == [0]

    def test_nothing_is_left_behind(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"before")
        writer = VideoWriter(path, (64, 48))

        def stopped() -> None:
            with writer:
                writer.write(grey(99), 0)
                raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            stopped()
        writer.abort()
        with VideoWriter(path, (64, 48)):
            pass  # no picture at all
        assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"before"

    def test_close_twice_and_write_after(self, tmp_path: Path) -> None:
        writer = VideoWriter(tmp_path / "a.mp4", (64, 48))
        writer.write(grey(99), 0)
        writer.close()
        writer.close()
        writer.abort()
        assert len(times_of(tmp_path / "a.mp4")) == 1
        with pytest.raises(ValueError, match="closed"):
            writer.write(grey(99), 1)

    def test_wrong_pictures_and_times(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", (64, 48)) as writer:
            writer.write(grey(99), 0.5)
            wrong: list[Any] = [grey(99, 48, 64), grey(99)[..., 0], grey(99).astype(np.float32)]
            for bad in wrong:
                with pytest.raises(ValueError, match="shape"):
                    writer.write(bad, 1)
            for time_s in (0.5, 0.4, float("nan"), float("inf")):
                with pytest.raises(ValueError, match="time_s"):
                    writer.write(grey(99), time_s)
        with pytest.raises(MediaError, match="pixels"):
            VideoWriter(tmp_path / "b.mp4", (MAX_SIDE_PX + 1, 48))

    @pytest.mark.parametrize(
        ("name", "words"),
        [("none/a", "does not exist"), ("x" * 300, "too long"), ("folder", "folder of that name")],
    )
    def test_bad_targets(self, tmp_path: Path, name: str, words: str) -> None:
        for suffix in (".mp4", ".png"):
            (tmp_path / f"folder{suffix}").mkdir()
        before = sorted(tmp_path.iterdir())

        def clip() -> None:
            with VideoWriter(tmp_path / f"{name}.mp4", (64, 48)) as writer:
                writer.write(grey(99), 0)

        with pytest.raises(MediaError, match=words):
            clip()
        with pytest.raises(MediaError, match=words):
            write_image(tmp_path / f"{name}.png", grey(99))
        assert sorted(tmp_path.iterdir()) == before

    @pytest.mark.parametrize("number", [28, 122, 27])  # ENOSPC, EDQUOT, EFBIG
    def test_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise OSError(number, "full")

        writer = VideoWriter(tmp_path / "a.mp4", (64, 48))
        monkeypatch.setattr(writer, "_mux", full)
        with pytest.raises(MediaError, match="disk is full"):
            writer.write(grey(99), 0)
        monkeypatch.setattr(Image.Image, "save", full)
        with pytest.raises(MediaError, match="disk is full"):
            write_image(tmp_path / "a.png", grey(99))
        assert list(tmp_path.iterdir()) == []

    def test_write_image_needs_a_known_ending(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match="ending"):
            write_image(tmp_path / "a.doc", grey(99))

    def test_transcode(self, tmp_path: Path) -> None:
        times = [0, 0.1, 0.15, 0.9, 1.0]
        source = encode(tmp_path / "phone.mov", times, [corners()] * 5, "mpeg4", clock=Fraction(1, 1000))
        patch_matrix(source, MATRICES[90])
        done: list[float] = []
        transcode_for_browser(source, tmp_path / "web.mp4", done.append)
        info = probe(tmp_path / "web.mp4")
        assert (info.codec, info.width, info.height, info.rotation_deg) == ("h264", 64, 96, 0)
        assert times_of(tmp_path / "web.mp4") == pytest.approx(times, abs=1e-3)
        assert near(read_frame_at(tmp_path / "web.mp4", 0).image, np.rot90(corners(), -1), 8)
        assert done == sorted(done) and done[-1] == 1.0

    def test_transcode_of_nothing_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_bytes(b"text" * 50)
        with pytest.raises(MediaError):
            transcode_for_browser(tmp_path / "a.mp4", tmp_path / "web.mp4")
        assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Reading and writing 500 more pictures of 0.9 MB takes no more room than 20 of them."""
    image = corners(640, 480)
    process = psutil.Process()

    def peak(count: int) -> int:
        most = 0
        with VideoWriter(tmp_path / "out.mp4", (640, 480), preset="ultrafast") as writer:
            for frame in read_frames(tmp_path / "in.mp4"):
                if frame.index == count:
                    break
                writer.write(frame.image, frame.time_s)
                most = max(most, process.memory_info().rss)
        return most

    with VideoWriter(tmp_path / "in.mp4", (640, 480), preset="ultrafast") as writer:
        for k in range(620):
            writer.write(image, k / 30)
    short = peak(120)
    assert peak(620) - short < 20 * image.nbytes
