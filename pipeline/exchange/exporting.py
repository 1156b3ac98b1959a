"""Poses as files for other programs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.exchange.base import ExchangeError, ExportOptions, one_person
from pipeline.exchange.bvh import to_bvh
from pipeline.exchange.c3d_files import to_c3d
from pipeline.exchange.opensim import to_mot, to_trc
from pipeline.poses import Recording
from pipeline.runs import rounded, write_csv, write_poses


@dataclass(frozen=True)
class Exported:
    """A file's content, its ending, and what to know about it."""

    content: bytes
    suffix: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportFormat:
    """A format: what it is in plain words, its ending, its media type, and whether one file holds one person."""

    label: str
    suffix: str
    mime: str
    one_person: bool


EXPORT_FORMATS: dict[str, ExportFormat] = {
    "csv": ExportFormat("Table (CSV)", ".csv", "text/csv", False),
    "json": ExportFormat("Poses (JSON)", ".json", "application/json", False),
    "parquet": ExportFormat("Table (Parquet)", ".parquet", "application/vnd.apache.parquet", False),
    "trc": ExportFormat("Markers for OpenSim (TRC)", ".trc", "text/plain", True),
    "mot": ExportFormat("Joint angles for OpenSim (MOT)", ".mot", "text/plain", True),
    "c3d": ExportFormat("Motion capture (C3D)", ".c3d", "application/octet-stream", True),
    "bvh": ExportFormat("Animation (BVH)", ".bvh", "text/plain", True),
}
"""The formats that are written, by name."""


def export_poses(
    recording: Recording, file_format: str, options: ExportOptions | None = None, name: str = "poses"
) -> Exported:
    """A recording as a file of another program.

    Args:
        file_format: one of ``EXPORT_FORMATS``.
        name: what the file calls itself inside, where its format has a place for that.

    Raises:
        ExchangeError: no such format or person, nothing to write, or poses without a scale.
    """
    options = options or ExportOptions()
    known = EXPORT_FORMATS.get(file_format)
    if known is None:
        raise ExchangeError(f"there is no format {file_format!r}; choose one of: {', '.join(EXPORT_FORMATS)}.")
    if not known.one_person:
        return Exported(_table(_people(recording, options), file_format), known.suffix)
    person = one_person(recording, options)
    if file_format == "mot":
        content, notes = to_mot(person, options)
    else:
        write: Callable[..., tuple[bytes, tuple[str, ...]]] = {"trc": to_trc, "c3d": to_c3d, "bvh": to_bvh}[file_format]
        content, notes = write(person, options, name)
    return Exported(content, known.suffix, notes)


def _people(recording: Recording, options: ExportOptions) -> Recording:
    """Everybody, or the one who is asked for."""
    if options.person is None and not options.filtered:
        return recording
    chosen = [p.person for p in recording.people] if options.person is None else [options.person]
    people = tuple(one_person(recording, ExportOptions(person=person, filtered=options.filtered)) for person in chosen)
    return Recording(people, recording.time_s, recording.source, recording.model)


def _table(recording: Recording, file_format: str) -> bytes:
    if file_format == "json":
        return rounded(recording).to_json()
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        path = Path(folder) / f"poses.{file_format}"
        (write_csv if file_format == "csv" else write_poses)(path, recording)
        return path.read_bytes()
