"""What was recorded: the run and where it opens, interrupted recordings, deleting."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pipeline.live.recordings import StoredRecording, leftovers
from pipeline.runs import Run, RunError
from UserInterface.components import session
from UserInterface.components.webcam_stream import RUN, LiveSession
from UserInterface.components.webcam_trim import UNTRIMMED, trim_panel
from UserInterface.components.words import plain, summary

PAGES = Path(__file__).resolve().parents[1] / "pages"
OPENS = (
    ("Movement Analyzer", "04_Movement_Analyzer.py", ":material/exercise:"),
    ("Fall Detection", "05_Fall_Detection.py", ":material/personal_injury:"),
    ("Exercise Scoring", "06_Exercise_Scoring.py", ":material/score:"),
    ("Exercise Recognition", "07_Exercise_Recognition.py", ":material/category:"),
    ("Outputs", "03_Outputs.py", ":material/folder_open:"),
)


def collect(live: LiveSession) -> None:
    """Take the run of a recording that has been finished."""
    job = live.job
    if job is None or job.running:
        return
    live.job = None
    if job.run is not None:
        st.session_state[RUN] = job.run.id
        if "whole" in (whole := st.session_state.get(UNTRIMMED, {})) and "trimmed" not in whole:
            whole["trimmed"] = job.run.id
    live.notice = job.error


def show_leftovers(live: LiveSession) -> None:
    """Recordings whose program was killed: keep or delete."""
    if live.job is not None or live.recording:
        return
    for recording in leftovers(live.store):
        length_s = _length_s(recording)
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/restore: **A recording was interrupted** ({length_s:.1f} s reached the disk).")
            st.button("Make a run of it", key=f"adopt-{recording.folder.name}", type="primary", disabled=length_s == 0,
                      on_click=live.adopt, args=(recording,))  # fmt: skip
            st.button("Delete it", key=f"drop-{recording.folder.name}", on_click=recording.delete)


def _length_s(recording: StoredRecording) -> float:
    times_s = recording.times_s()
    return float(times_s[-1] - times_s[0]) if len(times_s) else 0.0


def show_recorded(live: LiveSession) -> None:
    """The newest recording of this session: the video, where it opens, trim, delete."""
    run_id = st.session_state.get(RUN)
    if not run_id or live.job is not None:
        return
    try:
        run = session.find_run(run_id)
        manifest = run.manifest
    except RunError:
        st.session_state.pop(RUN, None)
        return
    st.divider()
    st.subheader(plain(str(manifest.source.get("name"))), anchor=False)
    st.caption(summary(manifest))
    with st.container(horizontal=True):
        for title, page, icon in OPENS:
            if (PAGES / page).is_file() and st.button(title, icon=icon, key=f"webcam-open-{title}"):
                st.switch_page(f"pages/{page}", query_params={"run": run.id})
        st.button("Delete", icon=":material/delete:", key="webcam-delete", on_click=_ask, args=(run.id,))
    if run.overlay is not None:
        st.video(str(run.overlay), width=640)
    trim_panel(live, run)
    if st.session_state.get("webcam-ask") == run.id:
        _confirm(run)


def _ask(run_id: str) -> None:
    st.session_state["webcam-ask"] = run_id


def _forget_question() -> None:
    st.session_state.pop("webcam-ask", None)


@st.dialog("Delete this recording?", icon=":material/delete:", on_dismiss=_forget_question)
def _confirm(run: Run) -> None:
    st.markdown(f"**{plain(str(run.manifest.source.get('name')))}** with its poses and video. This cannot be undone.")
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary", key="webcam-delete-yes"):
            _forget_question()
            try:
                session.store().delete(run.id)
            except RunError as error:
                st.error(str(error))
                return
            st.session_state.pop(RUN, None)
            st.rerun()
        if st.button("Keep it", key="webcam-delete-no"):
            _forget_question()
            st.rerun()
