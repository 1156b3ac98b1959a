"""Exercise Scoring: the stages light up, the score has its interval and reasons, and a refusal is kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.runs import Run, RunStore
from pipeline.scoring import ugly_2d
from pipeline.scoring.assess import ChainOptions, assess
from pipeline.scoring.models import SCORERS
from pipeline.scoring.verdict import Verdict
from pipeline.synthetic.actor import ActorSpec
from tests.pipeline.movements.analysed_runs import run_of
from tests.pipeline.scoring.performed import clip, in_space
from tests.UserInterface.conftest import healthy, open_page, texts
from UserInterface.components.scoring_figures import film_times, gauge_figure, skeleton_film, trimming_figure
from UserInterface.components.scoring_files import command

PAGE = "pages/06_Exercise_Scoring.py"
BAD = ActorSpec.one(
    "squat", repetitions=2, depth=0.75, faults={"knees_in": 0.7}, lead_in_s=2.0, lead_out_s=2.0, size=(160, 120), seed=2
)


@pytest.fixture(autouse=True)
def _good_poses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ugly_2d, "judge", lambda *_args, **_keywords: Verdict(True))


@pytest.fixture
def squats(store: RunStore, tmp_path: Path) -> Run:
    """Two squats, not deep, knees inwards."""
    return run_of(store, tmp_path, BAD)


@pytest.mark.usefixtures("store")
def test_without_clips_it_says_where_to_begin() -> None:
    app = open_page(PAGE)
    assert "no analysed clip yet" in texts(app.info)
    assert "not a clinician" in texts(app.caption)


def test_a_clip_is_scored_explained_and_kept(squats: Run) -> None:
    app = open_page(PAGE, run=squats.id)
    healthy(app.selectbox(key=f"{squats.id}-lift").select("given").run())
    healthy(app.selectbox(key=f"{squats.id}-exercise").select("deep_squat").run())
    lights = texts(app.markdown)
    for label in ("Poses: ok", "2D good enough?: ok", "Depth: ok", "Frame trimming: ok", "3D good enough?: ok"):
        assert label in lights
    person = squats.recording().people[0].person
    kept = squats.results()[f"scoring-person{person}"]
    assert f"**{kept['score']:.1f}: {kept['band']}**" in lights
    assert "not a clinician" in texts(app.caption)
    assert "What cost points in repetition 1" in lights
    assert f"python -m pipeline score {squats.id} --exercise deep_squat" in texts(app.code)
    labels = [button.label for button in app.get("download_button")]
    for stage in ("Poses", "2D to Kinect", "Depth", "Frame trimming", "3D good enough?", "Score"):
        assert any(label.startswith(f"{stage} (CSV)") for label in labels), stage


def test_a_reason_moves_the_moment_and_a_repetition_can_be_chosen(squats: Run) -> None:
    app = open_page(PAGE, run=squats.id)
    healthy(app.selectbox(key=f"{squats.id}-lift").select("given").run())
    healthy(app.selectbox(key=f"{squats.id}-exercise").select("deep_squat").run())
    person = squats.recording().people[0].person
    key = f"scoring-{squats.id}-{person}-deep_squat-given-{ChainOptions().scorer}"
    kept = squats.results()[f"scoring-person{person}"]
    second = kept["repetitions"][1]
    healthy(app.button(key=f"{key}-repetition-2").click().run())
    assert app.session_state[f"{key}-time"] == pytest.approx(second["start_s"] + 0.02, abs=0.01)
    assert "What cost points in repetition 2" in texts(app.markdown)
    if second["reasons"]:
        healthy(app.button(key=f"{key}-reason-2-0").click().run())
        assert app.session_state[f"{key}-time"] == pytest.approx(second["reasons"][0]["time_s"], abs=0.01)
    assert app.session_state[f"{key}-seek"] >= 1


def test_a_refusal_says_which_stage_why_and_what_to_do(squats: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    window = {"start_s": 1.0, "end_s": 1.5, "confidence": 0.1}
    no = Verdict(
        False, ("Too dark: switch on a light.", "Step back."),
        {"blocks": {"top left": {"confidence": 0.2}}, "worst_by_confidence": [window]},
    )  # fmt: skip
    monkeypatch.setattr(ugly_2d, "judge", lambda *_args, **_keywords: no)
    app = open_page(PAGE, run=squats.id)
    said = texts(app.warning)
    assert "No score: stopped at “2D good enough?”" in said and "switch on a light" in said and "Step back" in said
    assert "Depth: not reached" in texts(app.markdown)
    person = squats.recording().people[0].person
    key = f"scoring-{squats.id}-{person}-auto-temporal-{ChainOptions().scorer}"
    healthy(app.button(key=f"{key}-worst-0").click().run())
    assert app.session_state[f"{key}-time"] == 1.0


def test_the_command_is_the_page() -> None:
    assert command("r", ChainOptions("deep_squat", 1)) == "python -m pipeline score r --exercise deep_squat --person 1"
    options = ChainOptions("auto", 0, "dense", SCORERS[1], 1.8)
    for part in ("--exercise auto", "--person 0", "--lift dense", f"--scorer {SCORERS[1]}", "--height-m 1.8"):
        assert part in command("r", options)


def test_the_figures_show_what_was_found() -> None:
    gauge = gauge_figure(1.7, 1.2, 2.4)
    assert list(gauge.data[-2].x) == [1.2, 2.4] and list(gauge.data[-1].x) == [1.7]
    assert sum(trace.x[0] for trace in gauge.data[:7]) == pytest.approx(4.0)
    truth = clip(repetitions=2, lead_in_s=1.5, lead_out_s=1.5)
    space = in_space(truth)
    found = assess(truth.recording, ChainOptions("deep_squat", lift="given"))
    curve = trimming_figure(found, moment_s=1.0, height=200)
    assert len(curve.layout.shapes) == len(found.repetitions) + 1
    costs = np.zeros(13)
    costs[9] = 0.7
    film = skeleton_film(space, 1.0, costs, height=300)
    times = film_times(space.time_s)
    assert len(film.frames) == len(times) == pytest.approx(10 * space.time_s[-1], abs=2)
    assert film.layout.sliders[0].active == int(np.argmin(np.abs(times - 1.0)))
    joints = film.data[3]
    assert "left knee: 0.7 points" in joints.text[9]
    row = int(np.searchsorted(space.time_s, times[film.layout.sliders[0].active] - 1e-6))
    assert space.xyz_m is not None
    assert joints.z[9] == pytest.approx(space.xyz_m[row, 9, 1], abs=1e-3)  # Plotly's z is up
    assert joints.y[9] == pytest.approx(-space.xyz_m[row, 9, 2], abs=1e-3)
    assert len(film_times(np.arange(0, 600, 1 / 30))) <= 302
