"""Where WebRTC is impossible: a photo by the browser, or a clip from the telephone's own camera program."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from pipeline.inference import InferenceOptions, Progress, infer
from pipeline.live.recordings import LIVE_TAG
from pipeline.runs import Run
from UserInterface.components import session
from UserInterface.components.job import Job
from UserInterface.components.webcam_stream import LiveSession

TYPES = ("mp4", "mov", "webm", "m4v", "avi", "mkv", "jpg", "jpeg", "png")


def fallback(live: LiveSession) -> None:
    """A photo or a file; the run appears where a recording's does."""
    with st.expander("No live picture here? Take a photo or upload a clip", icon=":material/upload:"):
        if st.toggle("Take a photo", key="webcam-photo-on"):
            photo = st.camera_input("Photo", key="webcam-photo")
        else:
            photo = None
        clip = st.file_uploader("Clip or picture", type=list(TYPES), key="webcam-file")
        file = photo if photo is not None else clip
        if file is None:
            st.caption("Film with your camera's own program; the count and the remarks then come from the file.")
            return
        name = "photo.jpg" if photo is not None else file.name
        try:
            source = session.receive(file.file_id, name, file)
        except (ValueError, OSError) as error:
            st.error(str(error), icon=":material/error:")
            return
        if source.error:
            st.error(source.error, icon=":material/error:")
            return
        st.button(
            "Find the poses", type="primary", key="webcam-infer", disabled=live.job is not None,
            on_click=_start, args=(live, source),
        )  # fmt: skip


def _start(live: LiveSession, source: session.Source) -> None:
    options = InferenceOptions(subject=live.subject, tags=(LIVE_TAG,))
    live.job = Job(source.name, partial(_work, live, source, options))


def _work(
    live: LiveSession,
    source: session.Source,
    options: InferenceOptions,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Run:
    return infer(source.path, live.store, options, name=source.name, progress=progress, cancelled=cancelled)
