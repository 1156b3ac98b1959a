"""Letters for the PDF: DejaVu Sans, which matplotlib brings, and this machine's own fonts for what it lacks."""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path

import matplotlib
from fontTools.ttLib import TTFont, TTLibError  # type: ignore[import-untyped]
from matplotlib.font_manager import findSystemFonts

_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PLAIN, BOLD = _FOLDER / "DejaVuSans.ttf", _FOLDER / "DejaVuSans-Bold.ttf"
HOLE = "□"
_SILENT = ("Cc", "Cf", "Cs")  # Unicode's categories of what shows nothing by itself: controls, joiners
_LIKELY = re.compile(r"cjk|fallback|unicode|gothic|hei|ming|song", re.IGNORECASE)  # fonts of many signs, first
_DAMAGED = (TTLibError, OSError, ValueError, KeyError, AssertionError, struct.error)


@dataclass(frozen=True)
class Letters:
    """What prints a text. ``fallbacks``: fonts beside DejaVu Sans; ``unknown``: signs that no font here has."""

    fallbacks: tuple[Path, ...]
    unknown: frozenset[str]

    def printable(self, text: str) -> str:
        """The text with a hole for each unknown sign, and without those that show nothing."""
        return "".join(HOLE if sign in self.unknown else sign for sign in text if _shown(sign))


def letters_for(value: object) -> Letters:
    """The fonts for all texts in a document (dataclasses, tuples and strings)."""
    signs = {sign for text in _texts(value) for sign in text if _shown(sign) and not sign.isspace()}
    lacking = {sign for sign in signs if not (ord(sign) in _signs(PLAIN) and ord(sign) in _signs(BOLD))}
    fallbacks = []
    for path in _likely_first(findSystemFonts()) if lacking else ():
        found = {sign for sign in lacking if ord(sign) in _read(path)}
        if found:
            fallbacks.append(path)
            lacking -= found
        if not lacking:
            break
    return Letters(tuple(fallbacks), frozenset(lacking))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))


def _shown(sign: str) -> bool:
    return sign == "\n" or unicodedata.category(sign) not in _SILENT


def _likely_first(paths: Iterable[str]) -> list[Path]:
    return sorted(map(Path, paths), key=lambda path: (not _LIKELY.search(path.name), path.name))


@cache
def _signs(path: Path) -> frozenset[int]:
    return _read(path)


def _read(path: Path) -> frozenset[int]:
    """The code points that a font draws as outlines; none for pictures (colour emoji) and for what is no font."""
    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            outlines = "glyf" in font or "CFF " in font
            return frozenset(font.getBestCmap() or ()) if outlines else frozenset()
    except _DAMAGED:
        return frozenset()
