"""The faults of the actor against ground truth: the parts of benchmarks/movements.md that need no private data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.estimation.base import Estimator
from pipeline.estimation.topdown import WORKING_POINTS, create_blazepose
from pipeline.media import Frame
from pipeline.movements import MOVEMENTS, Measurements, MovementReport, judge, measure_repetitions
from pipeline.poses import PoseSequence, Recording
from pipeline.repetitions import Repetition
from pipeline.signal import body_size_px
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.actor import ActorSpec, PersonTruth, clip_frames, clip_truth
from pipeline.synthetic.motions import MOTIONS

NOISE = 0.01  # of the body's size, per axis and frame: the random error of joint centres (UncertaintyParameters.sure)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    if not rows:
        return "(nothing)"
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(str(row.get(key, '')) for key in head)} |" for row in rows])


SQUAT_FAULTS = {
    "knees_in": ("front", "oblique", "back"), "heels_up": ("oblique", "side"),
    "forward_lean": ("oblique", "side"), "shallow": ("front", "oblique", "side", "back"),
    "asymmetric": ("front", "oblique", "back"),
}  # fmt: skip
ACTOR_VIEWS = ("front", "oblique", "side", "back")
SEVERITIES = (0.33, 0.66, 1.0)


def actor_section(cache: Path) -> str:
    """Every squat fault at three severities and four views, once with true joints and once through BlazePose."""
    estimator = create_blazepose(WORKING_POINTS["fast"])
    detection: dict[tuple[str, str, float, str], tuple[int, int, str]] = {}
    false: dict[str, list[int]] = defaultdict(list)
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    other = 0
    for fault in ("", *SQUAT_FAULTS):
        for severity in SEVERITIES if fault else (0.0,):
            for view in ACTOR_VIEWS:
                for seed in (3,) if fault else (3, 4, 5):
                    faults = {fault: severity} if fault else {}
                    spec = ActorSpec.one("squat", seed=seed, repetitions=2, view=view, fps=15, faults=faults)
                    truth = clip_truth(spec)
                    seen = _filmed(spec, cache, f"actor_{fault or 'clean'}_{severity}_{view}_{seed}", estimator)
                    for kind, sequence in (("true joints", truth.recording.people[0]), ("BlazePose", seen)):
                        report, found = _judged(sequence, truth.people[0])
                        complete = report.repetitions
                        if kind == "BlazePose":
                            _angle_errors(found, truth.people[0], view, errors)
                        if not fault:
                            false[f"{kind}, {view}"].append(len({r.fault for q in complete for r in q.remarks}))
                            continue
                        hits = sum(fault in {r.fault for r in q.remarks} for q in complete)
                        other += kind == "BlazePose" and any({r.fault for r in q.remarks} - {fault} for q in complete)
                        detection[kind, fault, severity, view] = (hits, len(complete), "")
    rows = []
    for fault, views in SQUAT_FAULTS.items():
        for kind in ("true joints", "BlazePose"):
            row: dict[str, Any] = {"fault": fault, "key points": kind}
            for view in ACTOR_VIEWS:
                cells = [detection[kind, fault, severity, view] for severity in SEVERITIES]
                text = " / ".join(f"{hits}" for hits, _, _ in cells) + f" of {cells[0][1]}"
                row[view] = text if view in views else f"({text})"
            rows.append(row)
    clean = [{"key points, view": name, "clean sets": len(n), "sets with a false remark": sum(map(bool, n))}
             for name, n in false.items()]  # fmt: skip
    angles = [{"angle": metric, "view": view, "mean error (°)": f"{np.mean(values):+.1f}",
               "mean absolute error (°)": f"{np.mean(np.abs(values)):.1f}", "repetitions": len(values)}
              for (metric, view), values in sorted(errors.items())]  # fmt: skip
    return (
        "Repetitions with the remark at severity 0.33 / 0.66 / 1; in brackets the views that hide the fault (refused, "
        f"0 is right).\n\n{table(rows)}\n\nClean sets\n\n{table(clean)}\n\n"
        f"Sets of one fault in which BlazePose's key points gave a remark on another one, too: {other} of "
        f"{len(SEVERITIES) * len(SQUAT_FAULTS) * len(ACTOR_VIEWS)}.\n\n"
        f"Angles measured through BlazePose at the lowest point against the truth\n\n{table(angles)}"
    )


def _filmed(spec: ActorSpec, cache: Path, name: str, estimator: Estimator) -> PoseSequence:
    stored = cache / f"{name}.json"
    if not stored.is_file():
        frames = (Frame(number, time_s, image) for number, (image, time_s) in enumerate(clip_frames(spec)))
        stored.write_bytes(estimator.estimate(frames).to_json())
    people = Recording.from_json(stored.read_bytes()).people
    empty = PoseSequence.empty(BLAZEPOSE_33, spec.size)
    return max(people, key=lambda person: person.frames_seen, default=empty)


def _judged(sequence: PoseSequence, truth: PersonTruth, movement: str = "squat") -> tuple[MovementReport, Measurements]:
    """With the true repetitions, so that only the rules are tested."""
    known = [Repetition(0, r.start_s, r.turn_s, r.end_s, r.complete, 1.0, 1.0) for r in truth.repetitions]
    found = measure_repetitions(sequence, movement, known)
    return judge(found), found


def _angle_errors(
    found: Measurements, truth: PersonTruth, view: str, errors: dict[tuple[str, str], list[float]]
) -> None:
    time_s = np.arange(len(truth.angles_deg["left_knee_deg"])) / 15
    for repetition, known in zip(found.repetitions, truth.repetitions, strict=True):
        bottom = np.abs(time_s - known.turn_s) <= 0.1
        true = {
            "thigh_deg": -np.mean([truth.angles_deg[f"{s}_thigh_deg"][bottom].mean() for s in ("left", "right")]),
            "knee_deg": np.mean([truth.angles_deg[f"{s}_knee_deg"][bottom].mean() for s in ("left", "right")]),
            "lean_deg": truth.angles_deg["trunk_lean_deg"][bottom].mean(),
        }
        for reading in repetition.readings:
            if reading.metric in true and reading.side == "both" and not reading.refused:
                errors[reading.metric, view].append(reading.value - float(true[reading.metric]))


def other_movements_section(_: Path) -> str:
    """Every fault of the actor in the other judged movements, from the true joints in the picture with noise."""
    rows, clean = [], []
    for movement in (name for name in MOVEMENTS if MOVEMENTS[name].rules and name != "squat" and name in MOTIONS):
        false = dict.fromkeys(ACTOR_VIEWS, 0)
        for view in ACTOR_VIEWS:
            for seed in (3, 4, 5):
                report = _noisy(movement, view, {}, seed)
                false[view] += any(repetition.remarks for repetition in report.repetitions)
        clean.append({"movement": movement} | {view: f"{count} of 3" for view, count in false.items()})
        for fault in MOTIONS[movement].faults:
            row = {"movement": movement, "fault": fault}
            rows.append(row | {view: _cell(movement, view, fault) for view in ACTOR_VIEWS})
    return (
        f"Key points are the actor's true joints in the picture with {100 * NOISE:.0f} % of the body's size as noise. "
        "Repetitions with the remark at severity 0.33 / 0.66 / 1; refused: no metric of the fault could be measured "
        f"from there in any of them.\n\n{table(rows)}\n\nSets without a fault that got a remark\n\n{table(clean)}"
    )


def _cell(movement: str, view: str, fault: str) -> str:
    metrics = {rule.metric for rule in MOVEMENTS[movement].rules if rule.fault == fault}
    if not metrics:
        return "no rule"
    hits, total, measured = [], 0, False
    for severity in SEVERITIES:
        report = _noisy(movement, view, {fault: severity}, 3)
        total = len(report.repetitions)
        hits.append(sum(fault in {remark.fault for remark in one.remarks} for one in report.repetitions))
        measured |= any(r.metric in metrics and not r.refused for one in report.repetitions for r in one.metrics)
    return f"{' / '.join(map(str, hits))} of {total}" if measured else "refused"


def _noisy(movement: str, view: str, faults: dict[str, float], seed: int) -> MovementReport:
    spec = ActorSpec.one(movement, seed=seed, repetitions=2, view=view, fps=15, faults=faults)
    truth = clip_truth(spec)
    person = truth.recording.people[0]
    noise = np.random.default_rng(seed).normal(0, NOISE * body_size_px(person), person.xy_px.shape)
    seen = replace(person, xy_px=person.xy_px + noise, xyz_m=None, root_m=None)
    report, _ = _judged(seen, truth.people[0], movement)
    return report
