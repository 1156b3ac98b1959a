"""How far the running inference is, on its page and beside the others."""

from __future__ import annotations

import streamlit as st

from UserInterface.components.job import Job, progress_text
from UserInterface.components.session import INFERENCE_PAGE, current_job
from UserInterface.components.words import plain

REFRESH_S = 0.5


@st.fragment(run_every=REFRESH_S)
def progress_panel(job: Job) -> None:
    """The bar and the button that stops the work; runs the page again when the work has ended."""
    if not job.running:
        st.rerun(scope="app")
    share, text = progress_text(job.progress)
    with st.container(border=True):
        st.markdown(f"**Working on {plain(job.name)}**")
        st.progress(share, text="Stopping, and keeping what is done ..." if job.cancelling else text)
        st.button(
            "Stop and keep what is done",
            icon=":material/stop_circle:",
            on_click=job.cancel,
            disabled=job.cancelling,
            key="cancel",
        )
        st.caption("You may leave this page: the work goes on, and the run will be in Outputs.")


@st.fragment(run_every=1.0)
def sidebar_status() -> None:
    """One line on every page while an inference runs, and where to find its result."""
    job = current_job()
    if job is None:
        return
    share, text = progress_text(job.progress)
    if job.running:
        st.progress(share, text=f"Inference: {text}")
    st.page_link(
        INFERENCE_PAGE,
        label="To the running inference" if job.running else "The inference has ended: see it",
        icon=":material/directions_run:",
    )


@st.fragment(run_every=REFRESH_S)
def film_progress(job: Job, key: str) -> None:
    """The bar of a film that is drawn, and the button that stops it; runs the page again when it has ended."""
    if not job.running:
        st.rerun(scope="app")
    share, text = progress_text(job.progress)
    st.progress(share, text=f"Drawing: {text}")
    st.button("Stop", icon=":material/stop_circle:", on_click=job.cancel, disabled=job.cancelling, key=f"{key}-stop")
