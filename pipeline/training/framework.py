"""One way to train, evaluate and deploy everything here that learns.

A stage is a module in this folder with a ``STAGE``; the rest (reading configurations, resuming, searching, comparing,
putting a model into ``checkpoints/``) is the same for all and stands here. A training lives in one folder::

    config.json    what it was trained with          history.csv     a row an epoch
    state.pt       to go on after a kill             training.json   the validation's score
    metrics.json   what ``evaluate`` measured        and the stage's own weights and plots
"""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
import math
import os
import random
import shutil
import tomllib
import types
import typing
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline import settings

STAGES: dict[str, str] = {
    "rtmpose-actor": "pipeline.training.rtmpose_actor:STAGE",
    "to_kinect": "pipeline.training.to_kinect:STAGE",
    "depth": "pipeline.training.depth:STAGE",
    "lift": "pipeline.training.lift:STAGE",
    "ugly_2d": "pipeline.training.ugly_2d:STAGE",
    "falls": "pipeline.training.falls:STAGE",
    "scorer": "pipeline.training.scorer:STAGE",
    "trimming": "pipeline.training.trimming:STAGE",
    "bad_3d": "pipeline.training.bad_3d:STAGE",
    "recognition": "pipeline.training.recognition:STAGE",
}
CHECKPOINTS = settings.PROJECT_DIR / "checkpoints"


class TrainingError(ValueError):
    """The training cannot start or go on; the message says why and what to do."""


def _quiet(text: str, share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Work:
    """The folder of one training and what a stage needs there.

    folder: for everything that is written.
    start: weights to fine-tune from; None begins afresh.
    progress: told a line and the share that is done, 0..1.
    """

    folder: Path
    start: Path | None = None
    progress: Callable[[str, float], None] = _quiet

    def save_state(self, state: dict[str, Any]) -> None:
        """Keep what is needed to go on after a kill (tensors and plain values); whole or not at all."""
        import torch

        part = self.folder / "state.part"
        torch.save(state, part)
        part.replace(self.folder / "state.pt")

    def load_state(self) -> dict[str, Any] | None:
        """The last kept state of this training; None when it begins."""
        import torch

        path = self.folder / "state.pt"
        return dict(torch.load(path, weights_only=True)) if path.exists() else None

    def log(self, **row: float | int | str) -> None:
        """Append a row to ``history.csv``; rows of one training have the same columns."""
        path = self.folder / "history.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def validated(self, score: float, *, higher_is_better: bool = True) -> None:
        """What the validation (never the test split) says of the kept weights; ``--search`` goes by it."""
        _write_json(self.folder / "training.json", {"score": score, "higher_is_better": higher_is_better})


@dataclass(frozen=True)
class Stage:
    """Something that can be trained.

    name: as on the command line.
    config: frozen dataclass with defaults; its docstring has a line of reason for each field.
    config_file: the TOML file of the shipped training.
    train: leaves its weights in the folder and calls ``work.validated``.
    evaluate: the metrics of the weights in the folder on the test split, plots beside them. Must have "primary":
        ``{"name", "value", "low", "high", "higher_is_better"}``.
    deployed: names of the files that make the model; a function of the configuration where they depend on it.
    """

    name: str
    config: type
    config_file: Path
    train: Callable[[Any, Work], None]
    evaluate: Callable[[Any, Work], dict[str, Any]]
    deployed: tuple[str, ...] | Callable[[Any], tuple[str, ...]] = field(default=())

    def files(self, config: Any) -> tuple[str, ...]:
        """What ``deploy`` copies for this configuration."""
        return self.deployed(config) if callable(self.deployed) else self.deployed


def stage_named(name: str) -> Stage:
    """A stage by its name. Raises TrainingError for a name that there is not."""
    if name not in STAGES:
        raise TrainingError(f"There is no stage '{name}'; there are {', '.join(sorted(STAGES))}.")
    module, attribute = STAGES[name].split(":")
    stage = getattr(importlib.import_module(module), attribute)
    assert isinstance(stage, Stage)
    return stage


# --- configurations -------------------------------------------------------------------------------------------------


def read_config(stage: Stage, path: Path | None = None) -> tuple[Any, dict[str, Any]]:
    """A configuration file: the stage's dataclass, and the ranges of its ``[search]`` table.

    Raises:
        TrainingError: the file cannot be read, or has lines that mean nothing or values of the wrong kind.
    """
    path = Path(path or stage.config_file)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} is no readable configuration ({error}); mend it.") from error
    search = values.pop("search", {})
    known = {f.name for f in dataclasses.fields(stage.config)}
    if unknown := sorted((set(values) | set(search)) - known):
        raise TrainingError(f"{path} has lines that mean nothing: {', '.join(unknown)}; remove them.")
    return make_config(stage, values, str(path)), search


def make_config(stage: Stage, values: dict[str, Any], where: str) -> Any:
    """The stage's dataclass of plain values. Raises TrainingError naming a value of the wrong kind."""
    hints = typing.get_type_hints(stage.config)
    changed = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    for key, value in changed.items():
        if not _fits(value, hints[key]):
            wanted = getattr(hints[key], "__name__", str(hints[key]))
            raise TrainingError(f"{where}: {key} must be of the kind {wanted}, not {value!r}.")
    try:
        return stage.config(**changed)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"{where}: {error}") from error


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, part) for part in hint.__args__)
    kind = typing.get_origin(hint) or hint
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind) if isinstance(kind, type) else True


def drawn(search: dict[str, Any], trial: int, seed: int = 0) -> dict[str, Any]:
    """One random choice of the searched values, the same for the same trial and seed.

    A list is a choice; ``{low, high}`` a range, of whole numbers when both ends are; ``log = true`` spreads evenly
    over its logarithm. Raises TrainingError for a range that is none.
    """
    rng = random.Random(f"{seed}-{trial}")
    values: dict[str, Any] = {}
    for name, span in sorted(search.items()):
        if isinstance(span, list) and span:
            values[name] = rng.choice(span)
            continue
        if not isinstance(span, dict) or not {"low", "high"} <= set(span) or not span["low"] < span["high"]:
            raise TrainingError(f"search.{name} must be a list or have low and high, low below high; got {span!r}.")
        low, high = span["low"], span["high"]
        if span.get("log"):
            if low <= 0:
                raise TrainingError(f"search.{name}: a logarithmic range begins above 0, not at {low}.")
            value = math.exp(rng.uniform(math.log(low), math.log(high)))
        else:
            value = rng.uniform(low, high)
        values[name] = round(value) if isinstance(low, int) and isinstance(high, int) else value
    return values


# --- train, evaluate, deploy ----------------------------------------------------------------------------------------


def training_folder(stage: Stage, config_file: Path | None = None) -> Path:
    """Where a training goes when nobody says otherwise: ``outputs/training/NAME OF THE CONFIGURATION``."""
    return settings.outputs_dir() / "training" / Path(config_file or stage.config_file).stem


def train(
    stage: Stage,
    config: Any,
    folder: Path,
    *,
    start: Path | None = None,
    progress: Callable[[str, float], None] = _quiet,
) -> Path:
    """Train into ``folder``; what was killed goes on, what was trained with another configuration begins afresh.

    Raises:
        TrainingError: the weights to start from are not there, or the stage cannot train.
    """
    if start is not None and not start.is_file():
        raise TrainingError(f"There are no weights at {start} to start from; check the path.")
    folder.mkdir(parents=True, exist_ok=True)
    plain = _plain(config) | ({"from": _fingerprint(start)} if start else {})
    path = folder / "config.json"
    if not path.exists() or _read_json(path) != plain:
        for name in ("state.pt", "history.csv", "training.json", "metrics.json"):
            (folder / name).unlink(missing_ok=True)
        _write_json(path, plain)
    _seed(getattr(config, "seed", 0))
    stage.train(config, Work(folder, start, progress))
    return folder


def search(
    stage: Stage,
    config: Any,
    ranges: dict[str, Any],
    trials: int,
    folder: Path,
    *,
    start: Path | None = None,
    progress: Callable[[str, float], None] = _quiet,
) -> list[dict[str, Any]]:
    """Random search (Bergstra and Bengio 2012): train ``trials`` configurations and keep the best by validation.

    The trials lie in ``folder/trial-N``, the best one's files are copied into ``folder``, the table is
    ``folder/search.csv``. Trials that are done are not done again.

    Returns:
        A row a trial (``trial``, ``score`` and the searched values), best first.

    Raises:
        TrainingError: there is nothing to search, or the stage tells no validation score.
    """
    if not ranges:
        raise TrainingError("There is nothing to search: give the configuration a [search] table with ranges.")
    rows: list[dict[str, Any]] = []
    best_is_high = True
    for trial in range(trials):
        values = drawn(ranges, trial, getattr(config, "seed", 0))
        chosen = make_config(stage, {f.name: getattr(config, f.name) for f in dataclasses.fields(config)} | values, "")
        place = folder / f"trial-{trial + 1}"
        done = place / "training.json"
        if not (done.exists() and _read_json(place / "config.json") == _plain(chosen)):
            text = f"trial {trial + 1} of {trials}"

            def told(line: str, share: float, text: str = text, trial: int = trial) -> None:
                progress(f"{text}: {line}", (trial + share) / trials)

            train(stage, chosen, place, start=start, progress=told)
        if not done.exists():
            raise TrainingError(f"{stage.name} tells no validation score, so trials cannot be compared.")
        result = _read_json(done)
        best_is_high = result["higher_is_better"]
        rows.append({"trial": trial + 1, "score": result["score"], **values})
    rows.sort(key=lambda row: row["score"], reverse=best_is_high)
    with (folder / "search.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    winner = folder / f"trial-{rows[0]['trial']}"
    for path in winner.iterdir():
        if path.is_file() and path.name != "state.pt":
            shutil.copy2(path, folder / path.name)
    return rows


def evaluate(
    stage: Stage, config: Any, folder: Path, *, progress: Callable[[str, float], None] = _quiet
) -> dict[str, Any]:
    """Measure what was trained in ``folder`` on the test split; written to ``metrics.json`` there.

    Raises:
        TrainingError: nothing was trained there, or with another configuration.
    """
    _trained(config, folder)
    metrics = stage.evaluate(config, Work(folder, None, progress))
    primary = metrics.get("primary", {})
    if not {"name", "value", "low", "high", "higher_is_better"} <= set(primary):
        raise TrainingError(f"{stage.name} measured nothing that models can be compared by ('primary' is missing).")
    whole = {"stage": stage.name, "config": _plain(config), **metrics}
    _write_json(folder / "metrics.json", whole)
    return whole


def deploy(stage: Stage, config: Any, folder: Path, name: str, into: Path | None = None) -> list[Path]:
    """Copy the model of ``folder`` into ``checkpoints/``, if its evaluation is there and no worse than the present one.

    Args:
        stage: what was trained.
        config: as trained.
        folder: of the training.
        name: of the evaluation in ``into`` (``NAME.evaluation.json``): the configuration file's name.
        into: the folder of the shipped models; None is `checkpoints/`.

    Returns:
        The files written.

    Raises:
        TrainingError: not evaluated, worse than what is there, or a file of the model is missing.
    """
    into = into or CHECKPOINTS
    _trained(config, folder)
    path = folder / "metrics.json"
    if not path.exists():
        raise TrainingError(f"{folder} was not evaluated; run `python -m pipeline evaluate {stage.name}` first.")
    new, kept = _read_json(path), into / f"{name}.evaluation.json"
    if new["config"] != _plain(config):
        raise TrainingError(f"{folder} was evaluated with another configuration; evaluate it again.")
    if kept.exists():
        old = _read_json(kept)["primary"]
        gain = new["primary"]["value"] - old["value"]
        if new["primary"]["name"] == old["name"] and (gain if old["higher_is_better"] else -gain) < 0:
            raise TrainingError(
                f"Not deployed: {old['name']} is {new['primary']['value']:.4g}, "
                f"worse than the present {old['value']:.4g}."
            )
    files = stage.files(config)
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise TrainingError(f"{folder} lacks {', '.join(missing)}; train it again.")
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for file in files:
        part = into / f"{file}.part"
        shutil.copyfile(folder / file, part)
        part.replace(into / file)
        written.append(into / file)
    _write_json(kept, new)
    return [*written, kept]


def comparison(folders: typing.Iterable[Path] = ()) -> list[dict[str, Any]]:
    """All evaluated models, shipped ones and those of ``folders``, best first within a stage.

    Returns:
        Rows with ``model``, ``stage``, ``metric``, ``value``, ``low``, ``high``, ``folder``.
    """
    found = sorted(CHECKPOINTS.glob("*.evaluation.json")) + [
        path for folder in folders for path in sorted(folder.rglob("metrics.json"))
    ]
    rows = []
    for path in found:
        metrics = _read_json(path)
        primary = metrics.get("primary")
        if primary is None or "stage" not in metrics:
            continue
        shipped = path.name.endswith(".evaluation.json")
        rows.append(
            {
                "model": path.name.removesuffix(".evaluation.json") if shipped else path.parent.name,
                "stage": metrics["stage"],
                "metric": primary["name"],
                "value": primary["value"],
                "low": primary["low"],
                "high": primary["high"],
                "folder": "checkpoints" if shipped else str(path.parent),
                "_order": -primary["value"] if primary["higher_is_better"] else primary["value"],
            }
        )
    rows.sort(key=lambda row: (row["stage"], row["metric"], row.pop("_order")))
    return rows


def _trained(config: Any, folder: Path) -> None:
    path = folder / "config.json"
    if not path.exists():
        raise TrainingError(f"Nothing was trained in {folder}; train first, or name its folder with --out.")
    trained = {key: value for key, value in _read_json(path).items() if key != "from"}
    if trained != _plain(config):
        raise TrainingError(f"{folder} was trained with another configuration; give that one, or train again.")


def _seed(seed: int) -> None:
    import torch

    random.seed(seed)
    torch.manual_seed(seed)


def _fingerprint(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(config: Any) -> dict[str, Any]:
    return dict(json.loads(json.dumps(asdict(config), default=str)))


def _write_json(path: Path, values: dict[str, Any]) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(values, indent=1, default=_number) + "\n", encoding="utf-8")
    part.replace(path)


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise TrainingError(f"{path} is damaged ({error}); remove it and train again.") from error
