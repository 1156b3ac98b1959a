"""The service in this process, with a model that needs no weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.service.app import create_app
from tests.pipeline.batch.conftest import model, write_clip

__all__ = ["client", "clip", "model"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture
def client(tmp_path: Path, model: object) -> Iterator[TestClient]:
    """A service without tokens over an empty store."""
    assert model is not None  # in use from the first job on
    with TestClient(create_app(tmp_path / "store"), base_url="http://localhost") as opened:
        yield opened


def post(client: TestClient, clip: Path, name: str = "", tasks: str = "infer,repetitions", **more: Any) -> Any:
    """Hand a clip in."""
    with clip.open("rb") as file:
        return client.post("/jobs", files={"file": (name or clip.name, file)}, data={"tasks": tasks}, **more)


def ended(client: TestClient, job: str, **more: Any) -> Any:
    """The job once it is done or failed."""
    for _ in range(400):
        answer = client.get(f"/jobs/{job}", **more).json()
        if answer["state"] in ("done", "failed"):
            return answer
        time.sleep(0.05)
    raise AssertionError(f"the job did not end: {answer}")


def no_uploads_left(store: Path) -> bool:
    """Do the uploads go? The job is told done a moment before."""
    for _ in range(100):
        if not list((store / "service" / "uploads").iterdir()):
            return True
        time.sleep(0.05)
    return False
