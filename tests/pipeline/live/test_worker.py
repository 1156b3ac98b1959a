"""Frames in, events out: nothing is queued, nothing is swallowed, nothing grows."""

from __future__ import annotations

import pickle
import time
from itertools import pairwise

import numpy as np
import pytest

from pipeline.live.clock import StreamClock
from pipeline.live.movement_panel import MovementPanel
from pipeline.live.panels import LivePanel, LivePose, PanelSet, PanelSettings, Reading, make_panels
from pipeline.live.worker import LiveWorker
from pipeline.movements import analyze
from pipeline.repetitions import find_repetitions
from tests.pipeline.live.stubs import SIZE, Gate, Told, black, squats


class Diary(LivePanel):
    """Writes down what it is given; fails at ``fails_at_s``."""

    title = "diary"

    def __init__(self, fails_at_s: float = np.inf) -> None:
        self.fails_at_s = fails_at_s
        self.poses: list[LivePose] = []
        self.resets = 0

    def update(self, pose: LivePose) -> None:
        if pose.time_s >= self.fails_at_s:
            raise RuntimeError("the pencil broke")
        self.poses.append(pose)

    def reset(self) -> None:
        self.poses.clear()
        self.resets += 1

    @property
    def reading(self) -> Reading:
        return Reading((("pages", str(len(self.poses))),))


def test_while_the_model_is_busy_only_the_newest_frame_waits() -> None:
    gate, diary = Gate(), Diary()
    model = Told(before=gate)
    worker = LiveWorker(lambda: model, PanelSet((diary,)))
    try:
        worker.offer(black(), 0.0)
        assert gate.entered.wait(10)
        started = time.perf_counter()
        for frame in range(1, 100):
            assert worker.offer(black(), frame / 30)
        assert time.perf_counter() - started < 1.0, "offering never waits for the model"
        gate.open.set()
        assert worker.drained()
        assert model.times_s == [0.0, 99 / 30], "the one it had, then the newest"
        assert [pose.time_s for pose in diary.poses] == model.times_s
        state = worker.state
        assert (state.offered, state.processed, state.dropped) == (100, 2, 98)
    finally:
        gate.open.set()
        worker.close()


def test_the_analyses_know_how_far_behind_they_are() -> None:
    gate, diary = Gate(), Diary()
    take = diary.update

    def slowly(pose: LivePose) -> None:
        take(pose)
        gate(pose.time_s)

    diary.update = slowly  # type: ignore[method-assign]
    worker = LiveWorker(Told, PanelSet((diary,)))
    try:
        worker.offer(black(), 0.0)
        assert gate.entered.wait(10)
        for second in range(1, 6):
            worker.offer(black(), float(second))
            given_up_s = time.monotonic() + 10
            while worker.state.processed <= second and time.monotonic() < given_up_s:
                time.sleep(0.005)
        gate.open.set()
        assert worker.drained()
        assert [pose.late_s for pose in diary.poses] == [0.0, 4.0, 3.0, 2.0, 1.0, 0.0]
        assert worker.state.late_s == 0.0
    finally:
        gate.open.set()
        worker.close()


def test_time_is_the_frames_own_and_never_goes_back() -> None:
    model = Told()
    worker = LiveWorker(lambda: model)
    try:
        for time_s, taken in ((0.0, True), (0.4, True), (0.4, False), (0.3, False), (0.9, True)):
            assert worker.offer(black(), time_s) is taken
            assert worker.drained()
        assert model.times_s == [0.0, 0.4, 0.9]
    finally:
        worker.close()


def test_a_failing_model_is_a_sentence_and_reset_tries_again() -> None:
    broken = [True]

    def fail(_time_s: float) -> None:
        if broken[0]:
            raise RuntimeError("out of ideas")

    model = Told(before=fail)
    worker = LiveWorker(lambda: model)
    try:
        worker.offer(black(), 0.0)
        assert worker.drained()
        assert "out of ideas" in worker.state.error
        assert "Reset" in worker.state.error
        worker.offer(black(), 0.1)
        assert worker.drained()
        assert model.times_s == [], "it is not asked again and again"
        assert worker.annotated(black()).shape == black().shape, "the picture goes on"
        broken[0] = False
        worker.reset()
        worker.offer(black(), 0.2)
        assert worker.drained()
        assert worker.state.error == ""
        assert model.times_s == [0.2]
        assert model.resets == 1
    finally:
        worker.close()


def test_a_model_that_cannot_be_made_is_a_sentence_and_another_can_be_chosen() -> None:
    def missing() -> Told:
        raise ValueError("The weights are not there; download them.")

    worker = LiveWorker(missing)
    try:
        worker.offer(black(), 0.0)
        assert worker.drained()
        assert "The weights are not there; download them. Press" in worker.state.error
        worker.change_model(lambda: Told(squats(1)))
        worker.offer(black(), 0.1)
        assert worker.drained()
        assert worker.state.error == ""
        assert worker.state.people == 1
    finally:
        worker.close()


def test_one_failing_analysis_does_not_stop_the_others() -> None:
    failing, diary = Diary(fails_at_s=0.15), Diary()
    worker = LiveWorker(lambda: Told(squats(1)), PanelSet((failing, diary)))
    try:
        for frame in range(10):
            worker.offer(black(), frame / 10)
            assert worker.drained()
        assert len(failing.poses) == 2
        assert len(diary.poses) == 10
        assert "'diary' stopped: RuntimeError: the pencil broke" in worker.state.error
        assert worker.state.processed == 10
    finally:
        worker.close()


def test_every_worker_has_a_model_of_its_own() -> None:
    made: list[Told] = []

    def make() -> Told:
        made.append(Told(squats(1)))
        return made[-1]

    first, second = LiveWorker(make), LiveWorker(make)
    try:
        for number, worker in enumerate((first, second)):
            for frame in range(3 + number):
                worker.offer(black(), frame / 10)
                assert worker.drained()
        assert sorted(len(model.times_s) for model in made) == [3, 4]
        first.reset()
        first.offer(black(), 1.0)
        assert first.drained()
        assert sum(model.resets for model in made) == 1
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("keep_every", [1, 3])
def test_the_live_count_is_that_of_the_clip_even_when_frames_are_dropped(keep_every: int) -> None:
    recording = squats(4, view="left", depth=0.55)
    person = recording.people[0]
    panel = MovementPanel(PanelSettings("squat"))
    for frame in range(0, len(recording), keep_every):
        pose = LivePose(person.skeleton, SIZE, recording.time_s[frame], person.xy_px[frame], person.score[frame])
        panel.update(pose)
    batch = find_repetitions(person).complete
    assert [r.turn_s for r in panel.repetitions] == pytest.approx([r.turn_s for r in batch], abs=0.15)
    assert dict(panel.reading.metrics)["Repetitions"] == "4"
    told = " ".join(panel.reading.lines)
    fault = analyze(recording, "squat").remarks[0]
    assert f"Repetition 1: {fault.label}" in told
    assert "Repetition 3" in told
    assert fault.advice in panel.reading.spoken
    assert [word for word in panel.reading.spoken if word.isdigit()][-1] == "4"


def test_phases_follow_the_movement() -> None:
    recording = squats(3, view="left")
    person = recording.people[0]
    panel = MovementPanel(PanelSettings("squat"))
    seen = []
    for frame in range(len(recording)):
        panel.update(LivePose(person.skeleton, SIZE, recording.time_s[frame], person.xy_px[frame], person.score[frame]))
        seen.append(dict(panel.reading.metrics)["Phase"])
    assert {"down", "up", "ready"} <= set(seen)
    in_order = [phase for before, phase in zip([""] + seen, seen, strict=False) if phase != before]
    downs = [i for i, phase in enumerate(in_order) if phase == "down"]
    assert len(downs) >= 2
    assert all("up" in in_order[i:j] for i, j in pairwise(downs)), "no two ways down in a row"


def test_the_movement_is_recognised_and_reset_forgets_it() -> None:
    recording = squats(4, view="left")
    person = recording.people[0]
    panel = MovementPanel(PanelSettings())
    for frame in range(len(recording)):
        panel.update(LivePose(person.skeleton, SIZE, recording.time_s[frame], person.xy_px[frame], person.score[frame]))
    assert dict(panel.reading.metrics)["Movement"] == "squat"
    panel.reset()
    assert panel.repetitions == ()
    assert panel.reading == Reading()


def test_nobody_in_view_is_nothing_special() -> None:
    worker = LiveWorker(Told, PanelSet(make_panels(PanelSettings())))
    try:
        for frame in range(90):
            worker.offer(black(), frame / 30)
            assert worker.drained()
        state = worker.state
        assert state.error == ""
        assert state.people == 0
        assert worker.pose is None
        metrics = dict(metric for _, reading in state.readings for metric in reading.metrics)
        assert metrics["Repetitions"] == "0"
        assert metrics["Phase"] == "out of view"
    finally:
        worker.close()


def test_memory_is_bounded_however_long_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.live.movement_panel.COUNT_EVERY_S", 6.0)  # looking is what takes the time
    recording = squats(4, fps=5)
    person, length_s = recording.people[0], float(recording.time_s[-1]) + 0.2
    panels = make_panels(PanelSettings("squat"))
    sizes = []
    for number in range(15):
        for frame, time_s in enumerate(recording.time_s):
            now_s = number * length_s + time_s
            for panel in panels:
                panel.update(LivePose(person.skeleton, SIZE, now_s, person.xy_px[frame], person.score[frame]))
        sizes.append(len(pickle.dumps(panels)))
    assert max(sizes[10:]) < 1.1 * max(sizes[5:10]), sizes  # what is old goes in pieces, so sizes go up and down
    assert max(sizes) < 10e6


def test_the_mirror_turns_picture_and_poses_alike() -> None:
    recording = squats(1)
    worker = LiveWorker(lambda: Told(recording))
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:, :40] = (0, 0, 255)
    try:
        worker.offer(picture, 0.0)
        assert worker.drained()
        plain, mirrored = worker.annotated(picture), worker.annotated(picture, mirror=True)
        assert tuple(mirrored[120, -1]) == (0, 0, 255)
        drawn = (plain != picture).any(axis=2)
        drawn_mirrored = (mirrored != picture[:, ::-1]).any(axis=2)
        assert drawn.sum() > 200
        overlap = (drawn & drawn_mirrored[:, ::-1]).sum() / drawn.sum()
        assert overlap > 0.6, "the skeleton lies on the person in both (numbers stay readable)"
        assert (picture[:, 40:] == 0).all(), "the frame itself is not drawn into"
    finally:
        worker.close()


def test_the_clock_keeps_to_the_stream_and_survives_a_new_one() -> None:
    clock = StreamClock()
    assert clock.time_s(100.0, 0.0) == 0.0
    assert clock.time_s(100.04, 0.30) == pytest.approx(0.04), "arriving late does not matter"
    assert clock.time_s(100.04, 0.31) is None
    assert clock.time_s(100.02, 0.32) is None
    assert clock.time_s(0.0, 5.30) == pytest.approx(5.04, abs=0.02), "another camera: the wall clock bridges"
    assert clock.time_s(0.033, 5.34) == pytest.approx(5.07, abs=0.02)


def test_a_camera_that_is_still_connecting_is_not_taken_for_gone() -> None:
    now = [100.0]
    worker = LiveWorker(Told, clock=lambda: now[0])
    try:
        now[0] += 60
        assert not worker.state.idle, "a busy machine may need half a minute for a connection"
        now[0] += 40
        assert worker.state.idle
        worker.offer(black(), 0.0)
        assert not worker.state.idle
        now[0] += 16
        assert worker.state.idle, "once frames came, silence means that the camera is gone"
    finally:
        worker.close()
