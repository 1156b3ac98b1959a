"""The models: how fast and large they are on this machine, and how those that are missing come here."""

from __future__ import annotations

import math
from functools import partial

import pandas as pd
import streamlit as st

from pipeline import doctor
from pipeline.estimation.accelerators import engine_warning
from pipeline.estimation.download import DownloadProgress, download
from pipeline.estimation.registry import ModelEntry, how_to_get, is_installed, list_models
from UserInterface.components.task import Report, Task, task_panel

TASK = "model_task"


def speed_words(name: str) -> str:
    """What was measured here, in a few words; empty before it was measured."""
    measured = doctor.cached_speed(name)
    return f"{measured['frames_per_s']:.0f} frames/s here" if measured else ""


def working_point_speed(model: str, point: str) -> str:
    """What the working point costs here with this model, in brackets; empty before it was measured."""
    measured = (doctor.cached_speed(model) or {}).get("working_points", {}) if model else {}
    return f" ({measured[point]:.0f} frames/s here)" if point in measured else ""


def show_models() -> None:
    """Two lists: what is here with measured speed and memory, and what is not with a way to get it.

    Above them, where the chosen engine lets a GPU idle, how to change that.
    """
    task: Task | None = st.session_state.get(TASK)
    if task is not None and not task.running:
        del st.session_state[TASK]
        if task.error:
            st.error(task.error, icon=":material/error:")
        else:
            st.success(f"{task.name}: done.", icon=":material/check_circle:")
        task = None
    if warning := engine_warning(st.session_state.get("engine") or "onnx"):
        st.warning(warning, icon=":material/memory:")
    here = [entry for entry in list_models() if is_installed(entry)]
    missing = [entry for entry in list_models() if not is_installed(entry, "onnx")]
    with st.expander("Models on this machine", icon=":material/speed:", expanded=task is not None):
        st.dataframe(speed_table(here), hide_index=True, width="stretch")
        if task is not None:
            task_panel(task, "stop-model-task")
        else:
            st.button(
                "Measure their speed here",
                icon=":material/timer:",
                on_click=_start,
                args=("Measuring", partial(_measure, [entry.name for entry in here])),
                help="A few seconds a model, on a rendered person at 640x480; best while nothing else runs.",
                key="measure-models",
            )
            st.caption("On the command line: `python -m pipeline doctor --bench`")
    if missing:
        with st.expander(f"{len(missing)} more models, not installed yet", icon=":material/download:"):
            for entry in missing:
                _show_missing(entry, busy=task is not None)


def speed_table(entries: list[ModelEntry]) -> pd.DataFrame:
    """A row a model; NaN and empty where it was not measured on this machine."""
    rows = []
    for entry in entries:
        measured = doctor.cached_speed(entry.name) or {}
        rows.append(
            {
                "model": entry.title,
                "frames/s": measured.get("frames_per_s", math.nan),
                "ms a frame": measured.get("frame_ms", math.nan),
                "memory (MiB)": measured.get("peak_mib", math.nan),
                "measured": measured.get("what", "not yet"),
                "runs on": measured.get("device", ""),
            }
        )
    return pd.DataFrame(rows)


def _show_missing(entry: ModelEntry, *, busy: bool) -> None:
    columns = st.columns([4, 1], vertical_alignment="center")
    published = "" if math.isnan(entry.published) else f" · {entry.metric} {entry.published:.3g}"
    columns[0].markdown(f"**{entry.title}** (`{entry.name}`){published}")
    columns[0].caption(how_to_get(entry))
    if is_installed(entry, "mmpose"):
        label, icon, work = "Make ONNX", ":material/conversion_path:", partial(_export, entry.name)
    elif entry.onnx_url or entry.checkpoint_url:
        label, icon, work = "Download", ":material/download:", partial(_download, entry.name)
    else:
        return
    columns[1].button(
        label, icon=icon, disabled=busy, key=f"get-{entry.name}", on_click=_start, args=(f"{label} {entry.name}", work)
    )


def _start(name: str, work: partial[None]) -> None:
    if st.session_state.get(TASK) is None:
        st.session_state[TASK] = Task(name, work)


def _measure(names: list[str], report: Report) -> None:
    failed = []
    for number, name in enumerate(names):
        report(name, number / len(names))
        try:
            doctor.measure(name)
        except ValueError as error:
            failed.append(str(error))
    if failed:
        raise ValueError(" ".join(failed))


def _download(name: str, report: Report) -> None:
    def told(progress: DownloadProgress) -> None:
        total = progress.total_bytes
        text = f"{progress.file}, {progress.done_bytes / 1e6:.1f}" + (f" of {total / 1e6:.1f} MB" if total else " MB")
        report(text, progress.done_bytes / total if total else 0.0)

    needs_export = not next(entry for entry in list_models() if entry.name == name).onnx_url
    download(name, progress=told)
    if needs_export:
        _export(name, report)


def _export(name: str, report: Report) -> None:
    from pipeline.estimation.export import export_onnx

    report("making the ONNX file and holding it against PyTorch", 0.5)
    export_onnx(name)
