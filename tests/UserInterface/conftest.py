"""A small clip, a model that needs no weights, and the pages under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.estimation.base import Estimator, Image, PersonPose, Region
from pipeline.inference import InferenceOptions, infer
from pipeline.media import VideoWriter, write_image
from pipeline.poses import ModelInfo
from pipeline.runs import Run, RunStore
from pipeline.skeletons import BLAZEPOSE_33, COCO_17

HOME = Path(__file__).resolve().parents[2] / "UserInterface" / "Home.py"
FRAMES, SIZE = 12, (96, 128)


class StandingPeople(Estimator):
    """Sees ``people`` people side by side, the second of them from the fifth frame on."""

    name = "standing"

    def __init__(self, people: int = 2, skeleton: object = BLAZEPOSE_33, with_3d: bool = True) -> None:
        self.people, self.with_3d = people, with_3d
        self.skeleton = skeleton  # type: ignore[assignment]
        self.frame = 0
        self.before_frame: Callable[[int], None] = lambda _frame: None

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name="standing", detector="none", device="test bench")

    def reset(self) -> None:
        self.frame = 0

    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:
        self.before_frame(self.frame)
        self.frame += 1
        seen = [person for person in range(1, self.people + 1) if person == 1 or self.frame >= 5]
        return tuple(self._pose(person, time_s, image) for person in seen)

    def _pose(self, person: int, time_s: float, image: Image) -> PersonPose:
        joints = len(self.skeleton)
        random = np.random.default_rng(person)
        height, width = image.shape[:2]
        xy_px = random.uniform(0.1, 0.4, (joints, 2)) * (width, height) + (0.45 * width * (person - 1), 10 * time_s)
        score = np.linspace(0.2, 1.0, joints)
        xyz_m = random.normal(0, 0.3, (joints, 3)) if self.with_3d else None
        return PersonPose(xy_px, score, 1.0, Region((10.0, 10.0), (20.0, 20.0)), xyz_m, None, person)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames at 20 a second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(path, SIZE, fps_hint=20) as writer:
        for frame in range(FRAMES):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 20 * frame, dtype=np.uint8), frame / 20)
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """An empty run store, which the pages use as well; models and samples of other tests are out of reach."""
    monkeypatch.setenv("KINOSCOPE_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path / "models"))
    return RunStore(tmp_path / "outputs")


@pytest.fixture
def estimator(monkeypatch: pytest.MonkeyPatch) -> StandingPeople:
    """What the pages use instead of a real model."""
    standing = StandingPeople()
    monkeypatch.setattr("pipeline.inference.create_estimator", lambda _options, _kind="video": standing)
    return standing


@pytest.fixture
def sample(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample, without rendering one."""
    monkeypatch.setattr("pipeline.sample.sample_clip", lambda: clip)


def make_run(
    store: RunStore,
    clip: Path,
    people: int = 2,
    *,
    estimator: StandingPeople | None = None,
    cancel_after: int | None = None,
    name: str = "squat *one*.mp4",
    **options: object,
) -> Run:
    """A run of the clip, as the pipeline makes it."""
    model = estimator or StandingPeople(people)
    return infer(
        clip,
        store,
        replace(InferenceOptions(), **options),  # type: ignore[arg-type]
        name=name,
        estimator=model,
        cancelled=None if cancel_after is None else lambda: model.frame >= cancel_after,
    )


def make_picture_run(store: RunStore, folder: Path) -> Run:
    """A run of a still picture by a model without 3D."""
    path = folder / "photo.jpg"
    write_image(path, np.full((90, 120, 3), 200, dtype=np.uint8))
    return infer(path, store, estimator=StandingPeople(1, COCO_17, with_3d=False))


def open_page(page: str = "", **query: str) -> AppTest:
    """The dashboard, opened at a page."""
    app = AppTest.from_file(str(HOME), default_timeout=30)
    if page:
        app.switch_page(page)
    for name, value in query.items():
        app.query_params[name] = value
    return healthy(app.run())


def healthy(app: AppTest) -> AppTest:
    """The app itself, after a look that no exception reached the page."""
    assert not app.exception, [e.message for e in app.exception]
    return app


def texts(elements: Sequence[object]) -> str:
    """All their words."""
    return "\n".join(str(getattr(element, "value", element)) for element in elements)
