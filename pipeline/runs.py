"""The run store: one folder a run, complete or not there at all.

``<store>/<id>/`` holds ``manifest.json``, ``poses.parquet|csv|json``, the source as it came, the overlay, a thumbnail
and ``results/<analysis>.json``. A run is built in a hidden folder beside the others and renamed when it is whole, so a
killed process leaves nothing behind that looks like a run; every later file is written the same way.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from pipeline import __version__
from pipeline.poses import SCHEMA_VERSION, ModelInfo, PoseSequence, Recording, SchemaError, check_schema, media_info
from pipeline.skeletons import BLAZEPOSE_33, SKELETONS

_STAGING = ".making-"
_DELETING = ".deleting-"
_STALE_AFTER_S = 24 * 3600.0
_POSES_KEY = b"kinoscope"
_PIXEL_DECIMALS, _METRE_DECIMALS, _SCORE_DECIMALS = 2, 4, 4  # far below what any pose model resolves


class RunError(ValueError):
    """A run cannot be made, found or read; the message says why and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What made a run, enough to make it again.

    ``source`` holds name, sha256 and either ``file`` (inside the run) or ``link`` (a path elsewhere). ``state`` is
    "complete", or "cancelled" when the user stopped it and kept what was done.
    """

    id: str
    created_utc: str
    source: dict[str, Any]
    model: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    frames: int = 0
    duration_s: float = 0.0
    people: list[dict[str, Any]] = field(default_factory=list)
    device: str = ""
    seconds: float = 0.0
    state: str = "complete"
    subject: str = ""
    tags: list[str] = field(default_factory=list)
    tool_version: str = __version__
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Run:
    """A run on disk."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        """Raises RunError or SchemaError in words when the manifest cannot be read."""
        values = _read_json(self.folder / "manifest.json", f"The run {self.folder.name}")
        check_schema(values.get("schema_version"), f"The run {self.folder.name}")
        known = {key: values[key] for key in Manifest.__dataclass_fields__ if key in values}
        try:
            return Manifest(**known)
        except TypeError as error:
            raise RunError(f"The run {self.folder.name} has a damaged manifest ({error}); delete it.") from error

    @property
    def id(self) -> str:
        """The run's name, which is its folder's."""
        return self.folder.name

    def file(self, name: str) -> Path | None:
        """A file of the run; None when it is not there."""
        path = self.folder / name
        return path if path.is_file() else None

    @property
    def overlay(self) -> Path | None:
        """The picture or video with the poses drawn in; None when it was not made."""
        return self.file("overlay.mp4") or self.file("overlay.png")

    @property
    def source(self) -> Path | None:
        """The clip as it came; None when it is gone (then the poses still work)."""
        stored = self.manifest.source
        path = Path(stored["link"]) if stored.get("link") else self.folder / str(stored.get("file") or "missing")
        return path if path.is_file() else None

    def missing(self) -> str:
        """What this run lacks, in a sentence; empty when it lacks nothing."""
        if self.source is None:
            if self.manifest.parameters.get("imported"):
                return (
                    "These poses were imported without a clip: curves, tables and analyses work, "
                    "anything that needs its pictures does not."
                )
            link = self.manifest.source.get("link")
            where = f" (it was linked from {link})" if link else ""
            return (
                f"The source clip is gone{where}: poses, curves and tables work, "
                "anything that needs its pictures does not."
            )
        return ""

    def recording(self) -> Recording:
        """The poses. Raises RunError when the file is missing or damaged."""
        path = self.folder / "poses.parquet"
        try:
            return read_poses(path)
        except (OSError, pa.ArrowException, KeyError, orjson.JSONDecodeError) as error:
            raise RunError(f"The poses of run {self.id} cannot be read ({error}); run the inference again.") from error

    def results(self) -> dict[str, dict[str, Any]]:
        """Every stored analysis by name."""
        return {p.stem: _read_json(p, f"The result {p.name}") for p in sorted(self.folder.glob("results/*.json"))}

    def add_result(self, analysis: str, result: dict[str, Any]) -> Path:
        """Write ``results/<analysis>.json``, replacing an earlier one whole."""
        path = self.folder / "results" / f"{slug(analysis)}.json"
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, _json({"schema_version": SCHEMA_VERSION, "analysis": analysis} | result))
        return path

    def add_file(self, name: str, write: Callable[[Path], None]) -> Path:
        """A further file of the run, made by ``write(path)`` in a hidden place and renamed when it is whole."""
        target = self.folder / name
        staging = target.with_name(f"{_STAGING}{secrets.token_hex(4)}-{target.name}")
        try:
            write(staging)
            staging.replace(target)
        finally:
            staging.unlink(missing_ok=True)
        return target

    def update(self, **changes: Any) -> Run:
        """Change fields of the manifest (subject, tags ...)."""
        write_atomically(self.folder / "manifest.json", _json(asdict(self.manifest) | changes))
        return Run(self.folder)


class RunStore:
    """A folder of runs. Several processes may use one store at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[RunBuilder]:
        """Build a run; it appears in the store when the block ends without an exception.

        Args:
            name: the clip's name, for people; only a cleaned-up piece of it gets into the folder's name.

        Raises:
            RunError: the store cannot be written, or the disk is full.
        """
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug(Path(name).stem)[:32]}-{secrets.token_hex(3)}"
        staging = self.folder / f"{_STAGING}{run_id}"
        try:
            with _in_words(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._sweep()
                staging.mkdir()
            builder = RunBuilder(staging, run_id)
            with _in_words(self.folder):
                yield builder
                if not (staging / "manifest.json").is_file():
                    raise RunError("A run needs its manifest: call finish() before the block ends.")
                staging.rename(self.folder / run_id)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def runs(self) -> list[Run]:
        """All runs, newest first. Folders that are no runs are left out; damaged runs are kept (see ``Run``)."""
        if not self.folder.is_dir():
            return []
        folders = [f for f in self.folder.iterdir() if not f.name.startswith(".") and (f / "manifest.json").is_file()]
        return [Run(f) for f in sorted(folders, key=lambda f: f.name, reverse=True)]

    def get(self, run: str) -> Run:
        """A run by id or by its folder. Raises RunError when there is none."""
        path = Path(run)
        folder = path if path.is_absolute() or len(path.parts) > 1 else self.folder / run
        if run and not path.name.startswith(".") and (folder / "manifest.json").is_file():
            return Run(folder)
        raise RunError(f"There is no run {run!r} in {self.folder}; `python -m pipeline runs list` shows the runs.")

    def delete(self, run: str) -> None:
        """Remove a run and everything in it. Raises RunError when it is not in this store."""
        folder = self.get(run).folder.resolve()
        if folder.parent != self.folder.resolve():
            raise RunError(f"The run {run!r} is not in {self.folder}; delete it with --out set to its store.")
        with _in_words(self.folder):
            hidden = folder.with_name(f"{_DELETING}{folder.name}")
            folder.rename(hidden)
            shutil.rmtree(hidden)

    def _sweep(self) -> None:
        """Remove what killed processes left behind a day ago or earlier."""
        for folder in self.folder.glob(".*-*"):
            if folder.name.startswith((_STAGING, _DELETING)):
                with contextlib.suppress(OSError):
                    if time.time() - folder.stat().st_mtime > _STALE_AFTER_S:
                        shutil.rmtree(folder, ignore_errors=True)


class RunBuilder:
    """A run being made, in its hidden folder."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.folder = folder
        self.id = run_id
        self._source: dict[str, Any] = {}

    def keep_source(self, path: Path, name: str = "", *, link: bool = False) -> dict[str, Any]:
        """Copy the source into the run as it came (or link it), hashing it on the way.

        Args:
            name: what the user called it; stored as text, never used as a path.
            link: store path and hash instead of a copy.
        """
        target = self.folder / f"source{_suffix(path)}"
        digest = _copy(path, None if link else target)
        self._source = {"name": name or path.name, "sha256": digest}
        self._source |= {"link": str(path.resolve())} if link else {"file": target.name}
        return self._source

    def finish(self, recording: Recording, *, tables: bool = True, **manifest: Any) -> Manifest:
        """Write the poses and the manifest; ``manifest`` fills the fields of ``Manifest`` that are known here."""
        write_poses(self.folder / "poses.parquet", recording)
        if tables:
            write_csv(self.folder / "poses.csv", recording)
            (self.folder / "poses.json").write_bytes(rounded(recording).to_json())
        source = asdict(recording.source) | self._source
        duration_s = float(recording.time_s[-1] - recording.time_s[0]) if len(recording) else 0.0
        if len(recording) > 1:
            duration_s += float(np.median(np.diff(recording.time_s)))  # the last frame is shown, too
        made = Manifest(
            id=self.id,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            source=source,
            model=recording.header()["model"],
            frames=len(recording),
            duration_s=round(duration_s, 3),
            people=[{"person": p.person, "frames_seen": p.frames_seen} for p in recording.people],
            device=recording.model.device,
            **manifest,
        )
        write_atomically(self.folder / "manifest.json", _json(asdict(made)))
        return made


def write_poses(path: Path, recording: Recording) -> None:
    """Everybody's tidy table as Parquet, with what does not fit a table in the file's metadata (lossless)."""
    header = recording.header() | {"time_s": recording.time_s}
    for entry, person in zip(header["people"], recording.people, strict=True):
        if person.root_m is not None:
            entry["root_m"] = np.ascontiguousarray(person.root_m)
    table = pa.Table.from_pandas(recording.to_frame(), preserve_index=False)
    table = table.replace_schema_metadata({_POSES_KEY: orjson.dumps(header, option=orjson.OPT_SERIALIZE_NUMPY)})
    pq.write_table(table, path, compression="zstd")


def read_poses(path: Path) -> Recording:
    """The inverse of ``write_poses``. Raises OSError, ArrowException or SchemaError."""
    table = pq.read_table(path)
    metadata = (table.schema.metadata or {}).get(_POSES_KEY)
    if metadata is None:
        raise SchemaError(f"{path.name} was not written by Kinoscope: it lacks the header.")
    header = orjson.loads(metadata)
    check_schema(header.get("schema_version"), path.name)
    time_s = np.array(header["time_s"], dtype=np.float64)
    skeleton = SKELETONS.get(header["skeleton"] or "", BLAZEPOSE_33)
    rows = table.to_pandas() if header["people"] else None
    people = tuple(
        replace(
            PoseSequence.from_frame(rows, skeleton, time_s, tuple(entry["image_size"]), entry["person"]),
            root_m=np.array(entry["root_m"], dtype=np.float64).reshape(-1, 3) if "root_m" in entry else None,
        )
        for entry in header["people"]
        if rows is not None
    )
    return Recording(people, time_s, media_info(header["source"]), ModelInfo(**header["model"]))


def write_csv(path: Path, recording: Recording) -> None:
    """Everybody's tidy table as CSV; an empty cell is a missing value."""
    table = pa.Table.from_pandas(rounded(recording).to_frame(), preserve_index=False)
    joint = table.schema.get_field_index("joint")
    table = table.set_column(joint, "joint", table.column("joint").cast(pa.string()))
    csv.write_csv(table, path, csv.WriteOptions(quoting_style="none"))


def rounded(recording: Recording) -> Recording:
    """The recording with decimals that a reader of a text file can use (0.01 px, 0.1 mm)."""

    def shorter(p: PoseSequence) -> PoseSequence:
        return PoseSequence(
            p.skeleton,
            p.time_s,
            p.xy_px.round(_PIXEL_DECIMALS),
            p.score.round(_SCORE_DECIMALS),
            None if p.xyz_m is None else p.xyz_m.round(_METRE_DECIMALS),
            p.image_size,
            p.person,
            None if p.raw_score is None else p.raw_score.round(_SCORE_DECIMALS),
            None if p.root_m is None else p.root_m.round(_METRE_DECIMALS),
        )

    return Recording(tuple(shorter(p) for p in recording.people), recording.time_s, recording.source, recording.model)


def slug(text: str) -> str:
    """Lower-case ASCII letters, digits and single dashes; "clip" when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "clip"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a reader sees the old content or the new, never half."""
    staging = path.with_name(f"{_STAGING}{secrets.token_hex(4)}-{path.name}")
    try:
        with _in_words(path.parent):
            with staging.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


def _json(values: dict[str, Any]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        values = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise RunError(f"{what} cannot be read ({error}).") from error
    if not isinstance(values, dict):
        raise RunError(f"{what} cannot be read: it holds no JSON object.")
    return values


def _suffix(path: Path) -> str:
    suffix = re.sub(r"[^a-z0-9.]", "", path.suffix.lower())
    return suffix if 1 < len(suffix) <= 6 else ".bin"


def _copy(source: Path, target: Path | None) -> str:
    """Copy (when there is a target) and return the SHA-256, in one pass over the file."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") if target else contextlib.nullcontext() as writer:
        while block := reader.read(1 << 20):
            digest.update(block)
            if writer is not None:
                writer.write(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    """File-system errors become sentences."""
    try:
        yield
    except PermissionError as error:
        raise RunError(f"No permission to write in {folder}; choose another folder with --out.") from error
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise RunError(f"The disk that holds {folder} is full; free some space or use --out elsewhere.") from error
        raise RunError(f"Cannot write in {folder}: {error.strerror or error}; choose another folder.") from error
