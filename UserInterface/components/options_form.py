"""Widgets for ``InferenceOptions``: the same fields, defaults and reasons as the command line's options."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from pipeline.drawing import DEFAULT_THRESHOLD
from pipeline.estimation.registry import Engine, ModelEntry, default_pair, detectors, is_installed, keypoint_models
from pipeline.inference import InferenceOptions
from pipeline.options import descriptions
from pipeline.poses import MediaInfo
from UserInterface.components.model_list import speed_words, working_point_speed

WORKING_POINTS = {
    "auto": "Automatic: thorough for a picture, balanced for a clip",
    "fast": "Fast: quickest; may miss small people, and take furniture for a person",
    "balanced": "Balanced: a little slower; also looks closer, and counts a person only when a second look agrees",
    "thorough": "Thorough: slowest; searches the whole picture in close-ups, finds the most people",
}

ENGINE_WORDS = {"onnx": "ONNX Runtime (fast)", "mmpose": "MMPose (PyTorch)"}


def choose_options(info: MediaInfo | None, known_tags: Iterable[str], *, disabled: bool = False) -> InferenceOptions:
    """Show the widgets and return what they say.

    Args:
        info: the chosen source, None before there is one; its length limits the part of the clip.
        known_tags: tags of earlier runs, offered again.
        disabled: show them greyed out.

    Raises:
        EstimatorError, ValueError: the registry cannot be read, or the values contradict each other; in words.
    """
    why = descriptions(InferenceOptions)
    model, detector, engine = _choose_models(why, disabled)
    working_point = st.selectbox(
        "Working point",
        list(WORKING_POINTS),
        format_func=lambda point: WORKING_POINTS[point] + working_point_speed(model, point),
        help="How hard to look for people. " + why["working_point"],
        key="working_point",
        disabled=disabled,
    )
    start_s, end_s = _choose_part(info, why, disabled)
    columns = st.columns(2)
    subject = columns[0].text_input(
        "Subject", key="subject", help="Whom the clip shows, as you call them; stored with the run.", disabled=disabled
    )
    tags = columns[1].multiselect(
        "Tags",
        sorted(set(known_tags)),
        accept_new_options=True,
        key="tags",
        placeholder="type a word, press Enter",
        help="Words to find the run again in Outputs.",
        disabled=disabled,
    )
    with st.expander("More options", icon=":material/tune:"):
        max_people = st.number_input(
            "Most people to follow", 1, 50, InferenceOptions.max_people, key="max_people", help=why["max_people"],
            disabled=disabled,
        )  # fmt: skip
        threshold = st.slider(
            "Least confidence drawn", 0.0, 1.0, DEFAULT_THRESHOLD, 0.05, key="threshold",
            help=why["threshold"], disabled=disabled,
        )  # fmt: skip
        overlay = st.toggle(
            "Make the overlay video", InferenceOptions.overlay, key="overlay", help=why["overlay"], disabled=disabled
        )
    return InferenceOptions(
        model=model,
        detector=detector,
        engine=engine,
        working_point=working_point,
        max_people=int(max_people),
        start_s=start_s,
        end_s=end_s,
        threshold=threshold,
        overlay=overlay,
        subject=subject.strip(),
        tags=tuple(tags),
    )


def _choose_models(why: dict[str, str], disabled: bool) -> tuple[str, str, Engine]:
    engine: Engine = st.session_state.get("engine") or "onnx"
    detector_entries, model_entries = detectors(), keypoint_models()
    preferred_detector, preferred_model = default_pair(engine)
    columns = st.columns(2)
    with columns[0]:
        model = _choose("Key-point model", model_entries, preferred_model, why["model"], engine, disabled)
    with columns[1]:
        is_pair = any(e.name == model and e.kind == "pair" for e in model_entries)
        preferred_detector = model if is_pair else preferred_detector
        detector = _choose("Detector", detector_entries, preferred_detector, why["detector"], engine, disabled)
    st.segmented_control(
        "Engine",
        list(ENGINE_WORDS),
        default="onnx",
        required=True,
        format_func=ENGINE_WORDS.__getitem__,
        help=why["engine"][0].upper() + why["engine"][1:],
        key="engine",
        disabled=disabled,
    )
    return model, detector, engine


def _choose(label: str, entries: Iterable[ModelEntry], preferred: str, why: str, engine: Engine, disabled: bool) -> str:
    installed = {e.name: e.title for e in entries if is_installed(e, engine)}
    if not installed:
        st.warning(f"No {label.lower()} is installed. Install the packages of requirements.txt.")
        return ""
    names = list(installed)

    def words(name: str) -> str:
        return " · ".join(part for part in (installed[name], speed_words(name)) if part)

    return st.selectbox(
        label,
        names,
        index=names.index(preferred) if preferred in names else 0,
        format_func=words,
        help=why,
        disabled=disabled,
    )


def _choose_part(info: MediaInfo | None, why: dict[str, str], disabled: bool) -> tuple[float | None, float | None]:
    if info is not None and info.kind == "image":
        return None, None
    longest = info.duration_s if info is not None and info.duration_s > 0 else None  # False for NaN
    columns = st.columns(2)
    bounds: list[float | None] = [
        column.number_input(
            label, 0.0, longest, None, 0.5, placeholder=placeholder, help=why["start_s"], key=name, disabled=disabled
        )
        for column, label, name, placeholder in (
            (columns[0], "From (s)", "start_s", "the beginning"),
            (columns[1], "To (s)", "end_s", "the end"),
        )
    ]
    return bounds[0], bounds[1]
