"""The networks' shapes, the shipped weights, segments, and the stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from pipeline.networks.motion import MotionClassifier
from pipeline.networks.tcn import TcnClassifier, TemporalConvolutions
from pipeline.poses import PoseSequence, Recording
from pipeline.recognition.classes import CLASSES, EXERCISES, UNKNOWN, RecognitionError
from pipeline.recognition.export import export_onnx, onnx_probabilities, quantize
from pipeline.recognition.live import LiveRecognition
from pipeline.recognition.recognizer import (
    NETWORKS,
    Calibration,
    Recognizer,
    build,
    inputs,
    installed,
    shipped,
    softmax,
)
from pipeline.recognition.segments import PRICE, Timeline, decided, decode, recognize, segments
from pipeline.recognition.windows import HOP, RATE_HZ, WINDOW, cut, on_clock, window_centres
from pipeline.skeletons import BLAZEPOSE_33, COCO_17
from pipeline.synthetic.motions import Actor
from tests.pipeline.recognition.people import filmed

UNKNOWN_NUMBER = CLASSES.index(UNKNOWN)


@pytest.fixture(scope="module")
def squats() -> PoseSequence:
    return filmed(Actor("squat", 4, seed=4, lead_in_s=2.5, lead_out_s=2.5))


@pytest.fixture(scope="module")
def windows(squats: PoseSequence) -> np.ndarray:
    clock = on_clock(squats)
    return cut(clock, window_centres(clock.first, clock.first + len(clock.points) - 1))


def test_the_baselines_stack_has_the_parameters_of_the_floor() -> None:
    assert sum(p.numel() for p in TemporalConvolutions().parameters()) == 298_688
    net = TcnClassifier(len(CLASSES))
    assert net.dense.out_features == 128
    assert net(torch.zeros(2, 34, 189)).shape == (2, len(CLASSES))


def test_the_stack_is_causal_and_reaches_over_the_whole_window() -> None:
    torch.manual_seed(0)
    stack = TemporalConvolutions(dropout=0.0).eval()
    values = torch.randn(1, 189, 34)
    values.requires_grad_(True)
    stack(values).sum().backward()
    assert values.grad is not None and (values.grad[0, :, 0].abs().sum() > 0)
    block = stack.blocks[3].eval()
    late = values.detach().clone()
    wide = torch.randn(1, 64, 34)
    other = wide.clone()
    other[..., 20:] += 1.0
    assert torch.equal(block(wide)[0][..., :20], block(other)[0][..., :20])
    assert late.shape == (1, 189, 34)


def test_missing_features_count_as_the_mean() -> None:
    torch.manual_seed(0)
    net = TcnClassifier(3).eval()
    net.mean.fill_(0.7)
    gone = torch.rand(2, 34, 189)
    same = gone.clone()
    gone[:, :, 5] = torch.nan
    same[:, :, 5] = 0.7
    assert_allclose(net(gone).detach(), net(same).detach(), atol=1e-6)


def test_the_better_network_does_not_look_at_what_is_missing() -> None:
    torch.manual_seed(0)
    net = MotionClassifier(4).eval()
    places = torch.rand(1, WINDOW, 13, 2)
    places[:, 40:] = torch.nan
    answer = net(places)
    assert torch.isfinite(answer).all()
    assert torch.isfinite(net(torch.full((1, WINDOW, 13, 2), torch.nan))).all()
    assert sum(p.numel() for p in net.parameters()) < 1_000_000


@pytest.mark.parametrize("network", installed())
def test_shipped_networks_load_and_give_probabilities(network: str, windows: np.ndarray) -> None:
    recognizer = shipped(network)
    chances = recognizer.probabilities(windows)
    assert recognizer.classes == CLASSES
    assert_allclose(chances.sum(axis=1), 1)
    assert chances[0, :-1].max() < recognizer.calibration.named_from  # half of the window is before the clip
    assert recognizer.probabilities(windows[:0]).shape == (0, len(CLASSES))


def test_who_holds_still_is_at_most_as_likely_to_exercise_as_not(windows: np.ndarray) -> None:
    recognizer = shipped()
    sure = windows[recognizer.probabilities(windows)[:, 0] > 0.9]
    frozen = np.repeat(sure[:, 20:21], WINDOW, axis=1)
    found = recognizer.probabilities(frozen)
    assert len(sure) > 5 and (found[:, -1] >= 0.5 - 1e-9).all()
    assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("exercise", list(EXERCISES))
def test_the_actors_exercises_are_recognised(exercise: str) -> None:
    """Motions, speeds and cameras that no training has seen; a side that shows the movement."""
    right = 0
    for seed, yaw_deg in ((901, 40.0), (902, 60.0), (903, 70.0), (904, -50.0)):
        found = recognize(filmed(Actor(exercise, 4, seed=seed), yaw_deg=yaw_deg), count=False)
        right += found.main() == exercise
    assert right >= 3


@pytest.mark.parametrize(
    "motion", ["walk", "stand", "pick_up", "tie_shoes", "fall_forward", "fall_sideways", "lie_down"]
)
def test_daily_life_and_falls_stay_unnamed(motion: str) -> None:
    for seed in (911, 912):
        found = recognize(filmed(Actor(motion, 3, seed=seed), yaw_deg=50.0), count=False)
        assert sum(segment.duration_s for segment in found.segments) < 1.5


def test_a_segment_tells_when_how_often_and_what_else(squats: PoseSequence) -> None:
    found = recognize(squats)
    (segment,) = found.segments
    plan = Actor("squat", 4, seed=4, lead_in_s=2.5, lead_out_s=2.5).plan
    assert segment.exercise == "squat"
    assert segment.start_s == pytest.approx(plan[0].start_s, abs=0.5)
    assert segment.end_s == pytest.approx(plan[-1].end_s, abs=0.5)
    assert segment.repetitions == 4
    assert segment.confidence > 0.7
    assert segment.runner_up != "squat"
    document = found.to_json()
    assert set(document["segments"][0]) >= {"start_s", "end_s", "exercise", "confidence", "repetitions", "person"}
    assert json.loads(json.dumps(document)) == document


def test_a_mirror_image_gets_the_same_answer(squats: PoseSequence) -> None:
    straight, reflected = recognize(squats, count=False), recognize(squats.mirrored(), count=False)
    assert_allclose(reflected.timelines[0].chances, straight.timelines[0].chances, atol=1e-3)


@pytest.mark.parametrize("change", ["zoom", "10 fps", "60 fps", "coco"])
def test_zoom_frame_rate_and_skeleton_do_not_change_the_answer(squats: PoseSequence, change: str) -> None:
    actor = Actor("squat", 4, seed=4, lead_in_s=2.5, lead_out_s=2.5)
    other = {
        "zoom": lambda: replace(squats, xy_px=squats.xy_px * 0.31 + 40),
        "10 fps": lambda: filmed(actor, 10),
        "60 fps": lambda: filmed(actor, 60),
        "coco": lambda: squats.to(COCO_17),
    }[change]()
    first, second = recognize(squats), recognize(other)
    assert [s.exercise for s in second.segments] == [s.exercise for s in first.segments]
    assert second.segments[0].start_s == pytest.approx(first.segments[0].start_s, abs=0.6)


def test_several_people_have_segments_of_their_own(squats: PoseSequence) -> None:
    standing = filmed(Actor("stand", seed=3), seconds=float(squats.time_s[-1]) + 0.01)
    recording = Recording((replace(squats, person=1), replace(standing.select(slice(0, len(squats))), person=2,
                           time_s=squats.time_s)), squats.time_s)  # fmt: skip
    found = recognize(recording)
    assert [segment.person for segment in found.segments] == [1]
    assert found.main(1) == "squat" and found.main(2) == UNKNOWN
    assert recognize(recording, 2).segments == ()
    with pytest.raises(RecognitionError, match="no person 7"):
        recognize(recording, 7)


def test_nobody_and_no_frames_are_ordinary() -> None:
    assert recognize(PoseSequence.empty(BLAZEPOSE_33)).segments == ()
    assert recognize(Recording.empty()).main() == UNKNOWN
    unseen = PoseSequence.empty(BLAZEPOSE_33, (640, 480), 0, np.arange(90) / 30)
    found = recognize(unseen)
    assert found.segments == () and (found.timelines[0].state == UNKNOWN_NUMBER).all()
    assert recognize(unseen.select(slice(0, 1))).segments == ()


def test_hysteresis_outlasts_a_slip_and_follows_a_change() -> None:
    chances = np.full((20, len(CLASSES)), 0.01)
    chances[:10, 0] = chances[10:, 1] = 0.9
    chances[4, [0, 2]] = 0.2, 0.7
    assert list(decode(chances, 0.6, PRICE)) == [0] * 10 + [1] * 10


def test_an_exercise_must_reach_the_threshold_and_earn_its_beginning_and_end() -> None:
    chances = np.zeros((40, len(CLASSES)))
    chances[:, 3], chances[:, -1] = 0.72, 0.28
    assert (decode(chances, 0.6, PRICE) == 3).all()
    assert (decode(chances, 0.8, PRICE) == UNKNOWN_NUMBER).all()
    assert (decode(chances[:8], 0.6, PRICE) == UNKNOWN_NUMBER).all()  # log odds of 8 x 0.54 are less than 2 x 4
    assert (decode(chances[:8], 0.6, 1.0) == 3).all()
    assert len(decode(chances[:0], 0.5, PRICE)) == 0


def test_repetitions_speak_for_an_exercise_that_is_not_sure() -> None:
    """What is only likelier than nothing stands where the counter finds repetitions, and the counter is asked there."""
    chances = np.zeros((40, len(CLASSES)))
    chances[:, -1] = 1.0
    chances[10:25, [2, UNKNOWN_NUMBER]] = 0.7, 0.3
    time_s = np.arange(40) * HOP / RATE_HZ
    asked: list[tuple[float, float]] = []

    def counter(found: int) -> Callable[[float, float], int]:
        def count(start_s: float, end_s: float) -> int:
            asked.append((start_s, end_s))
            return found

        return count

    calibration = Calibration("motion", named_from=0.9, once_from=0.8, repeated_from=0.5)
    assert (decided(chances, time_s, calibration, counter(1)) == UNKNOWN_NUMBER).all()
    once = decided(chances, time_s, replace(calibration, once_from=0.6), counter(1))
    assert list(np.flatnonzero(once == 2)) == list(range(10, 25))
    repeated = decided(chances, time_s, calibration, counter(2))
    assert list(np.flatnonzero(repeated == 2)) == list(range(10, 25))
    ((start_s, end_s),) = set(asked)
    assert (start_s, end_s) == pytest.approx((time_s[10] - HOP / RATE_HZ / 2, time_s[24] + HOP / RATE_HZ / 2))
    chances[10:25, [2, UNKNOWN_NUMBER]] = 0.99, 0.01
    assert (decided(chances, time_s, calibration, counter(0))[10:25] == 2).all()  # sure without repetitions


def test_what_is_very_short_is_a_slip() -> None:
    state = np.full(9, UNKNOWN_NUMBER)
    state[4:6] = 0
    line = Timeline(0, CLASSES, np.arange(9) * HOP / RATE_HZ, np.full((9, len(CLASSES)), 1 / 11), state)
    ends = PoseSequence.empty(BLAZEPOSE_33, (1, 1), 0, np.array([0.0, 9.0]))
    assert segments(line, ends, count=False) == []
    state[4:8] = 0
    (one,) = segments(line, ends, count=False)
    assert one.duration_s == pytest.approx(4 * HOP / RATE_HZ)


@pytest.mark.parametrize("fps", [30.0, 12.5])
def test_frame_by_frame_gives_the_batch_answer(fps: float) -> None:
    sequence = filmed(Actor("squat", 4, seed=4, lead_in_s=2.5, lead_out_s=2.5), fps)
    sequence = replace(sequence, time_s=sequence.time_s + 3.21)
    live = LiveRecognition(sequence.skeleton, sequence.image_size)
    told = [
        live.update(xy, score, t) for xy, score, t in zip(sequence.xy_px, sequence.score, sequence.time_s, strict=True)
    ]
    live.finish()
    batch = recognize(sequence, count=False)
    assert_allclose(live.timeline.time_s, batch.timelines[0].time_s)
    assert_allclose(live.timeline.chances, batch.timelines[0].chances, atol=1e-5)
    assert [(s.exercise, round(s.start_s, 6), round(s.end_s, 6)) for s in live.segments] == [
        (s.exercise, round(s.start_s, 6), round(s.end_s, 6)) for s in batch.segments
    ]
    assert [name for name in told if name][:1] == ["squat"]


def test_the_stream_and_the_batch_agree_where_repetitions_decide() -> None:
    """With a threshold that nothing reaches alone, only the counter can speak for the squats."""
    sequence = filmed(Actor("squat", 4, seed=4, lead_in_s=2.5, lead_out_s=2.5))
    strict = Recognizer(shipped().network, replace(shipped().calibration, named_from=0.9999))
    live = LiveRecognition(sequence.skeleton, sequence.image_size, recognizer=strict)
    told = [
        live.update(xy, score, t) for xy, score, t in zip(sequence.xy_px, sequence.score, sequence.time_s, strict=True)
    ]
    live.finish()
    batch = recognize(sequence, recognizer=strict, count=False)
    assert [s.exercise for s in batch.segments] == ["squat"] == [name for name in told if name][:1]
    assert list(live.timeline.state) == list(batch.timelines[0].state)
    none = replace(strict.calibration, once_from=0.9999, repeated_from=0.9999)
    assert recognize(sequence, recognizer=Recognizer(strict.network, none), count=False).segments == ()


def test_the_stream_says_so_when_the_exercise_ends_and_can_begin_again() -> None:
    sequence = filmed(Actor("jumping_jack", 8, seed=5, lead_out_s=7.0))
    live = LiveRecognition(sequence.skeleton, sequence.image_size)
    for xy, score, t in zip(sequence.xy_px, sequence.score, sequence.time_s, strict=True):
        live.update(xy, score, t)
    assert live.current == UNKNOWN
    assert [s.exercise for s in live.segments] == ["jumping_jack"]
    with pytest.raises(ValueError, match="time_s must increase"):
        live.update(sequence.xy_px[0], sequence.score[0], 0.0)
    with pytest.raises(ValueError, match="33"):
        live.update(sequence.xy_px[0, :5], sequence.score[0], 99.0)
    live.reset()
    assert live.segments == () and live.finish() is None and live.confidence == 0.0


def test_onnx_and_eight_bits_answer_like_the_network(tmp_path: Path, windows: np.ndarray) -> None:
    recognizer = shipped()
    onnx = export_onnx(recognizer, tmp_path / "net.onnx")
    assert_allclose(
        onnx_probabilities(recognizer, onnx, windows),
        softmax(recognizer.logits(windows) / recognizer.calibration.temperature),
        atol=1e-4,
    )
    small = quantize(onnx, tmp_path / "net-int8.onnx", inputs(recognizer.name, windows))
    assert small.stat().st_size < 0.6 * onnx.stat().st_size
    eight = onnx_probabilities(recognizer, small, windows)
    assert (eight.argmax(axis=1) == recognizer.logits(windows).argmax(axis=1)).mean() > 0.85


def test_missing_or_damaged_weights_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecognitionError, match="no recognition network 'best'"):
        Recognizer.load("best")
    with pytest.raises(RecognitionError, match="cannot be read"):
        Recognizer.load("motion", tmp_path)
    (tmp_path / "recognition-motion.json").write_text(json.dumps(Calibration("motion").to_json()))
    (tmp_path / "recognition-motion.safetensors").write_bytes(b"no weights")
    with pytest.raises(RecognitionError, match="restore recognition-motion"):
        Recognizer.load("motion", tmp_path)


def test_the_better_network_is_shipped_and_the_first_choice(tmp_path: Path) -> None:
    assert installed()[0] == "motion" and set(installed()) <= set(NETWORKS)
    assert installed(tmp_path) == ()


def test_a_network_of_another_name_is_refused() -> None:
    with pytest.raises(RecognitionError, match="choose one of: motion, tcn"):
        build("transformer")
