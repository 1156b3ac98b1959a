"""Small clips in folders, and a model that needs no weights and counts what it is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.media import VideoWriter
from pipeline.synthetic.actor import ActorSpec, render_clip
from tests.UserInterface.conftest import StandingPeople

FRAMES = 6
ALIKE = ("deep_squat", "sit_to_stand")  # what squats may be taken for when nobody says


def write_clip(path: Path, level: int = 100, frames: int = FRAMES, size: tuple[int, int] = (96, 64)) -> Path:
    """A grey wall at ten frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, size, fps_hint=10) as writer:
        for frame in range(frames):
            writer.write(np.full((size[1], size[0], 3), level + frame, dtype=np.uint8), frame / 10)
    return path


def squats_clip(path: Path) -> Path:
    """Two rendered squats, seven seconds: small, and good enough for a score from the real poses of the real model."""
    spec = ActorSpec.one(
        "squat", repetitions=2, view="oblique", fps=10, size=(240, 180), seed=2, lead_in_s=1.0, lead_out_s=1.0
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    render_clip(spec, path)
    return path


class CountingPeople(StandingPeople):
    """Counts the frames it is shown over all clips, and calls ``watch`` with that number before each."""

    def __init__(self) -> None:
        super().__init__(people=1)
        self.shown = 0
        self.watch: Callable[[int], None] = lambda _number: None
        self.before_frame = self._count

    def _count(self, _frame: int) -> None:
        self.shown += 1
        self.watch(self.shown)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> CountingPeople:
    """What a batch uses instead of a real model."""
    people = CountingPeople()
    monkeypatch.setattr("pipeline.inference.create_estimator", lambda _options, _kind="video": people)
    return people


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three clips, one of them in a sub-folder, and files that are none."""
    folder = tmp_path / "clips"
    write_clip(folder / "a.mp4", 60)
    write_clip(folder / "b with (odd) name.mov", 90)
    write_clip(folder / "day 2" / "a.mp4", 120)
    (folder / "notes.txt").write_text("no clip")
    (folder / ".hidden.mp4").write_text("no clip either")
    return folder
