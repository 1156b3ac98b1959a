"""The same clips changed in ways that their ground truth survives: counts and false remarks under each change.

A part of benchmarks/repetitions.md; see ``benchmarks.repetitions``. Poses are changed; once, the pictures are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.movements import EXERCISES, NAMED_FAULTS, UNLABELLED
from pipeline.estimation.topdown import create_blazepose
from pipeline.media import read_frames
from pipeline.movements import analyze
from pipeline.poses import Array, PoseSequence, Recording
from pipeline.repetitions import RepetitionSet, find_repetitions
from pipeline.signal import body_size_px
from pipeline.skeletons import COCO_17, other_side

SEED = 20
PAUSE_S = 3.0
TWICE, FROM_THE_TURN = "played twice with a pause", "from the first turning point on"
Change = Callable[[PoseSequence], PoseSequence]
Counts = list[set[int]]


@dataclass(frozen=True)
class Clip:
    """A clip's poses with its truth: ``right`` holds the accepted counts, person by person; empty is none."""

    path: str
    exercise: str
    people: tuple[PoseSequence, ...]
    right: Counts

    @property
    def name(self) -> str:
        return Path(self.path).stem


def unchanged(person: PoseSequence) -> PoseSequence:
    return person


def mirrored(person: PoseSequence) -> PoseSequence:
    """The picture's left and right trade places, and so do the body's."""
    columns = [person.skeleton.index(other_side(name)) for name in person.skeleton.joints]
    xy_px = person.xy_px[:, columns] * (-1.0, 1.0) + (person.image_size[0], 0.0)
    xyz_m = None if person.xyz_m is None else person.xyz_m[:, columns] * (-1.0, 1.0, 1.0)
    return replace(person, xy_px=xy_px, xyz_m=xyz_m, score=person.score[:, columns], raw_score=None)


def resampled(fps: float) -> Change:
    """The frames that a camera of this rate would have taken, between frames by linear interpolation."""

    def change(person: PoseSequence) -> PoseSequence:
        ticks = np.arange(person.time_s[0], person.time_s[-1] + 1e-9, 1 / fps)
        after = np.clip(np.searchsorted(person.time_s, ticks - 1e-9), 1, max(len(person) - 1, 1))
        if len(person) < 2:
            return person
        share = (ticks - person.time_s[after - 1]) / (person.time_s[after] - person.time_s[after - 1])

        def between(values: Array) -> Array:
            part = share.reshape(-1, *(1,) * (values.ndim - 1))
            mixed = (1 - part) * values[after - 1] + part * values[after]
            return np.where(share.reshape(part.shape) > 1 - 1e-6, values[after], mixed)

        return replace(
            person,
            time_s=ticks,
            xy_px=between(person.xy_px),
            score=between(person.score).clip(0, 1),
            xyz_m=None if person.xyz_m is None else between(person.xyz_m),
            raw_score=None,
        )

    return change


def scaled(factor: float) -> Change:
    def change(person: PoseSequence) -> PoseSequence:
        width, height = person.image_size
        size = (round(width * factor), round(height * factor))
        return replace(person, xy_px=person.xy_px * factor, image_size=size)

    return change


def on_larger_canvas(person: PoseSequence) -> PoseSequence:
    """The clip in the lower right corner of a picture of twice its width and height."""
    width, height = person.image_size
    return replace(person, xy_px=person.xy_px + (width, height), image_size=(2 * width, 2 * height))


def faster(factor: float) -> Change:
    return lambda person: replace(person, time_s=person.time_s / factor)


def noisy(person: PoseSequence) -> PoseSequence:
    """Every key point of every frame shifted at random by 1 % of the body's size on either axis."""
    size = body_size_px(person)
    if not np.isfinite(size):
        return person
    noise = np.random.default_rng(SEED).normal(0, 0.01 * size, person.xy_px.shape)
    return replace(person, xy_px=person.xy_px + noise)


def dropped(person: PoseSequence) -> PoseSequence:
    """Three in ten frames gone at random, and a quarter of a second of every four: an uneven frame rate."""
    stays = np.random.default_rng(SEED).random(len(person)) > 0.3
    stays &= (person.time_s % 4.0) > 0.25
    return person.select(stays)


def twice(person: PoseSequence) -> PoseSequence:
    """The clip, a pause on its last frame, and the clip again."""
    if len(person) < 2:
        return person
    step_s = float(np.median(np.diff(person.time_s)))
    count = round(PAUSE_S / step_s)
    pause_s = person.time_s[-1] + step_s * np.arange(1, count + 1)
    again_s = pause_s[-1] + step_s + person.time_s - person.time_s[0]

    def joined(values: Array) -> Array:
        return np.concatenate([values, np.repeat(values[-1:], count, axis=0), values])

    return replace(
        person,
        time_s=np.concatenate([person.time_s, pause_s, again_s]),
        xy_px=joined(person.xy_px),
        score=joined(person.score),
        xyz_m=None if person.xyz_m is None else joined(person.xyz_m),
        raw_score=None,
        root_m=None,
    )


def from_the_first_turn(person: PoseSequence) -> PoseSequence:
    """Without everything before the first complete repetition's turning point."""
    first = next(iter(find_repetitions(person).complete), None)
    return person if first is None else person.select(person.time_s >= first.turn_s)


def body_points(person: PoseSequence) -> PoseSequence:
    """What a model of COCO's 17 points sees: no feet, no hands."""
    return person.to(COCO_17)


CHANGES: dict[str, Change] = {
    "as they are": unchanged,
    "COCO's 17 points only": body_points,
    "mirrored": mirrored,
    "10 frames a second": resampled(10.0),
    "15 frames a second": resampled(15.0),
    "60 frames a second": resampled(60.0),
    "scaled to 40 %": scaled(0.4),
    "on a canvas of twice the size": on_larger_canvas,
    "speed × 0.7": faster(0.7),
    "speed × 1.4": faster(1.4),
    "noise of 1 % of the body's size": noisy,
    "frames dropped": dropped,
    FROM_THE_TURN: from_the_first_turn,
    TWICE: twice,
}


def right_after(label: str, right: Counts) -> Counts:
    """The accepted counts of a changed clip."""
    if label == TWICE:
        return [{a + b for a in counts for b in counts} for counts in right]
    if label == FROM_THE_TURN:  # a repetition that is half there counts, or not
        return [{number for count in counts for number in (count - 1, count)} for counts in right]
    return right


def from_mirrored_pictures(clips: Sequence[Clip], folder: Path, poses: Path) -> list[Clip]:
    """The clips with the poses that BlazePose finds in their mirrored pictures: other errors, the same movement.

    Args:
        folder: of the clips.
        poses: keeps the poses.
    """
    poses.mkdir(parents=True, exist_ok=True)
    found = []
    for clip in clips:
        stored = poses / f"{clip.path.replace('/', '__')}.json"
        if not stored.is_file():
            frames = (replace(f, image=np.ascontiguousarray(f.image[:, ::-1])) for f in read_frames(folder / clip.path))
            stored.write_bytes(create_blazepose().estimate(frames).to_json())
        found.append(replace(clip, people=Recording.from_json(stored.read_bytes()).people))
    return found


def changed_table(
    clips: Sequence[Clip], mirrored_pictures: Sequence[Clip], is_right: Callable[[list[RepetitionSet], Counts], bool]
) -> list[str]:
    """One row a change: right counts with and without repetitions, clean clips with a remark, named faults found."""
    return [
        "| change | right, with repetitions | without any | clean clips with a remark | named faults found | wrong |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(label, _changed(clips, label), is_right) for label in CHANGES),
        _row("poses found anew in mirrored pictures", mirrored_pictures, is_right),
    ]


def _changed(clips: Sequence[Clip], label: str) -> list[Clip]:
    """The clips whose truth survives the change: what is no repetition becomes one when it is done twice alike."""
    return [
        replace(clip, people=tuple(map(CHANGES[label], clip.people)), right=right_after(label, clip.right))
        for clip in clips
        if clip.right or label != TWICE
    ]


def _row(label: str, clips: Sequence[Clip], is_right: Callable[[list[RepetitionSet], Counts], bool]) -> str:
    right, total, wrong = {True: 0, False: 0}, {True: 0, False: 0}, []
    clean, false, named, found = 0, 0, 0, 0
    for clip in clips:
        counted = [find_repetitions(person) for person in clip.people]
        correct = is_right(counted, clip.right)
        right[bool(clip.right)] += correct
        total[bool(clip.right)] += 1
        if not correct:
            wrong.append(f"{clip.name} ({'; '.join(str(one.count) for one in counted if len(one)) or '0'})")
        movement = next((ours for word, ours in EXERCISES.items() if clip.exercise.startswith(word)), None)
        if movement is None or clip.name in UNLABELLED:
            continue
        shown = _faults(clip, movement)
        _, faults, _ = NAMED_FAULTS.get(clip.name, (None, set(), None))
        named += len(faults)
        found += len(faults & shown)
        if clip.name not in NAMED_FAULTS:
            clean += 1
            false += bool(shown)
            wrong += [f"{clip.name}: {', '.join(sorted(shown))}"] if shown else []
    without = f"{right[False]} of {total[False]}" if total[False] else "–"
    return (
        f"| {label} | {right[True]} of {total[True]} | {without} | {false} of {clean} | "
        f"{found} of {named} | {'; '.join(wrong) or '–'} |"
    )


def _faults(clip: Clip, movement: str) -> set[str]:
    """The faults that are remarked on the one who moves most; on anybody where the manifest names a fault."""
    reports = [analyze(person, movement) for person in clip.people]
    if clip.name not in NAMED_FAULTS:
        reports = sorted(reports, key=lambda report: -report.complete)[:1]
    return {remark.fault for report in reports for remark in report.remarks}
