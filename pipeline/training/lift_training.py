"""The loop that all lifting networks are trained with, and how they are measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.scoring.lift import WINDOW, Floats, Network, features, one_network, stature
from pipeline.training.cameras import Noise, noisy
from pipeline.training.framework import TrainingError, Work
from pipeline.training.lift_data import Tracks, Windows, batch

if TYPE_CHECKING:
    import torch

VALIDATE_EVERY = 250  # steps
# Until which share of the training, and in how many parts windows are cut: all batches have as many frames.
CURRICULUM = ((0.3, 2), (1.0, 1))


@dataclass(frozen=True)
class Steps:
    """How long and how fast: ``optimisers.HiddenMatrices`` with a short warm-up and a cosine to 0.

    steps; batch_size in whole windows (see ``CURRICULUM``); learning_rate; weight_decay; pair_share: of each batch that
    is detected 2D; seed; again: steps of a second round, which begins from the best weights of the first with an
    optimiser, a warm-up, a cosine and a ``CURRICULUM`` of its own (a warm restart: Loshchilov and Hutter 2017).
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    pair_share: float
    seed: int
    again: int = 0


Loss = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def fit(
    net: torch.nn.Module,
    loss: Loss,
    validate: Callable[[torch.nn.Module], float],
    tracks: Tracks,
    pairs: Windows | None,
    noise: Noise,
    how: Steps,
    work: Work,
) -> float:
    """Train ``net`` and leave it with the weights of the best validation.

    Args:
        net: takes features (B, W, 42); loss: of features, truth (B, W, 13, 3) and real frames (B, W).
        validate: a score of the network, lower is better.
        tracks, pairs, noise: see ``lift_data.batch``; how: see there.
        work: goes on after a kill from its state.

    Returns:
        The best validation score.
    """
    import torch

    from pipeline.training.optimisers import HiddenMatrices, cosine

    first, best, kept = 0, float("inf"), None
    state = work.load_state()
    if state is not None:
        first, best, kept = int(state["step"]), float(state["best"]), state["kept"]
    every = how.steps + how.again
    started, random = time.monotonic(), torch.get_rng_state()
    for begin, end in ((0, how.steps), (how.steps, every)):
        if first >= end:
            continue
        optimiser = HiddenMatrices(net, how.learning_rate, how.weight_decay)
        rate, rng = cosine(end - begin), np.random.default_rng([how.seed, begin])
        torch.set_rng_state(random)
        if first > begin:  # killed within the round
            assert state is not None
            net.load_state_dict(state["net"])
            optimiser.load(state["optimiser"])
            rng.bit_generator.state = json.loads(state["rng"])
            torch.set_rng_state(state["dropout"])
        elif kept is not None:
            net.load_state_dict(kept)
        total, count = 0.0, 0
        for step in range(first, end):
            net.train()
            parts = next(parts for until, parts in CURRICULUM if step - begin < until * (end - begin))
            made = batch(tracks, pairs, how.batch_size * parts, WINDOW // parts, how.pair_share, noise, rng)
            seen, truth, real = (torch.from_numpy(np.ascontiguousarray(part)) for part in made)
            with torch.autocast("cpu", torch.bfloat16):
                value = loss(seen, truth, real)
            optimiser.step(value, rate(step - begin))
            total, count = total + float(value.detach()), count + 1
            if (step + 1) % VALIDATE_EVERY == 0 or step + 1 == end:
                score = validate(net.eval())
                work.log(step=step + 1, loss=total / count, validation=score, seconds=time.monotonic() - started)
                work.progress(f"step {step + 1}: loss {total / count:.4f}, validation {score:.2f}", (step + 1) / every)
                total, count = 0.0, 0
                if score < best:
                    best, kept = score, {name: tensor.clone() for name, tensor in net.state_dict().items()}
                work.save_state({"net": net.state_dict(), "optimiser": optimiser.state(), "step": step + 1,
                                 "best": best, "kept": kept, "rng": json.dumps(rng.bit_generator.state),
                                 "dropout": torch.get_rng_state()})  # fmt: skip
        first = end
    if kept is None:
        raise TrainingError("The training took no step; give it more steps.")
    net.load_state_dict(kept)
    work.validated(best, higher_is_better=False)
    return best


def started_from(net: torch.nn.Module, start: Path | None) -> torch.nn.Module:
    """The network with the weights to fine-tune from, if any. Raises TrainingError when they do not fit."""
    from pipeline.scoring.lift import loaded

    if start is not None:
        try:
            net.load_state_dict(loaded(start).state_dict())
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"{start.name} does not fit this network; start from weights of the same kind."
            ) from error
    return net


def teach_errors(
    net: torch.nn.Module, tracks: Tracks, pairs: Windows | None, noise: Noise, how: Steps, rounds: int = 40
) -> None:
    """Learn again, with the points as they are, how wrong they are: only what feeds the errors in ``net.leave``.

    While the points were still learned, their errors went down all the time, and were told as they had been.

    Args:
        net: trained; rounds: batches to learn from; the others: see ``fit``.
    """
    import torch

    rng = np.random.default_rng([how.seed, 77])
    leave = net.get_submodule("leave")
    inputs: list[torch.Tensor] = []
    hook = leave.register_forward_pre_hook(lambda _layer, given: inputs.append(given[0]))
    hidden, found = [], []
    net.eval()
    with torch.inference_mode():
        for _ in range(rounds):
            seen, truth, real = batch(tracks, pairs, how.batch_size, WINDOW, how.pair_share, noise, rng)
            # what is told is the error of the answer that is given: the mean with that of the mirrored clip
            points, _ = one_network(net)(seen)
            channels = inputs.pop()
            rows = channels.transpose(1, 2).flatten(0, 1) if channels.dim() == 3 else channels
            mask = torch.from_numpy(np.ascontiguousarray(real)).flatten()
            hidden.append(rows[: len(mask)][mask])
            off = torch.from_numpy(np.linalg.norm(points - truth, axis=3))
            found.append(off.flatten(0, 1)[mask])
    hook.remove()
    x, off = torch.cat(hidden).clone(), torch.cat(found).clone()
    middle, spread = x.mean(dim=0), x.std(dim=0) + 1e-3
    head = torch.nn.Linear(x.shape[1], off.shape[1])
    torch.nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.copy_(off.mean(dim=0).log())
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.01)
    for _ in range(600):
        rows = torch.from_numpy(rng.integers(len(x), size=2048))
        told_log = head((x[rows] - middle) / spread)
        loss = (off[rows] / told_log.exp() + told_log).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        weight = head.weight / spread
        leave.get_parameter("bias")[-len(head.bias) :] = head.bias - weight @ middle
        leave.get_parameter("weight")[-len(head.bias) :] = weight.reshape(
            len(head.bias), *leave.get_parameter("weight").shape[1:]
        )


def calibrate(net: torch.nn.Module, windows: Windows) -> None:
    """Shift each joint's expected error so that on ``windows`` (of the validation) it is what is found on average.

    The last layer of ``net`` is ``leave``, and the last of its outputs are logarithms of errors.
    """
    import torch

    points, expected = one_network(net)(features(windows.xy_px, windows.score, windows.size))
    found = np.linalg.norm(points - windows.xyz_m, axis=3)[windows.real].mean(axis=0)
    ratio = found / expected[windows.real].mean(axis=0)
    with torch.no_grad():
        net.get_parameter("leave.bias")[-len(ratio) :] += torch.from_numpy(np.log(ratio).astype(np.float32))


# --- measuring ------------------------------------------------------------------------------------------------------


def spoiled(windows: Windows, noise: Noise, seed: int = 17) -> Windows:
    """The windows with noisy 2D, always the same for the same seed."""
    from dataclasses import replace

    rng = np.random.default_rng(seed)
    xy, score = noisy(windows.xy_px, noise, rng, stature(windows.xy_px).astype(np.float32))
    return replace(windows, xy_px=xy, score=score)


@dataclass(frozen=True, eq=False)
class Errors:
    """Mean per-joint position error of each clip in mm, hips at the origin.

    mm: with the person's height known; aligned_mm: after the best scale (a number a clip); expected_mm and found_mm:
    (N,) what the network expected of a joint and what was found, for a sample of joints, to see if it knows.
    """

    mm: Array
    aligned_mm: Array
    expected_mm: Array
    found_mm: Array


def errors(net: Network, windows: Windows, batch: int = 256) -> Errors:
    """Lift all windows and compare with the truth."""
    points, expected = [], []
    for start in range(0, len(windows), batch):
        part = windows.part(np.arange(start, min(start + batch, len(windows))))
        lifted, wrong = net(features(part.xy_px, part.score, part.size))
        points.append(lifted * part.scale[:, None, None, None])
        expected.append(wrong * part.scale[:, None, None])
    return errors_of(np.concatenate(points), windows, np.concatenate(expected))


def errors_of(points_m: Floats, windows: Windows, expected_m: Floats | None = None) -> Errors:
    """The errors of points (N, W, 13, 3) in metres; frames with NaN are left out."""
    truth = windows.xyz_m * windows.scale[:, None, None, None]
    hips = points_m[:, :, 7:9].mean(axis=2, keepdims=True)
    points = points_m - hips
    real = windows.real & np.isfinite(points).all(axis=(2, 3))
    found = np.linalg.norm(points - truth, axis=3)
    mm, aligned = [], []
    for clip in np.unique(windows.clip):
        mine = (windows.clip == clip)[:, None] & real
        if not mine.any():
            continue
        p, t = points[mine], truth[mine]
        mm.append(1000 * found[mine].mean())
        best = (p * t).sum() / max((p * p).sum(), 1e-9)
        aligned.append(1000 * np.linalg.norm(best * p - t, axis=2).mean())
    told = np.empty(0) if expected_m is None else 1000 * expected_m[real].ravel()[::97]
    return Errors(np.array(mm), np.array(aligned), told, 1000 * found[real].ravel()[::97])


def interval(values: Array, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over clips (Efron and Tibshirani 1993); NaN for none."""
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def told(values: Array, name: str) -> dict[str, Any]:
    """A mean with its interval, as ``evaluate`` returns it."""
    low, high = interval(values)
    mean = float(np.mean(values)) if len(values) else float("nan")
    return {"name": name, "value": mean, "low": low, "high": high, "higher_is_better": False, "clips": len(values)}


def where_real(error: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """The mean of (B, W, ...) over the frames that are real."""
    mask = real.reshape(*real.shape, *([1] * (error.dim() - 2))).to(error.dtype)
    return (error * mask).sum() / (mask.sum() * error[0, 0].numel())


def validation_rows(windows: Windows, most: int = 400) -> NDArray[np.int64]:
    """Positions of at most so many windows, spread evenly: enough to stop by."""
    return np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).astype(np.int64))
