"""Training, searching, evaluating and deploying, on a stage that fits one number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.training import framework
from pipeline.training.framework import Stage, TrainingError, Work

CALLS: list[str] = []


@dataclass(frozen=True)
class LineConfig:
    """A line through 3.

    slope: of the line.
    steps: of the descent.
    seed: of nothing.
    name: of the line.
    """

    slope: float = 1.0
    steps: int = 4
    seed: int = 0
    name: str | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("steps must be at least 1.")


def fit(config: LineConfig, work: Work) -> None:
    state = work.load_state() or {"step": 0, "value": float(work.start.read_text()) if work.start else 0.0}
    for step in range(state["step"], config.steps):
        CALLS.append(f"step {step}")
        state = {"step": step + 1, "value": state["value"] + 0.5 * (3 * config.slope - state["value"])}
        work.log(step=step + 1, value=state["value"])
        work.save_state(state)
        work.progress(f"step {step + 1}", (step + 1) / config.steps)
    (work.folder / "line.txt").write_text(str(state["value"]))
    work.validated(abs(state["value"] - 3), higher_is_better=False)


def measure(_: LineConfig, work: Work) -> dict[str, Any]:
    error = abs(float((work.folder / "line.txt").read_text()) - 3)
    return {"primary": {"name": "error", "value": error, "low": error, "high": error, "higher_is_better": False}}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    CALLS.clear()
    path = tmp_path / "line.toml"
    path.write_text("steps = 6\n[search]\nslope = {low = 0.5, high = 2.0}\nsteps = [3, 6]\n")
    made = Stage("line", LineConfig, path, fit, measure, ("line.txt",))
    monkeypatch.setattr(framework, "STAGES", {"line": f"{__name__}:STAGE"})
    monkeypatch.setattr(__import__(__name__, fromlist=["x"]), "STAGE", made, raising=False)
    return made


def test_a_configuration_is_read_and_what_is_wrong_in_it_is_named(stage: Stage, tmp_path: Path) -> None:
    config, ranges = framework.read_config(stage)
    assert config == LineConfig(steps=6)
    assert set(ranges) == {"slope", "steps"}
    for text, says in (
        ("step = 3", "step"),
        ("steps = 'many'", "steps must be of the kind int"),
        ("steps = true", "kind int"),
        ("steps = 0", "at least 1"),
        ("name = 3", "name"),
        ("[search]\nspeed = [1]", "speed"),
        ("a = ", "readable"),
    ):
        path = tmp_path / "wrong.toml"
        path.write_text(text)
        with pytest.raises(TrainingError, match=says):
            framework.read_config(stage, path)


def test_a_killed_training_goes_on_and_another_configuration_begins_afresh(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "work"

    def kill(text: str, share: float) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt(text)

    with pytest.raises(KeyboardInterrupt):
        framework.train(stage, LineConfig(steps=6), folder, progress=kill)
    framework.train(stage, LineConfig(steps=6), folder)
    assert [f"step {k}" for k in range(6)] == CALLS
    assert len((folder / "history.csv").read_text().splitlines()) == 7
    framework.train(stage, LineConfig(steps=2), folder)
    assert CALLS[6:] == ["step 0", "step 1"]
    assert len((folder / "history.csv").read_text().splitlines()) == 3


def test_fine_tuning_starts_from_the_given_weights(stage: Stage, tmp_path: Path) -> None:
    weights = tmp_path / "start.txt"
    weights.write_text("3.0")
    framework.train(stage, LineConfig(steps=1), tmp_path / "work", start=weights)
    assert float((tmp_path / "work/line.txt").read_text()) == 3.0
    with pytest.raises(TrainingError, match="start from"):
        framework.train(stage, LineConfig(), tmp_path / "work", start=tmp_path / "none")


def test_only_an_evaluated_model_that_is_no_worse_is_deployed(stage: Stage, tmp_path: Path) -> None:
    into, good, bad = tmp_path / "checkpoints", LineConfig(steps=6), LineConfig(steps=2)
    with pytest.raises(TrainingError, match="train first"):
        framework.evaluate(stage, good, tmp_path / "good")
    for config, name in ((good, "good"), (bad, "bad")):
        framework.train(stage, config, tmp_path / name)
        with pytest.raises(TrainingError, match="was not evaluated"):
            framework.deploy(stage, config, tmp_path / name, "line", into)
        framework.evaluate(stage, config, tmp_path / name)
    with pytest.raises(TrainingError, match="another configuration"):
        framework.evaluate(stage, bad, tmp_path / "good")
    framework.deploy(stage, bad, tmp_path / "bad", "line", into)
    framework.deploy(stage, good, tmp_path / "good", "line", into)
    with pytest.raises(TrainingError, match="worse than the present"):
        framework.deploy(stage, bad, tmp_path / "bad", "line", into)
    assert (into / "line.txt").read_text() == (tmp_path / "good/line.txt").read_text()
    assert json.loads((into / "line.evaluation.json").read_text())["config"]["steps"] == 6


def test_a_search_keeps_the_best_and_repeats_nothing(stage: Stage, tmp_path: Path) -> None:
    config, ranges = framework.read_config(stage)
    rows = framework.search(stage, config, ranges, 5, tmp_path / "work")
    assert [row["score"] for row in rows] == sorted(row["score"] for row in rows)
    assert len({row["slope"] for row in rows}) == 5
    assert all(0.5 <= row["slope"] <= 2 and row["steps"] in (3, 6) for row in rows)
    best = tmp_path / f"work/trial-{rows[0]['trial']}"
    assert (tmp_path / "work/line.txt").read_text() == (best / "line.txt").read_text()
    count = len(CALLS)
    assert framework.search(stage, config, ranges, 5, tmp_path / "work") == rows
    assert len(CALLS) == count
    with pytest.raises(TrainingError, match="nothing to search"):
        framework.search(stage, config, {}, 5, tmp_path / "work")
    with pytest.raises(TrainingError, match="low below high"):
        framework.drawn({"slope": {"low": 2, "high": 1}}, 0)
    assert 1e-4 <= framework.drawn({"slope": {"low": 1e-4, "high": 1.0, "log": True}}, 0)["slope"] <= 1


@pytest.mark.usefixtures("stage")
def test_the_commands_do_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINOSCOPE_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(framework, "CHECKPOINTS", tmp_path / "checkpoints")
    assert main(["train", "line"]) == 0
    assert main(["evaluate", "line", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["primary"]["name"] == "error"
    assert main(["deploy", "line"]) == 0
    assert main(["trained", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["models"]
    assert {row["folder"] for row in rows} == {"checkpoints", str(tmp_path / "training/line")}
    assert main(["train", "lines"]) == 1
    assert "There is no stage 'lines'" in capsys.readouterr().err
    assert main(["train", "line", "--search", "2"]) == 0
    assert "score" in capsys.readouterr().out


def test_every_stage_is_there_with_a_readable_configuration() -> None:
    for name in framework.STAGES:
        stage = framework.stage_named(name)
        config, _ = framework.read_config(stage)
        assert isinstance(config, stage.config)
        assert stage.name == name
        assert stage.files(config)
