"""Where the exercise is, and where each repetition begins."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.scoring.trimming import GRID_HZ, prepared, segments_of, trim, trimmer
from tests.pipeline.scoring.performed import clip, in_space


def grid(seconds: float) -> np.ndarray:
    return np.arange(0, seconds, 1 / GRID_HZ)


def test_segments_are_runs_and_short_gaps_are_closed() -> None:
    time = grid(12)
    active = ((time >= 1) & (time < 5) | (time >= 5.2) & (time < 8) | (time >= 10) & (time < 10.4)).astype(float)
    begins = np.exp(-((time[:, None] - np.array([1.0, 3.0, 5.1])) ** 2) / 0.005).max(axis=1)
    (segment,) = segments_of(time, active, begins, 0.5, 0.3)
    assert segment.start_s == pytest.approx(1.0, abs=0.07)
    assert segment.end_s == pytest.approx(8.0, abs=0.07)
    assert [round(start) for start, _ in segment.repetitions] == [1, 3, 5]
    ends = [end for _, end in segment.repetitions]
    assert ends[:-1] == [start for start, _ in segment.repetitions[1:]]
    assert segments_of(time, np.zeros(len(time)), begins, 0.5, 0.3) == ()


def test_squats_between_standing_are_found_and_split() -> None:
    truth = clip(repetitions=3, lead_in_s=3.0, lead_out_s=3.0)
    space = in_space(truth)
    assert space.xyz_m is not None
    found = trim(trimmer(), space.xyz_m, space.time_s)
    true = truth.people[0].repetitions
    assert len(found.segments) >= 1
    assert found.segments[0].start_s == pytest.approx(true[0].start_s, abs=0.6)
    assert found.segments[-1].end_s == pytest.approx(true[-1].end_s, abs=0.6)
    assert len(found.repetitions) == 3
    moving = np.zeros(len(found.time_s), dtype=bool)
    for one in true:
        moving |= (found.time_s >= one.start_s) & (found.time_s <= one.end_s)
    answer = found.active >= 0.5
    assert 2 * (moving & answer).sum() / (moving.sum() + answer.sum()) > 0.8


def test_the_frame_rate_does_not_matter() -> None:
    answers = []
    for fps in (15.0, 30.0):
        space = in_space(clip(repetitions=2, lead_in_s=2.0, lead_out_s=2.0, variation=0.0, fps=fps))
        assert space.xyz_m is not None
        answers.append(trim(trimmer(), space.xyz_m, space.time_s))
    assert len(answers[0].repetitions) == len(answers[1].repetitions)
    assert answers[0].segments[0].start_s == pytest.approx(answers[1].segments[0].start_s, abs=0.15)


def test_nobody_and_standing_are_no_exercise() -> None:
    nothing = np.full((30, 13, 3), np.nan)
    assert trim(trimmer(), nothing, np.arange(30) / 30).segments == ()
    space = in_space(clip("stand", duration_s=5.0))
    assert space.xyz_m is not None
    assert trim(trimmer(), space.xyz_m, space.time_s).repetitions == ()
    time_s, points = prepared(space.xyz_m, space.time_s)
    assert len(time_s) == len(points) and np.allclose(np.diff(time_s), 1 / GRID_HZ)
