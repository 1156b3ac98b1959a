"""A recognised clip on the page: the film, the timeline under it, and the segments as buttons that jump there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.poses import Recording
from pipeline.recognition.classes import UNKNOWN, label
from pipeline.recognition.recognizer import shipped
from pipeline.recognition.segments import Recognition, Segment, recognize
from pipeline.runs import Run
from UserInterface.components import session
from UserInterface.components.film import show_video
from UserInterface.components.player import tie
from UserInterface.components.recognition_figures import chances_figure, timeline_figure


@dataclass(frozen=True)
class RecognitionView:
    """What all parts of the page look at. ``key`` begins the keys of the widgets."""

    run: Run
    recording: Recording
    found: Recognition
    key: str

    @property
    def moment_s(self) -> float:
        """The current moment of the clip."""
        return float(st.session_state.get(f"{self.key}-time", self.recording.time_s[0]))

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last moment of the clip."""
        return float(self.recording.time_s[0]), float(self.recording.time_s[-1])


def recognized(run: Run, network: str) -> Recognition:
    """The clip's answer, computed once for each version of its poses."""
    path = run.folder / "poses.parquet"
    return _recognized(str(run.folder), path.stat().st_mtime_ns if path.is_file() else 0, network, run)


@st.cache_resource(max_entries=8, show_spinner="Recognising exercises …")
def _recognized(folder: str, modified_ns: int, network: str, _run: Run) -> Recognition:  # noqa: ARG001 -- the cache key
    return recognize(session.recording_of(_run), recognizer=shipped(network))


def jump(view: RecognitionView, time_s: float) -> None:
    """Move the video and the lines in the charts to this moment."""
    st.session_state[f"{view.key}-time"] = time_s
    st.session_state[f"{view.key}-seek"] = st.session_state.get(f"{view.key}-seek", 0) + 1


def show_clip(view: RecognitionView) -> None:
    """The film with the timeline under it, and the segments beside it."""
    film, beside = st.columns([3, 2], gap="medium")
    with film:
        show_video(view.run.overlay, view.recording.people[0].image_size, view.key)
    with beside:
        _summary(view)
        _segments(view)
    with st.container(key=f"{view.key}-timeline"):
        people = [line.person for line in view.found.timelines]
        st.plotly_chart(
            timeline_figure(view.found, people, view.span_s, view.moment_s), key=f"{view.key}-chart",
            config={"displayModeBar": False},
        )  # fmt: skip
    steps = np.diff(view.recording.time_s)
    tie(
        f"{view.key}-tie", video=f"{view.key}-video", chart=f"{view.key}-timeline", moment_s=view.moment_s,
        offset_s=view.span_s[0], step_s=float(np.median(steps)) if len(steps) else 0.1,
        seek=st.session_state.get(f"{view.key}-seek", 0), on_moment=lambda: _moved(view),
    )  # fmt: skip
    st.caption("Click a bar to move the video there; the line follows the video. Empty time shows no known exercise.")


def _moved(view: RecognitionView) -> None:
    moment = st.session_state[f"{view.key}-tie"].moment
    if moment is not None:
        st.session_state[f"{view.key}-time"] = float(moment)


def _summary(view: RecognitionView) -> None:
    found = view.found
    if not found.segments:
        st.markdown("#### No known exercise")
        st.write(
            "Nothing in this clip looks enough like one of the ten exercises: standing about, daily life and other "
            "movements stay unnamed. If you know better, label it below."
        )
        return
    counted: dict[str, int] = {}
    for segment in found.segments:
        counted[segment.exercise] = counted.get(segment.exercise, 0) + (segment.repetitions or 0)
    parts = [f"{label(name)} × {count}" for name, count in counted.items()]
    st.markdown("#### " + " · ".join(parts))


def _segments(view: RecognitionView) -> None:
    people = len(view.found.timelines)
    for number, segment in enumerate(view.found.segments):
        here = segment.start_s <= view.moment_s <= segment.end_s
        st.button(
            button_text(segment, with_person=people > 1), key=f"{view.key}-segment-{number}", width="stretch",
            icon=":material/play_arrow:", type="primary" if here else "secondary",
            on_click=jump, args=(view, segment.start_s), help=f"{segment.confidence:.0%} sure. {_next(segment)}",
        )  # fmt: skip


def button_text(segment: Segment, *, with_person: bool) -> str:
    """A segment in one line."""
    who = f"person {segment.person}, " if with_person else ""
    count = segment.repetitions or 0
    return (
        f"{label(segment.exercise)}: {who}{segment.start_s:.1f} to {segment.end_s:.1f} s, "
        f"{count} repetition{'' if count == 1 else 's'}"
    )


def _next(segment: Segment) -> str:
    return f"Next likely: {label(segment.runner_up).lower()} ({segment.runner_up_confidence:.0%})."


def show_certainty(view: RecognitionView) -> None:
    """Every segment with its runner-up, and one person's chances over time."""
    if view.found.segments:
        st.dataframe(
            segment_table(view.found), hide_index=True, key=f"{view.key}-table",
            column_config={
                "sure": st.column_config.ProgressColumn("sure", min_value=0.0, max_value=1.0, format="percent"),
                "runner-up": st.column_config.TextColumn("could also be"),
                "its chance": st.column_config.ProgressColumn("with", min_value=0.0, max_value=1.0, format="percent"),
                "from (s)": st.column_config.NumberColumn(format="%.1f"),
                "to (s)": st.column_config.NumberColumn(format="%.1f"),
            },
        )  # fmt: skip
    lines = {line.person: line for line in view.found.timelines if len(line.time_s)}
    if not lines:
        return
    person = (
        st.selectbox("Person", list(lines), format_func=lambda one: f"Person {one}", key=f"{view.key}-certainty")
        if len(lines) > 1
        else next(iter(lines))
    )
    st.plotly_chart(
        chances_figure(lines[person], view.moment_s), key=f"{view.key}-chances", config={"displayModeBar": False}
    )
    st.caption("Probabilities are calibrated on validation clips; on other people and rooms they may be too sure.")


def segment_table(found: Recognition) -> pd.DataFrame:
    """The segments as a table."""
    return pd.DataFrame(
        [
            {
                "person": segment.person, "exercise": label(segment.exercise), "from (s)": segment.start_s,
                "to (s)": segment.end_s, "repetitions": segment.repetitions, "sure": segment.confidence,
                "runner-up": label(segment.runner_up) if segment.runner_up != UNKNOWN else "no exercise",
                "its chance": segment.runner_up_confidence,
            }
            for segment in found.segments
        ]
    )  # fmt: skip
