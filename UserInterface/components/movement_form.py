"""What to analyse and how strictly: the run, the person, the movement, and widgets for its thresholds.

The sliders come from the movement's parameter dataclass: fields, defaults, presets and reasons are those of the
command line.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pipeline.movements.analyze import AUTO, MOVEMENTS, measure, movement_named
from pipeline.movements.base import Measurements, Movement, RuleParameters
from pipeline.options import descriptions
from pipeline.poses import Recording
from pipeline.runs import Run
from UserInterface.components import session
from UserInterface.components.movement_repetitions import short_label
from UserInterface.components.run_list import Entry, entries
from UserInterface.components.words import moment, plain


@dataclass(frozen=True)
class Threshold:
    """One slider: a field of the parameters with its words and range."""

    name: str
    label: str
    help: str
    low: float
    high: float
    step: float


def clips(found: list[Entry]) -> list[Entry]:
    """The runs that can be analysed: readable, and of a clip rather than a picture."""
    return [entry for entry in found if entry.manifest is not None and entry.manifest.source.get("kind") != "image"]


def choose_run() -> Run | None:
    """The run that the address or the list names; None, with words and ways on, when there is none."""
    known = {entry.id: entry for entry in clips(entries(session.store()))}
    if not known:
        st.info(
            "There is no analysed clip yet. Find the poses in a clip of yours, or in the sample: "
            "it takes seconds and comes back here.",
            icon=":material/inbox:",
        )
        _ways_on()
        return None
    asked = st.query_params.get("run", "")
    if asked and asked not in known:
        st.warning(f"There is no clip with the run id {plain(asked)}; choose one below.", icon=":material/link_off:")
    if st.session_state.get("movement-run") not in known:
        st.session_state["movement-run"] = asked if asked in known else next(iter(known))
    chosen = st.selectbox(
        "Clip", list(known), format_func=lambda run_id: entry_line(known[run_id]), key="movement-run",
        on_change=_remember_run,
    )  # fmt: skip
    return session.find_run(chosen)


def _ways_on() -> None:
    with st.container(horizontal=True):
        st.page_link(session.INFERENCE_PAGE, label="Use a clip of my own, or the sample", icon=":material/upload:")
        st.page_link(session.OUTPUTS_PAGE, label="See all runs", icon=":material/folder_open:")


def _remember_run() -> None:
    """The address follows the choice, so that a reload or a copied link shows the same."""
    st.query_params["run"] = st.session_state["movement-run"]


def entry_line(entry: Entry) -> str:
    """A run in a list (plain text)."""
    manifest = entry.manifest
    if manifest is None:
        return entry.name
    people = len(manifest.people)
    who = "nobody" if not people else "1 person" if people == 1 else f"{people} people"
    return f"{entry.name[:60]} · {manifest.duration_s:.0f} s · {who} · {moment(manifest.created_utc)}"


def choose_person(recording: Recording, key: str) -> int:
    """The person's id; first the one who moves most in a movement that is known."""
    ids = [person.person for person in recording.people]
    seen = {person.person: person.frames_seen for person in recording.people}
    if st.session_state.get(f"{key}-person") not in ids:
        st.session_state[f"{key}-person"] = ids[0] if len(ids) == 1 else measured(key, recording, None, AUTO).person
    chosen: int = st.selectbox(
        "Person",
        ids,
        format_func=lambda number: f"{number}, in {seen[number]} of {len(recording)} frames",
        key=f"{key}-person",
    )
    return chosen


def choose_movement(recording: Recording, person: int, key: str) -> str:
    """A movement's name, or "auto", which is preselected and says what it found and how sure it is."""
    guess = measured(key, recording, person, AUTO)
    found = movement_named(guess.movement).label

    def words(name: str) -> str:
        if name == AUTO:
            sure = f" ({guess.movement_confidence:.0%})" if guess.movement in MOVEMENTS else ""
            return f"Automatic: {found}{sure}"
        movement = MOVEMENTS[name]
        return f"{movement.label[:1].upper()}{movement.label[1:]}" + ("" if movement.rules else " (counted only)")

    chosen: str = st.selectbox(
        "Movement",
        (AUTO, *MOVEMENTS),
        format_func=words,
        key=f"{key}-movement-{person}",
        help=f"In brackets: how sure the program is. {guess.chosen[:1].upper()}{guess.chosen[1:]}.",
    )
    return chosen


def measured(run_id: str, recording: Recording, person: int | None, movement: str) -> Measurements:
    """``pipeline.movements.analyze.measure``, once for each run, person and movement."""
    return _measured(run_id, len(recording), person, movement, recording)


@st.cache_resource(max_entries=64, show_spinner="Finding and measuring the repetitions ...")
def _measured(
    run_id: str,  # noqa: ARG001 -- part of the cache's key
    frames: int,  # noqa: ARG001 -- part of the cache's key
    person: int | None,
    movement: str,
    _recording: Recording,
) -> Measurements:
    return measure(_recording, movement, person)


def choose_thresholds(movement: Movement, key: str) -> RuleParameters:
    """A preset, and sliders that start from it. Nothing is measured again when they move."""
    presets = movement.presets
    if not movement.rules:
        return presets["standard"]
    left, right = st.columns([2, 5])
    preset = left.segmented_control(
        "How strict",
        list(presets),
        default="standard",
        format_func=str.capitalize,
        key=f"{key}-preset-{movement.name}",
        required=True,
        help="Beginner forgives more, strict forgives less. The thresholds below start from it.",
    )
    start = presets[preset]
    with right, st.expander("Thresholds", icon=":material/tune:"):
        st.caption(
            "Move one and the remarks follow at once; nothing is measured again. "
            "Where each number comes from stands beside every remark."
        )
        state = f"{key}-{movement.name}-{preset}"
        values: dict[str, float] = {}
        columns: list[DeltaGenerator] = []
        for number, threshold in enumerate(thresholds_of(movement)):
            if number % 3 == 0:
                columns = st.columns(3, vertical_alignment="bottom")
            slider = f"{state}-{threshold.name}"
            st.session_state.setdefault(slider, float(getattr(start, threshold.name)))
            values[threshold.name] = columns[number % 3].slider(
                threshold.label,
                threshold.low,
                threshold.high,
                step=threshold.step,
                format="%.0f" if threshold.step >= 1 else "%.2f",
                key=slider,
                help=threshold.help,
            )
        chosen = dataclasses.replace(start, **values)
        st.button(
            f"Back to {preset}", icon=":material/restart_alt:", key=f"{state}-reset", on_click=_reset,
            args=(state, start), disabled=chosen == start,
        )  # fmt: skip
    return chosen


def _reset(state: str, start: RuleParameters) -> None:
    for field in dataclasses.fields(start):
        st.session_state[f"{state}-{field.name}"] = float(getattr(start, field.name))


def thresholds_of(movement: Movement) -> list[Threshold]:
    """A slider for every field of the movement's parameters; those that all movements share come last.

    The range holds all presets and as much again on both sides.
    """
    kind = type(movement.presets["standard"])
    own = [field.name for field in dataclasses.fields(kind)]
    shared = [field.name for field in dataclasses.fields(RuleParameters)]
    reasons = descriptions(RuleParameters) | descriptions(kind)
    return [
        _threshold(movement, name, reasons.get(name, "")) for name in [*(n for n in own if n not in shared), *shared]
    ]


def _threshold(movement: Movement, name: str, reason: str) -> Threshold:
    values = [float(getattr(preset, name)) for preset in movement.presets.values()]
    rule = next((rule for rule in movement.rules if rule.threshold == name), None)
    words, unit = name.replace("_", " "), ""
    if rule is not None:
        metric = movement.metric(rule.metric)
        words, unit = f"{short_label(metric)}, at {'most' if rule.above else 'least'}", metric.unit
    if name == "min_confidence":
        words = "Sureness of a remark, at least"
    label = f"{words[:1].upper()}{words[1:]}" + (f" ({unit})" if unit else "")
    low, high = min(values), max(values)
    spread = max(high - low, 0.5 * abs(high), 0.1)
    step = 1.0 if unit == "°" else 10.0 ** math.floor(math.log10(spread) - 1)
    low = max(0.0, low - spread) if low >= 0 else low - spread
    high = high + spread if name != "min_confidence" else 1.0
    return Threshold(
        name,
        label,
        reason,
        round(float(np.floor(low / step) * step), 6),
        round(float(np.ceil(high / step) * step), 6),
        step if all(abs(v / step - round(v / step)) < 1e-6 for v in values) else step / 10,
    )
