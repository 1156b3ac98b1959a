"""Names in scripts that DejaVu Sans lacks: printed from a font of the machine, or said to be missing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]

from pipeline.report import letters
from pipeline.report.document import Bullets, Cell, Document, Paragraph, Section, Table
from pipeline.report.letters import letters_for
from pipeline.report.pdf import to_pdf

NAME = "山田太郎"
DOCUMENT = Document(
    f"{NAME}: squats",
    "14 March",
    (("Person", NAME),),
    (
        Section("第一", (Paragraph(f"{NAME} did three squats. " * 12), Bullets((f"{NAME} first", "then Ž\u200bofia")))),
        Section("Table", (Table(("name", "count"), ((Cell(NAME), Cell("3")),), (1, 1)),)),
    ),
    f"{NAME} ends every page",
)


def a_font(path: Path, signs: str) -> Path:
    """A font whose letters are squares."""
    pen = TTGlyphPen(None)
    for step, corner in enumerate(((0, 0), (0, 700), (700, 700), (700, 0))):
        (pen.lineTo if step else pen.moveTo)(corner)
    pen.closePath()
    names = {ord(sign): f"u{ord(sign):X}" for sign in signs}
    order = [".notdef", *names.values()]
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(order, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def with_fonts(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    monkeypatch.setattr(letters, "findSystemFonts", lambda: [str(path) for path in paths])


def text_of(pdf: bytes, path: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (Debian's poppler-utils) is not here to read the PDF back")
    path.write_bytes(pdf)
    return subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout.decode()


def test_a_font_of_the_machine_prints_what_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken CJK.ttf").write_bytes(b"no font")
    with_fonts(
        monkeypatch,
        a_font(tmp_path / "a.ttf", "x"),
        a_font(tmp_path / "half.ttf", NAME[:2]),
        a_font(tmp_path / "rest.ttf", NAME[2:] + "第一"),
        tmp_path / "broken CJK.ttf",
    )
    found = letters_for(DOCUMENT)
    assert [path.name for path in found.fallbacks] == ["half.ttf", "rest.ttf"]
    assert found.unknown == frozenset()
    pdf = to_pdf(DOCUMENT)
    assert len(re.findall(rb"/FontFile2 ", pdf)) == 2 + 2
    text = text_of(pdf, tmp_path / "x.pdf")
    assert text.count(f"{NAME} did three squats.") >= 10
    for line in (f"{NAME}: squats", "第一", f"{NAME} first", "then Žofia", f"{NAME} ends every page", "1/1"):
        assert line in text, "what follows another font's letters is printed in its own"
    assert "□" not in text and "in no font" not in text


def test_without_such_a_font_the_report_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_fonts(monkeypatch, a_font(tmp_path / "one.ttf", NAME[0]))
    found = letters_for(DOCUMENT)
    assert found.unknown == set(NAME[1:]) | set("第一")
    assert found.printable("a\u200b\n山田") == "a\n山□"
    text = text_of(to_pdf(DOCUMENT), tmp_path / "x.pdf")
    assert "5 signs of this report are in no font" in text
    assert "山□□□ did three squats." in text


def test_european_letters_ask_for_no_other_font(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> list[str]:
        raise AssertionError("the machine's fonts were looked through")

    monkeypatch.setattr(letters, "findSystemFonts", never)
    assert letters_for(("Žofia Müller Ελένη Анна ± 3° ✓ ▲\n", 3, None)).fallbacks == ()
