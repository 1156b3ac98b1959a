"""Stage ``bad_3d``: is this motion anything like the exercise? Repetitions done well or badly are; the rest is not.

What is not: other exercises, windows of other people's other motion, and repetitions whose skeleton went wrong. Half of
everything is as the sensors saw it, half as the chain knows it from video (``pipeline.training.lifted``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.networks.bad_3d import Bad3dGate
from pipeline.poses import Array
from pipeline.scoring.bad_3d import FRAMES
from pipeline.scoring.canonical import FRAMES as WHOLE
from pipeline.scoring.canonical import CanonicalError, canonical, mirror, right_moves_more
from pipeline.scoring.chair import EVIDENCE, SITS_FROM, SITTING, SQUAT, Chair, evidence
from pipeline.scoring.exercises import ARMS, EXERCISES, LEGS
from pipeline.scoring.models import write
from pipeline.skeletons import KINECT_13
from pipeline.training.dataset import Repetitions, from_video, together, ui_prmd, ui_prmd_lifted
from pipeline.training.framework import Stage, Work
from pipeline.training.lifted import LIFTED, lifted_motions
from pipeline.training.motion_data import MotionDataError, load
from pipeline.training.variation import Variation, varied

CONFIG = Path(__file__).parent / "configs" / "bad_3d.toml"
_SPREAD_FLOOR = 0.05


@dataclass(frozen=True)
class Bad3dConfig:
    """How the bad-3D gate is trained.

    sources: repetitions that must pass.
    strangers: data sets of other motion, none of which is one of the exercises.
    lifted: random cameras that every repetition is also seen from, through the lift; 0 for the sensors alone.
    windows: random windows of other motion.
    folds: groups of people left out in turn to measure.
    steps: of the descent.
    batch_size: motions a step.
    learning_rate: highest, of one cycle.
    passing: share of real repetitions (of people left out) that must pass; sets the threshold.
    seed: of everything random.
    """

    sources: tuple[str, ...] = ("ui_prmd_kinect", "ui_prmd_vicon")
    strangers: tuple[str, ...] = ("cmu", "utkinect", "msraction3d", "precog")
    lifted: int = 1
    windows: int = 4000
    folds: int = 4
    steps: int = 1500
    batch_size: int = 128
    learning_rate: float = 2e-3
    passing: float = 0.98
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Strangers:
    """Windows of other motion: canonical for exercises with free arms and for those with free legs, and whose."""

    arms_free: NDArray[np.float32]
    legs_free: NDArray[np.float32]
    subject: NDArray[np.str_]


def strangers(config: Bad3dConfig) -> Strangers:
    """Windows of 1.5 to 4 seconds of the other data sets that are here."""
    rng = np.random.default_rng(config.seed)
    motions = []
    for name in config.strangers:
        try:
            recorded = load(name) + (lifted_motions(name) if config.lifted else [])
            motions += [m for m in recorded if len(m) > 2 and m.time_s[-1] > 1.0]
        except MotionDataError:
            continue
    if not motions:
        raise MotionDataError("No data set of other motion is here; set KINOSCOPE_DATA to the folder that has them.")
    lengths = np.array([m.time_s[-1] for m in motions])
    arms, legs, who = [], [], []
    without_arms, without_legs = _counted(ARMS), _counted(LEGS)
    for number in rng.choice(len(motions), config.windows, p=lengths / lengths.sum()):
        motion = motions[number]
        seconds = min(rng.uniform(1.5, 4.0), motion.time_s[-1])
        start = rng.uniform(0, motion.time_s[-1] - seconds)
        inside = (motion.time_s >= start) & (motion.time_s <= start + seconds)
        try:
            xyz, time_s = motion.xyz_m[inside], motion.time_s[inside]
            arms.append(canonical(xyz, time_s, without_arms).xyz)
            legs.append(canonical(xyz, time_s, without_legs).xyz)
        except CanonicalError:
            continue
        who.append(f"{motion.source.removesuffix(LIFTED)}-{motion.subject}")
    return Strangers(np.array(arms, dtype=np.float32), np.array(legs, dtype=np.float32), np.array(who))


def _counted(free: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(k for k, joint in enumerate(KINECT_13.joints) if joint not in free)


def spoiled(xyz: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """(N, F, J, 3) repetitions whose skeleton or order went wrong, each in one of five ways."""
    out = xyz.copy()
    for row, kind in enumerate(rng.integers(0, 5, len(out))):
        one = out[row]
        if kind == 0:  # a limb somewhere else for a while
            side = "left" if rng.random() < 0.5 else "right"
            limb = ("elbow", "hand") if rng.random() < 0.5 else ("knee", "foot")
            joints = [KINECT_13.index(f"{side}_{part}") for part in limb]
            start = rng.integers(0, len(one) // 2)
            one[start : start + len(one) // 2, joints] += rng.normal(0, 0.7, 3) + rng.choice([-0.6, 0.6], 3)
        elif kind == 1:  # sides exchanged for a while
            start = rng.integers(0, len(one) // 2)
            span = slice(start, start + len(one) // 2)
            one[span] = one[span][:, list(KINECT_13.mirror_order)]
        elif kind == 2:  # depth the wrong way round
            one[..., 2] *= -1
        elif kind == 3:  # upside down, or lying
            one[:] = one[..., [0, 2, 1]] if rng.random() < 0.5 else one * np.array([1, -1, 1], dtype=np.float32)
        else:  # every joint wanders
            one += rng.normal(0, 0.35, one.shape)
    return out


def new_gate(data: Repetitions) -> Bad3dGate:
    """A gate whose references are the correct repetitions of ``data``."""
    reference = torch.zeros(len(EXERCISES), FRAMES, len(KINECT_13), 3)
    counted, spread = torch.zeros(len(EXERCISES), len(KINECT_13)), torch.ones(len(EXERCISES), len(KINECT_13))
    ten = _ten(data.xyz)
    for exercise in EXERCISES.values():
        k = exercise.position
        counted[k, list(exercise.counted)] = 1
        chosen = (data.exercise == k) & ~data.incorrect
        if chosen.any():
            reference[k] = torch.from_numpy(ten[chosen].mean(axis=0))
            spread[k] = torch.from_numpy(ten[chosen].std(axis=0).mean(axis=(0, 2)) + _SPREAD_FLOOR)
    return Bad3dGate(reference, counted, spread)


def _ten(xyz: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 10, J, 3) of (N, 48, J, 3), evenly from first to last."""
    place = np.linspace(0, WHOLE - 1, FRAMES)
    below = np.minimum(place.astype(int), WHOLE - 2)
    part = (place - below)[None, :, None, None].astype(np.float32)
    return np.asarray(xyz[:, below] * (1 - part) + xyz[:, below + 1] * part)


def negatives(data: Repetitions, other: Strangers, count: int, rng: np.random.Generator
              ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:  # fmt: skip
    """(count, 48, J, 3) motions, the exercise each is not, and how surely it is not (1, or 0.3 for other exercises)."""
    third = count // 3
    chosen = rng.integers(0, len(data), third)
    wrong = (data.exercise[chosen] + rng.integers(1, len(EXERCISES), third)) % len(EXERCISES)
    same_free = np.array([list(EXERCISES.values())[a].free == list(EXERCISES.values())[b].free
                          for a, b in zip(data.exercise[chosen], wrong, strict=True)])  # fmt: skip
    swapped = data.xyz[chosen].copy()
    flip = ~same_free & (rng.random(third) < 0.5)  # another choice of the moving side
    swapped[flip] = mirror(swapped[flip])
    broken = rng.integers(0, len(data), third)
    exercise = rng.integers(0, len(EXERCISES), count - 2 * third)
    picked = rng.integers(0, len(other.subject), len(exercise))
    arms = np.array([e.free == ARMS for e in EXERCISES.values()])[exercise]
    windows = np.where(arms[:, None, None, None], other.arms_free[picked], other.legs_free[picked])
    return (
        np.concatenate([swapped, spoiled(data.xyz[broken], rng), windows]),
        np.concatenate([wrong, data.exercise[broken], exercise]),
        np.concatenate([np.full(third, 0.3), np.ones(count - third)]).astype(np.float32),
    )


def fit(data: Repetitions, other: Strangers, config: Bad3dConfig, work: Work, name: str) -> Bad3dGate:
    """One gate."""
    torch.manual_seed(config.seed)
    rng, generator = np.random.default_rng(config.seed), torch.Generator().manual_seed(config.seed)
    gate = new_gate(data)
    optimizer = torch.optim.AdamW(gate.parameters(), lr=config.learning_rate, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, max(config.steps, 2))
    half = config.batch_size // 2
    how, average = Variation(), float("nan")
    gate.train()
    for step in range(config.steps):
        real = rng.integers(0, len(data), half)
        wrong, not_this, weight = negatives(data, other, half, rng)
        both = varied(torch.from_numpy(np.concatenate([data.xyz[real], wrong])), how, generator)
        exercise = torch.from_numpy(np.concatenate([data.exercise[real], not_this]))
        answer = torch.cat([torch.ones(half), torch.zeros(len(wrong))])
        weights = torch.cat([torch.ones(half), torch.from_numpy(weight)])
        ten = torch.from_numpy(_ten(both.numpy()))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(gate(ten, exercise), answer, weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
        average = loss.item() if step == 0 else 0.98 * average + 0.02 * loss.item()
        if step % 50 == 49:
            work.progress(f"{name}: loss {average:.3f}", (step + 1) / config.steps)
    work.log(network=name, steps=config.steps, loss=average)
    return gate.eval()


def plausibility(gate: Bad3dGate, xyz: NDArray[np.float32], exercise: NDArray[np.int64]) -> Array:
    """(N,) 0..1."""
    with torch.inference_mode():
        found = torch.sigmoid(gate(torch.from_numpy(_ten(xyz)), torch.from_numpy(exercise))).numpy()
    return np.asarray(found, dtype=np.float64)


def repetitions_of(config: Bad3dConfig) -> Repetitions:
    """What must pass: as the sensors saw it, and from video."""
    recorded = ui_prmd(config.sources)
    return together([recorded, ui_prmd_lifted(config.sources, config.lifted)]) if config.lifted else recorded


def most_alike(gate: Bad3dGate, xyz: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) the exercise that each of (N, 48, 13, 3) repetitions is most like."""
    chances = []
    for exercise in EXERCISES.values():
        seen = np.array([mirror(one) if right_moves_more(one, exercise.counted) else one for one in xyz])
        chances.append(plausibility(gate, seen.astype(np.float32), np.full(len(xyz), exercise.position)))
    return np.asarray(np.argmax(chances, axis=0), dtype=np.int64)


def chair_of(data: Repetitions) -> Chair:
    """What tells sitting down from a squat, learned on these repetitions; squats where there are not both."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    own, sitting = _squats_and_sittings(data)
    if len(np.unique(sitting)) < 2:
        return Chair((0.0,) * len(EVIDENCE), -1.0)
    shown = np.array([evidence(one) for one in data.xyz[own].astype(np.float64)])
    scaler = StandardScaler().fit(shown)
    found = LogisticRegression(class_weight="balanced").fit(scaler.transform(shown), sitting)
    weights = found.coef_[0] / scaler.scale_
    return Chair(tuple(float(w) for w in weights), float(found.intercept_[0] - weights @ scaler.mean_))


def _squats_and_sittings(data: Repetitions) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Their rows, and which of these are sittings."""
    squat, sitting = EXERCISES[SQUAT].position, EXERCISES[SITTING].position
    own = np.flatnonzero(np.isin(data.exercise, [squat, sitting]))
    return own, data.exercise[own] == sitting


def train(config: Bad3dConfig, work: Work) -> None:
    """Groups of people left out in turn, then the gate of everybody."""
    data, other = repetitions_of(config), strangers(config)
    people = np.unique(data.subject)
    groups = np.array_split(people, min(config.folds, len(people)))
    other_people = np.array_split(np.unique(other.subject), len(groups))
    state = work.load_state() or {"done": {}}
    done: dict[str, dict[str, torch.Tensor]] = state["done"]
    for number, (group, theirs) in enumerate(zip(groups, other_people, strict=True)):
        if str(number) in done:
            continue
        own, own_other = np.isin(data.subject, group), np.isin(other.subject, theirs)
        gate = fit(data.select(~own), _some(other, ~own_other), config,
                   _share(work, number, len(groups) + 1), f"fold {number + 1}")  # fmt: skip
        rng = np.random.default_rng([config.seed, number])
        test = data.select(own)
        wrong, not_this, weight = negatives(test, _some(other, own_other), len(test), rng)
        both, sitting = _squats_and_sittings(test)
        chair = chair_of(data.select(~own))
        chance = [chair.chance(one) for one in test.xyz[both].astype(np.float64)]
        done[str(number)] = {
            "real": torch.from_numpy(plausibility(gate, test.xyz, test.exercise)),
            "wrong": torch.from_numpy(plausibility(gate, wrong, not_this)),
            "kind": torch.from_numpy(weight),
            "video": torch.from_numpy(from_video(test)),
            "alike": torch.from_numpy(most_alike(gate, test.xyz) == test.exercise),
            "chair": torch.tensor(chance, dtype=torch.float64),
            "chair_sitting": torch.from_numpy(sitting),
            "chair_video": torch.from_numpy(from_video(test)[both]),
        }
        work.save_state({"done": done})
    held = {key: torch.cat([fold[key] for fold in done.values()]).numpy() for key in next(iter(done.values()))}
    gate = fit(data, other, config, _share(work, len(groups), len(groups) + 1), "everybody")
    seen = held["real"][held["video"]] if held["video"].any() else held["real"]  # the chain judges video
    threshold = float(np.quantile(seen, 1 - config.passing))
    about = {"threshold": threshold, "exercises": list(EXERCISES), "chair": asdict(chair_of(data))}
    write("bad_3d", work.folder, gate, about)
    np.savez_compressed(work.folder / "held_out.npz", **held)
    work.validated(_measured(work.folder)["all"]["value"])


def _some(other: Strangers, chosen: NDArray[np.bool_]) -> Strangers:
    return Strangers(other.arms_free[chosen], other.legs_free[chosen], other.subject[chosen])


def _share(work: Work, number: int, total: int) -> Work:
    return Work(work.folder, work.start, lambda text, share: work.progress(text, (number + share) / total))


def _measured(folder: Path) -> dict[str, dict[str, float]]:
    """AUC of real repetitions against everything, and against what is not an exercise at all."""
    from sklearn.metrics import roc_auc_score

    with np.load(folder / "held_out.npz") as stored:
        real, wrong, kind = stored["real"], stored["wrong"], stored["kind"]
    rng = np.random.default_rng(0)

    def auc(bad: Array) -> dict[str, float]:
        def once(a: Array, b: Array) -> float:
            return float(roc_auc_score(np.r_[np.ones(len(a)), np.zeros(len(b))], np.r_[a, b]))

        draws = [once(rng.choice(real, len(real)), rng.choice(bad, len(bad))) for _ in range(200)]
        return {"value": once(real, bad), "low": float(np.quantile(draws, 0.025)),
                "high": float(np.quantile(draws, 0.975))}  # fmt: skip

    return {"all": auc(wrong), "no_exercise": auc(wrong[kind > 0.5]), "other_exercise": auc(wrong[kind < 0.5])}


def evaluate(config: Bad3dConfig, work: Work) -> dict[str, Any]:
    """Area under the ROC curve of people left out, and what passes and is stopped at the threshold."""
    import json

    found = _measured(work.folder)
    threshold = json.loads((work.folder / "bad_3d.json").read_text(encoding="utf-8"))["threshold"]
    with np.load(work.folder / "held_out.npz") as stored:
        video = stored["video"]
        rates = {
            "real_repetitions_passed": float((stored["real"] >= threshold).mean()),
            "real_repetitions_from_video_passed": float((stored["real"][video] >= threshold).mean()),
            "exercise_recognised_by_sensor": float(stored["alike"][~video].mean()),
            "exercise_recognised_from_video": float(stored["alike"][video].mean()),
            **_told_from_sitting(stored["chair"] >= SITS_FROM, stored["chair_sitting"], stored["chair_video"]),
            "no_exercise_stopped": float((stored["wrong"][stored["kind"] > 0.5] < threshold).mean()),
            "other_exercise_stopped": float((stored["wrong"][stored["kind"] < 0.5] < threshold).mean()),
        }
    name = "AUC of real repetitions against everything else, by sensor and from video, people left out"
    return {
        "primary": {"name": name, **found["all"], "higher_is_better": True},
        "auc": found,
        "threshold": threshold,
        "passing": config.passing,
        **rates,
    }


def _told_from_sitting(
    said: NDArray[np.bool_], sitting: NDArray[np.bool_], video: NDArray[np.bool_]
) -> dict[str, float | None]:
    """Share of squats and of sittings, of people left out, that the balance calls so."""
    found: dict[str, float | None] = {}
    for name, seen in (("by_sensor", ~video), ("from_video", video)):
        for kind, own in (("squats", seen & ~sitting), ("sittings", seen & sitting)):
            found[f"{kind}_right_{name}"] = float((said == sitting)[own].mean()) if own.any() else None
    return found


STAGE = Stage("bad_3d", Bad3dConfig, CONFIG, train, evaluate, ("bad_3d.safetensors", "bad_3d.json"))
