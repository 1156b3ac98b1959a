"""Batch: a folder of clips becomes runs and one table; what has trouble is not in the way of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.batch.batch import Batch, look_at, open_batch, options_of, stored, stored_batches
from pipeline.batch.items import FAILED, BatchError, find_items
from pipeline.batch.tasks import INFER, TASKS, available_tasks
from pipeline.inference import InferenceOptions
from pipeline.runs import slug
from UserInterface.components import session
from UserInterface.components.batch_job import BatchJob, job_of, start
from UserInterface.components.batch_view import command, share_of, show_results, show_status
from UserInterface.components.options_form import choose_options
from UserInterface.components.run_list import all_tags
from UserInterface.components.words import plain

CLIPS_VARIABLE = "KINOSCOPE_CLIPS"  # a server shows this folder only
REFRESH_S = 1.0


def main() -> None:
    """A new batch, then the one that is looked at."""
    st.title("Batch", anchor=False)
    st.caption("Many clips at once: one run each, one table over all of them. A stopped batch goes on where it was.")
    out = str(session.store().folder)
    names = stored_batches(Path(out))
    if error := st.session_state.pop("batch_error", ""):
        st.error(error, icon=":material/error:")
    with st.expander("New batch", expanded=not names, icon=":material/add_circle:"):
        _new(out, names)
    if names:
        _look(out, names)


def _new(out: str, names: list[str]) -> None:
    root = os.environ.get(CLIPS_VARIABLE, "")
    given = st.text_input(
        "Folder, glob or file on this machine",
        value=root,
        key="batch-inputs",
        placeholder="/data/study/*.mp4",
        help="A folder gives every clip and picture in it and below; s3:// and gs:// work, too. Nothing is uploaded.",
    ).strip()
    tasks = st.multiselect(
        "What to do",
        available_tasks(),
        default=[INFER, "analyze"],
        key="batch-tasks",
    )
    st.caption("; ".join(f"**{name}**: {TASKS[name].text}" for name in tasks))
    with st.expander("Settings for every clip", icon=":material/tune:"):
        try:
            options = choose_options(None, all_tags(session.store()))
        except ValueError as error:
            st.error(str(error), icon=":material/error:")
            return
    if not given:
        st.caption(
            "Name a folder first. What comes out: a run of each clip, and a table with its movement and repetitions."
        )
        return
    name = st.text_input("Name of the batch", value=_free_name(given, names), key=f"batch-name-{given}").strip()
    try:
        _allowed(given, root)
        found = find_items([given], but_not_in=out)
    except ValueError as error:
        st.error(plain(str(error), 400), icon=":material/error:")
        return
    st.markdown(f"**{len(found)}** clips and pictures: {plain(', '.join(item.name for item in found[:5]), 300)}")
    st.button(
        "Start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=not tasks,
        on_click=_begin,
        args=(given, tuple(tasks), out, options, name, False),
        key="batch-start",
    )
    with st.expander("The same on the command line", icon=":material/terminal:"):
        st.code(command((given,), name, tuple(tasks), options), language="bash", wrap_lines=True)
        st.caption("On a Ray cluster: add `--ray auto`.")


def _begin(given: str, tasks: tuple[str, ...], out: str, options: InferenceOptions, name: str, resume: bool) -> None:
    try:
        start(open_batch([given], tasks, out, options, name=name, resume=resume))
        st.session_state["batch-chosen"] = name
    except ValueError as error:
        st.session_state["batch_error"] = plain(str(error), 400)


def _resume(out: str, name: str) -> None:
    try:
        asked = stored(out, name)
        if asked is None:
            raise BatchError(f"The batch {name!r} was removed.")
        start(open_batch(asked["inputs"], asked["tasks"], out, options_of(asked), name=name, resume=True))
    except ValueError as error:
        st.session_state["batch_error"] = plain(str(error), 400)


def _look(out: str, names: list[str]) -> None:
    if st.session_state.get("batch-chosen") not in names:
        st.session_state["batch-chosen"] = names[0]
    name = st.selectbox("Batch", names, key="batch-chosen")
    job = job_of(out, name)
    if job is not None and job.running:
        _running(job)
        return
    if job is not None and job.error:
        st.error(plain(job.error, 400), icon=":material/error:")
    try:
        batch = look_at(out, name)
    except ValueError as error:
        st.error(plain(str(error), 400), icon=":material/error:")
        return
    _ended(out, batch)


@st.fragment(run_every=REFRESH_S)
def _running(job: BatchJob) -> None:
    if not job.running:
        st.rerun(scope="app")
    share, text = share_of(job.batch)
    st.progress(share, text="Stopping ..." if job.cancelling else text)
    st.button(
        "Stop", icon=":material/stop_circle:", on_click=job.cancel, disabled=job.cancelling, key="batch-stop",
        help="What is done stays; Resume goes on with the rest.",
    )  # fmt: skip
    show_status(job.batch)
    st.caption("You may leave this page: the work goes on, and every run is in Outputs as soon as it is done.")


def _ended(out: str, batch: Batch) -> None:
    counts, left = batch.counts(), len(batch.pending)
    _, text = share_of(batch)
    if not batch.status:
        st.info("The clips of this batch are gone, and none was done.", icon=":material/info:")
        return
    if left:
        reason = "try those with trouble again" if left == counts[FAILED] else f"do the {left} that are left"
        st.warning(f"{text}.", icon=":material/pending:")
        st.button(
            f"Resume: {reason}", icon=":material/play_arrow:", on_click=_resume, args=(out, batch.name),
            key="batch-resume",
        )  # fmt: skip
    else:
        st.success(f"{text}: all done.", icon=":material/check_circle:")
    show_status(batch)
    show_results(batch)


def _free_name(given: str, names: list[str]) -> str:
    stem = slug(Path(given.rstrip("/*")).name)[:32]
    number = 1
    while (name := stem if number == 1 else f"{stem}-{number}") in names:
        number += 1
    return name


def _allowed(given: str, root: str) -> None:
    """On a server, only the folder that it is for. Raises BatchError."""
    if root and not Path(given).resolve().is_relative_to(Path(root).resolve()):
        raise BatchError(f"This dashboard reads clips from {root} only.")


main()
