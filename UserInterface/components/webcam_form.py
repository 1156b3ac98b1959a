"""What can be chosen while the camera runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st

from pipeline.estimation import registry
from pipeline.estimation.base import Estimator
from pipeline.inference import InferenceOptions
from pipeline.live.models import LIVE_MODEL, LIVE_OPTIONS, remote_estimator
from pipeline.live.panels import PanelSettings, panel_classes
from pipeline.movements import AUTO, MOVEMENTS
from UserInterface.components.fall_notify import notify_options
from UserInterface.components.options_form import WORKING_POINTS
from UserInterface.components.webcam_stream import LiveSession

SIZES = {"640 x 480": (640, 480), "1280 x 720": (1280, 720), "320 x 240": (320, 240)}


@dataclass(frozen=True)
class LiveChoice:
    """The widgets' values."""

    options: InferenceOptions
    settings: PanelSettings
    size: tuple[int, int]
    mirror: bool


def maker(options: InferenceOptions) -> Callable[[], Estimator]:
    """Makes the model of one session, in the worker's thread."""
    return partial(remote_estimator, options)


def choose(session: LiveSession) -> LiveChoice:
    """Show the widgets; what has changed takes effect at once."""
    busy = session.recording
    with st.container(horizontal=True, vertical_alignment="bottom"):
        movement = st.selectbox(
            "Movement",
            [AUTO, *MOVEMENTS],
            format_func=_movement_words,
            key="webcam-movement",
            width=260,
            help="What is counted is the same for all; the form remarks are the movement's own.",
        )
        mirror = st.toggle("Mirror", True, key="webcam-mirror", help="Only the picture; recordings are never mirrored.")
        with st.popover("Settings", icon=":material/tune:"):
            model, detector = _choose_models(busy)
            point = st.selectbox(
                "Working point",
                [name for name in WORKING_POINTS if name != "auto"],
                index=1,
                format_func=lambda name: WORKING_POINTS[name].split(";")[0],
                key="webcam-point",
                disabled=busy,
            )
            people = st.number_input(
                "Most people to follow", 1, 8, 1, key="webcam-people", disabled=busy,
                help="More than one costs speed. The first one in view is analysed.",
            )  # fmt: skip
            size = st.selectbox("Resolution", list(SIZES), key="webcam-size", disabled=busy)
            titles = [panel.title for panel in panel_classes()]
            wanted = st.multiselect(
                "Analyses", titles, default=titles, key="webcam-analyses",
                help="Each costs some of one core; what is left out makes room for the others.",
            )  # fmt: skip
            st.caption("Choose the camera below its picture. The models and the resolution wait while you record.")
    options = replace(
        LIVE_OPTIONS, model=model, detector=detector, working_point=point or "balanced", max_people=int(people)
    )
    analyses = None if len(wanted) == len(titles) else tuple(t for t in titles if t in wanted)
    choice = LiveChoice(
        options,
        PanelSettings(movement or AUTO, analyses, notify=notify_options()),
        SIZES[size or "640 x 480"],
        bool(mirror),
    )
    _apply(session, choice)
    return choice


def _apply(session: LiveSession, choice: LiveChoice) -> None:
    session.mirror = choice.mirror
    if choice.settings != session.settings:
        session.change_settings(choice.settings)
    if choice.options != st.session_state.get("webcam-options", LIVE_OPTIONS):
        session.change_model(maker(choice.options))
        st.session_state["webcam-options"] = choice.options


def _choose_models(busy: bool) -> tuple[str, str]:
    """Key-point model and detector; each model begins with the detector that goes with it."""
    model = _choose_installed("Model", registry.keypoint_models(), LIVE_MODEL, "webcam-model", busy)
    own = any(e.name == model for e in registry.detectors())
    usual = model if own else registry.default_pair("onnx")[0]
    detector = _choose_installed("Detector", registry.detectors(), usual, f"webcam-detector-{model}", busy)
    return model, detector


def _choose_installed(
    label: str, entries: Sequence[registry.ModelEntry], preferred: str, key: str, disabled: bool
) -> str:
    titles = {e.name: e.title for e in entries if registry.is_installed(e, "onnx")}
    names = list(titles)
    index = names.index(preferred) if preferred in names else 0
    return str(st.selectbox(label, names, index=index, format_func=titles.__getitem__, key=key, disabled=disabled))


def _movement_words(name: str) -> str:
    if name == AUTO:
        return "Find out by itself"
    movement = MOVEMENTS[name]
    return movement.label.capitalize() + ("" if movement.rules else " (counted only)")
