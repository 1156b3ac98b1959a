"""Webcam page: what it says with and without a camera, recording to run, trim, undo, delete, self-test."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import aioice.ice
import numpy as np
import pytest
from streamlit.config import get_config_options
from streamlit.testing.v1 import AppTest

from pipeline import settings
from pipeline.estimation.registry import entry
from pipeline.live.panels import PanelSet, PanelSettings, make_panels
from pipeline.live.recorder import Recorder
from pipeline.live.trim import motion_curve, trim
from pipeline.live.worker import LiveState
from pipeline.poses import PoseSequence
from pipeline.repetitions import find_repetitions
from pipeline.runs import Run, RunError, RunStore
from pipeline.skeletons import BLAZEPOSE_33
from tests.pipeline.live.stubs import SIZE, Told, black, squats
from tests.UserInterface.conftest import HOME, healthy, texts
from UserInterface.components.webcam_live import speed_words
from UserInterface.components.webcam_selftest import browser_findings, server_findings
from UserInterface.components.webcam_stream import RUN, STATE, LiveSession, be_patient
from UserInterface.components.webcam_trim import curve_figure

PAGE = "pages/02_Webcam_Record.py"
GOOD = {"secure": True, "media": True, "webrtc": True, "cameras": ["cam"], "candidates": ["host"], "error": ""}


@pytest.fixture(autouse=True)
def near_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The analyses in this process, which is quicker to start, and no event loop, which Streamlit's test has not."""
    off = SimpleNamespace(state=SimpleNamespace(playing=False, signalling=False))
    monkeypatch.setattr("UserInterface.components.webcam_camera.never_queue", lambda: None)
    monkeypatch.setattr("UserInterface.components.webcam_camera.webrtc_streamer", lambda *_, **__: off)
    monkeypatch.setattr(
        "UserInterface.components.webcam_stream.RemotePanels",
        lambda chosen: PanelSet(make_panels(PanelSettings(chosen.movement, ("Movement", "Angles")))),
    )


@pytest.fixture
def live(store: RunStore) -> Iterator[LiveSession]:
    """A session whose camera shows three squats."""
    session = LiveSession(store, lambda: Told(squats(3)), PanelSettings())
    yield session
    session.disconnect(session._camera)
    wait(lambda: session.worker is None)


def wait(true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s, "it took too long"
        time.sleep(0.01)


def film(live: LiveSession, start_s: float, end_s: float) -> None:
    """Frames of the stream's seconds ``start_s`` to ``end_s``, each looked at (the wall clock runs along)."""
    assert live.worker is not None
    for time_s in np.arange(start_s, end_s, 1 / 20):
        live.worker.offer(black(), float(time_s))
        assert live.worker.drained()


def page(live: LiveSession | None = None, **state: object) -> AppTest:
    app = AppTest.from_file(str(HOME), default_timeout=60)
    app.switch_page(PAGE)
    if live is not None:
        app.session_state[STATE] = live
    for name, value in state.items():
        app.session_state[name] = value
    return healthy(app.run())


def record(live: LiveSession, length_s: float = 8.5) -> Run:
    live.connect()
    film(live, 0.0, 0.2)
    live.subject = "Ada"
    live.start_recording()
    film(live, 0.2, length_s)
    live.stop_recording()
    assert live.job is not None
    live.job.wait(60)
    assert live.job.error == ""
    assert live.job.run is not None
    return live.job.run


@pytest.mark.usefixtures("store")
def test_without_a_camera_it_says_what_to_do() -> None:
    app = page()
    assert "Press **Start**" in texts(app.info)
    assert app.button(key="webcam-record").disabled
    assert app.selectbox(key="webcam-movement").value == "auto"
    assert "nothing is kept unless you record it" in texts(app.caption)


def test_the_readings_of_a_running_camera(live: LiveSession) -> None:
    live.connect()
    film(live, 0.0, 9.6)
    app = page(live)
    values = {m.label: m.value for m in app.metric}
    assert values["Repetitions"] == "3"
    assert values["Movement"] == "squat"
    assert "knee (left · right)" in texts(app.markdown)
    assert "frames a second looked at" in texts(app.caption)
    healthy(app.selectbox(key="webcam-movement").set_value("lunge").run())
    assert live.settings.movement == "lunge", "chosen while it runs"
    assert live.state.readings[0][1].metrics == (), "and counted anew"
    healthy(app.toggle(key="webcam-mirror").set_value(False).run())
    assert live.mirror is False


def test_a_failing_model_is_shown(store: RunStore) -> None:
    def fail(_time_s: float) -> None:
        raise RuntimeError("out of ideas")

    live = LiveSession(store, lambda: Told(before=fail), PanelSettings())
    live.connect()
    film(live, 0.0, 0.1)
    app = page(live)
    assert "out of ideas" in texts(app.error)
    healthy(app.button(key="webcam-reset").click().run())
    assert live.state.error == ""
    live.disconnect(live._camera)


def test_record_stop_and_open(live: LiveSession, store: RunStore) -> None:
    live.connect()
    film(live, 0.0, 0.2)
    app = page(live)
    app.number_input(key="webcam-countdown").set_value(0).run()
    app.text_input(key="webcam-subject").set_value(" Ada ").run()
    healthy(app.button(key="webcam-record").click().run())
    assert live.recording
    film(live, 0.2, 9.6)
    live_count = dict(live.state.readings[0][1].metrics)["Repetitions"]
    healthy(app.run())
    assert "Recording: 9 s" in texts(app.markdown)
    assert app.selectbox(key="webcam-model").disabled
    healthy(app.button(key="webcam-stop").click().run())
    assert live.job is not None or app.session_state[RUN]
    if live.job is not None:
        live.job.wait(60)
    healthy(app.run())
    run = store.runs()[0]
    assert run.manifest.subject == "Ada"
    assert app.session_state[RUN] == run.id
    assert find_repetitions(run.recording().people[0]).count == int(live_count) == 3
    assert {"webcam-open-Movement Analyzer", "webcam-open-Outputs"} <= {str(b.key) for b in app.button}


def test_how_much_later_a_picture_leaves_the_server(live: LiveSession) -> None:
    assert np.isnan(live.server_ms)
    live.connect()
    for number in range(12):
        live.show(black(), number / 20)
        time.sleep(0.05)
    assert live.worker is not None
    interval_ms = 1e3 / live.state.offered_fps
    assert 2 * 45 < live.server_ms < interval_ms + 250, "one picture for aiortc, one for the pose"
    live.disconnect(live._camera)
    assert np.isnan(live.server_ms)


def test_a_countdown_begins_later_and_can_be_stopped(live: LiveSession) -> None:
    live.connect()
    film(live, 0.0, 0.2)
    live.start_recording(30.0)
    assert 29 < live.countdown_s <= 30
    assert re.search(r"Recording begins in (30|2\d) s", texts(page(live).markdown)), "a slow page may take a second"
    live.stop_recording()
    assert not live.recording
    assert live.job is None
    live.start_recording(0.2)
    wait(lambda: live.worker is not None and live.worker.recording)
    assert live.countdown_s == 0


def test_a_closed_tab_keeps_what_was_recorded(live: LiveSession, store: RunStore) -> None:
    camera = live.connect()
    film(live, 0.0, 0.2)
    live.start_recording()
    film(live, 0.2, 2.0)
    live.disconnect(camera)
    wait(lambda: live.job is not None and not live.job.running)
    assert len(store.runs()) == 1
    assert store.runs()[0].manifest.duration_s == pytest.approx(1.8, abs=0.1)


def test_the_old_camera_does_not_end_the_new_one(live: LiveSession) -> None:
    first = live.connect()
    second = live.connect()
    live.disconnect(first)
    assert live.worker is not None
    live.disconnect(second)
    assert live.worker is None


def test_any_detector_goes_with_any_model(live: LiveSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.estimation.registry.is_installed", lambda *_: True)
    app = page(live)
    assert app.selectbox(key="webcam-detector-blazepose").value == "blazepose"
    healthy(app.selectbox(key="webcam-model").select(entry("rtmpose-t-actor").title).run())
    healthy(app.selectbox(key="webcam-detector-rtmpose-t-actor").select(entry("blazepose").title).run())
    options = app.session_state["webcam-options"]
    assert (options.model, options.detector) == ("rtmpose-t-actor", "blazepose")


def test_after_a_silence_the_pictures_are_looked_at_again(live: LiveSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.live.worker.IDLE_S", 0.3)
    camera = live.connect()
    live.show(black(), 0.0)
    wait(lambda: live.worker is None)
    assert live.silent
    assert "No picture comes from the camera any more" in texts(page(live).warning)
    live.show(black(), 60.0)  # a laptop that slept
    assert live.worker is not None
    assert not live.silent
    wait(lambda: live.worker is None)
    live.disconnect(camera)
    live.show(black(), 90.0)
    assert live.worker is None, "what was switched off stays off"


def test_every_setting_of_the_dashboard_is_one_that_streamlit_knows() -> None:
    file = tomllib.loads((HOME.parent / ".streamlit" / "config.toml").read_text())
    known = set(get_config_options())
    assert file["runner"]["postScriptGC"] is False, "cameras wait for it"
    assert {f"{section}.{name}" for section, values in file.items() for name in flat(values)} <= known


def flat(values: dict[str, object]) -> list[str]:
    return [
        f"{k}.{name}" if name else k for k, v in values.items() for name in (flat(v) if isinstance(v, dict) else [""])
    ]


def test_a_busy_machine_that_answers_late_keeps_its_connections() -> None:
    assert "CONSENT_FAILURES" in aioice.ice.Connection.query_consent.__code__.co_names, "aioice counts otherwise now"
    be_patient()
    assert aioice.ice.CONSENT_FAILURES * aioice.ice.CONSENT_INTERVAL >= 120


def test_a_killed_programs_recording_is_offered(store: RunStore) -> None:
    for _ in range(2):
        recorder = Recorder(store.folder, BLAZEPOSE_33, SIZE, Told().info, subject="Ada")
        for number in range(40):
            recorder.add_frame(black(), number / 20)
            recorder.add_poses(number / 20, Told(squats(1)).update(black(), number / 20), SIZE)
        recorder.stop()
    app = page()
    assert texts(app.markdown).count("A recording was interrupted") == 2
    first, second = [b for b in app.button if b.label == "Make a run of it"]
    assert first.key != second.key
    healthy(first.click().run())
    job = app.session_state[STATE].job
    if job is not None:
        job.wait(60)
    healthy(app.run())
    assert [run.manifest.subject for run in store.runs()] == ["Ada"]
    healthy(next(b for b in app.button if b.label == "Delete it").click().run())
    assert "interrupted" not in texts(app.markdown)
    assert len(list(store.folder.glob(".recording-*"))) == 0


def test_trim_and_undo(live: LiveSession, store: RunStore) -> None:
    whole = record(live)
    app = page(live, **{RUN: whole.id})
    slider = next(s for s in app.slider if s.label == "Part to keep (s)")
    healthy(slider.set_value((0.0, 4.0)).run())
    cut = app.button(key="webcam-trim")
    assert cut.label == "Keep only 0.0 s to 4.0 s"
    healthy(cut.click().run())
    if live.job is not None:
        live.job.wait(60)
    healthy(app.run())
    trimmed = store.get(app.session_state[RUN])
    assert trimmed.id != whole.id
    assert trimmed.manifest.duration_s == pytest.approx(4.0, abs=0.1)
    assert trimmed.manifest.parameters["trimmed_from"] == {"run": whole.id, "start_s": 0.0, "end_s": 4.0}
    assert trimmed.manifest.subject == "Ada"
    healthy(app.button(key="webcam-undo").click().run())
    assert app.session_state[RUN] == whole.id
    assert [run.id for run in store.runs()] == [whole.id]


def test_delete_asks_first(live: LiveSession, store: RunStore) -> None:
    run = record(live, 1.0)
    app = page(live, **{RUN: run.id})
    healthy(app.button(key="webcam-delete").click().run())
    assert len(store.runs()) == 1
    healthy(app.button(key="webcam-delete-no").click().run())
    assert len(store.runs()) == 1
    healthy(app.button(key="webcam-delete").click().run())
    healthy(app.button(key="webcam-delete-yes").click().run())
    assert store.runs() == []
    assert RUN not in app.session_state


def test_a_part_keeps_its_poses_and_begins_at_zero(live: LiveSession, store: RunStore) -> None:
    whole = record(live)
    part = trim(whole, store, 2.0, 5.0)
    before, after = whole.recording().people[0], part.recording().people[0]
    first = int(np.searchsorted(before.time_s, 2.0 - 1e-6))
    assert after.time_s[0] == 0
    assert after.time_s + before.time_s[first] == pytest.approx(before.time_s[first : first + len(after)], abs=1e-3)
    assert after.xy_px == pytest.approx(before.xy_px[first : first + len(after)])
    with pytest.raises(RunError, match="too short"):
        trim(whole, store, 1.0, 1.05)
    with pytest.raises(RunError, match="no frame"):
        trim(whole, store, 100.0, 110.0)


def test_the_motion_curve_shows_where_somebody_moves() -> None:
    recording = squats(3)
    curve = motion_curve(recording.people[0])
    turns = [r.turn_s for r in find_repetitions(recording.people[0]).complete]
    low = curve[[recording.frame_at(turn_s) for turn_s in turns]]
    assert low.min() > 3 * np.nanmedian(curve[:15]), "the lowest points are hills"
    assert motion_curve(PoseSequence.empty()).size == 0
    figure = curve_figure(recording, 1.0, 2.0)
    assert figure.layout.dragmode == "select"
    assert len([s for s in figure.layout.shapes if s.type == "rect"]) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secure": False, "media": False}, "https"),
        ({"error": "NotAllowedError"}, "refused"),
        ({"error": "NotReadableError"}, "another program"),
        ({"error": "NotFoundError", "cameras": []}, "none is connected"),
        ({"cameras": []}, "none is connected"),
        ({"permission": "denied"}, "refused"),
        ({"webrtc": False}, "no WebRTC"),
        ({"candidates": []}, "no network path"),
    ],
)
def test_the_self_test_says_what_is_wrong_and_what_to_do(change: dict[str, object], words: str) -> None:
    bad = [finding for finding in browser_findings(GOOD | change, has_ice=False) if finding.good is False]
    assert len(bad) == 1
    assert words in bad[0].text
    assert all(finding.good for finding in browser_findings(GOOD, has_ice=False))


def test_the_self_test_knows_silent_servers_and_slow_machines() -> None:
    silent = browser_findings(GOOD, has_ice=True)
    assert any("did not answer" in finding.text for finding in silent if finding.good is False)
    assert all(f.good for f in browser_findings(GOOD | {"candidates": ["host", "relay"]}, has_ice=True))
    slow = LiveState(offered=100, processed=40, dropped=60, offered_fps=30.0, processed_fps=12.0)
    findings = server_findings(slow, 97.0)
    assert [finding.good for finding in findings] == [False, False]
    assert "12 of 30" in findings[0].text
    fast = LiveState(
        offered=100, processed=99, dropped=1, offered_fps=30.0, processed_fps=29.0, delay_ms=40, pose_ms=20
    )
    assert [finding.good for finding in server_findings(fast, 60.0)] == [True, True]
    assert server_findings(LiveState(), 5.0)[0].good is None
    assert "29 of 30 frames a second" in speed_words(fast)


def test_ice_servers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINOSCOPE_ICE_SERVERS", raising=False)
    assert settings.ice_servers() == [], "localhost needs none"
    monkeypatch.setenv("KINOSCOPE_ICE_SERVERS", "stun:a.example:3478, turn:b.example:3478")
    assert settings.ice_servers() == [{"urls": ["stun:a.example:3478"]}, {"urls": ["turn:b.example:3478"]}]
    monkeypatch.setenv(
        "KINOSCOPE_ICE_SERVERS", '[{"urls": "turn:b.example", "username": "me", "credential": "secret"}]'
    )
    assert settings.ice_servers() == [{"urls": ["turn:b.example"], "username": "me", "credential": "secret"}]
    for wrong in ("http://a.example", "[1]", '[{"url": "stun:a"}]', "[{"):
        monkeypatch.setenv("KINOSCOPE_ICE_SERVERS", wrong)
        with pytest.raises(ValueError, match="KINOSCOPE_ICE_SERVERS is not understood"):
            settings.ice_servers()


def test_a_wrong_ice_setting_is_a_sentence(monkeypatch: pytest.MonkeyPatch, store: RunStore) -> None:  # noqa: ARG001
    monkeypatch.setenv("KINOSCOPE_ICE_SERVERS", "example.org")
    assert "KINOSCOPE_ICE_SERVERS" in texts(page().error)


def test_a_file_where_webrtc_is_impossible(clip: Path, estimator: object, store: RunStore) -> None:  # noqa: ARG001
    app = page()
    uploader = next(u for u in app.get("file_uploader"))
    assert uploader is not None
    assert "your camera's own program" in texts(app.caption)
