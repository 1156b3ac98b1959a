"""What can be done with a clip, as one table: command line, batch, cluster and service all look here and nowhere else.

A task takes the poses of a clip and answers with JSON-ready values. The line of a task says its name, what it tells,
who answers it and which list of the answer is its table.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from pipeline.kinematics import angles
from pipeline.movements.analyze import AUTO, MOVEMENTS, analyze
from pipeline.movements.base import plain
from pipeline.movements.tables import REPETITION_COLUMNS, repetition_row
from pipeline.poses import Recording
from pipeline.repetitions import find_repetitions
from pipeline.runs import Run, slug
from pipeline.signal import clean

INFER = "infer"
Values = dict[str, Any]
Cell = str | int | float | bool | None


class TaskError(ValueError):
    """A task was asked for that there is not; the message says what there is."""


@dataclass(frozen=True)
class Answer:
    """What a task says: the name under which a run keeps it, and its values."""

    analysis: str
    values: Values


@dataclass(frozen=True)
class Task:
    """One line of the table.

    Attributes:
        text: what it tells, for people.
        answer: from a clip's poses to the answer; None for ``infer``, whose answer is the run itself.
        rows: the list of the answer that is its table, one entry a row; empty for an answer of one row.
        row: makes a row of the answer and an entry; the entry's own plain values where nothing is said.
        header: the columns that the table has without any row, too.
        module: where the answer comes from when that is another room, which may not be there.
        keep: how a run answers when it takes or leaves more than poses (pictures, further files); it stores by itself.
    """

    name: str
    text: str
    answer: Callable[[Recording], Answer] | None
    rows: str = ""
    module: str = ""
    row: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Cell]] | None = None
    header: tuple[str, ...] = ()
    keep: Callable[[Run], Answer] | None = None

    @property
    def available(self) -> bool:
        """False when the room that answers it is not in this version."""
        return not self.module or _is_there(self.module)

    def of_poses(self, recording: Recording) -> Answer:
        """The answer for these poses. Raises TaskError for a task that needs the clip, and the analysis's own."""
        if self.answer is None:
            raise TaskError(f"The task {self.name!r} needs the clip itself; ask for an analysis of its poses instead.")
        return self.answer(recording)

    def of_run(self, run: Run) -> Answer | None:
        """The answer for a run, stored in it; None for ``infer``, which the run itself answers."""
        if self.answer is None:
            return None
        if self.keep is not None:
            return self.keep(run)
        found = self.answer(run.recording())
        run.add_result(found.analysis, found.values)
        return Answer(slug(found.analysis), found.values)

    def table(self, values: Mapping[str, Any]) -> list[dict[str, Cell]]:
        """The answer as rows of plain cells: one a repetition, event ... (``rows``), else one in all."""
        entries = values.get(self.rows, []) if self.rows else [values]
        entries = [entry for entry in entries if isinstance(entry, Mapping)]
        return [_flat(entry) if self.row is None else self.row(values, entry) for entry in entries]

    def csv(self, values: Mapping[str, Any]) -> str:
        """The table as CSV; without a row it is its header."""
        return csv_text(self.table(values), self.header)

    def columns(self, values: Mapping[str, Any]) -> dict[str, Cell]:
        """The answer's own numbers and sentences, for one row of a summary over many clips."""
        cells = {name: cell for name, value in values.items() if (cell := _cell(value)) is not _NO_CELL}
        counted = {f"{self.rows}_count": len(values[self.rows])} if isinstance(values.get(self.rows), list) else {}
        return {name: cell for name, cell in (cells | counted).items() if name not in ("schema_version", "analysis")}


def tasks_named(names: Sequence[str]) -> tuple[Task, ...]:
    """These tasks in the order asked for, each once. Raises TaskError for one that is unknown or not here."""
    found = []
    for name in dict.fromkeys(names):
        task = TASKS.get(name)
        if task is None:
            raise TaskError(f"There is no task {name[:40]!r}; choose from: {', '.join(available_tasks())}.")
        if not task.available:
            raise TaskError(
                f"The task {name!r} is not in this version of Kinoscope; choose from: {', '.join(available_tasks())}."
            )
        found.append(task)
    if not found:
        raise TaskError(f"Name at least one task; choose from: {', '.join(available_tasks())}.")
    return tuple(found)


def available_tasks() -> tuple[str, ...]:
    """The names of the tasks that this version can do."""
    return tuple(name for name, task in TASKS.items() if task.available)


def csv_text(rows: Sequence[Mapping[str, Cell]], header: Sequence[str] = ()) -> str:
    """Rows as CSV; an empty cell is a missing value, and a text cannot start a formula in a spreadsheet.

    Args:
        header: columns that come first, whether a row has them or not.
    """
    names = list(dict.fromkeys([*header, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(cell) for name, cell in row.items()} for row in rows)
    return text.getvalue()


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t") else cell


def _movement(movement: str, recording: Recording) -> Answer:
    report = analyze(recording, movement)
    return Answer(f"movement-{report.movement}-person{report.person}", report.to_json())


def _repetitions(recording: Recording) -> Answer:
    sets = [find_repetitions(person) for person in recording.people]
    return Answer(
        "repetitions",
        {
            "people": [plain(found.to_dict()) for found in sets],
            "repetitions": [plain(repetition.to_dict()) for found in sets for repetition in found.repetitions],
        },
    )


def _angles(recording: Recording) -> Answer:
    rows: list[Values] = []
    for person in recording.people:
        found = angles(clean(person))
        columns = {f"{name}_deg": plain(found[name].value_deg) for name in found.names}
        for frame, time_s in enumerate(plain(person.time_s)):
            rows.append({"person": person.person, "time_s": time_s} | {n: v[frame] for n, v in columns.items()})
    return Answer("angles", {"frames": rows})


def _falls(recording: Recording) -> Answer:
    from pipeline.falls.detect import detect_falls

    return Answer("falls", detect_falls(recording).to_json(curves=True))


def _recognize(recording: Recording) -> Answer:
    from pipeline.recognition.segments import recognize

    return Answer("recognition", recognize(recording).to_json())


def _score(recording: Recording) -> Answer:
    from pipeline.scoring.assess import assess

    return Answer("scoring", assess(recording).to_json())


def _score_run(run: Run) -> Answer:
    from pipeline.scoring.kept import result_name, score_run

    found = score_run(run)
    return Answer(slug(result_name(found)), found.to_json())


def _fall_row(_answer: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Cell]:
    return _flat(event, but_not=("reasons",)) | {"reasons": "; ".join(reason["text"] for reason in event["reasons"])}


def _score_row(_answer: Mapping[str, Any], repetition: Mapping[str, Any]) -> dict[str, Cell]:
    low, high = repetition["interval"]
    reasons = [
        f"{reason['joint']} at {reason['time_s']:.2f} s: {reason['points']:.2f}"
        + f" ({reason['rule']})" * bool(reason["rule"])
        for reason in repetition["reasons"]
    ]
    return _flat(repetition, but_not=("interval", "reasons")) | {
        "low": low,
        "high": high,
        "reasons": "; ".join(reasons),
    }


_NO_CELL = object()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return _NO_CELL


def _flat(values: Mapping[str, Any], head: str = "", but_not: Sequence[str] = ()) -> dict[str, Cell]:
    """Nested values as one level of ``outer.inner`` names; a list of objects becomes its length."""
    cells: dict[str, Cell] = {}
    for name, value in values.items():
        if name in but_not:
            continue
        if isinstance(value, Mapping):
            cells |= _flat(value, f"{head}{name}.")
        elif (cell := _cell(value)) is not _NO_CELL:
            cells[f"{head}{name}"] = cell
        elif isinstance(value, list | tuple):
            cells[f"{head}{name}_count"] = len(value)
    return cells


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            Task(INFER, "everybody's poses, the overlay and the tables", None),
            Task("angles", "joint angles of everybody, frame by frame", _angles, "frames", header=("person", "time_s")),
            Task(
                "repetitions",
                "repetitions of everybody, whatever the movement",
                _repetitions,
                "repetitions",
                header=("person", "start_s", "turn_s", "end_s", "complete", "confidence", "amplitude"),
            ),
            *(
                Task(name, text, partial(_movement, movement), "repetitions", "", repetition_row, REPETITION_COLUMNS)
                for name, movement, text in (
                    ("analyze", AUTO, "the movement found out, repetitions and form"),
                    *((name, name, f"{known.label}: repetitions and form") for name, known in MOVEMENTS.items()),
                )
            ),
            Task(
                "falls",
                "falls: onset, impact, lying, getting up",
                _falls,
                "events",
                "pipeline.falls.detect",
                row=_fall_row,
                header=(
                    *("person", "onset_s", "impact_s", "lying_s", "lying_for_s", "peak_s", "recovered_s"),
                    *("probability", "peak_probability", "recovered", "reasons"),
                ),
            ),
            Task(
                "recognize",
                "exercises and when",
                _recognize,
                "segments",
                "pipeline.recognition.segments",
                header=(
                    *("start_s", "end_s", "exercise", "confidence", "person", "repetitions"),
                    *("runner_up", "runner_up_confidence", "label"),
                ),
            ),
            Task(
                "score",
                "score of an exercise",
                _score,
                "repetitions",
                "pipeline.scoring.kept",
                keep=_score_run,
                row=_score_row,
                header=("number", "start_s", "end_s", "score", "low", "high", "band", "explained", "reasons"),
            ),
        )
    }
)
"""Every task by name."""
