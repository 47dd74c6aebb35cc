"""A printed document: headings, fields, tables, digests and codes on A4 or Letter, with page furniture.

What is printed comes from people and devices: every text is escaped, because ReportLab reads markup in it.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from typing import Any

from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from hsm_console.crypto import words
from hsm_console.paper import fonts
from hsm_console.paper.qr_flowable import QrFlowable

SIZES = {"A4": A4, "Letter": LETTER}
WATERMARK = "SIMULATION"
SIMULATED_LINE = "SIMULATION – grade D – not for production. Nothing on this page was protected by hardware."
_FRAME_PADDING = 6  # points; ReportLab's own, taken off the margins so that text and tables stand in one line
_INK = colors.HexColor("#101820")
_FAINT = colors.HexColor("#5b6670")
_LINE = colors.HexColor("#9aa5ae")
_WARNING = colors.HexColor("#8a1c00")


def grouped_hex(digest: str | bytes, groups: int = 8) -> tuple[str, ...]:
    """Lower-case hex in groups of four, `groups` to a line: for reading aloud and comparing by eye."""
    text = digest.hex() if isinstance(digest, bytes) else digest.lower()
    parts = [text[at : at + 4] for at in range(0, len(text), 4)]
    return tuple(" ".join(parts[at : at + groups]) for at in range(0, len(parts), groups))


def spoken(digest: str | bytes, per_line: int = 8) -> tuple[str, ...]:
    """The PGP words of a digest, `per_line` to a line."""
    data = bytes.fromhex(digest) if isinstance(digest, str) else digest
    said = words.encode(data)
    return tuple(" ".join(said[at : at + per_line]) for at in range(0, len(said), per_line))


class Paper:
    """Collects content, then `build()`s the PDF. simulated: watermark and warning on every page.

    footer: one line at the foot of every page, before the page number (what and which digest).
    """

    def __init__(self, title: str, *, subtitle: str = "", simulated: bool, size: str = "A4", footer: str = "") -> None:
        fonts.register()
        self._title = title
        self._subtitle = subtitle
        self._simulated = simulated
        self._pagesize = SIZES[size]
        self._footer = footer
        self._story: list[Any] = []
        self._pages = self._reached = 0

    # -- content ----------------------------------------------------------------------------------------

    def heading(self, text: str) -> None:
        self._story.append(
            Paragraph(
                fonts.markup(text, fonts.SANS_BOLD),
                _style("heading", fonts.SANS_BOLD, 11, before=8, after=3, keep=True),
            )
        )

    def text(self, text: str, *, small: bool = False) -> None:
        style = _style("small", fonts.SANS, 7.5, after=2) if small else _style("text", fonts.SANS, 9, after=3)
        self._story.append(Paragraph(fonts.markup(text, fonts.SANS), style))

    def mono(self, lines: Sequence[str], *, size: float = 8) -> None:
        """Digests, words, checkpoints: one line of the page for each, in the font that keeps 0/O and 1/l apart."""
        style = _style(f"mono{size}", fonts.MONO, size, after=0)
        for line in lines:
            self._story.append(Paragraph(_keep_spaces(line), style))
        self.space(2)

    def fields(self, rows: Sequence[tuple[str, str]]) -> None:
        """Label and value, one under the other."""
        self.table((), rows, widths=(0.24, 0.76), frame=False)

    def digest(self, label: str, digest: str | bytes) -> None:
        """A digest as grouped hex and as words."""
        self.text(label)
        self.mono(grouped_hex(digest))
        self.mono(spoken(digest), size=7.5)

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float], *, frame: bool = True
    ) -> None:
        """Rows of text; widths are shares of the page's width. The head is repeated on each page."""
        cell, bold = _style("cell", fonts.SANS, 8), _style("bold", fonts.SANS_BOLD, 8)
        label = _style("label", fonts.SANS, 8, colour=_FAINT)
        body: list[list[Paragraph]] = (
            [[Paragraph(fonts.markup(text, fonts.SANS_BOLD), bold) for text in head]] if head else []
        )
        for row in rows:
            styles = [label if not frame and not at else cell for at in range(len(row))]
            texts = [fonts.markup(text, fonts.SANS) for text in row]
            body.append([Paragraph(text, style) for text, style in zip(texts, styles, strict=True)])
        if not body:
            return
        table = Table(body, colWidths=[share * self._width for share in widths], repeatRows=1 if head else 0)
        table.setStyle(_table_style(frame=frame, head=bool(head)))
        self._story.append(table)
        self.space(2)

    def qr(self, text: str, below: str = "", min_mm: float = 40.0, beside: Sequence[str] = ()) -> None:
        """A code with what it is said below, and paragraphs to its right. Raises InputError qr-too-large."""
        code = QrFlowable(text, min_mm)
        small = _style("small", fonts.SANS, 7.5, after=2)
        left: list[Any] = [code, *([Paragraph(fonts.markup(below, fonts.SANS), small)] if below else [])]
        right = [Paragraph(fonts.markup(item, fonts.SANS), _style("beside", fonts.SANS, 8, after=5)) for item in beside]
        wide = code.width + 4 * mm
        table = Table([[left, right]], colWidths=[wide, max(0, self._width - wide)], hAlign="LEFT")
        table.setStyle(_table_style(frame=False, head=False))
        self._story.append(table)

    def codes(self, texts: Sequence[str], columns: int) -> None:
        """Several codes in rows, each with its number. Raises InputError qr-too-large."""
        small = _style("small", fonts.SANS, 7.5, after=2)
        cells = [
            [QrFlowable(text, 1.0), Paragraph(f"{number} of {len(texts)}", small)]
            for number, text in enumerate(texts, 1)
        ]
        rows = [cells[at : at + columns] for at in range(0, len(cells), columns)]
        rows[-1] += [[]] * (columns - len(rows[-1]))
        table = Table(rows, colWidths=[self._width / columns] * columns, hAlign="LEFT")
        table.setStyle(_table_style(frame=False, head=False))
        self._story.append(table)

    def signature_line(self, label: str) -> None:
        """A line for ink, with who signs below it."""
        self.space(9)
        line = Table([[""]], colWidths=[0.55 * self._width], rowHeights=[1], hAlign="LEFT")
        line.setStyle(TableStyle([("LINEABOVE", (0, 0), (-1, -1), 0.6, _INK)]))
        self._story.append(line)
        self.text(label, small=True)

    def space(self, height_mm: float = 4) -> None:
        self._story.append(Spacer(1, height_mm * mm))

    def new_page(self) -> None:
        self._story.append(PageBreak())

    # -- pages ------------------------------------------------------------------------------------------

    @property
    def _width(self) -> float:
        width: float = self._pagesize[0] - 36 * mm
        return width

    def build(self) -> bytes:
        """The PDF. The same content gives the same bytes. Set twice: only then is it known how many pages there are."""
        self._set()
        return self._set()

    def _set(self) -> bytes:
        out = io.BytesIO()
        document = SimpleDocTemplate(
            out,
            pagesize=self._pagesize,
            leftMargin=18 * mm - _FRAME_PADDING,
            rightMargin=18 * mm - _FRAME_PADDING,
            topMargin=30 * mm,
            bottomMargin=18 * mm,
            title=self._title,
            author="HSM Console",
            subject=self._subtitle,
            invariant=1,
        )
        document.build(copy.deepcopy(self._story), onFirstPage=self._furnish, onLaterPages=self._furnish)
        self._pages = self._reached
        return out.getvalue()

    def _furnish(self, canvas: Canvas, _document: SimpleDocTemplate) -> None:
        width, height = self._pagesize
        self._reached = canvas.getPageNumber()
        canvas.saveState()
        if self._simulated:
            self._watermark(canvas, width, height)
        canvas.setFillColor(_INK)
        canvas.setFont(fonts.SANS_BOLD, 15)
        canvas.drawString(18 * mm, height - 17 * mm, self._title)
        canvas.setFont(fonts.SANS, 9)
        canvas.setFillColor(_FAINT)
        canvas.drawString(18 * mm, height - 22.5 * mm, self._subtitle)
        canvas.setStrokeColor(_LINE)
        canvas.line(18 * mm, height - 25 * mm, width - 18 * mm, height - 25 * mm)
        canvas.setFont(fonts.MONO, 6.5)
        canvas.drawString(18 * mm, 9 * mm, self._footer)
        canvas.drawRightString(width - 18 * mm, 9 * mm, f"page {canvas.getPageNumber()} of {self._pages}")
        canvas.restoreState()

    def _watermark(self, canvas: Canvas, width: float, height: float) -> None:
        canvas.saveState()
        canvas.setFillColor(colors.Color(0.54, 0.11, 0, alpha=0.10))
        canvas.setFont(fonts.SANS_BOLD, 84)
        canvas.translate(width / 2, height / 2)
        canvas.rotate(52)
        canvas.drawCentredString(0, -25, WATERMARK)
        canvas.restoreState()
        canvas.setFillColor(_WARNING)
        canvas.setFont(fonts.SANS_BOLD, 8)
        canvas.drawString(18 * mm, height - 10 * mm, SIMULATED_LINE)


def _style(
    name: str,
    font: str,
    size: float,
    *,
    before: float = 0,
    after: float = 0,
    colour: Any = _INK,
    keep: bool = False,
) -> ParagraphStyle:
    return ParagraphStyle(
        name,
        fontName=font,
        fontSize=size,
        leading=size * 1.32,
        spaceBefore=before,
        spaceAfter=after,
        textColor=colour,
        alignment=TA_LEFT,
        splitLongWords=1,
        keepWithNext=keep,
    )


def _keep_spaces(line: str) -> str:
    return fonts.markup(line.replace("  ", "\u00a0\u00a0") or "\u00a0", fonts.MONO)


def _table_style(*, frame: bool, head: bool) -> TableStyle:
    commands: list[Any] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 4 if frame else 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
    if frame:
        commands.append(("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE))
    if head:
        commands.append(("LINEBELOW", (0, 0), (-1, 0), 1.0, _INK))
    return TableStyle(commands)
