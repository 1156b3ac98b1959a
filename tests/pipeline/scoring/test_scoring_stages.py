"""Training the last three stages on tiny data: resumed after a kill, measured, deployed; and on labels of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.runs import RunStore
from pipeline.scoring.models import read_gate, read_scorer, read_trimmer
from pipeline.synthetic.actor import ActorSpec
from pipeline.training import bad_3d, dataset, framework, scorer, scorer_measure, trimming
from pipeline.training.dataset import DatasetError, Repetitions
from pipeline.training.framework import TrainingError
from pipeline.training.lifted import LIFTED
from tests.pipeline.movements.analysed_runs import run_of
from tests.pipeline.scoring.performed import clip, cut, in_space, squats

TINY = {"steps": 12, "batch_size": 8}


@pytest.fixture(scope="module")
def data() -> Repetitions:
    return squats(people=3, repetitions=3)


@pytest.fixture
def on_squats(data: Repetitions, monkeypatch: pytest.MonkeyPatch) -> None:
    """UI-PRMD is private: the stages learn from the actor instead."""
    monkeypatch.setattr(scorer, "ui_prmd", lambda _sources: data)
    monkeypatch.setattr(bad_3d, "ui_prmd", lambda _sources: data)
    from_video = replace(data, source=np.char.add(data.source, LIFTED), xyz=data.xyz + np.float32(0.01))
    monkeypatch.setattr(scorer, "ui_prmd_lifted", lambda _sources, _views: from_video)
    monkeypatch.setattr(bad_3d, "ui_prmd_lifted", lambda _sources, _views: from_video)
    monkeypatch.setattr(bad_3d, "lifted_motions", lambda _name: [])
    monkeypatch.setattr(scorer_measure, "FORESTS", 5)
    monkeypatch.setattr(scorer_measure, "_DRAWS", 10)


@pytest.mark.usefixtures("on_squats")
def test_a_scorer_is_trained_resumed_measured_and_deployed(tmp_path: Path, data: Repetitions) -> None:
    config = scorer.ScorerConfig(**TINY)
    folder = tmp_path / "work"

    def kill(text: str, _share: float) -> None:
        if text.startswith("without 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        framework.train(scorer.STAGE, scorer.ScorerConfig(steps=60, batch_size=8), folder, progress=kill)
    assert "without 0" in (folder / "history.csv").read_text()
    assert "without 1" not in (folder / "history.csv").read_text()
    framework.train(scorer.STAGE, scorer.ScorerConfig(steps=60, batch_size=8), folder)
    assert (folder / "history.csv").read_text().count("without 0") == 1  # what was done is not done again

    framework.train(scorer.STAGE, config, folder)
    with np.load(folder / "held_out.npz") as stored:
        assert np.isfinite(stored["score"]).all() and len(stored["score"]) == 2 * len(data)
        assert np.array_equal(stored["target"][: len(data)], stored["target"][len(data) :])  # from video, the same goal
    metrics = framework.evaluate(scorer.STAGE, config, folder)
    assert 0 <= metrics["primary"]["low"] <= metrics["primary"]["value"] <= metrics["primary"]["high"] <= 1
    assert {"forest", "leaky_random_split_forest", "distance_formula", "spearman_of_target", "interval"} <= set(metrics)
    assert metrics["video"]["repetitions"] == metrics["repetitions"] == len(data)
    for method in ("network", "distance_formula"):
        assert metrics["video"][method]["shift"] < 0.5  # a hundredth of a trunk length moves no score far
    assert (folder / "scorer.png").stat().st_size > 5000
    framework.deploy(scorer.STAGE, config, folder, "scorer", tmp_path / "checkpoints")
    loaded = read_scorer("cnn_lstm", tmp_path / "checkpoints")
    assert "not a clinician" in loaded.target


@pytest.mark.usefixtures("on_squats")
def test_nothing_of_the_one_left_out_is_seen(
    data: Repetitions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, set[str]] = {}
    real = scorer.fit

    def spy(part: Repetitions, target: np.ndarray, config: object, work: object, name: str, start: object = None):  # type: ignore[no-untyped-def]
        seen[name] = set(part.subject.tolist())
        return real(part, target, config, work, name, start)  # type: ignore[arg-type]

    monkeypatch.setattr(scorer, "fit", spy)
    framework.train(scorer.STAGE, scorer.ScorerConfig(steps=2, batch_size=8), tmp_path / "work")
    everybody = set(data.subject.tolist())
    assert seen.pop("everybody") == everybody
    assert seen == {f"without {who}": everybody - {who} for who in everybody}


@pytest.mark.usefixtures("on_squats")
def test_an_ensemble_is_the_mean_of_the_trainings_beside_it(tmp_path: Path, data: Repetitions) -> None:
    config = scorer.ScorerConfig(design="ensemble", parts=("one", "other"))
    with pytest.raises(TrainingError, match="train it first"):
        framework.train(scorer.STAGE, config, tmp_path / "both")
    for name, design in (("one", "forest"), ("other", "cnn_lstm")):
        framework.train(scorer.STAGE, scorer.ScorerConfig(design=design, trees=2, steps=2), tmp_path / name)
    framework.train(scorer.STAGE, config, tmp_path / "both")
    held_out = [np.load(tmp_path / name / "held_out.npz")["score"] for name in ("one", "other", "both")]
    np.testing.assert_allclose(held_out[2], (held_out[0] + held_out[1]) / 2)
    one, other, both = (read_scorer(str(tmp_path / name)).network for name in ("one", "other", "both"))
    scores = [scorer.predicted(network, data) for network in (one, other, both)]
    np.testing.assert_allclose(scores[2], (scores[0] + scores[1]) / 2, atol=1e-5)
    with pytest.raises(ValueError, match="needs parts"):
        scorer.ScorerConfig(design="ensemble")


def test_a_scorer_learns(data: Repetitions, tmp_path: Path) -> None:
    target, _ = scorer.targets_of(data)
    config = scorer.ScorerConfig(steps=150, batch_size=16, noise=0.3)
    network = scorer.fit(data, target, config, framework.Work(tmp_path), "all")
    found = scorer.predicted(network, data)
    assert np.mean(scorer.aucs(found, data)) > 0.95
    assert found[data.incorrect].mean() > found[~data.incorrect].mean() + 0.7


@pytest.mark.usefixtures("on_squats")
def test_the_bad_3d_gate_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def moves(name: str) -> list[SimpleNamespace]:
        space = in_space(clip("jumping_jack" if name == "cmu" else "walk", repetitions=5))
        return [SimpleNamespace(source=name, subject=str(k), time_s=space.time_s - space.time_s[0], xyz_m=space.xyz_m)
                for k in range(2)]  # fmt: skip

    class Sized(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.time_s)

    monkeypatch.setattr(bad_3d, "load", lambda name: [Sized(**vars(m)) for m in moves(name)])
    config = bad_3d.Bad3dConfig(strangers=("cmu", "utkinect"), windows=40, folds=2, steps=60, batch_size=32)
    framework.train(bad_3d.STAGE, config, tmp_path)
    metrics = framework.evaluate(bad_3d.STAGE, config, tmp_path)
    assert metrics["primary"]["value"] > 0.6
    assert 0 <= metrics["exercise_recognised_from_video"] <= 1
    assert 0 < read_gate(tmp_path).threshold < 1


def test_the_trimmer_is_trained_on_clips_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuff(side: str) -> trimming.Material:
        groups = {}
        for person in range(2):
            truth = clip(seed=10 * len(side) + person, repetitions=3)
            groups[(str(person), "squat")] = [trimming.prepared(xyz, time_s)[1] for xyz, time_s in cut(truth)]
        space = in_space(clip("walk", repetitions=6))
        assert space.xyz_m is not None
        return trimming.Material(groups, [trimming.prepared(space.xyz_m, space.time_s)[1]], [])

    monkeypatch.setattr(trimming, "material", stuff)
    one = trimming.put_together(stuff("train"), np.random.default_rng(0))
    assert one.xyz.shape[1:] == (13, 3) and one.active.any() and one.begins.any()
    assert not (one.begins & ~one.active).any()
    config = trimming.TrimmingConfig(
        clips=12, test_clips=6, steps=30, batch_size=6, seconds=8.0, width=16, check_every=10
    )
    framework.train(trimming.STAGE, config, tmp_path)

    def kill(_: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        framework.train(trimming.STAGE, config, tmp_path / "killed", progress=kill)
    framework.train(trimming.STAGE, config, tmp_path / "killed")
    whole, resumed = (read_trimmer(folder).network.state_dict() for folder in (tmp_path, tmp_path / "killed"))
    for name, values in whole.items():
        np.testing.assert_allclose(resumed[name].numpy(), values.numpy(), atol=1e-3)
    metrics = framework.evaluate(trimming.STAGE, config, tmp_path)
    found = metrics["data_sets"]["ui_prmd"]
    assert 0 <= found["frame_f1"]["value"] <= 1
    assert read_trimmer(tmp_path).network.gru.hidden_size == 16


# --- one's own labels -------------------------------------------------------------------------------------------


@pytest.fixture
def graded(tmp_path: Path) -> tuple[RunStore, Path]:
    """Runs of two people, and a table with a grade for each of their squats."""
    store = RunStore(tmp_path / "outputs")
    lines = ["run,person,start_s,end_s,exercise,subject,score"]
    for person, depth in (("anna", 1.0), ("ben", 0.7)):
        spec = ActorSpec.one("squat", repetitions=3, depth=depth, size=(160, 120), seed=len(person))
        run = run_of(store, tmp_path, spec)
        number = run.recording().people[0].person
        for k, one in enumerate(clip(repetitions=3, depth=depth, seed=len(person)).people[0].repetitions):
            score = 0.3 * k + (0 if depth == 1 else 2)
            lines.append(f"{run.id},{number},{one.start_s},{one.end_s},deep_squat,{person},{score}")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return store, path


def test_a_data_set_of_ones_own_trains_a_scorer_of_ones_own(
    graded: tuple[RunStore, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, labels = graded
    made = tmp_path / "mine.npz"
    assert main(["dataset", "build", "--labels", str(labels), "--to", str(made), "--lift", "given",
                 "--out", str(store.folder), "--json"]) == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)["repetitions"] == 6
    data = Repetitions.read(made)
    assert data.graded and sorted(set(data.subject.tolist())) == ["anna", "ben"]
    config = scorer.ScorerConfig(labels=str(made), **TINY)
    framework.train(scorer.STAGE, config, tmp_path / "work")
    metrics = framework.evaluate(scorer.STAGE, config, tmp_path / "work")
    assert metrics["primary"]["higher_is_better"] is False
    assert read_scorer("cnn_lstm", tmp_path / "work").target == "graded by people"
    weights = tmp_path / "work" / "scorer-cnn_lstm.safetensors"
    framework.train(scorer.STAGE, config, tmp_path / "again", start=weights)  # fine-tuning
    with pytest.raises(TrainingError, match="does not hold"):
        scorer.weights_into("transformer", weights)


def test_labels_that_make_no_sense_are_told_by_line(graded: tuple[RunStore, Path], tmp_path: Path) -> None:
    store, labels = graded
    head, first, *_ = labels.read_text().splitlines()

    def wrong(lines: Iterable[str]) -> Path:
        path = tmp_path / "wrong.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    for lines, says in (
        ((head, first.rsplit(",", 1)[0] + ",7"), "line 2: the score"),
        ((head, first.replace("deep_squat", "juggling")), "no exercise"),
        ((head, first.rsplit(",", 1)[0] + ",good"), "must be numbers"),
        (("run,start_s", "a,1"), "lacks the column"),
        ((head,), "no rows"),
    ):
        with pytest.raises(ValueError, match=says):
            dataset.read_labels(wrong(lines))
    with pytest.raises(DatasetError, match="no row for these runs"):
        dataset.build(store, labels, runs=["another"], lift="given")
    made = dataset.build(store, labels, lift="given")
    made.select(made.subject == "anna").save(tmp_path / "one.npz")
    with pytest.raises(TrainingError, match="two people"):
        framework.train(scorer.STAGE, scorer.ScorerConfig(labels=str(tmp_path / "one.npz"), **TINY), tmp_path / "w")
    with pytest.raises(DatasetError, match="dataset build"):
        Repetitions.read(labels)
