"""``python -m pipeline models ...`` as a person types it: models of one's own, hashes, 8-bit files, idle GPUs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.cli import main
from pipeline.estimation import accelerators
from pipeline.estimation.registry import CHECKPOINTS_DIR, config_path, entry, list_models, record_path
from pipeline.settings import PROJECT_DIR, data_dir
from tests.pipeline.estimation.test_onnx_models import brightest_file, end2end_file

README = PROJECT_DIR / "README.md"
REAL_DETECTOR = data_dir() / "models/rtmdet_nano_person_end2end.onnx"
PERSON = [40.0, 20.0, 120.0, 300.0, 0.9]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def run(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def added_models() -> list[str]:
    return [model.name for model in list_models() if model.source == "user"]


@pytest.mark.parametrize("real", [False, True], ids=["made up", "MMDeploy's"])
def test_an_onnx_detector_that_takes_any_size_is_added_and_runs(
    real: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if real and not REAL_DETECTOR.exists():
        pytest.skip("the private detector is not here")
    detector = REAL_DETECTOR if real else end2end_file(tmp_path / "d.onnx", [PERSON], [0])
    points = brightest_file(tmp_path / "k.onnx")
    picture = np.zeros((320, 320, 3), dtype=np.uint8)
    picture[100:104, 60:64] = 255
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    assert run("models", "add", "nano2", "--kind", "detector", "--onnx", detector, capsys=capsys)[0] == 0
    assert entry("nano2").input_size == (320, 320)
    add = ("models", "add", "spot", "--kind", "keypoints", "--onnx", points, "--skeleton", "coco17")
    assert run(*add, capsys=capsys)[0] == 0
    infer = ("infer", tmp_path / "p.png", "--detector", "nano2", "--model", "spot", "--out", tmp_path / "o", "--json")
    code, out, err = run(*infer, capsys=capsys)
    assert code == 0, err
    assert (json.loads(out)["detector"], json.loads(out)["frames"]) == ("nano2", 1)


def test_the_size_given_is_the_size_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = end2end_file(tmp_path / "d.onnx", [PERSON], [0])
    add = ("models", "add", "mine", "--kind", "detector", "--onnx", file, "--input-size", "640x416")
    assert run(*add, capsys=capsys)[0] == 0
    assert entry("mine").input_size == (640, 416)


def own_files(folder: Path) -> dict[str, Path]:
    return {
        "points": brightest_file(folder / "k.onnx"),
        "people": end2end_file(folder / "d.onnx", [PERSON], [0]),
        "readme": README,
        "config": config_path(entry("rtmpose-t")),
        "weights": CHECKPOINTS_DIR / "rtmpose-t-actor.pth",
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--kind keypoints --onnx {points}", "needs the skeleton that it was trained for"),
        ("--kind keypoints --onnx {points} --skeleton nonsense", "no skeleton 'nonsense'; choose one of: coco17"),
        ("--kind keypoints --onnx {points} --skeleton halpe26", "gives 17 key points, but its skeleton halpe26 has 26"),
        ("--kind keypoints --onnx {people} --skeleton coco17", "gives 1 key points, but its skeleton coco17 has 17"),
        ("--kind keypoints --onnx {readme} --skeleton coco17", "cannot be loaded as an ONNX model"),
        ("--kind detector --onnx {readme}", "cannot be loaded as an ONNX model"),
        ("--kind detector --onnx {points}", "does not run as a detector"),
        ("--kind keypoints --config {config} --checkpoint {readme}", "cannot be loaded: it is damaged"),
        ("--kind keypoints --config {readme} --checkpoint {weights}", "not a config that MMEngine can read"),
        ("--kind detector --config {config} --checkpoint {weights}", "cannot be built as a detector"),
        ("--kind keypoints --config {config} --checkpoint {weights} --skeleton halpe26", "gives 17 key points by its"),
        ("--kind detector --onnx {people} --input-size 640", "must look like 192x256"),
    ],
)
def test_what_could_not_run_is_not_added(
    options: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = options.format(**own_files(tmp_path)).split(" ")
    code, out, err = run("models", "add", "mine", *filled, capsys=capsys)
    assert (code, out) == (1, "")
    assert sentence in err.splitlines()[-1]  # MMEngine's own log may stand before it
    assert added_models() == []


# --- hashes -----------------------------------------------------------------------------------------------------------


def test_weights_that_changed_are_an_error(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models.mkdir()
    (models / "rtmpose-s.onnx").write_bytes(b"exported")
    damaged = entry("rtmdet-nano").checkpoint_path
    assert damaged is not None
    damaged.write_bytes(b"damaged")
    code, out, err = run("models", "verify", "rtmdet-nano", capsys=capsys)
    assert code == 1
    assert f"WRONG: {damaged}" in out
    assert err.startswith("1 of 1 files are not what they should be") and len(err.strip().splitlines()) == 1
    code, out, err = run("models", "verify", capsys=capsys)
    assert code == 1 and err.startswith("1 of 3 files")
    assert f"unknown: {models / 'rtmpose-s.onnx'}" in out and "good: " in out
    code, out, _ = run("models", "verify", "--json", capsys=capsys)
    assert code == 1 and [file["path"] for file in json.loads(out)["files"] if file["ok"] is False] == [str(damaged)]
    damaged.unlink()
    code, out, _ = run("models", "verify", "--json", capsys=capsys)
    assert code == 0 and len(json.loads(out)["files"]) == 2


@pytest.mark.parametrize("model", [e for e in list_models() if e.checkpoint_file and e.source == "builtin"])
def test_weights_that_come_with_the_program_are_what_was_evaluated(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run("models", "verify", model.name, capsys=capsys)
    assert code == 0 and out.startswith("good: ") and "as it was evaluated" in out
    changed = tmp_path / model.checkpoint_file
    changed.write_bytes(model.checkpoint_path.read_bytes()[:-1] + b"x")
    shutil.copy(model.checkpoint_path.with_suffix(".json"), tmp_path)
    shutil.copy(CHECKPOINTS_DIR / "registry.toml", tmp_path)
    monkeypatch.setattr("pipeline.estimation.registry.CHECKPOINTS_DIR", tmp_path)
    code, _, err = run("models", "verify", model.name, capsys=capsys)
    assert code == 1 and f"not the file whose evaluation is in {model.name}.json" in err


def test_a_download_is_held_against_its_record(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models.mkdir()
    path = entry("rtmw-l").checkpoint_path
    assert path is not None
    path.write_bytes(b"changed")
    record_path(path).write_text(json.dumps({"sha256": "0" * 64}))
    code, _, err = run("models", "verify", "rtmw-l", capsys=capsys)
    assert code == 1 and "changed since it was downloaded" in err


# --- 8-bit files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--int8", "static"), "give --images FOLDER"),
        (("--images", "{tmp}"), "add --int8"),
        (("--int8", "static", "--images", "{tmp}"), "There are no pictures in"),
    ],
)
def test_eight_bits_need_pictures_to_calibrate_on(
    options: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = brightest_file(tmp_path / "k.onnx")
    add = ("models", "add", "spot", "--kind", "keypoints", "--onnx", file, "--skeleton", "coco17")
    assert run(*add, capsys=capsys)[0] == 0
    filled = [option.format(tmp=tmp_path) for option in options]
    code, _, err = run("models", "export", "spot", *filled, capsys=capsys)
    assert code == 1 and sentence in err


# --- idle GPUs --------------------------------------------------------------------------------------------------------


def test_the_doctor_says_that_a_gpu_sits_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("nvidia-smi") is None:
        assert "idle" not in run("doctor", "--no-bench", capsys=capsys)[1]
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA T4'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(accelerators, "_onnxruntime_uses_cuda", lambda: False)
    monkeypatch.setattr(accelerators, "_torch_uses_cuda", lambda: True)
    code, out, _ = run("doctor", "--no-bench", capsys=capsys)
    assert code == 0 and "graphics processor: NVIDIA T4" in out
    assert "A GPU sits idle: the installed onnxruntime" in out and "installed torch" not in out
    code, out, _ = run("doctor", "--no-bench", "--json", capsys=capsys)
    assert len(json.loads(out)["accelerators"]["warnings"]) == 1
    tool.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")  # a driver without a GPU
    assert accelerators.graphics_processors() == ()
