"""What is said while the camera runs, and the buttons of the recording."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from pipeline.live.panels import LivePose, Reading
from pipeline.live.worker import LiveState
from UserInterface.components.job import progress_text
from UserInterface.components.webcam_space import show_skeleton
from UserInterface.components.webcam_speech import speak
from UserInterface.components.webcam_stream import LiveSession

REFRESH_S = 1.0
BAR_REFRESH_S = 2.0
BEHIND_S = 2.0  # analyses this late are worth a word


@st.fragment(run_every=REFRESH_S)
def live_panel(session: LiveSession) -> None:
    """The readings, once a second; runs the page again when a recording has become a run."""
    job = session.job
    if job is not None and not job.running:
        st.rerun(scope="app")
    state = session.state
    if session.silent:
        st.warning("No picture comes from the camera any more. It goes on by itself when one does; otherwise press "
                   "**Stop**, then **Start**.", icon=":material/videocam_off:")  # fmt: skip
    elif session.worker is None:
        st.info("Press **Start** and allow the camera. Step back until your whole body is in the picture.",
                icon=":material/videocam:")  # fmt: skip
    elif not state.processed and not state.error:
        st.info("The camera is on; the model is being loaded ...", icon=":material/hourglass_top:")
    if state.error:
        st.error(state.error, icon=":material/error:")
    if session.notice:
        st.error(session.notice, icon=":material/error:")
    if state.processed and not state.people and not state.error:
        st.warning("Nobody is in view. Step back until your whole body is in the picture.",
                   icon=":material/person_off:")  # fmt: skip
    for title, reading in state.readings:
        _show(title, reading)
    if session.worker is not None:
        if st.toggle("Skeleton in space", key="webcam-space"):
            _space(session.worker.pose)
        st.caption(speed_words(state))
    _speech(state.readings)


def _show(title: str, reading: Reading) -> None:
    if reading.alarm:
        st.error(reading.alarm, icon=":material/emergency:")
    if reading.metrics:
        first, rest = reading.metrics[:4], reading.metrics[4:]
        columns = st.columns(len(first)) if title != "Angles" else []
        for column, (label, value) in zip(columns, first, strict=False):
            column.metric(label, value)
        if title == "Angles":
            rest = reading.metrics
        if rest:
            st.markdown("  \n".join(f":gray[{label}] {value}" for label, value in rest))
    for line in reading.lines:
        st.markdown(f"- {line}")


def _space(pose: LivePose | None) -> None:
    if pose is None:
        st.caption("The skeleton appears as soon as somebody is in view.")
    elif pose.xyz_m is None:
        st.caption("This model finds points in the picture only; BlazePose finds them in space as well.")
    else:
        show_skeleton(pose, "webcam-skeleton")


def speed_words(state: LiveState) -> str:
    """How many frames came and were looked at, and how late their poses were."""
    if not state.offered:
        return "No frame has come yet."
    parts = [
        f"{state.processed_fps:.0f} of {state.offered_fps:.0f} frames a second looked at",
        f"{state.dropped} of {state.offered} dropped",
    ]
    if math.isfinite(state.delay_ms):
        parts.append(f"pose model {state.pose_ms:.0f} ms, {state.delay_ms:.0f} ms from a frame's arrival to its pose")
    if state.late_s >= BEHIND_S:
        parts.append(f"analyses {state.late_s:.0f} s behind; close other programs or sessions")
    return " · ".join(parts)


def _speech(readings: Sequence[tuple[str, Reading]]) -> None:
    on = st.toggle("Say it aloud", key="webcam-aloud", help="Counts, advice and alarms, by your browser's voice.")
    if on:
        speak([sentence for _, reading in readings for sentence in reading.spoken], key="webcam-speech")


@st.fragment(run_every=BAR_REFRESH_S)
def recording_bar(session: LiveSession) -> None:
    """Subject, countdown, start and stop, and how long it has been."""
    state = session.state
    busy = session.recording
    with st.container(horizontal=True, vertical_alignment="bottom"):
        session.subject = st.text_input(
            "Subject (optional)", key="webcam-subject", disabled=busy, width=220, max_chars=80,
            help="Whom the recording shows, as you call them; stored with the run.",
        ).strip()  # fmt: skip
        countdown = st.number_input(
            "Countdown (s)", 0, 30, 3, key="webcam-countdown", disabled=busy, width=130,
            help="Time to walk to your place; the seconds are in the picture.",
        )  # fmt: skip
        if busy:
            st.button("Stop recording", type="primary", icon=":material/stop_circle:", key="webcam-stop",
                      on_click=session.stop_recording)  # fmt: skip
        else:
            st.button("Record", type="primary", icon=":material/radio_button_checked:", key="webcam-record",
                      disabled=not state.processed or session.job is not None, on_click=_start,
                      args=(session, float(countdown)))  # fmt: skip
            st.button("Reset", icon=":material/restart_alt:", key="webcam-reset", disabled=session.worker is None,
                      on_click=_reset, args=(session,), help="Counts and remarks begin anew.")  # fmt: skip
    if session.countdown_s:
        st.markdown(f"**Recording begins in {math.ceil(session.countdown_s)} s**")
    elif state.recording_s is not None:
        st.markdown(f":red[●] **Recording: {state.recording_s:.0f} s**")
    job = session.job
    if job is not None and job.running:
        share, text = progress_text(job.progress)
        st.progress(share, text=f"Making a run of the recording: {text}")


def _start(session: LiveSession, countdown_s: float) -> None:
    session.notice = ""
    try:
        session.start_recording(countdown_s)
    except ValueError as error:
        session.notice = str(error)


def _reset(session: LiveSession) -> None:
    session.notice = ""
    if session.worker is not None:
        session.worker.reset()
