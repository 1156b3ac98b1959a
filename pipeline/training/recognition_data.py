"""The training set of exercise recognition: all sources together, cached, and windows drawn from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import settings
from pipeline.recognition.classes import CLASSES, UNKNOWN
from pipeline.recognition.windows import CORE_INDEX, HOP, WINDOW, boxed, mirrored, seen_frames
from pipeline.training import recognition_sources as sources
from pipeline.training.framework import TrainingError
from pipeline.training.recognition_sources import NOBODY_KNOWS, Body, Track

VERSION = 5  # of what the sources give; a cached set of another version is made again
NEEDED_SEEN = 15
_LABEL_SPAN = HOP  # samples around the middle of a window that must share its label


@dataclass(frozen=True)
class DataChoice:
    """Which data, how much of it: see ``RecognitionConfig`` for the reasons."""

    root: str
    sources: tuple[str, ...]
    corrected: tuple[str, ...]
    daily_takes: int
    actor_exercises: int
    actor_others: int
    grafted: int
    rendered: int
    views: int
    seed: int


def load_tracks(choice: DataChoice, progress: Callable[[str, float], None]) -> list[Track]:
    """Every track of the chosen sources, from the cache when the choice is the same as before.

    Raises:
        TrainingError: a source is not at the root, or there is no such source.
    """
    key = hashlib.sha256(json.dumps([VERSION, str(choice)]).encode()).hexdigest()[:16]
    kept = settings.cache_dir() / "recognition" / f"{key}.npz"
    if kept.is_file() and not choice.corrected:
        return _read(kept)
    tracks = _gather(choice, progress)
    kept.parent.mkdir(parents=True, exist_ok=True)
    _write(kept, tracks)
    return tracks


def _gather(choice: DataChoice, progress: Callable[[str, float], None]) -> list[Track]:
    rng = np.random.default_rng(choice.seed)
    tracks: list[Track] = []
    bodies: list[Body] = []
    donors: list[Body] = []
    known = {"repcount", "countix", "still", "upfall", "ui_prmd", "mocap", "kinect", "actor", "grafted", "rendered"}
    if odd := sorted(set(choice.sources) - known):
        raise TrainingError(f"There is no source {', '.join(odd)}; there are {', '.join(sorted(known))}.")
    try:
        for source in choice.sources:
            progress(f"reading {source}", 0.0)
            if source == "repcount":
                tracks += sources.repcount(choice.root)
            elif source == "countix":
                tracks += sources.countix(choice.root, rng)
            elif source == "still":
                tracks += sources.still(choice.root, rng)
            elif source == "upfall":
                tracks += sources.daily_life(progress, choice.daily_takes)
            elif source == "rendered":
                from pipeline.training.recognition_rendered import rendered

                tracks += rendered(choice.rendered, progress)
            elif source == "ui_prmd":
                bodies += sources.ui_prmd(choice.root)
            elif source == "mocap":
                bodies += sources.mocap(choice.root)
            elif source == "kinect":
                bodies += sources.kinect_sets(choice.root)
            elif source == "actor":
                donors += sources.actor(rng, choice.actor_exercises, choice.actor_others)
        if "grafted" in choice.sources:
            bodies += list(sources.grafted(bodies, donors, rng, choice.grafted))
        for path in choice.corrected:
            tracks += sources.corrected(path)
    except (OSError, KeyError) as error:
        raise TrainingError(
            f"The data of {choice.root} cannot be read ({error}); set `data` in the configuration."
        ) from error
    for body in [*bodies, *donors]:
        tracks += sources.filmed(body, rng, choice.views)
    if not tracks:
        raise TrainingError("There is nothing to learn from: name sources in the configuration.")
    return tracks


def _write(path: Path, tracks: Sequence[Track]) -> None:
    lengths = np.array([len(track.points) for track in tracks])
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        points=np.concatenate([track.points for track in tracks]).astype(np.float32),
        label=np.concatenate([track.label for track in tracks]),
        offset=np.concatenate([[0], np.cumsum(lengths)]),
        words=np.array([[t.source, t.group, t.split, t.name] for t in tracks]),
    )
    part.replace(path)


def _read(path: Path) -> list[Track]:
    data = np.load(path)
    points, label, offset = data["points"], data["label"], data["offset"]
    return [
        Track(
            str(words[0]),
            str(words[1]),
            str(words[2]),
            str(words[3]),
            points[offset[n] : offset[n + 1]],
            label[offset[n] : offset[n + 1]],
        )
        for n, words in enumerate(data["words"])
    ]


# --- windows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Places:
    """Where windows can be cut: track number, sample of the middle, class; (N,) each."""

    track: NDArray[np.int64]
    centre: NDArray[np.int64]
    label: NDArray[np.int64]


def places(tracks: Sequence[Track], split: str, step: int = HOP) -> Places:
    """The middles of windows whose label is certain, ``step`` samples apart, in the tracks of one split."""
    rows: list[tuple[int, int, int]] = []
    for number, track in enumerate(tracks):
        if track.split != split:
            continue
        seen = seen_frames(boxed(track.points))
        for centre in range(step // 2, len(track.label), step):
            near = track.label[max(0, centre - _LABEL_SPAN // 2) : centre + _LABEL_SPAN // 2]
            whole = slice(max(0, centre - WINDOW // 2), centre + WINDOW // 2)
            if near[0] == NOBODY_KNOWS or (near != near[0]).any() or seen[whole].sum() < NEEDED_SEEN:
                continue
            rows.append((number, centre, int(near[0])))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Places(*table.T)


def source_weights(
    tracks: Sequence[Track], found: Places, real: Sequence[str], real_share: float
) -> NDArray[np.float64]:
    """How often each window is drawn: classes alike (unknown five times), within a class real films ``real_share``.

    Within that, every video, subject or actor counts alike by the root of its length.
    """
    names = np.array([track.source for track in tracks])[found.track]
    films = np.isin(names, list(real))
    weights = np.zeros(len(names))
    groups = np.array([track.group for track in tracks])[found.track]
    for label in np.unique(found.label):
        share = 5.0 if label == CLASSES.index(UNKNOWN) else 1.0
        for film in (True, False):
            members = np.flatnonzero((found.label == label) & (films == film))
            if not len(members):
                continue
            other = ((found.label == label) & (films != film)).any()
            part = share * ((real_share if film else 1 - real_share) if other else 1.0)
            sizes = dict(zip(*np.unique(groups[members], return_counts=True), strict=True))
            own = np.array([1 / np.sqrt(sizes[group]) for group in groups[members]])
            per_source = {name: own[names[members] == name].sum() for name in np.unique(names[members])}
            own = own / np.array([np.sqrt(per_source[name]) for name in names[members]])
            weights[members] = part * own / own.sum()
    return weights / weights.sum()


def plain_windows(tracks: Sequence[Track], found: Places) -> NDArray[np.float32]:
    """(N, WINDOW, 33, 3) boxed, as they are."""
    return boxed(_cut(tracks, found, np.ones(len(found.track))))


def varied_windows(tracks: Sequence[Track], found: Places, rng: np.random.Generator) -> NDArray[np.float32]:
    """The same at other speeds, tilted, stretched, noisy, mirrored, with joints and ends missing.

    What is projected from space is spoiled more than what a pose model saw.
    """
    count = len(found.track)
    points = _cut(tracks, found, np.exp(rng.uniform(np.log(0.75), np.log(1.33), count)), rng.integers(-3, 4, count))
    exact = np.array([tracks[number].source in EXACT for number in found.track])
    points = boxed(points)
    points[..., :2] = _tilted(points[..., :2], rng)
    points += _noise(points.shape, exact, rng)
    points = _with_missing(points, rng)
    out = boxed(points)
    flip = rng.random(count) < 0.5
    out[flip] = mirrored(out[flip])
    return out


EXACT = frozenset({"ui_prmd", "mocap", "irds", "utkinect", "precog", "actor", "grafted"})


def _cut(
    tracks: Sequence[Track], found: Places, speed: NDArray[np.float64], shift: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    out = np.full((len(found.track), WINDOW, 33, 3), np.nan, np.float32)
    around = np.arange(WINDOW) - WINDOW // 2
    for row, (number, centre) in enumerate(zip(found.track, found.centre, strict=True)):
        points = tracks[number].points
        at = centre + (0 if shift is None else shift[row]) + around * speed[row]
        low = np.floor(at).astype(int)
        share = (at - low)[:, None, None].astype(np.float32)
        inside = (low >= 0) & (low < len(points) - 1) if speed[row] != 1.0 else (low >= 0) & (low < len(points))
        high = np.minimum(low[inside] + 1, len(points) - 1)
        with_next = points[low[inside]] * (1 - share[inside]) + points[high] * share[inside]
        out[row, inside] = points[low[inside]] if speed[row] == 1.0 else with_next
    return out


def _tilted(xy: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    count = len(xy)
    turn = np.radians(rng.normal(0, 6, count))
    stretch = np.exp(rng.normal(0, 0.15, count))
    shear = np.stack([np.cos(turn), -np.sin(turn) * stretch, np.sin(turn) / stretch, np.cos(turn)], axis=-1)
    return np.einsum("nij,ntkj->ntki", shear.reshape(-1, 2, 2).astype(np.float32), xy - 0.5).astype(np.float32) + 0.5


def _noise(shape: tuple[int, ...], exact: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Jitter from frame to frame and a wandering error, each joint on its own; shares of the box."""
    count, samples, joints, dimensions = shape
    level = np.where(exact, rng.gamma(2.0, 0.008, count), rng.gamma(2.0, 0.003, count))
    level = level[:, None] * rng.gamma(2.0, 0.5, (count, joints))
    knots = rng.standard_normal((count, samples // 6 + 2, joints, dimensions), np.float32)
    at, share = np.divmod(np.arange(samples) / 6, 1)
    share, at = share[:, None, None].astype(np.float32), at.astype(int)
    slow = knots[:, at] * (1 - share) + knots[:, at + 1] * share
    quick = rng.standard_normal(shape, np.float32)
    constant = rng.standard_normal((count, 1, joints, dimensions), np.float32)
    return np.asarray((quick * 0.5 + slow * 0.8 + constant) * level[:, None, :, None], np.float32)


def _with_missing(points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Lost joints (an ankle, both legs, an arm), short gaps, and windows that begin late or end early."""
    count, samples = points.shape[:2]
    legs, feet = CORE_INDEX[9:], CORE_INDEX[11:]
    for row in np.flatnonzero(rng.random(count) < 0.25):
        kind = rng.integers(4)
        lost = [feet, legs, CORE_INDEX[[rng.integers(13)]], CORE_INDEX[:1]][kind]
        start, end = np.sort(rng.integers(0, samples + 1, 2)) if rng.random() < 0.5 else (0, samples)
        points[row, start:end, lost] = np.nan
    for row in np.flatnonzero(rng.random(count) < 0.2):
        start = rng.integers(0, samples)
        points[row, start : start + rng.integers(2, 12)] = np.nan
    for row in np.flatnonzero(rng.random(count) < 0.25):
        less = rng.integers(4, samples // 2)
        points[row, slice(0, less) if rng.random() < 0.5 else slice(samples - less, samples)] = np.nan
    return points
