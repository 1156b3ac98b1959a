"""Reading pictures and clips: times, parts, upright pictures, formats; and real clips where they are there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline import media
from pipeline.decoding import CLOCK_LOST_FRAMES, increasing_times
from pipeline.media import (
    VideoWriter,
    probe,
    read_frame_at,
    read_frames,
    sha256,
    write_image,
)
from tests.pipeline.media_samples import (
    BLUE,
    MATRICES,
    RED,
    RGB,
    corners,
    encode,
    grey,
    levels,
    near,
    patch_matrix,
    times_of,
)


class TestTimes:
    def test_variable_frame_rate_is_kept(self, tmp_path: Path) -> None:
        times = [0.0, 0.033, 0.05, 0.2, 0.21, 1.5, 1.54]
        path = encode(tmp_path / "vfr.mp4", times, [grey(v) for v in levels(7)])
        frames = list(read_frames(path))
        assert [f.time_s for f in frames] == pytest.approx(times, abs=1e-4)
        assert [f.index for f in frames] == list(range(7))
        assert [f.image.mean() for f in frames] == pytest.approx(levels(7), abs=4)

    @pytest.mark.parametrize("fps", [Fraction(1), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(240)])
    def test_rates(self, tmp_path: Path, fps: Fraction) -> None:
        times = [float(k / fps) for k in range(12)]
        path = encode(tmp_path / "rate.mp4", times, [grey(v) for v in levels(12)], rate=fps)
        info = probe(path)
        assert info.fps == pytest.approx(float(fps), rel=1e-3)
        assert info.duration_s == pytest.approx(float(12 / fps), rel=0.1)
        assert times_of(path) == pytest.approx(times, abs=1e-4)

    def test_clip_that_starts_late_starts_at_zero(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "late.mkv", [5.0, 5.1, 5.3], [grey(v) for v in levels(3)], clock=Fraction(1, 1000))
        assert times_of(path) == pytest.approx([0, 0.1, 0.3], abs=1e-3)
        assert probe(path).duration_s == pytest.approx(0.3, abs=0.2)

    def test_no_times_at_all_follow_the_nominal_rate(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "raw.h264", [k / 25 for k in range(20)], [grey(v) for v in levels(20)], rate=25)
        times = times_of(path)
        assert len(times) == 20 and times[0] == 0
        assert np.diff(times) == pytest.approx(1 / 25, abs=1e-3)

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ([], []),
            ([3.0], [3.0]),
            ([0, 1, 2], [0, 1, 2]),
            ([0, 1, 1, 2], [0, 1, 1.5, 2]),  # a duplicate
            ([0, 1, 0.5, 2], [0, 1, 1.5, 2]),  # backward
            ([0, None, None, 3], [0, 1, 2, 3]),
            ([None, None], [0, 0.5]),
            ([0, 1, None], [0, 1, 1.5]),  # nothing after it: the nominal step
        ],
    )
    def test_repair(self, raw: list[float | None], expected: list[float]) -> None:
        assert [t for _, t in increasing_times(((None, t) for t in raw), 0.5)] == pytest.approx(expected)

    def test_clock_set_back_counts_on(self) -> None:
        raw = [k / 10 for k in range(50)] * 2
        out = list(increasing_times(enumerate(raw), 0.1))
        times = [t for _, t in out]
        assert [k for k, _ in out] == list(range(100))
        assert np.diff(times) == pytest.approx(0.1)

    def test_stopped_clock_does_not_pile_up(self) -> None:
        taken = 0

        def stopped() -> Any:
            nonlocal taken
            for taken in range(1000):
                yield taken, 7.0

        repaired = increasing_times(stopped(), 0.1)
        for number, (item, _) in enumerate(repaired):
            assert item == number and taken - item <= CLOCK_LOST_FRAMES + 1


class TestParts:
    @pytest.fixture
    def clip(self, tmp_path: Path) -> Path:
        """Ten seconds at 20 frames a second with a key frame every two seconds and B-frames."""
        return encode(
            tmp_path / "clip.mp4", [k / 20 for k in range(200)], [grey(v) for v in levels(200)], options={"g": "40"}
        )

    def test_start_and_end(self, clip: Path) -> None:
        frames = list(read_frames(clip, start_s=4.9, end_s=5.2))
        assert [f.time_s for f in frames] == pytest.approx([4.9, 4.95, 5.0, 5.05, 5.1, 5.15], abs=1e-4)
        assert [f.index for f in frames] == [0, 1, 2, 3, 4, 5]
        assert [f.image.mean() for f in frames] == pytest.approx(levels(200)[98:104], abs=4)

    def test_nothing_after_the_end(self, clip: Path) -> None:
        assert times_of(clip, start_s=60) == []
        assert times_of(clip, end_s=0) == []

    @pytest.mark.parametrize(
        ("time_s", "number"), [(-1, 0), (0, 0), (0.049, 0), (0.05, 1), (4.2, 84), (4.24, 84), (7.991, 159), (99, 199)]
    )
    def test_frame_at(self, clip: Path, time_s: float, number: int) -> None:
        frame = read_frame_at(clip, time_s)
        assert frame.time_s == pytest.approx(number / 20, abs=1e-4)
        assert frame.image.mean() == pytest.approx(levels(200)[number], abs=4)

    def test_start_without_an_index_reads_from_the_beginning(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "raw.h264", [k / 25 for k in range(50)], [grey(v) for v in levels(50)], rate=25)
        frames = list(read_frames(path, start_s=1.0))
        assert frames[0].time_s == pytest.approx(1.0, abs=1e-3)
        assert [f.image.mean() for f in frames] == pytest.approx(levels(50)[25:], abs=4)

    def test_longer_side(self, clip: Path) -> None:
        assert next(read_frames(clip, max_side_px=32)).image.shape == (24, 32, 3)
        assert next(read_frames(clip, max_side_px=4000)).image.shape == (48, 64, 3)

    def test_stopping_early_closes_the_file(self, clip: Path) -> None:
        before = psutil.Process().num_fds()
        frames = read_frames(clip)
        next(frames)
        frames.close()  # type: ignore[attr-defined]
        assert psutil.Process().num_fds() == before


class TestUpright:
    @pytest.mark.parametrize("degrees", [0, 90, 180, 270])
    def test_display_matrix(self, tmp_path: Path, degrees: int) -> None:
        path = encode(tmp_path / "turned.mp4", [0, 0.1], [corners()] * 2)
        patch_matrix(path, MATRICES[degrees])
        info = probe(path)
        expected = np.rot90(corners(), -degrees // 90).astype(np.uint8)
        assert info.rotation_deg == degrees
        assert (info.height, info.width) == expected.shape[:2]
        frame = read_frame_at(path, 0).image
        assert near(frame, expected) and frame.flags.c_contiguous
        opencv = cv2.VideoCapture(str(path))
        opencv.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        assert near(frame, opencv.read()[1][..., ::-1].astype(np.uint8))

    def test_mirrored_front_camera(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "mirror.mp4", [0, 0.1], [corners()] * 2)
        patch_matrix(path, (-1, 0, 0, 0, 1, 0, 0, 0, 1))
        assert near(read_frame_at(path, 0).image, corners()[:, ::-1])

    def test_scaling_and_turning(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "turned.mp4", [0], [corners()])
        patch_matrix(path, MATRICES[90])
        image = next(read_frames(path, max_side_px=48)).image
        assert image.shape == (48, 32, 3)
        assert near(image[4:20, 4:12], np.full((16, 8, 3), BLUE, np.uint8), 8)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif(self, tmp_path: Path, orientation: int) -> None:
        """The picture is stored so that each orientation (TIFF 6.0, tag 274) undoes it."""
        store: dict[int, Callable[[RGB], RGB]] = {
            1: lambda i: i,
            2: lambda i: i[:, ::-1],
            3: lambda i: i[::-1, ::-1],
            4: lambda i: i[::-1],
            5: lambda i: i.transpose(1, 0, 2),
            6: lambda i: np.rot90(i),
            7: lambda i: i.transpose(1, 0, 2)[::-1, ::-1],
            8: lambda i: np.rot90(i, -1),
        }
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / "phone.jpg"
        Image.fromarray(np.ascontiguousarray(store[orientation](corners()))).save(path, exif=exif, quality=95)
        info = probe(path)
        (frame,) = read_frames(path)
        assert near(frame.image, corners())
        assert (info.width, info.height, info.kind) == (96, 64, "image")
        assert info.rotation_deg == {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(orientation, 0)

    def test_non_square_pixels_are_made_square(self, tmp_path: Path) -> None:
        path = tmp_path / "wide.mp4"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
            frame = av.VideoFrame.from_ndarray(corners(), format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        assert (probe(path).width, probe(path).height) == (128, 64)
        assert read_frame_at(path, 0).image.shape == (64, 128, 3)


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "codec", "pix_fmt", "seen_as"),
        [
            ("a.mp4", "libx264", "yuv420p", "h264"),
            ("a.mov", "libx264", "yuv444p", "h264"),
            ("ten_bit.mp4", "libx264", "yuv420p10le", "h264"),
            ("a.mkv", "libx265", "yuv420p", "hevc"),
            ("ten_bit.mkv", "libx265", "yuv420p10le", "hevc"),
            ("a.webm", "libvpx-vp9", "yuv420p", "vp9"),
            ("b.webm", "libvpx", "yuv420p", "vp8"),
            ("av1.mp4", "libsvtav1", "yuv420p", "av1"),
            ("a.avi", "mjpeg", "yuvj420p", "mjpeg"),
            ("b.avi", "mpeg4", "yuv420p", "mpeg4"),
            ("grey.mkv", "ffv1", "gray", "ffv1"),
        ],
    )
    def test_round_trip(self, tmp_path: Path, name: str, codec: str, pix_fmt: str, seen_as: str) -> None:
        try:
            av.codec.Codec(codec, "w")
        except av.error.FFmpegError:
            pytest.skip(f"this PyAV has no {codec} encoder")
        count = 6
        images = [grey(v, 128, 96) for v in levels(count)]
        options = {"x265-params": "log-level=none"} if codec == "libx265" else None
        path = encode(
            tmp_path / name, [k / 25 for k in range(count)], images, codec, pix_fmt, clock=Fraction(1, 25),
            rate=25, options=options,
        )  # fmt: skip
        info = probe(path)
        assert (info.kind, info.codec, info.width, info.height) == ("video", seen_as, 128, 96)
        frames = list(read_frames(path))
        assert [f.time_s for f in frames] == pytest.approx([k / 25 for k in range(count)], abs=1e-3)
        assert [f.image.mean() for f in frames] == pytest.approx(levels(count), abs=5)

    def test_gif_with_its_own_durations(self, tmp_path: Path) -> None:
        durations_ms = [40, 200, 100, 500]
        pictures = [Image.fromarray(grey(v)) for v in levels(4)]
        pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=durations_ms, loop=0)
        info = probe(tmp_path / "a.gif")
        assert (info.kind, info.codec) == ("video", "gif")
        frames = list(read_frames(tmp_path / "a.gif"))
        assert [f.time_s for f in frames] == pytest.approx([0, 0.04, 0.24, 0.34])
        assert [f.image.mean() for f in frames] == pytest.approx(levels(4), abs=2)

    def test_gif_of_one_picture_is_a_picture(self, tmp_path: Path) -> None:
        Image.fromarray(corners()).save(tmp_path / "still.gif")
        assert probe(tmp_path / "still.gif").kind == "image"

    def test_transparent_pixels_are_white(self, tmp_path: Path) -> None:
        rgba = np.dstack([grey(0), np.zeros((48, 64), np.uint8)])
        rgba[:, 32:, 3] = 128
        expected = np.full((48, 64, 3), 255, np.uint8)
        expected[:, 32:] = 127
        Image.fromarray(rgba).save(tmp_path / "clear.png")
        assert near(read_frame_at(tmp_path / "clear.png", 0).image, expected, 1)
        pictures = [Image.new("RGBA", (64, 48), (0, 0, 0, 0)), Image.new("RGBA", (64, 48), (0, 0, 0, 255))]
        pictures[0].save(tmp_path / "clear.gif", save_all=True, append_images=pictures[1:], duration=100, disposal=2)
        assert [f.image.mean() for f in read_frames(tmp_path / "clear.gif")] == pytest.approx([255, 0])

    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
    def test_still_pictures(self, tmp_path: Path, suffix: str) -> None:
        write_image(tmp_path / f"a.{suffix}", corners())
        info = probe(tmp_path / f"a.{suffix}")
        assert (info.kind, info.width, info.height, info.declared_frames) == ("image", 96, 64, 1)
        assert np.isnan(info.fps) and np.isnan(info.duration_s)
        (frame,) = read_frames(tmp_path / f"a.{suffix}")
        assert frame.time_s == 0 and near(frame.image, corners()) and frame.image.flags.c_contiguous
        assert list(tmp_path.iterdir()) == [tmp_path / f"a.{suffix}"]

    def test_other_kinds_of_pixels(self, tmp_path: Path) -> None:
        ramp = np.tile(np.arange(64, dtype=np.uint16) * 1024, (48, 1))
        cv2.imwrite(str(tmp_path / "16.png"), ramp)
        cv2.imwrite(str(tmp_path / "48.png"), np.dstack([ramp] * 3))
        Image.fromarray(corners()).convert("L").save(tmp_path / "grey.jpg")
        Image.fromarray(corners()).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
        Image.fromarray(corners()).convert("P").save(tmp_path / "palette.png")
        Image.fromarray(corners()).convert("1").save(tmp_path / "bits.png")
        wide = np.repeat((ramp >> 8).astype(np.uint8)[..., None], 3, axis=2)
        assert near(read_frame_at(tmp_path / "16.png", 0).image, wide, 1)
        assert near(read_frame_at(tmp_path / "48.png", 0).image, wide, 1)
        assert near(read_frame_at(tmp_path / "cmyk.jpg", 0).image, corners(), 3)
        assert near(read_frame_at(tmp_path / "palette.png", 0).image, corners(), 30)
        for name in ("grey.jpg", "bits.png"):
            assert read_frame_at(tmp_path / name, 0).image.shape == (64, 96, 3)

    @pytest.mark.parametrize("size", [(1, 1), (33, 17), (7680, 4320)])
    def test_sizes_of_pictures(self, tmp_path: Path, size: tuple[int, int]) -> None:
        Image.new("RGB", size, RED).save(tmp_path / "a.png", compress_level=1)
        assert read_frame_at(tmp_path / "a.png", 0).image.shape == (size[1], size[0], 3)

    def test_content_decides_not_the_name(self, tmp_path: Path) -> None:
        clip = encode(tmp_path / "a.mp4", [0, 0.1], [corners()] * 2).rename(tmp_path / "a.jpg")
        Image.fromarray(corners()).save(tmp_path / "b.png")
        picture = (tmp_path / "b.png").rename(tmp_path / "b.mp4")
        assert (probe(clip).kind, probe(picture).kind) == ("video", "image")

    def test_names_with_emoji_and_spaces(self, tmp_path: Path) -> None:
        for name in ("squat 🏋️ früh.mp4", "%03d.mp4", "http:--x?.mp4", "-i.mp4", "x" * 250 + ".mp4"):
            with VideoWriter(tmp_path / name, (64, 48)) as writer:
                writer.write(grey(99), 0)
            assert len(list(read_frames(tmp_path / name))) == 1 and probe(tmp_path / name).name == name

    def test_a_change_of_size_keeps_the_first(self, tmp_path: Path) -> None:
        with (tmp_path / "grows.h264").open("wb") as out:
            for number, (width, height) in enumerate([(64, 48), (128, 96)]):
                part = encode(tmp_path / f"{number}.h264", [0, 0.04], [grey(120, width, height)] * 2)
                out.write(part.read_bytes())
        assert [f.image.shape for f in read_frames(tmp_path / "grows.h264")] == [(48, 64, 3)] * 4


def test_sha256(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "a.bin").write_bytes(data)
    assert sha256(tmp_path / "a.bin") == hashlib.sha256(data).hexdigest()


class TestRealClips:
    @pytest.mark.parametrize(
        ("name", "codec", "size", "declared", "frames"),
        [
            ("robustness/av1_codec_original.mp4", "av1", (720, 1280), None, 450),
            ("squat_side/sq_side_studio_1rep_bad_frame_count.mp4", "h264", (640, 360), 159, 86),
            ("exercise_other/lunge_side_1rep.mov", "h264", (1280, 720), 90, 85),
            ("squat_front/sq_gif_loop.gif", "gif", (640, 640), 28, 28),
            ("adl/upfall_pickup_object_cam1.mp4", "h264", (640, 480), 132, 132),
            ("multi_person/street_paris_50fps.avi", "h264", (1280, 720), 205, 205),
        ],
    )
    def test_frames(
        self, media_dir: Path, name: str, codec: str, size: tuple[int, int], declared: int | None, frames: int
    ) -> None:
        info = probe(media_dir / name)
        assert (info.codec, (info.width, info.height), info.declared_frames) == (codec, size, declared)
        times = times_of(media_dir / name, max_side_px=64)
        assert len(times) == frames and times[0] == 0 and (np.diff(times) > 0).all()
        assert times[-1] < info.duration_s

    def test_variable_frame_rate(self, media_dir: Path) -> None:
        steps = np.diff(times_of(media_dir / "fall/gmdcsa_s1_from_chair.mp4", max_side_px=64))
        assert steps.min() < 0.033 < 0.079 < steps.max()

    def test_jumping_agrees_with_reading_through(self, media_dir: Path) -> None:
        path = media_dir / "exercise_other/pushup_decline_6reps.mp4"
        wanted = [frame for frame in read_frames(path) if frame.index in (0, 101, 320)]
        for frame in wanted:
            found = read_frame_at(path, frame.time_s)
            assert found.time_s == pytest.approx(frame.time_s)
            assert np.array_equal(found.image, frame.image)


def test_suffixes_are_lower_case_with_a_dot() -> None:
    for suffix in media.VIDEO_SUFFIXES + media.IMAGE_SUFFIXES:
        assert suffix.startswith(".") and suffix == suffix.lower()
