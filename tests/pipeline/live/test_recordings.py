"""What was recorded is a run like any other, however the recording ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.live.panels import LivePanel, LivePose, PanelSet, Reading
from pipeline.live.recorder import PREFIX, Recorder, RecordingError
from pipeline.live.recordings import LIVE_TAG, StoredRecording, leftovers
from pipeline.live.worker import LiveWorker
from pipeline.media import probe, read_frames
from pipeline.movements import analyze
from pipeline.poses import ModelInfo
from pipeline.repetitions import find_repetitions
from pipeline.runs import Run, RunStore
from pipeline.skeletons import BLAZEPOSE_33
from tests.pipeline.live.stubs import SIZE, Told, black, squats

ROOT = Path(__file__).resolve().parents[3]
MODEL = ModelInfo(name="told", detector="none", device="test bench")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "outputs")


def picture(number: int) -> np.ndarray:
    """A frame that can be told from its neighbours."""
    image = black()
    image[:, : 4 + number % 56] = 200
    return image


def record(store: RunStore, times_s: list[float], *, posed_every: int = 1, **about: object) -> Path:
    recording = squats(3)
    model = Told(recording)
    recorder = Recorder(store.folder, BLAZEPOSE_33, SIZE, MODEL, **about)  # type: ignore[arg-type]
    for number, time_s in enumerate(times_s):
        recorder.add_frame(picture(number), time_s)
        if number % posed_every == 0:
            recorder.add_poses(time_s, model.update(black(), time_s - times_s[0]), SIZE)
        if number % 20 == 19:
            time.sleep(0.02)  # a camera leaves the disk some time
    return recorder.stop()


def run_of(store: RunStore, folder: Path) -> Run:
    return StoredRecording(folder).make_run(store)


def test_frames_and_poses_carry_the_cameras_times(store: RunStore) -> None:
    rng = np.random.default_rng(0)
    times_s = (50.0 + np.cumsum(rng.choice([1 / 30, 2 / 30, 0.04], 120))).tolist()  # a camera that is not steady
    run = run_of(store, record(store, times_s, name="webcam *one*.mp4", subject="Ada", settings={"movement": "squat"}))
    expected = np.array(times_s) - times_s[0]
    recording = run.recording()
    assert recording.time_s == pytest.approx(expected, abs=2e-5)
    assert run.source is not None
    frames = list(read_frames(run.source))
    assert [frame.time_s for frame in frames] == pytest.approx(expected, abs=2e-5)
    truth = squats(3)
    wanted = [truth.people[0].xy_px[truth.frame_at(time_s)] for time_s in expected]
    assert recording.people[0].xy_px == pytest.approx(np.stack(wanted), abs=0.01)
    assert recording.people[0].xyz_m is not None
    widths = [int((frame.image[24, :, 0] > 100).sum()) for frame in frames]
    assert widths == pytest.approx([4 + n % 56 for n in range(120)], abs=2), "the original pictures, in order"
    manifest = run.manifest
    assert (manifest.subject, manifest.source["name"], manifest.tags) == ("Ada", "webcam *one*.mp4", [LIVE_TAG])
    assert manifest.parameters["live"]["movement"] == "squat"
    assert manifest.model["name"] == "told"
    assert run.overlay is not None
    assert run.file("thumbnail.jpg") is not None
    assert not list(store.folder.glob(f"{PREFIX}*")), "nothing is left behind"


def test_the_file_plays_everywhere_and_seeks(store: RunStore) -> None:
    run = run_of(store, record(store, [n / 30 for n in range(150)]))
    assert run.source is not None
    info = probe(run.source)
    assert (info.codec, info.container.split(",")[0], info.width, info.height) == ("h264", "mov", *SIZE)
    content = run.source.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index is in front: browsers start at once"
    assert b"moof" not in content
    with av.open(str(run.source)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        assert [p.pts for p in packets] == sorted({p.pts for p in packets}), "strictly increasing"
        keys = [float(p.pts * p.time_base) for p in packets if p.is_keyframe]
        assert max(np.diff(keys)) <= 1.1
        container.seek(int(4.0 / stream.time_base), stream=stream)
        assert float(next(container.decode(stream)).time) <= 4.0


def test_a_dropped_frame_costs_no_repetition(store: RunStore) -> None:
    times_s = [n / 30 for n in range(int(squats(3).time_s[-1] * 30))]
    whole = run_of(store, record(store, times_s)).recording().people[0]
    run = run_of(store, record(store, times_s, posed_every=3))
    half = run.recording().people[0]
    assert len(half) == len(whole) == len(times_s), "the video keeps every frame"
    assert run.manifest.parameters["live"]["frames_bridged"] == pytest.approx(2 * len(times_s) / 3, abs=4)
    assert np.nanmax(np.abs(half.xy_px - whole.xy_px)) < 2.0, "the bridge is straight and short"
    assert find_repetitions(half).count == find_repetitions(whole).count == 3
    assert analyze(run.recording(), "squat").complete == 3


def test_a_longer_gap_stays_a_gap(store: RunStore) -> None:
    recorder = Recorder(store.folder, BLAZEPOSE_33, SIZE, MODEL)
    model = Told(squats(1))
    for number in range(60):
        recorder.add_frame(black(), number / 30)
        if not 20 <= number < 40:
            recorder.add_poses(number / 30, model.update(black(), number / 30), SIZE)
    person = run_of(store, recorder.stop()).recording().people[0]
    assert person.seen.tolist() == [not 20 <= number < 40 for number in range(60)]


def test_nobody_in_view_makes_a_run_too(store: RunStore) -> None:
    recorder = Recorder(store.folder, BLAZEPOSE_33, SIZE, MODEL)
    for number in range(30):
        recorder.add_frame(black(), number / 30)
        recorder.add_poses(number / 30, (), SIZE)
    run = run_of(store, recorder.stop())
    assert run.recording().people == ()
    assert len(run.recording()) == 30


def test_without_a_frame_there_is_no_run_and_a_sentence(store: RunStore) -> None:
    folder = Recorder(store.folder, BLAZEPOSE_33, SIZE, MODEL).stop()
    with pytest.raises(RecordingError, match="holds no frame"):
        run_of(store, folder)
    assert store.runs() == []
    assert leftovers(store) == []


def test_a_stream_that_changes_its_size_stays_one_video(store: RunStore) -> None:
    recorder = Recorder(store.folder, BLAZEPOSE_33, (128, 96), MODEL)
    for number in range(20):
        small = number >= 10
        recorder.add_frame(black() if small else np.zeros((96, 128, 3), np.uint8), number / 30)
        pose = Told(squats(1)).update(black(), 0.0)
        recorder.add_poses(number / 30, pose, SIZE)
    run = run_of(store, recorder.stop())
    assert run.recording().people[0].image_size == (128, 96)
    truth = squats(1).people[0].xy_px[0]
    assert run.recording().people[0].xy_px[15] == pytest.approx(2 * truth, abs=0.01)


def test_the_worker_records_every_frame_and_the_poses_it_has(store: RunStore) -> None:
    worker = LiveWorker(lambda: Told(squats(2)))
    try:
        with pytest.raises(ValueError, match="start it first"):
            worker.start_recording(store.folder)
        for number in range(60):
            worker.offer(picture(number), 10 + number / 30)
            assert worker.drained()
            if number == 9:
                worker.start_recording(store.folder, name="live.mp4")
                with pytest.raises(ValueError, match="running already"):
                    worker.start_recording(store.folder)
                with pytest.raises(ValueError, match="stop it first"):
                    worker.change_model(Told)
        assert worker.state.recording_s is not None
        folder = worker.stop_recording()
        assert folder is not None
        run = run_of(store, folder)
        assert len(run.recording()) == 50
        assert run.recording().people[0].frames_seen == 50
    finally:
        worker.close()


class Slow(LivePanel):
    """Counts poses, takes its time, and looks again at the end."""

    title = "slow"

    def __init__(self) -> None:
        self.seen_s: list[float] = []
        self.said: tuple[float, ...] = ()

    def update(self, pose: LivePose) -> None:
        time.sleep(0.02)
        self.seen_s.append(pose.time_s)

    def finish(self) -> None:
        self.said = (self.seen_s[-1],)

    def reset(self) -> None:
        self.seen_s.clear()

    @property
    def reading(self) -> Reading:
        return Reading(turns_s=self.said)


def test_the_count_kept_is_of_everything_that_was_recorded(store: RunStore) -> None:
    panel = Slow()
    worker = LiveWorker(lambda: Told(squats(1)), PanelSet((panel,)))
    try:
        worker.offer(black(), 0.0)
        assert worker.drained()
        worker.start_recording(store.folder)
        for number in range(1, 41):
            worker.offer(black(), number / 20)
            while worker.state.processed <= number:  # the model keeps up, the analysis does not
                time.sleep(0.001)
        assert len(panel.seen_s) < 40
        folder = worker.stop_recording()
        assert folder is not None
        assert StoredRecording(folder).info.found["repetition_turns_s"] == [pytest.approx(2.0 - 0.05)]
        assert worker.stop_recording() is None
        worker.offer(black(), 3.0)
        assert worker.drained()
        assert panel.seen_s[-1] == 3.0, "the analyses go on after a recording"
    finally:
        worker.close()


def test_closing_the_worker_finishes_the_file(store: RunStore) -> None:
    worker = LiveWorker(lambda: Told(squats(1)))
    for number in range(30):
        worker.offer(black(), number / 30)
        assert worker.drained()
        if number == 4:
            worker.start_recording(store.folder)
    folder = worker.close()
    assert folder is not None
    assert [one.folder for one in leftovers(store)] == [folder]
    assert len(run_of(store, folder).recording()) == 25
    assert worker.offer(black(), 9.0) is False


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.pipeline.live.test_recordings import MODEL, SIZE, BLAZEPOSE_33, Recorder, Told, picture, squats, black
recorder = Recorder(Path(sys.argv[1]), BLAZEPOSE_33, SIZE, MODEL, name="killed.mp4", subject="Ada")
model, started, number = Told(squats(3)), time.monotonic(), 0
while True:
    now_s = time.monotonic() - started
    recorder.add_frame(picture(number), now_s)
    recorder.add_poses(now_s, model.update(black(), now_s), SIZE)
    number += 1
    print(now_s, flush=True)
    time.sleep(1 / 30)
"""


def test_a_killed_program_loses_a_second_at_the_most(store: RunStore) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.folder), str(ROOT)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    for line in process.stdout:
        last_s = float(line)
        if last_s > 3.5:
            break
    assert leftovers(store) == [], "a recording that somebody writes is not offered"
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    last_s = float(rest[-1]) if rest else last_s

    (left,) = leftovers(store)
    assert left.info.subject == "Ada"
    times_s = left.times_s()
    assert times_s[-1] > last_s - 1.0
    run = left.make_run(store)
    recording = run.recording()
    assert recording.time_s[-1] > last_s - 1.0 - 0.05
    assert recording.people[0].frames_seen > 0.6 * len(recording)
    assert leftovers(store) == []
    assert store.runs()[0].id == run.id
    assert run.source is not None
    assert len(list(read_frames(run.source))) == len(recording)


def test_a_file_cut_off_anywhere_gives_what_is_whole(store: RunStore) -> None:
    folder = record(store, [n / 30 for n in range(90)])
    video, poses = folder / "video.mp4", folder / "poses.jsonl"
    video.write_bytes(video.read_bytes()[:-700])
    poses.write_bytes(poses.read_bytes()[:-333])
    run = run_of(store, folder)
    recording = run.recording()
    assert 60 <= len(recording) <= 90
    assert run.source is not None
    assert len(list(read_frames(run.source))) == len(recording)


def test_a_damaged_beginning_is_a_sentence(store: RunStore) -> None:
    folder = record(store, [n / 30 for n in range(30)])
    (folder / "recording.json").write_text("{")
    with pytest.raises(RecordingError, match="damaged at its start"):
        run_of(store, folder)


def test_two_at_once_do_not_make_two_runs(store: RunStore) -> None:
    recorder = Recorder(store.folder, BLAZEPOSE_33, SIZE, MODEL)
    recorder.add_frame(black(), 0.0)
    with pytest.raises(RecordingError, match="still being written"):
        StoredRecording(recorder.folder).make_run(store)
    recorder.stop()


def test_a_store_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="Nothing can be recorded"):
        Recorder(tmp_path / "file", BLAZEPOSE_33, SIZE, MODEL)
