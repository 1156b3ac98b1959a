"""The downloads of a run."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import streamlit as st

from pipeline.runs import Run

_PACKED = {".csv", ".json"}  # the rest is compressed already
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
    """One button a file; nothing is read before somebody presses it."""
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


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _button(label: str, data: Callable[[], BinaryIO], name: str, mime: str, icon: str, key: str) -> None:
    st.download_button(label, data, file_name=name, mime=mime, icon=icon, key=key, on_click="ignore")
