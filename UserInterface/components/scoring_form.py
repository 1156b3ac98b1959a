"""What to score: the person, the exercise, and the networks."""

from __future__ import annotations

import streamlit as st

from pipeline.options import descriptions
from pipeline.poses import Recording
from pipeline.scoring.assess import AUTO, LIFTS, ChainOptions
from pipeline.scoring.exercises import EXERCISES
from pipeline.scoring.models import shipped_scorers

LIFT_WORDS = {
    "temporal": "temporal network",
    "dense": "two dense networks (ported)",
    "given": "the pose model's own 3D",
}
SCORER_WORDS = {
    "ensemble": "forest of trees and CNN-LSTM",
    "forest": "forest of trees",
    "cnn_lstm": "CNN-LSTM (ported)",
    "transformer": "transformer",
}


def choose_person(recording: Recording, key: str) -> int:
    """The person's id; first the one who is seen longest."""
    ids = [one.person for one in sorted(recording.people, key=lambda p: -p.frames_seen)]
    seen = {one.person: one.frames_seen for one in recording.people}
    chosen: int = st.selectbox(
        "Person",
        ids,
        format_func=lambda number: f"{number}, in {seen[number]} of {len(recording)} frames",
        key=f"{key}-scored-person",
    )
    return chosen


def choose_exercise(key: str) -> str:
    """An exercise's name, or "auto"."""
    chosen: str = st.selectbox(
        "Exercise",
        (AUTO, *EXERCISES),
        format_func=lambda name: (
            "Automatic: what it is recognised as" if name == AUTO else _capital(EXERCISES[name].label)
        ),
        key=f"{key}-exercise",
        help="The ten movements of UI-PRMD. Choose it yourself when you know it: some are much alike. Automatic asks "
        "Exercise Recognition, which refuses what it knows to be another exercise (a push-up), then the 3D gate, which "
        "knows all ten; a squat and sitting down are told apart by whether the weight stays over the "
        "feet, and in doubt it is a squat: with a chair, choose sit to stand.",
    )
    return chosen


def choose_networks(recording: Recording, person: int, key: str) -> tuple[str, str, float | None]:
    """Lift, scorer and body height; the preselected ones are the best on people never seen in training."""
    reasons = descriptions(ChainOptions)
    lifts = [name for name in LIFTS if name != "given" or recording.person(person).xyz_m is not None]
    with st.expander("Networks and body height", icon=":material/tune:"):
        left, middle, right = st.columns(3)
        lift: str = left.selectbox(
            "Depth by", lifts, format_func=lambda n: LIFT_WORDS[n], key=f"{key}-lift", help=reasons["lift"]
        )
        scorer: str = middle.selectbox(
            "Score by",
            shipped_scorers(),
            format_func=lambda n: SCORER_WORDS[n],
            key=f"{key}-scorer",
            help=reasons["scorer"],
        )
        height_m = right.number_input(
            "Body height (m)", 0.5, 2.5, value=None, step=0.01, placeholder="such as 1.75", key=f"{key}-height",
            help=reasons["height_m"],
        )  # fmt: skip
    return lift, scorer, height_m


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
