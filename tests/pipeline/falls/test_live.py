"""Live falls: frame by frame they agree with the whole clip; each is told once."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.falls.detect import detect_falls
from pipeline.falls.events import FallEvent
from pipeline.falls.live import LiveFalls
from pipeline.poses import PoseSequence
from tests.pipeline.falls.people_acted import fallen, get_up, hold, part, seen


def feed(one: PoseSequence, live: LiveFalls) -> list[tuple[float, FallEvent]]:
    told = []
    for time_s, xy_px, score in zip(one.time_s, one.xy_px, one.score, strict=True):
        event = live.update(xy_px, score, float(time_s))
        if event is not None:
            told.append((float(time_s), event))
    return told


def live_for(one: PoseSequence, **settings: object) -> LiveFalls:
    return LiveFalls(one.skeleton, one.image_size, one.person, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("motion", ["fall_forward", "fall_backward", "fall_sideways"])
def test_it_agrees_with_the_batch_answer_and_tells_in_time(motion: str) -> None:
    one = seen(fallen(motion, lie_s=5.0))
    live = live_for(one)
    told = feed(one, live)
    live.finish()
    (batch,) = detect_falls(one).events
    assert len(told) == len(live.told) == 1
    moment_s, event = told[0]
    assert moment_s - batch.impact_s < 3.2
    assert event.onset_s == pytest.approx(batch.onset_s, abs=0.15)
    assert live.events[0].impact_s == pytest.approx(batch.impact_s, abs=0.15)
    assert live.events[0].peak_probability == pytest.approx(batch.peak_probability, abs=0.05)
    assert event.reasons


def test_two_falls_recovery_and_the_end_of_the_clip() -> None:
    fall, again = part("fall_backward"), part("fall_sideways", end_s=2.0)
    scene = [part("stand", end_s=2.0), fall, hold(fall, 2.0), get_up(), part("stand", end_s=2.0), again]
    one = seen(scene)
    live = live_for(one)
    told = feed(one, live)
    assert len(told) == 1, "the second fall is too near to the end to be sure of"
    assert len(live.finish()) == 1
    batch = detect_falls(one).events
    assert [e.recovered for e in live.events] == [e.recovered for e in batch] == [True, False]
    np.testing.assert_allclose([e.onset_s for e in live.events], [e.onset_s for e in batch], atol=0.15)


def test_a_drop_whose_beginning_was_not_seen_is_not_told() -> None:
    one = seen(fallen(lie_s=4.0))
    (batch,) = detect_falls(one).events
    late = one.between((batch.onset_s + batch.impact_s) / 2, np.inf)
    live = live_for(late)
    assert not feed(late, live)
    assert not live.finish()
    assert live.events == detect_falls(late).events == ()


def test_a_short_memory_keeps_what_it_told() -> None:
    quiet = part("walk", repetitions=40)
    one = seen([*fallen(), get_up(), quiet])
    live = live_for(one, memory_s=12.0)
    feed(one, live)
    live.finish()
    assert len(live.events) == len(live.told) == 1
    times_s, curve = live.probability
    assert times_s[-1] - times_s[0] < 14
    assert len(curve) == len(times_s)


def test_a_person_who_was_away_for_long_is_no_jump_in_time() -> None:
    one = seen([part("stand", end_s=3.0)])
    live = live_for(one)
    feed(one, live)
    nothing = np.full((33, 2), np.nan)
    for time_s in np.arange(one.time_s[-1] + 0.1, 30.0, 0.1):
        assert live.update(nothing, np.full(33, np.nan), float(time_s)) is None
    for time_s, xy_px, score in zip(one.time_s, one.xy_px, one.score, strict=True):
        assert live.update(xy_px, score, 30.0 + float(time_s)) is None
    live.finish()
    times_s, curve = live.probability
    np.testing.assert_allclose(np.diff(times_s), 0.1, atol=1e-6)
    assert curve.max() < live.point.threshold


def test_nobody_bad_frames_and_reset() -> None:
    live = LiveFalls()
    nothing = np.full((33, 2), np.nan)
    for frame in range(90):
        assert live.update(nothing, np.full(33, np.nan), frame / 30) is None
    assert live.probability_now == 0.0
    assert not live.events and not live.finish()
    with pytest.raises(ValueError, match="increase"):
        live.update(nothing, np.full(33, np.nan), 0.0)
    with pytest.raises(ValueError, match=r"\(33, 2\)"):
        live.update(np.zeros((17, 2)), np.zeros(17), 99.0)
    live.reset()
    live.update(nothing, np.full(33, np.nan), 0.0)
    with pytest.raises(ValueError, match="every_s"):
        LiveFalls(every_s=0.0)
