"""What in docs/ follows from the code: `python scripts/docs.py` writes it, `--check` says what is not current.

- docs/pictures/architecture.svg: the rooms, from the imports (architecture.py);
- the tables in docs/measures.md and docs/models.md between the marks "from the code" and "end".
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(Path(__file__).resolve().parent)]

from architecture import graph, picture  # noqa: E402

from pipeline.estimation.registry import list_models  # noqa: E402
from pipeline.kinematics import ANGLE_NAMES  # noqa: E402
from pipeline.movements import MOVEMENTS, Movement  # noqa: E402
from pipeline.movements.base import Metric, Rule  # noqa: E402

DOCS = PROJECT / "docs"
_MARKS = re.compile(r"(<!-- from the code: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def angles() -> str:
    """The names of all angles."""
    joints = sorted({name.split("_", 1)[1] for name in ANGLE_NAMES if name.endswith(("flexion", "dorsiflexion"))})
    others = [name for name in ANGLE_NAMES if not name.endswith(("flexion", "dorsiflexion"))]
    segments = list(dict.fromkeys(name.removeprefix("left_").removeprefix("right_") for name in others))
    return (
        f"Joints, each with `left_` and `right_`: {', '.join(f'`{name}`' for name in joints)}. "
        f"Segments (limbs with a side): {', '.join(f'`{name}`' for name in segments)}.\n"
    )


def movements() -> str:
    """For every movement its measures and rules."""
    parts = []
    for movement in MOVEMENTS.values():
        name = f"{movement.label[:1].upper()}{movement.label[1:]}"
        if not movement.rules:
            continue
        parts.append(f"### {name} (`{movement.name}`)\n\n{_metrics(movement)}\n{_rules(movement)}")
    counted = ", ".join(f"{m.label} (`{m.name}`)" for m in MOVEMENTS.values() if not m.rules)
    parts.append(f"### Counted only\n\nRepetitions, tempo and curves, no form rules: {counted}.\n")
    return "\n".join(parts)


def _metrics(movement: Movement) -> str:
    rows = [(f"`{m.name}`", m.label, m.unit or "–", _most(m)) for m in movement.metrics]
    return table(("Measure", "What it is", "Unit", "Refused above a standard error of"), rows)


def _most(metric: Metric) -> str:
    text = "–" if math.isinf(metric.max_error) else f"{metric.max_error:g}"
    return f"{text} (information only)" if metric.information else text


def _rules(movement: Movement) -> str:
    names = list(movement.presets)
    rows = [(rule.label, f"`{rule.metric}`", *_limits(movement, rule, names), rule.source) for rule in movement.rules]
    return table(("Fault", "Judged by", *(f"Limit, {name}" for name in names), "Source of the limit"), rows)


def _limits(movement: Movement, rule: Rule, presets: list[str]) -> tuple[str, ...]:
    sign = "≤" if rule.above else "≥"
    return tuple(f"{sign} {getattr(movement.presets[name], rule.threshold):g}" for name in presets)


def models() -> str:
    """Every pose model of the registry that comes with the project."""
    rows = []
    for model in list_models():
        if model.source != "builtin":
            continue
        size = f"{model.input_size[0]} x {model.input_size[1]}" if model.input_size[0] else "–"
        published = f"{model.published:.3g} ({model.metric})" if math.isfinite(model.published) else "–"
        rows.append(
            (
                f"`{model.name}`",
                model.kind,
                model.skeleton or "–",
                size,
                ", ".join(model.engines),
                published,
                model.licence,
            )
        )
    heads = ("Model", "Kind", "Skeleton", "Input (px)", "Engines", "Published accuracy", "Licence of the weights")
    return table(heads, rows)


def cards() -> str:
    """The cards of the models that were trained here, with their first sentences."""
    lines = []
    for path in sorted((PROJECT / "checkpoints").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        paragraphs = [part.strip() for part in text.split("\n\n") if part.strip() and part.strip()[0] not in "#|-`<!"]
        words = " ".join(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", paragraphs[0]).split()) if paragraphs else ""
        sentence = re.split(r"(?<=[.:]) (?=[A-Z])", words)[0]
        lines.append(f"- [{path.stem}](../checkpoints/{path.name}): {sentence}")
    return "\n".join(lines) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {"angles": angles, "movements": movements, "models": models, "cards": cards}


def pages() -> dict[Path, str]:
    """Every file that holds something made of the code, as it should be."""
    made = {DOCS / "pictures" / "architecture.svg": picture(graph())}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _MARKS.search(text):
            made[path] = _MARKS.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n{found[3]}", text)
    return made


def main() -> int:
    """Write what changed; with --check only name it, and return 1 when there is something."""
    stale = [p for p, text in pages().items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{path.relative_to(PROJECT)}\n")
        if "--check" not in sys.argv:
            path.write_text(pages()[path], encoding="utf-8")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
