"""Two repetitions over each other, or one against a whole set, of this run or of another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.movements.analyze import MovementError, judge, movement_named
from pipeline.movements.base import MovementReport, RepetitionReport
from pipeline.movements.evidence import amount, reading
from pipeline.movements.figures import (
    PERCENT,
    comparison_figure,
    curve_label,
    figure_bytes,
    main_metric,
    mean_and_spread,
    normalised,
)
from pipeline.poses import Array
from UserInterface.components import session
from UserInterface.components.movement_figures import compare_figure
from UserInterface.components.movement_form import clips, entry_line, measured
from UserInterface.components.movement_repetitions import short_label, tempo
from UserInterface.components.movement_state import View
from UserInterface.components.run_list import entries

HEIGHT = 330
ONE, SET, OTHER = "A repetition of this set", "The mean of this set", "Another clip"
Curves = dict[str, tuple[Array, Array]]


@st.fragment
def compare(view: View) -> None:
    """Choose two, see their curves on a common time and how their numbers differ."""
    report, key = view.report, f"{view.key}-compare"
    if not report.curves or not report.repetitions:
        return
    left, right = st.columns([1, 2], gap="medium")
    with left:
        curve = st.selectbox("Curve", list(report.curves), format_func=curve_label, key=f"{key}-curve")
        first = _repetition(report, "Repetition", f"{key}-first", 0)
        against = st.radio("Against", (ONE, SET, OTHER), key=f"{key}-against")
        chosen: tuple[str, MovementReport, RepetitionReport | None] | None
        if against == ONE:
            second = _repetition(report, "And repetition", f"{key}-second", len(report.repetitions) - 1)
            chosen = (f"repetition {second.number}", report, second)
        elif against == SET:
            chosen = (f"mean of {report.complete}", report, None)
        else:
            chosen = _other_set(view, key)
    if chosen is None:
        return
    label, other, second_one = chosen
    curves = curves_of(report, first, label, other, second_one, curve)
    with right:
        if not all(np.isfinite(mean).any() for mean, _ in curves.values()):
            st.info("One of the two has no complete repetition in which this curve was seen.", icon=":material/info:")
            return
        chart = compare_figure(curves, curve_label(curve), height=HEIGHT)
        st.plotly_chart(chart, key=f"{key}-chart", config={"displayModeBar": False})
        st.caption("0 % is the start of a repetition, 100 % its end. A band is one standard deviation of the set.")
        st.dataframe(difference_rows(report, first, label, other, second_one), hide_index=True)
        st.download_button(
            "Figure (PNG)",
            lambda: figure_bytes(comparison_figure(curves, curve_label(curve))),
            file_name=f"{view.run.id}-comparison.png",
            mime="image/png",
            icon=":material/image:",
            key=f"{key}-png",
            on_click="ignore",
        )


def _repetition(report: MovementReport, label: str, key: str, first: int) -> RepetitionReport:
    numbers = [repetition.number for repetition in report.repetitions]
    verdicts = {repetition.number: repetition.verdict for repetition in report.repetitions}
    number: int = st.selectbox(
        label, numbers, index=first, format_func=lambda n: f"{n} ({verdicts[n]})", key=f"{key}-{len(numbers)}"
    )
    return report.repetitions[number - 1]


def _other_set(view: View, key: str) -> tuple[str, MovementReport, RepetitionReport | None] | None:
    """A person's whole set of another run, measured as the same movement."""
    known = {
        e.id: e for e in clips(entries(session.store())) if e.id != view.run.id and e.manifest and e.manifest.people
    }
    if not known:
        st.info("There is no other clip with people yet.", icon=":material/info:")
        return None
    run_id = st.selectbox("Clip", list(known), format_func=lambda i: entry_line(known[i]), key=f"{key}-run")
    try:
        recording = session.recording_of(session.find_run(run_id))
        people = [person.person for person in recording.people]
        person = st.selectbox("Person", people, key=f"{key}-person-{run_id}") if len(people) > 1 else people[0]
        found = measured(run_id, recording, person, view.report.movement)
        other = judge(found)
    except (ValueError, MovementError) as error:
        st.error(str(error), icon=":material/error:")
        return None
    if not other.complete:
        st.info(f"No complete repetition of this movement ({other.movement_label}) was found there.")
        return None
    for note in found.notes:
        st.caption(f":material/warning: There: {note}")
    name = known[run_id].name
    return f"{name[:28]}: mean of {other.complete}", other, None


def curves_of(
    report: MovementReport,
    first: RepetitionReport,
    label: str,
    other: MovementReport,
    second: RepetitionReport | None,
    curve: str,
) -> Curves:
    """Label to mean and spread of the two on the common time; ``second`` None is the whole set of ``other``."""
    nothing = np.zeros(len(PERCENT))
    pair: Curves = {f"repetition {first.number}": (normalised(report, first, curve), nothing)}
    label = f"{label} (second choice)" if label in pair else label
    pair[label] = (normalised(other, second, curve), nothing) if second else mean_and_spread(other, curve)
    return pair


def difference_rows(
    report: MovementReport, first: RepetitionReport, label: str, other: MovementReport, second: RepetitionReport | None
) -> pd.DataFrame:
    """Duration, tempo and main measure of the two beside each other."""
    metric = main_metric(movement_named(report.movement))
    group = [second] if second else [repetition for repetition in other.repetitions if repetition.complete]
    rows = {
        "Duration": (_seconds([first]), _seconds(group)),
        "Tempo (s)": (tempo(first), tempo(second) if second else "–"),
    }
    if metric is not None:
        values = [_value([one], metric.name) for one in group]
        known = [value for value in values if np.isfinite(value)]
        mean = float(np.mean(known)) if known else float("nan")
        rows[short_label(metric)] = (amount(_value([first], metric.name), metric.unit), amount(mean, metric.unit))
    one = f"repetition {first.number}"
    two = label if label != one else f"{label} (second choice)"
    return pd.DataFrame([{"": name, one: a, two: b} for name, (a, b) in rows.items()])


def _seconds(group: list[RepetitionReport]) -> str:
    return amount(float(np.mean([one.end_s - one.start_s for one in group])) if group else float("nan"), "s")


def _value(group: list[RepetitionReport], metric: str) -> float:
    found = reading(group[0], metric)
    return found.value if found is not None else float("nan")
