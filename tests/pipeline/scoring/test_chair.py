"""What carries the body at its lowest: feet, or a chair that no key point shows."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.poses import Array
from pipeline.scoring.bad_3d import gate
from pipeline.scoring.canonical import canonical
from pipeline.scoring.chair import EVIDENCE, SITS_FROM, Chair, evidence
from tests.pipeline.scoring.performed import SQUAT, clip, cut


def repetitions(motion: str, **settings: object) -> list[Array]:
    return [canonical(xyz, t, SQUAT.counted).xyz for xyz, t in cut(clip(motion, repetitions=2, **settings))]


def test_who_squats_has_the_weight_over_the_feet_and_who_sits_has_it_behind() -> None:
    squat, sitting = (dict(zip(EVIDENCE, evidence(repetitions(m)[0]), strict=True)) for m in ("squat", "sit_down"))
    assert squat["weight_over_feet"] > -0.1 > sitting["weight_over_feet"]
    assert squat["straightening_deg"] < 5 < sitting["straightening_deg"]
    assert squat["shin_lean_deg"] > 15 > sitting["shin_lean_deg"]
    assert squat["feet_forward"] < sitting["feet_forward"]


def test_the_shipped_balance_knows_squats_well_and_badly_done_and_sitting_down() -> None:
    chair = gate().chair
    for settings in ({}, {"faults": {"knees_in": 0.8}}, {"faults": {"forward_lean": 0.8}}, {"depth": 0.7}):
        assert not chair.sits(repetitions("squat", **settings)), settings
    assert chair.sits(repetitions("sit_down"))


def test_in_doubt_it_is_a_squat() -> None:
    still = repetitions("squat")[0]
    unsure = Chair((0.0,) * len(EVIDENCE), 1.0)
    assert 0.5 < unsure.chance(still) < SITS_FROM
    assert not unsure.sits([still])
    assert Chair((0.0,) * len(EVIDENCE), 9.0).sits([still])


def test_evidence_is_a_mean_over_the_lowest_moments() -> None:
    one = repetitions("squat")[0]
    assert evidence(one[::2]) == pytest.approx(evidence(one), abs=1.0)
    assert np.isfinite(evidence(one[:1])).all()
    assert not gate().chair.sits([])
