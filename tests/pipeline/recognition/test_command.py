"""``python -m pipeline recognize`` on a stored run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.cli import main
from pipeline.runs import RunStore
from pipeline.synthetic.actor import ActorSpec
from tests.pipeline.movements.analysed_runs import run_of


def test_the_command_prints_segments_keeps_them_and_writes_features(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = RunStore(tmp_path / "runs")
    run = run_of(store, tmp_path, ActorSpec.one("squat", repetitions=3, view="oblique", seed=3, size=(160, 120)))
    table = tmp_path / "features.csv"
    out = ["--out", str(tmp_path / "runs")]
    assert main(["recognize", run.id, "--json", "--features", str(table), *out]) == 0
    result = json.loads(capsys.readouterr().out)
    (segment,) = result["segments"]
    assert (segment["exercise"], segment["repetitions"]) == ("squat", 3)
    assert {"start_s", "end_s", "confidence", "person"} <= set(segment)
    assert run.results()["recognition"]["segments"] == result["segments"]
    assert pd.read_csv(table).shape[1] == 4 + 189
    assert main(["recognize", run.id, *out]) == 0
    assert "Squat, 3 repetitions" in capsys.readouterr().out
    assert main(["recognize", run.id, "--person", "9", *out]) == 1
    assert "no person 9" in capsys.readouterr().err
