"""Fall Detection: who fell in a processed clip, when, how sure the program is and why."""

from __future__ import annotations

import streamlit as st

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.poses import Recording
from pipeline.runs import Run
from UserInterface.components import session
from UserInterface.components.fall_files import downloads, keep, show_command
from UserInterface.components.fall_form import choose_person, choose_sensitivity, found
from UserInterface.components.fall_notify import show_notifications
from UserInterface.components.fall_view import View, explore, show_summary
from UserInterface.components.movement_form import choose_run


def main() -> None:
    """The choice, then the falls."""
    st.title("Fall Detection", anchor=False)
    st.caption(
        "Every fall in a clip with its moment, its probability and its reasons; no alarm for sitting or exercise."
    )
    try:
        left, right = st.columns([5, 4], gap="medium")
        with left:
            run = choose_run()
        if run is not None:
            recording = session.recording_of(run)
            if not recording.people:
                _nobody()
                return
            with left:
                person = choose_person(recording, run.id)
            with right:
                sensitivity = choose_sensitivity()
            _show(run, recording, person, sensitivity)
    except ValueError as error:
        st.error(str(error), icon=":material/error:")
    show_notifications()
    st.caption(
        "This program is no medical device and no alarm system: it misses falls and alarms without one, "
        "as often as the line under the slider says."
    )


def _show(run: Run, recording: Recording, person: int | None, sensitivity: str) -> None:
    report = found(run.id, recording, person, sensitivity)
    if missing := run.missing():
        st.warning(missing, icon=":material/link_off:")
    show_summary(report)
    explore(View(run, recording, report, f"falls-{run.id}-{person or 'all'}-{report.point.name.replace(' ', '-')}"))
    kept = keep(run, recording, sensitivity)
    st.markdown("##### Downloads")
    downloads(run, report)
    st.caption(kept)
    show_command(run, person, sensitivity)


def _nobody() -> None:
    st.info(
        "Nobody was found in this clip, so nobody fell in it. If somebody is there, find the poses again with the "
        "working point **thorough**.",
        icon=":material/person_off:",
    )
    st.page_link(session.INFERENCE_PAGE, label="To Inference", icon=":material/directions_run:")


main()
