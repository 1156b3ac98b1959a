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
from pipeline.poses import PoseSequence
from pipeline.recognition.classes import CLASSES, UNKNOWN
from pipeline.recognition.recognizer import MOTION
from pipeline.recognition.windows import CORE_INDEX, HOP, RATE_HZ, WINDOW, boxed, seen_frames
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.training import recognition_frames as frames
from pipeline.training import recognition_sources as sources
from pipeline.training.framework import TrainingError
from pipeline.training.recognition_near_misses import near_misses
from pipeline.training.recognition_sources import NOBODY_KNOWS, Body, Track
from pipeline.training.recognition_variation import noise, tilted, with_missing, with_slips

VERSION = 8  # of what the sources give; a cached set of another version is made again
SOURCES = frozenset({"repcount", "countix", "still", "gym", "upfall", "rendered", "ui_prmd", "mocap", "kinect", "actor",
                     "grafted", "stages", "msr", "near_miss"})  # fmt: skip
FILMS = ("repcount", "countix", "still", "gym", "upfall", "rendered", "corrected", "stages")  # what a pose model saw
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
    near_misses: int
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
    if odd := sorted(set(choice.sources) - SOURCES):
        raise TrainingError(f"There is no source {', '.join(odd)}; there are {', '.join(sorted(SOURCES))}.")
    try:
        for source in choice.sources:
            progress(f"reading {source}", 0.0)
            if source == "repcount":
                tracks += sources.repcount(choice.root)
            elif source == "countix":
                tracks += frames.countix(choice.root, rng)
            elif source == "still":
                tracks += frames.still(choice.root, rng)
            elif source == "gym":
                tracks += frames.gym(choice.root, rng)
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
            elif source == "msr":
                bodies += sources.msr_actions(choice.root)
            elif source == "stages":
                tracks += frames.stages(choice.root, rng)
            elif source == "near_miss":
                donors += near_misses(rng, choice.near_misses)
            elif source == "actor":
                donors += sources.actor(rng, choice.actor_exercises, choice.actor_others)
                donors += list(sources.lateral_raises(donors, rng))
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
    tracks: Sequence[Track],
    found: Places,
    real: Sequence[str],
    real_share: float,
    unknown_share: float = 1.5,
    unknown_real_share: float | None = None,
) -> NDArray[np.float64]:
    """How often each window is drawn: classes alike (unknown ``unknown_share`` times as often), within a class real
    films ``real_share`` (of unknown ``unknown_real_share``, where that is given).

    Within that, every video, subject or actor counts alike by the root of its length.
    """
    names = np.array([track.source for track in tracks])[found.track]
    films = np.isin(names, list(real))
    weights = np.zeros(len(names))
    groups = np.array([track.group for track in tracks])[found.track]
    for label in np.unique(found.label):
        unknown = label == CLASSES.index(UNKNOWN)
        of_films = unknown_real_share if unknown and unknown_real_share is not None else real_share
        for film in (True, False):
            members = np.flatnonzero((found.label == label) & (films == film))
            if not len(members):
                continue
            other = ((found.label == label) & (films != film)).any()
            part = (unknown_share if unknown else 1.0) * ((of_films if film else 1 - of_films) if other else 1.0)
            _, which, sizes = np.unique(groups[members], return_inverse=True, return_counts=True)
            own = 1 / np.sqrt(sizes[which])
            _, which = np.unique(names[members], return_inverse=True)
            own = own / np.sqrt(np.bincount(which, own)[which])
            weights[members] = part * own / own.sum()
    return weights / weights.sum()


def plain_windows(tracks: Sequence[Track], found: Places) -> NDArray[np.float32]:
    """(N, WINDOW, 33, 3) boxed, as they are."""
    out = np.full((len(found.track), WINDOW, 33, 3), np.nan, np.float32)
    for row, (number, centre) in enumerate(zip(found.track, found.centre, strict=True)):
        points, first = tracks[number].points, centre - WINDOW // 2
        inside = slice(max(0, first), min(len(points), first + WINDOW))
        out[row, inside.start - first : inside.stop - first] = points[inside]
    return boxed(out)


BOXED = frozenset({"repcount", "corrected"})  # sources whose landmarks have no place, size and aspect
USUAL_ASPECT = 0.6  # width over height of a box, put back where the source has lost it


def sequence_of(track: Track) -> PoseSequence:
    """The track as a person 400 px high, for what asks for poses."""
    points = np.asarray(track.points, np.float64)
    if track.source in BOXED:
        points = points * (USUAL_ASPECT, 1.0, 1.0)
    heights = np.ptp(points[:, CORE_INDEX, 1], axis=1)
    heights = heights[np.isfinite(heights) & (heights > 0)]
    xy_px = points[..., :2] * (400.0 / np.median(heights) if len(heights) else 1.0)
    seen = np.isfinite(xy_px).all(axis=-1)
    space = points * (1.0, -1.0, -1.0) if np.isfinite(points[..., 2]).any() else None
    return PoseSequence(
        BLAZEPOSE_33, np.arange(len(points)) / RATE_HZ, xy_px, seen.astype(np.float64), space, (640, 480), 0
    )


@dataclass(frozen=True, eq=False)
class Stock:
    """All tracks behind one another, boxed, and of them only what a network looks at.

    points: (S, J, D); start, end: (N,) first sample of each track and the one after its last; exact: (N,) whether it
    was projected from space; core: (13,) where the core joints are among the J; mirror: (J,) order in a mirror.
    """

    points: NDArray[np.float32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    exact: NDArray[np.bool_]
    core: NDArray[np.int64]
    mirror: NDArray[np.int64]


def stock_of(tracks: Sequence[Track], network: str) -> Stock:
    """The stock for a network: 13 joints in the picture, or everything for the baseline's 189 features."""
    joints = CORE_INDEX if network == MOTION else np.arange(len(BLAZEPOSE_33))
    dimensions = 2 if network == MOTION else 3
    where = {int(joint): number for number, joint in enumerate(joints)}
    end = np.cumsum([len(track.points) for track in tracks])
    return Stock(
        points=np.concatenate([boxed(track.points)[:, joints, :dimensions] for track in tracks]),
        start=np.concatenate([[0], end[:-1]]),
        end=end,
        exact=np.array([track.source in EXACT for track in tracks]),
        core=np.array([where[int(joint)] for joint in CORE_INDEX]),
        mirror=np.array([where[BLAZEPOSE_33.mirror_order[int(joint)]] for joint in joints]),
    )


def varied_windows(stock: Stock, found: Places, rng: np.random.Generator) -> NDArray[np.float32]:
    """(N, WINDOW, J, D) boxed, at other speeds, mirrored, and varied as in ``recognition_variation``.

    What is projected from space is spoiled more than what a pose model saw.
    """
    count = len(found.track)
    speed = np.exp(rng.uniform(-1, 1, count) * np.log(FASTEST))
    at = (found.centre + rng.integers(-3, 4, count))[:, None] + (np.arange(WINDOW) - WINDOW // 2) * speed[:, None]
    at += stock.start[found.track][:, None]
    low = np.floor(at).astype(np.int64)
    share = (at - low)[..., None, None].astype(np.float32)
    inside = (low >= stock.start[found.track][:, None]) & (low < stock.end[found.track][:, None] - 1)
    low = np.clip(low, 0, len(stock.points) - 2)
    points = stock.points[low] * (1 - share) + stock.points[low + 1] * share
    points[~inside] = np.nan
    points[..., :2] = tilted(points[..., :2], rng)
    points += noise(points.shape, stock.exact[found.track], rng)
    points = with_missing(with_slips(points, stock.core, rng), stock.core, rng)
    out = boxed(points, stock.core)
    flip = rng.random(count) < 0.5
    mirror = out[flip][..., stock.mirror, :]
    mirror[..., 0] = 1.0 - mirror[..., 0]
    out[flip] = mirror
    return out


FASTEST = 1.5  # and slowest the inverse
EXACT = frozenset({"ui_prmd", "mocap", "irds", "utkinect", "precog", "actor", "grafted", "msr", "near_miss"})
