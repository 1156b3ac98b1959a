"""The exercise score from pixels: recorded motion drawn as a person in a room, seen by BlazePose, scored by the chain.

Beside it the same repetitions from the sensor. Clips are drawn and detected once and kept in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from pipeline import settings
from pipeline.estimation.base import Estimator
from pipeline.poses import Array, PoseSequence, Recording
from pipeline.scoring.assess import ChainOptions, assess, lifted
from pipeline.scoring.bad_3d import gate, likeness
from pipeline.scoring.canonical import CanonicalError, canonical
from pipeline.scoring.exercises import EXERCISES, Exercise
from pipeline.scoring.scorer import raw_scores, scorer
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.render import draw, looks, scene
from pipeline.training.cameras import GRID_HZ, in_world, random_camera, resampled, view
from pipeline.training.motion_data import UI_PRMD_MOVEMENTS, Motion, load
from pipeline.training.scorer_measure import auc

SHOWN = ("deep_squat", "side_lunge", "sit_to_stand", "shoulder_abduction")
REPETITIONS = 4
_BLEND_S, _STILL_S = 0.4, 1.0
_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Filmed:
    """A clip: the exercise and how it is called in the data set; what BlazePose found; the true repetitions.

    sensor: the repetitions as recorded. spans: (start, end) of each in the clip, in seconds.
    """

    exercise: Exercise
    incorrect: bool
    name: str
    detected: Recording
    sensor: tuple[Motion, ...]
    spans: tuple[tuple[float, float], ...]


def joined(motions: Sequence[Motion]) -> tuple[Motion, tuple[tuple[float, float], ...]]:
    """Repetitions one after the other at 15 frames a second, standing still before and after, and where each is."""
    even = [resampled(motion) for motion in motions]
    blend, still = round(_BLEND_S * GRID_HZ), round(_STILL_S * GRID_HZ)
    points: list[Array] = [np.repeat(_both(even[0])[:1], still, axis=0)]
    spans, frames = [], still
    for number, motion in enumerate(even):
        own = _both(motion)
        if number:
            share: Array = (np.arange(1, blend + 1) / (blend + 1))[:, None, None]
            points.append(np.asarray(points[-1][-1:] * (1 - share) + own[:1] * share))
            frames += blend
        points.append(own)
        spans.append((frames / GRID_HZ, (frames + len(own) - 1) / GRID_HZ))
        frames += len(own)
    points.append(np.repeat(points[-1][-1:], still, axis=0))
    whole = np.concatenate(points)
    time_s = np.arange(len(whole)) / GRID_HZ
    return replace(motions[0], time_s=time_s, xyz_m=whole[:, 1:], root_m=whole[:, 0], frame_label=None), tuple(spans)


def _both(motion: Motion) -> Array:
    """(T, 14, 3) the root, and the joints around it."""
    return np.concatenate([motion.root_m[:, None], motion.xyz_m], axis=1)


def clips(count: int, subject: str = "9", told: Callable[[str], None] = lambda _: None) -> list[Filmed]:
    """``count`` clips: each of ``SHOWN`` done right and wrong, then again with other repetitions and another camera."""
    from pipeline.estimation.registry import create_estimator

    motions = load("ui_prmd_kinect", (subject,))
    folder = settings.cache_dir() / "scoring-pixels"
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Filmed] = []
    estimator: Estimator | None = None
    for part, name, label in product(range(2), SHOWN, ("correct", "incorrect")):
        if len(found) == count:
            break
        exercise = EXERCISES[name]
        own = [m for m in motions if m.movement == UI_PRMD_MOVEMENTS[exercise.position] and m.label == label]
        own = own[part * REPETITIONS : (part + 1) * REPETITIONS]
        whole, spans = joined(own)
        clip = f"s{subject}-{name}-{label}-{part}"
        path = folder / f"{clip}.json"
        if not path.is_file():
            estimator = estimator or create_estimator("blazepose", threads=1)
            path.write_bytes(filmed(whole, len(found), estimator).to_json())
        found.append(Filmed(exercise, label == "incorrect", clip, Recording.from_json(path.read_bytes()),
                            tuple(own), spans))  # fmt: skip
        told(f"{len(found)} of {count} clips filmed: {clip}")
    return found


def filmed(motion: Motion, seed: int, estimator: Estimator) -> Recording:
    """What the pose model finds when somebody is drawn doing this, filmed from the front or obliquely."""
    rng = np.random.default_rng([seed, 909])
    world = in_world(motion)
    yaw_deg = float(rng.uniform(-15, 15) if seed % 2 == 0 else rng.choice([-1, 1]) * rng.uniform(25, 45))
    camera = replace(random_camera(rng, world), yaw_deg=yaw_deg)
    room = scene([view(world, camera)], camera, seed, [looks(seed, float(rng.uniform(0.85, 1.25)))])
    shape = (len(motion), len(BLAZEPOSE_33))
    xy, score, xyz = np.full((*shape, 2), np.nan), np.full(shape, np.nan), np.full((*shape, 3), np.nan)
    estimator.reset()
    for frame, time_s in enumerate(motion.time_s):
        people = estimator.update(draw(room, frame), float(time_s))
        if people:
            best = max(people, key=lambda person: person.presence)
            xy[frame], score[frame] = best.xy_px, best.score
            if best.xyz_m is not None:
                xyz[frame] = best.xyz_m
    sequence = PoseSequence(BLAZEPOSE_33, motion.time_s, xy, score, xyz, camera.size)
    return Recording((sequence,), motion.time_s)


@dataclass(frozen=True, eq=False)
class Row:
    """Scores of repetitions by one way of getting at them, whether they are incorrect, and of which clip."""

    way: str
    score: Array
    incorrect: Array
    exercise: Array
    clip: Array

    def mean_auc(self) -> dict[str, float]:
        """The exercises' mean area under the curve, and 95 % of its bootstrap draws over repetitions."""
        rng = np.random.default_rng(0)
        groups = [
            [np.flatnonzero((self.exercise == k) & (self.incorrect == bad)) for bad in (False, True)]
            for k in np.unique(self.exercise)
        ]
        groups = [pair for pair in groups if all(len(rows) for rows in pair)]

        def mean(drawn: list[list[Any]]) -> float:
            rows = [np.concatenate(pair) for pair in drawn]
            return float(np.mean([auc(self.score[own], self.incorrect[own].astype(bool)) for own in rows]))

        if not groups:
            return {"value": np.nan, "low": np.nan, "high": np.nan}
        draws = [mean([[rng.choice(rows, len(rows)) for rows in pair] for pair in groups]) for _ in range(_DRAWS)]
        low, high = np.quantile(draws, (0.025, 0.975))
        return {"value": mean(groups), "low": float(low), "high": float(high)}


def measured(found: Sequence[Filmed], design: str) -> tuple[list[Row], list[dict[str, Any]]]:
    """The same repetitions scored in three ways, and what the chain said of each clip."""
    model = scorer(design)
    ways: dict[str, list[tuple[float, bool, str, str]]] = {
        "sensor, true repetitions": [], "pixels, true repetitions": [], "pixels, the whole chain": [],
    }  # fmt: skip
    about: list[dict[str, Any]] = []
    for clip in found:
        key = (clip.incorrect, clip.exercise.name, clip.name)
        space = lifted(clip.detected.people[0], "temporal")
        cuts = {"sensor, true repetitions": [(one.xyz_m, one.time_s) for one in clip.sensor]}
        assert space.xyz_m is not None
        inside = [(space.time_s >= start - 1e-9) & (space.time_s <= end + 1e-9) for start, end in clip.spans]
        cuts["pixels, true repetitions"] = [(space.xyz_m[span], space.time_s[span]) for span in inside]
        passed = 0
        for way, motions in cuts.items():
            for xyz, time_s in motions:
                try:
                    one = canonical(xyz, time_s, clip.exercise.counted)
                except CanonicalError:
                    continue
                ways[way].append((float(raw_scores(model, [one.xyz], clip.exercise)[0]), *key))
                if way.startswith("pixels"):
                    passed += likeness(gate(), xyz, time_s, clip.exercise).plausibility >= gate().threshold
        result = assess(clip.detected, ChainOptions(clip.exercise.name, scorer=design))
        auto = assess(clip.detected, ChainOptions(scorer=design))
        ways["pixels, the whole chain"] += [(one.score, *key) for one in result.repetitions]
        about.append(
            {
                "clip": clip.name,
                "repetitions": len(clip.spans),
                "pass the gate": passed,
                "scored": len(result.repetitions),
                "score": result.score,
                "recognised": auto.exercise,
                "refusal": result.refusal[0] if result.refusal else "",
            }
        )
    rows = []
    for way, values in ways.items():
        score, incorrect, exercise, name = (np.array(column) for column in zip(*values, strict=True)) if values else (
            np.empty(0),) * 4  # fmt: skip
        rows.append(Row(way, score, incorrect, exercise, name))
    return rows, about


def section(count: int, designs: Sequence[str], told: Callable[[str], None]) -> list[str]:
    """The lines of benchmarks/scoring.md about pixels."""
    found = clips(count, told=told)
    lines = [
        "", "## From pixels: subject 9's motion drawn, seen by BlazePose, scored by the whole chain", "",
        f"{len(found)} clips of {REPETITIONS} repetitions ({', '.join(SHOWN)}), from the front or obliquely; one "
        "person, never trained on: the intervals (bootstrap over repetitions) say nothing of other people.",
    ]  # fmt: skip
    for design in designs:
        rows, about = measured(found, design)
        ways = sorted({str(k) for row in rows for k in row.exercise})
        lines += ["", f"### {design}", ""]
        lines += [f"| correct against incorrect | repetitions | mean AUC | 95 % interval | {' | '.join(ways)} |"]
        lines += ["| --- " * (4 + len(ways)) + "|"]
        for row in rows:
            mean = row.mean_auc()
            own = [row.exercise == name for name in ways]
            each = [f"{auc(row.score[k], row.incorrect[k].astype(bool)):.2f}" for k in own]
            lines.append(f"| {row.way} | {len(row.score)} | {mean['value']:.3f} | {mean['low']:.3f} to "
                         f"{mean['high']:.3f} | {' | '.join(each)} |")  # fmt: skip
        scores = {row.way: row.score.mean() if len(row.score) else np.nan for row in rows}
        lines += ["", "Mean score: " + ", ".join(f"{way} {value:.2f}" for way, value in scores.items()) + "."]
        if design == designs[0]:  # the gates and the trimmer are the same for all
            lines += _each_clip(about)
    return lines


def _each_clip(about: Sequence[dict[str, Any]]) -> list[str]:
    head = ("clip", "repetitions", "pass the gate", "scored", "score", "recognised", "refusal")
    lines = ["", f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for entry in about:
        shown = {**entry, "score": "none" if entry["score"] is None else f"{entry['score']:.2f}"}
        lines.append(f"| {' | '.join(str(shown[key]) for key in head)} |")
    return lines
