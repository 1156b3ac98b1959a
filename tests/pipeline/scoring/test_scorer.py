"""The scorers: what they see, what they cannot see, and that their reasons are true. Random weights do for that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.networks.scorer import DESIGNS, EnsembleScorer, ForestScorer, Scorer
from pipeline.scoring.canonical import FRAMES, Canonical, mirror
from pipeline.scoring.exercises import EXERCISES
from pipeline.scoring.intervals import Intervals
from pipeline.scoring.models import SCORERS, ModelMissingError, ScorerModel, read_scorer, shipped_scorers, write
from pipeline.scoring.scorer import (
    LEAST_POINTS,
    MOMENTS,
    moment_weights,
    raw_scores,
    replaced,
    score_repetition,
)
from pipeline.skeletons import KINECT_13
from pipeline.training.framework import TrainingError, Work
from pipeline.training.scorer import SPLIT_BY_VERDICT, ScorerConfig, _reading, fit, new_network, planted, predicted
from tests.pipeline.scoring.performed import SQUAT, squats


def some_network(design: str, folder: Path) -> Scorer:
    """Random weights, made to answer strongly, so that differences show."""
    data = squats(people=2, repetitions=2)
    if design == "forest":  # trees have no weights to draw: these learned the squats
        config = ScorerConfig(design="forest", trees=10, leaf=1)
        return planted(data, 3.0 * data.incorrect, config, Work(folder), "all")
    if design == "ensemble":
        parts = {name: some_network(name, folder) for name in ("forest", "cnn_lstm")}
        one = parts["forest"]
        return EnsembleScorer(one.reference, one.counted, one.spread, parts).eval()
    torch.manual_seed(3)
    network = new_network(data, np.zeros(len(data)), design).eval()
    last = [layer for layer in network.dense if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(8)
    return network


@pytest.fixture(scope="module", params=list(DESIGNS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ScorerModel:
    network = some_network(request.param, tmp_path_factory.mktemp("folder"))
    return ScorerModel(request.param, network, Intervals((0.3, 0.5, 0.7), 0.9, 0.9), "derived from a test")


@pytest.fixture(scope="module")
def bad() -> Canonical:
    data = squats(people=1, repetitions=1)
    return Canonical(data.xyz[data.incorrect][0].astype(float), np.linspace(2.0, 4.0, FRAMES), False)


def test_a_score_with_interval_and_band(model: ScorerModel, bad: Canonical) -> None:
    found = score_repetition(model, bad, SQUAT)
    assert 0 <= found.low <= found.score <= found.high <= 4
    assert (found.start_s, found.end_s) == (2.0, 4.0)
    assert raw_scores(model, [bad.xyz], SQUAT)[0] == pytest.approx(found.score, abs=1e-5)


def test_what_is_said_to_cost_points_does(model: ScorerModel, bad: Canonical) -> None:
    found = score_repetition(model, bad, SQUAT)
    reference = model.network.reference[SQUAT.position].double().numpy()
    weights = moment_weights()
    assert np.allclose(weights.sum(axis=0), 1) and weights.shape == (MOMENTS, FRAMES)
    for joint, moment in ((KINECT_13.index("left_knee"), 2), (KINECT_13.index("head"), 4)):
        mask = np.zeros((FRAMES, 13))
        mask[:, joint] = weights[moment]
        by_hand = found.score - raw_scores(model, [replaced(bad.xyz, reference, mask)], SQUAT)[0]
        assert found.costs[joint, moment] == pytest.approx(by_hand, abs=1e-4)
    for reason in found.reasons:
        assert reason.points >= LEAST_POINTS
        assert 2.0 <= reason.start_s < reason.time_s < reason.end_s <= 4.0
        assert reason.joint not in SQUAT.free
    at_reference = Canonical(reference, bad.time_s, False)
    assert not score_repetition(model, at_reference, SQUAT).reasons  # nothing to put right


def test_free_joints_do_not_count_at_all(model: ScorerModel, bad: Canonical) -> None:
    for exercise in EXERCISES.values():
        waving = bad.xyz.copy()
        free = [KINECT_13.index(joint) for joint in exercise.free]
        waving[:, free] += np.random.default_rng(0).normal(0, 1.0, (FRAMES, len(free), 3))
        before, after = raw_scores(model, [bad.xyz, waving], exercise)
        assert after == pytest.approx(before, abs=1e-5)
        assert np.all(score_repetition(model, bad, exercise).costs[free] == 0)


def test_the_exercise_is_an_input(model: ScorerModel, bad: Canonical) -> None:
    scores = [raw_scores(model, [bad.xyz], exercise)[0] for exercise in EXERCISES.values()]
    assert len(np.unique(np.round(scores, 4))) > 1
    assert raw_scores(model, [mirror(bad.xyz)], SQUAT).shape == (1,)


def test_shipped_scorers_are_there_and_small() -> None:
    from pipeline.scoring.models import CHECKPOINTS

    assert SCORERS[0] in shipped_scorers()
    for design in shipped_scorers():
        loaded = read_scorer(design)
        assert loaded.intervals.coverage == 0.9
        assert "not a clinician" in loaded.target
        assert (CHECKPOINTS / f"scorer-{design}.safetensors").stat().st_size < 3e6
        assert (CHECKPOINTS / f"scorer-{design}.md").is_file()
        reference = loaded.network.reference.numpy()
        for exercise in EXERCISES.values():  # people's usual way of doing it scores well
            assert raw_scores(loaded, [reference[exercise.position]], exercise)[0] < 1.0
    with pytest.raises(ModelMissingError, match="no scorer"):
        read_scorer("oracle")


def test_damaged_weights_are_a_sentence(model: ScorerModel, tmp_path: Path) -> None:
    folder = tmp_path
    about = {"intervals": model.intervals.to_json(), "target": "", "anchors": {}}
    write(f"scorer-{model.design}", folder, model.network, about)
    data = squats(people=1, repetitions=1)
    one = data.xyz[0].astype(float)
    again = read_scorer(model.design, folder)
    assert raw_scores(again, [one], SQUAT)[0] == pytest.approx(raw_scores(model, [one], SQUAT)[0], abs=0.05)
    (folder / f"scorer-{model.design}.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelMissingError, match="missing or damaged"):
        read_scorer(model.design, folder)


def test_what_a_leaf_says_goes_from_the_best_to_the_worst_target() -> None:
    target, incorrect = np.array([0.0, 0.4, 2.0, 4.0]), np.array([False, False, True, True])
    leaves = np.array([[0.0, 0.0], [0.4, SPLIT_BY_VERDICT / 2], [4.0, SPLIT_BY_VERDICT]])
    alone = _reading(target, incorrect, 0.0)(leaves)
    assert alone == pytest.approx([0.0, 0.4, 4.0])
    both = _reading(target, incorrect, 0.5)(leaves)
    assert both[0] == pytest.approx(0.1)  # half of it what correct ones usually have, 0.2
    assert both[2] == pytest.approx(4.0)
    assert alone[1] < both[1] < both[2]
    for verdict in (False, True):  # one verdict only
        found = _reading(target, np.full(4, verdict), 0.5)(leaves)
        assert np.isfinite(found).all()
    assert _reading(np.empty(0), np.empty(0, dtype=bool), 0.5)(leaves) == pytest.approx(leaves[:, 0])


def test_grades_of_ones_own_reach_the_worst(tmp_path: Path) -> None:
    data = squats(people=3, repetitions=3)
    grades = np.where(data.incorrect, 4.0, 1.5)
    own = replace(data, grade=grades)
    network = planted(own, grades, ScorerConfig(design="forest", trees=10, leaf=1, noise=0.1), Work(tmp_path), "all")
    assert predicted(network, own)[data.incorrect].min() > 3.0


def test_a_forest_that_asked_for_other_values_is_not_read(tmp_path: Path) -> None:
    for network in (some_network("forest", tmp_path), some_network("ensemble", tmp_path)):
        state = {key: value for key, value in network.state_dict().items() if not key.endswith("asks_for")}
        with pytest.raises(KeyError, match="asks_for"):
            type(network).restored(state)
    write("scorer-forest", tmp_path, some_network("forest", tmp_path), {"intervals": {}})
    with pytest.raises(ModelMissingError, match="another version"):
        read_scorer("forest", tmp_path)


def test_the_forest_as_tensors_is_the_forest_that_was_grown(tmp_path: Path) -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    data = squats(people=3, repetitions=3)
    target = 2.0 * data.incorrect + np.linspace(0, 1, len(data))
    config = ScorerConfig(design="forest", trees=7, leaf=2, noise=0.0, style=0.0, verdict_weight=0.0)
    network = fit(data, target, config, Work(tmp_path), "all")
    assert isinstance(network, ForestScorer)
    xyz, exercise = torch.from_numpy(data.xyz), torch.from_numpy(data.exercise)
    asked = network.asked(xyz, exercise).numpy()
    trees = ExtraTreesRegressor(7, max_features=0.1, min_samples_leaf=2, random_state=0)
    both = np.stack([target, SPLIT_BY_VERDICT * data.incorrect], axis=1)
    score, chance = trees.fit(np.concatenate([asked, asked]), np.concatenate([both, both])).predict(asked).T
    assert predicted(network, data) == pytest.approx(score, abs=0.02)
    assert chance[data.incorrect].mean() > 0.8 * SPLIT_BY_VERDICT
    other = torch.full_like(exercise, 3)  # nobody showed this one
    assert torch.allclose(network(xyz, other), torch.tensor(2.0))
    with pytest.raises(TrainingError, match="cannot be fine-tuned"):
        fit(data, target, config, Work(tmp_path), "again", tmp_path / "weights")
