"""Inference: from a picture or clip to poses, and a look at the result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.inference import InferenceOptions, Progress, infer
from pipeline.media import MediaError, probe
from pipeline.runs import Run
from pipeline.sample import SAMPLE_NAME, sample_clip
from UserInterface.components import session
from UserInterface.components.job import Job
from UserInterface.components.model_list import show_models
from UserInterface.components.options_form import choose_options
from UserInterface.components.progress import progress_panel
from UserInterface.components.run_list import all_tags
from UserInterface.components.run_view import show_run
from UserInterface.components.words import plain, source_line

UPLOAD_TYPES = ("jpg", "jpeg", "png", "mp4", "mov", "avi", "webm", "mkv", "gif", "m4v", "webp")
UPLOAD, SAMPLE = "Upload a file", "The sample clip"


def main() -> None:
    """Settings, then the running work or the result."""
    st.title("Inference", anchor=False)
    _collect()
    job = session.current_job()
    run_id = st.query_params.get("run") or st.session_state.get("inference_run", "")
    if error := st.session_state.pop("job_error", ""):
        st.error(error, icon=":material/error:")
    with st.expander("New run", expanded=job is None and not run_id, icon=":material/add_circle:"):
        _settings(busy=job is not None)
    if job is not None:
        progress_panel(job)
    elif run_id:
        try:
            run = session.find_run(run_id)
        except ValueError as error_:
            st.error(str(error_), icon=":material/error:")
            st.session_state.pop("inference_run", None)
        else:
            st.session_state["inference_run"] = run_id
            show_run(run, "inference")
    show_models()


def _collect() -> None:
    """Take the result of a job that has ended."""
    job = session.current_job()
    if job is None or job.running:
        return
    del st.session_state["job"]
    if job.run is not None:
        st.session_state["inference_run"] = st.query_params["run"] = job.run.id
    else:
        st.session_state["job_error"] = job.error


def _settings(*, busy: bool) -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        source = _choose_source(busy)
    with right:
        try:
            options = choose_options(source.info if source else None, all_tags(session.store()), disabled=busy)
        except ValueError as error:
            st.error(str(error), icon=":material/error:")
            return
    if source is not None:
        st.button(
            "Find the poses",
            type="primary",
            icon=":material/play_arrow:",
            disabled=busy,
            on_click=_start,
            args=(source, options),
            key="start",
        )
        with st.expander("The same on the command line", icon=":material/terminal:"):
            st.code(options.command(source.name), language="bash", wrap_lines=True)
    else:
        st.button("Find the poses", icon=":material/play_arrow:", disabled=True, key="start-nothing")
        st.caption("Choose a file or the sample first.")


def _start(source: session.Source, options: InferenceOptions) -> None:
    """Begin, unless something runs already (a double click)."""
    if session.current_job() is not None:
        return
    uploaded = st.session_state.get("upload") is source
    try:
        if uploaded:
            source.write(st.session_state["file"])  # an earlier run of it has taken it away
    except OSError as error:
        st.session_state["job_error"] = f"The upload could not be stored ({error.strerror}); free some disk space."
        return
    st.session_state.pop("inference_run", None)
    st.query_params.clear()
    st.session_state["job"] = Job(source.name, partial(_infer, source.path, source.name, uploaded, options))


def _infer(
    path: Path,
    name: str,
    uploaded: bool,
    options: InferenceOptions,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Run:
    try:
        return infer(path, session.store(), options, name=name, progress=progress, cancelled=cancelled)
    except MediaError as error:
        raise MediaError(str(error).replace(path.name, plain(name))) from error
    finally:
        if uploaded:
            path.unlink(missing_ok=True)  # the run keeps its own copy


def _choose_source(busy: bool) -> session.Source | None:
    kind = st.segmented_control("Source", (UPLOAD, SAMPLE), default=UPLOAD, key="source", disabled=busy, required=True)
    try:
        source = _sample() if kind == SAMPLE else _uploaded(busy)
    except (ValueError, OSError) as error:
        st.error(str(error), icon=":material/error:")
        return None
    if source is None or source.info is None:
        return None
    st.image(source.picture, width=240)
    st.caption(source_line(source.info, source.name))
    return source


def _sample() -> session.Source:
    with st.spinner("Rendering the sample clip (once) ..."):
        path = sample_clip()
    return session.Source("", SAMPLE_NAME, path, probe(path), session.picture_of(path, 0.0))


def _uploaded(busy: bool) -> session.Source | None:
    file = st.file_uploader(
        "A picture or a clip",
        type=list(UPLOAD_TYPES),
        key="file",
        disabled=busy,
        help="Larger than 2 GB? `python -m pipeline infer CLIP` needs no upload, and its run shows up in Outputs.",
    )
    if file is None:
        st.caption("The file stays on this machine. Above 2 GB, use the command line: no upload needed.")
        return None
    upload = session.receive(file.file_id, file.name, file)
    if upload.error:
        raise MediaError(upload.error)
    return upload


main()
