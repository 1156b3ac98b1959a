"""The contract of the commands: what is printed, where, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.media import VideoWriter
from pipeline.settings import PROJECT_DIR


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "grey wall.mp4"
    with VideoWriter(path, (96, 64), fps_hint=10) as writer:
        for number in range(6):
            writer.write(np.full((64, 96, 3), 100 + number, dtype=np.uint8), number / 10)
    return path


def run(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_command_loads_only_what_it_needs() -> None:
    """PyTorch and seaborn cost three seconds of processor time at every start."""
    script = "import sys, pipeline.cli; pipeline.cli.build_parser(); print(*{'torch', 'seaborn'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", script], cwd=PROJECT_DIR, capture_output=True, text=True, check=True)
    assert said.stdout.split() == []


def test_infer_prints_one_json_object(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("infer", clip, "--model", "blazepose", "--out", tmp_path / "o", "--json", capsys=capsys)
    assert code == 0
    answer = json.loads(out)
    assert {"run", "frames", "duration_s", "people", "model", "device", "seconds"} <= set(answer)
    assert (answer["frames"], answer["duration_s"], answer["people"], answer["model"]) == (6, 0.6, [], "blazepose")
    assert (tmp_path / "o" / answer["run"] / "manifest.json").is_file()


def test_several_paths_print_runs_and_one_bad_file_does_not_stop_the_others(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"")
    arguments = ("infer", clip, bad, clip, "--model", "blazepose", "--out", tmp_path / "o", "--json")
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 0
    assert len(json.loads(out)["runs"]) == 2
    assert "bad.mp4" in err


def test_nothing_but_json_on_standard_output(clip: Path, tmp_path: Path) -> None:
    """In a process of its own, where the libraries' own messages would show."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "infer",
        str(clip),
        "--model",
        "blazepose",
        "--out",
        str(tmp_path),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_DIR, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["frames"] == 6


@pytest.mark.parametrize(
    "arguments",
    [
        ("infer", "{tmp}/missing.mp4"),
        ("infer", "{tmp}"),
        ("infer", "{clip}", "--model", "no-such-model"),
        ("infer", "{clip}", "--working-point", "best"),
        ("runs", "show", "no-such-run"),
        ("runs", "delete", "../..", "--yes"),
        ("models", "verify", "no-such-model"),
    ],
)
def test_bad_input_exits_1_with_one_sentence(
    arguments: tuple[str, ...], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [a.format(tmp=tmp_path, clip=clip) for a in arguments]
    code, out, err = run(*filled, "--out", tmp_path / "o", capsys=capsys)
    assert code == 1
    assert out == ""
    sentences = [line for line in err.splitlines() if "frame/s" not in line and line.strip()]
    assert len(sentences) == 1
    assert "Traceback" not in err
    assert len(sentences[0]) > 20


def test_runs_are_listed_shown_and_deleted(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "o"
    code, out, _ = run("runs", "list", "--out", store, capsys=capsys)
    assert code == 0
    assert "No runs yet" in out
    infer = ("infer", clip, "--model", "blazepose", "--out", store, "--subject", "P01", "--tags", "pilot", "--json")
    _, out, _ = run(*infer, capsys=capsys)
    run_id = json.loads(out)["run"]
    _, out, _ = run("runs", "list", "--out", store, "--json", capsys=capsys)
    assert [entry["run"] for entry in json.loads(out)["runs"]] == [run_id]
    _, out, _ = run("runs", "show", run_id, "--out", store, "--json", capsys=capsys)
    shown = json.loads(out)
    assert (shown["subject"], shown["tags"], shown["schema_version"]) == ("P01", ["pilot"], 1)
    code, _, err = run("runs", "delete", run_id, "--out", store, "--json", capsys=capsys)
    assert code == 1
    assert "--yes" in err
    code, out, _ = run("runs", "delete", run_id, "--out", store, "--json", "--yes", capsys=capsys)
    assert json.loads(out) == {"deleted": run_id}
    assert list(store.iterdir()) == []


def test_doctor_names_versions_codecs_and_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("doctor", "--no-bench", "--json", "--out", tmp_path, capsys=capsys)
    assert code == 0
    answer = json.loads(out)
    assert answer["packages"]["mediapipe"] == "0.10.21"
    assert {"h264", "hevc"} <= set(answer["codecs"]["decode"])
    assert "libx264" in answer["codecs"]["encode"]
    states = {model["name"]: model for model in answer["models"]}
    assert states["blazepose"]["installed"]
    assert all(model["installed"] or model["how_to_get"] for model in answer["models"])


def test_models_list_says_how_to_get_what_is_not_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path))
    code, out, _ = run("models", "list", "--json", capsys=capsys)
    assert code == 0
    models = {model["name"]: model for model in json.loads(out)["models"]}
    assert models["blazepose"]["installed"]
    assert "models download" in models["rtmpose-m"]["how_to_get"]
