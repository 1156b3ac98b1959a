"""``python -m pipeline analyze``: repetitions, form remarks and refusals of a clip or a stored run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.inference import InferenceOptions, infer
from pipeline.movements.analyze import AUTO, MOVEMENTS, analyze
from pipeline.runs import Run, RunStore


def add_movement_commands(commands: Any, add: Any) -> None:
    """Put ``analyze`` under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    command = add(commands, "analyze", "count repetitions and judge their form", _analyze, _show)
    command.add_argument("clip_or_run", metavar="CLIP_OR_RUN", help="a media file, a run id or a run folder")
    command.add_argument("--movement", default=AUTO, choices=(AUTO, *MOVEMENTS), help=f"default {AUTO}")
    command.add_argument("--person", type=int, default=None, help="default: who moves most in this way")
    command.add_argument("--preset", default=None, help="beginner, standard or strict thresholds")
    command.add_argument("--curves", action="store_true", help="the angles over time, too (JSON)")


def open_run(clip_or_run: str, store: RunStore) -> Run:
    """The run that is named, or a new run of the clip. Raises RunError or MediaError in words."""
    path = Path(clip_or_run)
    if path.is_file():
        print(f"Finding the poses in {path.name} first", file=sys.stderr)
        return infer(path, store, InferenceOptions())
    return store.get(clip_or_run)


def _analyze(arguments: argparse.Namespace) -> dict[str, Any]:
    run = open_run(arguments.clip_or_run, RunStore(arguments.out or settings.outputs_dir()))
    report = analyze(run.recording(), arguments.movement, arguments.person, arguments.preset)
    run.add_result(f"movement-{report.movement}-person{report.person}", report.to_json())
    return {"run": run.id, **report.to_json(curves=arguments.curves)}


def _show(result: dict[str, Any]) -> None:
    print(f"{result['run']}, person {result['person']}: {result['movement_label']}, seen from: {result['view']}")
    for sentence in result["summary"]:
        print(f"  {sentence}")
    for repetition in result["repetitions"]:
        state = repetition["verdict"] if repetition["complete"] else "cut off"
        print(f"{repetition['number']:>3}  {repetition['start_s']:.2f} to {repetition['end_s']:.2f} s  {state}")
        for remark in repetition["remarks"]:
            print(
                f"       {remark['label']} ({remark['side']}): {remark['value']:.3g} {remark['unit']} at "
                f"{remark['time_s']:.2f} s, limit {remark['threshold']:.3g}. {remark['advice']}"
            )
    reasons = {refusal["label"]: refusal["reason"] for refusal in reversed(result["refusals"])}
    for label, reason in reversed(reasons.items()):  # the first reason for each; --json has all of them
        print(f"  not judged: {label}: {reason}")
