"""A report as data: sections of text, tables and pictures. ``html`` and ``pdf`` only differ in how they print it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "good", "fault", "note"]
Kind = Literal["html", "pdf"]
KINDS: tuple[Kind, ...] = ("html", "pdf")


@dataclass(frozen=True)
class Paragraph:
    """Plain text; ``tone`` "note" is set smaller, "fault" is a warning."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Bullets:
    """Short sentences, one a line."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Numbers:
    """Large numbers with what they are: (value, label)."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A picture as PNG or JPEG bytes, and what it shows. ``width`` is its share of the page."""

    content: bytes
    alt: str
    caption: str = ""
    width: float = 1.0


@dataclass(frozen=True)
class Finding:
    """A picture beside words: a fault with the frame that proves it."""

    title: str
    lines: tuple[str, ...]
    picture: Picture | None = None
    tone: Tone = "fault"


@dataclass(frozen=True)
class Cell:
    """A table's cell: text, a picture, or both."""

    text: str = ""
    picture: Picture | None = None
    tone: Tone = "plain"


@dataclass(frozen=True)
class Table:
    """Heads and rows of equal length; ``widths`` are the columns' shares."""

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[float, ...]
    caption: str = ""


Block = Paragraph | Bullets | Numbers | Picture | Finding | Table


@dataclass(frozen=True)
class Section:
    """A headline and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: of the page; subtitle: one line under it.
        facts: (label, value) pairs for the head: person, date, clip ...
        sections: in order; empty ones are left out by whoever makes them.
        footer: one line at the end of every page.
        language: of the text, for screen readers.
    """

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    footer: str
    language: str = "en"


def cells(values: Sequence[str]) -> tuple[Cell, ...]:
    """Plain text cells."""
    return tuple(Cell(value) for value in values)
