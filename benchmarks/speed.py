"""Frames a second end to end against rtmlib and MMPose's own inferencer, same weights: benchmarks/speed.md.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.speed [--frames 150] [--rounds 3] [--threads 2] [--keypoints rtmpose-t-actor]

Everybody reads the same files the way they read files, finds people with the same RTMDet-nano (private, KINOSCOPE_DATA)
and key points with the same RTMPose, and keeps the poses; nothing is drawn. Everybody gets the same number of threads.
Runs alternate within a round; medians of the rounds, after one that warms up. ``rtmlib`` tracks with the detector at
the pace of ours (twice a second) and in its plain loop detects in every frame; MMPose always does. The mirrored second
look of MMPose's config (flip_test) is off, as in the two others.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.people import table
from pipeline import settings
from pipeline.ahead import ReadAhead
from pipeline.estimation.export import export_entry, random_crops, weights_from_onnx
from pipeline.estimation.mmpose_models import MMDetDetector
from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx
from pipeline.estimation.registry import ModelEntry, config_path, entry
from pipeline.estimation.topdown import WORKING_POINTS, TopDownEstimator, suited
from pipeline.estimation.tracking import overlap
from pipeline.media import VideoWriter, probe, read_frames
from pipeline.poses import Array
from pipeline.skeletons import COCO_17
from pipeline.synthetic.actor import ActorSpec, ClipTruth, clip_truth, render_clip
from pipeline.synthetic.motions import Actor

HERE = Path(__file__).parent
MODELS = settings.data_dir() / "models"
DETECTOR = MODELS / "rtmdet_nano_person_end2end.onnx"
MEDIA = settings.data_dir() / "media"
PRIVATE = {
    "real, one person": "squat_front/sq_oblique_8reps.mp4",
    "real, one person walks": "adl/gmdcsa_s3_walk_sit_bed.mp4",
    "real, two people": "fall/office_two_people_one_falls.mp4",
}
DETECTOR_SIZE, KEYPOINT_SIZE = (320, 320), (192, 256)
GOAL_RTMLIB, GOAL_MMPOSE = 1.5, 5
MIN_DETECTION = 0.3  # rtmlib's and MMPose's threshold
MIN_PRESENCE = 0.0  # whoever is detected is followed: neither of the others asks how sure the key points are
OURS, OURS_PLAIN = "Kinoscope", "Kinoscope, detector in every frame"
TRACKER, PLAIN, MMPOSE = "rtmlib PoseTracker", "rtmlib plain loop", "MMPose inferencer"
Poses = list[Array]  # one (P, 17, 2) a frame
Runner = Callable[[Path], Poses]


@dataclass(frozen=True)
class Clip:
    """A clip of the benchmark; ``truth`` where it is rendered."""

    name: str
    path: Path
    truth: ClipTruth | None = None


def clips(folder: Path, frames: int) -> list[Clip]:
    """Rendered clips with one and two people, and the private ones where they are, cut to ``frames``."""
    pair = (Actor("squat", place_m=(-0.7, 0.0), seed=5), Actor("walk", place_m=(0.7, -0.3), seed=6))
    specs = {
        "rendered, one person": ActorSpec.one("squat", seed=400_001, view="oblique", duration_s=frames / 30),
        "rendered, two people": ActorSpec(pair, seed=400_002, duration_s=frames / 30),
    }
    made = []
    for number, (name, spec) in enumerate(specs.items()):
        path = folder / f"rendered-{number}.mp4"
        render_clip(spec, path)
        made.append(Clip(name, path, clip_truth(spec)))
    for name, place in PRIVATE.items():
        if (MEDIA / place).is_file():
            made.append(Clip(name, shortened(MEDIA / place, folder / f"{Path(place).stem}.mp4", frames)))
    return made


def shortened(source: Path, target: Path, frames: int) -> Path:
    """The first frames of a clip."""
    info = probe(source)
    with VideoWriter(target, (info.width, info.height), fps_hint=info.fps) as writer:
        for frame, _ in zip(read_frames(source), range(frames), strict=False):
            writer.write(frame.image, frame.time_s)
    return target


# --- who runs ---------------------------------------------------------------------------------------------------------


def our_runners(keypoints: Path, threads: int) -> dict[str, Runner]:
    """Following people as the program does, and a plain loop of the same networks."""
    detector = RTMDetOnnx(DETECTOR, DETECTOR_SIZE, name="rtmdet-nano", threads=threads)
    model = RTMPoseOnnx(keypoints, COCO_17, KEYPOINT_SIZE, threads=threads)
    parameters = replace(suited(WORKING_POINTS["balanced"], "rtmdet-nano"), min_presence=MIN_PRESENCE)
    estimator = TopDownEstimator(detector, model, parameters)

    def follow(clip: Path) -> Poses:
        estimator.reset()
        frames = ReadAhead(read_frames(clip))  # as inference reads
        return [stacked([p.xy_px for p in estimator.update(f.image, f.time_s)]) for f in frames]

    def plain(clip: Path) -> Poses:
        poses = []
        for frame in ReadAhead(read_frames(clip)):
            regions = [r for r in detector.detect(frame.image) if r.score >= MIN_DETECTION]
            poses.append(stacked([pose.xy_px for pose in model.keypoints(frame.image, regions)]))
        return poses

    return {OURS: follow, OURS_PLAIN: plain}


def rtmlib_runners(keypoints: Path, threads: int, detect_every_s: float) -> dict[str, Runner]:
    """rtmlib's tracker with the detector now and then, and its plain loop; empty where it is not installed."""
    try:
        from rtmlib import Custom, PoseTracker
    except ImportError:
        return {}
    solution = functools.partial(
        Custom, det_class="RTMDet", det=str(DETECTOR), det_input_size=DETECTOR_SIZE,
        pose_class="RTMPose", pose=str(keypoints), pose_input_size=KEYPOINT_SIZE,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        loop = solution(backend="onnxruntime", device="cpu")
        tracker = PoseTracker(solution, det_frequency=15, backend="onnxruntime", device="cpu")
    for model in (loop.det_model, loop.pose_model, tracker.det_model, tracker.pose_model):
        same_threads(model, threads)

    def track(clip: Path) -> Poses:
        tracker.reset()
        tracker.det_frequency = max(1, round(detect_every_s * probe(clip).fps))
        return [stacked(tracker(picture)[0]) for picture in pictures(clip)]

    return {TRACKER: track, PLAIN: lambda clip: [stacked(loop(picture)[0]) for picture in pictures(clip)]}


def same_threads(model: Any, threads: int) -> None:
    """A session with our number of threads and flushed denormals in place of rtmlib's own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.log_severity_level = 3
    model.session = onnxruntime.InferenceSession(model.onnx_model, options, providers=["CPUExecutionProvider"])


def pictures(clip: Path) -> Any:
    """Pictures in BGR, as rtmlib's own examples read them."""
    capture = cv2.VideoCapture(str(clip))
    while True:
        there, picture = capture.read()
        if not there:
            return
        yield picture


def mmpose_runner(model: ModelEntry, checkpoint: Path, folder: Path, threads: int) -> dict[str, Runner]:
    """MMPose's inferencer with MMDetection's RTMDet-nano, the same weights in both."""
    detector_weights = folder / "rtmdet-nano.pth"
    detector = MMDetDetector(config_path(entry("rtmdet-nano")))
    weights_from_onnx(detector.model, MODELS / "rtmdet_nano_raw_heads.onnx", DETECTOR_SIZE)
    torch.save({"state_dict": detector.model.state_dict()}, detector_weights)
    from mmpose.apis import MMPoseInferencer

    torch.set_num_threads(threads)
    with contextlib.redirect_stdout(io.StringIO()):
        inferencer = MMPoseInferencer(
            str(config_path(model)), str(checkpoint), det_model=str(config_path(entry("rtmdet-nano"))),
            det_weights=str(detector_weights), det_cat_ids=[0], device="cpu", show_progress=False,
        )  # fmt: skip
    inferencer.inferencer.model.test_cfg["flip_test"] = False

    def infer(clip: Path) -> Poses:
        results = inferencer(str(clip), return_vis=False, bbox_thr=MIN_DETECTION)
        return [stacked([person["keypoints"] for person in result["predictions"][0]]) for result in results]

    return {MMPOSE: infer}


def stacked(poses: Sequence[Any]) -> Array:
    """(P, 17, 2) of any number of poses."""
    return np.array([np.asarray(pose, dtype=np.float64) for pose in poses]).reshape(-1, len(COCO_17), 2)


# --- what is measured -------------------------------------------------------------------------------------------------


def rates(runners: dict[str, Runner], clip: Path, rounds: int) -> dict[str, list[float]]:
    """Frames a second of each, in alternating runs; the order turns by one from round to round."""
    found: dict[str, list[float]] = {name: [] for name in runners}
    names = list(runners)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            frames = len(runners[name](clip))
            if number:  # the first round warms up
                found[name].append(frames / (time.perf_counter() - started))
    return found


def accuracy(poses: Poses, truth: ClipTruth) -> float:
    """PCK@0.2 of the torso of the visible points, for each true person the nearest pose of the frame."""
    right = points = 0
    for person in truth.recording.people:
        coco = person.to(COCO_17)
        for xy_px, visible, found in zip(coco.xy_px, coco.score > 0, poses, strict=False):
            torso_px = np.linalg.norm(xy_px[[5, 6]].mean(axis=0) - xy_px[[11, 12]].mean(axis=0))
            points += int(visible.sum())
            if len(found):
                distance = np.linalg.norm(found - xy_px, axis=2)
                distance[np.isnan(distance)] = np.inf
                best = distance[np.argmin(np.median(distance, axis=1))]
                right += int((best[visible] <= 0.2 * torso_px).sum())
    return right / max(points, 1)


def same_boxes(clip: Path, threads: int) -> str:
    """Our detector's boxes and rtmlib's on the same frames: how many have a partner, and how far apart they are."""
    from rtmlib import RTMDet

    ours = RTMDetOnnx(DETECTOR, DETECTOR_SIZE, threads=threads)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = RTMDet(str(DETECTOR), model_input_size=DETECTOR_SIZE, score_thr=MIN_DETECTION)
    same_threads(theirs, threads)
    partners, count, others = [], 0, 0
    for frame in read_frames(clip):
        a = [r.box_px for r in ours.detect(frame.image) if r.score >= MIN_DETECTION]
        b = [np.asarray(box[:4], dtype=np.float64) for box in theirs(np.ascontiguousarray(frame.image[..., ::-1]))]
        count, others = count + len(a), others + len(b)
        partners += [best for box in a if (best := max((overlap(box, other) for other in b), default=0.0)) >= 0.5]
    median = f"{statistics.median(partners):.3f}" if partners else "-"
    return f"{count} ours, {others} theirs, {len(partners)} with a partner (IoU 0.5 or more; median IoU {median})"


def row(clip: Clip, found: dict[str, list[float]], runners: dict[str, Runner]) -> list[dict[str, Any]]:
    """The table's lines of one clip."""
    lines = []
    for name, each in found.items():
        lines.append(
            {
                "clip": clip.name,
                "who": name,
                "frames/s": f"{statistics.median(each):.1f}",
                "lowest to highest": f"{min(each):.1f} to {max(each):.1f}",
                "PCK@0.2": f"{accuracy(runners[name](clip.path), clip.truth):.3f}" if clip.truth else "",
            }
        )
    return lines


def ratios(found: dict[str, list[float]]) -> str:
    """Ours over rtmlib's best and over MMPose's own: medians of the rounds' ratios."""
    parts = []
    theirs = [name for name in (TRACKER, PLAIN) if name in found]
    if theirs:
        best = max(theirs, key=lambda name: statistics.median(found[name]))
        parts.append(f"{ratio(found[OURS], found[best]):.2f} times {best}")
        if PLAIN in found:
            plain = ratio(found[OURS_PLAIN], found[PLAIN])
            parts.append(f"detecting in every frame {plain:.2f} times {PLAIN}")
    if MMPOSE in found:
        parts.append(f"{ratio(found[OURS], found[MMPOSE]):.1f} times {MMPOSE}")
    return "; ".join(parts)


def what_limits(found: dict[str, dict[str, list[float]]], network_ms: float) -> str:
    """One sentence on the goal for clips with one person: where it is missed, by how much and why.

    Args:
        found: frames a second of everybody, by clip; those with one person only.
        network_ms: of the key-point network alone on one crop, which everybody runs alike.
    """
    goal = f"Goal with one person: {GOAL_RTMLIB} times rtmlib's best and {GOAL_MMPOSE} times MMPose's own"
    missed, frame_ms = [], []
    for clip, rates_of in found.items():
        rtmlib = [ratio(rates_of[OURS], rates_of[name]) for name in (TRACKER, PLAIN) if name in rates_of]
        mmpose = [ratio(rates_of[OURS], rates_of[MMPOSE])] if MMPOSE in rates_of else []
        short = [f"{value:.2f} times rtmlib" for value in sorted(rtmlib)[:1] if value < GOAL_RTMLIB]
        short += [f"{value:.1f} times MMPose" for value in mmpose if value < GOAL_MMPOSE]
        if short:
            missed.append(f"{clip} ({', '.join(short)})")
            frame_ms.append(1000 / statistics.median(rates_of[OURS]))
    if not missed:
        return f"{goal}; reached."
    return (
        f"{goal}; missed on {' and '.join(missed)}: what limits is the key-point network itself, {network_ms:.1f} of "
        f"our {statistics.median(frame_ms):.1f} ms a frame, which the others run too; only the rest can shrink."
    )


def network_time_ms(keypoints: Path, threads: int, runs: int = 40) -> float:
    """Median milliseconds of the key-point network on one crop."""
    network = RTMPoseOnnx(keypoints, COCO_17, KEYPOINT_SIZE, threads=threads)
    tensor, times = random_crops(network.input_size, 1), []
    for _ in range(runs):
        started = time.perf_counter()
        network.run(tensor)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[5:])


def ratio(first: list[float], second: list[float]) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(first, second, strict=True))


def main() -> None:
    """Measure and write ``speed.md``."""
    parser = argparse.ArgumentParser(description="Frames a second against rtmlib and MMPose.")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keypoints", default="rtmpose-t-actor")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the table's head")
    arguments = parser.parse_args()
    if not DETECTOR.is_file():
        raise SystemExit(f"The private detector is not in {MODELS}; set KINOSCOPE_DATA.")
    warnings.simplefilter("ignore")
    model = entry(arguments.keypoints)
    if model.checkpoint_path is None or not model.checkpoint_path.exists():
        raise SystemExit(f"{model.name} has no PyTorch weights here, which MMPose needs; choose another.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx = export_entry(model, config_path(model), model.checkpoint_path, folder / f"{model.name}.onnx").path
        runners = (
            our_runners(onnx, arguments.threads)
            | rtmlib_runners(onnx, arguments.threads, WORKING_POINTS["balanced"].detect_every_s)
            | mmpose_runner(model, model.checkpoint_path, folder, arguments.threads)
        )
        lines, summaries, with_one = [], [], {}
        for clip in clips(folder, arguments.frames):
            found = rates(runners, clip.path, arguments.rounds)
            lines += row(clip, found, runners)
            if "one person" in clip.name:
                with_one[clip.name] = found
            summaries.append(f"- {clip.name}: {ratios(found)}.")
            if clip.truth is None and TRACKER in runners:
                summaries.append(f"  Boxes detecting in every frame: {same_boxes(clip.path, arguments.threads)}.")
        limit = what_limits(with_one, network_time_ms(onnx, arguments.threads))
    text = f"""# Frames a second, end to end, with the same weights

Made by `python -m benchmarks.speed --frames {arguments.frames} --rounds {arguments.rounds} --threads \
{arguments.threads} --keypoints {arguments.keypoints}` on {platform.machine()}. RTMDet-nano (real weights) and
{model.title}. Reading the file, finding people, key points; nothing is drawn or written. Medians of {arguments.rounds}
alternating rounds. PCK@0.2 of the torso against the rendered clips' exact truth. The real clips are private test data;
this key-point model knows rendered people only, so they count for speed and boxes. {arguments.note}

{table(lines)}

Kinoscope is:

{chr(10).join(summaries)}

{limit}
"""
    (HERE / "speed.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
