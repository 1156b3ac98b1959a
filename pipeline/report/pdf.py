"""A document as PDF (A4), by fpdf2: no browser and no system library. What prints the letters: ``letters.py``."""

from __future__ import annotations

import io
import logging
from typing import Any

from fpdf import FPDF
from fpdf.enums import VAlign, XPos, YPos
from fpdf.fonts import FontFace
from PIL import Image

from pipeline.report.document import Bullets, Document, Finding, Numbers, Paragraph, Picture, Section, Table
from pipeline.report.letters import BOLD, HOLE, PLAIN, Letters, letters_for

_INK, _SOFT, _LINE, _PLATE = (23, 37, 42), (91, 107, 115), (216, 223, 227), (244, 247, 248)
_ACCENT, _GOOD, _FAULT = (0, 105, 92), (0, 117, 90), (168, 67, 0)
_TONES = {"good": _GOOD, "fault": _FAULT}
_MARKS = {"good": "✓ ", "fault": "▲ "}
_MARGIN_MM = 16.0
_TALLEST_MM = 190.0  # of a picture; a page holds 260
_FONT = "DejaVu"

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it reports every table of a font that it subsets


def to_pdf(document: Document) -> bytes:
    """The document as PDF; signs that no font of this machine has come out as boxes, and a remark says so."""
    page = _Page(document.footer, letters_for(document))
    page.set_title(f"{document.title}: {document.subtitle}")
    page.set_lang(document.language)
    page.set_creator("Kinoscope")
    page.add_page()
    _head(page, document)
    for section in document.sections:
        _section(page, section)
    return bytes(page.output())


class _Page(FPDF):
    """A4 with our letters, and a foot on every page."""

    def __init__(self, foot: str, letters: Letters) -> None:
        super().__init__(format="A4")
        self._foot = foot
        self.letters = letters
        self.add_font(_FONT, "", PLAIN)
        self.add_font(_FONT, "B", BOLD)
        others = [f"other{number}" for number, _ in enumerate(letters.fallbacks)]
        for name, path in zip(others, letters.fallbacks, strict=True):
            self.add_font(name, "", path)
        self.set_fallback_fonts(others, exact_match=False)  # one weight is enough
        self.set_margins(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
        self.set_auto_page_break(True, margin=20)
        self.set_font(_FONT, size=9.5)

    def set_font(self, *arguments: Any, **keywords: Any) -> None:
        """As fpdf2's; begins with a blank, because a line that begins in another font loses its own (fpdf2 2.8.9)."""
        super().set_font(*arguments, **keywords)
        if self.page and self.letters.fallbacks and not self.current_font_is_set_on_page:
            self.text(self.x, self.y, " ")

    def normalize_text(self, text: str) -> str:
        """What is really printed of a text; fpdf2 asks for every one."""
        return super().normalize_text(self.letters.printable(text))

    def footer(self) -> None:
        """The line at the end of a page, with its number."""
        self.set_y(-14)
        self.set_font(_FONT, size=7)
        self.set_text_color(*_SOFT)
        self.cell(self.epw - 16, 4, self._foot[:150])
        self.cell(16, 4, f"{self.page_no()}/{{nb}}", align="R")

    def words(self, text: str, size: float = 9.5, *, bold: bool = False, color: tuple[int, int, int] = _INK) -> None:
        """A paragraph at the cursor, as wide as the page's body allows."""
        self.set_font(_FONT, "B" if bold else "", size)
        self.set_text_color(*color)
        self.multi_cell(
            self.w - self.r_margin - self.get_x(), size * 0.52, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )

    def room(self, height: float) -> None:
        """Begin a new page when less than this is left, in millimetres."""
        if self.get_y() + height > self.page_break_trigger:
            self.add_page()


def _head(page: _Page, document: Document) -> None:
    page.words(document.title, 20, bold=True)
    page.words(document.subtitle, 11, color=_SOFT)
    page.ln(3)
    width = page.epw / 3
    for start in range(0, len(document.facts), 3):
        top = page.get_y()
        bottom = top
        for column, (label, value) in enumerate(document.facts[start : start + 3]):
            page.set_xy(page.l_margin + column * width, top)
            page.set_font(_FONT, "", 7.5)
            page.set_text_color(*_SOFT)
            page.multi_cell(width - 4, 3.8, label, new_x=XPos.LEFT, new_y=YPos.NEXT)
            page.set_font(_FONT, "B", 9)
            page.set_text_color(*_INK)
            page.multi_cell(width - 4, 4.6, value, align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)
            bottom = max(bottom, page.get_y())
        page.set_y(bottom + 2)
    if count := len(page.letters.unknown):
        page.words(
            f"{count} sign{'' if count == 1 else 's'} of this report are in no font of the machine that made it and "
            f"stand here as {HOLE}; the HTML report shows them. A font such as Noto Sans CJK (Debian's "
            "fonts-noto-cjk) mends it.",
            8, color=_FAULT,
        )  # fmt: skip
    page.set_draw_color(*_ACCENT)
    page.set_line_width(0.8)
    page.line(page.l_margin, page.get_y() + 1, page.w - page.r_margin, page.get_y() + 1)
    page.ln(4)


def _section(page: _Page, section: Section) -> None:
    tall = any(isinstance(block, Table | Picture | Finding) for block in section.blocks[:1])
    page.room(58 if tall else 32)  # no headline alone at the end of a page
    page.ln(4)
    page.words(section.title, 13, bold=True)
    page.ln(1.5)
    for block in section.blocks:
        match block:
            case Paragraph():
                small = block.tone == "note"
                color = _SOFT if small else _TONES.get(block.tone, _INK)
                page.words(_MARKS.get(block.tone, "") + block.text, 8 if small else 9.5, color=color)
                page.ln(1.5)
            case Bullets():
                _bullets(page, block)
            case Numbers():
                _numbers(page, block)
            case Picture():
                _picture(page, block)
            case Finding():
                _finding(page, block)
            case Table():
                _table(page, block)


def _bullets(page: _Page, block: Bullets) -> None:
    for item in block.items:
        page.room(8)
        page.set_font(_FONT, "", 9.5)
        page.set_text_color(*_INK)
        page.cell(4.5, 4.9, "•")
        page.words(item)
        page.ln(0.6)
    page.ln(1)


def _numbers(page: _Page, block: Numbers) -> None:
    width, height, gap = 41.0, 17.0, 3.5
    per_row = int((page.epw + gap) // (width + gap))
    for start in range(0, len(block.items), per_row):
        page.room(height + gap)
        top = page.get_y()
        for column, (value, label) in enumerate(block.items[start : start + per_row]):
            left = page.l_margin + column * (width + gap)
            page.set_fill_color(*_PLATE)
            page.rect(left, top, width, height, style="F", round_corners=True, corner_radius=1.6)
            page.set_xy(left + 3, top + 2)
            page.set_font(_FONT, "B", 14)
            page.set_text_color(*_INK)
            page.cell(width - 6, 7, value)
            page.set_xy(left + 3, top + 9)
            page.set_font(_FONT, "", 7.5)
            page.set_text_color(*_SOFT)
            page.multi_cell(width - 6, 3.4, label, align="L")
        page.set_y(top + height + gap)


def _size(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size


def _picture(page: _Page, block: Picture) -> None:
    width_px, height_px = _size(block.content)
    width = page.epw * block.width
    height = width * height_px / max(width_px, 1)
    if height > _TALLEST_MM:
        width, height = width * _TALLEST_MM / height, _TALLEST_MM
    page.room(height + (6 if block.caption else 2))
    page.image(io.BytesIO(block.content), w=width, h=height, alt_text=block.alt)
    if block.caption:
        page.ln(1)
        page.words(block.caption, 7.5, color=_SOFT)
    page.ln(2)


def _finding(page: _Page, block: Finding) -> None:
    picture_width, pad = (54.0 if block.picture else 0.0), 4.0
    text_width = page.epw - picture_width - 3 * pad
    picture_height = 0.0
    if block.picture is not None:
        width_px, height_px = _size(block.picture.content)
        picture_height = picture_width * height_px / max(width_px, 1)
    texts = [(f"{_MARKS.get(block.tone, '')}{block.title}", "B", 10.5), *((line, "", 9) for line in block.lines)]
    text_height = 0.0
    for text, style, size in texts:
        page.set_font(_FONT, style, size)
        text_height += page.multi_cell(text_width, size * 0.52, text, align="L", dry_run=True, output="HEIGHT") + 1  # type: ignore[operator]
    height = max(text_height, picture_height) + 2 * pad - 1
    page.room(height + 3)
    left, top = page.l_margin, page.get_y()
    page.set_draw_color(*_LINE)
    page.set_line_width(0.2)
    page.rect(left, top, page.epw, height)
    page.set_fill_color(*_TONES.get(block.tone, _SOFT))
    page.rect(left, top, 1.2, height, style="F")
    page.set_xy(left + 1.5 * pad, top + pad)
    for text, style, size in texts:
        page.set_font(_FONT, style, size)
        page.set_text_color(*(_TONES.get(block.tone, _INK) if style else _INK))
        page.set_x(left + 1.5 * pad)
        page.multi_cell(text_width, size * 0.52, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        page.ln(1)
    if block.picture is not None:
        x = page.w - page.r_margin - picture_width - pad
        page.image(io.BytesIO(block.picture.content), x=x, y=top + pad, w=picture_width, alt_text=block.picture.alt)
    page.set_y(top + height + 3)


def _table(page: _Page, block: Table) -> None:
    page.set_font(_FONT, "", 8.5)
    page.set_text_color(*_INK)
    page.set_draw_color(*_LINE)
    page.set_line_width(0.2)
    page.set_fill_color(255, 255, 255)  # cells without a colour of their own take the page's
    head = FontFace(emphasis="BOLD", size_pt=7.5, color=_SOFT, fill_color=_PLATE)
    with page.table(
        borders_layout="HORIZONTAL_LINES",
        col_widths=block.widths,
        headings_style=head,
        line_height=4.4,
        padding=1.2,
        text_align="LEFT",
        v_align=VAlign.M,
        width=page.epw,
    ) as table:
        table.row(block.heads)
        for cells in block.rows:
            row = table.row()
            for cell in cells:
                if cell.picture is not None:
                    row.cell(img=io.BytesIO(cell.picture.content), img_fill_width=True)
                else:
                    style = FontFace(color=_TONES.get(cell.tone, _INK))
                    row.cell(_MARKS.get(cell.tone, "") + cell.text, style=style)
    if block.caption:
        page.ln(1)
        page.words(block.caption, 7.5, color=_SOFT)
    page.ln(2)
