"""A scored clip: the stages and their verdicts, the gauge, what cost points, the film and the skeleton in space."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pipeline.scoring.assess import STAGES, StageResult
from UserInterface.components.figures import words
from UserInterface.components.film import show_video, tie_to_curve
from UserInterface.components.scoring_figures import gauge_figure, skeleton_film, trimming_figure
from UserInterface.components.scoring_film import play_along
from UserInterface.components.scoring_state import View, jump

CURVE_HEIGHT, SKELETON_HEIGHT = 230, 430


class StageLights:
    """Seven lights, one a stage; each goes on when its stage has its verdict."""

    def __init__(self) -> None:
        self._places: dict[str, DeltaGenerator] = {}
        with st.container(horizontal=True, key="scoring-stages"):
            for name, label in STAGES.items():
                self._places[name] = st.empty()
                self._places[name].badge(label, icon=":material/hourglass_empty:", color="gray")

    def __call__(self, stage: StageResult) -> None:
        """Show what the stage said."""
        place = self._places[stage.name]
        if stage.verdict is None:
            place.badge(f"{stage.label}: not reached", icon=":material/remove:", color="gray")
        elif stage.verdict.ok:
            place.badge(f"{stage.label}: ok", icon=":material/check:", color="green")
        else:
            place.badge(f"{stage.label}: stopped", icon=":material/block:", color="red")


def show_remarks(view: View) -> None:
    """What stages that let the clip pass have to say."""
    for stage in view.found.stages:
        if stage.verdict is not None and stage.verdict.ok and stage.verdict.reasons:
            st.caption(f"{stage.label} {' '.join(stage.verdict.reasons)}")


def show_refusal(view: View) -> None:
    """Why there is no score, and what to do."""
    stage = next(s for s in view.found.stages if s.verdict is not None and not s.verdict.ok)
    first, *others = view.found.refusal or ("No reason was given.",)
    lines = [f"**No score: stopped at “{stage.label}”.** {first}", "", *(f"- {reason}" for reason in others)]
    st.warning("\n".join(lines), icon=":material/block:")
    assert stage.verdict is not None
    _diagnostics(view, dict(stage.verdict.measurements))


def _diagnostics(view: View, measured: dict[str, object]) -> None:
    """The gate's worst windows and body blocks, where it has them."""
    blocks, windows = measured.get("blocks"), measured.get("worst_by_confidence")
    if not isinstance(blocks, dict) or not isinstance(windows, list):
        return
    left, right = st.columns(2)
    left.markdown("Parts of the body")
    left.dataframe([{"part": name, **values} for name, values in blocks.items()], hide_index=True)
    right.markdown("Worst moments")
    for number, window in enumerate(windows):
        right.button(
            f"{window['start_s']:.1f} to {window['end_s']:.1f} s: confidence {window['confidence']:.2f}",
            key=f"{view.key}-worst-{number}", on_click=jump, args=(view, window["start_s"]),
        )  # fmt: skip


def show_gauge(view: View) -> None:
    """The score, its interval and band, and what it means."""
    found = view.found
    assert found.score is not None and found.low is not None and found.high is not None
    several = len(found.repetitions) > 1
    what = f"{found.exercise_label}, {'recognised' if found.chosen == 'recognised' else 'as chosen'}"
    st.markdown(f"##### {what[:1].upper()}{what[1:]}")
    st.markdown(
        f"**{found.score:.1f}: {found.band}** (interval {found.low:.1f} to {found.high:.1f}; 0.0 is perfect, 4.0 worst)"
        + (f", the median of {len(found.repetitions)} repetitions." if several else ".")
    )
    st.plotly_chart(
        gauge_figure(found.score, found.low, found.high), key=f"{view.key}-gauge", config={"displayModeBar": False}
    )
    st.caption(f"{found.target} The dark bar holds the derived target of 9 in 10 repetitions of people never seen.")


def show_reasons(view: View) -> None:
    """What cost points in the repetition at the moment; each button moves the video there."""
    one = view.repetition
    assert one is not None
    number = view.found.repetitions.index(one) + 1
    st.markdown(f"##### What cost points in repetition {number} ({one.score:.1f}, {one.band})")
    if not one.reasons:
        st.caption("No joint at any moment cost a tenth of a point.")
    for k, reason in enumerate(one.reasons):
        st.button(
            f"{words(reason.joint)}, {reason.start_s:.1f} to {reason.end_s:.1f} s: {reason.points:.1f} points",
            icon=":material/arrow_right:", key=f"{view.key}-reason-{number}-{k}", on_click=jump,
            args=(view, reason.time_s), width="stretch",
        )  # fmt: skip
        if reason.rule:
            st.caption(f"Movement rules: {reason.rule}")
    if one.reasons:
        st.caption(
            f"Points: how much lower the score is with the reference motion in that place. "
            f"All of these put right together: {one.explained:.1f} points lower."
        )
    with st.container(horizontal=True):
        for k, other in enumerate(view.found.repetitions, 1):
            st.button(
                f"{k}: {other.score:.1f}", key=f"{view.key}-repetition-{k}", on_click=jump,
                args=(view, other.start_s + 0.02), type="primary" if other is one else "secondary",
                help=f"Repetition {k}: {other.band}, {other.start_s:.1f} to {other.end_s:.1f} s",
            )  # fmt: skip


@st.fragment
def explore(view: View) -> None:
    """The film and the skeleton beside it, the curve below, the score and its reasons; runs alone at a click."""
    first = view.found.repetitions[0] if view.found.repetitions else None
    start = first.start_s if first else float(view.recording.time_s[0])
    st.session_state.setdefault(f"{view.key}-time", start)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        show_video(view.run.overlay, view.recording.person(view.found.person).image_size, view.key)
        _curve(view)
        if view.found.score is not None:
            show_reasons(view)
    with right:
        if view.found.score is not None:
            show_gauge(view)
        _skeleton(view)


def _curve(view: View) -> None:
    if view.found.trimmed is None:
        return
    key = view.key
    with st.container(key=f"{key}-curve"):
        chart = trimming_figure(view.found, moment_s=view.moment_s, height=CURVE_HEIGHT)
        st.plotly_chart(chart, key=f"{key}-chart", config={"displayModeBar": False})
    tie_to_curve(key, view.moment_s, view.recording.time_s)
    st.caption("Shaded: repetitions with their scores. Click the curve to move the video; the line follows it.")


def _skeleton(view: View) -> None:
    space = view.found.space
    if space is None or space.xyz_m is None or not np.isfinite(space.xyz_m).any():
        return
    one = view.repetition
    costs = None
    if one is not None:
        points = dict(zip(one.joints, one.costs.sum(axis=1), strict=True))
        costs = np.array([points[joint] for joint in space.skeleton.joints])
    with st.container(key=f"{view.key}-space"):
        figure = skeleton_film(space, view.moment_s, costs, height=SKELETON_HEIGHT)
        st.plotly_chart(figure, key=f"{view.key}-skeleton", config={"displayModeBar": False})
    play_along(f"{view.key}-along", video=f"{view.key}-video", film=f"{view.key}-space")
    st.caption(
        "The skeleton in space plays along with the video; turn it with the mouse. "
        "Blue is the left side, orange the right; larger red joints cost points in this repetition."
    )
