"""The film of an analysed set, and its curves, which run along with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from pipeline.inference import Progress
from pipeline.movements.base import MovementReport
from pipeline.movements.figures import curve_caution, curve_label
from pipeline.movements.video import find_video, make_video
from pipeline.poses import Recording
from pipeline.runs import Run
from UserInterface.components.job import Job
from UserInterface.components.movement_figures import set_figure
from UserInterface.components.movement_state import View, follow
from UserInterface.components.player import tie
from UserInterface.components.progress import film_progress

VIDEO_HEIGHT = 400
CURVE_HEIGHT = 300


def show_film(view: View) -> None:
    """The annotated film when it was made for this judgement, else the overlay and a button that makes it."""
    made = find_video(view.run, view.report)
    shown = made or view.run.overlay
    with st.container(key=f"{view.key}-video"):
        if shown is not None and shown.suffix == ".mp4":
            width, height = view.person.image_size
            st.video(str(shown), width=max(160, round(VIDEO_HEIGHT * min(width / max(height, 1), 1.6))))
        else:
            st.info("This run has no overlay video.", icon=":material/videocam_off:")
    job = st.session_state.get(f"{view.key}-job")
    if isinstance(job, Job) and job.running:
        film_progress(job, view.key)
        return
    if isinstance(job, Job) and job.error:
        st.warning(job.error, icon=":material/info:")
    if made is not None:
        st.caption("Annotated: repetition and phase at the top, each fault on its limb at the moment that shows it.")
    elif view.run.source is None:
        st.caption("The annotated video needs the source clip, which is gone.")
    elif view.report.repetitions:
        st.button(
            "Make the annotated video", icon=":material/movie_edit:", key=f"{view.key}-film", on_click=_start_film,
            args=(view,), help="Faults drawn on the limbs, repetition number and phase; kept in the run.",
        )  # fmt: skip


def _start_film(view: View) -> None:
    job = st.session_state.get(f"{view.key}-job")
    if not (isinstance(job, Job) and job.running):
        st.session_state[f"{view.key}-job"] = Job(
            "the annotated video", partial(_make_film, view.run, view.recording, view.report)
        )


def _make_film(
    run: Run,
    recording: Recording,
    report: MovementReport,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Run:
    make_video(run, recording, report, progress=progress, cancelled=cancelled)
    return run


def show_curves(view: View) -> None:
    report, key = view.report, view.key
    if not report.curves:
        st.caption("There are no curves for this movement.")
        return
    names = st.pills(
        "Curves",
        list(report.curves),
        selection_mode="multi",
        default=list(report.curves)[:2],
        format_func=curve_label,
        key=f"{key}-curves",
        label_visibility="collapsed",
    )
    if not names:
        st.caption("Choose a curve to see it.")
        return
    with st.container(key=f"{key}-curve"):
        chart = set_figure(report, names, moment_s=view.moment_s, height=CURVE_HEIGHT)
        st.plotly_chart(chart, key=f"{key}-chart", config={"displayModeBar": False})
    time_s = view.recording.time_s
    tie(
        f"{key}-tie",
        video=f"{key}-video",
        chart=f"{key}-curve",
        moment_s=view.moment_s,
        offset_s=float(time_s[0]),
        step_s=float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.1,
        seek=st.session_state.get(f"{key}-seek", 0),
        on_moment=lambda: follow(view, st.session_state[f"{key}-tie"].moment),
    )
    st.caption(
        "0° is straight. Shaded: repetitions, green when good, orange with faults; ▲ is a fault. "
        "Click the curve to move the video; the line follows it."
    )
    if caution := curve_caution(view.report):
        st.caption(f":material/warning: {caution}")
