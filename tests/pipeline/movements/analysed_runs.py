"""Runs whose poses are the rendered actor's truth, over a plain clip: quick to make, and every moment is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.media import VideoWriter
from pipeline.movements.base import MovementReport, Reading, Remark, RepetitionReport
from pipeline.movements.geometry import Phase
from pipeline.poses import Recording
from pipeline.runs import Run, RunStore
from pipeline.synthetic.actor import ActorSpec, clip_truth

GRAY = 90


def plain_clip(path: Path, recording: Recording, size: tuple[int, int]) -> Path:
    """A grey clip with the recording's times."""
    with VideoWriter(path, size, fps_hint=30, preset="ultrafast") as writer:
        picture = np.full((size[1], size[0], 3), GRAY, np.uint8)
        for time_s in recording.time_s:
            writer.write(picture, float(time_s))
    return path


def run_of(store: RunStore, folder: Path, spec: ActorSpec, *, name: str = "squats.mp4", everybody: bool = True) -> Run:
    """The true poses of a description (or those of nobody) as a run; its overlay is the plain clip."""
    recording = clip_truth(spec).recording
    recording = recording if everybody else replace(recording, people=())
    clip = plain_clip(folder / "plain.mp4", recording, spec.size)
    with store.create(name) as builder:
        builder.keep_source(clip, name)
        (builder.folder / "overlay.mp4").write_bytes(clip.read_bytes())
        builder.finish(recording, tables=False)
    return store.get(builder.id)


def a_remark(time_s: float, *, value: float = 40.0, side: str = "left") -> Remark:
    """A thigh above the limit."""
    return Remark(
        "shallow", "not deep enough", "thigh_deg", side, value, 2.0, "°", 25.0, "a test", "mild", 0.9, time_s,  # type: ignore[arg-type]
        (f"{side}_hip", f"{side}_knee"), "Sit lower.",
    )  # fmt: skip


def a_repetition(number: int, start_s: float, *remarks: Remark, complete: bool = True) -> RepetitionReport:
    """Two seconds: down, pause, up."""
    phases = (
        Phase("down", start_s, start_s + 0.9),
        Phase("pause", start_s + 0.9, start_s + 1.1),
        Phase("up", start_s + 1.1, start_s + 2.0),
    )
    readings = (
        Reading("thigh_deg", "left", 12.0, 2.0, start_s + 1, ("left_hip", "left_knee"), 0.9),
        Reading("thigh_deg", "right", 18.0, 2.0, start_s + 1, ("right_hip", "right_knee"), 0.9),
        Reading("lean_deg", refused="it needs a view from the side"),
    )
    verdict = "cut off" if not complete else "faults" if remarks else "good"
    return RepetitionReport(
        number, 0, start_s, start_s + 1, start_s + 2, complete, 0.9, "front", verdict, phases, readings, remarks
    )


def a_report(*repetitions: RepetitionReport, duration_s: float = 8.0) -> MovementReport:
    """A squat set; its curve rises by 10 degrees a second."""
    time_s = np.arange(0, duration_s, 1 / 30)
    return MovementReport(
        movement="squat",
        movement_label="squat",
        movement_confidence=0.9,
        chosen="given",
        person=0,
        view="front",
        view_confidence=0.9,
        repetitions=repetitions,
        refusals=(),
        summary=("A set.",),
        consistency={},
        has_rules=True,
        preset="standard",
        parameters={"thigh_deg": 25.0, "knee_deg": 90.0},
        time_s=time_s,
        curves={"left_knee_flexion_deg": 10 * time_s},
    )
