"""The film of an analysed set, and its curves, which run along with it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pipeline.movements.figures import curve_caution, curve_label
from pipeline.movements.video import find_video, make_video
from UserInterface.components.film import being_drawn, offer_film, show_video, tie_to_curve
from UserInterface.components.movement_figures import set_figure
from UserInterface.components.movement_state import View, follow

CURVE_HEIGHT = 300


def show_film(view: View) -> None:
    """The annotated film when it was made for this judgement, else the overlay and a button that makes it."""
    made = find_video(view.run, view.report)
    show_video(made or view.run.overlay, view.person.image_size, view.key)
    if being_drawn(view.key):
        return
    if made is not None:
        st.caption("Annotated: repetition and phase at the top, each fault on its limb at the moment that shows it.")
    elif view.run.source is None:
        st.caption("The annotated video needs the source clip, which is gone.")
    elif view.report.repetitions:
        offer_film(
            view.run, partial(make_video, view.run, view.recording, view.report), view.key,
            name="the annotated video", label="Make the annotated video",
            explanation="Faults drawn on the limbs, repetition number and phase; kept in the run.",
        )  # fmt: skip


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
    tie_to_curve(key, view.moment_s, view.recording.time_s, partial(follow, view))
    st.caption(
        "0° is straight. Shaded: repetitions, green when good, orange with faults; ▲ is a fault. "
        "Click the curve to move the video; the line follows it."
    )
    if caution := curve_caution(view.report):
        st.caption(f":material/warning: {caution}")
