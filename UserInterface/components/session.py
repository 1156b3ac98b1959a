"""What a browser session holds: its store, its upload, its job and the run it looks at."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import streamlit as st

from pipeline import settings
from pipeline.media import MediaError, probe, read_frame_at
from pipeline.poses import MediaInfo, Recording
from pipeline.runs import Run, RunError, RunStore
from UserInterface.components.job import Job
from UserInterface.components.words import plain

INFERENCE_PAGE = "pages/01_Inference.py"
OUTPUTS_PAGE = "pages/03_Outputs.py"


def store() -> RunStore:
    """The run store of this installation."""
    return RunStore(settings.outputs_dir())


def find_run(run_id: str) -> Run:
    """A run of the store by its id; a path is no id. Raises RunError in words."""
    if not run_id or Path(run_id).name != run_id:
        raise RunError(f"{run_id[:80]!r} is not the id of a run; choose one in Outputs.")
    try:
        return store().get(run_id)
    except RunError as error:
        raise RunError(f"There is no run {run_id[:80]!r} here; it may have been deleted. Outputs shows all.") from error


def recording_of(run: Run) -> Recording:
    """The run's poses, read once for each version of the file. Raises RunError or SchemaError in words."""
    path = run.folder / "poses.parquet"
    return _recording(str(run.folder), path.stat().st_mtime_ns if path.is_file() else 0)


@st.cache_resource(max_entries=8, show_spinner=False)
def _recording(folder: str, modified_ns: int) -> Recording:  # noqa: ARG001 -- part of the cache key
    return Run(Path(folder)).recording()


def current_job() -> Job | None:
    """The inference of this session that runs or has just ended."""
    job = st.session_state.get("job")
    return job if isinstance(job, Job) else None


@dataclass
class Source:
    """A file to find poses in. An upload lies under a name of ours; ``name`` is theirs and only ever shown."""

    file_id: str
    name: str
    path: Path
    info: MediaInfo | None = None
    picture: bytes = b""
    error: str = ""

    def write(self, content: BinaryIO) -> None:
        """Put the content at ``path``, unless it is there. Raises OSError."""
        if not self.path.is_file():
            content.seek(0)
            with self.path.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)


def receive(file_id: str, name: str, content: BinaryIO) -> Source:
    """Put an uploaded file into this session's folder (once) and look what it is.

    The name is random: what a file is, its content says. The file goes when its run is made, when another file comes,
    and with the session.
    """
    upload = st.session_state.get("upload")
    if isinstance(upload, Source):
        if upload.file_id == file_id:
            return upload
        upload.path.unlink(missing_ok=True)
    upload = Source(file_id, name, Path(_folder().name) / f"{secrets.token_hex(8)}{_ending(name)}")
    try:
        upload.write(content)
        upload.info = probe(upload.path)
        upload.picture = picture_of(upload.path, 0.0)
    except MediaError as error:
        upload.error = str(error).replace(upload.path.name, plain(name))
    except OSError as error:
        upload.error = f"The upload could not be stored ({error.strerror or error}); free some disk space."
    if upload.error:
        upload.path.unlink(missing_ok=True)
    st.session_state["upload"] = upload
    return upload


def _folder() -> tempfile.TemporaryDirectory[str]:
    if "folder" not in st.session_state:
        st.session_state["folder"] = tempfile.TemporaryDirectory(prefix="kinoscope-", ignore_cleanup_errors=True)
    folder = st.session_state["folder"]
    assert isinstance(folder, tempfile.TemporaryDirectory)
    return folder


def _ending(name: str) -> str:
    """The name's ending when it is a plain one, so that the stored source opens with a double click."""
    suffix = Path(name[-20:]).suffix.lower()
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 5 else ""


@st.cache_data(max_entries=64, show_spinner=False)
def frame_at(path: str, modified_ns: int, time_s: float, max_side_px: int = 1280) -> bytes:  # noqa: ARG001 -- part of the cache key
    """The frame shown at a moment, as JPEG with its longer side at most ``max_side_px``. Raises MediaError."""
    from UserInterface.components.figures import jpeg

    return jpeg(read_frame_at(Path(path), time_s).image, max_side_px)


def picture_of(path: Path, time_s: float) -> bytes:
    """``frame_at`` for this version of the file."""
    return frame_at(str(path), path.stat().st_mtime_ns, round(time_s, 6))
