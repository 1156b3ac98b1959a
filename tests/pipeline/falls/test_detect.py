"""Falls found by the shipped forest in people whose falls are known, and none where there is none."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.falls.detect import FallError, detect_falls
from pipeline.falls.events import find_events, smoothed
from pipeline.falls.features import Body
from pipeline.falls.forest import SENSITIVITIES, FallModelError, load_forest
from pipeline.falls.people import joined
from pipeline.poses import PoseSequence, Recording
from pipeline.synthetic.camera import Camera
from pipeline.training.fall_scenes import _blend
from tests.pipeline.falls.people_acted import CAMERA, fallen, get_up, hold, moved, part, seen, times

FALLS = ("fall_forward", "fall_backward", "fall_sideways")


@pytest.fixture(scope="module")
def faller() -> PoseSequence:
    return seen(fallen())


@pytest.mark.parametrize("motion", FALLS)
@pytest.mark.parametrize("yaw_deg", [0.0, 60.0, 120.0])
def test_a_fall_is_one_event_at_its_time(motion: str, yaw_deg: float) -> None:
    scene = fallen(motion)
    truth = times(scene)[0]
    (event,) = detect_falls(seen(scene, replace(CAMERA, yaw_deg=yaw_deg))).events
    assert event.onset_s == pytest.approx(truth.onset_s, abs=0.6)
    assert event.impact_s == pytest.approx(truth.impact_s, abs=0.6)
    assert event.onset_s < event.peak_s + 0.5
    assert not event.recovered
    assert event.peak_probability >= load_forest().point().threshold
    assert 1 <= len(event.reasons) <= 4
    assert [reason.share for reason in event.reasons] == sorted((r.share for r in event.reasons), reverse=True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda one: moved(one, 0.5), id="half size"),
        pytest.param(lambda one: one.mirrored(), id="mirrored"),
        pytest.param(lambda one: moved(one, 1.0, (90.0, 40.0)), id="shifted"),
    ],
)
def test_size_side_and_place_change_nothing(faller: PoseSequence, change: object) -> None:
    (event,) = detect_falls(faller).events
    (other,) = detect_falls(change(faller)).events  # type: ignore[operator]
    assert (other.onset_s, other.impact_s) == (event.onset_s, event.impact_s)
    assert other.peak_probability == pytest.approx(event.peak_probability, abs=0.03)


@pytest.mark.parametrize("fps", [10.0, 15.0, 30.0, 60.0])
def test_the_frame_rate_changes_nothing(fps: float) -> None:
    (event,) = detect_falls(seen(fallen("fall_sideways"), fps=fps)).events
    (usual,) = detect_falls(seen(fallen("fall_sideways"))).events
    assert event.onset_s == pytest.approx(usual.onset_s, abs=0.2)
    assert event.impact_s == pytest.approx(usual.impact_s, abs=0.2)


def test_who_gets_up_again_fell_once_and_recovered() -> None:
    fall = part("fall_backward")
    scene = [part("stand", end_s=2.0), fall, hold(fall, 3.0), get_up(), part("stand", end_s=2.0)]
    (event,) = detect_falls(seen(scene)).events
    assert event.recovered
    assert event.recovered_s > event.impact_s + 2.0
    assert event.lying_for_s > 2.0


def test_two_falls_are_two_events() -> None:
    fall = part("fall_backward")
    scene = [part("stand", end_s=2.0), fall, hold(fall, 2.0), get_up(), part("stand", end_s=2.0)]
    again = part("fall_sideways")
    scene += [again, hold(again, 3.0)]
    events = detect_falls(seen(scene)).events
    assert [event.recovered for event in events] == [True, False]


def test_lying_from_the_first_frame_is_no_fall() -> None:
    fall = part("fall_backward")
    assert not detect_falls(seen([hold(fall, 6.0)])).events


@pytest.mark.parametrize("motion", FALLS)
def test_what_is_half_done_when_the_clip_begins_is_no_fall(motion: str) -> None:
    scene = fallen(motion)
    truth = times(scene)[0]
    whole = seen(scene)
    in_the_drop = whole.between((truth.onset_s + truth.impact_s) / 2, np.inf)
    assert not detect_falls(in_the_drop).events
    assert len(detect_falls(whole.between(truth.onset_s - 0.6, np.inf)).events) == 1


def test_lying_down_slowly_sitting_and_exercise_are_no_falls() -> None:
    down = part("lie_down")
    sit = part("sit_down", repetitions=2)
    squats = part("squat", repetitions=3)
    ups = part("push_up", repetitions=3)
    stand = part("stand", end_s=1.5)
    for scene in (
        [stand, down, hold(down, 3.0)],
        [stand, sit, stand],
        [stand, squats, stand],
        [ups],
        [stand, part("walk")],
    ):
        report = detect_falls(seen(scene))
        assert not report.events, report.to_json()
        assert report.summary == "No fall."


def test_leaving_downwards_is_no_fall() -> None:
    walking = seen([part("stand", end_s=5.0)])
    way = np.clip((walking.time_s - 2.0) / 0.8, 0, 1)[:, None, None] * [0.0, 600.0]
    xy_px = walking.xy_px + way
    outside = xy_px[..., 1] >= walking.image_size[1]
    xy_px[outside] = np.nan
    score = np.where(outside, np.nan, walking.score)
    leaving = PoseSequence(walking.skeleton, walking.time_s, xy_px, score, None, walking.image_size, 1)
    assert leaving.frames_seen < len(leaving)
    assert not detect_falls(leaving).events


def test_nobody_no_frames_and_gaps_are_ordinary(faller: PoseSequence) -> None:
    assert detect_falls(Recording.empty()).summary == "Nobody was seen, so nobody fell."
    assert not detect_falls(PoseSequence.empty(time_s=np.arange(90) / 30)).events
    assert not detect_falls(faller.between(0.0, 0.02)).events
    xy_px, score = faller.xy_px.copy(), faller.score.copy()
    gone = np.random.default_rng(0).random(len(faller)) < 0.3
    xy_px[gone], score[gone] = np.nan, np.nan
    holes = PoseSequence(faller.skeleton, faller.time_s, xy_px, score, None, faller.image_size, 1)
    assert len(detect_falls(holes).events) == 1


def test_everybody_has_a_line_of_their_own(faller: PoseSequence) -> None:
    standing = seen([part("stand", end_s=faller.time_s[-1] + 1)], Camera(50.0, 1.4, 6.0, 8.0, 30.0))
    other = replace(standing.select(slice(0, len(faller))), time_s=faller.time_s, person=2)
    both = Recording((faller, other), faller.time_s)
    report = detect_falls(both)
    assert [one.person for one in report.people] == [1, 2]
    assert [len(one.events) for one in report.people] == [1, 0]
    assert not detect_falls(both, person=2).events
    with pytest.raises(FallError, match="there is: 1, 2"):
        detect_falls(both, person=3)


def test_a_track_that_breaks_off_in_the_fall_is_put_together(faller: PoseSequence) -> None:
    middle = sum((times(fallen())[0].onset_s, times(fallen())[0].impact_s)) / 2

    def only(mask: np.ndarray, person: int) -> PoseSequence:
        xy_px, score = faller.xy_px.copy(), faller.score.copy()
        xy_px[~mask], score[~mask] = np.nan, np.nan
        return replace(faller, xy_px=xy_px, score=score, person=person)

    first, second = only(faller.time_s < middle, 1), only(faller.time_s >= middle + 0.3, 4)
    (one,) = joined((second, first))
    assert one.person == 1
    assert one.frames_seen == first.frames_seen + second.frames_seen
    assert len(detect_falls(Recording((first, second), faller.time_s)).events) == 1


def test_more_sensitive_alarms_no_less(faller: PoseSequence) -> None:
    counts = [len(detect_falls(faller, sensitivity=name).events) for name in SENSITIVITIES]
    assert counts == sorted(counts)
    points = load_forest().points
    assert [point.name for point in points] == list(SENSITIVITIES)
    assert all(a.threshold >= b.threshold for a, b in pairwise(points))
    assert all(a.missed >= b.missed for a, b in pairwise(points))
    assert all(a.false_alarms_per_h <= b.false_alarms_per_h for a, b in pairwise(points))
    assert all(point.false_alarms_low <= point.false_alarms_per_h <= point.false_alarms_high for point in points)
    with pytest.raises(FallModelError, match="very cautious"):
        detect_falls(faller, sensitivity="nervous")


def test_one_alarm_for_a_fall_whose_probability_wavers() -> None:
    time_s = np.arange(80) * 0.1
    down = np.clip((time_s - 2.0) / 0.8, 0, 1)
    xy_px = np.full((80, 13, 2), 200.0) + np.linspace(-150, 150, 13)[:, None] * [0, 1]
    xy_px = xy_px + (down * 120)[:, None, None] * [0, 1]
    grid = Body(time_s, xy_px, np.ones((80, 13)), np.full(80, 300.0))
    probability = np.zeros(80)
    probability[[22, 23, 27, 28, 33]] = 0.9
    assert len(find_events(grid, probability, 0.5)) == 1
    assert not find_events(grid, np.zeros(80), 0.5)
    assert len(smoothed(np.full(7, np.nan))) == 7


def test_the_report_is_plain_json(faller: PoseSequence) -> None:
    report = detect_falls(faller)
    document = json.loads(json.dumps(report.to_json(curves=True)))
    (event,) = document["events"]
    assert {
        "onset_s",
        "impact_s",
        "lying_s",
        "person",
        "probability",
        "peak_probability",
        "recovered",
        "reasons",
    } <= set(event)
    assert event["recovered_s"] is None
    curve = document["people"][0]["probability"]
    assert len(curve["time_s"]) == len(curve["value"])
    assert max(curve["value"]) == pytest.approx(event["probability"], abs=1e-3)
    assert np.allclose(np.diff(curve["time_s"]), 0.1)


def test_a_hundred_times_faster_than_life() -> None:
    scene = [part("stand", end_s=2.0), part("squat", repetitions=12), part("walk", repetitions=30)]
    long = seen(scene)
    detect_falls(long)
    started = time.process_time()
    detect_falls(long)
    assert time.process_time() - started < long.time_s[-1] / 100


def test_bridges_between_scenes_are_smooth() -> None:
    stand, lying = part("stand", end_s=1.0), hold(part("fall_backward"), 1.0)
    way = _blend(stand, lying, 1.0).joints_m
    assert np.abs(np.diff(way, axis=0)).max() < 0.2
