"""``python -m pipeline score`` and ``dataset build``: an exercise's score from 0.0 (perfect) to 4.0 (worst)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.movement_commands import open_run
from pipeline.options import add_options, from_options
from pipeline.runs import RunStore
from pipeline.scoring.assess import ChainOptions
from pipeline.scoring.exercises import EXERCISES


def add_scoring_commands(commands: Any, add: Any) -> None:
    """Put the commands under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    command = add(commands, "score", "score an exercise from 0.0 (perfect) to 4.0 (worst)", _score, _show)
    command.add_argument("clip_or_run", metavar="CLIP_OR_RUN", help="a media file, a run id or a run folder")
    command.epilog = "Exercises: auto, " + ", ".join(EXERCISES) + "."
    add_options(command, ChainOptions)
    sets = commands.add_parser("dataset", help="make a data set of what was recorded here").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    build = add(sets, "build", "cut graded repetitions out of runs to train on", _build, _show_built)
    build.add_argument("--runs", nargs="+", default=None, metavar="RUN", help="run ids (default: all in the table)")
    build.add_argument("--labels", type=Path, required=True, metavar="CSV",
                       help="run, person, start_s, end_s, exercise, subject, score")  # fmt: skip
    build.add_argument(
        "--to", type=Path, default=Path("repetitions.npz"), metavar="NPZ", help="default repetitions.npz"
    )
    build.add_argument("--lift", default=ChainOptions.lift, help="temporal, dense or given")


def _score(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.scoring.kept import score_run

    options = from_options(arguments, ChainOptions)
    run = open_run(arguments.clip_or_run, RunStore(arguments.out or settings.outputs_dir()))
    return {"run": run.id, **score_run(run, options).to_json()}


def _show(result: dict[str, Any]) -> None:
    print(
        f"{result['run']}, person {result['person']}: {result['exercise_label'] or 'no exercise'} ({result['chosen']})"
    )
    for stage in result["verdicts"]:
        state = "not reached" if not stage["reached"] else "ok" if stage["ok"] else "stopped"
        print(f"  {stage['label']:<16} {state:<12} {' '.join(stage['reasons'])}")
    if result["score"] is None:
        print("No score.")
        return
    low, high = result["interval"]
    print(f"Score {result['score']:.1f} ({low:.1f} to {high:.1f}) of 0.0 perfect to 4.0 worst: {result['band']}")
    for repetition in result["repetitions"]:
        print(
            f"{repetition['number']:>3}  {repetition['start_s']:.2f} to {repetition['end_s']:.2f} s  "
            f"{repetition['score']:.1f}  {repetition['band']}"
        )
        for reason in repetition["reasons"]:
            joint = reason["joint"].replace("_", " ")
            rule = f" {reason['rule']}" if reason["rule"] else ""
            print(f"       {joint}, {reason['start_s']:.1f} to {reason['end_s']:.1f} s: {reason['points']:.1f}.{rule}")
    print(result["target"], file=sys.stderr)


def _build(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.training.dataset import build

    store = RunStore(arguments.out or settings.outputs_dir())
    made = build(store, arguments.labels, arguments.runs, arguments.lift)
    made.save(arguments.to)
    people = sorted(set(made.subject.tolist()))
    return {"file": str(arguments.to), "repetitions": len(made), "subjects": people}


def _show_built(result: dict[str, Any]) -> None:
    print(f"{result['file']}: {result['repetitions']} repetitions of {len(result['subjects'])} people")
    print(f"Train a scorer of your own: python -m pipeline train scorer --labels {result['file']}")
