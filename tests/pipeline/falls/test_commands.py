"""``python -m pipeline falls`` on stored runs: the events, the curve, one sentence for what is wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.falls.detect import detect_falls
from pipeline.falls.film import ALARM, draw_moment, find_film, label_at, make_film, state_at
from pipeline.media import probe
from pipeline.runs import Run, RunStore
from pipeline.synthetic.actor import ActorSpec
from tests.pipeline.movements.analysed_runs import run_of

SPEC = ActorSpec.one("fall_backward", lead_in_s=1.5, view="oblique", seed=4, size=(160, 120))


@pytest.fixture(scope="module")
def fall(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("falls")
    return run_of(RunStore(folder / "outputs"), folder, SPEC, name="fall.mp4")


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(list(arguments)) == 0
    result = json.loads(capsys.readouterr().out)
    assert isinstance(result, dict)
    return result


def test_the_command_tells_the_fall_and_keeps_it(fall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "falls", str(fall.folder), "--json")
    (event,) = result["events"]
    assert event["onset_s"] == pytest.approx(1.5, abs=0.5)
    assert event["impact_s"] == pytest.approx(2.45, abs=0.5)
    assert event["person"] == fall.recording().people[0].person
    (person,) = result["people"]
    assert len(person["probability"]["value"]) > 20
    assert fall.results()["falls"]["events"] == result["events"]
    short = run_json(capsys, "falls", str(fall.folder), "--json", "--no-probability", "--sensitivity", "very-cautious")
    assert short["sensitivity"] == "very cautious"
    assert "probability" not in short["people"][0]


def test_the_command_in_words(fall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["falls", str(fall.folder)]) == 0
    out = capsys.readouterr().out
    assert "1 fall: impact at" in out and "body height" in out and "false alarms an hour" in out


def test_a_person_who_is_not_there_is_a_sentence(fall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["falls", str(fall.folder), "--person", "9"]) == 1
    assert "no person 9" in capsys.readouterr().err


def test_the_film_shows_the_fall_on_every_frame_and_is_made_once(fall: Run) -> None:
    recording = fall.recording()
    report = detect_falls(recording)
    (event,) = report.events
    assert find_film(fall, report) is None
    path = make_film(fall, recording, report)
    assert find_film(fall, report) == path
    assert probe(path).duration_s == pytest.approx(recording.time_s[-1], abs=0.1)
    (one,) = report.people
    assert label_at(one, 0.1).endswith(": 0%")
    assert state_at(one.events, event.onset_s - 0.1) == ""
    assert state_at(one.events, (event.onset_s + event.impact_s) / 2) == "falling"
    assert state_at(one.events, event.impact_s + 1.5) == "lying"
    cautious = detect_falls(recording, sensitivity="very cautious")
    assert find_film(fall, cautious) is None


def test_the_film_draws_over_the_person(fall: Run) -> None:
    recording = fall.recording()
    report = detect_falls(recording)
    lying = int(np.searchsorted(recording.time_s, report.events[0].impact_s + 0.5))
    picture = np.full((120, 160, 3), 90, np.uint8)
    draw_moment(picture, recording.people, report, lying)
    assert (picture == np.array(ALARM)).all(axis=2).sum() > 50
    calm = np.full((120, 160, 3), 90, np.uint8)
    draw_moment(calm, recording.people, report, 5)
    assert not (calm == np.array(ALARM)).all(axis=2).any()
    assert (calm != 90).any()
