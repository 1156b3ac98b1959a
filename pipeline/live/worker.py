"""Frames in, poses and readings out: the newest frame is looked at, what could not be looked at is dropped."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from pipeline.drawing import DEFAULT_THRESHOLD, draw_people, draw_text
from pipeline.estimation.base import Estimator, Image, PersonPose
from pipeline.live.panels import LivePose, PanelSet, Reading, in_words
from pipeline.live.recorder import Recorder
from pipeline.skeletons import Skeleton

RATE_OVER_S = 3.0
MOST_WAITING_POSES = 3600  # two minutes of analyses being slow; poses are small, so that no repetition is lost
FORGET_PERSON_S = 3.0  # somebody else is analysed when the one so far is gone for this long
IDLE_S = 15.0  # without a frame for so long the camera is gone
CONNECTING_S = 90.0  # before the first one: a connection may take half a minute where the machine is busy
FINISH_S = 3.0  # how long the end of a recording waits for analyses that are behind
_PLATE = (20, 90, 84)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveState:
    """A look at the worker from outside.

    Attributes:
        offered, processed, dropped: frames since the start.
        offered_fps, processed_fps: over the last seconds.
        pose_ms: mean time of the pose model; delay_ms: from a frame's arrival until its poses are there.
        people: how many are in view; time_s: of the newest poses.
        readings: (title, reading) of every panel.
        error: a sentence; empty when nothing is wrong.
        recording_s: length of the running recording; None when there is none.
        idle: no frame has come for so long that the camera is gone.
        late_s: by how much the analyses are behind the poses.
    """

    offered: int = 0
    processed: int = 0
    dropped: int = 0
    offered_fps: float = 0.0
    processed_fps: float = 0.0
    pose_ms: float = float("nan")
    delay_ms: float = float("nan")
    people: int = 0
    time_s: float = 0.0
    readings: tuple[tuple[str, Reading], ...] = ()
    error: str = ""
    recording_s: float | None = None
    idle: bool = False
    late_s: float = 0.0


@dataclass(frozen=True, eq=False)
class _Seen:
    """The newest poses."""

    time_s: float = float("-inf")
    poses: tuple[PersonPose, ...] = ()
    image_size: tuple[int, int] = (0, 0)
    skeleton: Skeleton | None = None


@dataclass
class _Rate:
    times: deque[float] = field(default_factory=deque)

    def tick(self, now_s: float) -> None:
        self.times.append(now_s)
        self.per_s(now_s)

    def per_s(self, now_s: float) -> float:
        while self.times and now_s - self.times[0] > RATE_OVER_S:
            self.times.popleft()
        return len(self.times) / RATE_OVER_S if self.times else 0.0


class LiveWorker:
    """One camera's worker: a thread for the poses, one for the analyses, and while recording one for the file.

    Args:
        make_estimator: makes the model; called in the pose thread, for each worker its own.
        panels: the analyses; each sees every pose in order.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        make_estimator: Callable[[], Estimator],
        panels: PanelSet | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._clock = make_estimator, clock
        self._wake = threading.Condition()
        self._waiting: tuple[Image, float, float] | None = None
        self._remake, self._forget = True, False
        self._closed = False
        self._panels = panels or PanelSet()
        self._poses: deque[LivePose] = deque(maxlen=MOST_WAITING_POSES)
        self._late_s = 0.0
        self._panels_forget = False
        self._panels_finished: threading.Event | None = None  # set by who waits for it
        self._seen = _Seen()
        self._last_offered_s = -np.inf
        self._arrived_s = clock()
        self.error = self._warning = ""
        self.model_info: Estimator | None = None
        self._recorder: Recorder | None = None
        self._offered_rate, self._processed_rate = _Rate(), _Rate()
        self._counts = [0, 0, 0]
        self._pose_ms = self._delay_ms = float("nan")
        self._person: tuple[int, float] | None = None
        self._threads = [
            threading.Thread(target=self._run_poses, name="live poses", daemon=True),
            threading.Thread(target=self._run_panels, name="live analyses", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # From the camera's thread

    def offer(self, image: Image, time_s: float) -> bool:
        """The next frame, (H, W, 3) RGB; never waits. False for one that is not later than the last (left out)."""
        now_s = self._clock()
        with self._wake:
            if time_s <= self._last_offered_s or self._closed:
                return False
            self._last_offered_s, self._arrived_s = time_s, now_s
            self._counts[0] += 1
            self._counts[2] += self._waiting is not None
            self._waiting = (image, time_s, now_s)
            self._offered_rate.tick(now_s)
            if self._recorder is not None:
                self._recorder.add_frame(image, time_s)
            self._wake.notify_all()
        return True

    def annotated(
        self, image: Image, *, mirror: bool = False, threshold: float = DEFAULT_THRESHOLD, banner: str = ""
    ) -> Image:
        """A copy of the picture with the newest poses, the count and a large ``banner`` drawn in."""
        seen = self._seen
        drawn = np.ascontiguousarray(image[:, ::-1]) if mirror else image.copy()
        height, width = drawn.shape[:2]
        if seen.skeleton is not None and seen.poses:
            scale = np.array([width, height]) / seen.image_size
            people = []
            for pose in seen.poses:
                xy_px = pose.xy_px * scale
                xy_px = xy_px * (-1.0, 1.0) + (width - 1.0, 0.0) if mirror else xy_px
                people.append((pose.person, np.asarray(xy_px, dtype=np.float64), pose.score))
            draw_people(drawn, seen.skeleton, people, threshold=threshold)
        words = [f"{label}: {value}" for _, reading in self._readings() for label, value in reading.metrics[:2]][:2]
        for row, text in enumerate(words):
            draw_text(drawn, text, (0, (row + 1) * max(24, height / 14)), _PLATE)
        if self._recorder is not None:
            draw_text(drawn, "REC", (width, max(24, height / 14)), (255, 40, 40))
        if banner:
            draw_banner(drawn, banner)
        return drawn

    # From the page

    @property
    def state(self) -> LiveState:
        """What there is to show."""
        now_s = self._clock()
        with self._wake:
            recorder, error = self._recorder, self.error or self._warning
            offered, processed, dropped = self._counts
            rates = self._offered_rate.per_s(now_s), self._processed_rate.per_s(now_s)
        if recorder is not None and recorder.error:
            error = recorder.error
        return LiveState(
            offered, processed, dropped, *rates, self._pose_ms, self._delay_ms, len(self._seen.poses),
            self._seen.time_s, self._readings(), error, None if recorder is None else recorder.duration_s,
            now_s - self._arrived_s > (IDLE_S if offered else CONNECTING_S), self._late_s,
        )  # fmt: skip

    @property
    def pose(self) -> LivePose | None:
        """The newest pose of the person who is analysed; None when nobody is in view."""
        seen, person = self._seen, self._person
        if seen.skeleton is None or person is None:
            return None
        return next((_live_pose(seen, pose) for pose in seen.poses if pose.person == person[0]), None)

    def change_model(self, make_estimator: Callable[[], Estimator]) -> None:
        """Another model from the next frame on. Raises ValueError while something is recorded."""
        with self._wake:
            if self._recorder is not None:
                raise ValueError("A recording keeps the model it began with; stop it first.")
            self._make, self._remake, self.error = make_estimator, True, ""
            self._wake.notify_all()

    def change_panels(self, panels: PanelSet) -> None:
        """Other analyses, which begin now."""
        with self._wake:
            before, self._panels, self._panels_forget = self._panels, panels, False
            self._poses.clear()
        before.close()

    def reset(self) -> None:
        """Counts and people start anew; an error is forgotten."""
        with self._wake:
            self._forget = self._panels_forget = True
            self.error = self._warning = ""
            self._poses.clear()
            self._wake.notify_all()

    def reset_analyses(self) -> None:
        """The analyses begin anew with the next pose; the people keep their ids."""
        with self._wake:
            self._panels_forget = True
            self._poses.clear()
            self._wake.notify_all()

    @property
    def recording(self) -> bool:
        """Whether frames go to a file."""
        return self._recorder is not None

    def start_recording(self, store: Path, **about: object) -> Recorder:
        """Record from the next frame on; ``about`` are name, subject and settings of the ``Recorder``.

        Raises:
            ValueError: nothing has been seen yet, or a recording runs already.
            RecordingError: the store cannot be written.
        """
        seen, estimator = self._seen, self.model_info
        if estimator is None or seen.skeleton is None:
            raise ValueError("No frame has come from the camera yet; start it first.")
        if self._recorder is not None:
            raise ValueError("A recording is running already; stop it first.")
        recorder = Recorder(store, seen.skeleton, seen.image_size, estimator.info, **about)  # type: ignore[arg-type]
        with self._wake:
            self._recorder = recorder
        return recorder

    def stop_recording(self) -> Path | None:
        """Finish the file; its folder, or None when nothing was being recorded.

        Waits up to ``FINISH_S`` for the analyses to catch up with what was recorded.
        """
        finished = threading.Event()
        with self._wake:
            recorder, self._recorder = self._recorder, None
            if recorder is None:
                return None
            self._panels_finished = finished
            self._wake.notify_all()
        if not finished.wait(FINISH_S):
            _log.warning("the live analyses are behind; the recording keeps what they have counted so far")
        turns_s = [turn_s for _, reading in self._readings() for turn_s in reading.turns_s]
        return recorder.stop(turns_s)

    def close(self) -> Path | None:
        """Stop everything and let go of the model; the folder of a recording that was running, or None."""
        folder = self.stop_recording()
        with self._wake:
            self._closed, self._waiting = True, None
            self._wake.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5.0)
        self._panels.close()
        self._seen, self.model_info = _Seen(), None
        return folder

    def drained(self, timeout_s: float = 10.0) -> bool:
        """Wait until every offered frame was looked at and analysed; for tests and scripts."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            with self._wake:
                if self._waiting is None and not self._busy[0] and not self._busy[1] and not self._poses:
                    return True
            time.sleep(0.002)
        return False

    # The threads

    _busy = (False, False)

    def _set_busy(self, which: int, busy: bool) -> None:
        self._busy = (busy, self._busy[1]) if which == 0 else (self._busy[0], busy)

    def _run_poses(self) -> None:
        estimator: Estimator | None = None
        while True:
            with self._wake:
                self._set_busy(0, False)
                while self._waiting is None and not self._closed:
                    self._wake.wait()
                if self._closed:
                    break
                assert self._waiting is not None
                (image, time_s, arrived_s), self._waiting = self._waiting, None
                self._set_busy(0, True)
                remake, make, forget = self._remake, self._make, self._forget
                self._remake = self._forget = False
                failed = bool(self.error)
            if failed and not remake:
                continue
            try:
                if remake:
                    _close(estimator)
                    self.model_info = estimator = None
                    self.model_info = estimator = make()
                if estimator is None:
                    self.model_info = estimator = make()
                if forget:
                    estimator.reset()
                self._look(estimator, image, time_s, arrived_s)
            except Exception as error:  # noqa: BLE001 -- a thread has nobody else to tell
                self._fail(error)
        _close(estimator)

    def _look(self, estimator: Estimator, image: Image, time_s: float, arrived_s: float) -> None:
        started_s = self._clock()
        poses = estimator.update(image, time_s)
        now_s = self._clock()
        size = (image.shape[1], image.shape[0])
        seen = _Seen(time_s, poses, size, estimator.skeleton)
        with self._wake:
            self._seen = seen
            self._counts[1] += 1
            self._processed_rate.tick(now_s)
            if self._recorder is not None:
                self._recorder.add_poses(time_s, poses, size)
            self._poses.append(self._analysed(seen))
            self._wake.notify_all()
        self._pose_ms = smoothed(self._pose_ms, 1e3 * (now_s - started_s))
        self._delay_ms = smoothed(self._delay_ms, 1e3 * (now_s - arrived_s))

    def _analysed(self, seen: _Seen) -> LivePose:
        """The pose of the person who is analysed: the same one until they are gone for a while."""
        assert seen.skeleton is not None
        ids = sorted(pose.person for pose in seen.poses)
        if self._person is None or (
            self._person[0] not in ids and ids and seen.time_s - self._person[1] > FORGET_PERSON_S
        ):
            self._person = (ids[0], seen.time_s) if ids else None
        if self._person is not None and self._person[0] in ids:
            self._person = (self._person[0], seen.time_s)
        for pose in seen.poses:
            if self._person is not None and pose.person == self._person[0]:
                return _live_pose(seen, pose)
        joints = len(seen.skeleton)
        nothing = np.full((joints, 2), np.nan), np.full(joints, np.nan), np.full((joints, 3), np.nan)
        return LivePose(seen.skeleton, seen.image_size, seen.time_s, *nothing)

    def _run_panels(self) -> None:
        while True:
            with self._wake:
                self._set_busy(1, False)
                while not (self._poses or self._closed or self._panels_forget or self._panels_finished):
                    self._wake.wait()
                if self._closed:
                    return
                self._set_busy(1, True)
                panels, forget, self._panels_forget = self._panels, self._panels_forget, False
                pose = self._poses.popleft() if self._poses else None
                if pose is not None and self._poses:
                    pose = replace(pose, late_s=self._poses[-1].time_s - pose.time_s)
                self._late_s = 0.0 if pose is None else pose.late_s
                finished = None
                if pose is None:
                    finished, self._panels_finished = self._panels_finished, None
            try:
                if forget:
                    panels.reset()
                if pose is not None:
                    panels.update(pose)
                if finished is not None:
                    panels.finish()
                self._warning = panels.error
            except Exception as error:  # noqa: BLE001 -- a thread has nobody else to tell
                if panels is self._panels and not self._closed:
                    _log.error("the live analyses failed", exc_info=error)
                    self._warning = f"The analyses stopped: {in_words(error)} Start the camera again."
            finally:
                if finished is not None:
                    finished.set()

    def _readings(self) -> tuple[tuple[str, Reading], ...]:
        return self._panels.readings

    def _fail(self, error: Exception) -> None:
        _log.error("the pose model failed", exc_info=error)
        with self._wake:
            self.error = (
                f"The pose model stopped: {in_words(error)} Press Reset to try again; "
                "the picture goes on without poses."
            )


def draw_banner(image: Image, text: str) -> None:
    """A word that is read from across a room, in the middle of the picture (in place)."""
    height, width = image.shape[:2]
    scale, thickness = height / 70, max(2, height // 40)
    (across, down), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    place = ((width - across) // 2, (height + down) // 2)
    for color, weight in (((0, 0, 0), 2 * thickness), ((255, 255, 255), thickness)):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, weight, cv2.LINE_AA)


def _live_pose(seen: _Seen, pose: PersonPose) -> LivePose:
    assert seen.skeleton is not None
    return LivePose(
        seen.skeleton, seen.image_size, seen.time_s, pose.xy_px, np.clip(pose.score, 0, 1), pose.xyz_m, pose.person
    )


def _close(estimator: Estimator | None) -> None:
    close = getattr(estimator, "close", None)
    if close is not None:
        close()


def smoothed(average: float, value: float) -> float:
    """A running mean over the last twenty values or so; NaN begins it."""
    return value if np.isnan(average) else 0.95 * average + 0.05 * value
