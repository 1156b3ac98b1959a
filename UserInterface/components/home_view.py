"""Home: what works here, shown on the sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw

from pipeline.drawing import DEFAULT_THRESHOLD
from pipeline.inference import Progress
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Run
from pipeline.sample import ensure_sample_run, find_sample_run
from UserInterface.components import figures, session
from UserInterface.components.job import Job

HEIGHT = 330


@lru_cache(maxsize=1)
def icon() -> Image.Image:
    """The browser tab's picture: a squatting figure. Drawn here, since Streamlit fetches its own icons for tabs."""
    picture = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((0, 0, 63, 63), fill="#0f766e")
    draw.ellipse((32, 9, 43, 20), fill="white")
    draw.line([(35, 22), (22, 38), (40, 40), (33, 55), (42, 55)], fill="white", width=5, joint="curve")
    draw.line([(33, 26), (48, 27)], fill="white", width=5)
    return picture


def show() -> None:
    """The page."""
    st.title("Kinoscope", anchor=False)
    st.markdown("#### The movement lab in a browser tab: from a clip of a person to their pose in every frame.")
    st.markdown(
        "Give it a picture or a video from any phone or camera. It finds everybody in view and 33 points of each body, "
        "follows each person through the clip, and estimates the points in metres. "
        "All of it runs on this machine; no clip leaves it."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Try the sample", type="primary", icon=":material/play_arrow:", key="try-sample"):
            _open_sample()
        st.page_link(session.INFERENCE_PAGE, label="Use a clip of my own", icon=":material/upload:")
        st.page_link(session.OUTPUTS_PAGE, label="See all runs", icon=":material/folder_open:")
    run = find_sample_run(session.store())
    if run is not None:
        try:
            _pictures(run, session.recording_of(run))
        except ValueError as error:
            st.caption(str(error))
    _steps()


def _steps() -> None:
    columns = st.columns(3, gap="medium")
    for column, title, text in zip(
        columns,
        ("Find the poses", "Look closely", "Keep and take away"),
        (
            "Choose a file and press one button in **Inference**. You see how far it is, and may stop at any time: "
            "what is done is kept.",
            "Play the video with the curve of any joint beside it, stop at a moment, turn the skeleton in space, "
            "see how sure the model is of every point.",
            "Every run lies in **Outputs** with its source, settings and model versions. Download tables as CSV, "
            "Parquet or JSON, and the video.",
        ),
        strict=True,
    ):
        with column, st.container(border=True):
            st.markdown(f"**{title}**")
            st.markdown(text)
    st.caption("The same from a terminal: `python -m pipeline infer CLIP`. The clips stay where you keep them.")


def _pictures(run: Run, recording: Recording) -> None:
    """The sample: a frame with its points, the skeleton in space, a curve."""
    if not recording.people or (source := run.source) is None:
        return
    person = max(recording.people, key=lambda p: p.frames_seen)
    frame = _telling_frame(person)
    time_s = float(recording.time_s[frame])
    picture = session.picture_of(source, time_s)
    options = {"displayModeBar": False}
    columns = st.columns(3, gap="medium")
    with columns[0]:
        figure = figures.frame_figure(
            picture, recording, frame, threshold=DEFAULT_THRESHOLD, selected=None, height=HEIGHT
        )
        st.plotly_chart(figure, key="home-frame", config=options)
        st.caption("Points on the picture; yellow means the model is sure.")
    with columns[1]:
        space = figures.skeleton_figure(person, frame, threshold=DEFAULT_THRESHOLD, height=HEIGHT)
        if space is not None:
            st.plotly_chart(space, key="home-space", config=options)
        st.caption("The same moment in space; drag to turn it.")
    with columns[2]:
        joints = [joint for joint in ("left_hip", "left_knee") if joint in person.skeleton]
        st.plotly_chart(
            figures.curves_figure(person, joints, "y_px", moment_s=time_s, height=HEIGHT),
            key="home-curve",
            config=options,
        )
        st.caption("How the joints move; the dotted line is that moment.")


def _telling_frame(person: PoseSequence) -> int:
    """The frame in which the person is smallest in the picture's height: the bottom of a squat."""
    boxes = person.boxes_px()
    height = boxes[:, 3] - boxes[:, 1]
    return int(np.nanargmin(height)) if np.isfinite(height).any() else 0


def _open_sample() -> None:
    """Go to the sample's run, or start making it."""
    run = find_sample_run(session.store())
    if run is not None:
        st.switch_page(session.INFERENCE_PAGE, query_params={"run": run.id})
    if session.current_job() is None:
        st.session_state["job"] = Job("the sample clip", _make_sample)
    st.switch_page(session.INFERENCE_PAGE)


def _make_sample(progress: Callable[[Progress], None], cancelled: Callable[[], bool]) -> Run:
    return ensure_sample_run(session.store(), progress, cancelled)
