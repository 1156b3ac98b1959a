"""``python -m pipeline falls``: the falls in a clip or a stored run, person by person."""

from __future__ import annotations

import argparse
from typing import Any

from pipeline import settings
from pipeline.falls.detect import detect_falls
from pipeline.falls.forest import DEFAULT_SENSITIVITY, SENSITIVITIES
from pipeline.movement_commands import open_run
from pipeline.runs import RunStore

RESULT = "falls"


def add_fall_commands(commands: Any, add: Any) -> None:
    """Put ``falls`` under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    command = add(commands, "falls", "find falls: onset, impact, lying, getting up again", _falls, _show)
    command.add_argument("clip_or_run", metavar="CLIP_OR_RUN", help="a media file, a run id or a run folder")
    command.add_argument("--person", type=int, default=None, help="default: everybody")
    names = [name.replace(" ", "-") for name in SENSITIVITIES]
    command.add_argument("--sensitivity", default=DEFAULT_SENSITIVITY, choices=names,
                         help=f"how readily to alarm, default {DEFAULT_SENSITIVITY}")  # fmt: skip
    command.add_argument("--no-probability", action="store_true", help="leave the probability over time out (JSON)")


def _falls(arguments: argparse.Namespace) -> dict[str, Any]:
    run = open_run(arguments.clip_or_run, RunStore(arguments.out or settings.outputs_dir()))
    report = detect_falls(run.recording(), arguments.person, arguments.sensitivity.replace("-", " "))
    run.add_result(RESULT, report.to_json(curves=True))
    return {"run": run.id, **report.to_json(curves=not arguments.no_probability)}


def _show(result: dict[str, Any]) -> None:
    print(f"{result['run']}: {result['summary']} Sensitivity: {result['sensitivity']}.")
    for event in result["events"]:
        lying = "" if event["lying_s"] is None else f", lies from {event['lying_s']:.2f} s"
        again = f", up again at {event['recovered_s']:.2f} s" if event["recovered"] else ""
        print(
            f"person {event['person']}: falls at {event['onset_s']:.2f} s, impact {event['impact_s']:.2f} s{lying}"
            f"{again}; probability {event['probability']:.2f}"
        )
        for reason in event["reasons"]:
            print(f"       {reason['text']}")
    print(f"  {result['expected']}")
