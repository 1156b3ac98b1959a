"""What is said about one person while it happens. Every analysis plugs in here: one class, one line in ``PANELS``."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipeline.falls.notify import NotifyOptions
from pipeline.kinematics import angles
from pipeline.movements import AUTO
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import Skeleton

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LivePose:
    """The person at one moment: as one row of a ``PoseSequence``; NaN where they were not seen.

    ``late_s`` is by how much the newest pose is later than this one: an analysis that is behind looks less often.
    """

    skeleton: Skeleton
    image_size: tuple[int, int]
    time_s: float
    xy_px: Array
    score: Array
    xyz_m: Array | None = None
    person: int = 1
    late_s: float = 0.0

    @property
    def seen(self) -> bool:
        """Whether anything was seen."""
        return bool(np.isfinite(self.xy_px).any())


@dataclass(frozen=True)
class Reading:
    """What a panel says now.

    Attributes:
        metrics: (label, value) pairs.
        lines: sentences, the newest first.
        alarm: a sentence that must be seen at once; empty most of the time.
        spoken: every sentence that may be said aloud, in order; only ever longer, so that each is said once.
        turns_s: turning points of the complete repetitions, in seconds of the stream.
    """

    metrics: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    alarm: str = ""
    spoken: tuple[str, ...] = ()
    turns_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class PanelSettings:
    """What the user chose for the analyses.

    movement: a name in ``movements.MOVEMENTS``, or "auto".
    analyses: titles of the panels that run; None for all.
    sensitivity: of the fall alarm, a name of one of its operating points.
    notify: whom to tell of a fall.
    """

    movement: str = AUTO
    analyses: tuple[str, ...] | None = None
    sensitivity: str = "balanced"
    notify: NotifyOptions = field(default_factory=NotifyOptions)


class LivePanel(ABC):
    """A live analysis. ``update`` is called for every pose in order, and for the frames without one."""

    title: str

    def __init__(self, settings: PanelSettings) -> None:
        self.settings = settings

    @abstractmethod
    def update(self, pose: LivePose) -> None:
        """Take the next moment."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything."""

    def finish(self) -> None:  # noqa: B027 -- most are never behind
        """No pose comes for now: bring the reading up to the last one."""

    @property
    @abstractmethod
    def reading(self) -> Reading:
        """What there is to say now; made anew at each change, so that other threads may read it."""


class PoseMemory:
    """The last ``length_s`` seconds of poses."""

    def __init__(self, length_s: float) -> None:
        self.length_s = length_s
        self._poses: deque[LivePose] = deque()

    def add(self, pose: LivePose) -> None:
        """One more; another skeleton or picture size begins anew."""
        if self._poses and (pose.skeleton, pose.image_size) != (self._poses[-1].skeleton, self._poses[-1].image_size):
            self._poses.clear()
        self._poses.append(pose)
        while pose.time_s - self._poses[0].time_s > self.length_s:
            self._poses.popleft()

    def sequence(self, since_s: float = -np.inf) -> PoseSequence | None:
        """The poses from ``since_s`` on; None without any."""
        poses = [pose for pose in self._poses if pose.time_s >= since_s]
        if not poses:
            return None
        xyz_m = [pose.xyz_m for pose in poses if pose.xyz_m is not None]
        return PoseSequence(
            poses[0].skeleton,
            np.array([pose.time_s for pose in poses]),
            np.stack([pose.xy_px for pose in poses]),
            np.stack([pose.score for pose in poses]),
            np.stack(xyz_m) if len(xyz_m) == len(poses) else None,
            poses[0].image_size,
            poses[-1].person,
        )

    def clear(self) -> None:
        """Forget everything."""
        self._poses.clear()


class AnglePanel(LivePanel):
    """The joint angles of this moment, as ``kinematics.angles`` defines them, five times a second."""

    title = "Angles"
    EVERY_S, WINDOW_S = 0.2, 0.4
    SHOWN = ("knee_flexion", "hip_flexion", "elbow_flexion", "shoulder_flexion")

    def __init__(self, settings: PanelSettings) -> None:
        super().__init__(settings)
        self._memory = PoseMemory(self.WINDOW_S)
        self.reset()

    def reset(self) -> None:
        self._memory.clear()
        self._next_s = -np.inf
        self._reading = Reading()

    @property
    def reading(self) -> Reading:
        return self._reading

    def update(self, pose: LivePose) -> None:
        self._memory.add(pose)
        if pose.time_s < self._next_s:
            return
        self._next_s = pose.time_s + self.EVERY_S
        sequence = self._memory.sequence()
        if sequence is None or not pose.seen:
            self._reading = Reading()
            return
        found = angles(sequence)
        metrics = []
        for joint in self.SHOWN:
            sides = [float(found[f"{side}_{joint}"].value_deg[-1]) for side in ("left", "right")]
            if np.isfinite(sides).any():
                text = " · ".join(f"{value:.0f}°" if np.isfinite(value) else "–" for value in sides)
                metrics.append((f"{joint.split('_')[0]} (left · right)", text))
        self._reading = Reading(tuple(metrics))


class PanelSet:
    """Several panels; one that fails is left out until ``reset``, the others go on."""

    def __init__(self, panels: tuple[LivePanel, ...] = ()) -> None:
        self._panels = panels
        self._broken: set[LivePanel] = set()
        self.error = ""

    @property
    def readings(self) -> tuple[tuple[str, Reading], ...]:
        """(title, reading) of every panel."""
        return tuple((panel.title, panel.reading) for panel in self._panels)

    def update(self, pose: LivePose) -> None:
        """Take the next moment. What goes wrong stands in ``error``, a sentence."""
        self._each(lambda panel: panel.update(pose))

    def finish(self) -> None:
        """Bring the readings up to the last pose; more may come. What goes wrong stands in ``error``."""
        self._each(lambda panel: panel.finish())

    def _each(self, act: Callable[[LivePanel], None]) -> None:
        for panel in self._panels:
            if panel in self._broken:
                continue
            try:
                act(panel)
            except Exception as error:  # noqa: BLE001 -- shown to the user
                _log.error("the analysis %r failed", panel.title, exc_info=error)
                self._broken.add(panel)
                self.error = f"The analysis {panel.title!r} stopped: {in_words(error)} Press Reset to try again."

    def reset(self) -> None:
        """Forget everything."""
        self._broken.clear()
        self.error = ""
        for panel in self._panels:
            panel.reset()

    def close(self) -> None:
        """Let go of everything."""


def in_words(error: Exception) -> str:
    """The pipeline's own sentence, or the unexpected exception's name and text; ends with a full stop."""
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return text.rstrip(".") + "."


def make_panels(settings: PanelSettings) -> tuple[LivePanel, ...]:
    """One of each that is wanted."""
    wanted = settings.analyses
    return tuple(make(settings) for make in panel_classes() if wanted is None or make.title in wanted)


def panel_classes() -> tuple[type[LivePanel], ...]:
    """Every live analysis there is, in the order in which the page shows them: the one place to plug one in."""
    from pipeline.live.model_panels import ExercisePanel, FallPanel
    from pipeline.live.movement_panel import MovementPanel

    return (MovementPanel, FallPanel, ExercisePanel, AnglePanel)
