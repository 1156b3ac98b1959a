"""The downloads of a run: its files, its report, and its poses for other programs."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import streamlit as st

from pipeline.exchange import EXPORT_FORMATS, ExportOptions, export_poses
from pipeline.poses import PoseSequence, Recording
from pipeline.report import Kind, make_report
from pipeline.runs import Run
from UserInterface.components.session import recording_of

_PACKED = {".csv", ".json"}  # the rest is compressed already
_ONE_PERSON = ("trc", "mot", "c3d", "bvh")
_ORIGINS = {"hips": "hips, as measured", "floor": "feet on the floor"}
_ICONS = {
    "trc": ":material/scatter_plot:",
    "mot": ":material/show_chart:",
    "c3d": ":material/view_in_ar:",
    "bvh": ":material/animation:",
}
REPORTS: tuple[tuple[Kind, str, str, str], ...] = (
    ("pdf", "Report (PDF)", "application/pdf", ":material/picture_as_pdf:"),
    ("html", "Report (HTML)", "text/html", ":material/article:"),
)
_FILES = (
    ("Table (CSV)", "poses.csv", "text/csv", ":material/table_view:"),
    ("Table (Parquet)", "poses.parquet", "application/vnd.apache.parquet", ":material/database:"),
    ("Poses (JSON)", "poses.json", "application/json", ":material/data_object:"),
    ("Overlay video", "overlay.mp4", "video/mp4", ":material/movie:"),
    ("Overlay picture", "overlay.png", "image/png", ":material/image:"),
    ("Manifest", "manifest.json", "application/json", ":material/description:"),
)


def zip_run(run: Run) -> BinaryIO:
    """All files of a run in one zip, its id as the folder inside; an open temporary file that removes itself."""
    archive = tempfile.TemporaryFile()  # noqa: SIM115 -- handed on to whoever sends it
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(run.folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                packing = zipfile.ZIP_DEFLATED if path.suffix in _PACKED else zipfile.ZIP_STORED
                file.write(path, Path(run.id) / path.relative_to(run.folder), compress_type=packing)
    archive.seek(0)
    return archive


def download_buttons(run: Run, key: str) -> None:
    """One button a file; nothing is read or made before somebody presses it."""
    with st.container(horizontal=True):
        for label, name, mime, icon in _FILES:
            if (path := run.file(name)) is not None:
                _button(label, partial(_open, path), f"{run.id}-{name}", mime, icon, f"{key}-{name}")
        _button(
            "Everything (zip)",
            partial(zip_run, run),
            f"{run.id}.zip",
            "application/zip",
            ":material/folder_zip:",
            f"{key}-zip",
        )
    recording = recording_of(run)
    if recording.people and len(recording):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            _reports(run, recording, key)
            with st.popover("For other programs", icon=":material/ios_share:"):
                _other_programs(run, recording, key)


def _reports(run: Run, recording: Recording, key: str) -> None:
    """Two buttons; with several people in the clip it has to be said whose report it is."""
    ids = [person.person for person in recording.people]
    if len(ids) == 1:
        _report_buttons(run, ids[0], key)
        return
    with st.popover("Report", icon=":material/article:"):
        longest = max(recording.people, key=lambda p: p.frames_seen).person
        person = st.selectbox("Whose", ids, index=ids.index(longest), key=f"{key}-report-person")
        _report_buttons(run, person, key)


def _report_buttons(run: Run, person: int, key: str) -> None:
    for kind, label, mime, icon in REPORTS:
        _button(
            label, partial(_report, run, kind, person), f"{run.id}-report.{kind}", mime, icon, f"{key}-report-{kind}"
        )


def _report(run: Run, kind: Kind, person: int) -> BinaryIO:
    return io.BytesIO(make_report(run, kind, person))


def _other_programs(run: Run, recording: Recording, key: str) -> None:
    """OpenSim, motion capture, animation: one person a file."""
    ids = [person.person for person in recording.people]
    longest = max(recording.people, key=lambda p: p.frames_seen).person
    left, right = st.columns(2)
    chosen = left.selectbox("Person", ids, index=ids.index(longest), key=f"{key}-export-person")
    person = recording.person(chosen)
    flat = not _has_space(person)
    origin: str = right.selectbox(
        "Origin",
        list(_ORIGINS),
        format_func=lambda name: _ORIGINS[name],
        key=f"{key}-export-origin",
        help="Feet on the floor sets the lowest foot of every frame down: right for squats, wrong for jumps.",
    )
    height_m = None
    if flat:
        height_m = st.number_input(
            "Body height (m)", 0.5, 2.5, value=None, step=0.01, placeholder="such as 1.75", key=f"{key}-export-height",
            help="These poses are known in the picture only; the height scales them to metres.",
        )  # fmt: skip
    filtered = st.toggle("Filtered", value=True, key=f"{key}-export-filtered", help="Gaps filled, smoothed at 6 Hz.")
    options = ExportOptions(person=chosen, origin=origin, height_m=height_m, filtered=filtered)
    for name in _ONE_PERSON:
        known = EXPORT_FORMATS[name]
        lacking = _lacking(name, person, flat, height_m)
        st.download_button(
            known.label,
            partial(_exported, run, name, options),
            file_name=f"{run.id}-person{chosen}{known.suffix}",
            mime=known.mime,
            icon=_ICONS[name],
            key=f"{key}-export-{name}",
            on_click="ignore",
            disabled=bool(lacking),
            help=lacking or None,
            width="stretch",
        )
    st.caption("y up, metres (TRC), millimetres (C3D), degrees (MOT); even frame times. Details: docs/using.md")


def _lacking(name: str, person: PoseSequence, flat: bool, height_m: float | None) -> str:
    """Why this format cannot be written; empty when it can."""
    if not person.frames_seen:
        return "This person was seen in no frame."
    if name == "bvh" and flat:
        return "An animation needs poses in space; BlazePose finds them."
    if name in ("trc", "c3d") and flat and height_m is None:
        return "Give the body height above: these poses are in pixels."
    return ""


def _has_space(person: PoseSequence) -> bool:
    return person.xyz_m is not None and bool(np.isfinite(person.xyz_m).any())


def _exported(run: Run, name: str, options: ExportOptions) -> BinaryIO:
    return io.BytesIO(export_poses(recording_of(run), name, options, run.id).content)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _button(label: str, data: Callable[[], BinaryIO], name: str, mime: str, icon: str, key: str) -> None:
    st.download_button(label, data, file_name=name, mime=mime, icon=icon, key=key, on_click="ignore")
