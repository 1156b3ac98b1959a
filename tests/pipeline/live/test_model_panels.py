"""The fall alarm and the exercise's name on the live page say what their live classes say."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from pipeline.falls.live import LiveFalls
from pipeline.falls.notify import NotifyOptions
from pipeline.live.model_panels import ALARM_S, ExercisePanel, FallPanel
from pipeline.live.panels import LivePanel, LivePose, PanelSettings, make_panels, panel_classes
from pipeline.poses import Recording
from pipeline.recognition.live import LiveRecognition
from pipeline.synthetic.actor import ActorSpec, clip_truth


def feed(panel: LivePanel, recording: Recording, start_s: float = 0.0) -> list[str]:
    """Everything through the panel; the alarms that were seen."""
    person = recording.people[0]
    alarms = []
    for frame, time_s in enumerate(recording.time_s):
        pose = LivePose(
            person.skeleton, person.image_size, start_s + float(time_s), person.xy_px[frame], person.score[frame]
        )
        panel.update(pose)
        alarms.append(panel.reading.alarm)
    return alarms


def test_a_fall_raises_the_alarm_once_and_it_ends() -> None:
    recording = clip_truth(ActorSpec.one("fall_forward", view="left", fps=15, duration_s=9.0, seed=2)).recording
    person = recording.people[0]
    watch = LiveFalls(person.skeleton, person.image_size)
    told = [watch.update(person.xy_px[n], person.score[n], float(t)) for n, t in enumerate(recording.time_s)]
    first = next((n for n, event in enumerate(told) if event is not None), None)
    assert first is not None
    panel = FallPanel(PanelSettings())
    alarms = feed(panel, recording)
    assert alarms[first] and not any(alarms[:first]), "at the frame at which LiveFalls tells it"
    assert len(panel.reading.spoken) == sum(event is not None for event in told)
    standing = clip_truth(ActorSpec.one("stand", view="left", fps=15, duration_s=ALARM_S + 3.0)).recording
    assert feed(panel, standing, start_s=10.0)[-1] == ""
    panel.reset()
    assert panel.reading.metrics == ()


def test_somebody_is_told_of_a_fall_once(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    program = f"import pathlib, sys; pathlib.Path({str(told)!r}).open('a').write(sys.stdin.read())"
    options = NotifyOptions(command=shlex.join([sys.executable, "-c", program]), place="hall")
    panel = FallPanel(PanelSettings(notify=options))
    feed(panel, clip_truth(ActorSpec.one("fall_forward", view="left", fps=15, duration_s=9.0, seed=2)).recording)
    assert panel.reading.spoken
    assert panel._notifier is not None
    panel._notifier.close(30)
    assert json.loads(told.read_text())["place"] == "hall"


def test_the_exercise_is_named_as_the_live_class_does() -> None:
    recording = clip_truth(ActorSpec.one("squat", repetitions=5, view="left", fps=30)).recording
    person = recording.people[0]
    watch, panel = LiveRecognition(person.skeleton, person.image_size, memory_s=60.0), ExercisePanel(PanelSettings())
    for frame, time_s in enumerate(recording.time_s):
        watch.update(person.xy_px[frame], person.score[frame], float(time_s))
    feed(panel, recording)
    shown = dict(panel.reading.metrics)["Exercise"]
    assert shown == "none yet" if watch.current == "unknown" else shown.startswith(watch.current.replace("_", " "))
    assert watch.current == "squat"


def test_every_analysis_is_in_one_place_and_can_be_left_out() -> None:
    titles = [panel.title for panel in make_panels(PanelSettings())]
    assert titles == [panel.title for panel in panel_classes()] == ["Movement", "Falls", "Exercise", "Angles"]
    assert [panel.title for panel in make_panels(PanelSettings(analyses=("Falls",)))] == ["Falls"]
