"""Repetitions to learn from: UI-PRMD's, or one's own, cut out of runs by a table of labels."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import PoseSequence
from pipeline.runs import RunStore
from pipeline.scoring.canonical import FRAMES, CanonicalError, canonical
from pipeline.scoring.exercises import EXERCISES, WORST_SCORE, exercise_named
from pipeline.scoring.target import INCORRECT_FROM
from pipeline.skeletons import KINECT_13
from pipeline.training.lifted import LIFTED, lifted_motions
from pipeline.training.motion_data import UI_PRMD_MOVEMENTS, Motion, load

UI_PRMD_SOURCES = ("ui_prmd_kinect", "ui_prmd_vicon")
LABEL_COLUMNS = ("run", "person", "start_s", "end_s", "exercise", "subject", "score")


class DatasetError(ValueError):
    """The labels or the data set make no sense; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Repetitions:
    """Repetitions in canonical form.

    Attributes:
        xyz: (N, 48, 13, 3) float32; exercise: (N,) positions in ``EXERCISES``; subject, source, name: (N,) text.
        incorrect: (N,) whether it is called incorrect. grade: (N,) 0..4 given by people; NaN where there is none.
    """

    xyz: NDArray[np.float32]
    exercise: NDArray[np.int64]
    subject: NDArray[np.str_]
    source: NDArray[np.str_]
    name: NDArray[np.str_]
    incorrect: NDArray[np.bool_]
    grade: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def graded(self) -> bool:
        """Whether people gave every repetition a score."""
        return bool(len(self) and np.isfinite(self.grade).all())

    def select(self, index: Any) -> Self:
        """The repetitions chosen by a mask or positions."""
        return type(self)(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def save(self, path: Path) -> None:
        """Write an ``.npz``, whole or not at all."""
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez_compressed(file, **{name: getattr(self, name) for name in self.__dataclass_fields__})
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse of ``save``. Raises DatasetError when the file is none of ours."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(*(stored[name] for name in cls.__dataclass_fields__))
        except (OSError, KeyError, ValueError) as error:
            raise DatasetError(f"{path} is no data set of repetitions; make one with `dataset build`.") from error


def gathered(rows: Iterable[tuple[np.ndarray, int, str, str, str, bool, float]]) -> Repetitions:
    """Repetitions of rows (xyz, exercise, subject, source, name, incorrect, grade)."""
    listed = list(rows)
    xyz, exercise, subject, source, name, incorrect, grade = zip(*listed, strict=True) if listed else ((),) * 7
    return Repetitions(
        np.array(xyz, dtype=np.float32).reshape(-1, FRAMES, len(KINECT_13), 3),
        np.array(exercise, dtype=np.int64),
        np.array(subject, dtype=np.str_),
        np.array(source, dtype=np.str_),
        np.array(name, dtype=np.str_),
        np.array(incorrect, dtype=np.bool_),
        np.array(grade, dtype=np.float64),
    )


def ui_prmd(sources: Sequence[str] = UI_PRMD_SOURCES, subjects: Iterable[str] | None = None,
            data: Path | None = None) -> Repetitions:  # fmt: skip
    """UI-PRMD in canonical form; subject 9 only when asked for. Raises MotionDataError without the data."""
    wanted = None if subjects is None else list(subjects)
    return gathered(row for source in sources for row in _rows(load(source, wanted, data), source))


def ui_prmd_lifted(sources: Sequence[str] = UI_PRMD_SOURCES, views: int = 1, subjects: Iterable[str] | None = None,
                   data: Path | None = None) -> Repetitions:  # fmt: skip
    """The same repetitions as the chain knows them from video, each from ``views`` random cameras.

    Their sources end in ``lifted.LIFTED``. Raises MotionDataError without the data, LiftError without the lift.
    """
    wanted = None if subjects is None else list(subjects)
    return gathered(
        row
        for source in sources
        for number in range(views)
        for row in _rows(lifted_motions(source, wanted, number, data), source + LIFTED)
    )


def _rows(motions: Iterable[Motion], source: str) -> Iterator[tuple[np.ndarray, int, str, str, str, bool, float]]:
    exercises = list(EXERCISES.values())
    for motion in motions:
        position = UI_PRMD_MOVEMENTS.index(motion.movement)
        try:
            one = canonical(motion.xyz_m, motion.time_s, exercises[position].counted)
        except CanonicalError:
            continue  # markers that were never seen
        yield one.xyz, position, motion.subject, source, motion.name, motion.label == "incorrect", np.nan


def from_video(data: Repetitions) -> NDArray[np.bool_]:
    """(N,) which of them went through the lift."""
    return np.array([source.endswith(LIFTED) for source in data.source], dtype=bool)


def together(parts: Sequence[Repetitions]) -> Repetitions:
    """All of them, in order."""
    return Repetitions(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Repetitions.__dataclass_fields__)
    )


def read_labels(path: Path) -> list[dict[str, str]]:
    """Rows of a table of labels: ``run, person, start_s, end_s, exercise, subject, score`` (0 perfect to 4 worst).

    Raises:
        DatasetError: not readable, a column is missing, or a value makes no sense; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as CSV ({error}).") from error
    if missing := [name for name in LABEL_COLUMNS if name not in columns and name != "person"]:
        raise DatasetError(f"{path} lacks the column {', '.join(missing)}; it needs {', '.join(LABEL_COLUMNS)}.")
    for number, row in enumerate(rows, 2):
        try:
            start_s, end_s, score = (float(row[name]) for name in ("start_s", "end_s", "score"))
        except (TypeError, ValueError):
            raise DatasetError(f"{path}, line {number}: start_s, end_s and score must be numbers.") from None
        if not (0 <= score <= WORST_SCORE and end_s > start_s):
            raise DatasetError(f"{path}, line {number}: the score must lie in 0 to 4, and the end after the start.")
        exercise_named(row["exercise"])
    if not rows:
        raise DatasetError(f"{path} has no rows; grade at least a few repetitions.")
    return rows


def build(store: RunStore, labels: Path, runs: Sequence[str] | None = None, lift: str = "temporal") -> Repetitions:
    """Cut the graded repetitions out of runs, lifted to the networks' form.

    Args:
        store: where the runs are; labels: the table (see ``read_labels``).
        runs: only rows of these runs; None is all.
        lift: as of ``pipeline.scoring.assess.ChainOptions``.

    Raises:
        DatasetError: a row cannot be cut: no such person, or nothing seen there. RunError: no such run.
    """
    from pipeline.scoring.assess import lifted

    lifted_people: dict[tuple[str, str], PoseSequence] = {}
    rows = []
    for number, row in enumerate(read_labels(labels), 2):
        if runs is not None and row["run"] not in runs:
            continue
        key = (row["run"], row.get("person") or "")
        if key not in lifted_people:
            people = store.get(row["run"]).recording().people
            person = next((p for p in people if not key[1] or str(p.person) == key[1]), None)
            if person is None:
                raise DatasetError(f"{labels}, line {number}: run {key[0]} has no person {key[1] or 'at all'}.")
            lifted_people[key] = lifted(person, lift)
        one = lifted_people[key].between(float(row["start_s"]), float(row["end_s"]) + 1e-9)
        exercise = exercise_named(row["exercise"])
        assert one.xyz_m is not None
        try:
            made = canonical(one.xyz_m, one.time_s, exercise.counted)
        except CanonicalError as error:
            raise DatasetError(f"{labels}, line {number}: {error}") from error
        score = float(row["score"])
        rows.append((made.xyz, exercise.position, row["subject"], "own", f"{key[0]} {row['start_s']}",
                     score >= INCORRECT_FROM, score))  # fmt: skip
    if not rows:
        raise DatasetError(f"{labels} has no row for these runs; check their ids with `python -m pipeline runs list`.")
    return gathered(rows)
