"""Movement Analyzer: a processed clip, repetition by repetition, with the evidence for every remark."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.movements.analyze import judge, movement_named
from pipeline.poses import Recording
from pipeline.runs import Run
from UserInterface.components import session
from UserInterface.components.movement_compare import compare
from UserInterface.components.movement_files import downloads, keep, show_command
from UserInterface.components.movement_form import (
    choose_movement,
    choose_person,
    choose_run,
    choose_thresholds,
    measured,
)
from UserInterface.components.movement_state import View
from UserInterface.components.movement_view import explore, show_refusals, show_summary


def main() -> None:
    """The choice, then the set."""
    st.title("Movement Analyzer", anchor=False)
    st.caption("Repetitions counted and measured, faults shown on the frame that proves them, in your own clip.")
    try:
        columns = st.columns([5, 3, 4])
        with columns[0]:
            run = choose_run()
        if run is not None:
            _analyse(run, session.recording_of(run), columns[1], columns[2])
    except ValueError as error:
        st.error(str(error), icon=":material/error:")


def _analyse(run: Run, recording: Recording, who: DeltaGenerator, what: DeltaGenerator) -> None:
    if not recording.people:
        st.info(
            "Nobody was found in this clip, so there is no movement to analyse. If somebody is there, find the poses "
            "again with the working point **thorough**.",
            icon=":material/person_off:",
        )
        st.page_link(session.INFERENCE_PAGE, label="To Inference", icon=":material/directions_run:")
        return
    with who:
        person = choose_person(recording, run.id)
    with what:
        chosen = choose_movement(recording, person, run.id)
    measurements = measured(run.id, recording, person, chosen)
    movement = movement_named(measurements.movement)
    parameters = choose_thresholds(movement, run.id)
    report = judge(measurements, parameters)
    view = View(run, recording, report, f"movement-{run.id}-{person}-{report.movement}")
    if missing := run.missing():
        st.warning(missing, icon=":material/link_off:")
    show_summary(report)
    explore(view)
    show_refusals(report)
    if report.repetitions:
        with st.expander("Compare repetitions", icon=":material/compare_arrows:"):
            compare(view)
    kept = keep(run, report)
    st.markdown("##### Downloads")
    downloads(view)
    if kept:
        st.caption(kept)
    show_command(run, report, chosen)


main()
