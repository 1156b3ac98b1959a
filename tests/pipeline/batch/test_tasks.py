"""The table of tasks: one line each, the same answers everywhere."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.batch import tasks
from pipeline.batch.tasks import TASKS, Answer, Task, TaskError, csv_text, tasks_named
from pipeline.poses import Recording
from pipeline.synthetic.actor import ActorSpec, clip_truth
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
    table = pd.read_csv(io.StringIO(task.csv(values)))  # which wants a header, row or not
    assert len(table) == len(rows)
    assert not [column for column in table if column.endswith("_count")], "a list is told, not counted"
    if rows and task.header:
        assert set(task.header) <= set(rows[0])


def test_the_table_of_a_set_says_what_was_measured_and_remarked() -> None:
    actor = ActorSpec.one("squat", repetitions=2, faults={"heels_up": 1.0}, view="right", fps=15, seed=1)
    values = TASKS["squat"].of_poses(clip_truth(actor).recording).values
    table = pd.read_csv(io.StringIO(TASKS["squat"].csv(values)))
    assert list(table["repetition"]) == [1, 2]
    for row, repetition in zip(table.to_dict("records"), values["repetitions"], strict=True):
        assert row["remarks"] == "; ".join(remark["label"] for remark in repetition["remarks"])
        measured = {f"{m['metric']}_{m['side']}".removesuffix("_both"): m["value"] for m in repetition["metrics"]}
        assert {name: row[name] for name in measured} == pytest.approx(
            {name: np.nan if value is None else value for name, value in measured.items()}, abs=6e-4, nan_ok=True
        )
    assert "heels leave the floor" in table["remarks"][0]
    assert table["thigh_deg_right"].notna().all()


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
