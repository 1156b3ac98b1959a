"""The registry against the metadata of the installed wheels, and what it says when something is missing."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.estimation import registry
from pipeline.estimation.base import EstimatorError
from pipeline.estimation.registry import (
    ModelEntry,
    add_model,
    config_path,
    create_estimator,
    default_pair,
    entry,
    how_to_get,
    is_installed,
    list_models,
    remove_model,
)
from pipeline.estimation.topdown import WORKING_POINTS, suited
from pipeline.settings import data_dir
from pipeline.skeletons import SKELETONS
from tests.pipeline.estimation.test_onnx_models import brightest_file, end2end_file

METAFILES = {
    "mmpose": (
        "configs/body_2d_keypoint/rtmpose/body8/rtmpose_body8-coco.yml",
        "configs/body_2d_keypoint/rtmpose/body8/rtmpose_body8-halpe26.yml",
        "configs/wholebody_2d_keypoint/rtmpose/cocktail14/rtmw_cocktail14.yml",
        "configs/body_2d_keypoint/rtmo/body7/rtmo_body7.yml",
    ),
    "mmdet": ("configs/rtmdet/metafile.yml",),
}
WANTED_DETECTORS = ("rtmdet_tiny_8xb32-300e_coco", "rtmdet_s_8xb32-300e_coco", "rtmdet_l_8xb32-300e_coco")
METRICS = {
    "Body8 AP": ("AP", 1),
    "Body8 PCK@0.1": ("Mean@0.1", 1),
    "COCO-WholeBody AP": ("Whole AP", 1),
    "COCO AP": ("AP", 1),
    "COCO box AP": ("box AP", 100),
}


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path))
    return tmp_path


def wheel_models() -> dict[str, dict[str, Any]]:
    """The models of our families in the wheels' metadata, by "package:config"."""
    rows = {}
    for package, files in METAFILES.items():
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.submodule_search_locations
        root = Path(spec.submodule_search_locations[0], ".mim")
        listed = yaml.safe_load((root / "model-index.yml").read_text())["Import"]
        for file in files:
            assert file in listed
            for row in yaml.safe_load((root / file).read_text())["Models"]:
                if package == "mmpose" or row["Name"] in WANTED_DETECTORS:
                    rows[f"{package}:{row['Config']}"] = row
    return rows


def test_every_model_that_the_wheels_list_is_here_as_they_list_it() -> None:
    wheels = wheel_models()
    ours = {e.config: e for e in list_models() if e.verified and e.name != "blazepose"}
    assert len(wheels) == 25
    assert set(ours) == set(wheels)
    for config, row in wheels.items():
        model = ours[config]
        key, unit = METRICS[model.metric]
        assert model.checkpoint_url == row["Weights"]
        assert model.published == pytest.approx(row["Results"][0]["Metrics"][key] / unit)


def test_what_only_documentation_lists_is_unverified() -> None:
    unverified = {e.name for e in list_models() if e.checkpoint_url and not e.verified}
    assert unverified == {"rtmdet-nano", "rtmdet-m", "rtmpose-x"}


def test_hashes_stand_in_the_file_names() -> None:
    without = set()
    for model in list_models():
        if model.hash8:
            assert f"-{model.hash8}" in model.checkpoint_url
        elif model.checkpoint_url:
            without.add(model.name)
    assert without == {"rtmw-m", "rtmw-l", "rtmw-l-384"}  # rtmw-dw-*: only a date


def test_archives_are_named_like_their_checkpoints() -> None:
    for model in list_models():
        if model.onnx_url and not model.name.startswith("rtmw"):
            assert Path(model.onnx_url).stem == Path(model.checkpoint_url).stem


@pytest.mark.parametrize(
    "model", [e for e in list_models() if e.config and e.source == "builtin"], ids=lambda e: e.name
)
def test_configs_are_in_the_wheels_and_have_the_size_in_their_name(model: ModelEntry) -> None:
    path = config_path(model)
    width, height = model.input_size
    text = path.read_text()
    if model.kind == "keypoints":
        assert f"{height}x{width}" in path.name
        assert f"input_size=({width}, {height})" in text or f"input_size = ({width}, {height})" in text
        assert model.skeleton in SKELETONS
    else:
        assert width == height
    assert math.isfinite(model.published) and 0 < model.published < 1


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(EstimatorError, match="no model 'rtmpose-z'; there are: blazepose, rtmdet-nano"):
        entry("rtmpose-z")


def test_without_weights_blazepose_is_preselected_and_works() -> None:
    assert default_pair() == ("blazepose", "blazepose")
    info = create_estimator().info
    assert (info.detector, info.name) == ("blazepose", "blazepose")


def test_installed_weights_are_preselected(models: Path) -> None:
    (models / "rtmdet-nano.onnx").touch()
    assert default_pair() == ("blazepose", "blazepose")
    (models / "rtmpose-s.onnx").touch()
    assert default_pair() == ("rtmdet-nano", "rtmpose-s")
    assert default_pair("mmpose") == ("blazepose", "blazepose")
    (models / Path(entry("rtmpose-m").onnx_url).name).touch()  # the archive alone is enough
    assert default_pair() == ("rtmdet-nano", "rtmpose-m")


def test_missing_weights_say_how_to_get_them(models: Path) -> None:
    with pytest.raises(EstimatorError, match="cannot run in the mmpose engine"):
        create_estimator("rtmo-s", engine="mmpose")
    with pytest.raises(EstimatorError) as error:
        create_estimator("rtmpose-t")
    text = str(error.value)
    assert "python -m pipeline models download rtmpose-t`" in text
    assert entry("rtmpose-t").onnx_url in text and str(models) in text
    assert "--checkpoint" in how_to_get(entry("rtmpose-t"), "mmpose")
    assert "models export rtmdet-s" in how_to_get(entry("rtmdet-s"))
    model = entry("rtmdet-s")
    assert model.checkpoint_path is not None
    model.checkpoint_path.touch()
    assert is_installed(model) and not is_installed(model, "onnx")
    assert "weights are here" in how_to_get(model)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"model": "rtmdet-nano"}, "no key-point model; choose one of: blazepose, rtmpose-t"),
        ({"detector": "rtmpose-t", "model": "blazepose"}, "no detector; choose one of: blazepose, rtmdet-nano"),
        ({"engine": "tensorrt"}, "no engine 'tensorrt'"),
    ],
)
def test_wrong_choices_are_explained(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(EstimatorError, match=text):
        create_estimator(**arguments)


def test_a_users_model_is_kept_listed_and_removed(tmp_path: Path) -> None:
    file = brightest_file(tmp_path / "mine.onnx")
    people = end2end_file(tmp_path / "people.onnx", [[40, 20, 120, 300, 0.9]], [0])
    added = add_model(
        ModelEntry("my-pose", "keypoints", 'Mine, "fine-tuned"', "coco17", (192, 256), onnx_file=str(file))
    )
    assert entry("my-pose") == added
    assert added.engines == ("onnx",) and added.source == "user" and is_installed(added)
    add_model(ModelEntry("other", "detector", "Other", onnx_file=str(people)))
    remove_model("my-pose")
    assert [e.name for e in list_models() if e.source == "user"] == ["other"]
    with pytest.raises(EstimatorError, match="not among the models you added: other"):
        remove_model("my-pose")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (ModelEntry("rtmpose-t", "keypoints", "x", onnx_file=__file__), "built-in"),
        (ModelEntry("Mein Modell", "keypoints", "x", onnx_file=__file__), "no name"),
        (ModelEntry("m", "pair", "x", onnx_file=__file__), "'detector' or 'keypoints'"),
        (ModelEntry("m", "keypoints", "x", onnx_file="/nowhere.onnx"), "does not exist"),
        (ModelEntry("m", "keypoints", "x", config=__file__), "needs an ONNX file, or a config and a checkpoint"),
    ],
)
def test_models_that_could_not_run_are_refused(model: ModelEntry, text: str) -> None:
    with pytest.raises(EstimatorError, match=text):
        add_model(model)


def test_a_broken_registry_names_the_file(models: Path) -> None:
    (models / "registry.toml").write_text("[[model]\n")
    with pytest.raises(EstimatorError, match=r"registry.toml is not a readable model registry"):
        list_models()
    (models / "registry.toml").write_text('[[model]]\nname = "x"\nkind = "poem"\ntitle = "y"\n')
    with pytest.raises(EstimatorError, match="entry 'x' is not understood"):
        list_models()


def test_the_models_folder_defaults_to_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINOSCOPE_MODELS")
    assert registry.models_dir().parts[-2:] == ("kinoscope", "models")


def test_a_reliable_detector_needs_no_second_look_and_tiles_only_for_small_people() -> None:
    fast, balanced, thorough = (WORKING_POINTS[name] for name in ("fast", "balanced", "thorough"))
    assert suited(balanced, "blazepose") == balanced
    for point in (fast, balanced, thorough):
        kept = suited(point, "rtmdet-nano")
        assert not kept.second_look and not kept.mirror and not kept.tiles_in_turn
        assert (kept.min_detection, kept.detect_every_s) == (point.min_detection, point.detect_every_s)
    assert suited(balanced, "rtmdet-nano").tiles == 1
    assert suited(thorough, "rtmdet-nano").tiles == thorough.tiles == 3


def test_an_estimator_gets_the_parameters_that_its_detector_needs() -> None:
    assert create_estimator("blazepose").info.parameters["mirror"] is True


def test_a_mixed_pair_looks_only_once(models: Path) -> None:
    source = data_dir() / "models/rtmdet_nano_person_end2end.onnx"
    if not source.exists():
        pytest.skip("the private detector is not here")
    (models / "rtmdet-nano.onnx").symlink_to(source)
    parameters = create_estimator("blazepose", "rtmdet-nano").info.parameters
    assert (parameters["second_look"], parameters["mirror"], parameters["tiles"]) == (False, False, 1)
