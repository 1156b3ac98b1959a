"""The documents are true: examples run, commands parse, links lead somewhere, what comes from the code is current."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import networkx as nx
import numpy as np
import pytest

import pipeline
from pipeline.cli import build_parser
from pipeline.inference import InferenceOptions, infer
from pipeline.media import Frame, VideoWriter
from pipeline.movements import MOVEMENTS, analyze
from pipeline.movements import analyze as _analyze_function
from pipeline.runs import RunStore
from pipeline.settings import PROJECT_DIR
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth

DOCS = PROJECT_DIR / "docs"
PAGES = sorted(DOCS.glob("*.md"))
MOST_LINES = 60


def scripts() -> Any:
    """The module that makes the documents."""
    folder = str(PROJECT_DIR / "scripts")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import docs

    return docs


def examples() -> dict[str, str]:
    """The Python blocks of extending.md by what their first line says."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "extending.md").read_text(encoding="utf-8"), re.DOTALL)
    return {block.splitlines()[0].removeprefix("# ").split(":")[0]: block for block in blocks}


def run_example(name: str) -> dict[str, Any]:
    """Names that the example defines. The text is executed as it stands in the document."""
    namespace: dict[str, Any] = {"__name__": "example"}
    module = type(sys)("example")
    sys.modules["example"] = module  # dataclasses look their module up
    exec(compile(examples()[name], f"docs/extending.md: {name}", "exec"), module.__dict__)
    namespace |= module.__dict__
    return namespace


def test_everything_made_of_the_code_is_current() -> None:
    stale = [str(path) for path, text in scripts().pages().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"not current: {stale}; run python scripts/docs.py"


def test_the_picture_has_every_package_and_no_room_uses_one_above_it() -> None:
    module = scripts()
    rooms = module.graph()
    packages = {path.parent.name for path in (PROJECT_DIR / "pipeline").glob("*/__init__.py")}
    assert packages <= set(rooms)
    assert nx.is_directed_acyclic_graph(rooms)
    assert rooms.has_edge("report", "movements")
    assert not list(rooms.successors("poses"))
    svg = module.picture(rooms)
    assert all(f">{room}</text>" in svg for room in rooms)


def test_the_picture_is_drawn_from_the_imports(tmp_path: Path) -> None:
    import architecture

    for name, text in {
        "pipeline/__init__.py": "",
        "pipeline/poses.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pipeline import runs\n",
        "pipeline/runs.py": "import numpy\nfrom pipeline import poses\n",
        "pipeline/falls/__init__.py": "",
        "pipeline/falls/forest.py": "def f():\n    from pipeline.runs import Run\n",
        "UserInterface/Home.py": "from pipeline.falls import forest\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    rooms = architecture.graph(tmp_path)
    assert set(rooms.edges) == {("runs", "poses"), ("falls", "runs"), ("UserInterface", "falls")}
    rows, arrows, mutual = architecture.layers(rooms)
    assert rows == [["UserInterface"], ["falls"], ["runs"], ["poses"]]
    assert (len(arrows), mutual) == (3, [])


@pytest.mark.parametrize("name", ["a new movement", "a new estimator", "a new quality gate", "a new scorer"])
def test_examples_are_short(name: str) -> None:
    assert len(examples()[name].splitlines()) < MOST_LINES


def test_the_new_movement_counts_and_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    movement = run_example("a new movement")["ARM_RAISE"]
    module = sys.modules[_analyze_function.__module__]
    monkeypatch.setattr(module, "MOVEMENTS", MappingProxyType({**MOVEMENTS, movement.name: movement}))
    for depth, faulty in ((1.0, False), (0.55, True)):
        spec = ActorSpec.one("front_raise", repetitions=3, depth=depth, view="oblique", seed=4)
        report = analyze(clip_truth(spec).recording, "arm_raise")
        assert report.complete == 3
        assert all(bool(repetition.remarks) == faulty for repetition in report.repetitions), depth
        assert {phase.name for phase in report.repetitions[0].phases} == {"up", "pause", "down"}


def test_the_new_estimator_makes_runs(tmp_path: Path) -> None:
    clip = tmp_path / "walk.mp4"
    with VideoWriter(clip, (160, 120), fps_hint=20) as writer:
        for number in range(16):
            image = np.full((120, 160, 3), 90, np.uint8)
            if number >= 4:
                cv2.rectangle(image, (10 + 6 * number, 30), (30 + 6 * number, 110), (230, 230, 230), -1)
            writer.write(image, number / 20)
    estimator = run_example("a new estimator")["Outline"]()
    run = infer(clip, RunStore(tmp_path / "runs"), InferenceOptions(), estimator=estimator)
    (person,) = run.recording().people
    seen = person.seen
    assert seen.sum() >= 10 and not seen[:4].any()
    np.testing.assert_allclose(person["head"][seen][:, 1], 30, atol=4)
    middle = (person["left_foot"][seen] + person["right_foot"][seen])[:, 0] / 2
    np.testing.assert_allclose(middle, 20 + 6 * np.flatnonzero(seen), atol=8)
    assert np.isnan(person["left_knee"]).all()


def test_the_new_gate_refuses_blur_and_says_so() -> None:
    from pipeline.scoring.ugly_2d import judge

    gate = run_example("a new quality gate")["sharp_and_bright"]
    spec = ActorSpec.one("squat", repetitions=1, view="right", size=(320, 240), seed=6)
    person = clip_truth(spec).recording.people[0]
    frames = [Frame(number, time_s, image) for number, (image, time_s) in enumerate(clip_frames(spec))][:45]
    person = person.select(slice(0, 45))
    blurred = [replace(frame, image=cv2.GaussianBlur(frame.image, (0, 0), 9)) for frame in frames]
    sharp, soft = judge(person, frames, gate=gate), judge(person, blurred, gate=gate)
    assert sharp.measurements["goodness"] > 2 * soft.measurements["goodness"]
    assert not soft.ok and soft.reasons
    assert judge(person, None, gate=gate).measurements["confidence"] == 0.5


def test_the_new_scorer_scores_and_says_what_cost_points() -> None:
    import torch

    from pipeline.scoring.canonical import FRAMES, Canonical
    from pipeline.scoring.exercises import EXERCISES
    from pipeline.scoring.intervals import Intervals
    from pipeline.scoring.models import ScorerModel
    from pipeline.scoring.scorer import score_repetition
    from pipeline.skeletons import KINECT_13

    exercise = next(iter(EXERCISES.values()))
    shape = (len(EXERCISES), FRAMES, len(KINECT_13), 3)
    reference = np.random.default_rng(1).normal(0, 0.3, shape)
    counted = np.zeros((len(EXERCISES), len(KINECT_13)))
    counted[exercise.position, list(exercise.counted)] = 1.0
    network = run_example("a new scorer")["DistanceScorer"](
        torch.tensor(reference, dtype=torch.float32),
        torch.tensor(counted, dtype=torch.float32),
        torch.full(counted.shape, 0.1),
    ).eval()
    model = ScorerModel("distance", network, Intervals((0.3, 0.3, 0.3), 0.9, 0.9), "an example")
    time_s = np.arange(FRAMES) / 20

    def score(offset_m: float, joint: int) -> Any:
        xyz = reference[exercise.position].copy()
        xyz[:, joint, 0] += offset_m
        return score_repetition(model, Canonical(xyz, time_s, False), exercise)

    joint = exercise.counted[0]
    near, middle, far = (score(offset, joint) for offset in (0.0, 1.0, 4.0))
    assert 0 <= near.score < middle.score < far.score <= 4
    assert far.reasons and KINECT_13.joints[joint] in far.reasons[0].joint
    free = [j for j in range(len(KINECT_13)) if j not in exercise.counted]
    if free:
        assert score(4.0, free[0]).score == pytest.approx(near.score)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name} links to {target}"


def commands() -> list[str]:
    """Every command line in a code block of the documents."""
    found = []
    for page in (*PAGES, PROJECT_DIR / "README.md"):
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            lines = re.sub(r"\\\n\s*", " ", block).splitlines()
            found += [line.split("  #")[0].strip() for line in lines if re.search(r"python -m pipeline ", line)]
    return found


@pytest.mark.parametrize("line", commands())
def test_commands_in_the_documents_exist(line: str) -> None:
    words = shlex.split(line[line.index("-m pipeline") + len("-m pipeline") :], comments=True)
    words = words[: next((n for n, word in enumerate(words) if word in ("&", "|", ">", ";", "&&")), len(words))]
    assert build_parser().parse_args(words).command


def test_every_measure_model_and_format_is_documented() -> None:
    from pipeline.exchange import EXPORT_FORMATS

    measures = (DOCS / "measures.md").read_text(encoding="utf-8")
    for movement in MOVEMENTS.values():
        assert f"`{movement.name}`" in measures
        assert all(f"`{metric.name}`" in measures for metric in movement.metrics if movement.rules)
        assert all(rule.source in measures for rule in movement.rules)
    using = (DOCS / "using.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in using for name in EXPORT_FORMATS)
    models = (DOCS / "models.md").read_text(encoding="utf-8")
    for card in (PROJECT_DIR / "checkpoints").glob("*.md"):
        assert f"checkpoints/{card.name}" in models, f"docs/models.md does not mention {card.name}"


def test_the_public_names_are_there_typed_and_lazy() -> None:
    source = (PROJECT_DIR / "pipeline" / "__init__.py").read_text(encoding="utf-8")
    typed = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline."):
            typed |= {alias.asname: node.module for alias in node.names}
    assert typed == pipeline._MODULE_OF, "the imports for type checkers and the table of places differ"
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
        assert name in dir(pipeline)
        documented = getattr(pipeline, name)
        assert name.isupper() or name == "__version__" or documented.__doc__, f"{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pipeline.nonsense  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, pipeline; print(sorted({'numpy','torch','cv2','pandas','scipy','mediapipe'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT_DIR, check=True)
    assert done.stdout.strip() == "[]"
