"""From a flat skeleton to one in space: 2D to Kinect, and depth.

Two ways: "dense", the two per-frame networks of the floor, and "temporal", one network that looks at about three
seconds. Both work on a grid of 15 frames a second whatever the clip's rate is, on windows of 48 frames that overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.settings import PROJECT_DIR
from pipeline.skeletons import KINECT_13

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

GRID_HZ = 15.0
WINDOW = 48  # frames that the networks see at once, 3.2 s
USUAL_HEIGHT_M = 1.70  # networks work on bodies of this height
LONGEST_GAP_S = 0.5  # longer gaps are bridged for the network's sake, and then told as unknown
MODELS = ("temporal", "dense")
# Trunk, thigh and shank as a share of the body's height: Drillis and Contini 1966, in Winter 2009, figure 4.1.
_SHARE_OF_HEIGHT = 0.779
_ERROR_OF_SCORE_M = 0.10
# Confidences above this say the same: pose models differ in how near to 1 they go, and none is that sure in training.
_SURE = 0.85
_MIRROR = np.array([-1, 1, 1], dtype=np.float32)
_MIRRORED = list(KINECT_13.mirror_order)
_SIDES = [
    KINECT_13.index(f"{side}_{joint}") for joint in ("shoulder", "hip", "knee", "foot") for side in ("left", "right")
]


class LiftError(ValueError):
    """The sequence or the choice of model makes no sense; the message says what to do."""


def stature(points: Array | Floats) -> Array:
    """The body's height judged from trunk, thighs and shanks, in the unit of the points.

    Args:
        points: (..., W, 13, 2 or 3) without NaN.

    Returns:
        (...) heights. What leans towards the camera looks shorter, never longer, so each length is the 90th percentile
        over the W frames, of the longer leg.
    """
    shoulders, hips, knees, feet = (points[..., _SIDES[k : k + 2], :] for k in (0, 2, 4, 6))

    def longest(vectors: Array | Floats) -> Array:
        lengths = np.sqrt((vectors**2).sum(axis=-1))
        return np.asarray(np.quantile(lengths, 0.9, axis=-1 if lengths.ndim == points.ndim - 2 else -2))

    trunk = longest(shoulders.mean(axis=-2) - hips.mean(axis=-2))
    legs = [longest(a - b).max(axis=-1) for a, b in ((hips, knees), (knees, feet))]
    return np.asarray((trunk + sum(legs)) / _SHARE_OF_HEIGHT)


def features(xy_px: Array | Floats, score: Array | Floats, image_size: Array | Floats) -> Floats:
    """What the networks see.

    Args:
        xy_px: (B, W, 13, 2) pixels without NaN; score: (B, W, 13); image_size: (B, 2) width and height.

    Returns:
        (B, W, 42): x right and y up from the hips' middle in body heights; confidences; where the hips' middle is from
        the picture's middle, and how large the body is, in longer picture sides.
    """
    hips = xy_px[:, :, _SIDES[2:4]].mean(axis=2)
    height = np.maximum(stature(xy_px), 1.0)[:, None]
    relative = (xy_px - hips[:, :, None]) / height[..., None, None] * (1, -1)
    longer = image_size.max(axis=1)[:, None]
    place = (hips - image_size[:, None] / 2) / longer[..., None] * (1, -1)
    size = np.broadcast_to(height / longer, hips.shape[:2])[..., None]
    flat = relative.reshape(*relative.shape[:2], -1)
    return np.concatenate([flat, np.minimum(score, _SURE), place, size], axis=2).astype(np.float32)


Network = Callable[[Floats], tuple[Floats, Floats]]


def lift(sequence: PoseSequence, model: str = "temporal", height_m: float | None = None) -> PoseSequence:
    """The sequence as Kinect-13 in space.

    Args:
        sequence: any skeleton with shoulders, elbows, wrists, hips, knees, ankles (BlazePose-33, COCO-17, ...).
        model: "temporal" or "dense".
        height_m: of the person; None assumes 1.70 m. All lengths scale with it.

    Returns:
        A sequence on the same timestamps with ``xyz_m`` hip-centred in level camera axes (x right, y up, z towards the
        camera), ``raw_score`` the expected error of each joint in metres, ``score`` = exp(-error / 0.10 m). Frames in
        gaps longer than 0.5 s are NaN. Nobody seen gives a sequence of NaN.

    Raises:
        LiftError: an unknown model, or a height that no person has.
    """
    if height_m is not None and not 0.5 <= height_m <= 2.5:
        raise LiftError(f"height_m must lie between 0.5 and 2.5 metres, got {height_m}; leave it out if unknown.")
    return lift_with(network(model), sequence, height_m)


def lift_with(net: Network, sequence: PoseSequence, height_m: float | None = None) -> PoseSequence:
    """As ``lift``, with a network that is at hand."""
    flat = sequence.to(KINECT_13)
    frames = len(flat)
    points = np.full((frames, len(KINECT_13), 3), np.nan)
    error = np.full((frames, len(KINECT_13)), np.nan)
    known = np.isfinite(flat.xy_px).all(axis=2)
    usable = known.sum(axis=1) >= len(KINECT_13) // 2
    if usable.sum() >= 2 and known.any(axis=0).all():
        first, last = np.flatnonzero(usable)[[0, -1]]
        grid = np.arange(flat.time_s[first], flat.time_s[last] + 0.5 / GRID_HZ, 1 / GRID_HZ)
        xy, score = _on_grid(flat, known, grid)
        lifted, wrong = _windowed(net, xy, score, flat.image_size)
        scale = (height_m or USUAL_HEIGHT_M) / USUAL_HEIGHT_M
        inside = _near_known(flat.time_s, flat.time_s[usable])
        points[inside] = scale * _columns(flat.time_s[inside], grid, lifted)
        error[inside] = scale * _columns(flat.time_s[inside], grid, wrong)
        hips = points[:, _SIDES[2:4]].mean(axis=1, keepdims=True)
        points = points - hips
    score = np.exp(-error / _ERROR_OF_SCORE_M)
    return PoseSequence(KINECT_13, flat.time_s, flat.xy_px, score, points, flat.image_size, flat.person, error)


def _near_known(time_s: Array, known_s: Array) -> NDArray[np.bool_]:
    """(T,) True where a usable frame is at most half the longest gap away on both sides."""
    after = np.searchsorted(known_s, time_s - 1e-9)
    before = np.searchsorted(known_s, time_s + 1e-9) - 1
    inside = (after < len(known_s)) & (before >= 0)
    gap = known_s[np.minimum(after, len(known_s) - 1)] - known_s[np.maximum(before, 0)]
    return np.asarray(inside & (gap <= LONGEST_GAP_S))


def _columns(time_s: Array, grid: Array, values: Array | Floats) -> Array:
    flat = values.reshape(len(values), -1)
    columns = [np.interp(time_s, grid, flat[:, k]) for k in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(len(time_s), *values.shape[1:])


def _on_grid(flat: PoseSequence, known: NDArray[np.bool_], grid: Array) -> tuple[Array, Array]:
    """xy (G, 13, 2) and confidences (G, 13) at the grid's times; what was not seen is bridged with confidence 0."""
    xy = np.empty((len(grid), len(KINECT_13), 2))
    score = np.empty((len(grid), len(KINECT_13)))
    trusted = np.where(known, np.nan_to_num(flat.score, nan=0.0), 0.0)
    for joint in range(len(KINECT_13)):
        seen = known[:, joint]
        for axis in range(2):
            xy[:, joint, axis] = np.interp(grid, flat.time_s[seen], flat.xy_px[seen, joint, axis])
        score[:, joint] = np.interp(grid, flat.time_s, trusted[:, joint])
    return xy, score


def _windowed(net: Network, xy: Array, score: Array, image_size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The network on windows that overlap by half, blended; short sequences are continued by their last frame."""
    frames = len(xy)
    starts = list(range(0, max(frames - WINDOW, 0) + 1, WINDOW // 2))
    if starts[-1] + WINDOW < frames:
        starts.append(frames - WINDOW)
    index = np.minimum(np.array(starts)[:, None] + np.arange(WINDOW), frames - 1)
    size = np.tile(np.array(image_size, dtype=np.float64), (len(starts), 1))
    points, error = net(features(xy[index], score[index], size))
    weight = np.minimum(np.arange(1, WINDOW + 1), np.arange(WINDOW, 0, -1)).astype(np.float32)
    total = np.zeros(frames, dtype=np.float32)
    whole = np.zeros((frames, len(KINECT_13), 4), dtype=np.float32)
    for number, start in enumerate(starts):
        stop = min(start + WINDOW, frames)
        w = weight[: stop - start]
        total[start:stop] += w
        both = np.concatenate([points[number], error[number][..., None]], axis=2)[: stop - start]
        whole[start:stop] += w[:, None, None] * both
    whole /= total[:, None, None]
    return whole[..., :3], whole[..., 3]


# --- networks -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def network(model: str, folder: Path | None = None) -> Network:
    """The shipped network called ``model``. Raises LiftError for an unknown one or when its weights are missing."""
    folder = folder or PROJECT_DIR / "checkpoints"
    if model == "dense":
        return dense_pair(folder / "to_kinect.safetensors", folder / "depth.safetensors")
    if model == "temporal":
        return one_network(folder / "lift.safetensors")
    raise LiftError(f"There is no lift called {model!r}; choose one of: {', '.join(MODELS)}.")


def loaded(path: Path) -> torch.nn.Module:
    """A network of ``pipeline.networks.lift`` with the weights of a file that ``kept`` wrote.

    Raises:
        LiftError: the file is not there or holds another kind of network.
    """
    import json

    import torch
    from safetensors import safe_open

    from pipeline.networks import lift as networks

    if not path.is_file():
        raise LiftError(f"The weights {path.name} are missing; train and deploy that stage, or reinstall Kinoscope.")
    with safe_open(path, framework="pt") as file:
        meta = file.metadata() or {}
        kinds = networks.ARCHITECTURES | {"to_kinect": networks.DenseToKinect, "depth": networks.DenseDepth}
        if meta.get("network") not in kinds:
            raise LiftError(f"{path.name} holds no lifting network; train it with `python -m pipeline train lift`.")
        net = kinds[meta["network"]](**json.loads(meta["settings"]))
        net.load_state_dict({name: file.get_tensor(name).to(torch.float32) for name in file.keys()})  # noqa: SIM118
    return net.eval()


def kept(net: torch.nn.Module, path: Path, network: str, **settings: object) -> None:
    """Write weights in half precision with what is needed to build the network again."""
    import json

    import torch
    from safetensors.torch import save_file

    state = {
        name: value.to(torch.float16) if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    part = path.with_suffix(".part")
    save_file(
        {name: value.contiguous() for name, value in state.items()},
        part,
        {"network": network, "settings": json.dumps(settings)},
    )
    part.replace(path)


def one_network(path: Path | torch.nn.Module) -> Network:
    """A network that gives points and the logarithm of their errors, asked twice (``both_ways``)."""
    import torch

    net = loaded(path) if isinstance(path, Path) else path.eval()

    def run(values: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            points, error = net(torch.from_numpy(values))
        return points.numpy(), error.exp().numpy()

    return both_ways(run)


def dense_pair(to_kinect: Path | torch.nn.Module, depth: Path | torch.nn.Module) -> Network:
    """The floor's two networks, one after the other, asked twice (``both_ways``)."""
    import torch

    first = loaded(to_kinect) if isinstance(to_kinect, Path) else to_kinect.eval()
    second = loaded(depth) if isinstance(depth, Path) else depth.eval()

    def run(values: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            xy = first(torch.from_numpy(values))
            z, error = second(xy)
        return torch.cat([xy, z[..., None]], dim=-1).numpy(), error.exp().numpy()

    return both_ways(run)


def both_ways(run: Network) -> Network:
    """The mean of what a network says of the clip and of its mirror image (as Pavllo et al. 2019 do)."""

    def averaged(values: Floats) -> tuple[Floats, Floats]:
        points, error = run(np.concatenate([values, mirrored_features(values)]))
        one, other = np.split(points, 2)
        wrong, again = np.split(error, 2)
        return (one + other[:, :, _MIRRORED] * _MIRROR) / 2, (wrong + again[:, :, _MIRRORED]) / 2

    return averaged


def mirrored_features(values: Floats) -> Floats:
    """``features`` (B, W, 42) of the same clip in a mirror: x reversed, left and right exchanged."""
    joints = len(KINECT_13)
    flat, score, place, size = np.split(values, (2 * joints, 3 * joints, 3 * joints + 2), axis=2)
    xy = flat.reshape(*flat.shape[:2], joints, 2)[:, :, _MIRRORED] * _MIRROR[:2]
    return np.concatenate([xy.reshape(flat.shape), score[:, :, _MIRRORED], place * _MIRROR[:2], size], axis=2)
