"""The video of an analysed run: its overlay, or the film that an analysis draws on its clip, and the button for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from pipeline.film import Asked, Told
from pipeline.poses import Array
from pipeline.runs import Run
from UserInterface.components.job import Job
from UserInterface.components.player import tie
from UserInterface.components.progress import film_progress

VIDEO_HEIGHT = 400
Make = Callable[..., Any]
"""Draws the film and keeps it in the run: ``make(progress=..., cancelled=...)``."""


def show_video(film: Path | None, size: tuple[int, int], key: str) -> None:
    """A film of pictures of this width and height, in the container ``key-video``, which the player ties to curves."""
    with st.container(key=f"{key}-video"):
        if film is not None and film.suffix == ".mp4":
            width, height = size
            st.video(str(film), width=max(160, round(VIDEO_HEIGHT * min(width / max(height, 1), 1.6))))
        else:
            st.info("This run has no overlay video.", icon=":material/videocam_off:")


def tie_to_curve(key: str, moment_s: float, time_s: Array, moved: Callable[[float | None], None] | None = None) -> None:
    """Let the video in ``key-video`` and the chart in ``key-curve`` show one moment, that of ``key-time``.

    Args:
        time_s: (T,) of the recording.
        moved: told the new moment when the user moved one of them; without it ``key-time`` is set.
    """

    def on_moment() -> None:
        moment = st.session_state[f"{key}-tie"].moment
        if moved is not None:
            moved(moment)
        elif moment is not None:
            st.session_state[f"{key}-time"] = float(moment)

    tie(
        f"{key}-tie",
        video=f"{key}-video",
        chart=f"{key}-curve",
        moment_s=moment_s,
        offset_s=float(time_s[0]),
        step_s=float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.1,
        seek=st.session_state.get(f"{key}-seek", 0),
        on_moment=on_moment,
    )


def being_drawn(key: str) -> bool:
    """How far the film is while it is drawn, and why it is not there when that failed; True while it is drawn."""
    job = st.session_state.get(f"{key}-job")
    if isinstance(job, Job) and job.running:
        film_progress(job, key)
        return True
    if isinstance(job, Job) and job.error:
        st.warning(job.error, icon=":material/info:")
    return False


def offer_film(run: Run, make: Make, key: str, *, name: str, label: str, explanation: str) -> None:
    """The button that draws the film in the background. ``name`` is the film's, for people."""
    st.button(
        label, icon=":material/movie_edit:", key=f"{key}-film", on_click=_start, args=(run, make, key, name),
        help=explanation,
    )  # fmt: skip


def _start(run: Run, make: Make, key: str, name: str) -> None:
    job = st.session_state.get(f"{key}-job")
    if isinstance(job, Job) and job.running:
        return

    def work(progress: Told, cancelled: Asked) -> Run:
        make(progress=progress, cancelled=cancelled)
        return run

    st.session_state[f"{key}-job"] = Job(name, work)
