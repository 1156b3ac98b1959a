"""Every bad or odd input through the whole way, the real model included: a run, or one sentence and nothing left."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.estimation.base import Estimator
from pipeline.inference import InferenceOptions, create_estimator, infer
from pipeline.media import MediaError, VideoWriter
from pipeline.runs import RunError, RunStore


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return create_estimator(InferenceOptions(model="blazepose"))


def video(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    with VideoWriter(path, size, fps_hint=10) as writer:
        for number in range(frames):
            writer.write(np.full((size[1], size[0], 3), 50 + number, dtype=np.uint8), number / 10)
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        for number in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def text(path: Path) -> Path:
    path.write_text("not a film\n" * 50)
    return path


def truncated(path: Path) -> Path:
    """Without its index, as after a broken upload."""
    whole = video(path.with_name("whole.mp4"), 20)
    data = whole.read_bytes()
    whole.unlink()
    at = data.index(b"moov")
    path.write_bytes(data[: at + 40])
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("make", [empty, text, truncated, sound, folder], ids=lambda f: f.__name__)
def test_bad_files_get_a_sentence_and_leave_nothing(make: object, tmp_path: Path, estimator: Estimator) -> None:
    assert callable(make)
    path = make(tmp_path / "upload.mp4")
    store = RunStore(tmp_path / "store")
    with pytest.raises(MediaError) as caught:
        infer(path, store, estimator=estimator)
    message = str(caught.value)
    assert "upload.mp4" in message
    assert len(message) > 30
    assert not store.folder.exists() or not list(store.folder.iterdir())


def test_one_frame_is_a_run(tmp_path: Path, estimator: Estimator) -> None:
    run = infer(video(tmp_path / "one.mp4", 1), RunStore(tmp_path / "store"), estimator=estimator)
    assert run.manifest.frames == 1
    assert run.overlay is not None


@pytest.mark.parametrize("size", [(1, 1), (7680, 4320), (3, 900)], ids=["1x1", "8K", "sliver"])
def test_pictures_of_any_size_are_a_run_with_nobody(
    size: tuple[int, int], tmp_path: Path, estimator: Estimator
) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", size, (90, 120, 90)).save(path, compress_level=1)
    run = infer(path, RunStore(tmp_path / "store"), estimator=estimator)
    assert run.manifest.people == []
    assert (run.manifest.source["width"], run.manifest.source["height"]) == size


def test_an_8k_clip_is_a_run_whose_overlay_a_browser_can_play(tmp_path: Path, estimator: Estimator) -> None:
    path = video(tmp_path / "8k.mp4", 2, size=(7680, 4320))
    run = infer(path, RunStore(tmp_path / "store"), estimator=estimator)
    assert run.manifest.frames == 2
    assert run.overlay is not None
    with av.open(str(run.overlay)) as container:
        assert container.streams.video[0].width == 1920


@pytest.mark.parametrize("name", ["../../escape.mp4", "🤸 Übung.mp4", "n" * 300 + ".mp4"])
def test_odd_names_are_kept_as_text_only(name: str, tmp_path: Path, estimator: Estimator) -> None:
    store = RunStore(tmp_path / "store")
    run = infer(video(tmp_path / "upload", 2), store, estimator=estimator, name=name)
    assert run.manifest.source["name"] == name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store", "upload"]
    assert run.folder.parent == store.folder


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store = video(tmp_path / "a.mp4", 5), RunStore(tmp_path / "store")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pipeline.runs._copy", full)
    with pytest.raises(RunError, match="full"):
        infer(path, store, estimator=estimator)
    assert not list(store.folder.iterdir())
