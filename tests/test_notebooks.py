"""The notebooks run from top to bottom on a machine without anything but the project."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipeline.settings import PROJECT_DIR

FOLDER = PROJECT_DIR / "notebooks"


def outputs(notebook: nbformat.NotebookNode) -> str:
    """All text that the cells printed or returned."""
    parts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            parts.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(parts)


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a notebook says when it is executed in an empty folder."""
    for variable, value in {
        "PYTHONPATH": PROJECT_DIR,
        "KINOSCOPE_OUTPUTS": folder / "outputs",
        "KINOSCOPE_MODELS": folder / "models",
        "TMPDIR": folder,
    }.items():
        monkeypatch.setenv(variable, str(value))
    notebook = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    return outputs(notebook)


def test_first_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run("first_steps.ipynb", tmp_path, monkeypatch)
    assert "2 repetitions in truth" in text
    assert "2 complete repetitions of: squat." in text
    assert "imported: TRC" in text
    assert "['report.html', 'report.pdf']" in text


def test_train_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run("train_your_own.ipynb", tmp_path, monkeypatch)
    assert "18 repetitions of ['anna', 'ben', 'carla']" in text
    assert "killed at" in text
    assert "mean absolute error of the grade" in text
    assert "mine.evaluation.json" in text
    assert "The score is graded by people." in text


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs_of_this_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|work|tmp|root|Users)/", text)
