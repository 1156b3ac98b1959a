"""The falls of a clip: the film, the probability that runs along with it, each fall a button with its reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from pipeline.falls.detect import FallReport
from pipeline.falls.events import FallEvent
from pipeline.falls.film import find_film, make_film
from pipeline.inference import Progress
from pipeline.poses import Recording
from pipeline.runs import Run
from UserInterface.components.fall_figures import probability_figure
from UserInterface.components.job import Job
from UserInterface.components.player import tie
from UserInterface.components.progress import film_progress

VIDEO_HEIGHT = 400
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
    shown = made or view.run.overlay
    with st.container(key=f"{view.key}-video"):
        if shown is not None and shown.suffix == ".mp4":
            width, height = view.recording.people[0].image_size
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
        st.caption("Each person with number, state and probability; a red frame around whoever fell.")
    elif view.run.source is not None:
        st.button(
            "Draw falls and probability on the video", icon=":material/movie_edit:", key=f"{view.key}-film",
            on_click=_start_film, args=(view,), help="Kept in the run; every person gets label and probability.",
        )  # fmt: skip


def _start_film(view: View) -> None:
    job = st.session_state.get(f"{view.key}-job")
    if not (isinstance(job, Job) and job.running):
        st.session_state[f"{view.key}-job"] = Job(
            "the film of the falls", partial(_make_film, view.run, view.recording, view.report)
        )


def _make_film(
    run: Run,
    recording: Recording,
    report: FallReport,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Run:
    make_film(run, recording, report, progress=progress, cancelled=cancelled)
    return run


def _curve(view: View) -> None:
    key, time_s = view.key, view.recording.time_s
    with st.container(key=f"{key}-curve"):
        chart = probability_figure(view.report, moment_s=view.moment_s, height=CURVE_HEIGHT)
        st.plotly_chart(chart, key=f"{key}-chart", config={"displayModeBar": False})

    def follow() -> None:
        moment = st.session_state[f"{key}-tie"].moment
        if moment is not None:
            st.session_state[f"{key}-time"] = float(moment)

    tie(
        f"{key}-tie",
        video=f"{key}-video",
        chart=f"{key}-curve",
        moment_s=view.moment_s,
        offset_s=float(time_s[0]),
        step_s=float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.1,
        seek=st.session_state.get(f"{key}-seek", 0),
        on_moment=follow,
    )
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
