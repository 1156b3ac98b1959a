"""Live analyses by trained models: the fall alarm and the exercise's name."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from pipeline.falls.notify import FallNotifier
from pipeline.live.panels import LivePanel, LivePose, PanelSettings, Reading

if TYPE_CHECKING:
    from pipeline.falls.live import LiveFalls
    from pipeline.recognition.live import LiveRecognition

ALARM_S = 15.0  # an alarm stays this long
LINES = 5
LOOK_EVERY_S, MOST_LATE_S = 0.2, 4.0  # falls are looked for every second at the least, however busy the machine is

_log = logging.getLogger(__name__)


class FallPanel(LivePanel):
    """Says at once when somebody has fallen, as ``falls.LiveFalls`` sees it."""

    title = "Falls"

    def __init__(self, settings: PanelSettings) -> None:
        super().__init__(settings)
        self._notifier = FallNotifier(settings.notify) if settings.notify.wanted else None
        if self._notifier is not None:
            weakref.finalize(self, self._notifier.close, 0.0)
        self.reset()

    def reset(self) -> None:
        self._watch: LiveFalls | None = None
        self._alarm_until_s = -np.inf
        self._lines: deque[str] = deque(maxlen=LINES)
        self._spoken: tuple[str, ...] = ()
        self._reading = Reading()

    @property
    def reading(self) -> Reading:
        return self._reading

    def update(self, pose: LivePose) -> None:
        from pipeline.falls.live import LiveFalls

        watch = self._watch
        if watch is None or (watch.skeleton, watch.image_size) != (pose.skeleton, pose.image_size):
            watch = self._watch = LiveFalls(pose.skeleton, pose.image_size, sensitivity=self.settings.sensitivity)
        watch.every_s = LOOK_EVERY_S * (1 + min(pose.late_s, MOST_LATE_S))
        event = watch.update(pose.xy_px, pose.score, pose.time_s)
        if event is not None:
            if self._notifier is not None:
                self._notifier.tell(event)
            self._alarm_until_s = pose.time_s + ALARM_S
            self._lines.appendleft(f"Fall {pose.time_s - event.impact_s:.0f} s before it was told.")
            self._spoken = (*self._spoken[-50:], "Fall detected. Do you need help?")
        alarm = "Somebody has fallen. Look after them." if pose.time_s < self._alarm_until_s else ""
        metrics = (("Fall probability", f"{100 * watch.probability_now:.0f} %"),)
        self._reading = Reading(metrics, tuple(self._lines), alarm, self._spoken)


class ExercisePanel(LivePanel):
    """Names the exercise, as ``recognition.LiveRecognition`` sees it."""

    title = "Exercise"

    def __init__(self, settings: PanelSettings) -> None:
        super().__init__(settings)
        self.reset()

    def reset(self) -> None:
        self._watch: LiveRecognition | None = None
        self._reading = Reading()

    @property
    def reading(self) -> Reading:
        return self._reading

    def update(self, pose: LivePose) -> None:
        from pipeline.recognition.live import LiveRecognition

        watch = self._watch
        if watch is None or (watch.skeleton, watch.image_size) != (pose.skeleton, pose.image_size):
            watch = self._watch = LiveRecognition(pose.skeleton, pose.image_size, memory_s=60.0)
        watch.update(pose.xy_px, pose.score, pose.time_s, pose.xyz_m)
        name = watch.current.replace("_", " ")
        text = "none yet" if name == "unknown" else f"{name} ({100 * watch.confidence:.0f} %)"
        self._reading = Reading((("Exercise", text),))
