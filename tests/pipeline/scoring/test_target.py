"""The derived target and the interval: by other people, anchored, and honest about how sure."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.scoring.exercises import BANDS, EXERCISES, band, exercise_named
from pipeline.scoring.intervals import EDGES, Intervals
from pipeline.scoring.target import NEIGHBOURS, between, derived, distance, distances_to_others
from pipeline.skeletons import KINECT_13
from tests.pipeline.scoring.performed import SQUAT, squats


def test_distances_are_root_mean_squares() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 4, 5, 3)), rng.normal(size=(2, 4, 5, 3))
    expected = [[np.sqrt(((x - y) ** 2).sum(axis=2).mean()) for y in b] for x in a]
    assert np.allclose(between(a, b), expected)
    assert np.isnan(distance(a, a[:0], (0, 1))).all()
    many = rng.normal(size=(NEIGHBOURS + 5, 4, 5, 3))
    assert np.allclose(distance(a, many, (0, 1, 2, 3, 4))[0], np.sort(between(a, many)[0])[:NEIGHBOURS].mean())


def test_one_is_compared_with_others_only() -> None:
    data = squats(people=3, repetitions=2)
    xyz = data.xyz.astype(float)
    own = data.subject == "1"
    before = distances_to_others(xyz, data.subject, data.incorrect, SQUAT.counted)
    xyz[own & ~data.incorrect] += 5.0  # what this person does well is nothing to compare this person with
    after = distances_to_others(xyz, data.subject, data.incorrect, SQUAT.counted)
    assert np.allclose(after[own & data.incorrect], before[own & data.incorrect])
    assert not np.allclose(after[~own], before[~own])


def test_correct_is_near_0_and_the_worst_near_4_and_worse_is_higher() -> None:
    scores = []
    for severity in (0.3, 0.6, 1.0):
        data = squats(people=4, repetitions=3, severity=severity)
        found = distances_to_others(data.xyz.astype(float), data.subject, data.incorrect, SQUAT.counted)
        target, anchors = derived(found, data.subject, data.incorrect)
        assert np.median(target[~data.incorrect]) < 0.3
        assert target[~data.incorrect].max() <= 1.0 <= target[data.incorrect].min()
        assert 3.5 < target.max() <= 4.0
        scores.append(float(np.median(found[data.incorrect])))
        assert anchors.formula(np.array([anchors.usual, anchors.usual + 2 * anchors.worst])).tolist() == [0.0, 4.0]
    assert scores == sorted(scores)


def test_bands_have_names_and_edges() -> None:
    assert len(BANDS) == 7
    assert [band(s) for s in (0.0, 0.49, 0.5, 1.2, 1.99, 2.2, 2.7, 3.0, 4.0)] == [
        "excellent", "excellent", "very good", "good", "fair", "weak", "poor", "very poor", "very poor",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="deep_squat"):
        exercise_named("juggling")
    for exercise in EXERCISES.values():
        assert set(exercise.counted) | {KINECT_13.index(j) for j in exercise.free} == set(range(13))


def test_the_interval_covers_people_it_never_saw() -> None:
    rng = np.random.default_rng(2)
    subject = np.repeat([str(k) for k in range(10)], 60)
    target = rng.uniform(0, 4, 600)
    score = np.clip(target + rng.normal(0, 0.1 + 0.1 * target), 0, 4)
    made = Intervals.fitted(score, target, subject, 0.9)
    assert 0.86 < made.measured < 0.94
    assert made.half_width[0] < made.half_width[-1]  # where it errs more it is wider
    low, high = made.around(0.1)
    assert (low, high) == (0.0, 0.1 + made.half_width[0])
    assert made.around(EDGES[-1] + 2)[1] == pytest.approx(min(4.0, EDGES[-1] + 2 + made.half_width[-1]))
    assert Intervals.from_json(made.to_json()) == made
