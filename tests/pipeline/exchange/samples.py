"""Files as other programs write them, made of poses that are known."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.exchange.markers import OPENPOSE_25
from pipeline.poses import Array, PoseSequence, Recording
from pipeline.skeletons import COCO_17, HALPE_26
from pipeline.synthetic.actor import ActorSpec, clip_truth

FPS = 30.0
SIZE = (640, 480)
COUNT = 3


@lru_cache(maxsize=4)
def squats(view: str = "right") -> Recording:
    """Three squats of the rendered actor, exact."""
    return clip_truth(ActorSpec.one("squat", repetitions=COUNT, view=view, size=SIZE, fps=FPS, seed=3)).recording


def person() -> PoseSequence:
    """The one who squats."""
    return squats().people[0]


def true_place(sequence: PoseSequence, joint: str) -> Array:
    """(T, 3) metres of a joint, with the way of the hips."""
    assert sequence.xyz_m is not None
    assert sequence.root_m is not None
    return np.asarray(sequence.xyz_m[:, sequence.skeleton.index(joint)] + sequence.root_m)


def mmpose(sequence: PoseSequence, *, first: int = 1, tracked: bool = False) -> dict[str, Any]:
    """``results_*.json`` of MMPose's demos: the box is a list in a list there, frames count from 1."""
    body = sequence.to(COCO_17)
    frames = []
    for number in range(len(body)):
        instances: list[dict[str, Any]] = []
        if np.isfinite(body.xy_px[number]).all():
            instance: dict[str, Any] = {
                "keypoints": body.xy_px[number].tolist(),
                "keypoint_scores": [1.3] * 17,  # SimCC scores exceed 1
                "bbox": [[0, 0, 10, 10]],
                "bbox_score": 0.9,
            }
            instances = [instance | ({"track_id": 7} if tracked else {})]
        frames.append({"frame_id": number + first, "instances": instances})
    return {"meta_info": {"dataset_name": "coco"}, "instance_info": frames}


def openpose(sequence: PoseSequence, folder: Path) -> Path:
    """A folder of ``clip_000000000012_keypoints.json``; what was not seen is 0, 0, 0."""
    body = sequence.to(HALPE_26)
    folder.mkdir()
    for number in range(len(body)):
        points: list[float] = []
        for joint in OPENPOSE_25:
            x, y = body[joint][number]
            points += [float(x), float(y), 0.8] if np.isfinite(x) else [0, 0, 0]
        document = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": points}]}
        (folder / f"clip_{number:012d}_keypoints.json").write_text(json.dumps(document))
    return folder


def alphapose(sequence: PoseSequence) -> list[dict[str, Any]]:
    """``alphapose-results.json`` with tracking, 26 points."""
    body = sequence.to(HALPE_26)
    entries = []
    for number in range(len(body)):
        points = np.concatenate([np.nan_to_num(body.xy_px[number], nan=5.0), np.full((26, 1), 0.7)], axis=1)
        points[np.isnan(body.xy_px[number]).any(axis=1), 2] = -1.0
        entry = {"image_id": f"{number}.jpg", "category_id": 1, "keypoints": points.ravel().tolist(), "score": 2.9}
        entries.append(entry | {"idx": 4, "box": [0, 0, 1, 1]})
    return entries


def mediapipe_wide(sequence: PoseSequence, *, first: int = 0) -> str:
    """One row a frame, x0,y0,z0,v0 ..., shares of the picture."""
    shares = sequence.xy_px / sequence.image_size
    head = ["frame"] + [f"{name}{n + first}" for n in range(33) for name in "xyzv"]
    lines = [",".join(head)]
    for number, row in enumerate(shares):
        cells = [f"{x:.6f},{y:.6f},-0.1,0.9" if np.isfinite(x) else ",,," for x, y in row]
        lines.append(f"{number}," + ",".join(cells))
    return "\n".join(lines) + "\n"


def mediapipe_long(sequence: PoseSequence) -> str:
    """One row a landmark, named, with a time in milliseconds and world coordinates (y down, z away)."""
    assert sequence.xyz_m is not None
    lines = ["frame,timestamp_ms,landmark,x,y,visibility,world_x,world_y,world_z"]
    for number, time_s in enumerate(sequence.time_s):
        for place, joint in enumerate(sequence.skeleton.joints):
            x, y = sequence.xy_px[number, place]
            wx, wy, wz = sequence.xyz_m[number, place] * (1, -1, -1)
            values = f"{x:.3f},{y:.3f},0.95,{wx:.5f},{wy:.5f},{wz:.5f}"
            lines.append(f"{number},{1000 * time_s:.3f},{joint.upper()},{values}")
    return "\n".join(lines) + "\n"


def mediapipe_named(sequence: PoseSequence) -> str:
    """One row a frame, left_knee_x ..., pixels, separated by semicolons."""
    joints = ["nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee"]
    joints += ["left_ankle", "right_ankle"]
    lines = [";".join(f"{joint}_{part}" for joint in joints for part in ("x", "y", "visibility"))]
    for number in range(len(sequence)):
        cells = []
        for joint in joints:
            x, y = sequence[joint][number]
            cells.append(f"{x:.2f};{y:.2f};1")
        lines.append(";".join(cells))
    return "\n".join(lines) + "\n"


def write(path: Path, document: Any) -> Path:
    """A document as JSON, text as text."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path
