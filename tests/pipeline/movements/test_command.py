"""``python -m pipeline analyze``: one person or all, with thresholds of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.movement_commands import with_thresholds
from pipeline.movements import MovementError
from pipeline.movements.squat import SquatParameters
from pipeline.runs import Run, RunStore
from pipeline.synthetic.actor import ActorSpec
from pipeline.synthetic.motions import Actor
from tests.pipeline.movements.analysed_runs import run_of

SHALLOW_AND_DEEP = ActorSpec(
    (
        Actor("squat", repetitions=3, depth=0.55, seed=3, place_m=(-0.9, 0.0)),
        Actor("squat", repetitions=2, seed=4, place_m=(0.9, 0.0)),
    ),
    view="left",
    size=(160, 120),
)


@pytest.fixture
def two_people(tmp_path: Path) -> Run:
    return run_of(RunStore(tmp_path / "runs"), tmp_path, SHALLOW_AND_DEEP)


def answer(run: Run, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["analyze", run.id, "--movement", "squat", "--out", str(run.folder.parent), "--json", *options]) == 0
    return dict(json.loads(capsys.readouterr().out))


def faults(document: dict[str, Any]) -> set[str]:
    return {remark["fault"] for repetition in document["repetitions"] for remark in repetition["remarks"]}


def test_all_reports_everybody_and_one_report_says_that_somebody_else_moves(
    two_people: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    everybody = answer(two_people, capsys, "--person", "all")
    ids = [person.person for person in two_people.recording().people]
    assert [document["person"] for document in everybody["people"]] == ids
    assert [document["complete_repetitions"] for document in everybody["people"]] == [3, 2]
    assert [faults(document) for document in everybody["people"]] == [{"shallow"}, set()]
    assert len(two_people.results()) == 2
    one = answer(two_people, capsys)
    other = next(number for number in ids if number != one["person"])
    assert f"Person {other} repeats a movement in this clip, too" in one["summary"][1]
    assert main(["analyze", two_people.id, "--person", "all", "--out", str(two_people.folder.parent)]) == 0
    assert capsys.readouterr().out.count("squat, seen from: side") == 2


def test_a_threshold_of_ones_own_decides(two_people: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shallow = str(two_people.recording().people[0].person)
    kind = answer(two_people, capsys, "--person", shallow, "--threshold", "thigh_deg=80", "--threshold", "knee_deg=160")
    assert faults(kind) == set()
    assert (kind["preset"], kind["parameters"]["thigh_deg"]) == ("custom", 80.0)


@pytest.mark.parametrize("change", ["depth=3", "thigh_deg=deep", "thigh_deg", "thigh_deg=nan", "thigh_deg=inf"])
def test_a_threshold_that_is_none_is_refused_in_words(
    change: str, two_people: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MovementError, match="threshold"):
        with_thresholds(SquatParameters(), [change])
    folder = str(two_people.folder.parent)
    assert main(["analyze", two_people.id, "--movement", "squat", "--threshold", change, "--out", folder]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_clip_without_anybody_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RunStore(tmp_path / "runs")
    run = run_of(store, tmp_path, SHALLOW_AND_DEEP, everybody=False)
    assert main(["analyze", run.id, "--movement", "squat", "--out", str(store.folder)]) == 0
    assert capsys.readouterr().out == f"{run.id}: nobody was found in this clip.\n"


@pytest.mark.parametrize("name", ["clip.mp4", "folder/clip"])
def test_a_file_that_is_not_there_is_called_a_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", str(tmp_path / name), "--out", str(tmp_path)]) == 1
    assert "There is no file" in capsys.readouterr().err
