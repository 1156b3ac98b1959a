"""What the chain leaves in a run: the result, and one table a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.media import Frame, read_frames
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Run
from pipeline.scoring.assess import Assessment, ChainOptions, StageResult, assess
from pipeline.scoring.canonical import FRAMES, canonical
from pipeline.scoring.exercises import EXERCISES
from pipeline.skeletons import KINECT_13


def score_run(
    run: Run,
    options: ChainOptions | None = None,
    recording: Recording | None = None,
    told: Callable[[StageResult], None] = lambda _: None,
) -> Assessment:
    """Score the clip of a run and keep every stage's result in it.

    Writes ``results/scoring-personN.json`` and ``scoring-personN-STAGE.csv``. Raises what ``assess`` and the run raise.
    """
    recording = recording or run.recording()
    found = assess(recording, options, pictures(run), told)
    run.add_result(result_name(found), found.to_json())
    sequence = next((one for one in recording.people if one.person == found.person), None)
    for stage, table in tables(found, sequence).items():
        run.add_file(f"{result_name(found)}-{stage}.csv", partial(_write, table))
    return found


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


def result_name(found: Assessment) -> str:
    """The result's name in its run."""
    return f"scoring-person{found.person}"


def pictures(run: Run) -> Iterator[Frame] | None:
    """The run's pictures in order; None when its source is gone."""
    return None if run.source is None else read_frames(run.source)


def tables(found: Assessment, sequence: PoseSequence | None) -> dict[str, pd.DataFrame]:
    """One table for each stage that was reached, with units in the column names."""
    makers: dict[str, Callable[[], pd.DataFrame | None]] = {
        "pose": lambda: None if sequence is None else sequence.to_frame(),
        "ugly_2d": lambda: _windows(found),
        "to_kinect": lambda: None if found.flat is None else _flat(found.flat),
        "depth": lambda: None if found.space is None else _space(found.space),
        "trimming": lambda: _trimming(found),
        "bad_3d": lambda: _likeness(found),
        "scoring": lambda: _scores(found),
        "costs": lambda: _costs(found),
        "frames": lambda: sampled(found),
    }
    made = {name: make() for name, make in makers.items()}
    return {name: table for name, table in made.items() if table is not None and len(table)}


def _measured(found: Assessment, stage: str, key: str) -> pd.DataFrame | None:
    verdict = next(s.verdict for s in found.stages if s.name == stage)
    rows = verdict.measurements.get(key) if verdict is not None else None
    return pd.DataFrame(rows) if rows else None


def _windows(found: Assessment) -> pd.DataFrame | None:
    return _measured(found, "ugly_2d", "windows")


def _likeness(found: Assessment) -> pd.DataFrame | None:
    return _measured(found, "bad_3d", "repetitions")


def _flat(flat: PoseSequence) -> pd.DataFrame:
    return flat.to_frame()[["time_s", "joint", "x_px", "y_px", "score"]]


def _space(space: PoseSequence) -> pd.DataFrame:
    table = space.to_frame()[["time_s", "joint", "x_m", "y_m", "z_m", "raw_score"]]
    return table.rename(columns={"raw_score": "expected_error_m"})


def _trimming(found: Assessment) -> pd.DataFrame | None:
    trimmed = found.trimmed
    if trimmed is None or not len(trimmed.time_s):
        return None
    number = np.zeros(len(trimmed.time_s), dtype=int)
    for k, (start, end) in enumerate(trimmed.repetitions, 1):
        number[(trimmed.time_s >= start) & (trimmed.time_s < end)] = k
    return pd.DataFrame(
        {"time_s": trimmed.time_s, "exercising": trimmed.active, "begins": trimmed.begins, "repetition": number}
    )


def _scores(found: Assessment) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "repetition": number,
                "start_s": one.start_s,
                "end_s": one.end_s,
                "score": one.score,
                "low": one.low,
                "high": one.high,
                "band": one.band,
                "explained": one.explained,
            }
            for number, one in enumerate(found.repetitions, 1)
        ]
    )


def _costs(found: Assessment) -> pd.DataFrame:
    """Points of every joint at every sixth of every repetition."""
    rows = []
    for number, one in enumerate(found.repetitions, 1):
        edges = np.linspace(one.start_s, one.end_s, one.costs.shape[1] + 1)
        for joint, costs in zip(one.joints, one.costs, strict=True):
            rows += [
                {"repetition": number, "joint": joint, "start_s": edges[k], "end_s": edges[k + 1], "points": cost}
                for k, cost in enumerate(costs)
            ]
    return pd.DataFrame(rows)


def sampled(found: Assessment) -> pd.DataFrame | None:
    """The 48 frames of each scored repetition as the scorer saw them, in trunk lengths."""
    if found.space is None or found.space.xyz_m is None or not found.repetitions:
        return None
    exercise, parts = EXERCISES[found.exercise], []
    for number, one in enumerate(found.repetitions, 1):
        inside = (found.space.time_s >= one.start_s - 1e-9) & (found.space.time_s <= one.end_s + 1e-9)
        seen = canonical(found.space.xyz_m[inside], found.space.time_s[inside], exercise.counted)
        flat = seen.xyz.reshape(FRAMES, -1)
        names = [f"{joint}_{axis}" for joint in KINECT_13.joints for axis in "xyz"]
        table = pd.DataFrame(flat, columns=pd.Index(names))
        table.insert(0, "time_s", seen.time_s)
        table.insert(0, "repetition", number)
        table.insert(2, "mirrored", seen.mirrored)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)
