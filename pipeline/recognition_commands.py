"""``python -m pipeline recognize``: which exercises a clip or a stored run shows, when, and by whom."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.movement_commands import open_run
from pipeline.recognition.recognizer import MOTION, NETWORKS
from pipeline.runs import RunStore


def add_recognition_commands(commands: Any, add: Any) -> None:
    """Put ``recognize`` and ``export-recognizer`` under ``commands``; ``add(...)`` makes one."""
    command = add(commands, "recognize", "name the exercises of a clip, with times and repetitions", _recognize, _show)
    command.add_argument("clip_or_run", metavar="CLIP_OR_RUN", help="a media file, a run id or a run folder")
    command.add_argument("--person", type=int, default=None, help="default: everybody")
    command.add_argument("--network", default=MOTION, choices=tuple(NETWORKS), help=f"default {MOTION}")
    command.add_argument("--features", type=Path, default=None, metavar="CSV", help="write the 189 features, too")
    command = add(commands, "export-recognizer", "write the recogniser as ONNX and 8-bit ONNX", _export, _show_export)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="where the two files go")
    command.add_argument("--network", default=MOTION, choices=tuple(NETWORKS), help=f"default {MOTION}")


def _recognize(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.recognition.features import feature_table
    from pipeline.recognition.recognizer import shipped
    from pipeline.recognition.segments import recognize

    run = open_run(arguments.clip_or_run, RunStore(arguments.out or settings.outputs_dir()))
    recording = run.recording()
    found = recognize(recording, arguments.person, recognizer=shipped(arguments.network))
    result = found.to_json()
    run.add_result("recognition", result)
    if arguments.features is not None:
        import pandas as pd

        chosen = [one for one in recording.people if arguments.person in (None, one.person)]
        tables = [feature_table(one, run.id) for one in chosen]
        (pd.concat(tables) if tables else pd.DataFrame()).to_csv(arguments.features, index=False)
    return {"run": run.id, **result}


def _show(result: dict[str, Any]) -> None:
    if not result["segments"]:
        who = "nobody was seen" if not result["people"] else "no known exercise"
        print(f"{result['run']}: {who}")
    for segment in result["segments"]:
        count = segment["repetitions"]
        print(
            f"{segment['start_s']:7.2f} to {segment['end_s']:7.2f} s  person {segment['person']}  {segment['label']}, "
            f"{count} repetition{'' if count == 1 else 's'}, {segment['confidence']:.0%} sure "
            f"(next: {segment['runner_up'].replace('_', ' ')} {segment['runner_up_confidence']:.0%})"
        )


def _export(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.recognition.recognizer import shipped
    from pipeline.training.recognition_accuracy import export_both

    arguments.folder.mkdir(parents=True, exist_ok=True)
    return export_both(shipped(arguments.network), arguments.folder)


def _show_export(result: dict[str, Any]) -> None:
    for kind in ("onnx", "int8"):
        one = result[kind]
        print(f"{one['file']}: {one['bytes'] / 1e6:.2f} MB, accuracy {one['accuracy']:.4f} ({one['loss']:+.4f} lost)")
    print(
        f"Accuracy of the network itself {result['accuracy']:.4f}, on {result['windows']} windows of {result['data']}."
    )
