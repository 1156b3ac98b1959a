"""``python -m pipeline export | import | report | progress``: poses to and from other programs, reports on paper."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.exchange import EXPORT_FORMATS, IMPORT_FORMATS, ExportOptions, ImportOptions, export_poses, import_run
from pipeline.movement_commands import open_run
from pipeline.options import add_options, from_options
from pipeline.report import KINDS, Kind
from pipeline.runs import RunStore, slug, write_atomically


def add_exchange_commands(commands: Any, add: Any) -> None:
    """Put the commands under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    command = add(commands, "export", "write a run's poses as a file of another program", _export, _show_export)
    command.add_argument("clip_or_run", metavar="CLIP_OR_RUN", help="a media file, a run id or a run folder")
    formats = "; ".join(f"{name}: {known.label}" for name, known in EXPORT_FORMATS.items())
    command.add_argument("--format", required=True, choices=tuple(EXPORT_FORMATS), help=formats)
    command.add_argument("--out-file", type=Path, default=None, metavar="FILE", help="default: RUN.SUFFIX here")
    add_options(command, ExportOptions)

    command = add(commands, "import", "make a run of poses that another program found", _import, _show_import)
    formats = "; ".join(f"{name}: {text}" for name, text in IMPORT_FORMATS.items())
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help=f"a file or folder. {formats}")
    command.add_argument("--clip", type=Path, default=None, metavar="CLIP", help="the video that the poses belong to")
    add_options(command, ImportOptions)

    command = add(
        commands, "report", "the report of a run, to print or to hand on (HTML and PDF)", _report, _show_files
    )
    command.add_argument("clip_or_run", metavar="CLIP_OR_RUN", help="a media file, a run id or a run folder")
    command.add_argument("--person", type=int, default=None, help="default: who was analysed before, or moves most")
    command.add_argument("--note", default="", help="a sentence of yours for the top")
    _report_options(command, "report.html and report.pdf in the run")

    command = add(
        commands, "progress", "the sessions of one person, side by side (HTML and PDF)", _progress, _show_files
    )
    command.add_argument("--subject", required=True, metavar="NAME", help="the name that the runs carry")
    _report_options(command, "progress-NAME.html and .pdf here")


def _report_options(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("--format", default="both", choices=("both", *KINDS))
    command.add_argument("--out-file", type=Path, default=None, metavar="FILE", help=f"default: {default}")


def _kinds(arguments: argparse.Namespace) -> tuple[Kind, ...]:
    suffix = arguments.out_file.suffix.lower()[1:] if arguments.out_file else ""
    wanted = suffix if arguments.format == "both" and suffix in KINDS else arguments.format
    return tuple(kind for kind in KINDS if wanted in ("both", kind))


def _write(arguments: argparse.Namespace, stem: Path, make: Callable[[Kind], bytes]) -> list[str]:
    """One file a kind, beside each other; their paths."""
    files = []
    for kind in _kinds(arguments):
        path = stem.with_name(f"{stem.name}.{kind}")
        write_atomically(path, make(kind))
        files.append(str(path))
    return files


def _report(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.report import read_session, write_report
    from pipeline.report.making import render
    from pipeline.report.run_report import run_document

    run = open_run(arguments.clip_or_run, _store(arguments))
    if arguments.out_file is None:
        paths = write_report(run, arguments.person, arguments.note, _kinds(arguments))
        return {"run": run.id, "files": [str(path) for path in paths]}
    document = run_document(read_session(run, arguments.person), arguments.note)
    return {"run": run.id, "files": _write(arguments, _stem(arguments.out_file), partial(render, document))}


def _progress(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.report.making import render
    from pipeline.report.progress import progress_document, sessions_of

    sessions = sessions_of(_store(arguments), arguments.subject)
    document = progress_document(arguments.subject, sessions)
    stem = _stem(arguments.out_file) if arguments.out_file else Path(f"progress-{slug(arguments.subject)}")
    files = _write(arguments, stem, partial(render, document))
    return {"subject": arguments.subject, "sessions": [s.run.id for s in sessions], "files": files}


def _stem(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower()[1:] in KINDS else path


def _show_files(result: dict[str, Any]) -> None:
    for path in result["files"]:
        sys.stdout.write(f"{path}\n")


def _store(arguments: argparse.Namespace) -> RunStore:
    return RunStore(arguments.out or settings.outputs_dir())


def _export(arguments: argparse.Namespace) -> dict[str, Any]:
    run = open_run(arguments.clip_or_run, _store(arguments))
    made = export_poses(run.recording(), arguments.format, from_options(arguments, ExportOptions), run.id)
    path = arguments.out_file or Path(f"{run.id}{made.suffix}")
    write_atomically(path, made.content)
    return {"run": run.id, "file": str(path), "bytes": len(made.content), "notes": list(made.notes)}


def _show_export(result: dict[str, Any]) -> None:
    sys.stdout.write(f"{result['file']}: {result['bytes'] / 1000:.0f} kB\n")
    for note in result["notes"]:
        sys.stdout.write(f"  {note}\n")


def _import(arguments: argparse.Namespace) -> dict[str, Any]:
    run = import_run(arguments.files, _store(arguments), from_options(arguments, ImportOptions), arguments.clip)
    manifest = run.manifest
    return {
        "run": run.id,
        "format": manifest.parameters["imported"],
        "frames": manifest.frames,
        "duration_s": manifest.duration_s,
        "people": manifest.people,
        "notes": manifest.parameters["notes"],
        "folder": str(run.folder),
    }


def _show_import(result: dict[str, Any]) -> None:
    people = len(result["people"])
    who = "nobody" if not people else f"{people} {'person' if people == 1 else 'people'}"
    sys.stdout.write(f"{result['run']}: {result['frames']} frames, {result['duration_s']:.1f} s, {who}\n")
    for note in result["notes"]:
        sys.stdout.write(f"  {note}\n")
