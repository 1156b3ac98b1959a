"""The chain: every stage says something, a refusal stops it, and everything is kept in the run."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.cli import main
from pipeline.movements.recognize import Guess
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Run, RunStore
from pipeline.scoring import assess as chain
from pipeline.scoring import chair, ugly_2d
from pipeline.scoring.assess import STAGES, AssessmentError, ChainOptions, StageResult, assess
from pipeline.scoring.bad_3d import Likeness, gate
from pipeline.scoring.exercises import BANDS, EXERCISES
from pipeline.scoring.kept import score_run, tables
from pipeline.scoring.models import shipped_scorers
from pipeline.scoring.verdict import Verdict
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.actor import ActorSpec
from tests.pipeline.movements.analysed_runs import run_of
from tests.pipeline.scoring.performed import clip

GIVEN = ChainOptions("deep_squat", lift="given")


@pytest.fixture(scope="module")
def squats() -> Recording:
    """Three squats between standing."""
    return clip(repetitions=3, lead_in_s=2.0, lead_out_s=2.0).recording


@pytest.fixture
def run(tmp_path: Path) -> Run:
    spec = ActorSpec.one("squat", repetitions=2, lead_in_s=2.0, lead_out_s=2.0, size=(160, 120), seed=1)
    return run_of(RunStore(tmp_path / "outputs"), tmp_path, spec)


@pytest.fixture(autouse=True)
def _good_poses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ugly-2D gate has tests of its own; here the true poses of grey clips pass."""
    monkeypatch.setattr(ugly_2d, "judge", lambda *_args, **_keywords: Verdict(True, (), {"goodness": 1.0}))


def test_all_seven_stages_say_something_and_lead_to_a_score(squats: Recording) -> None:
    heard: list[StageResult] = []
    found = assess(squats, GIVEN, told=heard.append)
    assert [stage.name for stage in heard] == list(STAGES)
    assert all(stage.verdict is not None and stage.verdict.ok for stage in found.stages)
    assert found.score is not None and found.low is not None and found.high is not None
    assert 0 <= found.low <= found.score <= found.high <= 4
    assert found.band in BANDS and found.refusal == ()
    assert len(found.repetitions) == 3
    assert found.score == pytest.approx(np.median([one.score for one in found.repetitions]))
    assert sum(stage.seconds for stage in found.stages) < 10


@pytest.mark.parametrize("scorer", shipped_scorers())
def test_both_scorers_can_be_chosen_and_faults_cost_points(scorer: str) -> None:
    options = ChainOptions("deep_squat", lift="given", scorer=scorer)
    good = assess(clip(repetitions=2, lead_in_s=1.5, lead_out_s=1.5).recording, options)
    bad = clip(repetitions=2, lead_in_s=1.5, lead_out_s=1.5, depth=0.6, faults={"forward_lean": 1.0, "knees_in": 1.0})
    worse = assess(bad.recording, options)
    assert good.score is not None
    assert worse.score is None or worse.score > good.score


def test_the_exercise_is_recognised_or_given(squats: Recording) -> None:
    found = assess(squats, ChainOptions(lift="given"))
    assert found.chosen == "recognised"
    assert found.exercise in EXERCISES
    assert assess(squats, GIVEN).chosen == "given"


def test_an_unknown_exercise_is_refused_with_what_there_is() -> None:
    jumps = clip("jumping_jack", repetitions=4, lead_in_s=1.0, lead_out_s=1.0).recording
    found = assess(jumps, ChainOptions(lift="given"))
    assert found.score is None and found.low is None and found.band == "" and found.exercise == ""
    stopped = [stage for stage in found.stages if stage.verdict is not None and not stage.verdict.ok]
    assert len(stopped) == 1 and stopped[0].name in ("trimming", "bad_3d")
    assert found.refusal
    assert found.stages[-1].verdict is None


def test_a_gate_that_refuses_stops_the_chain(squats: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    no = Verdict(False, ("Too dark: switch on a light.",), {"goodness": 0.1})
    monkeypatch.setattr(ugly_2d, "judge", lambda *_args, **_keywords: no)
    found = assess(squats, GIVEN)
    assert found.refusal == no.reasons
    assert [stage.verdict is not None for stage in found.stages] == [True, True, False, False, False, False, False]
    assert found.to_json()["verdicts"][2]["reached"] is False


def test_nobody_and_nothing_are_results_and_wrong_questions_are_sentences(squats: Recording) -> None:
    empty = assess(Recording((), np.arange(5) / 30))
    assert empty.score is None and "Nobody" in empty.refusal[0]
    unseen = PoseSequence.empty(BLAZEPOSE_33, (640, 480), time_s=np.arange(5) / 30)
    assert "Nobody" in assess(unseen, GIVEN).refusal[0]
    with pytest.raises(AssessmentError, match="no person 9"):
        assess(squats, ChainOptions(person=9))
    for wrong in ({"exercise": "juggling"}, {"lift": "magic"}, {"scorer": "oracle"}):
        with pytest.raises(ValueError, match="There is no"):
            ChainOptions(**wrong)


def test_everything_is_kept_in_the_run(run: Run) -> None:
    found = score_run(run, GIVEN)
    kept = run.results()[f"scoring-person{found.person}"]
    for key in ("verdicts", "score", "interval", "band", "reasons", "segments", "target"):
        assert key in kept
    assert kept["score"] == pytest.approx(found.score, abs=1e-3)
    person = next(p for p in run.recording().people if p.person == found.person)
    made = tables(found, person)
    for stage in ("pose", "to_kinect", "depth", "trimming", "bad_3d", "scoring", "costs", "frames"):
        path = run.file(f"scoring-person{found.person}-{stage}.csv")
        assert path is not None
        assert list(pd.read_csv(path).columns) == list(made[stage].columns)
    frames = made["frames"]
    assert len(frames) == 48 * len(found.repetitions) and frames.shape[1] == 3 + 39
    points = made["costs"].groupby("repetition")["points"].sum()
    assert len(points) == len(found.repetitions)


def test_the_command_prints_the_result(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["score", str(run.folder), "--exercise", "deep_squat", "--lift", "given"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["run"] == run.id and len(printed["verdicts"]) == 7
    assert set(printed) >= {"verdicts", "score", "interval", "band", "reasons", "segments"}
    assert main(arguments) == 0
    out = capsys.readouterr()
    assert "0.0 perfect to 4.0 worst" in out.out and "not a clinician" in out.err
    assert main(["score", str(run.folder), "--exercise", "juggling"]) == 1
    assert "deep_squat" in capsys.readouterr().err


def test_mirror_image_and_frame_rate_keep_the_score_within_the_interval() -> None:
    settings = {"repetitions": 2, "lead_in_s": 1.5, "lead_out_s": 1.5, "variation": 0.0, "depth": 0.75}
    found = {}
    for name, recording in (
        ("usual", clip(**settings).recording),
        ("fifteen", clip(**settings, fps=15.0).recording),
        ("oblique", clip(**settings, view="oblique").recording),
    ):
        found[name] = assess(recording, GIVEN)
    mirrored = clip(**settings).recording.people[0].mirrored()
    found["mirrored"] = assess(mirrored, GIVEN)
    usual = found["usual"]
    assert usual.score is not None and usual.low is not None and usual.high is not None
    for name, other in found.items():
        assert other.score is not None, name
        assert usual.low <= other.score <= usual.high, name


def test_lifts_that_are_not_there(squats: Recording) -> None:
    flat = squats.people[0]
    without = PoseSequence(flat.skeleton, flat.time_s, flat.xy_px, flat.score, None, flat.image_size, flat.person)
    with pytest.raises(AssessmentError, match="temporal"):
        chain.lifted(without, "given")


@pytest.mark.parametrize("view", ["front", "oblique", "side"])
def test_squats_and_sitting_down_are_told_apart_and_what_is_none_of_the_ten_is_refused(view: str) -> None:
    def recognised(motion: str) -> chain.Assessment:
        return assess(clip(motion, repetitions=2, lead_in_s=1.5, lead_out_s=1.5, view=view).recording, ChainOptions())

    assert recognised("squat").exercise == "deep_squat"
    assert recognised("sit_down").exercise == "sit_to_stand"
    other = recognised("jumping_jack")
    assert other.exercise == "" and other.score is None
    assert "jumping jack" in " ".join(other.refusal)


@pytest.mark.parametrize(
    ("plausibilities", "among", "sits", "named"),
    [
        ({"sit_to_stand": 0.97, "deep_squat": 0.80}, tuple(EXERCISES), False, "deep_squat"),  # no chair is under it
        ({"sit_to_stand": 0.80, "deep_squat": 0.97}, chain.LEG_EXERCISES, True, "sit_to_stand"),
        ({"leg_raise": 0.90, "hurdle_step": 0.89}, tuple(EXERCISES), False, "leg_raise"),
        ({"shoulder_rotation": 0.90, "inline_lunge": 0.2}, chain.LEG_EXERCISES, False, "inline_lunge"),
    ],
)
def test_the_recogniser_narrows_and_the_balance_decides(
    plausibilities: dict[str, float], among: tuple[str, ...], sits: bool, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def most_like(_model: object, _xyz: object, _time: object, among: Collection[str]) -> tuple[Likeness, ...]:
        return tuple(Likeness(name, plausibilities[name], "head", "", 0.0) for name in among if name in plausibilities)

    monkeypatch.setattr(chain.bad_3d, "most_like", most_like)
    monkeypatch.setattr(chair.Chair, "chance", lambda *_: float(sits))
    xyz = np.random.default_rng(0).normal(size=(3, 13, 3))
    assert chain._recognised(gate(), [(xyz, np.arange(3.0))] * 2, among) is EXERCISES[named]


def test_a_recogniser_that_is_not_sure_refuses_nothing(squats: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Guess("jumping_jack", chain.NAMED_FROM - 0.1, "")
    monkeypatch.setattr(chain, "_guess", lambda _sequence: said)
    assert assess(squats, ChainOptions(lift="given")).exercise == "deep_squat"
    said = Guess("jumping_jack", chain.NAMED_FROM, "")
    assert "jumping jack" in assess(squats, ChainOptions(lift="given")).refusal[0]
    assert assess(squats, GIVEN).score is not None, "who names the exercise is not asked twice"


def test_poses_in_space_alone_are_recognised_by_the_gate(squats: Recording) -> None:
    seen = squats.people[0]
    nothing = np.full(seen.xy_px.shape, np.nan)
    space = PoseSequence(seen.skeleton, seen.time_s, nothing, seen.score, seen.xyz_m, seen.image_size, seen.person)
    assert chain._guess(space).movement == "unknown"
    assert assess(space, ChainOptions(lift="given")).exercise == "deep_squat"
