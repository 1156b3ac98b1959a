"""Damaged pose files end in poses or in one clear sentence, never in anything else."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.exchange import ImportOptions, export_poses, import_poses
from pipeline.poses import Recording
from tests.pipeline.exchange import samples

OPTIONS = ImportOptions(fps=30, size="640x480")
FEW = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
KINDS = ("mmpose.json", "alphapose.json", "openpose.json", "own.json", "own.csv", "wide.csv", "long.csv", "m.trc",
         "own.parquet")  # fmt: skip


@lru_cache(maxsize=1)
def originals() -> dict[str, bytes]:
    """One good file of each kind, a few frames long."""
    short = samples.person().select(slice(40, 46))
    recording = Recording((short,), short.time_s)
    openpose = {"people": [{"person_id": [-1], "pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}]}
    documents: dict[str, Any] = {
        "mmpose.json": samples.mmpose(short, tracked=True),
        "alphapose.json": samples.alphapose(short),
        "openpose.json": openpose,
        "wide.csv": samples.mediapipe_wide(short),
        "long.csv": samples.mediapipe_long(short),
    }
    made = {name: (d if isinstance(d, str) else json.dumps(d)).encode() for name, d in documents.items()}
    for name, kind in (("own.json", "json"), ("own.csv", "csv"), ("own.parquet", "parquet"), ("m.trc", "trc")):
        made[name] = export_poses(recording, kind).content
    return made


def poses_or_a_sentence(path: Path) -> None:
    """The property."""
    try:
        made = import_poses(path, OPTIONS)
    except ValueError as error:
        text = str(error)
        assert 15 < len(text) < 500, text
        assert "Traceback" not in text
        assert "\n" not in text.strip()
        assert str(path.parent) not in text, "where an upload lay is nobody's business"
        return
    for person in made.recording.people:
        assert np.nanmin(person.score, initial=0) >= 0
        assert np.nanmax(person.score, initial=0) <= 1
        assert (np.diff(person.time_s) > 0).all()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good file with bytes changed, cut out, put in, or its end lost."""
    name = draw(st.sampled_from(KINDS))
    content = bytearray(originals()[name])
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        place = draw(st.integers(0, len(content) - 1))
        length = draw(st.integers(1, 200))
        match draw(st.sampled_from(("change", "cut", "insert", "end", "repeat"))):
            case "change":
                content[place] = draw(st.integers(0, 255))
            case "cut":
                del content[place : place + length]
            case "insert":
                junk = [
                    b"nan",
                    b"1e999",
                    b"-5",
                    b",",
                    b"\t",
                    b"\n",
                    b'"',
                    b"null",
                    b"[",
                    b"{}",
                    b"99999999999",
                    b"\xff",
                ]
                content[place:place] = draw(st.sampled_from(junk))
            case "end":
                del content[place:]
            case "repeat":
                content[place:place] = content[place : place + length]
    return name, bytes(content)


@FEW
@given(file=damaged())
def test_damaged_bytes(file: tuple[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / file[0]
    path.write_bytes(file[1])
    poses_or_a_sentence(path)


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [at] if at else []
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inside:
        found += places(value, (*at, key))
    return found


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(0, 5), max_size=5),
    st.just({}),
    st.just([]),
    st.just([[[]]]),
    st.just({"keypoints": "many"}),
)


@FEW
@given(data=st.data(), name=st.sampled_from([kind for kind in KINDS if kind.endswith(".json")]))
def test_values_of_the_wrong_kind(data: st.DataObject, name: str, tmp_path: Path) -> None:
    document = json.loads(originals()[name])
    at = data.draw(st.sampled_from(places(document)))
    inside = document
    for key in at[:-1]:
        inside = inside[key]
    if data.draw(st.booleans()):
        inside[at[-1]] = data.draw(JUNK)
    else:
        del inside[at[-1]]
    path = tmp_path / name
    path.write_text(json.dumps(document))
    poses_or_a_sentence(path)


@FEW
@given(text=st.text(max_size=300), suffix=st.sampled_from(("json", "csv", "trc", "txt", "c3d", "parquet")))
def test_any_text(text: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    poses_or_a_sentence(path)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_c3d_cannot_crash_us(seed: int, tmp_path: Path) -> None:
    """ezc3d reads outside of its memory on some of these; it does so in a process of its own."""
    short = samples.person().select(slice(40, 46))
    content = bytearray(export_poses(Recording((short,), short.time_s), "c3d").content)
    random = np.random.default_rng(seed)
    for place in random.integers(2, min(len(content), 1500), 6):
        content[place] = int(random.integers(0, 256))
    path = tmp_path / "damaged.c3d"
    path.write_bytes(bytes(content))
    poses_or_a_sentence(path)


@pytest.mark.parametrize("name", KINDS)
def test_the_originals_are_good(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(originals()[name])
    assert import_poses(path, OPTIONS).recording.people
