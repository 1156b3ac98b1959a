"""Each repetition is judged once, however long the set is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.live import movement_panel
from pipeline.live.movement_panel import COUNT_EVERY_S, MEMORY_S, MovementPanel
from pipeline.live.panels import LivePose, PanelSettings
from pipeline.repetitions import Repetition
from pipeline.skeletons import COCO_17

FPS, EVERY_S = 4, 2.0


def repetition(turn_s: float) -> Repetition:
    return Repetition(1, turn_s - 0.8, turn_s, turn_s + 0.8, True, 0.9, 1.0)


class Counter:
    """Knows a repetition every two seconds, looks as often as the panel wants, and may take the last one back."""

    taken_back: tuple[float, ...] = ()  # turning points that are no longer believed from the next look on

    def __init__(self, skeleton: Any, image_size: tuple[int, int], *, every_s: float, **_: float) -> None:
        self.skeleton, self.image_size, self.every_s = skeleton, image_size, every_s
        self.analysed_s = -np.inf
        self.repetitions: tuple[Repetition, ...] = ()

    def update(self, _xy_px: Any, _score: Any, time_s: float) -> None:
        if time_s - self.analysed_s >= self.every_s:
            self.analysed_s = time_s
            turns_s = np.arange(1.0, time_s - 0.8, EVERY_S)
            self.repetitions = tuple(repetition(float(s)) for s in turns_s if s not in self.taken_back)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Turning points in the order in which they were judged, by a judge who finds everything good."""
    turns_s: list[float] = []

    def judge(found: list[Repetition]) -> Any:
        turns_s.extend(one.turn_s for one in found)
        return SimpleNamespace(
            repetitions=[SimpleNamespace(**vars_of(one), remarks=(), verdict="good") for one in found]
        )

    def vars_of(one: Repetition) -> dict[str, float]:
        return {"start_s": one.start_s, "turn_s": one.turn_s, "end_s": one.end_s}

    monkeypatch.setattr(movement_panel, "LiveRepetitions", Counter)
    monkeypatch.setattr(movement_panel, "clean", lambda sequence: sequence)
    monkeypatch.setattr(movement_panel, "measure_repetitions", lambda _sequence, _name, found, **_: found)
    monkeypatch.setattr(movement_panel, "judge", judge)
    return turns_s


def feed(panel: MovementPanel, since_s: float, until_s: float) -> None:
    for frame in range(round(since_s * FPS), round(until_s * FPS)):
        panel.update(LivePose(COCO_17, (640, 480), frame / FPS, np.full((17, 2), 100.0), np.ones(17)))


def test_a_long_set_is_judged_once(judged: list[float]) -> None:
    panel = MovementPanel(PanelSettings("squat"))
    length_s = 4 * MEMORY_S
    feed(panel, 0, length_s)
    assert judged == sorted(set(judged)), "each once, in order"
    assert len(judged) >= length_s / EVERY_S - 3
    newest = panel.reading.lines[0]
    assert newest == f"Repetition {len(judged)}: good."
    assert panel.reading.metrics[0] == ("Repetitions", str(len(panel.repetitions)))
    assert len(panel._judged) < 2 * MEMORY_S / EVERY_S, "what the counter has forgotten is not looked at again"


def test_a_panel_that_is_behind_looks_less_often(judged: list[float]) -> None:
    panel = MovementPanel(PanelSettings("squat"))
    feed(panel, 0, 20)
    counter = panel._counter
    assert counter is not None
    assert counter.every_s == COUNT_EVERY_S
    panel.update(LivePose(COCO_17, (640, 480), 20.0, np.full((17, 2), 100.0), np.ones(17), late_s=3.0))
    assert counter.every_s == 4 * COUNT_EVERY_S
    feed(panel, 20.25, 40)
    assert counter.every_s == COUNT_EVERY_S, "as soon as it has caught up"
    assert judged == sorted(set(judged))


def test_what_is_taken_back_goes_and_the_rest_stays(judged: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    panel = MovementPanel(PanelSettings("squat"))
    feed(panel, 0, 2 * MEMORY_S)
    last = len(judged)
    assert panel.reading.lines[0] == f"Repetition {last}: good."
    monkeypatch.setattr(Counter, "taken_back", (judged[-1],))
    feed(panel, 2 * MEMORY_S, 2 * MEMORY_S + COUNT_EVERY_S + 2 / FPS)
    assert judged[:last] == sorted(set(judged[:last])), "nothing is judged anew"
    assert f"Repetition {last - 1}: good." in panel.reading.lines
    assert all(abs(one.turn_s - judged[last - 1]) > 0.1 for one in panel._judged)
