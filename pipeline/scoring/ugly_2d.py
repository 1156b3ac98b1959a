"""The ugly-2D gate: are these key points good enough to go on, and if not, where and why?

A network looks at windows of five frames, at the pictures around the person and at the poses with their confidences. It
was trained on clips whose true key points are known, and says ``goodness``, the probability that the error is at most a
tenth of the torso's length, and ``confidence``, the expected share of key points for which that is so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import Frame
from pipeline.networks.ugly_2d_shape import CROP, GOOD, LEVELS
from pipeline.poses import Array, PoseSequence
from pipeline.scoring.lift import LiftError
from pipeline.scoring.pose_windows import Samples, clip_torso_px, samples, window_frames
from pipeline.scoring.verdict import Verdict
from pipeline.settings import PROJECT_DIR
from pipeline.skeletons import KINECT_13

WORST = 3  # windows told for each measure
BLOCKS: dict[str, tuple[str, ...]] = {
    "top left": ("left_shoulder", "left_elbow", "left_hand"),
    "top right": ("right_shoulder", "right_elbow", "right_hand"),
    "bottom left": ("left_hip", "left_knee", "left_foot"),
    "bottom right": ("right_hip", "right_knee", "right_foot"),
}
NEIGHBOURS = 0.5  # weight of the windows before and after in a window's answer


@dataclass(frozen=True)
class GateParameters:
    """When the gate refuses, and what its advice goes by.

    least_goodness: of the whole clip, the floor's threshold.
    least_confidence: of the whole clip, the floor's threshold.
    least_seen: share of the frames in which the person must be found.
    dark: mean grey value (0..255) under which the light is too poor.
    blurred: contrast of neighbouring pixels (standard deviation of the Laplacian) under which the picture is soft.
    small_px: the body's height in pixels under which there are too few to see joints.
    cut_off: share of the frames with joints at or over the picture's edge above which the person is cut off.
    unsteady: jitter (see ``Window``) above which key points jump about.
    """

    least_goodness: float = 0.5
    least_confidence: float = 0.3
    least_seen: float = 0.6
    dark: float = 45.0
    blurred: float = 3.0
    small_px: float = 110.0
    cut_off: float = 0.25
    unsteady: float = 0.06


@dataclass(frozen=True)
class Window:
    """Half a second of the clip.

    start_s, end_s; goodness and confidence: of the network; pose_confidence: the pose model's own, mean of the joints;
    jitter: how far joints are off a straight path from frame to frame, in torso lengths (median joint).
    """

    start_s: float
    end_s: float
    goodness: float
    confidence: float
    pose_confidence: float
    jitter: float


Gate = Callable[[Samples], Array]


def judge(
    sequence: PoseSequence,
    frames: Iterable[Frame] | None = None,
    parameters: GateParameters | None = None,
    gate: Gate | None = None,
) -> Verdict:
    """Whether the key points are good enough, with diagnostics.

    Args:
        sequence: the poses of one person; frames: the clip's pictures (``media.read_frames``), or None.
        parameters: thresholds; gate: None takes the shipped network.

    Returns:
        ``ok``; ``reasons`` with advice in plain words; ``measurements`` with goodness, confidence, thresholds,
        "blocks" (confidence and jitter of four parts of the body), "windows" (all), "worst_by_confidence" and
        "worst_by_jitter" (with times in seconds).

    Raises:
        LiftError: the weights are missing.
    """
    limits = parameters or GateParameters()
    flat = sequence.to(KINECT_13)
    seen_share = float((np.isfinite(flat.xy_px).all(axis=2).sum(axis=1) >= 7).mean()) if len(flat) else 0.0
    measured: dict[str, Any] = {"seen_share": seen_share, "thresholds": asdict(limits)}
    if seen_share == 0:
        reason = "Nobody was found in this clip: film one person with the whole body in view, in good light."
        return Verdict(False, (reason,), measured | {"goodness": 0.0, "confidence": 0.0, "windows": []})
    found = samples(sequence, frames)
    answer = (gate or shipped())(found)
    answer[found.seen.mean(axis=1) < 0.6] = 0.0  # windows in which the person is mostly not there
    windows = described(flat, answer)
    goodness, confidence = (float(value) for value in answer.mean(axis=0))
    measured |= {
        "goodness": goodness,
        "confidence": confidence,
        "judged_with_pictures": bool(found.has_pictures.any()),
        "blocks": blocks(flat),
        "windows": [asdict(window) for window in windows],
        "worst_by_confidence": [asdict(w) for w in sorted(windows, key=lambda w: w.confidence)[:WORST]],
        "worst_by_jitter": [asdict(w) for w in sorted(windows, key=lambda w: -np.nan_to_num(w.jitter))[:WORST]],
        **picture_measures(found),
        **body_measures(flat),
    }
    ok = (
        goodness >= limits.least_goodness
        and confidence >= limits.least_confidence
        and seen_share >= limits.least_seen
    )  # fmt: skip
    return Verdict(ok, () if ok else reasons(measured, limits), measured)


def jitter(xy_px: Array, time_s: Array, torso: float) -> Array:
    """(T, 13) distance of each point from the middle of its neighbours in time, in torso lengths; NaN at the ends.

    Neighbours are a tenth of a second away (interpolated), so that the number does not depend on the frame rate.
    """
    off = np.full(xy_px.shape[:2], np.nan)
    if len(time_s) < 3 or not torso > 0:
        return off
    for joint in range(xy_px.shape[1]):
        known = np.isfinite(xy_px[:, joint]).all(axis=1)
        if known.sum() < 3:
            continue
        times = time_s[known]
        both = [
            np.stack([np.interp(time_s + d, times, xy_px[known, joint, axis], np.nan, np.nan) for axis in (0, 1)], 1)
            for d in (-0.1, 0.1)
        ]
        off[:, joint] = np.linalg.norm(xy_px[:, joint] - (both[0] + both[1]) / 2, axis=1) / torso
    return off


def described(flat: PoseSequence, answer: Array) -> list[Window]:
    """The windows of a clip with the network's answer (N, 2) and what the poses themselves say."""
    windows = window_frames(flat.time_s)
    torso = clip_torso_px(flat)
    off = jitter(flat.xy_px, flat.time_s, torso)
    found = []
    for frames, (goodness, confidence) in zip(windows, answer, strict=True):
        span = slice(int(frames[0]), int(frames[-1]) + 1)
        found.append(
            Window(
                float(flat.time_s[span.start]),
                float(flat.time_s[span.stop - 1]),
                float(goodness),
                float(confidence),
                _mean(np.nan_to_num(flat.score[span])),
                _median(off[span]),
            )
        )
    return found


def blocks(flat: PoseSequence) -> dict[str, dict[str, float]]:
    """Confidence and jitter of the four parts of the body: {"top left": {"confidence", "jitter", "seen"}, ...}."""
    off = jitter(flat.xy_px, flat.time_s, clip_torso_px(flat))
    answer = {}
    for name, joints in BLOCKS.items():
        rows = [KINECT_13.index(joint) for joint in joints]
        known = np.isfinite(flat.xy_px[:, rows]).all(axis=2)
        answer[name] = {
            "confidence": _mean(np.where(known, np.nan_to_num(flat.score[:, rows]), 0.0)),
            "jitter": _median(off[:, rows]),
            "seen": _mean(known.astype(np.float64)),
        }
    return answer


def picture_measures(found: Samples) -> dict[str, float]:
    """Brightness (0..255) and sharpness of the crops; nothing without pictures."""
    crops = found.crops[found.has_pictures].reshape(-1, CROP, CROP)
    if not len(crops):
        return {}
    sharp = [float(cv2.Laplacian(picture, cv2.CV_32F).std()) for picture in crops[:: max(1, len(crops) // 40)]]
    return {
        "brightness": float(crops[crops > 0].mean()) if (crops > 0).any() else 0.0,
        "sharpness": float(np.median(sharp)),
    }


def body_measures(flat: PoseSequence) -> dict[str, float]:
    """Height of the body in pixels, share of frames with joints at the picture's edge, and jitter of the whole clip."""
    boxes = flat.boxes_px()
    width, height = flat.image_size
    edge = 0.01 * max(width, height)
    with np.errstate(invalid="ignore"):
        cut = (boxes[:, :2] < edge).any(axis=1) | (boxes[:, 2] > width - 1 - edge) | (boxes[:, 3] > height - 1 - edge)
    seen = np.isfinite(boxes).all(axis=1)
    return {
        "height_px": _median((boxes[:, 3] - boxes[:, 1])[seen]),
        "cut_off_share": _mean(cut[seen].astype(np.float64)),
        "jitter": _median(jitter(flat.xy_px, flat.time_s, clip_torso_px(flat))),
    }


def reasons(measured: Mapping[str, Any], limits: GateParameters) -> tuple[str, ...]:
    """Why the clip was refused and what to do, most telling first."""
    worst = measured["worst_by_confidence"][0]
    said = [
        f"The key points are not good enough for a score (goodness {measured['goodness']:.2f} of at least "
        f"{limits.least_goodness:.2f}, confidence {measured['confidence']:.2f} of at least "
        f"{limits.least_confidence:.2f}); the worst moment is {worst['start_s']:.1f} to {worst['end_s']:.1f} s."
    ]
    if measured["seen_share"] < limits.least_seen:
        lost = 100 * (1 - measured["seen_share"])
        said.append(
            f"The person was not found in {lost:.0f} % of the frames: keep the whole body in view all the time."
        )
    if measured.get("cut_off_share", 0) > limits.cut_off:
        share = 100 * measured["cut_off_share"]
        said.append(
            f"The body is cut off at the picture's edge in {share:.0f} % of the frames: step back from the camera."
        )
    if measured.get("brightness", 255) < limits.dark:
        said.append("The picture is very dark: switch on a light, and keep windows behind the camera.")
    if measured.get("sharpness", 255) < limits.blurred:
        said.append("The picture is soft: clean the lens, let the camera focus, and hold it still.")
    if measured.get("height_px", 1e9) < limits.small_px:
        said.append(
            f"The person is only {measured['height_px']:.0f} pixels tall: come nearer or film in a higher resolution."
        )
    if measured.get("jitter", 0) > limits.unsteady:
        said.append("The key points jump about: put the camera on a stand, and wear clothes that differ from the wall.")
    block, value = min(measured["blocks"].items(), key=lambda item: item[1]["confidence"])
    if value["confidence"] < 0.5:
        said.append(f"The {block} of the body was seen worst: turn so that nothing hides it.")
    return tuple(said)


def _mean(values: Array) -> float:
    return float(np.mean(values)) if values.size else float("nan")


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


# --- network --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def shipped(folder: Path | None = None) -> Gate:
    """The shipped gate. Raises LiftError when its weights are missing."""
    return gate_of((folder or PROJECT_DIR / "checkpoints") / "ugly_2d.safetensors")


def gate_of(path: Path) -> Gate:
    """The gate with the weights of a file. Raises LiftError when it is not there."""
    from safetensors.torch import load_file

    from pipeline.networks.ugly_2d import Ugly2D

    if not path.is_file():
        raise LiftError(
            f"The weights {path.name} are missing; train and deploy the stage ugly_2d, or reinstall Kinoscope."
        )
    members: dict[str, dict[str, Any]] = {}
    for name, tensor in load_file(path).items():
        member, _, rest = name.partition(".")
        members.setdefault(member, {})[rest] = tensor.float() if tensor.is_floating_point() else tensor
    nets = []
    for _, weights in sorted(members.items()):
        net = Ugly2D(weights["together.0.weight"].shape[0])
        net.load_state_dict(weights)
        nets.append(net)
    return network_gate(*nets)


def network_gate(*nets: Any) -> Gate:
    """Networks as a function of samples: (N, 2) goodness and confidence, by the mean of their logits."""
    import torch

    for net in nets:
        net.eval()

    def run(found: Samples) -> Array:
        if not len(found):
            return np.empty((0, 2))
        with torch.inference_mode():
            pictures = torch.from_numpy(found.has_pictures.astype(np.float32))
            parts = [
                sum(net(torch.from_numpy(found.crops[rows]).float() / 255, torch.from_numpy(found.poses[rows]),
                        pictures[rows]) for net in nets) / len(nets)
                for rows in (slice(k, k + 256) for k in range(0, len(found), 256))
            ]  # fmt: skip
        logits = steadied(torch.cat(parts).double().numpy(), found.clip)
        told = 1 / (1 + np.exp(-logits))
        return np.stack([told[:, GOOD], told[:, len(LEVELS) :].mean(axis=1)], axis=1)

    return run


def steadied(logits: Array, clip: NDArray[np.int64]) -> Array:
    """(N, K) mean of each window's logits with those of the windows before and after it in the same clip."""
    total, weight = logits.copy(), np.ones((len(logits), 1))
    same = (clip[1:] == clip[:-1])[:, None]
    total[1:] += NEIGHBOURS * same * logits[:-1]
    total[:-1] += NEIGHBOURS * same * logits[1:]
    weight[1:] += NEIGHBOURS * same
    weight[:-1] += NEIGHBOURS * same
    return np.asarray(total / weight)
