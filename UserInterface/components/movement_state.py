"""What the parts of an analysed set look at together: the moment, the repetition, the remark."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from pipeline.movements.base import MovementReport, Remark, RepetitionReport
from pipeline.movements.video import repetition_at
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Run


@dataclass(frozen=True)
class View:
    """What all parts of the page look at. ``key`` begins the keys of the widgets."""

    run: Run
    recording: Recording
    report: MovementReport
    key: str

    @property
    def person(self) -> PoseSequence:
        """The analysed person."""
        return self.recording.person(self.report.person)

    @property
    def moment_s(self) -> float:
        """The current moment."""
        return float(st.session_state[f"{self.key}-time"])

    @property
    def repetition(self) -> RepetitionReport | None:
        """The chosen repetition; None when there is none."""
        rows = self.report.repetitions
        number = st.session_state.get(f"{self.key}-repetition", 1)
        return rows[min(number, len(rows)) - 1] if rows else None

    @property
    def remark(self) -> Remark | None:
        """The chosen remark of the chosen repetition; None for the turning point."""
        fault = st.session_state.get(f"{self.key}-fault", "")
        remarks = self.repetition.remarks if self.repetition else ()
        return next((remark for remark in remarks if remark.fault == fault), None)


def follow(view: View, time_s: float | None) -> None:
    """The user moved the video: the repetition there becomes the chosen one."""
    if time_s is None:
        return
    st.session_state[f"{view.key}-time"] = float(time_s)
    repetition = repetition_at(view.report, time_s)
    if repetition is not None and repetition != view.repetition:
        choose(view, repetition, jump=False)


def choose(view: View, repetition: RepetitionReport, fault: str | None = None, *, jump: bool = True) -> None:
    """Show a repetition: its first remark, else its turning point, or what is asked for ("" is the turning point)."""
    if fault is None:
        fault = repetition.remarks[0].fault if repetition.remarks else ""
    st.session_state[f"{view.key}-repetition"] = repetition.number
    st.session_state[f"{view.key}-fault"] = fault
    if jump:
        remark = next((r for r in repetition.remarks if r.fault == fault), None)
        st.session_state[f"{view.key}-time"] = remark.time_s if remark else repetition.turn_s
        st.session_state[f"{view.key}-seek"] = st.session_state.get(f"{view.key}-seek", 0) + 1
