"""Training of the fall forest: what may be learned from, honest folds, measures against known answers, a tiny run."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pipeline import settings
from pipeline.falls.detect import detect_falls
from pipeline.falls.events import FallEvent
from pipeline.falls.features import WINDOW
from pipeline.falls.forest import CHECKPOINT, FallModelError, load_forest
from pipeline.poses import PoseSequence
from pipeline.synthetic.timeline import FallTimes
from pipeline.training import framework
from pipeline.training.fall_baselines import floor_features, network_input, rule_votes
from pipeline.training.fall_data import kinect_examples, parts_of, training_rows, well_seen, windows_of
from pipeline.training.fall_measure import Tally, match, poisson_rate
from pipeline.training.fall_scenes import SCENES, acted_examples
from pipeline.training.fall_sources import NEVER_TRAIN, falling_times, training_takes
from pipeline.training.falls import STAGE, FallsConfig, folds_of

FORBIDDEN = {
    "upfall": {"A1_T1", "A2_T2", "A3_T1", "A8_T1", "A9_T1", "A11_T1"},
    "urfd": {"fall-02", "fall-17", "fall-19"},
}


def test_nothing_that_also_stands_in_the_test_clips_is_trained_on() -> None:
    """data/falls/README.txt names the takes; both cameras of each are out."""
    for source, takes in FORBIDDEN.items():
        assert takes <= NEVER_TRAIN[source]
    if not (settings.data_dir() / "data" / "falls").is_dir():
        pytest.skip(f"the private test data is not here (KINOSCOPE_DATA={settings.data_dir()})")
    found = training_takes()
    assert len(found) > 60
    for take in found:
        assert take.take not in FORBIDDEN[take.source]
        assert "media" not in take.path.parts
    assert {take.source for take in found} == {"upfall", "urfd"}
    both = [take.path.name for take in found if take.take == "A3_T2"]
    assert both == ["A3_T2_C1.mp4", "A3_T2_C2.mp4"]


def test_the_shipped_model_says_what_it_learned_from() -> None:
    document = json.loads(CHECKPOINT.with_suffix(".json").read_text())
    for group in document["takes"]:
        source, take = group.split(":")
        assert take not in NEVER_TRAIN[source]
    assert set(document["sources"]) <= {"upfall", "urfd", "acted", "mocap", "kinect"}
    if "urfd" in document["sources"]:
        assert "NON-COMMERCIAL" in document["sources"]["urfd"]


def test_takes_come_from_the_folder_that_is_given(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "falls"
    (folder / "upfall_s1").mkdir(parents=True)
    (folder / "urfd_falls").mkdir()
    for name in ("A1_T1_C1", "A1_T2_C1", "A6_T1_C2"):
        (folder / "upfall_s1" / f"{name}.mp4").touch()
    for name in ("fall-17-cam0", "fall-01-cam0"):
        (folder / "urfd_falls" / f"{name}.mp4").touch()
    takes = training_takes(tmp_path)
    assert [(take.group, take.is_fall) for take in takes] == [
        ("upfall:A1_T2", True), ("urfd:fall-01", True), ("upfall:A6_T1", False),
    ]  # fmt: skip
    assert training_takes(tmp_path / "nowhere") == []


def _private_data() -> None:
    if not (settings.data_dir() / "data" / "falls").is_dir():
        pytest.skip(f"the private test data is not here (KINOSCOPE_DATA={settings.data_dir()})")


def test_ur_falls_own_table_says_when_somebody_falls() -> None:
    _private_data()
    takes = training_takes()
    times = {take.take: falling_times(take) for take in takes if take.source == "urfd"}
    assert len(times) == 25
    assert all(fall is not None and 0 < fall.impact_s - fall.onset_s < 3 for fall in times.values())
    first = times["fall-01"]
    assert first is not None
    assert (first.onset_s, first.impact_s) == pytest.approx((82 / 30, 112 / 30))
    assert all(falling_times(take) is None for take in takes if take.source == "upfall")


def test_kinect_recordings_are_upright_people_who_do_not_fall() -> None:
    _private_data()
    found = list(islice(kinect_examples(1, seed=3), 12))
    assert {example.group.split(":")[1] for example in found} == {"utkinect"}
    for example in found:
        assert not example.falls
        one = example.sequence
        head, foot = (np.nanmedian(one.xy_px[:, one.skeleton.index(name), 1]) for name in ("head", "left_foot"))
        assert head < foot, "the head is above the feet in the picture"
        assert np.diff(one.time_s) == pytest.approx(one.time_s[1])


def test_no_data_gives_no_kinect_recordings(tmp_path: Path) -> None:
    assert list(kinect_examples(1, seed=3, data=tmp_path)) == []


def test_acted_scenes_repeat_and_their_falls_lie_where_they_say() -> None:
    first, again = list(acted_examples(12, 7)), list(acted_examples(12, 7))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.sequence.xy_px, b.sequence.xy_px)
        assert a.falls == b.falls
    assert {one.source for one in first} <= {f"acted:{name}" for name in SCENES}
    assert len({one.group for one in first}) == 12
    for one in acted_examples(40, 11):
        assert bool(one.falls) == ("fall" in one.source or "collapse" in one.source)
        for fall in one.falls:
            assert 0 <= fall.onset_s < fall.impact_s <= one.sequence.time_s[-1]
        windows = windows_of(one)
        if one.falls and well_seen(windows):
            middle = (one.falls[0].onset_s + one.falls[0].impact_s) / 2
            assert windows.label[np.argmin(np.abs(windows.grid.time_s - middle))] == 1
        else:
            assert not (windows.label == 1).any()


def test_copies_begin_late_or_end_early_and_keep_their_fall() -> None:
    example = next(one for one in acted_examples(30, seed=4) if one.falls and len(one.sequence) > 60)
    fall = example.falls[0]
    early, late = parts_of(example, seed=1)
    assert early.falls == late.falls == (fall,)
    assert early.sequence.time_s[0] == example.sequence.time_s[0]
    assert fall.impact_s < early.sequence.time_s[-1] <= fall.impact_s + 1.6
    assert fall.onset_s - 1.25 <= late.sequence.time_s[0] < fall.onset_s
    assert parts_of(example, seed=1)[1].sequence.time_s[0] == late.sequence.time_s[0], "the same seed, the same copies"
    assert parts_of(replace(example, sequence=example.sequence.select(slice(0, 5))), seed=1) == []


def test_training_rows_balance_falls_and_life() -> None:
    windows = [windows_of(one) for one in acted_examples(30, 3)]
    x, y, weight = training_rows(windows, 0, 0.2)
    assert len(x) == len(y) == len(weight)
    assert 0 < y.mean() < 0.5
    assert weight[y == 1].sum() == pytest.approx(weight[y == 0].sum())


def test_a_group_is_in_one_fold_only() -> None:
    windows = [windows_of(one) for one in acted_examples(20, 5)]
    folds = folds_of(windows + windows, 4, 0)
    groups = [group for fold in folds for group in fold]
    assert sorted(groups) == sorted({one.example.group for one in windows})
    assert all(folds)


def event(onset_s: float, impact_s: float) -> FallEvent:
    nan = float("nan")
    return FallEvent(1, onset_s, impact_s, nan, nan, (onset_s + impact_s) / 2, 0.9, nan)


def test_alarms_belong_to_the_nearest_fall_and_to_one_only() -> None:
    falls = [FallTimes(2.0, 3.0), FallTimes(12.0, 13.0)]
    events = [event(1.8, 2.9), event(3.2, 4.0), event(30.0, 31.0)]
    assert [(e.onset_s, f.onset_s) for e, f in match(events, falls)] == [(1.8, 2.0)]
    counts = Tally()
    counts.add("a", events, falls, 0.0)
    counts.add("b", [], [], 0.5)
    assert (counts.falls, counts.found, counts.false_alarms, counts.hours) == (2, 1, 2, 0.5)
    assert counts.f1() == pytest.approx(2 / (2 + 1 + 2))
    assert counts.onset_errors_s == pytest.approx([-0.2])
    low, high = counts.missed_interval
    assert low < 0.5 < high


def test_the_poisson_interval_is_exact() -> None:
    rate, low, high = poisson_rate(0, 2.0)
    assert (rate, low) == (0, 0)
    assert high == pytest.approx(3.6889 / 2, abs=1e-3)  # -ln(0.025), Garwood 1936
    _, low, high = poisson_rate(5, 1.0)
    assert stats.poisson.sf(4, low) == pytest.approx(0.025)
    assert stats.poisson.cdf(5, high) == pytest.approx(0.025)
    assert np.isnan(poisson_rate(1, 0.0)).all()


def test_the_baselines_see_what_they_should() -> None:
    one = next(e for e in acted_examples(40, 3) if e.source == "acted:falls")
    windows = windows_of(one)
    times, rows = floor_features(one.sequence)
    assert rows.shape == (len(times), 4 * 26)
    known = np.nan_to_num(one.sequence.xy_px[:10, one.sequence.skeleton.index("left_hip"), 1])
    assert rows[0, 15] == pytest.approx(known.mean(), rel=1e-6)  # left_hip is KINECT_13's eighth joint
    assert floor_features(PoseSequence.empty())[1].shape == (0, 104)
    seen = np.flatnonzero(np.isfinite(windows.grid.height_px))
    stack = network_input(windows, seen)
    assert stack.shape == (len(seen), 39, WINDOW)
    assert np.isfinite(stack).all()
    votes = rule_votes([windows])[id(windows)]
    assert ((votes >= 0) & (votes <= 1)).all()


def test_a_tiny_training_end_to_end(tmp_path: Path) -> None:
    config = FallsConfig(("acted",), acted_scenes=22, trees=8, folds=2, min_leaf=3)
    folder = framework.train(STAGE, config, tmp_path / "work")
    for name in ("falls.skops", "falls.json", "training.json", "cross_validation.json"):
        assert (folder / name).is_file()
    model = load_forest(folder / "falls.skops")
    assert len(model.points) == 5
    assert 0 <= json.loads((folder / "training.json").read_text())["score"] <= 1
    assert (np.diff(model.calibration[1]) >= -1e-9).all()
    falls = [one for one in acted_examples(22, config.seed) if one.source == "acted:falls"]
    found = [len(detect_falls(one.sequence, sensitivity="very sensitive", model=model).events) > 0 for one in falls]
    assert np.mean(found) > 0.7
    metrics = framework.evaluate(STAGE, config, folder)
    assert set(metrics["methods"]) == {
        "random forest (shipped)", "floor: pixels, frames, zeros", "rule: fast drop, then lying still", "temporal CNN",
    }  # fmt: skip
    assert (folder / "operating.png").stat().st_size > 5000
    written = framework.deploy(STAGE, config, folder, "falls", tmp_path / "checkpoints")
    assert {path.name for path in written} == {"falls.skops", "falls.json", "falls.evaluation.json"}


def test_configurations_and_models_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sources must be"):
        FallsConfig(sources=("television",))
    with pytest.raises(ValueError, match="folds"):
        FallsConfig(folds=1)
    config, search = framework.read_config(STAGE)
    assert config.seed == FallsConfig().seed
    assert set(search) <= set(FallsConfig.__dataclass_fields__)
    with pytest.raises(FallModelError, match="cannot be read"):
        load_forest(tmp_path / "falls.skops")
    (tmp_path / "falls.json").write_text("{}")
    (tmp_path / "falls.skops").write_bytes(b"no zip")
    with pytest.raises(FallModelError, match="cannot be read"):
        load_forest(tmp_path / "falls.skops")
