"""The camera's stream of one browser session: WebRTC frames into a ``LiveWorker``, annotated frames back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aioice.ice
import av
import numpy as np
import streamlit as st
from streamlit_webrtc import VideoProcessorBase
from streamlit_webrtc.relay import get_global_relay

from pipeline.estimation.base import Estimator, Image
from pipeline.inference import Progress
from pipeline.live.clock import StreamClock
from pipeline.live.panels import PanelSettings
from pipeline.live.recordings import StoredRecording
from pipeline.live.remote_panels import RemotePanels
from pipeline.live.worker import LiveState, LiveWorker, smoothed
from pipeline.runs import Run, RunStore
from UserInterface.components.job import Job

STATE = "webcam"
RUN = "webcam-run"  # the id of the run that this session looks at

CONSENT_FAILURES = 24

_log = logging.getLogger(__name__)


class LiveSession:
    """What one browser session's camera is doing. Knows no Streamlit, so it outlives its page and its tab.

    Args:
        store: where recordings and runs go.
        make_estimator: makes this session's own model.
    """

    def __init__(self, store: RunStore, make_estimator: Callable[[], Estimator], settings: PanelSettings) -> None:
        self.store, self.settings = store, settings
        self.mirror, self.subject = True, ""
        self.job: Job | None = None
        self.notice = ""
        self._make = make_estimator
        self._guard = threading.RLock()
        self._clock = StreamClock()
        self._worker: LiveWorker | None = None
        self._before: tuple[Image, float] | None = None
        self._dwell_ms = float("nan")
        self._timer: threading.Timer | None = None
        self._due_s = 0.0
        self._camera = 0
        self._silent = False

    @property
    def silent(self) -> bool:
        """Whether the connection stands but no picture has come for so long that the model was let go."""
        return self._silent

    @property
    def worker(self) -> LiveWorker | None:
        """The worker while the camera runs."""
        return self._worker

    @property
    def state(self) -> LiveState:
        """The worker's state; an empty one while the camera is off."""
        worker = self._worker
        return LiveState() if worker is None else worker.state

    @property
    def recording(self) -> bool:
        """Whether a recording runs or its countdown does."""
        worker = self._worker
        return self.countdown_s > 0 or (worker is not None and worker.recording)

    @property
    def countdown_s(self) -> float:
        """Seconds until the recording begins; 0 when none is about to."""
        timer = self._timer
        return max(0.0, self._due_s - time.monotonic()) if timer is not None else 0.0

    @property
    def server_ms(self) -> float:
        """How much later a picture leaves this server than it came; NaN before the first one.

        It waits for the next one twice: aiortc knows that a frame is whole when the next begins, and the page shows
        the one before (``show``). Decoding and encoding (a few milliseconds, benchmarks/live.md) are not in it.
        """
        fps = self.state.offered_fps
        return self._dwell_ms + 1e3 / fps if fps > 0 else float("nan")

    # The camera

    def connect(self) -> int:
        """A camera comes; the number by which it goes again."""
        with self._guard:
            self._camera += 1
            self._work_on()
            return self._camera

    def disconnect(self, camera: int) -> None:
        """That camera is gone: the model goes, and what was being recorded becomes a run."""
        with self._guard:
            if camera == self._camera:
                self._silent = False
                self._rest()

    def show(self, image: Image, stream_s: float) -> Image:
        """Take a frame and give the picture to show: the frame before, by now with poses of its own."""
        if self._silent:
            with self._guard:
                if self._silent:
                    self._work_on()
        worker = self._worker
        if worker is None:
            return image
        now_s = time.monotonic()
        time_s = self._clock.time_s(stream_s, now_s)
        if time_s is not None:
            worker.offer(image, time_s)
        before, self._before = self._before, (image, now_s)
        shown, arrived_s = before if before is not None and before[0].shape == image.shape else (image, now_s)
        count = self.countdown_s
        drawn = worker.annotated(shown, mirror=self.mirror, banner=str(int(np.ceil(count))) if count else "")
        self._dwell_ms = smoothed(self._dwell_ms, 1e3 * (time.monotonic() - arrived_s))
        return drawn

    # What the user changes

    def change_model(self, make_estimator: Callable[[], Estimator]) -> None:
        """Another model, at once when the camera runs. Raises ValueError while something is recorded."""
        if self._worker is not None:
            self._worker.change_model(make_estimator)
        self._make = make_estimator

    def change_settings(self, settings: PanelSettings) -> None:
        """Other analyses; they begin anew."""
        self.settings = settings
        if self._worker is not None:
            self._worker.change_panels(RemotePanels(settings))

    def start_recording(self, countdown_s: float = 0.0) -> None:
        """Record after a countdown. Raises ValueError in words."""
        worker = self._worker
        if worker is None or not worker.state.processed:
            raise ValueError("No frame has come from the camera yet; start it first.")
        if self.recording:
            return
        if countdown_s <= 0:
            self._record(worker)
            return
        self._due_s = time.monotonic() + countdown_s
        self._timer = threading.Timer(countdown_s, self._record_now, (worker,))
        self._timer.daemon = True
        self._timer.start()

    def stop_recording(self) -> None:
        """End the recording and make a run of it; ends a countdown as well."""
        self._cancel_countdown()
        worker = self._worker
        folder = worker.stop_recording() if worker is not None else None
        if folder is not None:
            self._make_run(folder)

    def adopt(self, recording: StoredRecording) -> None:
        """Make a run of a recording that a killed program left behind."""
        self._make_run(recording.folder)

    def _record(self, worker: LiveWorker) -> None:
        worker.reset_analyses()  # what is counted live is what is on the recording
        settings = {"movement": self.settings.movement}
        worker.start_recording(self.store.folder, name=_name(self.subject), subject=self.subject, settings=settings)

    def _record_now(self, worker: LiveWorker) -> None:
        self._timer = None
        try:
            self._record(worker)
        except ValueError as error:
            self.notice = str(error)

    def _cancel_countdown(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _close(self, worker: LiveWorker) -> None:
        folder = worker.close()
        if folder is not None:
            self._make_run(folder)

    def _make_run(self, folder: Path) -> None:
        recording = StoredRecording(folder)
        self.job = Job("the recording", partial(_work, recording, self.store))

    def _work_on(self) -> None:
        self._silent = False
        if self._worker is None:
            self._clock, self._dwell_ms = StreamClock(), float("nan")
            self._worker = LiveWorker(self._make, RemotePanels(self.settings))
            threading.Thread(target=self._watch, args=(self._worker,), name="live watch", daemon=True).start()

    def _rest(self) -> None:
        if self._worker is not None:
            worker, self._worker, self._before = self._worker, None, None
            self._cancel_countdown()
            threading.Thread(target=self._close, args=(worker,), name="live close", daemon=True).start()

    def _watch(self, worker: LiveWorker) -> None:
        """Silence ends the work: a connection may die without a word, or a laptop sleep and come back (``show``)."""
        while self._worker is worker:
            if worker.state.idle:
                with self._guard:
                    if self._worker is worker:
                        _log.info("no frame has come: the model is let go until one does")
                        self._silent = True
                        self._rest()
                return
            time.sleep(1.0)


def _work(
    recording: StoredRecording,
    store: RunStore,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Run:
    return recording.make_run(store, progress, cancelled)


def _name(subject: str) -> str:
    return f"webcam {time.strftime('%Y-%m-%d %H.%M.%S')}{f' {subject}' if subject else ''}.mp4"


class Camera(VideoProcessorBase):
    """What streamlit-webrtc hands the frames of one connection to, in its event loop: it must never wait."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._number = session.connect()

    def recv(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The next frame in, a frame to show out."""
        try:
            image = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            assert frame.pts is not None and frame.time_base is not None
            shown = self._session.show(image, float(frame.pts * frame.time_base))
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24").reformat(format="yuv420p")
        except Exception:  # noqa: BLE001 -- an exception here would end the whole connection
            _log.exception("a frame could not be shown")
            return frame

    def on_ended(self) -> None:
        """The connection is closed."""
        self._session.disconnect(self._number)


def live_session(make_estimator: Callable[[], Estimator], store: RunStore, settings: PanelSettings) -> LiveSession:
    """This browser session's, made the first time."""
    if STATE not in st.session_state:
        st.session_state[STATE] = LiveSession(store, make_estimator, settings)
    session: LiveSession = st.session_state[STATE]
    return session


def be_patient() -> None:
    """Let a connection live through two minutes in which a busy machine answers late.

    aioice asks the browser every five seconds whether it is there (RFC 7675), takes an answer that needs more than half
    a second for none, and closes the connection at the sixth: half a minute of a machine that others use as well.
    """
    setattr(aioice.ice, "CONSENT_FAILURES", CONSENT_FAILURES)  # noqa: B010 -- another module's constant


def never_queue() -> None:
    """Let every track of this server keep the newest frame only.

    aiortc's relays, which streamlit-webrtc puts between its tracks, queue without end by default: a machine too busy
    to encode in time would show the past, later and later.
    """
    relay = get_global_relay()
    if not isinstance(relay.subscribe, partial):
        setattr(relay, "subscribe", partial(relay.subscribe, buffered=False))  # noqa: B010 -- a method on purpose
