"""Single frames of real people turned into motions: played to and fro, or held still.

Countix' salient poses, ML Kit's and Kaggle's frames, and the frames of Exercise-Correction, which are the only real
lunges and curls seen by the pose model besides Countix' lunges.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.recognition.classes import UNKNOWN
from pipeline.recognition.windows import RATE_HZ, resampled
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.training.recognition_sources import CLASS, TRAIN, Track, open_file, split_of

_AT = {joint: number for number, joint in enumerate(BLAZEPOSE_33.joints)}
COUNTIX = "repcount/countix_train_salient_poses.csv.gz"
COUNTIX_CLASSES = {"squat": "squat", "push_up": "push_up", "pull_ups": "pull_up", "sit_up": "sit_up", "lunge": "lunge",
                   "front_raise": "front_raise", "bench_pressing": "bench_press",
                   "rope_pushdown": UNKNOWN}  # fmt: skip
# Seconds there and back, as in RepCount's own annotations (and slow ones besides).
_PERIOD_S = {"squat": (1.4, 4.0), "push_up": (1.0, 3.2), "pull_up": (1.4, 4.0), "sit_up": (1.4, 4.0),
             "lunge": (1.6, 4.5), "front_raise": (1.6, 4.2), "bench_press": (1.2, 4.0), "jumping_jack": (0.8, 1.8),
             UNKNOWN: (1.0, 3.0)}  # fmt: skip


def countix(root: str, rng: np.random.Generator, takes: int = 3) -> Iterator[Track]:
    """Repetitions made of real single frames: to and fro between a video's two salient poses, in its own pixels."""
    frames: dict[tuple[str, str], dict[str, list[Array]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(open_file(root, COUNTIX), "rt") as file:
        for row in csv.reader(file):
            if row[1] in COUNTIX_CLASSES:
                _, _, pose, video, _ = row[0].split("/")
                frames[row[1], video][pose].append(np.array(row[2:101], dtype=float).reshape(33, 3))
    for (label, video), poses in sorted(frames.items()):
        if not (poses["salient1"] and poses["salient2"]):
            continue
        name = COUNTIX_CLASSES[label]
        for take in range(takes):
            points = _to_and_fro(poses["salient1"], poses["salient2"], _PERIOD_S[name], rng)
            group = f"countix/{label}/{video}"
            yield Track(
                "countix", group, split_of(group), f"{video}-{take}", points, np.full(len(points), CLASS[name], np.int8)
            )


def _to_and_fro(
    first: list[Array],
    second: list[Array],
    period_s: tuple[float, float],
    rng: np.random.Generator,
    seconds: float = 9.0,
) -> NDArray[np.float32]:
    points = []
    period = rng.uniform(*period_s)
    pause = rng.uniform(0, 0.35)
    here = first[rng.integers(len(first))]
    total = 0.0
    while total < seconds:
        for poses in (second, first):
            there = poses[rng.integers(len(poses))]
            samples = max(3, round(period / 2 * rng.uniform(0.8, 1.25) * RATE_HZ))
            share = np.clip(np.linspace(-pause / 2, 1 + pause / 2, samples, endpoint=False), 0, 1)
            share = (1 - np.cos(np.pi * share)) / 2
            points.append(here + (there - here) * share[:, None, None])
            here = there
            total += samples / RATE_HZ
    return np.concatenate(points).astype(np.float32)


MLKIT = "landmark_frames/mlkit_fitness_pose_samples.csv.gz"
KAGGLE = "landmark_frames/kaggle_physical_exercise_recognition_train.csv.gz"
_STAGES = {"jumping_jacks": "jumping_jack", "pullups": "pull_up", "pushups": "push_up", "situp": "sit_up",
           "squats": "squat"}  # fmt: skip
_ALIKE = 3  # frames of the other stage that a frame may be paired with: the likest, as the people have no names


def stages(root: str, rng: np.random.Generator, takes: int = 220) -> Iterator[Track]:
    """Repetitions made of ML Kit's and Kaggle's frames of both ends of an exercise; all of it is for training.

    A frame is paired with one of the likest of the other end, which is mostly the same side and often the same person.
    """
    for file, first in ((MLKIT, 0), (KAGGLE, 1)):
        with gzip.open(open_file(root, file), "rt") as lines:
            rows = list(csv.reader(lines))[first:]
        words = np.array([row[1] for row in rows])
        points = np.array([row[2:101] for row in rows], dtype=float).reshape(-1, 33, 3)
        for kind, name in _STAGES.items():
            low, high = (points[words == f"{kind}_{end}"] for end in ("down", "up"))
            for take in range(takes if len(low) and len(high) else 0):
                one, other = (low, high) if take % 2 else (high, low)
                here = one[rng.integers(len(one))]
                away = np.abs(_sized(other) - _sized(here[None])).mean(axis=(1, 2))
                there = other[np.argsort(away)[rng.integers(min(_ALIKE, len(other)))]]
                moved = _to_and_fro([here], [there], _PERIOD_S[name], rng)
                yield Track("stages", f"stages/{kind}/{first}", TRAIN, f"{kind}-{first}-{take}", moved,
                            np.full(len(moved), CLASS[name], np.int8))  # fmt: skip


def _sized(points: Array) -> Array:
    """(N, 33, 2) places from the hips, in shares of the body's longer extent in the picture."""
    middle = points[:, [_AT["left_hip"], _AT["right_hip"]], :2].mean(axis=1, keepdims=True)
    extent = np.ptp(points[..., :2], axis=1, keepdims=True).max(axis=2, keepdims=True)
    return np.asarray((points[..., :2] - middle) / extent)


def still(root: str, rng: np.random.Generator, frames: int = 900) -> Iterator[Track]:
    """Held poses of real single frames: nobody exercises who does not move."""
    rows: list[tuple[str, Array]] = []
    with gzip.open(open_file(root, COUNTIX), "rt") as file:
        rows += [(row[0].split("/")[3], np.array(row[2:101], dtype=float)) for row in csv.reader(file)]
    with gzip.open(open_file(root, MLKIT), "rt") as file:
        rows += [(row[0], np.array(row[2:101], dtype=float)) for row in csv.reader(file)]
    with gzip.open(open_file(root, KAGGLE), "rt") as file:
        rows += [(f"kaggle-{row[0]}", np.array(row[2:101], dtype=float)) for row in list(csv.reader(file))[1:]]
    for number in rng.permutation(len(rows))[:frames]:
        name, values = rows[number]
        points = np.repeat(values.reshape(1, 33, 3), 60, axis=0)
        box = np.ptp(values.reshape(33, 3), axis=0)
        drift = np.cumsum(rng.normal(0, 0.0025, points.shape), axis=0) * box
        group = f"still/{name}"
        yield Track(
            "still",
            group,
            split_of(group),
            name,
            (points + drift).astype(np.float32),
            np.full(60, CLASS[UNKNOWN], np.int8),
        )


# --- Exercise-Correction: frames of a few people who were filmed for it ----------------------------------------------

GYM = "exercise_correction/"
_CUT = 0.05  # of the picture: hips that jump further from row to row belong to another take
_CURLED_DEG = 45.0  # a piece with less change of the elbow is no curl


def gym(root: str, rng: np.random.Generator, takes: int = 6) -> Iterator[Track]:
    """Curls played on and back, lunges to and fro. Few people and no names of them, so all of it is for training.

    The files lack the legs (curls) or the arms (lunges): these are put where a standing person has them.
    """
    for number, piece in enumerate(_pieces(*_rows(root, "bicep_model.test"))):
        if np.ptp(_elbow_deg(piece)) < _CURLED_DEG:
            continue
        for take in range(takes):
            once = resampled(np.arange(len(piece)) / 30.0 * rng.uniform(0.7, 1.4), piece).points
            points = np.concatenate([once, once[::-1]] * (1 + int(150 / (2 * len(once)))))
            yield _gym_track("biceps_curl", number, take, _with_legs(points, rng))
    words, rows = _rows(root, "lunge_model.stage.test")
    edges = np.flatnonzero(words[1:] != words[:-1]) + 1
    runs = [(words[part[0]], rows[part]) for part in np.split(np.arange(len(words)), edges)]
    steps = [run for run in runs if run[0] in "ID"]
    for number, (one, other) in enumerate(pairwise(steps)):
        if one[0] == other[0] or _facing(one[1]) != _facing(other[1]):
            continue
        for take in range(takes):
            points = _to_and_fro(list(one[1]), list(other[1]), _PERIOD_S["lunge"], rng)
            yield _gym_track("lunge", number, take, _with_arms(points.astype(np.float64), rng))


def _gym_track(name: str, number: int, take: int, points: NDArray[np.floating]) -> Track:
    marks = np.full(len(points), CLASS[name], np.int8)
    return Track("gym", f"gym/{name}/{number}", TRAIN, f"{name}-{number}-{take}", points.astype(np.float32), marks)


def _rows(root: str, file: str) -> tuple[NDArray[np.str_], Array]:
    """Labels (N,), and landmarks (N, 33, 3) in shares of the picture, NaN where the file has none."""
    with gzip.open(open_file(root, f"{GYM}{file}.csv.gz"), "rt") as lines:
        names, *rows = list(csv.reader(lines))
    points = np.full((len(rows), 33, 3), np.nan)
    values = np.array([row[1:] for row in rows], dtype=float)
    for column, name in enumerate(names[1:]):
        joint, _, axis = name.rpartition("_")
        if axis in "xyz" and joint in _AT:
            points[:, _AT[joint], "xyz".index(axis)] = values[:, column]
    return np.array([row[0] for row in rows]), points


def _pieces(words: NDArray[np.str_], points: Array) -> list[Array]:
    """Rows that follow one another in one take."""
    hips = points[:, [_AT["left_hip"], _AT["right_hip"]], :2].mean(axis=1)
    cuts = (words[1:] != words[:-1]) | (np.abs(np.diff(hips, axis=0)).max(axis=1) > _CUT)
    return [part for part in np.split(points, np.flatnonzero(cuts) + 1) if len(part) > 10]


def _elbow_deg(points: Array) -> Array:
    a, b, c = (points[:, _AT[f"right_{joint}"], :2] for joint in ("shoulder", "elbow", "wrist"))
    cosine = ((a - b) * (c - b)).sum(1) / np.linalg.norm(a - b, axis=1) / np.linalg.norm(c - b, axis=1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _facing(points: Array) -> bool:
    return bool(np.median(points[:, _AT["left_foot_index"], 0] - points[:, _AT["left_heel"], 0]) > 0)


def _trunk(points: Array) -> Array:
    """(1, 1) usual height of the trunk in the picture."""
    hips = points[:, [_AT["left_hip"], _AT["right_hip"]], 1].mean(axis=1)
    shoulders = points[:, [_AT["left_shoulder"], _AT["right_shoulder"]], 1].mean(axis=1)
    return np.median(np.abs(hips - shoulders)).reshape(1, 1)


def _with_legs(points: Array, rng: np.random.Generator) -> Array:
    """Knees and ankles below the hips of somebody who stands."""
    out = points.copy()
    trunk = _trunk(points)
    for joint, far in (("knee", 0.9), ("ankle", 1.75)):
        for side in ("left", "right"):
            hip = points[:, _AT[f"{side}_hip"], :2]
            spread = rng.normal(0, (0.06, 0.06), 2) + (0, far)
            out[:, _AT[f"{side}_{joint}"], :2] = hip + spread * trunk
    return out


def _with_arms(points: Array, rng: np.random.Generator) -> Array:
    """Elbows and wrists of arms that hang, rest on the hips, or are not seen."""
    out = points.copy()
    trunk = _trunk(points)
    way = rng.integers(3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder = points[:, _AT[f"{side}_shoulder"], :2]
        hip = points[:, _AT[f"{side}_hip"], :2]
        if way == 0:
            places = shoulder + np.array([0.05, 0.55]) * trunk, shoulder + np.array([0.05, 1.05]) * trunk
        elif way == 1:
            out_ward = np.array([0.3 * sign, 0.55]) * trunk
            places = shoulder + out_ward, hip + np.array([0.05 * sign, -0.1]) * trunk
        else:
            continue
        for joint, place in zip(("elbow", "wrist"), places, strict=True):
            out[:, _AT[f"{side}_{joint}"], :2] = place + rng.normal(0, 0.04, 2) * trunk
    return out
