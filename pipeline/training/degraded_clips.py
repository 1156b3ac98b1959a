"""Clips that were spoiled on purpose, seen by the real pose model, with the true error of every key point.

Three kinds: the rendered actor, whose key points are known exactly; recorded motion drawn in the same way, not spoiled
and without pictures, as the lift's training keeps it; and real films of the private test data, for which the poses of
the film as it is stand in for the truth. Of pictures, only what the gate's network sees (48 x 48 grey
crops) is kept, in the user's cache. Drawing goes on where it was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import settings
from pipeline.estimation.base import Estimator
from pipeline.media import Frame, read_frames
from pipeline.poses import Array, PoseSequence
from pipeline.scoring.pose_windows import clip_torso_px, seen_in, torso_px, window_crops, window_frames
from pipeline.skeletons import KINECT_13
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth, default_camera
from pipeline.synthetic.body import Build
from pipeline.synthetic.disturbances import Spoiler
from pipeline.synthetic.motions import MOTIONS, Actor
from pipeline.synthetic.stage import Picture
from pipeline.synthetic.timeline import Tempo
from pipeline.training.detected_pairs import pairs

FPS = 10.0
LENGTH_S = 2.0
SIZES = ((480, 360), (360, 480), (480, 270))
CLIPS_A_FILE = 10
FAR = 2.0  # torso lengths; larger errors, and nobody found, count as this
FIRST_SEED = {"train": 0, "validation": 50_000, "test": 90_000}
RECORDED_SEED = 300_000
FILM_SEED = 700_000
# Motions that training never sees: those of the test only, and those of the validation.
UNSEEN_MOTIONS = ("lunge", "overhead_press", "sit_down")
CHECKED_MOTIONS = ("front_raise", "pick_up", "sit_up")
# In this order: the number of a film decides its split.
REAL_FOLDERS = ("adl", "exercise_other", "squat_front", "squat_side", "fall")
PARTS_S = (0.5, 3.0, 5.5)  # where the parts of a real film begin
# A clip is spoiled once for each of these ranges, from which the strength of the damage is drawn; at full strength,
# as the test's, nobody is found in a third of the clips, from which nothing is learned.
FULL = ((1.0, 1.0),)
TRAINED = ((0.4, 1.0), (0.15, 0.6))
FILMED = ((1.0, 1.0), (0.15, 0.6))
SURE = 0.5  # confidence above which a key point of a real film stands in for the truth
SURE_SHARE = 0.55  # of the key points of a part that must be sure


@dataclass(frozen=True, eq=False)
class Judged:
    """Windows of half a second with their truth; those of a clip stand together and in order.

    Attributes:
        crops: (N, 5, 48, 48), black where no pictures were kept.
        xy_px: (N, 5, 13, 2) and score: (N, 5, 13) as the pose model found them.
        image_size: (N, 2); torso_px: (N,) as found, of the whole clip.
        off: (N, 5, 13) distance of each key point from its true place in torso lengths, ``FAR`` at most and where
            it was not found; NaN where the truth is not known.
        clip: (N,) number of the clip; group: (N,) of the actor or film that it is of; source: (N,) "actor", "recorded"
            or "real".
    """

    crops: NDArray[np.uint8]
    xy_px: NDArray[np.float32]
    score: NDArray[np.float32]
    image_size: NDArray[np.float32]
    torso_px: NDArray[np.float32]
    off: NDArray[np.float32]
    clip: NDArray[np.int64]
    group: NDArray[np.int64]
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def error(self) -> Array:
        """(N,) mean distance of the key points from truth in torso lengths."""
        return np.asarray(np.nanmean(self.off, axis=(1, 2)), dtype=np.float64)

    @property
    def seen(self) -> Array:
        """(N,) share of the frames in which somebody was found."""
        return np.asarray(seen_in(self.xy_px).mean(axis=1))

    def part(self, index: NDArray) -> Judged:
        """The windows chosen by positions or a mask."""
        return Judged(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Damage:
    """What is done to a clip: strengths of ``DISTURBANCES``, and two more.

    strengths; smear_px: length of the streak of a camera that moves; cut: left, top, right, bottom shares cut off.
    """

    strengths: dict[str, float]
    smear_px: int = 0
    cut: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def random_damage(rng: np.random.Generator) -> Damage:
    """Nothing in one of four; else one to three things at once, from hardly visible to severe."""
    if rng.random() < 0.25:
        return Damage({})
    names = ("dark", "blur", "noise", "low_resolution", "occluder", "shake", "smear", "cut")
    chosen = rng.choice(names, int(rng.integers(1, 4)), replace=False)
    strengths = {str(name): float(rng.uniform(0.15, 1.0)) for name in chosen if name not in ("smear", "cut")}
    smear = int(rng.integers(5, 40)) if "smear" in chosen else 0
    cut = [0.0, 0.0, 0.0, 0.0]
    if "cut" in chosen:
        side = int(rng.integers(4))
        cut[side] = float(rng.uniform(0.1, 0.5))
    return Damage(strengths, smear, (cut[0], cut[1], cut[2], cut[3]))


class Spoiling:
    """Applies a ``Damage`` to the pictures and key points of one clip."""

    def __init__(self, damage: Damage, time_s: Array, size: tuple[int, int], seed: int) -> None:
        self._damage = damage
        self._spoiler = Spoiler(time_s, size, damage.strengths, seed)
        self._matrices = self._spoiler.matrices()
        width, height = size
        left, top, right, bottom = damage.cut
        self._window = (
            slice(int(top * height), height - int(bottom * height)),
            slice(int(left * width), width - int(right * width)),
        )
        angle = np.random.default_rng([seed, 8]).uniform(0, np.pi)
        self._streak = _streak(damage.smear_px, angle)

    def picture(self, image: Picture, frame: int) -> Picture:
        """The spoiled picture of a frame; smaller where a part was cut off."""
        if self._streak is not None:
            image = np.asarray(cv2.filter2D(image, -1, self._streak), dtype=np.uint8)
        image = self._spoiler.spoil(image, frame, self._matrices[frame])
        return np.ascontiguousarray(image[self._window])

    def points(self, xy_px: Array) -> Array:
        """(T, J, 2) where key points are in the spoiled pictures."""
        moved = np.einsum("tij,tkj->tki", self._matrices[..., :2], xy_px) + self._matrices[:, None, :, 2]
        return np.asarray(moved - [self._window[1].start, self._window[0].start])


def _streak(length: int, angle: float) -> Array | None:
    if length < 2:
        return None
    kernel = np.zeros((length, length), dtype=np.float32)
    middle, reach = (length - 1) / 2, np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    start, end = (tuple(round(v) for v in middle + sign * reach) for sign in (-1, 1))
    cv2.line(kernel, start, end, (1.0,))
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def softened(damage: Damage, share: float) -> Damage:
    """The same damage, weaker."""
    left, top, right, bottom = (side * share for side in damage.cut)
    strengths = {name: strength * share for name, strength in damage.strengths.items()}
    return Damage(strengths, round(damage.smear_px * share), (left, top, right, bottom))


def actor_spec(seed: int, motions: Sequence[str]) -> ActorSpec:
    """Two seconds of one person in a random motion, room, size and view; nothing is spoiled yet."""
    rng = np.random.default_rng([seed, 61])
    motion = str(rng.choice(motions))
    actor = Actor(
        motion,
        repetitions=2,
        depth=float(rng.uniform(0.6, 1.1)),
        build=Build(float(rng.uniform(1.5, 1.95)), float(rng.uniform(0.85, 1.3)), float(rng.uniform(0.95, 1.05))),
        facing_deg=float(rng.uniform(-25, 25)),
        lead_in_s=0.0,
        seed=seed,
    )
    camera = default_camera((actor,), "front", SIZES[int(rng.integers(len(SIZES)))])
    camera = replace(
        camera,
        yaw_deg=float(rng.uniform(-110, 110)),
        height_m=camera.height_m * float(rng.uniform(0.75, 1.3)),
        distance_m=camera.distance_m * float(rng.uniform(0.9, 2.2)),
    )
    return ActorSpec((actor,), camera=camera, fps=FPS, duration_s=LENGTH_S, seed=seed)


def wide_spec(seed: int, motions: Sequence[str]) -> ActorSpec:
    """As ``actor_spec``, but from any side, in any tempo, with faults and lenses, and longer: its end is used."""
    spec = actor_spec(seed, motions)
    rng = np.random.default_rng([seed, 63])
    actor, camera = spec.actors[0], spec.viewpoint
    motion = MOTIONS[actor.motion]
    down, pause, up, rest = rng.uniform(0.5, 1.4, 4)
    usual = motion.tempo
    faulty = motion.faults and rng.random() < 0.4
    actor = replace(
        actor,
        repetitions=3,
        tempo=Tempo(usual.down_s * down, usual.pause_s * pause, usual.up_s * up, usual.rest_s * rest),
        faults={str(rng.choice(motion.faults)): float(rng.uniform(0.2, 1))} if faulty else {},
        variation=float(rng.uniform(0.5, 2.0)),
        facing_deg=float(rng.uniform(-60, 60)),
    )
    camera = replace(
        camera,
        yaw_deg=float(rng.uniform(-180, 180)),
        pitch_deg=camera.pitch_deg + float(rng.normal(0, 2)),
        focal_mm=float(rng.uniform(26, 45)),
    )
    before_s = rng.uniform(0, 1.5 if motion.repeats else motion.once_s - LENGTH_S)
    return replace(spec, actors=(actor,), camera=camera, duration_s=LENGTH_S + round(before_s * FPS) / FPS)


def judged(
    detected: PoseSequence,
    truth_px: Array,
    sure: NDArray[np.bool_],
    pictures: Sequence[Frame],
    clip: int,
    group: int,
    source: str,
) -> Judged:
    """The windows of one spoiled clip in which any truth is known.

    Args:
        detected: what the pose model found.
        truth_px: (T, 13, 2) true key points in the same pictures; sure: (T, 13) False where truth is not known.
        pictures: the spoiled ones; clip, group, source: see ``Judged``.
    """
    flat = detected.to(KINECT_13)
    windows = window_frames(flat.time_s)
    torso = max(float(np.median(torso_px(truth_px))), 4.0)
    off = np.linalg.norm(flat.xy_px - truth_px, axis=2) / torso
    off = np.where(sure, np.minimum(np.where(np.isfinite(off), off, FAR), FAR), np.nan)
    count = len(windows)
    every = Judged(
        window_crops(flat, windows, pictures)[0],
        flat.xy_px[windows].astype(np.float32),
        flat.score[windows].astype(np.float32),
        np.tile(np.array(flat.image_size, dtype=np.float32), (count, 1)),
        np.full(count, clip_torso_px(flat), dtype=np.float32),
        off[windows].astype(np.float32),
        np.full(count, clip),
        np.full(count, group),
        np.full(count, source, dtype="U8"),
    )
    return every.part(np.isfinite(every.off).any(axis=(1, 2)))


def actor_clips(seed: int, motions: Sequence[str], estimator: Estimator, wide: bool = False) -> list[Judged]:
    """Render, spoil, detect and compare the last two seconds of one clip; those of a ``wide`` one twice."""
    spec = (wide_spec if wide else actor_spec)(seed, motions)
    frames = [Frame(number, time, image) for number, (image, time) in enumerate(clip_frames(spec))]
    frames = [frame for frame in frames if frame.time_s >= spec.length_s - LENGTH_S - 1e-6]
    truth_px = clip_truth(spec).recording.people[0].to(KINECT_13).xy_px[-len(frames) :]
    sure = np.ones(truth_px.shape[:2], dtype=bool)
    clip = _Clip(frames, truth_px, sure, seed, seed, "actor")
    return [_spoiled(clip, number, share, estimator) for number, share in enumerate(TRAINED if wide else FULL)]


@dataclass(frozen=True, eq=False)
class _Clip:
    """Pictures with (T, 13, 2) true key points and (T, 13) which of them are sure; ``group`` and ``source`` go on."""

    frames: Sequence[Frame]
    truth_px: Array
    sure: NDArray[np.bool_]
    seed: int
    group: int
    source: str


def _spoiled(clip: _Clip, number: int, share: tuple[float, float], estimator: Estimator) -> Judged:
    """The clip spoiled for the ``number``-th time, at a strength from this range."""
    time_s = np.array([frame.time_s for frame in clip.frames])
    size = (clip.frames[0].image.shape[1], clip.frames[0].image.shape[0])
    rng = np.random.default_rng([clip.seed, 62, number][: 2 + bool(number)])
    damage = softened(random_damage(rng), float(rng.uniform(*share)))
    spoiling = Spoiling(damage, time_s, size, clip.seed)
    spoiled = [replace(frame, image=spoiling.picture(frame.image, k)) for k, frame in enumerate(clip.frames)]
    true_px = spoiling.points(clip.truth_px)
    detected = _one_person(estimator, spoiled, true_px)
    return judged(detected, true_px, clip.sure, spoiled, 2 * clip.seed + number, clip.group, clip.source)


def _one_person(estimator: Estimator, frames: Sequence[Frame], near_px: Array) -> PoseSequence:
    """Who is nearest to the true place in each frame; NaN where nobody is found."""
    estimator.reset()
    joints = len(estimator.skeleton)
    xy, score = np.full((len(frames), joints, 2), np.nan), np.full((len(frames), joints), np.nan)
    for number, frame in enumerate(frames):
        people = estimator.update(frame.image, frame.time_s)
        if people:
            middle = np.nanmean(near_px[number], axis=0)
            best = min(people, key=lambda p: float(np.linalg.norm(np.nanmean(p.xy_px, axis=0) - middle)))
            xy[number], score[number] = best.xy_px, np.clip(best.score, 0, 1)
    image = frames[0].image
    return PoseSequence(
        estimator.skeleton, np.array([f.time_s for f in frames]), xy, score, None, (image.shape[1], image.shape[0])
    )  # fmt: skip


def film_part(path: Path, start_s: float, seed: int, group: int, estimator: Estimator) -> list[Judged]:
    """Two seconds of a real film, spoiled twice; empty where the pose model is not sure of the film as it is.

    Truth is what it finds there with a confidence over ``SURE``; ``SURE_SHARE`` of the key points must be so. People
    seen from the side, lying ones most of all, have joints behind their body: the truth of these is left open.
    """
    frames: list[Frame] = []
    for frame in read_frames(path, start_s=start_s, end_s=start_s + LENGTH_S, max_side_px=480):
        if not frames or frame.time_s - frames[-1].time_s >= 1 / FPS - 0.005:
            frames.append(frame)
    if len(frames) < 0.8 * FPS * LENGTH_S:
        return []
    height, width = frames[0].image.shape[:2]
    centre = np.tile(np.array([width / 2, height / 2]), (len(frames), 13, 1))
    clean = _one_person(estimator, frames, centre).to(KINECT_13)
    sure = np.nan_to_num(clean.score) >= SURE
    if not np.isfinite(clean.xy_px).all() or sure.mean() < SURE_SHARE:
        return []
    clip = _Clip(frames, clean.xy_px, sure, seed, group, "real")
    return [_spoiled(clip, number, share, estimator) for number, share in enumerate(FILMED)]


def motions_of(split: str, seed: int) -> tuple[str, ...]:
    """What the actor may do in a clip: half of the validation and a third of the test are motions of their own."""
    if split == "test":
        return UNSEEN_MOTIONS if seed % 3 == 0 else tuple(m for m in MOTIONS if m not in UNSEEN_MOTIONS)
    if split == "validation" and seed % 2 == 0:
        return CHECKED_MOTIONS
    return tuple(m for m in MOTIONS if m not in UNSEEN_MOTIONS + CHECKED_MOTIONS)


def clips(
    split: str,
    count: int,
    progress: Callable[[str, float], None] | None = None,
    folder: Path | None = None,
) -> Judged:
    """The windows of ``count`` actor clips of "train", "validation" or "test"; drawn the first time, then read."""
    from pipeline.estimation.registry import create_estimator

    folder = (folder or settings.cache_dir() / "degraded-clips") / split
    folder.mkdir(parents=True, exist_ok=True)
    estimator: Estimator | None = None
    found = []
    for start in range(0, count, CLIPS_A_FILE):
        path = folder / f"windows-{start:04d}.npz"
        if not path.is_file():
            estimator = estimator or create_estimator("blazepose", threads=1)
            seeds = range(FIRST_SEED[split] + start, FIRST_SEED[split] + start + CLIPS_A_FILE)
            made = [actor_clips(seed, motions_of(split, seed), estimator, wide=split == "train") for seed in seeds]
            _write(path, joined([one for few in made for one in few]))
        found.append(_read(path))
        if progress is not None:
            progress(f"{start + CLIPS_A_FILE} of {count} clips drawn, spoiled and detected", start / max(count, 1))
    return joined(found)


def film_split(number: int) -> str:
    """The split of a real film by its number among all: every third is the test's, every sixth the validation's."""
    return "test" if number % 3 == 0 else "validation" if number % 6 == 1 else "train"


def real_clips(
    split: str, folder: Path | None = None, progress: Callable[[str, float], None] | None = None
) -> Judged | None:
    """Windows of spoiled real films; a film is in one split only. None where the private films are not there."""
    from pipeline.estimation.registry import create_estimator

    media = settings.data_dir() / "media"
    paths = [path for name in REAL_FOLDERS for path in sorted((media / name).glob("*.mp4"))]
    folder = (folder or settings.cache_dir() / "degraded-clips") / split
    folder.mkdir(parents=True, exist_ok=True)
    estimator: Estimator | None = None
    found = []
    for number, path in enumerate(paths):
        if film_split(number) != split:
            continue
        kept, nothing = (folder / f"film-{number:03d}-{path.stem}.{kind}" for kind in ("npz", "none"))
        if not kept.is_file() and not nothing.is_file():
            estimator = estimator or create_estimator("blazepose", threads=1)
            seed = FILM_SEED + 10 * number
            parts = [film_part(path, at_s, seed + k, FILM_SEED + number, estimator) for k, at_s in enumerate(PARTS_S)]
            made = [one for part in parts for one in part]
            if made:
                _write(kept, joined(made))
            else:
                nothing.touch()
        if kept.is_file():
            found.append(_read(kept))
        if progress is not None:
            progress(f"real films: {number + 1} of {len(paths)}", number / len(paths))
    return joined(found) if found else None


def recorded_clips(count: int) -> Judged:
    """The windows of the first ``count`` clips of recorded motion that the lift's training has drawn, or draws now."""
    made = []
    for number, pair in enumerate(pairs("train", most=count)):
        sure = np.isfinite(pair.truth.xy_px).all(axis=2)
        clip = 2 * (RECORDED_SEED + number)
        made.append(judged(pair.detected, pair.truth.xy_px, sure, (), clip, RECORDED_SEED + number, "recorded"))
    return joined(made)


def joined(parts: Sequence[Judged]) -> Judged:
    """All windows as one."""
    return Judged(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Judged)})


def _write(path: Path, windows: Judged) -> None:
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **{f.name: getattr(windows, f.name) for f in fields(Judged)})
    part.replace(path)


def _read(path: Path) -> Judged:
    with np.load(path) as stored:
        return Judged(**{f.name: stored[f.name] for f in fields(Judged)})
