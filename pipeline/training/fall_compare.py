"""The fall forest against its baselines, and on sources that it never saw; for ``evaluate falls``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from pipeline.falls.events import smoothed
from pipeline.poses import Array
from pipeline.training import falls
from pipeline.training.fall_baselines import floor_votes, network_votes, rule_votes
from pipeline.training.fall_data import REAL, Windows
from pipeline.training.fall_measure import Tally, detector_of, tally
from pipeline.training.framework import Work

FOREST = "random forest (shipped)"
_THRESHOLDS = np.round(np.arange(0.02, 0.99, 0.02), 2)
_NETWORK_EPOCHS, _FLOOR_TREES = 5, 40

Curves = dict[int, Array]


def compare(config: falls.FallsConfig, work: Work, windows: Sequence[Windows]) -> dict[str, Any]:
    """Metrics of the shipped kind of forest and of the baselines, all on people that they had not seen.

    Every method's threshold is the one with the best event F1 on the same unseen predictions, so none is favoured.
    """
    folds = falls.folds_of(windows, config.folds, config.seed)
    votes = _kept_votes(work.folder, windows)
    calibration = falls.calibrate(windows, votes)
    methods: dict[str, Curves] = {FOREST: falls.curves_of(windows, votes, calibration)}
    progress = work.progress
    progress("baseline: the forest it replaces", 0.5)
    methods["floor: pixels, frames, zeros"] = _folded(
        windows, folds, partial(floor_votes, trees=_FLOOR_TREES, seed=config.seed)
    )
    progress("baseline: a rule", 0.6)
    methods["rule: fast drop, then lying still"] = _smooth(rule_votes([w for w in windows if not w.cut]))
    progress("baseline: a temporal network", 0.65)
    methods["temporal CNN"] = _folded(
        windows, folds, partial(network_votes, epochs=_NETWORK_EPOCHS, seed=config.seed, quiet_share=config.quiet_share)
    )
    table, real = {}, _has_real(windows)
    for name, curves in methods.items():
        threshold = best_threshold(windows, curves)
        detect = detector_of(curves, threshold)
        row: dict[str, Any] = {"threshold": threshold, "everything": tally(windows, detect).to_json()}
        for source in config.sources:
            row[source] = tally(windows, detect, partial(falls.from_source, source)).to_json()
        row["filmed"] = tally(windows, detect, falls.is_real).to_json()
        table[name] = row
    progress("on sources that it never saw", 0.85)
    unseen = _other_sources(config, windows, votes)
    chosen = table[FOREST]["filmed" if real else "everything"]
    _plot(work.folder, windows, methods)
    _plot_reliability(work.folder, windows, votes, calibration)
    return {
        "primary": {
            "name": "event F1, cross-validated, filmed takes" if real else "event F1, cross-validated",
            "value": chosen["f1"],
            "low": chosen["f1_low"],
            "high": chosen["f1_high"],
            "higher_is_better": True,
        },
        "methods": table,
        "unseen_sources": unseen,
    }


def best_threshold(windows: Sequence[Windows], curves: Curves) -> float:
    """As ``falls.operating_points`` chooses: the best event F1 on filmed takes; of equals, the best over everything."""
    detectors = [detector_of(curves, float(threshold)) for threshold in _THRESHOLDS]
    filmed = np.nan_to_num([tally(windows, detect, falls.is_real).f1() for detect in detectors])
    scores = [falls.balanced_f1(windows, detect) for detect in detectors]
    return float(_THRESHOLDS[int(np.argmax(np.where(filmed >= filmed.max() - 1e-9, scores, -1.0)))])


def _kept_votes(folder: Path, windows: Sequence[Windows]) -> Curves:
    """The votes of the cross-validation that ``train`` kept; the windows are made in the same order."""
    with np.load(folder / "unseen.npz", allow_pickle=False) as file:
        votes, offset = file["votes"], file["offset"]
    some = [one for one in windows if not one.cut and len(one.grid)]
    if len(some) != len(offset) - 1 or any(
        len(one.grid) != b - a for one, a, b in zip(some, offset[:-1], offset[1:], strict=True)
    ):
        raise ValueError("The data changed since the training; train again, then evaluate.")
    return {id(one): votes[a:b] for one, a, b in zip(some, offset[:-1], offset[1:], strict=True)}


def _folded(windows: Sequence[Windows], folds: list[set[str]], method: Callable[..., Curves]) -> Curves:
    votes: Curves = {}
    for groups in folds:
        test = [one for one in windows if one.example.group in groups and not one.cut]
        votes |= method([one for one in windows if one.example.group not in groups], test)
    return _smooth(votes)


def _smooth(votes: Curves) -> Curves:
    return {key: smoothed(values) for key, values in votes.items()}


def _has_real(windows: Sequence[Windows]) -> bool:
    return any(falls.is_real(one.example.source) for one in windows)


def _other_sources(config: falls.FallsConfig, windows: Sequence[Windows], votes: Curves) -> dict[str, Any]:
    """Forests without a source, measured on it; calibration and threshold from the sources that they learned from."""
    result: dict[str, Any] = {}
    plans = {name: tuple(s for s in config.sources if s != name) for name in config.sources if name in REAL}
    permissive = tuple(name for name in config.sources if name in falls.PERMISSIVE)
    if len(permissive) < len(config.sources) and "acted" in permissive:
        plans["+".join(name for name in config.sources if name in REAL)] = permissive
    for name, learned in plans.items():
        if not set(learned) & {"acted", *REAL}:
            continue
        kept = [one for one in windows if one.example.source.split(":")[0] in learned]
        test = [one for one in windows if one.example.source.split(":")[0] in name.split("+") and not one.cut]
        own = {id(one): votes[id(one)] for one in kept if id(one) in votes}
        calibration = falls.calibrate(kept, own)
        threshold = best_threshold(kept, falls.curves_of(kept, own, calibration))
        forest = falls.fit(kept, config)
        found = falls.votes_of(forest, test)
        counts: Tally = tally(test, detector_of(falls.curves_of(test, found, calibration), threshold))
        result[f"{name}, learned from {'+'.join(learned)}"] = {"threshold": threshold, **counts.to_json()}
    return result


def _plot(folder: Path, windows: Sequence[Windows], methods: dict[str, Curves]) -> None:
    """Missed falls against false alarms an hour, every method, every threshold."""
    rows = []
    for name, curves in methods.items():
        for threshold in _THRESHOLDS[::2]:
            counts = tally(windows, detector_of(curves, float(threshold)))
            rows.append((name, counts.rate_interval()[0], 100 * counts.missed))
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for name in methods:
            points = np.array([row[1:] for row in rows if row[0] == name])
            axes.plot(points[:, 0], points[:, 1], marker="o", ms=3, label=name)
        axes.set(xlabel="false alarms an hour (difficult life)", ylabel="missed falls (%)", xscale="symlog")
        axes.legend()
        figure.savefig(folder / "operating.png", dpi=130)


def _plot_reliability(folder: Path, windows: Sequence[Windows], votes: Curves, calibration: Array) -> None:
    """Calibrated probability against the share of windows that show a fall."""
    given, truth = [], []
    for one in windows:
        if id(one) in votes:
            known = np.isfinite(one.label)
            given.append(np.interp(votes[id(one)][known], *calibration))
            truth.append(one.label[known])
    p, y = np.concatenate(given), np.concatenate(truth)
    bins = np.clip((p * 10).astype(int), 0, 9)
    shares = [(p[bins == b].mean(), y[bins == b].mean()) for b in range(10) if (bins == b).sum() >= 20]
    (folder / "reliability.json").write_text(json.dumps([[float(a), float(b)] for a, b in shares]), encoding="utf-8")
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(4.5, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="gray", ls="--")
        axes.plot(*np.array(shares).T, marker="o")
        axes.set(xlabel="probability said", ylabel="share of windows with a fall")
        figure.savefig(folder / "reliability.png", dpi=130)
