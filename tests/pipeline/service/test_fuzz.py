"""Mutated clips through the whole service: done, or failed with a sentence; never dead."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.pipeline.service.conftest import ended


@pytest.fixture
def whole(clip: Path) -> bytes:
    return clip.read_bytes()


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    cut=st.floats(0.0, 1.0),
    changes=st.lists(st.tuples(st.floats(0.0, 0.999), st.integers(0, 255)), max_size=12),
    name=st.text(max_size=20),
)
def test_a_mutated_clip_is_done_or_refused(
    cut: float, changes: list[tuple[float, int]], name: str, whole: bytes, client: TestClient
) -> None:
    content = bytearray(whole[: int(len(whole) * cut)] if changes else whole)
    for place, value in changes:
        if content:
            content[int(place * len(content))] = value
    safe = name.encode("ascii", "ignore").decode().replace('"', "").replace("\r", "").replace("\n", "") or "x"
    answer = client.post("/jobs", files={"file": (safe, io.BytesIO(bytes(content)))}, data={"tasks": "infer"})
    assert answer.status_code in (202, 422)
    if answer.status_code == 202:
        job = ended(client, answer.json()["id"])
        assert job["state"] == "done" or len(job["error"]) > 20
        assert client.delete(f"/jobs/{job['id']}").status_code == 204
    assert client.get("/health").status_code == 200
