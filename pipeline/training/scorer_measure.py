"""What the scorer's held-out scores are worth, with a forest on hand features and a leaky split beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.scoring.exercises import EXERCISES
from pipeline.scoring.intervals import Intervals
from pipeline.scoring.target import Anchors, distance, distances_to_others
from pipeline.training.dataset import Repetitions, from_video
from pipeline.training.framework import Work
from pipeline.training.lifted import LIFTED

if TYPE_CHECKING:
    from pipeline.training.scorer import ScorerConfig

FORESTS = 40  # trees
_DRAWS = 300


def auc(score: Array, incorrect: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann and Whitney's statistic); NaN with one verdict only."""
    from scipy.stats import rankdata

    bad = int(incorrect.sum())
    good = len(incorrect) - bad
    if not bad or not good:
        return float("nan")
    return float((rankdata(score)[incorrect].sum() - bad * (bad + 1) / 2) / (bad * good))


def by_exercise(score: Array, data: Repetitions) -> dict[str, float]:
    """The area under the curve of each exercise."""
    found = {}
    for exercise in EXERCISES.values():
        own = data.exercise == exercise.position
        if own.any():
            found[exercise.name] = auc(score[own], data.incorrect[own])
    return found


def mean_with_interval(score: Array, data: Repetitions, seed: int = 0) -> dict[str, float]:
    """The mean of the exercises' areas, and 95 % of its bootstrap draws over people."""
    rng = np.random.default_rng(seed)
    people, exercises = np.unique(data.subject), np.unique(data.exercise)
    rows = {(who, k): np.flatnonzero((data.subject == who) & (data.exercise == k)) for who in people for k in exercises}
    draws = []
    for _ in range(_DRAWS):
        drawn = rng.choice(people, len(people))
        index = [np.concatenate([rows[who, k] for who in drawn]) for k in exercises]
        draws.append(np.nanmean([auc(score[own], data.incorrect[own]) for own in index]))
    value = float(np.nanmean(list(by_exercise(score, data).values())))
    return {"value": value, "low": float(np.quantile(draws, 0.025)), "high": float(np.quantile(draws, 0.975))}


def hand_features(xyz: NDArray[np.float32], counted: tuple[int, ...]) -> NDArray[np.float32]:
    """(N, K) of (N, 48, 13, 3): places at 12 moments, highest, lowest, spread, and spread of the velocity."""
    x = xyz[:, :, list(counted)]
    n = len(x)
    velocity = np.diff(x, axis=1)
    parts = [x[:, ::4], x.max(axis=1), x.min(axis=1), x.std(axis=1), velocity.std(axis=1)]
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)


def forest(data: Repetitions, groups: NDArray[Any], seed: int = 0) -> Array:
    """(N,) held-out probability of incorrect by a forest an exercise, leaving one group out at a time."""
    from sklearn.ensemble import RandomForestClassifier

    found = np.full(len(data), np.nan)
    for exercise in EXERCISES.values():
        own = np.flatnonzero(data.exercise == exercise.position)
        if not len(own):
            continue
        features, answer = hand_features(data.xyz[own], exercise.counted), data.incorrect[own]
        for group in np.unique(groups[own]):
            test = groups[own] == group
            if len(np.unique(answer[~test])) < 2:
                continue
            trees = RandomForestClassifier(FORESTS, min_samples_leaf=2, random_state=seed)
            trees.fit(features[~test], answer[~test])
            found[own[test]] = trees.predict_proba(features[test])[:, 1]
    return found


def measure(config: ScorerConfig, work: Work, data: Repetitions) -> dict[str, Any]:
    """The metrics of the training in ``work.folder``; writes its plots there."""
    with np.load(work.folder / "held_out.npz") as stored:
        score, target = stored["score"], stored["target"]
    about = json.loads((work.folder / f"scorer-{config.design}.json").read_text(encoding="utf-8"))
    known = np.isfinite(score)
    shown = known & (data.source == data.source[0])  # one sensor: the same performance must not count twice
    some, some_score, some_target = data.select(shown), score[shown], target[shown]
    interval = about["intervals"]
    error = np.abs(some_score - some_target)
    rank = ranks(some_score, some_target, some)
    metrics: dict[str, Any] = {
        "repetitions": int(shown.sum()),
        "subjects": sorted(np.unique(some.subject).tolist()),
        "source": str(data.source[0]),
        "spearman_of_target": {"mean": float(np.nanmean(list(rank.values()))), **rank},
        "mean_absolute_error": float(error.mean()),
        "interval": interval,
    }
    if data.graded:
        _plots(work, some, some_score, some_target, metrics)
        rng = np.random.default_rng(config.seed)
        draws = [error[rng.integers(0, len(error), len(error))].mean() for _ in range(_DRAWS)]
        primary = {"name": "mean absolute error of the grade, people left out", "value": float(error.mean()),
                   "low": float(np.quantile(draws, 0.025)), "high": float(np.quantile(draws, 0.975)),
                   "higher_is_better": False}  # fmt: skip
        return {"primary": primary, **metrics}
    work.progress("a forest on the same people", 0.3)
    plain = forest(some, some.subject)
    work.progress("a leaky split", 0.7)
    leaky = forest(some, np.random.default_rng(config.seed).integers(0, 8, len(some)))
    formula = np.full(len(some), np.nan)
    for exercise in EXERCISES.values():
        own = some.exercise == exercise.position
        if own.any():
            part = some.select(own)
            formula[own] = distances_to_others(
                part.xyz.astype(np.float64), part.subject, part.incorrect, exercise.counted
            )
    metrics |= {
        "auc": by_exercise(some_score, some),
        "forest": {**mean_with_interval(plain, some), "auc": by_exercise(plain, some)},
        "leaky_random_split_forest": {**mean_with_interval(leaky, some), "auc": by_exercise(leaky, some)},
        "distance_formula": {**mean_with_interval(formula, some), "auc": by_exercise(formula, some)},
    }
    if from_video(data).any():
        metrics["video"] = video(data, score, target, about["anchors"], Intervals.from_json(interval))
    _plots(work, some, some_score, some_target, metrics)
    name = "mean AUC of correct against incorrect, leaving one person out, the head free"
    return {"primary": {"name": name, **mean_with_interval(some_score, some), "higher_is_better": True}, **metrics}


def ranks(score: Array, target: Array, data: Repetitions) -> dict[str, float]:
    """Spearman's rank correlation of score and target, an exercise each."""
    from scipy.stats import spearmanr

    own = {exercise.name: data.exercise == exercise.position for exercise in EXERCISES.values()}
    return {name: float(spearmanr(score[k], target[k])[0]) for name, k in own.items() if k.sum() > 2}


def video(data: Repetitions, score: Array, target: Array, anchors: dict[str, Any], intervals: Intervals
          ) -> dict[str, Any]:  # fmt: skip
    """The first sensor's repetitions as the chain knows them from video, by network and by the target's formula.

    ``shift``: the mean distance of a repetition's scores from video and from the sensor.
    """
    sensor = str(data.source[0])
    recorded, seen = (np.flatnonzero((data.source == name) & np.isfinite(score)) for name in (sensor, sensor + LIFTED))
    place = {data.name[k]: k for k in recorded}
    twin = np.array([place[data.name[k]] for k in seen])
    formula = np.full(len(data), np.nan)
    for exercise in EXERCISES.values():
        known = recorded[(data.exercise[recorded] == exercise.position) & ~data.incorrect[recorded]]
        edge = Anchors(**anchors[exercise.name][sensor]) if exercise.name in anchors else None
        for who in np.unique(data.subject):
            correct = data.xyz[known[data.subject[known] != who]].astype(np.float64)
            for rows in (recorded, seen):
                own = rows[(data.exercise[rows] == exercise.position) & (data.subject[rows] == who)]
                if len(own) and edge is not None:
                    formula[own] = edge.formula(distance(data.xyz[own].astype(np.float64), correct, exercise.counted))
    part = data.select(seen)
    found: dict[str, Any] = {"repetitions": len(seen)}
    for method, values in (("network", score), ("distance_formula", formula)):
        found[method] = {
            **mean_with_interval(values[seen], part),
            "auc": by_exercise(values[seen], part),
            "spearman_of_target": float(np.nanmean(list(ranks(values[seen], target[seen], part).values()))),
            "mean_score": float(values[seen].mean()),
            "mean_score_by_sensor": float(values[twin].mean()),
            "shift": float(np.abs(values[seen] - values[twin]).mean()),
        }
    for name, rows in (("video", seen), ("sensor", recorded)):
        around = [intervals.around(float(value)) for value in score[rows]]
        held = [low <= t <= high for (low, high), t in zip(around, target[rows], strict=True)]
        found[f"interval_holds_by_{name}"] = float(np.mean(held))
    return found


def _plots(work: Work, data: Repetitions, score: Array, target: Array, metrics: dict[str, Any]) -> None:
    """Score against target, and beside it the areas of the exercises or the errors of the people, as PNG."""
    import pandas as pd
    import seaborn as sns
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    verdict = np.where(data.incorrect, "incorrect", "correct")
    sns.scatterplot(x=target, y=score, hue=verdict, s=9, ax=left)
    what = "grade" if data.graded else "derived target"
    left.set(xlabel=what, ylabel="score of people left out", xlim=(-0.1, 4.1), ylim=(-0.1, 4.1))
    if data.graded:
        sns.stripplot(x=np.abs(score - target), y=data.subject, ax=right)
        right.set(xlabel="error", ylabel="")
    else:
        rows = [
            {"exercise": name.replace("_", " "), "method": method, "AUC": value}
            for method, values in (("network", metrics["auc"]), ("forest", metrics["forest"]["auc"]))
            for name, value in values.items()
        ]
        sns.barplot(pd.DataFrame(rows), y="exercise", x="AUC", hue="method", ax=right)
        right.set(xlim=(0.5, 1.0), ylabel="")
    figure.savefig(work.folder / "scorer.png", dpi=110)
