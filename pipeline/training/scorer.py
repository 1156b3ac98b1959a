"""Stage ``scorer``: a repetition's score, trained and measured leaving one person out at a time.

The folder holds, after training: ``scorer-DESIGN.safetensors`` (the network of everybody), ``scorer-DESIGN.json`` (its
interval and anchors) and ``held_out.npz`` (every repetition's score by a network that never saw its person). UI-PRMD's
repetitions are learned as the sensors saw them and as the chain knows them from video (``pipeline.training.lifted``),
with the same target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from pipeline import settings
from pipeline.networks.scorer import DESIGNS, WORST, EnsembleScorer, ForestScorer, Scorer
from pipeline.poses import Array
from pipeline.runs import RunStore
from pipeline.scoring.exercises import EXERCISES
from pipeline.scoring.intervals import Intervals
from pipeline.scoring.models import own_scorer
from pipeline.scoring.target import INCORRECT_FROM, derived, distances_to_others
from pipeline.skeletons import KINECT_13
from pipeline.training.dataset import DatasetError, Repetitions, build, from_video, together, ui_prmd, ui_prmd_lifted
from pipeline.training.framework import Stage, TrainingError, Work
from pipeline.training.lifted import LIFTED
from pipeline.training.variation import Styles, Variation, blended, varied

CONFIG = Path(__file__).parent / "configs" / "scorer.toml"
# Of the verdict beside the target where trees look for their splits: mostly by the verdict, which sorts people better.
SPLIT_BY_VERDICT = 8.0
_SPREAD_FLOOR = 0.03  # trunk lengths: joints that hardly move must not be magnified


@dataclass(frozen=True)
class ScorerConfig:
    """How a scorer is trained.

    design: forest, cnn_lstm (the ported one), transformer, or ensemble, the mean of others.
    parts: of an ensemble: the names of the trainings beside its own that it is the mean of.
    sources: data sets of repetitions; a built file of one's own repetitions with `labels` instead.
    lifted: random cameras that every repetition is also seen from, through the lift; 0 for the sensors alone.
    labels: one's own grades (a CSV, or an .npz of `dataset build`); "" for UI-PRMD with its derived target.
    folds: people left out one at a time to measure and to find the interval; 0 leaves out everybody in turn.
    steps: of the descent; 400 are four times through the data, sensors and video.
    batch_size: repetitions a step.
    learning_rate: highest, of one cycle.
    weight_decay: of AdamW.
    verdict_weight: of telling correct from incorrect beside the score itself; of a forest the verdict's share (0 to 1)
        in what a leaf says.
    noise: scales all variations.
    style: how far repetitions are moved towards other people's style; 0 leaves them.
    trees: of a forest, for each exercise; leaf: fewest repetitions that a leaf of it stands for.
    patience: steps without a better training loss (averaged) before it stops early.
    coverage: share of repetitions whose target the interval holds.
    seed: of everything random.
    """

    design: str = "cnn_lstm"
    parts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("ui_prmd_kinect", "ui_prmd_vicon")
    lifted: int = 1
    labels: str = ""
    folds: int = 0
    steps: int = 900
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    verdict_weight: float = 0.5
    noise: float = 0.7
    style: float = 1.0
    trees: int = 60
    leaf: int = 5
    patience: int = 400
    coverage: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ValueError(f"design must be one of {', '.join(DESIGNS)}, not {self.design!r}.")
        if (self.design == "ensemble") != bool(self.parts):
            raise ValueError("design ensemble, and no other, needs parts: names of trainings that lie beside its own.")
        if self.design == "forest" and not 0 <= self.verdict_weight <= 1:
            raise ValueError(f"verdict_weight of a forest must lie between 0 and 1, not {self.verdict_weight}.")
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, not {self.coverage}.")


def repetitions_of(config: ScorerConfig) -> Repetitions:
    """What the configuration trains on. Raises DatasetError when a file of labels has gaps."""
    if not config.labels:
        return ui_prmd(config.sources)
    path = Path(config.labels)
    is_table = path.suffix.lower() == ".csv"
    own = build(RunStore(settings.outputs_dir()), path) if is_table else Repetitions.read(path)
    if not own.graded:
        raise DatasetError(f"{config.labels} has repetitions without a score; grade all of them.")
    return own


def with_lifted(config: ScorerConfig, data: Repetitions) -> tuple[Repetitions, NDArray[np.int64]]:
    """The repetitions, behind them the same ones from video, and of which repetition each of them all is a copy.

    One's own repetitions are from video already.
    """
    origin = np.arange(len(data))
    if config.labels or not config.lifted:
        return data, origin
    copies = ui_prmd_lifted(config.sources, config.lifted)
    place = {(source, name): k for k, (source, name) in enumerate(zip(data.source, data.name, strict=True))}
    of = [place[source.removesuffix(LIFTED), name] for source, name in zip(copies.source, copies.name, strict=True)]
    return together([data, copies]), np.concatenate([origin, np.array(of, dtype=np.int64)])


def targets_of(data: Repetitions) -> tuple[Array, dict[str, Any]]:
    """The score to learn for every repetition, and the anchors of each exercise where it is derived."""
    if data.graded:
        return data.grade.astype(np.float64), {}
    scores = np.full(len(data), np.nan)
    anchors: dict[str, Any] = {}
    for exercise in EXERCISES.values():
        for source in np.unique(data.source):
            chosen = np.flatnonzero((data.exercise == exercise.position) & (data.source == source))
            if not len(chosen):
                continue
            part = data.select(chosen)
            found = distances_to_others(part.xyz.astype(np.float64), part.subject, part.incorrect, exercise.counted)
            scores[chosen], edge = derived(found, part.subject, part.incorrect)
            anchors.setdefault(exercise.name, {})[str(source)] = {"usual": edge.usual, "worst": edge.worst}
    return scores, anchors


def new_network(data: Repetitions, target: Array, design: str, start: Scorer | None = None) -> Scorer:
    """A network whose references are the best repetitions of ``data``; of ``start`` for exercises without any."""
    shape = (len(EXERCISES), *data.xyz.shape[1:])
    counted = torch.zeros(shape[0], shape[2])
    reference = torch.zeros(shape) if start is None else start.reference.clone()
    spread = torch.ones(shape[0], shape[2]) if start is None else start.spread.clone()
    for exercise in EXERCISES.values():
        position = exercise.position
        counted[position, list(exercise.counted)] = 1.0
        chosen = data.exercise == position
        if not chosen.any():
            continue
        best = chosen & (~data.incorrect if not data.graded else target <= np.quantile(target[chosen], 0.3))
        xyz = data.xyz[best if best.any() else chosen]
        reference[position] = torch.from_numpy(xyz.mean(axis=0))
        spread[position] = torch.from_numpy(xyz.std(axis=0).mean(axis=(0, 2)) + _SPREAD_FLOOR)
    return DESIGNS[design](reference, counted, spread)


def fit(
    data: Repetitions, target: Array, config: ScorerConfig, work: Work, name: str, start: Path | None = None
) -> Scorer:
    """One network on all of ``data``; goes on from the state called ``name`` after a kill."""
    if config.design == "forest":
        return planted(data, target, config, work, name, start)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    begun = None if start is None else weights_into(config.design, start)
    network = new_network(data, target, config.design, begun)
    if begun is not None:
        own = network.state_dict()
        kept = {key: own[key] for key in ("reference", "counted", "spread")}
        network.load_state_dict(begun.state_dict() | kept)
    xyz, exercise = torch.from_numpy(data.xyz), torch.from_numpy(data.exercise)
    wanted = torch.from_numpy(target.astype(np.float32))
    bad = torch.from_numpy(data.incorrect.astype(np.float32))
    person = np.unique(np.char.add(data.subject, data.source), return_inverse=True)[1]
    styles = Styles(xyz, exercise, torch.from_numpy(person), bad < 0.5)
    how = Variation(*(config.noise * value for value in vars(Variation()).values()))
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, max(config.steps, 2))
    average, best, best_step = float("nan"), float("inf"), 0
    network.train()
    for step in range(config.steps):
        chosen = torch.randint(len(data), (min(config.batch_size, len(data)),), generator=generator)
        seen, goal = blended(xyz[chosen], wanted[chosen], 2 * exercise[chosen] + bad[chosen].long(), generator)
        seen = varied(styles.exchanged(seen, chosen, config.style, generator), how, generator)
        scores = network(seen, exercise[chosen])
        loss = torch.nn.functional.smooth_l1_loss(scores, goal, beta=0.5)
        loss = loss + config.verdict_weight * torch.nn.functional.binary_cross_entropy_with_logits(
            3 * (scores - 1), bad[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        cycle.step()
        average = loss.item() if step == 0 else 0.98 * average + 0.02 * loss.item()
        if average < best:
            best, best_step = average, step
        if step - best_step > config.patience:
            break
        if step % 50 == 49:
            work.progress(f"{name}: loss {average:.3f}", (step + 1) / config.steps)
    work.log(network=name, steps=step + 1, loss=average)
    return network.eval()


def planted(
    data: Repetitions, target: Array, config: ScorerConfig, work: Work, name: str, start: Path | None = None
) -> Scorer:
    """A forest on all of ``data`` and on one varied copy of each, an exercise at a time.

    Raises TrainingError when it shall start from weights: trees are grown, not tuned.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    if start is not None:
        raise TrainingError("A forest cannot be fine-tuned; leave --from out, or take the design cnn_lstm.")
    generator = torch.Generator().manual_seed(config.seed)
    network = new_network(data, target, "forest")
    assert isinstance(network, ForestScorer)
    xyz, exercise = torch.from_numpy(data.xyz), torch.from_numpy(data.exercise)
    person = np.unique(np.char.add(data.subject, data.source), return_inverse=True)[1]
    styles = Styles(xyz, exercise, torch.from_numpy(person), torch.from_numpy(~data.incorrect))
    how = Variation(*(config.noise * value for value in vars(Variation()).values()))
    other = varied(styles.exchanged(xyz, torch.arange(len(data)), config.style, generator), how, generator)
    asked = torch.cat([network.asked(xyz, exercise), network.asked(other, exercise)]).numpy()
    wanted, of = np.concatenate([target, target]), np.concatenate([data.exercise, data.exercise])
    bad = np.concatenate([data.incorrect, data.incorrect])
    grown: list[list[Any]] = []
    said: list[Callable[[Array], Array]] = []
    for position in range(len(EXERCISES)):
        own = of == position
        trees = ExtraTreesRegressor(
            config.trees, max_features=0.1, min_samples_leaf=config.leaf, random_state=config.seed
        )
        both = np.stack([wanted[own], SPLIT_BY_VERDICT * bad[own]], axis=1)
        grown.append([tree.tree_ for tree in trees.fit(asked[own], both).estimators_] if own.any() else [])
        said.append(_reading(wanted[own], bad[own], 0.0 if data.graded else config.verdict_weight))
        work.progress(f"{name}: {position + 1} forests", (position + 1) / len(EXERCISES))
    nodes = max((tree.node_count for trees in grown for tree in trees), default=1)
    split = np.full((len(grown), config.trees, nodes), -1, dtype=np.int16)
    edge, leaf = np.zeros(split.shape, dtype=np.float32), np.full(split.shape, WORST / 2, dtype=np.float32)
    beyond = np.zeros(split.shape, dtype=np.int16)
    for position, trees in enumerate(grown):
        for number, tree in enumerate(trees):
            count = tree.node_count  # sklearn numbers the nodes so that the first child is the next one
            split[position, number, :count] = np.where(tree.children_left < 0, -1, tree.feature)
            edge[position, number, :count] = np.where(tree.children_left < 0, 0, tree.threshold)
            beyond[position, number, :count] = np.maximum(tree.children_right, 0)
            leaf[position, number, :count] = said[position](tree.value[:, :, 0])
    network.plant(*(torch.from_numpy(values) for values in (split, edge, beyond, leaf)))
    work.log(network=name, steps=config.trees, loss=float("nan"))
    return network.eval()


def _reading(target: Array, incorrect: NDArray[np.bool_], share: float) -> Callable[[Array], Array]:
    """What leaves (M, 2) say, of their mean target t and of p, the share of incorrect ones among their repetitions.

    (1 - share) t + share (g + p (b - g)), where g and b are the mean targets of all correct and of all incorrect ones.
    That is never as bad as the worst target; so what is above ``INCORRECT_FROM`` is stretched to reach it.
    """
    if not len(target):
        return lambda values: values[:, 0]
    usual = [float(target[own].mean()) if own.any() else float("nan") for own in (~incorrect, incorrect)]
    good, bad = np.where(np.isnan(usual), usual[::-1], usual)
    worst = float(target.max())
    reached = (1 - share) * worst + share * bad
    slope = (worst - INCORRECT_FROM) / (reached - INCORRECT_FROM) if reached > INCORRECT_FROM else 1.0

    def said(values: Array) -> Array:
        chance = values[:, 1] / SPLIT_BY_VERDICT
        score = (1 - share) * values[:, 0] + share * (good + chance * (bad - good))
        return np.asarray(score + (slope - 1) * np.maximum(score - INCORRECT_FROM, 0))

    return said


def predicted(network: Scorer, data: Repetitions) -> Array:
    """(N,) scores."""
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(data.xyz[k : k + 256]), torch.from_numpy(data.exercise[k : k + 256])).numpy()
            for k in range(0, len(data), 256)
        ]
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)


def train(config: ScorerConfig, work: Work) -> None:
    """Everybody left out in turn, then the network of everybody, which is the one that ships."""
    if config.parts and work.start is not None:
        raise TrainingError("An ensemble learns nothing itself; start its parts from weights instead.")
    recorded = repetitions_of(config)
    target, anchors = targets_of(recorded)
    data, origin = with_lifted(config, recorded)
    if config.parts:
        network, score = ensemble(config, data, work.folder.parent)
    else:
        network, score = learned(config, recorded, data, origin, target[origin], work)
    target = target[origin]
    known = np.isfinite(score)
    seen = from_video(data) & known if from_video(data).any() else known  # the chain scores video
    intervals = Intervals.fitted(score[seen], target[seen], data.subject[seen], config.coverage)
    np.savez_compressed(
        work.folder / "held_out.npz", score=score, target=target, exercise=data.exercise, subject=data.subject,
        source=data.source, incorrect=data.incorrect, name=data.name,
    )  # fmt: skip
    keep(network, config.design, work.folder, intervals, anchors, graded=data.graded)
    work.validated(float(np.mean(aucs(score[known], data.select(known)))) if not data.graded else
                   -float(np.mean(np.abs(score[known] - target[known]))))  # fmt: skip


def learned(
    config: ScorerConfig, recorded: Repetitions, data: Repetitions, origin: NDArray[np.int64], target: Array, work: Work
) -> tuple[Scorer, Array]:
    """The network of everybody, and (N,) the score of each of ``data`` by one that never saw its person.

    Raises TrainingError when there are not two people.
    """
    people: list[str] = sorted(np.unique(recorded.subject).tolist())
    if len(people) < 2:
        raise TrainingError("A scorer needs repetitions of at least two people: one to learn from, one to check with.")
    left_out = people[: config.folds] if config.folds else people
    state = work.load_state() or {"held_out": {}}
    done: dict[str, torch.Tensor] = state["held_out"]
    for number, who in enumerate(left_out):
        if who in done:
            continue
        goals = np.full(len(recorded), np.nan)  # nothing of the one left out, not even in the anchors
        others = recorded.subject != who
        goals[others], _ = targets_of(recorded.select(others))
        own = data.subject == who
        share = _share(work, number, len(left_out) + 1)
        network = fit(data.select(~own), goals[origin[~own]], config, share, f"without {who}", work.start)
        done[who] = torch.from_numpy(predicted(network, data.select(own)))
        work.save_state({"held_out": done})
    score = np.full(len(data), np.nan)
    for who, values in done.items():
        score[data.subject == who] = values.numpy()
    everybody = _share(work, len(left_out), len(left_out) + 1)
    return fit(data, target, config, everybody, "everybody", work.start), score


def ensemble(config: ScorerConfig, data: Repetitions, folder: Path) -> tuple[Scorer, Array]:
    """The mean of scorers that were trained in ``folder``, and of their scores of people left out.

    Raises TrainingError when one of them is not there, learned from other repetitions, or is of another's design.
    """
    parts: dict[str, Scorer] = {}
    scores: list[Array] = []
    for name in config.parts:
        design, held_out = own_scorer(str(folder / name)), folder / name / "held_out.npz"
        if not design or not held_out.is_file():
            raise TrainingError(f"The ensemble needs the training {name}, which is not in {folder}; train it first.")
        if design in parts:
            raise TrainingError(f"Two parts are of the design {design}; an ensemble takes one of each.")
        with np.load(held_out) as stored:
            if not (np.array_equal(stored["name"], data.name) and np.array_equal(stored["source"], data.source)):
                raise TrainingError(f"The training {name} learned from other repetitions; train it again.")
            scores.append(stored["score"])
        parts[design] = weights_into(design, folder / name / f"scorer-{design}.safetensors")
    first = next(iter(parts.values()))
    return EnsembleScorer(first.reference, first.counted, first.spread, parts).eval(), np.mean(scores, axis=0)


def _share(work: Work, number: int, total: int) -> Work:
    return Work(work.folder, work.start, lambda text, share: work.progress(text, (number + share) / total))


def aucs(score: Array, data: Repetitions) -> list[float]:
    """Area under the ROC curve of correct against incorrect, an exercise each; those with one verdict left out."""
    from sklearn.metrics import roc_auc_score

    found = []
    for position in np.unique(data.exercise):
        chosen = data.exercise == position
        if 0 < data.incorrect[chosen].sum() < chosen.sum():
            found.append(float(roc_auc_score(data.incorrect[chosen], score[chosen])))
    return found


def keep(network: Scorer, design: str, folder: Path, intervals: Intervals, anchors: dict[str, Any], *, graded: bool
         ) -> None:  # fmt: skip
    """Write the weights in half precision, and beside them what is needed to use them."""
    import json

    part = folder / f"scorer-{design}.part"
    save_file({key: value.half().contiguous() if value.is_floating_point() else value
               for key, value in network.state_dict().items()}, part)  # fmt: skip
    part.replace(folder / f"scorer-{design}.safetensors")
    about = {
        "design": design,
        "target": "graded by people" if graded else "derived from UI-PRMD, not a clinician's grade",
        "exercises": list(EXERCISES),
        "joints": list(KINECT_13.joints),
        "intervals": intervals.to_json(),
        "anchors": anchors,
    }
    (folder / f"scorer-{design}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def weights_into(design: str, path: Path) -> Scorer:
    """A network of this design with the weights of a file. Raises TrainingError when they do not fit."""
    state = {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
    try:
        return DESIGNS[design].restored(state)
    except (KeyError, RuntimeError) as error:
        raise TrainingError(f"{path} does not hold a scorer of the design {design}.") from error


def evaluate(config: ScorerConfig, work: Work) -> dict[str, Any]:
    """The held-out scores: AUC, Spearman, interval; a forest on hand features and a leaky split beside them."""
    from pipeline.training.scorer_measure import measure

    data, _ = with_lifted(config, repetitions_of(config))
    return measure(config, work, data)


def files(config: ScorerConfig) -> tuple[str, ...]:
    """What makes the model."""
    return (f"scorer-{config.design}.safetensors", f"scorer-{config.design}.json")


STAGE = Stage("scorer", ScorerConfig, CONFIG, train, evaluate, files)
