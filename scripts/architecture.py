"""The picture of the rooms, drawn from the imports of the code; `python scripts/docs.py` writes it.

A room is a package or module of `pipeline/` (small neighbours share one, see ROOMS) or the pages. An arrow says "uses".
Arrows that follow from others are left out (transitive reduction), so the picture stays readable and still true. Rooms
stand as low as their imports allow. Imports for type checkers only do not count; those inside functions do.
"""

from __future__ import annotations

import ast
from html import escape
from itertools import pairwise
from pathlib import Path

import networkx as nx

PROJECT = Path(__file__).resolve().parent.parent

ROOMS = {
    "cli": ("__main__", "cli"),
    "poses": ("poses", "skeletons", "settings", "options"),
    "signal": ("signal", "swaps"),
    "kinematics": ("kinematics", "view", "anthropometry"),
    "media": ("media", "decoding"),
    "inference": ("inference", "ahead"),
    "synthetic": ("synthetic", "sample"),
}
"""Modules that share a room; every other module or package is a room of its own."""

WORDS = {
    "UserInterface": "pages and components",
    "cli": "commands",
    "poses": "vocabulary, skeletons",
    "signal": "gaps, filters, swaps",
    "kinematics": "angles, views, metres",
    "media": "frames and times",
    "inference": "clip to run",
    "synthetic": "the rendered actor",
    "estimation": "models to key points",
    "drawing": "overlays",
    "runs": "the run store",
    "repetitions": "counting",
    "movements": "form rules",
    "falls": "fall events",
    "recognition": "which exercise",
    "scoring": "video to score",
    "networks": "torch modules",
    "training": "train, evaluate, deploy",
    "exchange": "files of other programs",
    "report": "HTML and PDF",
    "batch": "many clips, cluster",
    "service": "REST",
    "live": "webcam",
    "doctor": "what is installed",
}
_COLORS = {"UserInterface": "#cfe8e3", "cli": "#cfe8e3", "service": "#cfe8e3", "batch": "#cfe8e3", "poses": "#e4e7ea"}
_ROOM = "#f6f8f9"
_BOX, _GAP, _PASSAGE, _ROW, _MARGIN = (158, 48), 22, 16, 104, 28


def room_of(module: str) -> str:
    """The room of a dotted module name inside the project."""
    parts = module.split(".")
    if parts[0] == "UserInterface":
        return "UserInterface"
    name = parts[1] if len(parts) > 1 else "cli"
    if name.endswith("_commands"):
        return "cli"
    return next((room for room, modules in ROOMS.items() if name in modules), name)


def imported(tree: ast.AST) -> set[str]:
    """Dotted names that a file imports when it runs; `from a import b` gives a and a.b."""
    names: set[str] = set()
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += node.orelse
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        stack += ast.iter_child_nodes(node)
    return names


def modules(project: Path = PROJECT) -> dict[str, Path]:
    """Every module of the code by its dotted name."""
    found = {}
    for folder in ("pipeline", "UserInterface"):
        for path in sorted((project / folder).rglob("*.py")):
            parts = path.relative_to(project).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if name != "pipeline":  # only names what is public; see there
                found[name] = path
    return found


def graph(project: Path = PROJECT) -> nx.DiGraph:
    """Rooms and who uses whom."""
    known = modules(project)
    rooms = nx.DiGraph()
    for name, path in known.items():
        room = room_of(name)
        rooms.add_node(room)
        for target in sorted(imported(ast.parse(path.read_text(encoding="utf-8")))):
            if target in known and room_of(target) != room:
                rooms.add_edge(room, room_of(target))
    return rooms


def layers(rooms: nx.DiGraph) -> tuple[list[list[str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """Rows from top to bottom, the arrows that remain, and the arrows that go up (rooms that use each other)."""
    groups = nx.condensation(rooms)
    members = {number: sorted(groups.nodes[number]["members"]) for number in groups}
    depth: dict[int, int] = {}
    for number in reversed(list(nx.topological_sort(groups))):
        depth[number] = 1 + max((depth[after] for after in groups.successors(number)), default=-1)
    top = max(depth.values(), default=0)
    rows: list[list[str]] = [[] for _ in range(top + 1)]
    for number, level in depth.items():
        rows[top - level] += members[number]
    kept = nx.transitive_reduction(groups)
    down = sorted(
        (a, b) for start, end in kept.edges for a in members[start] for b in members[end] if rooms.has_edge(a, b)
    )
    mutual = sorted((a, b) for group in members.values() for a in group for b in group if rooms.has_edge(a, b))
    return [sorted(row) for row in rows], down, mutual


def _routed(rows: list[list[str]], arrows: list[tuple[str, str]]) -> tuple[list[list[str]], dict[str, list[str]]]:
    """Rows with a gap for every arrow that passes through them, in an order that crosses few arrows; and each arrow's
    way from room to gap to room."""
    level = {room: number for number, row in enumerate(rows) for room in row}
    rows = [list(row) for row in rows]
    ways: dict[str, list[str]] = {}
    for a, b in arrows:
        gaps = [f"{a}>{b}>{number}" for number in range(level[a] + 1, level[b])]
        for number, gap in enumerate(gaps, start=level[a] + 1):
            rows[number].append(gap)
        ways[f"{a}>{b}"] = [a, *gaps, b]
    place = {room: (number + 0.5) / len(row) for row in rows for number, room in enumerate(row)}
    near: dict[str, list[str]] = {room: [] for room in place}
    for way in ways.values():
        for first, second in pairwise(way):
            near[first].append(second)
            near[second].append(first)
    for _ in range(24):
        for row in rows:
            row.sort(key=lambda r: (sum(place[n] for n in near[r]) / len(near[r]) if near[r] else place[r], r))
            place |= {room: (number + 0.5) / len(row) for number, room in enumerate(row)}
    return rows, ways


def _span(name: str) -> int:
    return _PASSAGE if ">" in name else _BOX[0] + _GAP


def picture(rooms: nx.DiGraph) -> str:
    """The SVG; the same graph always gives the same text."""
    plain, down, mutual = layers(rooms)
    rows, ways = _routed(plain, down)
    box_width, box_height = _BOX
    width = max(sum(map(_span, row)) for row in rows) + 2 * _MARGIN
    height = len(rows) * _ROW - (_ROW - box_height) + 2 * _MARGIN + 26
    at: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        free = (width - 2 * _MARGIN - sum(map(_span, row))) / len(row)
        x = float(_MARGIN)
        for name in row:
            at[name] = (x + (_span(name) + free) / 2, _MARGIN + level * _ROW)
            x += _span(name) + free
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif">',
        "<title>The rooms of Kinoscope and who uses whom, drawn from the imports</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#7b8b93"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for _, way in sorted(ways.items()):
        x, y = at[way[0]]
        path = f"M{x:.0f} {y + box_height:.0f}"
        y += box_height
        for name in way[1:]:
            x2, y2 = at[name]
            bend = (y2 - y) * 0.5
            end = y2 - 2 if name == way[-1] else y2
            path += f"C{x:.0f} {y + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {end:.0f}"
            x, y = x2, y2
            if name != way[-1]:
                y += box_height
                path += f"L{x:.0f} {y:.0f}"
        lines.append(f'<path d="{path}" fill="none" stroke="#9aa8af" stroke-width="1.3" marker-end="url(#tip)"/>')
    for a, b in mutual:
        (x1, y1), (x2, y2) = at[a], at[b]
        lines.append(
            f'<path d="M{x1:.0f} {y1 + box_height / 2:.0f}L{x2:.0f} {y2 + box_height / 2:.0f}" fill="none" '
            'stroke="#c0392b" stroke-width="1.6" stroke-dasharray="5 4"/>'
        )
    for room in sorted(rooms):
        x, y = at[room]
        left = x - box_width / 2
        uses = ", ".join(sorted(rooms.successors(room))) or "nothing of the project"
        lines += [
            f"<g><title>{escape(room)} uses {escape(uses)}</title>",
            f'<rect x="{left:.0f}" y="{y:.0f}" width="{box_width}" height="{box_height}" rx="7" '
            f'fill="{_COLORS.get(room, _ROOM)}" stroke="#8fa0a8"/>',
            f'<text x="{x:.0f}" y="{y + 20:.0f}" text-anchor="middle" font-size="14.5" font-weight="600" '
            f'fill="#17252a">{escape(room)}</text>',
            f'<text x="{x:.0f}" y="{y + 37:.0f}" text-anchor="middle" font-size="11.5" fill="#5b6b73">'
            f"{escape(WORDS.get(room, ''))}</text></g>",
        ]
    note = "An arrow means: uses. Arrows that follow from others are left out."
    note += " Red: use each other." if mutual else " No room is used by one below it."
    lines.append(f'<text x="{_MARGIN}" y="{height - 14}" font-size="12" fill="#5b6b73">{note}</text>')
    return "\n".join([*lines, "</svg>", ""])
