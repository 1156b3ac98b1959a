"""The table of tasks: one line each, the same answers everywhere."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from pipeline.batch import tasks
from pipeline.batch.tasks import TASKS, Answer, Task, TaskError, csv_text, tasks_named
from pipeline.poses import Recording
from tests.conftest import random_sequence


def recording(people: int = 2) -> Recording:
    found = tuple(replace(random_sequence(40), person=number + 1) for number in range(people))
    return Recording(found, random_sequence(40).time_s)


def answered(task: Task, people: int) -> Answer:
    """The answer; skips where the scorer's weights are not deployed."""
    try:
        return task.of_poses(recording(people))
    except ValueError as error:
        if "weights" in str(error) and "missing" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.answer is not None and task.available])
@pytest.mark.parametrize("people", [0, 2])
def test_every_task_answers_for_everybody_and_for_nobody(name: str, people: int) -> None:
    import orjson

    task = TASKS[name]
    found = answered(task, people)
    values = orjson.loads(orjson.dumps(found.values))
    assert found.analysis
    assert set(task.columns(values)) <= set(values) | {f"{task.rows}_count"}
    rows = task.table(values)
    assert all(not isinstance(cell, list | dict) for row in rows for cell in row.values())
    assert len(list(csv.reader(io.StringIO(csv_text(rows))))) == len(rows) + 1


def test_angles_are_those_of_kinematics() -> None:
    from pipeline.kinematics import angles
    from pipeline.signal import clean

    clip = recording(1)
    rows = TASKS["angles"].table(TASKS["angles"].of_poses(clip).values)
    expected = angles(clean(clip.people[0]))["left_knee_flexion"].value_deg
    assert [row["left_knee_flexion_deg"] for row in rows] == pytest.approx(
        [None if value != value else round(value, 4) for value in expected]
    )


def test_a_task_that_is_unknown_not_here_or_needs_the_clip_is_refused() -> None:
    with pytest.raises(TaskError, match="no task 'jump'; choose from: infer"):
        tasks_named(["infer", "jump"])
    with pytest.raises(TaskError, match="at least one"):
        tasks_named([])
    with pytest.raises(TaskError, match="needs the clip"):
        TASKS["infer"].of_poses(recording())
    assert [task.name for task in tasks_named(["squat", "infer", "squat"])] == ["squat", "infer"]


def test_a_task_of_a_room_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Task("dance", "", lambda _poses: Answer("dance", {}), module="pipeline.dancing")
    present = replace(absent, name="walk", module="pipeline.repetitions")
    monkeypatch.setattr(tasks, "TASKS", {**TASKS, "dance": absent, "walk": present})
    with pytest.raises(TaskError, match="not in this version"):
        tasks_named(["dance"])
    assert "dance" not in tasks.available_tasks()
    assert tasks_named(["walk"]) == (present,)


def test_csv_cells_start_no_formula() -> None:
    rows = [{"name": "=HYPERLINK(1)", "value": -1.5}, {"name": "@x", "more": None}]
    read = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert [row["name"] for row in read] == ["'=HYPERLINK(1)", "'@x"]
    assert [row["value"] for row in read] == ["-1.5", ""]
    assert csv_text([]).strip() == ""
