"""How good and how steady the exercise score is: ``python -m benchmarks.scoring [--final]``.

Writes ``benchmarks/scoring.md``. The held-out figures are those of the trainings (``checkpoints/*.evaluation.json``);
``--final`` also looks at UI-PRMD's subject 9, who was never trained on: once, at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import scoring_pixels
from pipeline.poses import Array, PoseSequence
from pipeline.scoring.assess import GIVEN, ChainOptions, assess, lifted
from pipeline.scoring.canonical import canonical
from pipeline.scoring.exercises import EXERCISES, Exercise
from pipeline.scoring.models import CHECKPOINTS, shipped_scorers
from pipeline.scoring.scorer import raw_scores, scorer
from pipeline.scoring.target import Anchors, distance
from pipeline.synthetic.actor import ActorSpec, clip_truth
from pipeline.training.dataset import Repetitions, ui_prmd
from pipeline.training.motion_data import MotionDataError
from pipeline.training.scorer_measure import by_exercise

OUT = Path(__file__).with_name("scoring.md")
SQUAT = EXERCISES["deep_squat"]
BASELINES = {
    "forest": "a random forest on hand features of the sensor's skeletons",
    "distance_formula": "the target's own distance formula",
    "leaky_random_split_forest": "that random forest with a leaky random split, only to show the difference",
}
FAULTS = ("knees_in", "forward_lean", "shallow")
SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


def canonical_squats(seed: int = 0, lift: str = GIVEN, **settings: Any) -> list[Array]:
    """The actor's squats in the networks' form, by true depth or through the lift on exact key points."""
    truth = clip_truth(ActorSpec.one("squat", repetitions=2, seed=seed, size=(640, 480), **settings))
    space = lifted(truth.recording.people[0], lift)
    assert space.xyz_m is not None
    found = []
    for one in truth.people[0].repetitions:
        inside = (space.time_s >= one.start_s) & (space.time_s <= one.end_s)
        found.append(canonical(space.xyz_m[inside], space.time_s[inside], SQUAT.counted).xyz)
    return found


@lru_cache(maxsize=128)
def _faulty(fault: str, strength: float, lift: str) -> list[Array]:
    """The squats of four actors, filmed from the front and obliquely in turn."""
    return [
        motion
        for seed in range(4)
        for motion in canonical_squats(
            seed, lift, faults={fault: strength}, variation=0.5, view=("front", "oblique")[seed % 2]
        )
    ]


def severity(design: str, lift: str = GIVEN) -> list[dict[str, Any]]:
    """Spearman of the score with the severity of each fault, over four actors."""
    from scipy.stats import spearmanr

    rows = []
    for fault in FAULTS:
        scores = [raw_scores(scorer(design), _faulty(fault, strength, lift), SQUAT) for strength in SEVERITIES]
        levels = np.repeat(SEVERITIES, [len(part) for part in scores])
        rows.append(
            {
                "fault": fault,
                "spearman": float(spearmanr(levels, np.concatenate(scores))[0]),
                "means": [round(float(part.mean()), 2) for part in scores],
            }
        )
    return rows


@lru_cache(maxsize=32)
def _person(seed: int, mirrored: bool = False, **more: Any) -> PoseSequence:
    sequence = clip_truth(
        ActorSpec.one(
            "squat",
            seed=seed,
            repetitions=3,
            lead_in_s=1.5,
            lead_out_s=1.5,
            size=(640, 480),
            depth=0.8,
            variation=0.3,
            **more,
        )
    ).recording.people[0]
    return sequence.mirrored() if mirrored else sequence


CASES: dict[str, dict[str, Any]] = {
    "front, 30 fps": {},
    "front, 15 fps": {"fps": 15.0},
    "oblique, 30 fps": {"view": "oblique"},
    "mirrored": {"mirrored": True},
}


def same_score(design: str, seeds: Sequence[int] = (1, 2, 3, 4)) -> list[dict[str, Any]]:
    """The whole chain on one performance, seen and sampled in other ways, on the exact key points of four actors."""
    rows = []
    for lift in (GIVEN, "temporal"):
        found = {
            (case, seed): assess(_person(seed, **settings), ChainOptions("deep_squat", lift=lift, scorer=design))
            for case, settings in CASES.items()
            for seed in seeds
        }
        for case in CASES:
            pairs = [(found["front, 30 fps", seed], found[case, seed]) for seed in seeds]
            both = [(a.score, b.score, a.low, a.high) for a, b in pairs]
            known = [(a, b, low, high) for a, b, low, high in both if a is not None and b is not None]
            rows.append(
                {
                    "lift": lift,
                    "case": case,
                    "scored": len(known),
                    "score": float(np.mean([b for _, b, _, _ in known])) if known else None,
                    "difference": float(np.mean([abs(b - a) for a, b, _, _ in known])) if known else None,
                    "inside": sum(
                        low is not None and high is not None and low <= b <= high for _, b, low, high in known
                    ),
                }
            )
    return rows


def chain_seconds(design: str) -> float:
    """Processor seconds for a clip of 10 seconds once poses exist, without pictures, the median of three."""
    spec = ActorSpec.one("squat", repetitions=4, size=(640, 480), seed=4)
    recording = clip_truth(spec).recording
    assess(recording, ChainOptions("deep_squat", scorer=design))  # weights are read once
    spent = []
    for _ in range(3):
        began = time.process_time()
        assess(recording, ChainOptions("deep_squat", scorer=design))
        spent.append((time.process_time() - began) * 10 / float(recording.time_s[-1]))
    return float(np.median(spent))


@dataclass(frozen=True)
class Final:
    """Subject 9: areas under the curve by network and formula, and how much noise moves both."""

    auc: dict[str, dict[str, float]]
    coverage: dict[str, float]
    moved: dict[str, float]


def noisy(xyz: Array, rng: np.random.Generator) -> Array:
    """A lifted skeleton's error: 0.05 trunk lengths constant and 0.05 wandering, a joint each."""
    frames, joints, _ = xyz.shape
    knots = rng.normal(size=(8, joints * 3))
    slow = np.stack([np.interp(np.linspace(0, 7, frames), np.arange(8), column) for column in knots.T], axis=1)
    return np.asarray(xyz + 0.05 * rng.normal(size=(1, joints, 3)) + 0.05 * slow.reshape(frames, joints, 3))


def formula_scores(motions: Array, exercise: Exercise, correct: Array, anchors: Anchors) -> Array:
    """The target's own formula without knowing the verdict."""
    return anchors.formula(distance(motions, correct, exercise.counted))


def final() -> Final:
    """The one look at subject 9 (Kinect)."""
    from pipeline.training.scorer import targets_of

    nine = ui_prmd(("ui_prmd_kinect",), subjects=("9",))
    others = ui_prmd(("ui_prmd_kinect",))
    _, edges = targets_of(others)
    rng = np.random.default_rng(0)
    auc: dict[str, dict[str, float]] = {}
    moved: dict[str, float] = {}
    coverage: dict[str, float] = {}
    both = Repetitions(*(np.concatenate([getattr(others, n), getattr(nine, n)]) for n in nine.__dataclass_fields__))
    whole, _ = targets_of(both)
    target = whole[len(others) :]
    for method in (*shipped_scorers(), "formula"):
        scores, shifts = np.zeros(len(nine)), []
        for exercise in EXERCISES.values():
            own = nine.exercise == exercise.position
            motions = nine.xyz[own].astype(float)
            shaken = np.array([noisy(one, rng) for one in motions])
            if method == "formula":
                known = others.xyz[(others.exercise == exercise.position) & ~others.incorrect].astype(float)
                anchors = Anchors(**edges[exercise.name]["ui_prmd_kinect"])
                plain, after = (formula_scores(m, exercise, known, anchors) for m in (motions, shaken))
            else:
                plain, after = (raw_scores(scorer(method), m, exercise) for m in (motions, shaken))
            scores[own] = plain
            shifts.append(np.abs(after - plain))
        auc[method], moved[method] = by_exercise(scores, nine), float(np.concatenate(shifts).mean())
        if method != "formula":
            around = [scorer(method).intervals.around(score) for score in scores]
            coverage[method] = float(np.mean([a <= t <= b for (a, b), t in zip(around, target, strict=True)]))
    return Final(auc, coverage, moved)


def _trainings() -> list[str]:
    lines = ["| model | measured on people left out | value | 95 % interval |", "| --- | --- | --- | --- |"]
    for path in sorted(CHECKPOINTS.glob("*.evaluation.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["stage"] not in ("scorer", "trimming", "bad_3d"):
            continue
        p = found["primary"]
        design = found["config"].get("design")
        model = f"scorer {design}" if design else path.name.split(".")[0]
        lines.append(f"| {model} | {p['name']} | {p['value']:.3f} | {p['low']:.3f} to {p['high']:.3f} |")
        for name in ("forest", "distance_formula", "leaky_random_split_forest"):
            if name in found:
                q = found[name]
                lines.append(
                    f"| - {BASELINES[name]} | the same | {q['value']:.3f} | {q['low']:.3f} to {q['high']:.3f} |"
                )
    return lines


def _video() -> list[str]:
    """The scorers' held-out figures on the same repetitions through a random camera and the lift."""
    head = (
        "mean AUC | 95 % interval | Spearman with target | mean score (by sensor) | mean shift from the sensor's score"
    )
    lines: list[str] = []
    for path in sorted(CHECKPOINTS.glob("scorer*.evaluation.json")):
        whole = json.loads(path.read_text(encoding="utf-8"))
        found = whole.get("video")
        for method in ("network", "distance_formula") if found else ():
            q = found[method]
            name = f"scorer {whole['config']['design']}" if method == "network" else "- the target's own formula"
            lines.append(
                f"| {name} | {q['value']:.3f} | {q['low']:.3f} to {q['high']:.3f} | {q['spearman_of_target']:.2f} | "
                f"{q['mean_score']:.2f} ({q['mean_score_by_sensor']:.2f}) | {q['shift']:.2f} |"
            )
    if not lines:
        return []
    about = "## The same repetitions from video: random cameras, BlazePose's measured errors, the shipped lift"
    after = "The lift itself learned from subjects 1 to 6; subject 9, below, was in nothing."
    return ["", about, "", f"| people left out | {head} |", "| --- " * 6 + "|", *lines, "", after]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--final", action="store_true", help="look at subject 9, too")
    parser.add_argument("--pixels", type=int, default=0, metavar="N", help="score N rendered clips of subject 9, too")
    chosen = parser.parse_args()
    about = (
        "`python -m benchmarks.scoring --final --pixels 16`. The score is derived from UI-PRMD, no clinician's grade."
    )
    lines = ["# Exercise scoring", "", about, "", *_trainings(), *_video()]
    levels = ", ".join(map(str, SEVERITIES))
    for design in shipped_scorers():
        head = f"| depth by | fault of the actor's squat | Spearman with severity | mean score at {levels} |"
        lines += ["", f"## {design}", "", head, "| --- | --- | --- | --- |"]
        for lift in (GIVEN, "temporal"):
            lines += [f"| {lift} | {r['fault']} | {r['spearman']:.2f} | {r['means']} |" for r in severity(design, lift)]
        lines += [
            "",
            "| depth by | four actors' squats | mean score | mean change | inside the first's interval |",
            "| --- | --- | --- | --- | --- |",
        ]
        for row in same_score(design):
            score, apart = ("none" if row[k] is None else f"{row[k]:.2f}" for k in ("score", "difference"))
            lines.append(f"| {row['lift']} | {row['case']} | {score} | {apart} | {row['inside']} of {row['scored']} |")
        lines += ["", "These squats are a fifth less deep than the actor can; faults are measured on full ones."]
        lines += [
            "",
            f"Chain for 10 s of clip once poses exist (no pictures): {chain_seconds(design):.2f} s of processor time.",
        ]
    if chosen.final:
        try:
            found = final()
        except MotionDataError as error:
            lines += ["", f"Subject 9: {error}"]
        else:
            head = "| method | mean AUC | lowest AUC | mean shift of the score by noise | interval holds the target |"
            lines += ["", "## Subject 9, never trained on", "", head, "| --- | --- | --- | --- | --- |"]
            for method, values in found.auc.items():
                held = f"{found.coverage[method]:.2f}" if method in found.coverage else ""
                lines.append(f"| {method} | {np.mean(list(values.values())):.3f} | {min(values.values()):.3f} | "
                             f"{found.moved[method]:.2f} | {held} |")  # fmt: skip
    if chosen.pixels:
        lines += scoring_pixels.section(chosen.pixels, shipped_scorers(), print)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
