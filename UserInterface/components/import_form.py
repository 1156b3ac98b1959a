"""Poses that another program found, as a run."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from pipeline.exchange import IMPORT_FORMATS, ImportOptions, import_run
from pipeline.runs import Run
from UserInterface.components import session

_POSE_FILES = ["json", "trc", "c3d", "csv", "tsv", "txt", "parquet"]
_CLIPS = ["mp4", "mov", "avi", "webm", "mkv", "gif", "m4v"]


def import_form() -> None:
    """Files, what they do not say about themselves, and the button that makes the run."""
    formats = "; ".join(IMPORT_FORMATS.values())
    st.caption(f"{formats}. No inference is needed but for boxes: every analysis works on the run.")
    files = st.file_uploader(
        "Pose files (all files of an OpenPose folder at once)",
        _POSE_FILES,
        accept_multiple_files=True,
        key="import-files",
    )
    clip = st.file_uploader(
        "The clip they belong to, if you have it (gives times, size and pictures; MMDet's boxes need it)",
        _CLIPS,
        key="import-clip",
    )
    left, middle, right = st.columns(3)
    fps = left.number_input(
        "Frames a second", 0.1, 1000.0, value=None, placeholder="if not in the file", key="import-fps"
    )
    size = middle.text_input("Picture size", placeholder="1280x720", key="import-size")
    up = right.selectbox("Up axis (3D)", ("y", "z"), key="import-up")
    subject = st.text_input("Subject", key="import-subject", placeholder="whose movement it is")
    if st.button("Import", type="primary", icon=":material/upload_file:", key="import-go", disabled=not files):
        try:
            options = ImportOptions(fps=fps, size=size.strip(), up=up, subject=subject.strip())
            with st.spinner("Reading the poses ..."):
                run = make_run(files, clip, options)
        except ValueError as error:
            st.error(str(error), icon=":material/error:")
            return
        notes = run.manifest.parameters.get("notes") or []
        st.session_state["outputs_notice"] = " ".join(["The poses are imported.", *notes])
        st.query_params["run"] = run.id
        st.rerun()


def make_run(files: Sequence[Any], clip: Any, options: ImportOptions) -> Run:
    """The uploads as a run. They lie in a folder of ours for as long as it takes; their names are only shown.

    Raises:
        ValueError: in words, from the importer.
    """
    with tempfile.TemporaryDirectory(prefix="kinoscope-import-") as folder:
        paths = [_put(file, Path(folder) / str(number)) for number, file in enumerate(files)]
        paths.sort(key=lambda path: path.name)
        video = None if clip is None else _put(clip, Path(folder) / "clip")
        name = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
        return import_run(paths, session.store(), options, video, name)


def _put(upload: Any, folder: Path) -> Path:
    """The upload in this folder under a harmless form of its name, which may carry a frame number."""
    folder.mkdir()
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(upload.name).stem)[-60:] or "poses"
    suffix = re.sub(r"[^a-z0-9.]", "", Path(upload.name).suffix.lower())[:8]
    path = folder / f"{safe}{suffix}"
    upload.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(upload, file, 1 << 20)
    return path
