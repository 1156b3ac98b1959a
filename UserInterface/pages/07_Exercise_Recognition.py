"""Exercise Recognition: which exercises a processed clip shows, when, and by whom."""

from __future__ import annotations

import streamlit as st

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.recognition.recognizer import MOTION, NETWORKS, installed
from pipeline.runs import Run
from UserInterface.components import session
from UserInterface.components.movement_form import choose_run
from UserInterface.components.recognition_labels import correct, downloads, keep
from UserInterface.components.recognition_view import RecognitionView, recognized, show_certainty, show_clip


def main() -> None:
    """The choice, then the clip."""
    st.title("Exercise Recognition", anchor=False)
    st.caption("Ten exercises named in your own clip, with their times and repetitions; everything else stays unnamed.")
    try:
        left, right = st.columns([5, 3])
        with left:
            run = choose_run()
        with right:
            network: str = st.selectbox(
                "Network", installed() or (MOTION,), format_func=lambda name: f"{name}: {NETWORKS[name]}"
            )
        if run is not None:
            _show(run, network)
    except ValueError as error:
        st.error(str(error), icon=":material/error:")


def _show(run: Run, network: str) -> None:
    recording = session.recording_of(run)
    if not recording.people or len(recording) < 2:
        st.info(
            "Nobody was found in this clip, so there is no exercise to recognise. If somebody is there, find the poses "
            "again with the working point **thorough**.",
            icon=":material/person_off:",
        )
        st.page_link(session.INFERENCE_PAGE, label="To Inference", icon=":material/directions_run:")
        return
    view = RecognitionView(run, recording, recognized(run, network), f"recognition-{run.id}")
    if missing := run.missing():
        st.warning(missing, icon=":material/link_off:")
    show_clip(view)
    with st.expander("How sure, and what else it could be", icon=":material/balance:"):
        show_certainty(view)
    with st.expander("Correct the labels", icon=":material/edit:"):
        correct(view)
    st.markdown("##### Downloads")
    downloads(view, network)
    st.caption(keep(run, view))


main()
