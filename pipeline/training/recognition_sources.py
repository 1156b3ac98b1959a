"""What exercise recognition learns from, brought into one form: landmarks on the even clock with a label a sample.

Every source is read through fsspec, so a folder, ``s3://`` and ``gs://`` are the same. Splits go by video, subject or
actor: what was filmed together stays together. The clips of ``media`` are never read here.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.recognition.classes import CLASSES, UNKNOWN
from pipeline.recognition.labels import read_labels
from pipeline.recognition.windows import RATE_HZ, WINDOW, resampled
from pipeline.skeletons import UI_PRMD_22
from pipeline.training.recognition_camera import as_blazepose, seen_by_camera, with_arms_of, with_arms_turned

CLASS = {name: number for number, name in enumerate(CLASSES)}
NOBODY_KNOWS = -1  # the label of samples that are not trained on
TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, eq=False)
class Track:
    """One person's motion as a recogniser gets it.

    source: data set; group: what a split must keep together; split: "train", "validation" or "test"; name: of the clip;
    points: (S, 33, 3) at ``RATE_HZ``, NaN missing; label: (S,) class numbers, ``NOBODY_KNOWS`` to leave out.
    """

    source: str
    group: str
    split: str
    name: str
    points: NDArray[np.float32]
    label: NDArray[np.int8]


def open_file(root: str, path: str) -> io.BytesIO:
    """A file of a data set in memory. ``root`` is a folder or an fsspec URL such as ``s3://bucket/data``."""
    with fsspec.open(f"{root.rstrip('/')}/{path}", "rb") as file:
        return io.BytesIO(file.read())


def _arrays(root: str, path: str) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file, read once."""
    with np.load(open_file(root, path)) as data:
        return dict(data)


def split_of(group: str, test: float = 0.2, validation: float = 0.15) -> str:
    """The side of the split by the hash of the group's name: the same on every machine."""
    share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32
    return TEST if share < test else VALIDATION if share < test + validation else TRAIN


def split_evenly(groups: dict[str, str], test: float = 0.2, validation: float = 0.15) -> dict[str, str]:
    """The same for groups of classes ``{group: class}``: by order of the hashes within each class, none left out."""
    sides: dict[str, str] = {}
    for name in sorted(set(groups.values())):
        members = sorted(
            (one for one, which in groups.items() if which == name),
            key=lambda one: hashlib.sha256(one.encode()).hexdigest(),
        )
        tests = round(test * len(members))
        checks = round(validation * len(members))
        for number, one in enumerate(members):
            sides[one] = TEST if number < tests else VALIDATION if number < tests + checks else TRAIN
    return sides


# --- films: RepCount -----------------------------------------------------------------------

REPCOUNT = "repcount/repcount_test152.npz"
REPCOUNT_CLASSES = {"squat": "squat", "push_up": "push_up", "pull_up": "pull_up", "sit_up": "sit_up",
                    "jump_jack": "jumping_jack", "front_raise": "front_raise",
                    "bench_pressing": "bench_press"}  # fmt: skip
REST_S = 1.6  # between two repetitions of a set, at most: half a window
CLEAR_S = WINDOW / RATE_HZ / 2 + 0.7  # further than this from a repetition, no window sees any of it
ASSUMED_FPS = 30.0


def repcount(root: str) -> Iterator[Track]:
    """RepCount: landmarks of 152 videos, labelled within their repetitions; other sports are unknown.

    What lies outside the repetitions is left out: in several videos the exercise goes on after the last one annotated.
    """
    data = _arrays(root, REPCOUNT)
    scale, offset = float(data["scale"]), data["offset"]
    labels = [str(label) for label in data["label"]]
    names = [str(name) for name in data["name"]]
    sides = split_evenly(
        {f"{name}/{number}": label for number, (name, label) in enumerate(zip(names, labels, strict=True))}
    )
    for number, (name, label) in enumerate(zip(names, labels, strict=True)):
        raw = data["lm_u16"][offset[number] : offset[number + 1]].astype(np.float64) * scale
        raw[(raw == 0).all(axis=(1, 2))] = np.nan
        time_s = np.arange(len(raw)) / ASSUMED_FPS
        clock = resampled(time_s, raw)
        known = REPCOUNT_CLASSES.get(label, UNKNOWN)
        marks = np.full(len(clock.points), CLASS[UNKNOWN], np.int8)
        if known != UNKNOWN:
            spans = data["rep_start_end"][data["rep_video"] == number] / ASSUMED_FPS
            marks = samples_within(clock.time_s, spans, CLASS[known])
            marks[marks == CLASS[UNKNOWN]] = NOBODY_KNOWS
        yield Track(
            "repcount", f"{name}/{number}", sides[f"{name}/{number}"], name, clock.points.astype(np.float32), marks
        )


def samples_within(time_s: Array, spans: Array, inside: int) -> NDArray[np.int8]:
    """Labels of samples: ``inside`` from the first repetition of a set to its last, with the rests between them.

    Unknown only where a whole window is clear of every repetition; nearer than that, nobody knows.
    """
    marks = np.full(len(time_s), CLASS[UNKNOWN], np.int8)
    for start, end in spans:
        marks[(time_s > start - CLEAR_S) & (time_s < end + CLEAR_S)] = NOBODY_KNOWS
    for start, end in spans:
        marks[(time_s >= start) & (time_s <= end)] = inside
    for (_, end), (start, _) in pairwise(spans):
        if start - end < REST_S:
            marks[(time_s >= end) & (time_s <= start)] = inside
    return marks


def corrected(pattern: str) -> Iterator[Track]:
    """Labels that were corrected on the recognition page: ``labels.labels_file`` at an fsspec path, ``*`` for many."""
    files, place = fsspec.core.url_to_fs(pattern)
    found = sorted(files.glob(place))
    if not found:
        raise FileNotFoundError(f"no corrected labels at {pattern}")
    for path in found:
        name, points, marks = read_labels(files.cat_file(path))
        yield Track("corrected", f"corrected/{name}", split_of(name), name, points, marks)


# --- films of daily life and falls ----------------------------------------------------------------------------------


def daily_life(progress: Callable[[str, float], None], takes: int) -> Iterator[Track]:
    """UP-Fall's daily life and falls, one man, as the default pose model sees him: all unknown.

    Both cameras of a take are one group. Takes that stand in ``media`` or are kept back are left out.
    """
    from pipeline.training.fall_sources import UPFALL, cached_poses, training_takes

    found = sorted((take for take in training_takes() if take.source == UPFALL),
                   key=lambda take: hashlib.sha256(take.group.encode()).hexdigest())  # fmt: skip
    for number, take in enumerate(found[:takes]):
        progress(f"poses of {take.path.name}", 0.0 if not takes else number / takes)
        for person in cached_poses(take.path).people:
            if person.frames_seen < 30:
                continue
            points = resampled_points(person)
            yield Track("upfall", take.group, split_of(take.group), f"{take.path.stem}-{person.person}", points,
                        np.full(len(points), CLASS[UNKNOWN], np.int8))  # fmt: skip


def resampled_points(person: Any) -> NDArray[np.float32]:
    """A pose sequence's landmarks on the even clock."""
    from pipeline.recognition.windows import on_clock

    return on_clock(person).points.astype(np.float32)


# --- motion capture and Kinect ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Body:
    """A motion in space before a camera has seen it; fields as in ``Track``, points in metres, y up."""

    source: str
    group: str
    name: str
    points_m: Array
    label: NDArray[np.int8]


# Left out: 4, the side lunge, which is half a lunge; 5, sitting down and up, which without the chair is half a squat;
# 10, a raise between front and side.
UI_PRMD_CLASSES = {1: "squat", 2: UNKNOWN, 3: "lunge", 6: UNKNOWN, 7: UNKNOWN, 8: UNKNOWN, 9: UNKNOWN}


def _clocked(points: Array, fps: float) -> Array:
    return resampled(np.arange(len(points)) / fps, points).points


def ui_prmd(root: str) -> Iterator[Body]:
    """Rehabilitation movements of nine people: each set's repetitions in a row."""
    data = _arrays(root, "ui_prmd/kinect_abs.npz")
    scale, offset, meta = float(data["scale_cm"]) / 100, data["offset"], data["meta"]
    sets: dict[tuple[int, int, int], list[Array]] = defaultdict(list)
    for number, (movement, subject, _, label) in enumerate(meta):
        if int(movement) in UI_PRMD_CLASSES:
            points = data["xyz_i16"][offset[number] : offset[number + 1]] * scale
            sets[int(movement), int(subject), int(label)].append(points - points[:1, :1] * (1, 0, 1))
    for (movement, subject, label), parts in sorted(sets.items()):
        points = _clocked(as_blazepose(np.concatenate(parts), UI_PRMD_22), 30.0)
        mark = CLASS[UI_PRMD_CLASSES[movement]]
        yield Body("ui_prmd", f"ui_prmd/{subject}", f"m{movement:02d}-s{subject}-{label}", points,
                   np.full(len(points), mark, np.int8))  # fmt: skip


MOCAP6 = {1: "jumping_jack", 3: "squat"}


def mocap(root: str) -> Iterator[Body]:
    """HDM05 and CMU motion capture: squats and jumping jacks, and much else that is no exercise of ours."""
    data = _arrays(root, "mocap_kinect20/mocap_kinect20.npz")
    offset, joints = data["offset"], [str(joint) for joint in data["joints"]]
    sets: dict[tuple[str, str], list[Array]] = defaultdict(list)
    for number, name in enumerate(map(str, data["name"])):
        points = data["xyz_i16"][offset[number] : offset[number + 1]] * float(data["scale_m"])
        subject, label = str(data["subject"][number]), str(data["label"][number])
        if label == "squat1Reps":
            sets[subject, label].append(points)
            continue
        points = _clocked(as_blazepose(points, joints), float(data["fps"][number]))
        marks = np.full(len(points), CLASS[UNKNOWN], np.int8)
        if "truelabels" in label:
            tenths = np.loadtxt(open_file(root, f"mocap_kinect20/mocap6_truelabels/{name}.txt")).astype(int).ravel()
            at = np.clip((np.arange(len(points)) / RATE_HZ * 10).astype(int), 0, len(tenths) - 1)
            marks = np.array([CLASS[MOCAP6.get(one, UNKNOWN)] for one in tenths[at]], np.int8)
        yield Body("mocap", f"mocap/{subject}", name, points, marks)
    for (subject, _), parts in sorted(sets.items()):
        points = _clocked(as_blazepose(np.concatenate(parts), joints), 30.0)
        yield Body(
            "mocap", f"mocap/{subject}", f"squats-{subject}", points, np.full(len(points), CLASS["squat"], np.int8)
        )


IRDS_CLASSES = {0: "biceps_curl", 1: "biceps_curl", 2: "front_raise", 3: "front_raise", 4: UNKNOWN, 5: UNKNOWN,
                6: "front_raise", 7: UNKNOWN, 8: UNKNOWN}  # fmt: skip
_TURNED = np.array([-1.0, 1.0, -1.0])  # Kinect camera space, half around y


def kinect_sets(root: str) -> Iterator[Body]:
    """IntelliRehabDS' elbow and shoulder flexion, and daily life and kicks of UTKinect and PRECOG."""
    data = _arrays(root, "kinect_sets/irds_kinect25.npz")
    joints = [str(joint) for joint in data["joints"]]
    sets: dict[tuple[str, str, str], list[Array]] = defaultdict(list)
    for number, name in enumerate(map(str, data["name"])):
        subject, _, gesture, _, _, position = name.split("_")
        part = (
            data["data_i16"][data["offset"][number] : data["offset"][number + 1], :, :3] * data["scale"][:3] * _TURNED
        )
        sets[subject, gesture, position].append(part)
    for (subject, gesture, position), parts in sorted(sets.items()):
        points = _clocked(as_blazepose(np.concatenate(parts), joints), 30.0)
        yield Body("irds", f"irds/{subject}", f"{subject}-{gesture}-{position}", points,
                   np.full(len(points), CLASS[IRDS_CLASSES[int(gesture)]], np.int8))  # fmt: skip
    for file, source in (("utkinect_20", "utkinect"), ("precog_kinect20", "precog")):
        data = _arrays(root, f"kinect_sets/{file}.npz")
        joints = [str(joint) for joint in data["joints"]]
        for number, name in enumerate(map(str, data["name"])):
            points = data["data_i16"][data["offset"][number] : data["offset"][number + 1]] * data["scale"] * _TURNED
            points[(points == 0).all(axis=(1, 2))] = np.nan
            points = _clocked(as_blazepose(points, joints), 30.0)
            subject = name.split("_")[0]
            yield Body(source, f"{source}/{subject}", name, points, np.full(len(points), CLASS[UNKNOWN], np.int8))


MSR_JOINTS = ["ShoulderLeft", "ShoulderRight", "ShoulderCenter", "Spine", "HipLeft", "HipRight", "HipCenter",
              "ElbowLeft", "ElbowRight", "WristLeft", "WristRight", "HandLeft", "HandRight", "KneeLeft", "KneeRight",
              "AnkleLeft", "AnkleRight", "FootLeft", "FootRight", "Head"]  # fmt: skip
MSR_FPS = 15.0


def msr_actions(root: str) -> Iterator[Body]:
    """MSRAction3D: gestures, kicks, bends and swings of ten people, each repeated two or three times; all unknown."""
    data = _arrays(root, "kinect_sets/msraction3d_20.npz")
    sets: dict[tuple[str, str], list[Array]] = defaultdict(list)
    for number, name in enumerate(map(str, data["name"])):
        action, subject, _ = name.split("_")
        raw = data["data_i16"][data["offset"][number] : data["offset"][number + 1]]
        points = raw[..., :3] * data["scale"][:3] * _TURNED
        points[(raw[..., :3] == 0).all(axis=2)] = np.nan
        sets[subject, action].append(points)
    for (subject, action), parts in sorted(sets.items()):
        whole = np.concatenate(parts)
        points = resampled(np.arange(len(whole)) / MSR_FPS, whole).points
        if np.isfinite(points).any():
            yield Body("msr", f"msr/{subject}", f"{action}-{subject}", as_blazepose(points, MSR_JOINTS),
                       np.full(len(points), CLASS[UNKNOWN], np.int8))  # fmt: skip


# --- the actor --------------------------------------------------------------------------------------------------


def actor(rng: np.random.Generator, exercises: int, others: int) -> Iterator[Body]:
    """Our own figure, every class in many speeds, depths, faults and builds, and daily life and falls."""
    from pipeline.synthetic.body import Build
    from pipeline.synthetic.motions import MOTIONS, Actor, act
    from pipeline.synthetic.timeline import Tempo

    for motion, definition in MOTIONS.items():
        known = motion in CLASS
        for number in range(exercises if known else others // 3 if motion == "sit_down" else others):
            pace = rng.uniform(0.6, 1.7, 4) * rng.uniform(0.8, 1.3)
            usual = definition.tempo
            tempo = Tempo(usual.down_s * pace[0], usual.pause_s * pace[1], usual.up_s * pace[2], usual.rest_s * pace[3])
            fault = (
                {str(rng.choice(definition.faults)): float(rng.uniform(0.2, 1))}
                if definition.faults and rng.random() < 0.4
                else {}
            )
            one = Actor(
                motion, int(rng.integers(2, 6)), tempo, float(rng.uniform(0.65, 1.1)), fault,
                float(rng.uniform(0.3, 2.5)), float(rng.uniform(0.3, 2.0)),
                build=Build(rng.uniform(1.5, 1.95), rng.uniform(0.85, 1.25), rng.uniform(0.94, 1.06)),
                variation=float(rng.uniform(0.5, 2)), seed=int(rng.integers(1 << 30)),
            )  # fmt: skip
            truth = act(one, np.arange(0, one.duration_s, 1 / RATE_HZ))
            marks = np.full(len(truth.time_s), CLASS[UNKNOWN], np.int8)
            if known:
                spans = np.array([(rep.start_s, rep.end_s) for rep in truth.repetitions])
                marks = samples_within(truth.time_s, spans, CLASS[motion])
            group = f"actor/{motion}/{number}"
            yield Body("actor", group, f"{motion}-{number}", truth.joints_m, marks)


ARM_EXERCISES = ("biceps_curl", "overhead_press", "front_raise")


def grafted(bodies: list[Body], donors: list[Body], rng: np.random.Generator, count: int) -> Iterator[Body]:
    """Arm exercises of the actor on standing bodies of motion capture: a second source for curls and presses."""
    standing = [body for body in bodies if body.source == "ui_prmd" and body.name[:3] in ("m07", "m08", "m09")]
    for exercise in ARM_EXERCISES:
        arms = [donor for donor in donors if donor.name.startswith(exercise)]
        for number in range(count if standing and arms else 0):
            body, donor = standing[rng.integers(len(standing))], arms[rng.integers(len(arms))]
            length = min(len(body.points_m), len(donor.points_m))
            start = int(rng.integers(0, len(body.points_m) - length + 1))
            part = body.points_m[start : start + length]
            mixed = with_arms_of(part, donor.points_m[:length])
            yield Body("grafted", body.group, f"{exercise}-{body.name}-{number}", mixed, donor.label[:length])


def lateral_raises(donors: list[Body], rng: np.random.Generator) -> Iterator[Body]:
    """The actor's front raises with the arms turned to the side: repeated, alike, and none of the exercises."""
    for donor in donors:
        if donor.name.startswith("front_raise"):
            marks = np.where(donor.label == CLASS["front_raise"], CLASS[UNKNOWN], donor.label).astype(np.int8)
            points = with_arms_turned(donor.points_m, float(rng.uniform(60, 100)))
            yield Body("actor", donor.group, f"lateral_raise-{donor.name}", points, marks)


def filmed(body: Body, rng: np.random.Generator, views: int) -> Iterator[Track]:
    """The motion as ``views`` random cameras see it."""
    for view in range(views):
        yield Track(
            body.source,
            body.group,
            split_of(body.group),
            f"{body.name}/{view}",
            seen_by_camera(body.points_m, rng),
            body.label,
        )
