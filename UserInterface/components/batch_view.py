"""How a batch stands: counts, a bar, and a table with every clip's state, progress, trouble and run."""

from __future__ import annotations

import shlex
from urllib.parse import quote

import pandas as pd
import streamlit as st

from pipeline.batch.batch import DEFAULT_NAME, Batch, Status
from pipeline.batch.items import DONE, FAILED, RUNNING, WAITING
from pipeline.inference import InferenceOptions
from UserInterface.components.words import plain

STATES = {DONE: "✅ done", FAILED: "❌ failed", RUNNING: "▶️ running", WAITING: "⏳ waiting"}
_ORDER = (RUNNING, FAILED, WAITING, DONE)
_SHOWN_ABOVE = ("state", "run", "error", "source", "worker")
ROWS = 14


def share_of(batch: Batch) -> tuple[float, str]:
    """The share of the clips that is done (0..1), and a line such as "3 of 8 clips, 1 failed; now a.mp4, 24 of 90"."""
    counts = batch.counts()
    total = len(batch.status)
    ended = counts[DONE] + counts[FAILED]
    running = [status for status in batch.status.values() if status.state == RUNNING]
    inside = sum(_inside(status) for status in running)
    text = f"{ended} of {total} clips"
    if counts[FAILED]:
        text += f", {counts[FAILED]} with trouble"
    if running:
        text += f"; now {plain(running[0].item.name, 50)}"
        if len(running) > 1:
            text += f" and {len(running) - 1} more"
    return (min(1.0, (ended + inside) / total) if total else 0.0), text


def table_of(batch: Batch) -> pd.DataFrame:
    """One row a clip, those that are running or have trouble first."""
    rows = sorted(batch.status.values(), key=lambda status: (_ORDER.index(status.state), status.item.name))
    return pd.DataFrame(
        {
            "clip": [status.item.name for status in rows],
            "state": [STATES[status.state] for status in rows],
            "progress": [_progress(status) for status in rows],
            "trouble": [status.errors for status in rows],
            "run": [_link(status) for status in rows],
        }
    )


def show_status(batch: Batch) -> None:
    """The table of the clips."""
    table = table_of(batch)
    troubles = table["trouble"].str.len().gt(0).any()
    st.dataframe(
        table if troubles else table.drop(columns="trouble"),
        hide_index=True,
        height=min(ROWS, len(table) + 1) * 35 + 3,
        column_config={
            "clip": st.column_config.TextColumn("Clip", width="medium"),
            "state": st.column_config.TextColumn("State", width="small"),
            "progress": st.column_config.ProgressColumn("Progress", format="percent", min_value=0.0, max_value=1.0),
            "trouble": st.column_config.TextColumn("Trouble", width="large"),
            "run": st.column_config.LinkColumn("Run", display_text="open", width="small"),
        },
        key="batch-status",
    )


def show_results(batch: Batch) -> None:
    """What the tasks say of every clip, and the two files of it."""
    table = batch.table()
    answers = table[table["state"] == DONE].set_index("file").drop(columns=list(_SHOWN_ABOVE), errors="ignore")
    if answers.empty:
        return
    st.markdown("##### All clips, one row each")
    st.dataframe(answers.dropna(axis=1, how="all"), height=min(ROWS, len(answers) + 1) * 35 + 3, key="batch-results")
    with st.container(horizontal=True):
        for label, name, mime in (
            ("Table (CSV)", "summary.csv", "text/csv"),
            ("Table (Parquet)", "summary.parquet", "application/vnd.apache.parquet"),
        ):
            content = batch.place.read(name)
            if content is not None:
                st.download_button(
                    label, content, f"{batch.name}-{name}", mime, icon=":material/table_view:", on_click="ignore",
                    key=f"batch-{name}",
                )  # fmt: skip


def command(inputs: tuple[str, ...], batch_name: str, tasks: tuple[str, ...], options: InferenceOptions) -> str:
    """The command line that does the same."""
    parts = ["python -m pipeline batch", *map(shlex.quote, inputs), f"--tasks {','.join(tasks)}"]
    if batch_name != DEFAULT_NAME:
        parts.append(f"--name {batch_name}")
    rest = options.command("").removeprefix("python -m pipeline infer ''").strip()
    return " ".join([*parts, *([rest] if rest else [])])


def _progress(status: Status) -> float:
    if status.state == DONE:
        return 1.0
    return _inside(status) if status.state == RUNNING else 0.0


def _inside(status: Status) -> float:
    progress = status.progress
    if progress is None or not progress.frames_total:
        return 0.0
    return min(1.0, progress.frames / progress.frames_total)


def _link(status: Status) -> str:
    run = status.record.run if status.record else ""
    return f"/Inference?run={quote(run)}" if run else ""
