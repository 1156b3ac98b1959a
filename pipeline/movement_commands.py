"""``python -m pipeline analyze``: repetitions, form remarks and refusals of a clip or a stored run."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.inference import InferenceOptions, infer
from pipeline.movements.analyze import (
    AUTO,
    MOVEMENTS,
    NOBODY,
    MovementError,
    judge,
    measure,
    movement_named,
    thresholds,
)
from pipeline.movements.base import MovementReport, RuleParameters
from pipeline.poses import Recording
from pipeline.runs import Run, RunError, RunStore


def add_movement_commands(commands: Any, add: Any) -> None:
    """Put ``analyze`` under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    command = add(commands, "analyze", "count repetitions and judge their form", _analyze, _show)
    command.add_argument("clip_or_run", metavar="CLIP_OR_RUN", help="a media file, a run id or a run folder")
    command.add_argument("--movement", default=AUTO, choices=(AUTO, *MOVEMENTS), help=f"default {AUTO}")
    command.add_argument(
        "--person", type=_person, default=None, help="an id, or all; default: who moves most in this way"
    )
    command.add_argument("--preset", default=None, help="beginner, standard or strict thresholds")
    command.add_argument(
        "--threshold", action="append", default=[], metavar="NAME=VALUE",
        help="one threshold that is not the preset's, such as lean_deg=50; may be repeated",
    )  # fmt: skip
    command.add_argument("--curves", action="store_true", help="the angles over time, too (JSON)")


def open_run(clip_or_run: str, store: RunStore) -> Run:
    """The run that is named, or a new run of the clip. Raises RunError or MediaError in words."""
    path = Path(clip_or_run)
    if path.is_file():
        print(f"Finding the poses in {path.name} first", file=sys.stderr)
        return infer(path, store, InferenceOptions())
    if not path.exists() and (path.suffix or path.name != clip_or_run):
        raise RunError(
            f"There is no file {clip_or_run!r}; check the path. `python -m pipeline runs list` shows what is analysed."
        )
    return store.get(clip_or_run)


def _person(text: str) -> int | str:
    if text == "all":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a person's number nor all") from None


def with_thresholds(start: RuleParameters, changes: Sequence[str]) -> RuleParameters:
    """The parameters with some fields changed, each given as "name=value".

    Raises:
        MovementError: no such field, or no number.
    """
    names = [field.name for field in dataclasses.fields(start)]
    values: dict[str, float] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in names:
            raise MovementError(f"there is no threshold {name!r} here; there is: {', '.join(names)}.")
        try:
            values[name] = float(text)
        except ValueError:
            values[name] = math.nan
        if not math.isfinite(values[name]):
            raise MovementError(f"the threshold {name} needs a number, as in {name}=12, got {text!r}.")
    return dataclasses.replace(start, **values)


def _report(recording: Recording, person: int | None, arguments: argparse.Namespace) -> MovementReport:
    found = measure(recording, arguments.movement, person)
    start = thresholds(movement_named(found.movement), arguments.preset)
    return judge(found, with_thresholds(start, arguments.threshold))


def _analyze(arguments: argparse.Namespace) -> dict[str, Any]:
    run = open_run(arguments.clip_or_run, RunStore(arguments.out or settings.outputs_dir()))
    recording = run.recording()
    everybody = arguments.person == "all"
    people = [person.person for person in recording.people] if everybody else [arguments.person]
    documents = []
    for person in people:
        report = _report(recording, person, arguments)
        run.add_result(f"movement-{report.movement}-person{report.person}", report.to_json())
        documents.append(report.to_json(curves=arguments.curves))
    return {"run": run.id, "people": documents} if everybody else {"run": run.id, **documents[0]}


def _show(result: dict[str, Any]) -> None:
    if "people" in result:
        for document in result["people"]:
            _show({"run": result["run"], **document})
        if not result["people"]:
            print(f"{result['run']}: nobody was found in this clip.")
        return
    if NOBODY in result["summary"]:
        print(f"{result['run']}: nobody was found in this clip.")
        return
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
