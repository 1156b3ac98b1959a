"""From a clip to a run: overlap, cancel, errors, and nothing left behind."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pipeline.estimation.base import Estimator, Image, PersonPose, Region
from pipeline.inference import (
    InferenceOptions,
    Progress,
    create_estimator,
    expected_frames,
    infer,
    shrink,
)
from pipeline.media import MediaError, VideoWriter, probe, read_frames, write_image
from pipeline.options import descriptions
from pipeline.poses import MediaInfo, ModelInfo
from pipeline.runs import RunError, RunStore
from pipeline.skeletons import COCO_17


class Follows(Estimator):
    """Sees one person wherever the picture is bright."""

    name = "bright"
    skeleton = COCO_17

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at
        self.frames = 0

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name=self.name, device="CPU")

    def reset(self) -> None:
        self.frames = 0

    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:  # noqa: ARG002
        self.frames += 1
        if self.fail_at == self.frames:
            raise ZeroDivisionError("the model broke")
        rows, columns = np.nonzero(image[:, :, 0] > 200)
        if not rows.size:
            return ()
        center = np.array([columns.mean(), rows.mean()])
        xy_px = center + np.linspace(-10, 10, 34).reshape(17, 2)
        return (PersonPose(xy_px, np.full(17, 0.9), 1.0, Region((0.0, 0.0), (1.0, 1.0)), person=1),)


def clip(path: Path, frames: int = 40, size: tuple[int, int] = (160, 120), fps: float = 20.0) -> Path:
    with VideoWriter(path, size, fps_hint=fps) as writer:
        for number in range(frames):
            image = np.zeros((size[1], size[0], 3), dtype=np.uint8)
            if number >= 10:
                image[40:80, 20 + number : 50 + number] = 255
            writer.write(image, number / fps)
    return path


def test_a_clip_becomes_a_run_with_an_overlay_that_has_its_times(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "store")
    seen: list[Progress] = []
    run = infer(clip(tmp_path / "a.mp4"), store, estimator=Follows(), progress=seen.append, name="Holiday ☀.mp4")
    assert run.manifest.frames == 40
    assert run.manifest.duration_s == pytest.approx(2.0, abs=0.01)
    assert run.manifest.people == [{"person": 1, "frames_seen": 30}]
    assert run.manifest.source["name"] == "Holiday ☀.mp4"
    assert run.manifest.state == "complete"
    assert run.overlay is not None
    times = [frame.time_s for frame in read_frames(run.overlay)]
    np.testing.assert_allclose(times, np.arange(40) / 20, atol=1e-3)
    assert (run.folder / "thumbnail.jpg").is_file()
    assert seen[-1].frames == seen[-1].frames_total == 40
    (person,) = run.recording().people
    assert np.isnan(person.xy_px[:10]).all()
    assert person["nose"][39, 0] > person["nose"][10, 0]


def test_cancel_keeps_what_is_done(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "store")
    estimator = Follows()
    run = infer(clip(tmp_path / "a.mp4"), store, estimator=estimator, cancelled=lambda: estimator.frames >= 15)
    assert run.manifest.state == "cancelled"
    assert run.manifest.frames == 15
    assert run.overlay is not None
    assert len(list(read_frames(run.overlay))) == 15
    assert len(run.recording()) == 15


def test_cancelled_before_the_first_frame_is_an_empty_run(tmp_path: Path) -> None:
    run = infer(clip(tmp_path / "a.mp4"), RunStore(tmp_path / "s"), estimator=Follows(), cancelled=lambda: True)
    assert run.manifest.frames == 0
    assert run.recording().people == ()
    assert run.overlay is None


@pytest.mark.parametrize("what", ["the model broke", "drawing broke"])
def test_an_error_in_any_thread_comes_out_and_leaves_nothing(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("drawing broke")

    if what == "drawing broke":
        monkeypatch.setattr("pipeline.inference.draw_people", broken)
    store = RunStore(tmp_path / "store")
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match=what):
        infer(clip(tmp_path / "a.mp4"), store, estimator=Follows(fail_at=20 if what == "the model broke" else None))
    assert list(store.folder.iterdir()) == []
    assert threading.active_count() == before


def test_a_part_of_a_clip_keeps_the_clips_times(tmp_path: Path) -> None:
    options = InferenceOptions(start_s=0.5, end_s=1.0)
    run = infer(clip(tmp_path / "a.mp4"), RunStore(tmp_path / "s"), options, estimator=Follows())
    np.testing.assert_allclose(run.recording().time_s, np.arange(10, 20) / 20, atol=1e-3)
    assert "--start-s 0.5 --end-s 1.0" in run.manifest.command


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    image[20:40, 20:40] = 255
    write_image(tmp_path / "a.png", image)
    run = infer(tmp_path / "a.png", RunStore(tmp_path / "s"), estimator=Follows())
    assert run.manifest.frames == 1
    assert run.overlay is not None
    assert run.overlay.name == "overlay.png"


def test_bad_input_is_refused_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "store")
    text = tmp_path / "letter.mp4"
    text.write_text("Dear Sir")
    with pytest.raises(MediaError):
        infer(text, store, estimator=Follows())
    with pytest.raises(MediaError):
        infer(tmp_path / "missing.mp4", store, estimator=Follows())
    assert not store.folder.exists() or list(store.folder.iterdir()) == []


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Cannot write"):
        infer(clip(tmp_path / "a.mp4"), RunStore(tmp_path / "file"), estimator=Follows())


def test_a_linked_source_is_not_copied(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    run = infer(path, RunStore(tmp_path / "s"), InferenceOptions(link_source=True), estimator=Follows())
    assert run.source == path
    assert not list(run.folder.glob("source*"))


def test_without_an_overlay_there_is_still_a_thumbnail(tmp_path: Path) -> None:
    run = infer(
        clip(tmp_path / "a.mp4"), RunStore(tmp_path / "s"), InferenceOptions(overlay=False), estimator=Follows()
    )
    assert run.overlay is None
    assert (run.folder / "thumbnail.jpg").is_file()


def test_the_same_file_gives_the_same_poses(tmp_path: Path) -> None:
    store, path = RunStore(tmp_path / "store"), clip(tmp_path / "a.mp4")
    first, second = (infer(path, store, estimator=Follows()).recording().people[0] for _ in range(2))
    np.testing.assert_array_equal(first.xy_px, second.xy_px)


def test_a_clip_without_anybody_through_the_real_model(tmp_path: Path) -> None:
    run = infer(clip(tmp_path / "a.mp4", frames=5), RunStore(tmp_path / "s"), InferenceOptions(model="blazepose"))
    assert run.manifest.people == []
    assert run.manifest.model["name"] == "blazepose"
    assert "LiteRT" in run.manifest.device
    assert set(run.manifest.model["weights_sha256"]) == {"pose_detection.tflite", "pose_landmark_full.tflite"}


def test_live_updates_and_the_file_give_the_same_poses_with_the_real_model(media_dir: Path, tmp_path: Path) -> None:
    path = media_dir / "squat_front" / "sq_gif_loop.gif"
    run = infer(path, RunStore(tmp_path / "s"), InferenceOptions(model="blazepose"))
    estimator = create_estimator(InferenceOptions(model="blazepose"))
    live = [estimator.update(frame.image, frame.time_s) for frame in read_frames(path)]
    (person,) = run.recording().people
    assert person.frames_seen >= 25
    for number, poses in enumerate(live):
        for pose in poses:
            np.testing.assert_array_equal(pose.xy_px, person.xy_px[number])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"working_point": "best"}, "choose one of"), ({"max_people": 0}, "at least 1"), ({"engine": "tf"}, "onnx"),
     ({"start_s": 2.0, "end_s": 1.0}, "must come after")],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        InferenceOptions(**options)  # type: ignore[arg-type]


def test_every_option_says_what_it_does_and_the_command_repeats_the_choice() -> None:
    documented = descriptions(InferenceOptions)
    assert {f.name for f in fields(InferenceOptions)} - set(documented) <= {"subject", "tags"}
    command = InferenceOptions(max_people=2, overlay=False, tags=("a b", "c")).command("my clip.mp4")
    assert command == "python -m pipeline infer 'my clip.mp4' --max-people 2 --no-overlay --tags 'a b' --tags c"


def test_pictures_get_the_thorough_working_point_and_clips_the_balanced_one() -> None:
    options = InferenceOptions()
    assert options.follow_parameters("image").tiles > 1
    assert not options.follow_parameters("image").tiles_in_turn
    assert options.follow_parameters("video").tiles_in_turn


def test_expected_frames_are_only_promised_when_the_container_does() -> None:
    assert expected_frames(MediaInfo(fps=30.0, duration_s=2.0)) == 60
    assert expected_frames(MediaInfo(fps=30.0, duration_s=2.0), start_s=1.0) == 30
    assert expected_frames(MediaInfo()) is None
    assert expected_frames(MediaInfo(kind="image")) == 1
    assert Progress(10, None, 2.0).left_s is None
    assert Progress(10, 30, 2.0).left_s == pytest.approx(4.0)
    assert Progress(0, 30, 0.0).frames_per_s == 0


def test_shrink_keeps_small_pictures_as_they_are() -> None:
    small = np.zeros((10, 20, 3), dtype=np.uint8)
    assert shrink(small, 20)[0] is small
    picture, scale = shrink(np.zeros((1000, 2000, 3), dtype=np.uint8), 500)
    assert picture.shape == (250, 500, 3)
    assert scale == 0.25


def test_probe_and_the_run_agree_on_the_size(tmp_path: Path) -> None:
    path = clip(tmp_path / "odd.mp4", size=(161, 119))
    run = infer(path, RunStore(tmp_path / "s"), estimator=Follows())
    info = probe(path)
    assert run.recording().people[0].image_size == (info.width, info.height)
