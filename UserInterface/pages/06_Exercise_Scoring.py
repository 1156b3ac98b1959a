"""Exercise Scoring: from a clip to a score in seven stages, with what each of them found."""

from __future__ import annotations

import streamlit as st

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.runs import Run
from pipeline.scoring.assess import DERIVED, ChainOptions
from UserInterface.components import session
from UserInterface.components.movement_form import choose_run
from UserInterface.components.scoring_files import command, downloads
from UserInterface.components.scoring_form import choose_exercise, choose_networks, choose_person
from UserInterface.components.scoring_state import View, scored
from UserInterface.components.scoring_view import StageLights, explore, show_refusal, show_remarks


def main() -> None:
    """The choice, the stages, the score."""
    st.title("Exercise Scoring", anchor=False)
    st.caption(
        "Ten rehabilitation exercises, scored from 0.0 (perfect) to 4.0 (worst) in seven stages, each of which can "
        f"refuse. {DERIVED}"
    )
    try:
        columns = st.columns([5, 3, 4])
        with columns[0]:
            run = choose_run()
        if run is not None:
            with columns[1]:
                exercise = choose_exercise(run.id)
            _score(run, exercise, columns[2])
    except (ValueError, OSError) as error:
        st.error(str(error), icon=":material/error:")


def _score(run: Run, exercise: str, who: st.delta_generator.DeltaGenerator) -> None:
    recording = session.recording_of(run)
    if not recording.people:
        st.info("Nobody was found in this clip, so there is nothing to score.", icon=":material/person_off:")
        st.page_link(session.INFERENCE_PAGE, label="To Inference", icon=":material/directions_run:")
        return
    with who:
        person = choose_person(recording, run.id)
    lift, scorer, height_m = choose_networks(recording, person, run.id)
    options = ChainOptions(exercise, person, lift, scorer, height_m)
    lights = StageLights()
    with st.spinner("Scoring ..."):
        found = scored(run, recording, options, lights)
    view = View(run, recording, found, f"scoring-{run.id}-{person}-{exercise}-{lift}-{scorer}")
    if missing := run.missing():
        st.warning(missing, icon=":material/link_off:")
    show_remarks(view)
    if found.score is None:
        show_refusal(view)
    explore(view)
    st.markdown("##### Downloads")
    downloads(run, found)
    st.markdown("##### The same on the command line")
    st.code(command(run.id, options), language="bash", wrap_lines=True)
    st.page_link(session.INFERENCE_PAGE, label="Score a clip of my own", icon=":material/upload:")


main()
