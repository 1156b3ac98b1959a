"""Windows to train the fall forest on: real takes, acted scenes and motion capture, each window with its label."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline import settings
from pipeline.falls.events import Course, drop_times
from pipeline.falls.features import Body, FeatureTable, body, features
from pipeline.falls.people import joined
from pipeline.poses import Array, PoseSequence, Recording
from pipeline.skeletons import KINECT_13, KINECT_20, Skeleton
from pipeline.synthetic.timeline import FallTimes
from pipeline.training.fall_scenes import Example, acted_examples, random_camera, seen_by
from pipeline.training.fall_sources import Take, cached_poses, falling_times, training_takes
from pipeline.training.motion_data import MotionDataError, load

REAL = ("upfall", "urfd")
SURE_S = 0.3  # windows this near to the middle of a drop show the fall
OPEN_S = 1.0  # windows up to this far show part of it and teach nothing
MIN_SEEN = 0.5  # of the joints around a fall; falls that are hidden more teach nothing
LEAST_DROP_H = 0.25  # of head and hips together: less is not the person who falls
MOCAP_HOLD_S = 2.0  # capture cuts end on the last pose; it is held, as a person who lies down stays there


@dataclass(frozen=True, eq=False)
class Windows:
    """An example with its features.

    Attributes:
        label: (G,) 1 fall, 0 no fall, NaN teaches nothing.
        cut: a copy that begins late or ends early, for training only.
    """

    example: Example
    grid: Body
    table: FeatureTable
    label: Array
    cut: bool = False

    @cached_property
    def course(self) -> Course:
        """How the body moves up and down."""
        return Course.of(self.grid)


def windows_of(example: Example, *, cut: bool = False) -> Windows:
    """Features and labels of one example."""
    one = example.sequence
    frames = np.flatnonzero(one.seen)
    grid = body(one.select(slice(int(frames[0]), int(frames[-1]) + 1)) if len(frames) else one.select(slice(0, 0)))
    table = features(grid)
    label = np.zeros(len(grid))
    for fall in example.falls:
        middle = (fall.onset_s + fall.impact_s) / 2
        away = np.abs(grid.time_s - middle)
        sure = max(SURE_S, 0.3 * (fall.impact_s - fall.onset_s))
        around = (grid.time_s >= fall.onset_s - 0.5) & (grid.time_s <= fall.impact_s + 1.0)
        seen = np.isfinite(grid.xy_px[around, :, 0]).mean() if around.any() else 0.0
        label[away <= sure + OPEN_S - SURE_S] = np.nan
        if seen >= MIN_SEEN:
            label[away <= sure] = 1.0
    return Windows(example, grid, table, label, cut)


def well_seen(one: Windows) -> bool:
    """Whether every fall of the example is seen well enough to be asked for."""
    return all(
        (one.label[np.abs(one.grid.time_s - (fall.onset_s + fall.impact_s) / 2) <= SURE_S] == 1).any()
        for fall in one.example.falls
    )


# --- real takes -----------------------------------------------------------------------------------------------------


def real_examples(take: Take, recording: Recording) -> list[Example]:
    """Everybody in a take. In a fall take the one who comes down most has fallen, once, where they come down fastest.

    UP-Fall says no more than that a clip holds one fall; UR Fall has a table of the frames in which somebody falls.
    The others of a fall take teach only if they hardly move: tracks of the same person under another number may show
    half a fall.
    """
    people = joined(recording.people)
    if not take.is_fall:
        return [Example(one, (), take.group, take.source) for one in people]
    drops = [_greatest_drop(one) for one in people]
    if not drops or max(size for size, _ in drops) < LEAST_DROP_H:
        return []
    faller = int(np.argmax([size for size, _ in drops]))
    examples = []
    for number, one in enumerate(people):
        size, fall = drops[number]
        if number == faller:
            fall = falling_times(take) or fall
            examples.append(Example(one, (fall,), take.group, take.source))
        elif size < 0.15:
            examples.append(Example(one, (), take.group, take.source))
    return examples


def _greatest_drop(one: PoseSequence) -> tuple[float, FallTimes]:
    grid = body(one)
    table = features(grid)
    columns = [table.names.index(f"{name}_drop_h") for name in ("head", "hip")]
    size = np.clip(table.values[:, columns], -1.0, 0.8).sum(axis=1)
    if not np.isfinite(size).any():
        return 0.0, FallTimes(0.0, 0.0)
    moment = int(np.nanargmax(size))
    return float(size[moment]), FallTimes(*drop_times(Course.of(grid), float(grid.time_s[moment])))


# --- motion capture -------------------------------------------------------------------------------------------------


def mocap_examples(views: int, seed: int, data: Path | None = None) -> Iterator[Example]:
    """HDM05 and CMU motion capture (nobody falls) through ``views`` random cameras each; none without the data."""
    path = (data or settings.data_dir()) / "data" / "mocap_kinect20" / "mocap_kinect20.npz"
    if not path.is_file():
        return
    with np.load(path, allow_pickle=False) as file:
        points = file["xyz_i16"] * float(file["scale_m"])
        offset, subject, source, fps = (file[name] for name in ("offset", "subject", "source", "fps"))
    for number in range(len(subject)):
        joints = points[offset[number] : offset[number + 1]][:1800]  # the first minute
        rate = float(fps[number])
        if len(joints) < rate:
            continue
        group = f"mocap:{source[number]}:{subject[number]}"
        yield from _filmed(joints, rate, KINECT_20, group, views, (seed, 7, number))


KINECT_SETS = ("utkinect", "precog", "msraction3d")


def kinect_examples(views: int, seed: int, data: Path | None = None) -> Iterator[Example]:
    """What people do in front of a Kinect (sitting down, picking up, bending, kicking, throwing): nobody falls.

    UTKinect, PRECOG and MSRAction3D through ``views`` random cameras each; none without the data.
    """
    for place, name in enumerate(KINECT_SETS):
        try:
            motions = load(name, data=data)
        except MotionDataError:
            continue
        for number, motion in enumerate(motions):
            joints = motion.xyz_m + motion.root_m[:, None]
            seen = np.isfinite(joints).all(axis=(1, 2))
            if len(motion) < 10 or not seen.any():
                continue
            joints = joints - [0, np.nanquantile(joints[..., 1], 0.02), 0]  # the sensor's height is not the floor's
            rate = (len(motion) - 1) / float(motion.time_s[-1] - motion.time_s[0])
            group = f"kinect:{name}:{motion.subject}"
            yield from _filmed(joints, rate, KINECT_13, group, views, (seed, 11 + place, number))


def _filmed(
    joints: Array, rate: float, skeleton: Skeleton, group: str, views: int, seed: tuple[int, ...]
) -> Iterator[Example]:
    """Captured motion (T, J, 3) in metres, held at its ends, as random cameras and a pose model would see it."""
    joints = joints - np.nanmean(joints, axis=(0, 1)) * [1, 0, 1]
    hold = round(MOCAP_HOLD_S * rate)
    joints = np.concatenate([np.repeat(joints[:1], hold // 2, 0), joints, np.repeat(joints[-1:], hold, 0)])
    for view in range(views):
        rng = np.random.default_rng([*seed, view])
        sequence = seen_by(joints, random_camera(rng), rng, fps=float(rng.choice([10, 15, 25, 30])),
                           noise=float(rng.uniform(0.004, 0.02)), skeleton=skeleton, fps_in=rate)  # fmt: skip
        yield Example(sequence, (), group, group.split(":")[0])


# --- everything -----------------------------------------------------------------------------------------------------


def all_windows(
    sources: Sequence[str],
    acted_scenes: int,
    mocap_views: int,
    seed: int,
    progress: Callable[[str, float], None],
    *,
    takes: Sequence[Take] | None = None,
) -> list[Windows]:
    """Every example of the sources with its features, and of each one copies that begin late or end early.

    Args:
        sources: of "upfall", "urfd", "acted", "mocap", "kinect".
        takes: real takes; None is ``training_takes()``.
    """
    found: list[Windows] = []

    def add(example: Example) -> None:
        whole = windows_of(example)
        found.append(whole)
        found.extend(windows_of(part, cut=True) for part in parts_of(example, seed))

    chosen = [take for take in (training_takes() if takes is None else takes) if take.source in sources]
    for number, take in enumerate(chosen):
        progress(f"poses of {take.path.name}", 0.5 * number / len(chosen))
        for example in real_examples(take, cached_poses(take.path)):
            add(example)
    if "mocap" in sources:
        progress("motion capture", 0.5)
        for example in mocap_examples(mocap_views, seed):
            add(example)
    if "kinect" in sources:
        progress("Kinect recordings", 0.55)
        for example in kinect_examples(mocap_views, seed):
            add(example)
    if "acted" in sources:
        for number, example in enumerate(acted_examples(acted_scenes, seed)):
            if number % 50 == 0:
                progress(f"acted scene {number + 1} of {acted_scenes}", 0.6 + 0.4 * number / acted_scenes)
            add(example)
    return found


def parts_of(example: Example, seed: int) -> list[Example]:
    """The example as if the clip ended soon after the fall, and as if it began soon before it (and sometimes both).

    Without a fall it ends, or begins, anywhere. Clips that begin in the middle of things are usual, and a forest that
    has never seen one misses their falls: it found 10 of 25 of UR Fall's when it had not learned from UR Fall.
    """
    one = example.sequence
    name = f"{example.group} {one.person} {len(one)} {one.frames_seen}"
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if len(one) < 10:
        return []
    first_s, last_s = float(one.time_s[0]), float(one.time_s[-1])
    end_s = first_s + float(rng.uniform(0.3, 1.0)) * (last_s - first_s)
    start_s = first_s + float(rng.uniform(0.0, 0.7)) * (last_s - first_s)
    if example.falls:
        end_s = example.falls[0].impact_s + float(rng.uniform(0.1, 1.6))
        start_s = example.falls[0].onset_s - float(rng.uniform(0.1, 1.2))
    late_end_s = end_s if example.falls and rng.random() < 0.5 else np.inf
    parts = []
    for begin_s, finish_s in ((-np.inf, end_s), (start_s, late_end_s)):
        part = one.between(begin_s, finish_s)
        falls = tuple(fall for fall in example.falls if begin_s < fall.onset_s and fall.impact_s < finish_s)
        if len(part) > 5:
            parts.append(Example(part, falls, example.group, example.source, example.weight))
    return parts


def training_rows(windows: Sequence[Windows], seed: int, share: float) -> tuple[Array, Array, Array]:
    """(N, F) features, (N,) labels and (N,) weights to fit on.

    Of the windows without a fall a ``share`` stays, and four times as many of those in which somebody comes down.
    Every source with falls gets the same total weight for its falls; falls together weigh as much as no falls.
    """
    rng = np.random.default_rng(seed)
    values, labels, sources = [], [], []
    for one in windows:
        names = one.table.names
        drop = np.nan_to_num(one.table.values[:, names.index("head_drop_h")])
        speed = np.nan_to_num(one.table.values[:, names.index("hip_fall_speed_h_s")])
        eventful = (drop > 0.15) | (speed > 0.4)
        known = np.isfinite(one.label)
        keep = known & ((one.label == 1) | (rng.random(len(known)) < np.where(eventful, min(1.0, 4 * share), share)))
        values.append(one.table.values[keep])
        labels.append(one.label[keep])
        sources += [one.example.source.split(":")[0]] * int(keep.sum())
    x, y, source = np.concatenate(values), np.concatenate(labels), np.array(sources)
    weight = np.ones(len(y))
    falling = [name for name in np.unique(source) if ((source == name) & (y == 1)).any()]
    for name in falling:
        some = (source == name) & (y == 1)
        weight[some] = (y == 0).sum() / some.sum() / len(falling)
    return x, y, weight
