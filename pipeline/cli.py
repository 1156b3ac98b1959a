"""``python -m pipeline``: everything the pages do, as commands.

The contract of all commands: ``--out DIR`` is the run store and a run lies in ``DIR/<id>/``; CLIP_OR_RUN is a media
path, a run id or a run folder; ``--json`` prints one JSON object on standard output and nothing else; a refusal or an
empty answer is a result and exits 0; bad input exits 1 with one sentence on standard error. A command whose answer may
say that nothing came of it sets ``failed(result)`` beside ``handler``: where it is true, the exit code is 1, too.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from pipeline import __version__, settings
from pipeline.batch_commands import add_batch_commands
from pipeline.exchange_commands import add_exchange_commands
from pipeline.fall_commands import add_fall_commands
from pipeline.inference import InferenceOptions, Progress, create_estimator, infer
from pipeline.model_commands import add_model_commands
from pipeline.movement_commands import add_movement_commands
from pipeline.options import add_options, from_options
from pipeline.recognition_commands import add_recognition_commands
from pipeline.runs import Run, RunStore
from pipeline.scoring_commands import add_scoring_commands
from pipeline.service_commands import add_service_commands
from pipeline.training_commands import add_training_commands

Handler = Callable[[argparse.Namespace], dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        result = parsed.handler(parsed)
    except KeyboardInterrupt:
        print("Stopped; nothing half-done was kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, KeyError) as error:
        print(_sentence(error), file=sys.stderr)
        return 1
    if parsed.json:
        sys.stdout.buffer.write(orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    else:
        parsed.show(result)
    return int(bool(parsed.failed(result))) if "failed" in parsed else 0


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Kinoscope, the movement lab.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = _command(
        commands, "infer", "estimate poses in pictures and clips and store them as runs", _infer, _show_infer
    )
    command.add_argument("paths", nargs="+", metavar="PATH", help="pictures or clips")
    add_options(command, InferenceOptions)

    runs = commands.add_parser("runs", help="list, show or delete runs").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    _command(runs, "list", "all runs, newest first", _runs_list, _show_runs)
    _command(runs, "show", "a run's manifest and results", _runs_show, _show_json).add_argument("run")
    command = _command(runs, "delete", "remove a run", _runs_delete, _show_json)
    command.add_argument("run")
    command.add_argument("--yes", action="store_true", help="do not ask")

    command = _command(
        commands, "doctor", "what is installed, on which device, and how fast it is here", _doctor, _show_doctor
    )
    command.add_argument(
        "--bench", action=argparse.BooleanOptionalAction, default=True, help="measure the models' speed"
    )
    command = commands.add_parser("synth", help="render a person who moves, with exact ground truth beside the clip")
    command.add_argument("motion", help="squat, push_up, walk, fall_forward ... (`synth list` names all)")
    command.add_argument(
        "--out", type=Path, default=None, metavar="CLIP", help="the clip to write (default MOTION.mp4)"
    )
    command.add_argument("--reps", type=int, default=3, help="repetitions")
    command.add_argument("--fault", action="append", default=[], metavar="NAME[=SEVERITY]", help="may be repeated")
    command.add_argument("--view", default="front", help="front, oblique, left, right, back")
    command.add_argument("--depth", type=float, default=1.0, help="share of the full range of movement")
    command.add_argument("--fps", type=float, default=30.0)
    command.add_argument("--size", default="640x480", metavar="WIDTHxHEIGHT")
    command.add_argument("--seed", type=int, default=0, help="room, light, clothes, natural variation")
    command.add_argument(
        "--disturb", action="append", default=[], metavar="NAME=STRENGTH", help="dark, blur, noise ..."
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    command.set_defaults(handler=_synth, show=_show_json)
    _command(commands, "sample", "render the sample clip and analyse it, once", _sample, _show_infer)
    add_movement_commands(commands, _command)
    add_recognition_commands(commands, _command)
    add_fall_commands(commands, _command)
    add_scoring_commands(commands, _command)
    add_exchange_commands(commands, _command)
    add_batch_commands(commands, _command)
    add_service_commands(commands, _command)
    add_model_commands(commands, _command)
    add_training_commands(commands, _command)
    return parser


def _command(commands: Any, name: str, text: str, handler: Handler, show: Callable[[Any], None]) -> Any:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("--out", type=Path, default=None, metavar="DIR", help="the run store (default: outputs)")
    command.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    command.set_defaults(handler=handler, show=show)
    return command


def _sentence(error: Exception) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(text).split()) or type(error).__name__


def _store(arguments: argparse.Namespace) -> RunStore:
    return RunStore(arguments.out or settings.outputs_dir())


class _Bar:
    """A progress bar on standard error."""

    def __init__(self, name: str, quiet: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=name[:40], unit="frame", disable=quiet, file=sys.stderr, leave=True)

    def __call__(self, progress: Progress) -> None:
        self._bar.total = progress.frames_total
        self._bar.update(progress.frames - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def _infer(arguments: argparse.Namespace) -> dict[str, Any]:
    options = from_options(arguments, InferenceOptions)
    store = _store(arguments)
    estimators: dict[str, Any] = {}
    summaries, failures = [], []
    for path in map(Path, arguments.paths):
        bar = _Bar(path.name, arguments.json)
        try:
            from pipeline.media import probe

            kind = probe(path).kind
            if kind not in estimators:
                estimators[kind] = create_estimator(options, kind)
            summaries.append(summary(infer(path, store, options, estimator=estimators[kind], progress=bar)))
        except (ValueError, OSError) as error:
            if len(arguments.paths) == 1:
                raise
            failures.append(f"{path}: {_sentence(error)}")
        finally:
            bar.close()
    if failures and not summaries:
        raise ValueError(" ".join(failures))
    for failure in failures:
        print(failure, file=sys.stderr)
    return summaries[0] if len(arguments.paths) == 1 else {"runs": summaries}


def summary(run: Run) -> dict[str, Any]:
    """What ``infer --json`` says of a run."""
    manifest = run.manifest
    return {
        "run": run.id,
        "frames": manifest.frames,
        "duration_s": manifest.duration_s,
        "people": manifest.people,
        "model": manifest.model["name"],
        "detector": manifest.model["detector"],
        "device": manifest.device,
        "seconds": manifest.seconds,
        "folder": str(run.folder),
    }


def _show_infer(result: dict[str, Any]) -> None:
    for entry in result.get("runs", [result]):
        people = (
            ", ".join(f"person {p['person']} in {p['frames_seen']} frames" for p in entry["people"]) or "nobody seen"
        )
        print(f"{entry['run']}: {entry['frames']} frames, {entry['duration_s']:.1f} s; {people}")
        print(f"  {entry['model']} on {entry['device']}, {entry['seconds']:.1f} s; {entry['folder']}")


def _runs_list(arguments: argparse.Namespace) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for run in _store(arguments).runs():
        try:
            entries.append(summary(run) | {"source": run.manifest.source.get("name", ""), "state": run.manifest.state})
        except ValueError as error:
            entries.append({"run": run.id, "error": _sentence(error)})
    return {"runs": entries}


def _show_runs(result: dict[str, Any]) -> None:
    for entry in result["runs"]:
        if "error" in entry:
            print(f"{entry['run']}: {entry['error']}")
        else:
            print(f"{entry['run']}  {entry['source'][:40]}  {entry['frames']} frames  {len(entry['people'])} people")
    if not result["runs"]:
        print("No runs yet. `python -m pipeline infer CLIP` makes one.")


def _runs_show(arguments: argparse.Namespace) -> dict[str, Any]:
    run = _store(arguments).get(arguments.run)
    return asdict(run.manifest) | {"results": run.results(), "folder": str(run.folder), "missing": run.missing()}


def _runs_delete(arguments: argparse.Namespace) -> dict[str, Any]:
    store = _store(arguments)
    run = store.get(arguments.run)
    if not arguments.yes:
        if arguments.json or not sys.stdin.isatty():
            raise ValueError(f"Deleting {run.id} cannot be undone; add --yes to do it.")
        if input(f"Delete {run.id} and everything in it? [y/N] ").strip().lower() not in ("y", "yes"):
            return {"deleted": None}
    store.delete(arguments.run)
    return {"deleted": run.id}


def _doctor(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.doctor import examine

    return examine(measure=arguments.bench)


def _show_doctor(result: dict[str, Any]) -> None:
    processor = result["processor"]
    print(f"Kinoscope {result['kinoscope']}, Python {result['python']}, {result['system']}")
    found = result["accelerators"]
    graphics = ", ".join(found["graphics_processors"]) or found["cuda"] or "none"
    print(f"{processor['cores']} cores, {processor['memory_gib']} GiB; graphics processor: {graphics}")
    for warning in found["warnings"]:
        print(warning)
    print("Packages:", ", ".join(f"{name} {version}" for name, version in result["packages"].items()))
    print("Reads:", ", ".join(result["codecs"]["decode"]), "| writes:", ", ".join(result["codecs"]["encode"]))
    print(f"Runs: {result['outputs']['folder']} ({result['outputs']['free_gib']} GiB free)")
    print("Models here:", ", ".join(m["name"] for m in result["models"] if m["installed"]) or "none")
    print("Not here (python -m pipeline models list):", sum(not m["installed"] for m in result["models"]))
    for name, measured in result["speed"].items():
        print(f"{name}: {measured['frames_per_s']} frames/s at 640x480 on {measured['device']}")


def _synth(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.synthetic.actor import ActorSpec, render_clip, truth_path
    from pipeline.synthetic.camera import VIEWS
    from pipeline.synthetic.disturbances import DISTURBANCES
    from pipeline.synthetic.motions import MOTIONS

    if arguments.motion == "list":
        motions = {name: list(motion.faults) for name, motion in MOTIONS.items()}
        return {"motions": motions, "views": list(VIEWS), "disturbances": DISTURBANCES}
    width, _, height = arguments.size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ValueError(f"--size must look like 640x480, got {arguments.size!r}.")
    spec = ActorSpec.one(
        arguments.motion,
        repetitions=arguments.reps,
        faults=_strengths(arguments.fault),
        view=arguments.view,
        depth=arguments.depth,
        fps=arguments.fps,
        size=(int(width), int(height)),
        disturbances=_strengths(arguments.disturb),
        seed=arguments.seed,
    )
    out = arguments.out or Path(f"{arguments.motion}.mp4")
    truth = render_clip(spec, out)
    (person,) = truth.people
    return {
        "clip": str(out),
        "truth": str(truth_path(out)),
        "frames": len(truth.recording),
        "repetitions": [asdict(repetition) for repetition in person.repetitions],
        "fall": asdict(person.fall) if person.fall else None,
    }


def _strengths(items: Sequence[str]) -> dict[str, float]:
    """``["knees_in", "shallow=0.5"]`` to strengths; 1 where none is given."""
    strengths = {}
    for item in items:
        name, _, strength = item.partition("=")
        try:
            strengths[name] = float(strength) if strength else 1.0
        except ValueError:
            raise ValueError(f"{item!r} must look like NAME=0.5.") from None
    return strengths


def _sample(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.sample import make_sample_run

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    return summary(make_sample_run(_store(arguments), say))


def _show_json(result: dict[str, Any]) -> None:
    print(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())
