"""How well a pose model sees the rendered actor: detection rate and key-point error per motion and view.

    python -m benchmarks.actor [--model blazepose|mediapipe] [--motions squat,lunge] [--seeds 0,1] [--no-file]

Writes benchmarks/actor.md. ``blazepose`` is the project's own estimator, ``mediapipe`` MediaPipe's own pipeline on the
same weights. Nothing but the installed packages is needed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.media import Frame
from pipeline.poses import Array
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth
from pipeline.synthetic.motions import MOTIONS

HERE = Path(__file__).parent
VIEWS = ("front", "oblique", "side")
FPS = 15.0
JOINTS = [
    BLAZEPOSE_33.index(joint)
    for joint in (
        *(
            f"{side}_{name}"
            for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
            for side in ("left", "right")
        ),
        *("nose", "left_ear", "right_ear"),
    )
]
Detect = Callable[[Sequence[Frame]], Array]


def detect_blazepose(frames: Sequence[Frame]) -> Array:
    """(T, 33, 2) pixels by the project's estimator, NaN where nobody was seen."""
    from pipeline.estimation.topdown import create_blazepose

    people = create_blazepose().estimate(frames).people
    seen = np.full((len(frames), 33, 2), np.nan)
    for person in sorted(people, key=lambda person: person.frames_seen):  # who was seen most has the last word
        seen[person.seen] = person.xy_px[person.seen]
    return seen


def detect_mediapipe(frames: Sequence[Frame]) -> Array:
    """(T, 33, 2) pixels by MediaPipe's own pipeline, NaN where nobody was seen."""
    import mediapipe

    seen = np.full((len(frames), 33, 2), np.nan)
    with mediapipe.solutions.pose.Pose(model_complexity=1) as pose:
        for number, frame in enumerate(frames):
            height, width = frame.image.shape[:2]
            found = pose.process(frame.image).pose_landmarks
            if found is not None:
                seen[number] = [(point.x * width - 0.5, point.y * height - 0.5) for point in found.landmark]
    return seen


DETECTORS: dict[str, Detect] = {"blazepose": detect_blazepose, "mediapipe": detect_mediapipe}


def spec_of(motion: str, view: str, seed: int) -> ActorSpec:
    """Two repetitions of a motion, or four steps of a walk."""
    return ActorSpec.one(motion, repetitions=4 if motion == "walk" else 2, view=view, seed=seed, fps=FPS)


def measure(motion: str, view: str, seed: int, detect: Detect) -> tuple[Array, Array]:
    """(T,) whether the person was seen, and (T, 15) error of limbs, nose and ears as a share of body height.

    The body height in pixels is the true one at the person's distance. Joints outside the picture don't count (NaN).
    """
    spec = spec_of(motion, view, seed)
    person = clip_truth(spec).recording.people[0]
    frames = [Frame(number, time_s, image) for number, (image, time_s) in enumerate(clip_frames(spec))]
    found = detect(frames)
    camera, root = spec.viewpoint, person.root_m
    assert root is not None
    tilt = np.radians(camera.pitch_deg)
    distance = (camera.distance_m - root[:, 2]) * np.cos(tilt) + (camera.height_m - root[:, 1]) * np.sin(tilt)
    height_px = camera.focal_px * spec.actors[0].build.height_m / distance
    error = np.linalg.norm(found - person.xy_px, axis=2) / height_px[:, None]
    error[person.score == 0] = np.nan
    return np.isfinite(found).all(axis=(1, 2)), error[:, JOINTS]


def table(motions: Sequence[str], seeds: Sequence[int], detect: Detect) -> list[str]:
    """Rows of the Markdown table."""
    rows = [
        "| motion | " + " | ".join(f"{view}: found, median (p90) error" for view in VIEWS) + " |",
        "| --- |" + " --- |" * len(VIEWS),
    ]
    for motion in motions:
        cells = []
        for view in VIEWS:
            results = [measure(motion, view, seed, detect) for seed in seeds]
            seen = np.concatenate([result[0] for result in results])
            error = 100 * np.concatenate([result[1] for result in results])
            known = error[np.isfinite(error)]
            spread = f"{np.median(known):.1f} % ({np.percentile(known, 90):.1f} %)" if len(known) else "none"
            cells.append(f"{100 * seen.mean():.1f} %, {spread}")
        rows.append(f"| {motion}{' (floor)' if MOTIONS[motion].on_floor else ''} | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return rows


def drawing_rate(frames: int = 60) -> float:
    """Frames a second of processor time, drawing alone on one thread, 640x480 (other processes do not count)."""
    cv2.setNumThreads(1)
    pictures = clip_frames(ActorSpec.one("squat", seed=1))
    next(pictures)
    start = time.process_time()
    for _ in range(frames):
        next(pictures)
    return frames / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(DETECTORS), default="blazepose")
    parser.add_argument("--motions", default=",".join(MOTIONS))
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--no-file", action="store_true", help="print only")
    arguments = parser.parse_args()
    motions, seeds = arguments.motions.split(","), [int(seed) for seed in arguments.seeds.split(",")]
    rows = table(motions, seeds, DETECTORS[arguments.model])
    text = "\n".join(
        [
            "# The rendered actor as a pose model sees it",
            "",
            f"Made by `python -m benchmarks.actor --model {arguments.model} --motions {arguments.motions} "
            f"--seeds {arguments.seeds}`.",
            "",
            "Found: share of all frames in which the person was found. Error: distance to the projected true joint "
            "(12 limb joints, nose, ears), as a share of the body height in the picture, over all frames in which the "
            "person was found. Two repetitions a clip at 15 frames a second, 640x480.",
            "",
            *rows,
            "",
            f"Drawing alone: {drawing_rate():.0f} frames a second of processor time at 640x480 on one thread.",
            "",
        ]
    )
    print(text)
    if not arguments.no_file:
        (HERE / "actor.md").write_text(text)


if __name__ == "__main__":
    main()
