"""What the doctor measures is remembered for this machine and these weights."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from pipeline import doctor, settings
from pipeline.estimation.base import EstimatorError


@pytest.fixture(autouse=True)
def empty_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of the test's own; the sample clip is taken over where it was rendered before."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in settings.cache_dir().glob("sample-*"):
        (cache / path.name).symlink_to(path)
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("KINOSCOPE_CACHE", str(cache))


def test_a_model_is_measured_in_a_process_of_its_own_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.cached_speed("blazepose") is None
    result = doctor.measure("blazepose")
    assert result["frames_per_s"] > 0 and result["frame_ms"] > 0
    assert 50 < result["peak_mib"] < 20_000
    assert (result["what"], result["engine"]) == ("people followed", "onnx")
    assert set(result["working_points"]) == {"fast", "balanced", "thorough"}
    assert result["working_points"]["fast"] > result["working_points"]["thorough"] > 0
    assert doctor.cached_speed("blazepose") == result
    assert doctor.examine(measure=False)["speed"]["blazepose"] == result
    monkeypatch.setattr(platform, "node", lambda: "another machine")
    assert doctor.cached_speed("blazepose") is None


def test_new_weights_are_not_measured_yet(tmp_path: Path) -> None:
    from pipeline.estimation.registry import entry

    (tmp_path / "models").mkdir()
    weights = tmp_path / "models/rtmdet-nano.onnx"
    weights.write_bytes(b"old")
    path = doctor._remembered_path(entry("rtmdet-nano"))
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"frames_per_s": 1.0}))
    assert doctor.cached_speed("rtmdet-nano") == {"frames_per_s": 1.0}
    weights.write_bytes(b"newer")
    assert doctor.cached_speed("rtmdet-nano") is None


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/rtmdet-nano.onnx").write_bytes(b"no model")
    with pytest.raises(EstimatorError, match="rtmdet-nano could not be measured"):
        doctor.measure("rtmdet-nano")
    with pytest.raises(EstimatorError, match="There is no model"):
        doctor.cached_speed("nobody")


def test_a_damaged_memory_is_as_good_as_none() -> None:
    from pipeline.estimation.registry import entry

    path = doctor._remembered_path(entry("blazepose"))
    path.parent.mkdir(parents=True)
    path.write_text("{half a fi")
    assert doctor.cached_speed("blazepose") is None
