"""Real pairs: recorded motion drawn as a person in a room, seen by the real pose model, beside the exact 3D truth.

Drawn once and kept in the user's cache; a set that is cut short is gone on with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline import settings
from pipeline.estimation.base import Estimator
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import BLAZEPOSE_33, KINECT_13
from pipeline.synthetic.render import draw, looks, scene
from pipeline.training.cameras import in_world, random_camera, resampled, view
from pipeline.training.motion_data import Motion, load

LONGEST_FRAMES = 45  # of one clip, at 15 frames a second
CLIPS_A_FILE = 20


@dataclass(frozen=True, eq=False)
class Pair:
    """One clip: what the pose model reported and what was there.

    detected: BlazePose-33 with its own world key points in ``xyz_m``; NaN where nobody was found.
    truth: Kinect-13 with exact ``xy_px`` and ``xyz_m`` in the camera's level axes.
    source, subject, movement, label, name: of the motion.
    """

    detected: PoseSequence
    truth: PoseSequence
    source: str
    subject: str
    movement: str
    label: str
    name: str


def chosen(split: str, seed: int = 5) -> list[Motion]:
    """The motions of a split, in an order that is mixed, so that a part of it is a fair sample.

    "train": UI-PRMD subjects 1 to 8 (each movement, both labels), HDM05 without ``tr``, CMU. "test": UI-PRMD subject 9
    and HDM05 ``tr``, looked at once at the end.
    """
    rng = np.random.default_rng([seed, 1 if split == "train" else 2])
    if split not in ("train", "test"):
        raise ValueError(f"there is no split {split!r}; choose train or test.")
    training = split == "train"
    prmd = load("ui_prmd_kinect", None if training else ("9",))
    hdm = load("hdm05", None if training else ("tr",))
    groups: dict[tuple[str, str, str], list[Motion]] = {}
    for motion in prmd:
        groups.setdefault((motion.subject, motion.movement, motion.label), []).append(motion)
    picked = [group[int(rng.integers(len(group)))] for _ in range(1 if training else 2) for group in groups.values()]
    picked += [hdm[k] for k in rng.choice(len(hdm), 60 if training else 20, replace=False)]
    if training:
        cmu = [motion for motion in load("cmu") if len(motion) >= 30]
        picked += [cmu[k] for k in rng.choice(len(cmu), 50, replace=False)]
    return [picked[k] for k in rng.permutation(len(picked))]


def render_pair(motion: Motion, seed: int, estimator: Estimator) -> Pair:
    """Draw one motion from a random side and let the pose model look at it."""
    rng = np.random.default_rng([seed, 404])
    motion = resampled(motion)
    if len(motion) > LONGEST_FRAMES:
        start = int(rng.integers(len(motion) - LONGEST_FRAMES))
        part = slice(start, start + LONGEST_FRAMES)
        motion = replace(
            motion,
            time_s=motion.time_s[part] - motion.time_s[start],
            xyz_m=motion.xyz_m[part],
            root_m=motion.root_m[part],
            frame_label=None,
        )
    world = in_world(motion)
    camera = random_camera(rng, world)
    truth = view(world, camera)
    room = scene([world], camera, seed, [looks(seed, float(rng.uniform(0.85, 1.25)))])
    estimator.reset()
    xy, score = np.full((len(motion), 33, 2), np.nan), np.full((len(motion), 33), np.nan)
    xyz = np.full((len(motion), 33, 3), np.nan)
    for frame, time in enumerate(motion.time_s):
        people = estimator.update(draw(room, frame), float(time))
        if people:
            best = max(people, key=lambda person: person.presence)
            xy[frame], score[frame] = best.xy_px, best.score
            if best.xyz_m is not None:
                xyz[frame] = best.xyz_m
    found = PoseSequence(BLAZEPOSE_33, motion.time_s, xy, score, xyz, camera.size)
    return Pair(found, truth, motion.source, motion.subject, motion.movement, motion.label, motion.name)


def pairs(
    split: str,
    progress: Callable[[str, float], None] | None = None,
    folder: Path | None = None,
    most: int | None = None,
) -> list[Pair]:
    """All pairs of a split ("train" or "test"); drawn the first time (minutes), then read.

    Args:
        split: see ``chosen``; progress: told a line and the share done; folder: where they are kept; None is the
            user's cache; most: at most so many clips.
    """
    from pipeline.estimation.registry import create_estimator

    motions = chosen(split)[:most]
    folder = (folder or settings.cache_dir() / "lift-pairs") / split
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Pair] = []
    estimator = None
    for start in range(0, len(motions), CLIPS_A_FILE):
        part = motions[start : start + CLIPS_A_FILE]
        key = hashlib.sha256(" ".join(motion.name for motion in part).encode()).hexdigest()[:10]
        path = folder / f"pairs-{start:04d}-{key}.npz"
        if not path.is_file():
            estimator = estimator or create_estimator("blazepose", threads=1)
            first = start + (0 if split == "train" else 100_000)
            _write(path, [render_pair(motion, first + number, estimator) for number, motion in enumerate(part)])
        found += _read(path)
        if progress is not None:
            progress(f"{len(found)} of {len(motions)} clips drawn and detected", len(found) / len(motions))
    return found


def _write(path: Path, made: Sequence[Pair]) -> None:
    def joined(values: Iterator[Array]) -> Array:
        return np.concatenate(list(values)).astype(np.float32)

    part = path.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        ends=np.cumsum([len(pair.truth) for pair in made]),
        time_s=np.concatenate([pair.truth.time_s for pair in made]),
        xy=joined(pair.detected.xy_px for pair in made),
        score=joined(pair.detected.score for pair in made),
        world=joined(pair.detected.xyz_m for pair in made if pair.detected.xyz_m is not None),
        truth_xy=joined(pair.truth.xy_px for pair in made),
        truth_xyz=joined(pair.truth.xyz_m for pair in made if pair.truth.xyz_m is not None),
        size=np.array([pair.truth.image_size for pair in made]),
        words=np.array([[p.source, p.subject, p.movement, p.label, p.name] for p in made]),
    )
    part.replace(path)


def _read(path: Path) -> list[Pair]:
    with np.load(path) as stored:
        table = {key: stored[key] for key in stored.files}
    found, start = [], 0
    for number, end in enumerate(table["ends"]):
        span = slice(start, int(end))
        width, height = (int(value) for value in table["size"][number])
        time_s = table["time_s"][span]
        seen = np.clip(table["score"][span].astype(np.float64), 0, 1)
        detected = PoseSequence(
            BLAZEPOSE_33, time_s, table["xy"][span], seen, table["world"][span], (width, height)
        )  # fmt: skip
        exact = table["truth_xy"][span]
        truth = PoseSequence(
            KINECT_13, time_s, exact, np.isfinite(exact).all(axis=2), table["truth_xyz"][span], (width, height)
        )  # fmt: skip
        source, subject, movement, label, name = (str(word) for word in table["words"][number])
        found.append(Pair(detected, truth, source, subject, movement, label, name))
        start = int(end)
    return found
