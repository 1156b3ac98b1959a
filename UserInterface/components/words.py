"""Numbers and names as people read them."""

from __future__ import annotations

from datetime import datetime

from pipeline.poses import MediaInfo
from pipeline.runs import Manifest

_MARKDOWN = frozenset("\\`*_{}[]<>()#+-.!|~$:")


def plain(text: str, longest: int = 80) -> str:
    """A name that somebody else chose, for Markdown: one line, not too long, and nothing in it formats."""
    line = " ".join(text.split())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in line)


def moment(utc: str) -> str:
    """An ISO time as local date and minute; the text itself when it is none."""
    try:
        return f"{datetime.fromisoformat(utc).astimezone():%d %b %Y, %H:%M}"
    except ValueError:
        return utc


def summary(manifest: Manifest) -> str:
    """When, how long, who: one line for lists and headers (Markdown)."""
    people = len(manifest.people)
    parts = [
        moment(manifest.created_utc),
        "picture" if manifest.source.get("kind") == "image" else f"{manifest.duration_s:.1f} s",
        "nobody in view" if not people else f"{people} {'person' if people == 1 else 'people'}",
    ]
    if manifest.subject:
        parts.append(f"subject {plain(manifest.subject)}")
    if manifest.tags:
        parts.append("tags: " + plain(", ".join(manifest.tags)))
    if manifest.state != "complete":
        parts.append(f"**{manifest.state}**")
    return " · ".join(parts)


def source_line(info: MediaInfo, name: str) -> str:
    """What a file is (Markdown)."""
    size = f"{info.width} x {info.height} px"
    if info.kind == "image":
        return f"{plain(name)}: picture, {size}"
    duration = f"{info.duration_s:.1f} s, " if info.duration_s > 0 else ""
    rate = f", {info.fps:.4g} frames a second" if info.fps > 0 else ""
    return f"{plain(name)}: {duration}{size}{rate}"
