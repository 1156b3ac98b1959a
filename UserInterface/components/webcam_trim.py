"""Cut a recording: drag over the motion curve, look at the part, keep it, take it back."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from pipeline.inference import Progress
from pipeline.live.trim import SHORTEST_S, motion_curve, trim
from pipeline.poses import Recording
from pipeline.runs import Run, RunError, RunStore
from UserInterface.components.job import Job
from UserInterface.components.session import recording_of
from UserInterface.components.webcam_stream import RUN, LiveSession

UNTRIMMED = "webcam-untrimmed"


def trim_panel(live: LiveSession, run: Run) -> None:
    """The curve, the part, its preview and the buttons."""
    recording = recording_of(run)
    if st.session_state.get(UNTRIMMED, {}).get("trimmed") == run.id:
        st.button(
            "Undo the trim", icon=":material/undo:", key="webcam-undo", on_click=undo, args=(live.store, run.id),
            help="The whole recording is still there.",
        )  # fmt: skip
    with st.expander("Trim", icon=":material/content_cut:"):
        if len(recording) < 2 or recording.time_s[-1] < 2 * SHORTEST_S:
            st.caption("This recording is too short to be cut.")
            return
        _choose(live, run, recording)


def _choose(live: LiveSession, run: Run, recording: Recording) -> None:
    key, last_s = f"webcam-part-{run.id}", float(recording.time_s[-1])
    if key not in st.session_state:
        st.session_state[key] = (0.0, last_s)
    start_s, end_s = st.session_state[key]
    st.caption("Drag over the curve, or move the ends of the slider.")
    st.plotly_chart(
        curve_figure(recording, start_s, end_s),
        key=f"{key}-curve",
        on_select=partial(_dragged, key, last_s),
        selection_mode="box",
        config={"displayModeBar": False},
    )
    slider = f"{key}-slider-{st.session_state.get(f'{key}-drags', 0)}"
    st.slider("Part to keep (s)", 0.0, last_s, (start_s, end_s), 0.05, format="%.2f", key=slider,
              on_change=_slid, args=(key, slider))  # fmt: skip
    if run.overlay is not None:
        first = math.floor(start_s)  # the player knows whole seconds only
        st.video(str(run.overlay), start_time=first, end_time=max(math.ceil(end_s), first + 1), width=480)
    st.button(
        f"Keep only {start_s:.1f} s to {end_s:.1f} s", icon=":material/content_cut:", key="webcam-trim",
        disabled=end_s - start_s < SHORTEST_S or (start_s == 0 and end_s == last_s) or live.job is not None,
        on_click=_start, args=(live, run, start_s, end_s),
    )  # fmt: skip


def curve_figure(recording: Recording, start_s: float, end_s: float) -> go.Figure:
    """How much everybody moves over time; what would be cut off is shaded."""
    figure = go.Figure()
    for person in recording.people:
        figure.add_scatter(
            x=person.time_s, y=100 * motion_curve(person), mode="lines+markers", marker={"size": 3},
            name=f"person {person.person}", hovertemplate="%{x:.2f} s",
        )  # fmt: skip
    last_s = float(recording.time_s[-1])
    for left, right in ((0.0, start_s), (end_s, last_s)):
        if right > left:
            figure.add_vrect(x0=left, x1=right, fillcolor="gray", opacity=0.35, line_width=0)
    figure.update_layout(
        height=200,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        dragmode="select",
        selectdirection="h",
        showlegend=len(recording.people) > 1,
    )
    figure.update_xaxes(title="time (s)", range=[0, last_s], fixedrange=True)
    figure.update_yaxes(title="movement (% of height)", fixedrange=True, rangemode="tozero")
    return figure


def _dragged(key: str, last_s: float) -> None:
    boxes = st.session_state[f"{key}-curve"].selection.box
    if boxes:
        low, high = sorted(boxes[0]["x"])
        st.session_state[key] = (max(0.0, round(low, 2)), min(last_s, round(high, 2)))
        st.session_state[f"{key}-drags"] = st.session_state.get(f"{key}-drags", 0) + 1


def _slid(key: str, slider: str) -> None:
    st.session_state[key] = st.session_state[slider]


def _start(live: LiveSession, run: Run, start_s: float, end_s: float) -> None:
    live.job = Job("the trimmed recording", partial(_work, run, live.store, start_s, end_s))
    st.session_state[UNTRIMMED] = {"whole": run.id}


def _work(
    run: Run,
    store: RunStore,
    start_s: float,
    end_s: float,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Run:
    return trim(run, store, start_s, end_s, progress, cancelled)


def undo(store: RunStore, trimmed: str) -> None:
    """The whole recording again; the part goes."""
    whole = st.session_state.pop(UNTRIMMED)["whole"]
    try:
        store.get(whole)
        store.delete(trimmed)
    except RunError as error:
        st.session_state["webcam-error"] = str(error)
        return
    st.session_state[RUN] = whole
