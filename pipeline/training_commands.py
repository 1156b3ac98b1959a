"""``python -m pipeline train|evaluate|deploy STAGE --config FILE`` and ``trained``: everything here that learns."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.training import framework


def add_training_commands(commands: Any, add: Any) -> None:
    """Put the commands under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    stages = ", ".join(sorted(framework.STAGES))
    command = add(commands, "train", "train a stage from its configuration; goes on after a kill", _train, _show_train)
    _common(command, stages)
    command.add_argument("--from", dest="start", type=Path, default=None, metavar="CHECKPOINT", help="fine-tune this")
    command.add_argument("--search", type=int, default=0, metavar="N", help="try N configurations")
    _common(add(commands, "evaluate", "measure a trained stage on its test split", _evaluate, _show_metrics), stages)
    _common(
        add(commands, "deploy", "put an evaluated model into checkpoints/ if it is no worse", _deploy, _show_deployed),
        stages,
    )
    add(commands, "trained", "compare all evaluated models", _compare, _show_comparison)


def _common(command: Any, stages: str) -> None:
    command.add_argument("stage", metavar="STAGE", help=stages)
    command.add_argument("--config", type=Path, default=None, metavar="FILE", help="default: the shipped training's")
    command.add_argument(
        "--labels", type=Path, default=None, metavar="FILE",
        help="scorer: own grades, a CSV (run, start_s, end_s, exercise, subject, score) or what `dataset build` made",
    )  # fmt: skip


def _opened(arguments: argparse.Namespace) -> tuple[framework.Stage, Any, dict[str, Any], Path]:
    stage = framework.stage_named(arguments.stage)
    config, ranges = framework.read_config(stage, arguments.config)
    folder = arguments.out or framework.training_folder(stage, arguments.config)
    if arguments.labels is not None:
        if not hasattr(config, "labels"):
            raise framework.TrainingError(f"{stage.name} learns nothing from --labels; the stage scorer does.")
        config = dataclasses.replace(config, labels=str(arguments.labels.resolve()))
        folder = arguments.out or folder.with_name(f"{folder.name}-own")
    return stage, config, ranges, folder


def _train(arguments: argparse.Namespace) -> dict[str, Any]:
    stage, config, ranges, folder = _opened(arguments)
    started, line = time.perf_counter(), _Line(arguments.json)
    result: dict[str, Any] = {"stage": stage.name, "folder": str(folder)}
    if arguments.search:
        result["trials"] = framework.search(
            stage, config, ranges, arguments.search, folder, start=arguments.start, progress=line
        )
    else:
        framework.train(stage, config, folder, start=arguments.start, progress=line)
    line.end()
    return result | {"seconds": time.perf_counter() - started}


def _evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    stage, config, _, folder = _opened(arguments)
    line = _Line(arguments.json)
    metrics = framework.evaluate(stage, config, folder, progress=line)
    line.end()
    return metrics


def _deploy(arguments: argparse.Namespace) -> dict[str, Any]:
    stage, config, _, folder = _opened(arguments)
    name = Path(arguments.config or stage.config_file).stem
    if arguments.labels is not None:
        raise framework.TrainingError(f"{folder} holds a scorer of your own; the shipped one stays. Use it from there.")
    return {"files": [str(path) for path in framework.deploy(stage, config, folder, name)]}


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"models": framework.comparison([(arguments.out or settings.outputs_dir()) / "training"])}


class _Line:
    """One line on standard error that is written over."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self._told_s = quiet, 0.0

    def __call__(self, text: str, share: float) -> None:
        now = time.monotonic()
        if not self._quiet and now - self._told_s > 0.5:
            self._told_s = now
            print(f"\r\033[K{share:4.0%}  {text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._told_s:
            print(file=sys.stderr)


def _show_train(result: dict[str, Any]) -> None:
    for row in result.get("trials", ()):
        values = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
        )
        print(values)
    print(f"{result['stage']}: trained in {result['seconds']:.0f} s; {result['folder']}")


def _show_metrics(result: dict[str, Any]) -> None:
    primary = result["primary"]
    print(
        f"{result['stage']}: {primary['name']} {primary['value']:.4g} ({primary['low']:.4g} to {primary['high']:.4g})"
    )


def _show_deployed(result: dict[str, Any]) -> None:
    for path in result["files"]:
        print(path)


def _show_comparison(result: dict[str, Any]) -> None:
    if not result["models"]:
        print("No model was evaluated yet.")
    for row in result["models"]:
        interval = f"{row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
        print(f"{row['stage']:<16} {row['model']:<24} {row['metric']}: {interval}  {row['folder']}")
