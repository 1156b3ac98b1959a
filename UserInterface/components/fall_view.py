"""The falls of a clip: the film, the probability that runs along with it, each fall a button with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from pipeline.falls.detect import FallReport
from pipeline.falls.events import FallEvent
from pipeline.falls.film import find_film, make_film
from pipeline.poses import Recording
from pipeline.runs import Run
from UserInterface.components.fall_figures import probability_figure
from UserInterface.components.film import being_drawn, offer_film, show_video, tie_to_curve

CURVE_HEIGHT = 260


@dataclass(frozen=True)
class View:
    """What all parts of the page look at. ``key`` begins the keys of the widgets."""

    run: Run
    recording: Recording
    report: FallReport
    key: str

    @property
    def moment_s(self) -> float:
        """The current moment."""
        return float(st.session_state[f"{self.key}-time"])

    def go_to(self, time_s: float) -> None:
        """Move everything to this moment."""
        st.session_state[f"{self.key}-time"] = time_s
        st.session_state[f"{self.key}-seek"] = st.session_state.get(f"{self.key}-seek", 0) + 1


def show_summary(report: FallReport) -> None:
    """One line and the numbers."""
    events = report.events
    if events:
        up = sum(event.recovered for event in events)
        with st.container(horizontal=True):
            st.metric("Falls", len(events), border=True, width="content")
            st.metric("Got up again", f"{up} of {len(events)}", border=True, width="content")
            best = max(event.peak_probability for event in events)
            st.metric("Highest probability", f"{best:.0%}", border=True, width="content")
        return
    peak = max((float(one.probability.max()) for one in report.people if len(one.probability)), default=0.0)
    st.success(
        f"**No fall** at this sensitivity; the highest probability is {peak:.0%}, "
        f"the alarm begins at {report.point.threshold:.0%}.",
        icon=":material/check_circle:",
    )


@st.fragment
def explore(view: View) -> None:
    """The film, the curve and the falls; only this part runs again when one is clicked."""
    events = view.report.events
    first = events[0].onset_s if events else float(view.recording.time_s[0])
    st.session_state.setdefault(f"{view.key}-time", first)
    left, right = st.columns([11, 9], gap="medium")
    with left:
        _film(view)
        _curve(view)
    with right:
        for number, event in enumerate(events, 1):
            _event(view, number, event)
        if not events:
            st.caption(
                "A fall would stand here as a button that moves the film to it, with what gave it away. "
                "Move the slider to see what a more sensitive alarm says."
            )


def _film(view: View) -> None:
    made = find_film(view.run, view.report)
    show_video(made or view.run.overlay, view.recording.people[0].image_size, view.key)
    if being_drawn(view.key):
        return
    if made is not None:
        st.caption("Each person with number, state and probability; a red frame around whoever fell.")
    elif view.run.source is not None:
        offer_film(
            view.run, partial(make_film, view.run, view.recording, view.report), view.key,
            name="the film of the falls", label="Draw falls and probability on the video",
            explanation="Kept in the run; every person gets label and probability.",
        )  # fmt: skip


def _curve(view: View) -> None:
    key = view.key
    with st.container(key=f"{key}-curve"):
        chart = probability_figure(view.report, moment_s=view.moment_s, height=CURVE_HEIGHT)
        st.plotly_chart(chart, key=f"{key}-chart", config={"displayModeBar": False})
    tie_to_curve(key, view.moment_s, view.recording.time_s)
    st.caption("Shaded: from losing balance to impact; ▼ is a fall. Click the curve to move the video.")


def _event(view: View, number: int, event: FallEvent) -> None:
    with st.container(border=True):
        st.button(
            f"Fall {number}: person {event.person} at {event.impact_s:.1f} s, {event.peak_probability:.0%}",
            icon=":material/personal_injury:", key=f"{view.key}-event-{number}", on_click=view.go_to,
            args=(event.onset_s,), width="stretch", help="Moves the film to the moment balance is lost.",
        )  # fmt: skip
        st.markdown(times(event))
        if event.reasons:
            st.markdown("**Why**\n\n" + "\n".join(f"- {reason.text}" for reason in event.reasons))


def times(event: FallEvent) -> str:
    """Onset, impact, lying and getting up in one sentence."""
    parts = [f"Balance lost at {event.onset_s:.1f} s, impact at {event.impact_s:.1f} s"]
    if np.isfinite(event.lying_s):
        parts.append(f"lying from {event.lying_s:.1f} s for {event.lying_for_s:.1f} s")
    parts.append(f"**up again** at {event.recovered_s:.1f} s" if event.recovered else "**not seen to get up**")
    return ", ".join(parts) + "."
