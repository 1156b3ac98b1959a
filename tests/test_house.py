"""Rules of the house that code can check."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.settings import PROJECT_DIR

PIPELINE = sorted((PROJECT_DIR / "pipeline").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module named in an import of a file, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", PIPELINE, ids=lambda p: str(p.relative_to(PROJECT_DIR)))
def test_the_pipeline_never_imports_streamlit_or_the_pages(path: Path) -> None:
    assert not {
        name for name in imported(path) if name.split(".")[0] in ("streamlit", "streamlit_webrtc", "UserInterface")
    }


def test_the_vocabulary_knows_nobody_above_it() -> None:
    for name in ("poses.py", "skeletons.py"):
        inside = {module for module in imported(PROJECT_DIR / "pipeline" / name) if module.startswith("pipeline")}
        assert inside <= {"pipeline.skeletons"}


def test_every_cap_has_its_reason() -> None:
    for name in ("requirements.txt", "requirements-nodeps.txt"):
        for line in (PROJECT_DIR / name).read_text().splitlines():
            if re.search(r"==|<", line.split("#")[0]):
                assert "#" in line, f"{name}: {line!r} is capped without a reason"


def test_no_private_data_path_stands_anywhere_but_in_the_settings() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml"], cwd=PROJECT_DIR, capture_output=True, text=True
    )
    for name in files.stdout.split():
        text = (PROJECT_DIR / name).read_text(encoding="utf-8")
        if name not in ("pipeline/settings.py", "tests/test_house.py"):
            assert "../shared" not in text, f"{name} names the private data folder; use settings.data_dir()"
        assert "/work/" not in text or name == "tests/test_house.py", f"{name} holds an absolute path"


def test_readme_links_lead_somewhere() -> None:
    readme = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert target.startswith("http") or (PROJECT_DIR / target).exists(), (
            f"README links to {target}, which is not here"
        )
