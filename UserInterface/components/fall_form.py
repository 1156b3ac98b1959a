"""What to look at for falls, and how readily to alarm."""

from __future__ import annotations

import streamlit as st

from pipeline.falls.detect import FallReport, detect_falls
from pipeline.falls.forest import DEFAULT_SENSITIVITY, OperatingPoint, load_forest
from pipeline.falls.people import joined
from pipeline.poses import Recording


def choose_person(recording: Recording, key: str) -> int | None:
    """A person's id, or None for everybody. Without a choice to make nothing is asked."""
    people = joined(recording.people)
    if len(people) < 2:
        return None
    seen = {one.person: one.frames_seen for one in people}
    chosen: int | None = st.selectbox(
        "Person",
        [None, *seen],
        format_func=lambda number: (
            f"Everybody ({len(seen)} people)"
            if number is None
            else f"{number}, in {seen[number]} of {len(recording)} frames"
        ),
        key=f"falls-person-{key}",
    )
    return chosen


def choose_sensitivity() -> str:
    """A slider from cautious to sensitive; under it what was measured there."""
    points = {point.name: point for point in load_forest().points}
    chosen: str = st.select_slider(
        "Sensitivity",
        list(points),
        value=DEFAULT_SENSITIVITY,
        key="falls-sensitivity",
        help="Cautious alarms only when it is sure; sensitive rather alarms once too often than misses a fall.",
    )
    st.caption(expected(points[chosen]))
    return chosen


def expected(point: OperatingPoint) -> str:
    """What to expect at this point, and where the numbers come from."""
    return (
        f"Alarm from a probability of {point.threshold:.0%}. {point.text} Measured on clips and scenes that the "
        "classifier had not seen, most of the life among them chosen to be difficult: floor exercises, sitting down "
        "fast, lying down."
    )


def found(run_id: str, recording: Recording, person: int | None, sensitivity: str) -> FallReport:
    """``pipeline.falls.detect.detect_falls``, once for each run, person and sensitivity."""
    return _found(run_id, len(recording), person, sensitivity, recording)


@st.cache_resource(max_entries=64, show_spinner="Looking for falls ...")
def _found(
    run_id: str,  # noqa: ARG001 -- part of the cache's key
    frames: int,  # noqa: ARG001 -- part of the cache's key
    person: int | None,
    sensitivity: str,
    _recording: Recording,
) -> FallReport:
    return detect_falls(_recording, person, sensitivity)
