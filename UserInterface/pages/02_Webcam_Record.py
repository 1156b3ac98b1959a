"""Webcam: the browser's camera with poses, counts and remarks as they happen; recordings become runs."""

from __future__ import annotations

import streamlit as st

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.live.models import LIVE_OPTIONS
from pipeline.live.panels import PanelSettings
from UserInterface.components import session
from UserInterface.components.webcam_camera import camera
from UserInterface.components.webcam_connection import connection_line
from UserInterface.components.webcam_fallback import fallback
from UserInterface.components.webcam_form import choose, maker
from UserInterface.components.webcam_live import live_panel, recording_bar
from UserInterface.components.webcam_runs import collect, show_leftovers, show_recorded
from UserInterface.components.webcam_selftest import self_test
from UserInterface.components.webcam_stream import live_session


def main() -> None:
    """The camera and what it says, then the recordings."""
    st.title("Webcam", anchor=False)
    st.caption(
        "Your browser's camera; the pictures go to this Kinoscope only, and nothing is kept unless you record it."
    )
    try:
        live = live_session(maker(LIVE_OPTIONS), session.store(), PanelSettings())
        collect(live)
        if notice := st.session_state.pop("webcam-error", ""):
            st.error(notice, icon=":material/error:")
        show_leftovers(live)
        choice = choose(live)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            camera(live, choice.size)
            connection_line(live)
            recording_bar(live)
        with right:
            live_panel(live)
        show_recorded(live)
        self_test(live)
        fallback(live)
    except ValueError as error:
        st.error(str(error), icon=":material/error:")


main()
