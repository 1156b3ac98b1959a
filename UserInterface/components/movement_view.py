"""An analysed set: its summary, its film and curves, its repetitions with their evidence, and what was refused."""

from __future__ import annotations

import streamlit as st

from pipeline.movements.analyze import UNKNOWN
from pipeline.movements.base import MovementReport
from UserInterface.components.movement_film import show_curves, show_film
from UserInterface.components.movement_repetitions import show_repetition, show_table
from UserInterface.components.movement_state import View

VIEWS = {
    "front": "the front",
    "back": "behind",
    "side": "the side",
    "oblique": "an angle",
    "space": "somewhere: the points in space are used",
}


def show_summary(report: MovementReport) -> None:
    """The set in numbers and in plain words."""
    good = sum(repetition.verdict == "good" for repetition in report.repetitions)
    cut = len(report.repetitions) - report.complete
    numbers = {"Complete repetitions": str(report.complete)}
    if cut:
        numbers["Cut off"] = str(cut)
    if report.has_rules:
        numbers["Good"] = f"{good} of {report.complete}"
    left, right = st.columns([2, 3], gap="medium")
    with left:
        with st.container(horizontal=True):
            for name, value in numbers.items():
                st.metric(name, value, border=True, width="content")
        if report.view_confidence > 0:
            st.caption(f"Filmed from {VIEWS.get(report.view, report.view)} ({report.view_confidence:.0%} sure).")
    first, *others = report.summary
    right.markdown("\n".join([f"**{first}**", "", *(f"- {sentence}" for sentence in others)]))


def show_refusals(report: MovementReport) -> None:
    """What could not be measured, grouped by reason."""
    if not report.refusals:
        return
    reasons: dict[str, list[str]] = {}
    for refusal in report.refusals:
        side = "" if refusal.side == "both" else f", {refusal.side}"
        everywhere = len(refusal.repetitions) == len(report.repetitions)
        where = "" if everywhere else f" (repetition {', '.join(map(str, refusal.repetitions))})"
        reasons.setdefault(refusal.reason, []).append(f"{refusal.label}{side}{where}")
    with st.expander(f"What this clip cannot show ({len(report.refusals)})", icon=":material/visibility_off:"):
        st.caption("These were not judged, rather than guessed. Another view of the same movement often shows them.")
        st.markdown("\n".join(f"- **{'; '.join(labels)}**: {reason}." for reason, labels in reasons.items()))


@st.fragment
def explore(view: View) -> None:
    """The film, the curves, the repetitions and the evidence; only this part runs again when one is clicked."""
    key = view.key
    first = view.report.repetitions[0] if view.report.repetitions else None
    st.session_state.setdefault(f"{key}-time", first.turn_s if first else float(view.recording.time_s[0]))
    if first and f"{key}-fault" not in st.session_state and first.remarks:
        st.session_state[f"{key}-fault"] = first.remarks[0].fault
    left, right = st.columns([9, 10], gap="medium")
    with left:
        show_film(view)
        show_curves(view)
    with right:
        if view.report.repetitions:
            show_table(view)
            show_repetition(view)
        else:
            _no_repetition(view)


def _no_repetition(view: View) -> None:
    what = "" if view.report.movement == UNKNOWN else f" of this movement ({view.report.movement_label})"
    st.info(
        f"No repetition{what} was found for person {view.report.person}. "
        "If there is one: choose another person or movement above, or film with the whole body in view "
        "from the beginning of the first repetition to the end of the last.",
        icon=":material/search_off:",
    )
