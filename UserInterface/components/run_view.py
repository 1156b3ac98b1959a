"""The result of a run: the video, a moment of it in the picture and in space, curves, table, downloads."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pipeline.drawing import DEFAULT_THRESHOLD
from pipeline.media import MediaError
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Manifest, Run
from pipeline.signal import clean
from UserInterface.components import figures
from UserInterface.components.files import download_buttons
from UserInterface.components.player import tie
from UserInterface.components.session import picture_of, recording_of
from UserInterface.components.words import plain, summary

VIDEO_HEIGHT = 420
FIGURE_HEIGHT = 460
CURVE_HEIGHT = 270
_FIRST_JOINTS = ("left_knee", "right_knee")


def show_run(run: Run, key: str) -> None:
    """Everything about one run; a damaged or newer run is a sentence."""
    try:
        manifest, recording = run.manifest, recording_of(run)
    except ValueError as error:
        st.error(str(error), icon=":material/error:")
        return
    key = f"{key}-{run.id}"
    is_clip = manifest.source.get("kind") != "image"
    st.subheader(plain(str(manifest.source.get("name") or run.id)), anchor=False)
    st.caption(summary(manifest))
    _notices(run, manifest, recording)
    if is_clip:
        left, right = st.columns([3, 2], gap="large")
        with left, st.container(key=f"{key}-video"):
            _overlay(run, recording)
        with right:
            _facts(run, manifest)
    if len(recording):
        _explore(run, recording, key)
    if not is_clip:
        _facts(run, manifest)
    st.markdown("##### Downloads")
    download_buttons(run, key)
    st.markdown("##### The same on the command line")
    st.code(manifest.command or "python -m pipeline infer CLIP", language="bash", wrap_lines=True)


def _notices(run: Run, manifest: Manifest, recording: Recording) -> None:
    if manifest.state == "cancelled":
        st.warning(
            f"Stopped by you after {manifest.frames} frames ({manifest.duration_s:.1f} s); what was done is kept.",
            icon=":material/stop_circle:",
        )
    if missing := run.missing():
        st.warning(missing, icon=":material/link_off:")
    if not len(recording):
        st.info("No frame was read, so there is nothing to show. Start the inference again.", icon=":material/info:")
    elif not recording.people:
        what = "picture" if manifest.source.get("kind") == "image" else "clip"
        st.info(
            f"Nobody was found in this {what}. If somebody is there: choose the working point **thorough** "
            "(it finds small people), try another detector, or use a lighter picture with the whole body in view.",
            icon=":material/person_off:",
        )


def _overlay(run: Run, recording: Recording) -> None:
    overlay = run.overlay
    if overlay is None:
        st.info(
            "No overlay video was made for this run; the moments below are drawn from the source.",
            icon=":material/videocam_off:",
        )
        return
    width, height = _picture_size(recording)
    st.video(str(overlay), width=max(160, round(VIDEO_HEIGHT * min(width / max(height, 1), 1.9))))


def _picture_size(recording: Recording) -> tuple[int, int]:
    if recording.people:
        return recording.people[0].image_size
    return recording.source.width or 640, recording.source.height or 480


def _facts(run: Run, manifest: Manifest) -> None:
    rate = manifest.frames / manifest.seconds if manifest.seconds else 0.0
    fps = manifest.source.get("fps")
    size = f"{manifest.source.get('width', 0)} x {manifest.source.get('height', 0)} px"
    rows = {
        "Key points": plain(str(manifest.model.get("name") or "unknown")),
        "Detector": plain(str(manifest.model.get("detector") or "unknown")),
        "Ran on": plain(manifest.device or "unknown"),
        "Frames": f"{manifest.frames}" + (f" ({fps:.4g} a second)" if fps and math.isfinite(fps) else "") + f", {size}",
        "Took": f"{manifest.seconds:.1f} s" + (f" ({rate:.1f} frames a second)" if rate else ""),
        "People": "; ".join(f"{p['person']} in {p['frames_seen']} frames" for p in manifest.people) or "nobody",
        "State": manifest.state,
        "Run": f"`{run.id}`",
    }
    st.markdown("**About this run**")
    st.markdown("  \n".join(f":gray[{name}:] {value}" for name, value in rows.items()))


@st.fragment
def _explore(run: Run, recording: Recording, key: str) -> None:
    """A moment of the recording. Only this part of the page runs again when the moment or the person changes."""
    st.session_state.setdefault(f"{key}-time", _first_moment(recording))
    person = _choose_person(recording, key)
    clip = len(recording) > 1
    if clip and person is not None:
        _curves(recording, person, key, _frame(recording, key))
    places = st.columns([9, 4, 5], vertical_alignment="bottom") if clip else [st.container()]
    if clip:
        _choose_moment(recording, key, places)
    with places[-1]:
        threshold = _choose_threshold(key) if person is not None else DEFAULT_THRESHOLD
    frame = _frame(recording, key)
    left, right = st.columns([3, 2], gap="medium") if person is not None else (st.container(), None)
    with left:
        _picture(run, recording, frame, threshold, person, key)
    if person is not None and right is not None:
        with right:
            _space(person, frame, threshold, key)
        with st.expander("Table of this moment", icon=":material/table:"):
            _table(person, frame)


def _choose_person(recording: Recording, key: str) -> PoseSequence | None:
    if not recording.people:
        return None
    ids = [person.person for person in recording.people]
    longest = max(recording.people, key=lambda p: p.frames_seen).person
    if st.session_state.get(f"{key}-person") not in ids:
        st.session_state[f"{key}-person"] = longest
    seen = {p.person: p.frames_seen for p in recording.people}
    chosen = st.selectbox(
        "Person (or click somebody in the picture below)",
        ids,
        format_func=lambda n: (
            f"Person {n}" + (f", seen in {seen[n]} of {len(recording)} frames" if len(recording) > 1 else "")
        ),
        key=f"{key}-person",
    )
    return recording.person(chosen)


def _curves(recording: Recording, person: PoseSequence, key: str, frame: int) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        known = [joint for joint in _FIRST_JOINTS if joint in person.skeleton]
        joints = st.multiselect(
            "Joints",
            person.skeleton.joints,
            default=known or list(person.skeleton.joints[:1]),
            format_func=figures.words,
            key=f"{key}-joints",
            max_selections=6,
        )
        quantity = st.selectbox(
            "Curve of",
            figures.quantities(person),
            index=1,
            format_func=lambda name: figures.QUANTITIES[name][1],
            key=f"{key}-quantity",
            width=220,
        )
        filtered = st.toggle(
            "Filtered",
            key=f"{key}-filtered",
            help="Left and right repaired, slips removed, short gaps filled, smoothed (Butterworth, 6 Hz, no delay); "
            "the raw points stay visible and the stored poses stay as they are.",
        )
    if not joints:
        st.caption("Choose a joint to see its curve.")
        return
    moment_s = float(recording.time_s[frame])
    smooth = clean(person) if filtered else person
    raw = person if filtered else None
    chart = figures.curves_figure(smooth, joints, quantity, moment_s=moment_s, height=CURVE_HEIGHT, raw=raw)
    with st.container(key=f"{key}-curve"):
        st.plotly_chart(chart, key=f"{key}-chart", config={"displayModeBar": False})
    tie(
        f"{key}-tie",
        video=f"{key}-video",
        chart=f"{key}-curve",
        moment_s=moment_s,
        offset_s=float(recording.time_s[0]),
        step_s=_step_s(recording),
        seek=st.session_state.get(f"{key}-seek", 0),
        on_moment=lambda: _go_to(recording, key, st.session_state[f"{key}-tie"].moment, seek=False),
    )


def _step_s(recording: Recording) -> float:
    return float(np.median(np.diff(recording.time_s))) if len(recording) > 1 else 0.1


def _frame(recording: Recording, key: str) -> int:
    """The frame nearest to the slider's time."""
    return int(np.abs(recording.time_s - st.session_state[f"{key}-time"]).argmin())


def _go_to(recording: Recording, key: str, time_s: float | None, *, seek: bool = True) -> None:
    """Make ``time_s`` the current moment; ``seek`` moves the video there as well."""
    if time_s is not None:
        st.session_state[f"{key}-time"] = float(np.clip(time_s, recording.time_s[0], recording.time_s[-1]))
    if seek:
        st.session_state[f"{key}-seek"] = st.session_state.get(f"{key}-seek", 0) + 1


def _step(recording: Recording, key: str, frames: int) -> None:
    frame = int(np.clip(_frame(recording, key) + frames, 0, len(recording) - 1))
    _go_to(recording, key, float(recording.time_s[frame]))


def _choose_moment(recording: Recording, key: str, columns: list[DeltaGenerator]) -> None:
    with columns[0]:
        st.slider(
            "Moment (s)",
            float(recording.time_s[0]),
            float(recording.time_s[-1]),
            step=round(_step_s(recording), 6),
            format="%.2f",
            key=f"{key}-time",
            on_change=_go_to,
            args=(recording, key, None),
        )
    with columns[1], st.container(horizontal=True):
        for frames, icon, text in ((-1, ":material/skip_previous:", "Back"), (1, ":material/skip_next:", "Next")):
            st.button(
                text,
                icon=icon,
                help="by one frame",
                key=f"{key}-{text.lower()}",
                on_click=_step,
                args=(recording, key, frames),
            )


def _first_moment(recording: Recording) -> float:
    """A moment at which somebody is in view: the middle of the time with the most people."""
    if not recording.people:
        return float(recording.time_s[0])
    people = np.sum([person.seen for person in recording.people], axis=0)
    best = np.flatnonzero(people == people.max())
    return float(recording.time_s[best[len(best) // 2]])


def _choose_threshold(key: str) -> float:
    return float(
        st.slider(
            "Least confidence drawn",
            0.0,
            1.0,
            DEFAULT_THRESHOLD,
            0.05,
            key=f"{key}-threshold",
            help="Only the drawing changes. Every point is stored, whatever its confidence.",
        )
    )


def _picture(
    run: Run, recording: Recording, frame: int, threshold: float, person: PoseSequence | None, key: str
) -> None:
    picture: bytes | None = None
    if (source := run.source) is not None:
        try:
            picture = picture_of(source, float(recording.time_s[frame]))
        except MediaError as error:
            st.warning(str(error), icon=":material/broken_image:")
    selected = None if person is None else person.person
    figure = figures.frame_figure(
        picture, recording, frame, threshold=threshold, selected=selected, height=FIGURE_HEIGHT
    )
    st.plotly_chart(
        figure,
        key=f"{key}-frame",
        on_select=lambda: _pick(recording, key),
        selection_mode="points",
        config={"displayModeBar": False},
    )
    st.caption(
        f"Frame {frame + 1} of {len(recording)}, {recording.time_s[frame]:.2f} s. Click a person to choose them."
    )


def _pick(recording: Recording, key: str) -> None:
    """Take the clicked point's person; a second click on the same point (Plotly unselects it) means the same one."""
    points = st.session_state[f"{key}-frame"].selection.points
    person = int(points[0]["customdata"][0]) if points else st.session_state.get(f"{key}-clicked")
    if person in [p.person for p in recording.people]:
        st.session_state[f"{key}-clicked"] = st.session_state[f"{key}-person"] = person


def _space(person: PoseSequence, frame: int, threshold: float, key: str) -> None:
    figure = figures.skeleton_figure(person, frame, threshold=threshold, height=FIGURE_HEIGHT)
    if figure is not None:
        st.plotly_chart(figure, key=f"{key}-space", config={"displayModeBar": False})
        st.caption("The same moment in space, seen from the camera; drag to turn it. Metres from the hips' centre.")
    elif person.xyz_m is None:
        st.info("This model finds points in the picture only. BlazePose finds them in space as well.")
    else:
        st.info(f"Person {person.person} is out of view at this moment; move the slider.")


def _table(person: PoseSequence, frame: int) -> None:
    table = person.select(slice(frame, frame + 1)).to_frame(seen_only=False).dropna(axis="columns", how="all")
    st.dataframe(
        table.drop(columns=[c for c in ("person", "frame", "time_s") if c in table]),
        hide_index=True,
        column_config={
            "joint": st.column_config.TextColumn("joint"),
            "x_px": st.column_config.NumberColumn("x (px)", format="%.1f"),
            "y_px": st.column_config.NumberColumn("y (px)", format="%.1f"),
            "score": st.column_config.ProgressColumn("confidence", min_value=0.0, max_value=1.0, format="%.2f"),
            "raw_score": st.column_config.NumberColumn("raw score", format="%.3f"),
            "x_m": st.column_config.NumberColumn("x (m)", format="%.3f"),
            "y_m": st.column_config.NumberColumn("y (m)", format="%.3f"),
            "z_m": st.column_config.NumberColumn("z (m)", format="%.3f"),
        },
    )
