"""The stage ``falls``: a calibrated random forest, its operating points, and how it compares.

Everything is chosen by cross-validation grouped by fall event, scene and performer: calibration, operating points and
the numbers on the model card all come from forests that had not seen the clip. The clips of media/ play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from pipeline.falls.events import smoothed
from pipeline.falls.forest import DEFAULT_SENSITIVITY, SENSITIVITIES, FallForest, OperatingPoint, witnessed
from pipeline.poses import Array
from pipeline.training.fall_data import REAL, Windows, all_windows, training_rows
from pipeline.training.fall_measure import Detector, detector_of, tally
from pipeline.training.framework import Stage, TrainingError, Work

LICENCES = {
    "upfall": "UP-Fall, subject 1 (Martinez-Villasenor et al. 2019): public research set, no licence text found",
    "urfd": "UR Fall (Kwolek and Kepski 2014): CC BY-NC-SA, NON-COMMERCIAL",
    "acted": "rendered actor of this project: its own licence",
    "kinect": "UTKinect and MSRAction3D: academic and research use; PRECOG: MIT",
    "mocap": "HDM05: CC BY-SA 3.0; CMU motion capture: free for all uses (NSF EIA-0196217)",
}
PERMISSIVE = ("acted", "mocap")  # whose licences allow commercial use
_THRESHOLDS = np.round(np.arange(0.04, 0.97, 0.02), 2)


@dataclass(frozen=True)
class FallsConfig:
    """How the fall forest is trained.

    sources: what to learn from; "upfall" and "urfd" need the private clips, "mocap" and
        "kinect" the private data, "acted" nothing.
    seed: of scenes, cameras and trees.
    acted_scenes: scenes of the rendered actor; more add little beyond a thousand.
    mocap_views: cameras that look at each captured motion.
    quiet_share: of the windows without a fall, kept (four times as many where somebody comes down); all would only
        take longer.
    trees: of the forest; more are slower and larger.
    min_leaf: windows in a leaf; small leaves learn single people by heart and make large files.
    max_features: share of the features that a split may choose from.
    folds: of the cross-validation.
    """

    sources: tuple[str, ...] = ("upfall", "urfd", "acted", "mocap", "kinect")
    seed: int = 5
    acted_scenes: int = 1000
    mocap_views: int = 1
    quiet_share: float = 0.06
    trees: int = 90
    min_leaf: int = 10
    max_features: float = 0.1
    folds: int = 4

    def __post_init__(self) -> None:
        unknown = sorted(set(self.sources) - set(LICENCES))
        if unknown or not self.sources:
            raise ValueError(f"sources must be some of {', '.join(LICENCES)}, not {', '.join(unknown) or 'none'}.")
        if self.folds < 2 or self.trees < 1 or self.min_leaf < 1:
            raise ValueError("folds must be at least 2, trees and min_leaf at least 1.")


def fit(windows: Sequence[Windows], config: FallsConfig, *, seed: int = 0) -> RandomForestClassifier:
    """A forest on the windows; the same seed gives the same forest."""
    x, y, weight = training_rows(windows, config.seed + seed, config.quiet_share)
    if len(np.unique(y)) < 2:
        raise TrainingError("The sources show no fall, or nothing but falls; add 'acted' or the private data.")
    forest = RandomForestClassifier(
        config.trees, min_samples_leaf=config.min_leaf, max_features=config.max_features, max_samples=0.5,
        random_state=config.seed + seed, n_jobs=1,
    )  # fmt: skip
    return forest.fit(x, y.astype(int), sample_weight=weight)


def folds_of(windows: Sequence[Windows], count: int, seed: int) -> list[set[str]]:
    """The groups of each fold; every source is spread over all folds."""
    rng = np.random.default_rng(seed)
    folds: list[set[str]] = [set() for _ in range(count)]
    by_source: dict[str, list[str]] = {}
    for one in windows:
        kind = f"{one.example.source.split(':')[0]} {bool(one.example.falls)}"
        if one.example.group not in by_source.setdefault(kind, []):
            by_source[kind].append(one.example.group)
    placed: set[str] = set()
    for groups in by_source.values():
        for number, group in enumerate(rng.permutation([g for g in groups if g not in placed])):
            folds[number % count].add(str(group))
            placed.add(str(group))
    return folds


def unseen_votes(windows: Sequence[Windows], config: FallsConfig, work: Work) -> dict[int, Array]:
    """Votes for every whole example by a forest that saw nothing of its group; by ``id`` of the windows."""
    votes: dict[int, Array] = {}
    for number, groups in enumerate(folds_of(windows, config.folds, config.seed)):
        work.progress(f"fold {number + 1} of {config.folds}", 0.4 + 0.5 * number / config.folds)
        model = fit([one for one in windows if one.example.group not in groups], config, seed=number + 1)
        votes |= votes_of(model, [one for one in windows if one.example.group in groups and not one.cut])
    return votes


def votes_of(model: RandomForestClassifier, windows: Sequence[Windows]) -> dict[int, Array]:
    """The forest's votes for all windows, asked at once; by ``id`` of the windows."""
    some = [one for one in windows if len(one.grid)]
    if not some:
        return {}
    found = model.predict_proba(np.concatenate([one.table.values for one in some]))[:, 1]
    ends = np.cumsum([len(one.grid) for one in some])
    return {id(one): part for one, part in zip(some, np.split(found, ends[:-1]), strict=True)}


def calibrate(windows: Sequence[Windows], votes: dict[int, Array]) -> Array:
    """(2, K) sigmoid calibration (Platt 1999, on the log odds of the votes) of unseen votes; sources weigh the same."""
    sources = [one.example.source.split(":")[0] for one in windows if id(one) in votes]
    given, truth, weight = [], [], []
    for one in windows:
        if id(one) in votes:
            known = np.isfinite(one.label)
            given.append(votes[id(one)][known])
            truth.append(one.label[known])
            weight.append(np.full(int(known.sum()), 1 / sources.count(one.example.source.split(":")[0])))
    x, y, w = (np.concatenate(part) for part in (given, truth, weight))
    model = LogisticRegression(C=1e3).fit(_log_odds(x)[:, None], y.astype(int), sample_weight=w / w.mean())
    knots = np.linspace(0, 1, 201)
    return np.stack([knots, model.predict_proba(_log_odds(knots)[:, None])[:, 1]])


def _log_odds(share: Array) -> Array:
    clipped = np.clip(share, 0.01, 0.99)
    return np.asarray(np.log(clipped / (1 - clipped)))


def curves_of(windows: Sequence[Windows], votes: dict[int, Array], calibration: Array) -> dict[int, Array]:
    """Smoothed probabilities as ``detect_falls`` makes them, from votes."""
    return {
        id(one): smoothed(np.where(witnessed(one.table), np.interp(votes[id(one)], *calibration), np.nan))
        for one in windows
        if id(one) in votes
    }


def from_source(name: str, source: str) -> bool:
    """Whether an example's source ("acted:burpees") belongs to a source of the configuration ("acted")."""
    return source.split(":")[0] == name


def is_real(source: str) -> bool:
    """Filmed people, not acted or captured ones."""
    return source in REAL


def balanced_f1(windows: Sequence[Windows], detect: Detector) -> float:
    """Event F1 in which the falls of every source weigh the same, so that many acted ones do not drown few filmed."""
    by_source = [
        tally(windows, detect, partial(from_source, name))
        for name in sorted({one.example.source.split(":")[0] for one in windows})
    ]
    falls = sum(one.falls for one in by_source)
    shares = [one.found / one.falls for one in by_source if one.falls]
    found = falls * sum(shares) / max(len(shares), 1)
    false = sum(one.false_alarms for one in by_source)
    return 2 * found / (found + falls + false) if falls else 0.0


def operating_points(windows: Sequence[Windows], curves: dict[int, Array]) -> tuple[OperatingPoint, ...]:
    """Five thresholds from cautious to sensitive.

    "balanced" has the best event F1 on the filmed takes; of several that are as good, the one with the best F1 over
    everything, every source's falls weighing the same. Without filmed takes the latter alone decides. The others lie
    half way and nearly all the way to where no alarm is left, and to where the false alarms have become five times as
    many.
    """
    filmed, scores, rates = [], [], []
    for threshold in _THRESHOLDS:
        detect = detector_of(curves, float(threshold))
        filmed.append(tally(windows, detect, is_real).f1())
        scores.append(balanced_f1(windows, detect))
        rates.append(tally(windows, detect).false_alarms)
    best = np.nan_to_num(np.array(filmed))
    balanced = int(np.argmax(np.where(best >= best.max() - 1e-9, scores, -1.0)))
    low = next((n for n in range(balanced, -1, -1) if rates[n] > 5 * max(rates[balanced], 2)), 0)
    high = len(_THRESHOLDS) - 1
    chosen = [high - (high - balanced) // 5, (high + balanced) // 2, balanced, (balanced + low) // 2, low]
    points = []
    for name, number in zip(SENSITIVITIES, chosen, strict=True):
        detect = detector_of(curves, float(_THRESHOLDS[number]))
        counts = tally(windows, detect)
        rate, rate_low, rate_high = counts.rate_interval()
        points.append(
            OperatingPoint(name, float(_THRESHOLDS[number]), counts.missed, *counts.missed_interval, counts.falls,
                           rate, rate_low, rate_high, counts.hours)
        )  # fmt: skip
    return tuple(points)


def _windows(config: FallsConfig, work: Work) -> list[Windows]:
    def told(text: str, share: float) -> None:
        work.progress(text, 0.4 * share)

    windows = all_windows(config.sources, config.acted_scenes, config.mocap_views, config.seed, told)
    if not windows:
        raise TrainingError("There is nothing to learn from; set KINOSCOPE_DATA, or add 'acted' to sources.")
    return windows


def train(config: FallsConfig, work: Work) -> None:
    """Cross-validate (calibration, operating points), then fit on everything."""
    windows = _windows(config, work)
    finish(config, work, windows, unseen_votes(windows, config, work))


def finish(config: FallsConfig, work: Work, windows: Sequence[Windows], votes: dict[int, Array]) -> None:
    """Calibration and operating points from the unseen votes, the forest on everything, and what was measured."""
    calibration = calibrate(windows, votes)
    curves = curves_of(windows, votes, calibration)
    points = operating_points(windows, curves)
    balanced = next(point for point in points if point.name == DEFAULT_SENSITIVITY)
    detect = detector_of(curves, balanced.threshold)
    work.progress("the forest on everything", 0.9)
    forest = fit(windows, config)
    extra = {
        "model": "random forest over fall windows",
        "sources": {name: LICENCES[name] for name in config.sources},
        "takes": sorted({one.example.group for one in windows if is_real(one.example.source)}),
        "seed": config.seed,
    }
    FallForest(forest, windows[0].table.names, calibration, points).save(work.folder, "falls", extra)
    measured = {"everything": tally(windows, detect).to_json()}
    for name in config.sources:
        measured[name] = tally(windows, detect, partial(from_source, name)).to_json()
    np.savez_compressed(work.folder / "unseen.npz", **_unseen(windows, votes))
    (work.folder / "cross_validation.json").write_text(_json(measured), encoding="utf-8")
    for row_name, counts in measured.items():
        work.log(source=row_name, **{k: (v if v is not None else "") for k, v in counts.items()})
    kept = tally(windows, detect, is_real if set(config.sources) & set(REAL) else lambda _: True)
    work.validated(kept.f1())


def _unseen(windows: Sequence[Windows], votes: dict[int, Array]) -> dict[str, Array]:
    some = [one for one in windows if id(one) in votes]
    return {
        "votes": np.concatenate([votes[id(one)] for one in some]),
        "label": np.concatenate([one.label for one in some]),
        "offset": np.cumsum([0] + [len(one.grid) for one in some]),
        "source": np.array([one.example.source for one in some]),
        "group": np.array([one.example.group for one in some]),
    }


def _json(values: Any) -> str:
    import json

    return json.dumps(values, indent=1) + "\n"


def evaluate(config: FallsConfig, work: Work) -> dict[str, Any]:
    """Measured on clips that the measuring forest had not seen; the baselines in the same way, beside it."""
    from pipeline.training.fall_compare import compare

    return compare(config, work, _windows(config, work))


STAGE = Stage(
    "falls",
    FallsConfig,
    Path(__file__).parent / "configs" / "falls.toml",
    train,
    evaluate,
    ("falls.skops", "falls.json"),
)
