"""The printed forms of a ceremony: tables of steps, boxes for initials, lines for ink. On top of the shared paper.

Drawn so that a witness can follow with a finger: what is said stands in quotation marks under a bold title, and what
was recorded stands under it in small type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from reportlab.lib import colors
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, KeepTogether, Paragraph, Spacer, Table, TableStyle

from hsm_console.paper import fonts
from hsm_console.paper.page import Paper

_INK, _FAINT, _LINE = colors.HexColor("#101820"), colors.HexColor("#5b6670"), colors.HexColor("#9aa5ae")
_WARNING = colors.HexColor("#8a1c00")
_LONG_HEX = re.compile(r"\b[0-9a-f]{32,128}\b")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One step on paper. notes: what was recorded; warnings: misses, and that it cannot be undone."""

    number: str
    title: str
    said: str
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    middle: Sequence[str] = ()
    right: Sequence[str] = ()


def grouped(text: str) -> str:
    """Long hex in groups of four, so that it can be read and breaks well."""
    return _LONG_HEX.sub(lambda m: " ".join(m.group()[at : at + 4] for at in range(0, len(m.group()), 4)), text)


def _style(name: str, font: str, size: float, colour: Any = _INK, *, after: float = 0) -> ParagraphStyle:
    return ParagraphStyle(
        name, fontName=font, fontSize=size, leading=size * 1.32, spaceAfter=after, textColor=colour, splitLongWords=1
    )


class Sheet(Paper):
    """Paper with the forms of a ceremony."""

    def heading(self, text: str, *, needs_mm: float = 34) -> None:
        """A heading that never stands alone at the foot of a page."""
        self._story.append(CondPageBreak(needs_mm * mm))
        super().heading(text)

    def steps(self, head: Sequence[str], rows: Sequence[Row], widths: Sequence[float]) -> None:
        """Steps as rows; three or four columns, as `head` has them."""
        bold = _style("step-head", fonts.SANS_BOLD, 8)
        body: list[list[Any]] = [[Paragraph(fonts.markup(text, fonts.SANS_BOLD), bold) for text in head]]
        for row in rows:
            cells: list[list[Any]] = [[_line(row.number, fonts.SANS_BOLD, 10)], _told(row)]
            if len(head) == 4:
                cells.append([_line(text, fonts.SANS, 8) for text in row.middle])
            cells.append([_line(text, fonts.SANS, 8) for text in row.right])
            body.append(cells)
        table = Table(body, colWidths=[share * self._width for share in widths], repeatRows=1)
        table.setStyle(_ruled(top=2.5, bottom=4.5))
        self._story.append(table)
        self.space(2)

    def initialled(self, head: Sequence[str], rows: Sequence[Row], widths: Sequence[float]) -> None:
        """Steps for pen and ink: the last column is a box for initials and time."""
        self.steps(head, rows, widths)
        table = self._story[-2]
        last = len(head) - 1
        table.setStyle(TableStyle([("BOX", (last, at), (last, at), 0.6, _INK) for at in range(1, len(rows) + 1)]))

    def blanks(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float], row_mm: float
    ) -> None:
        """A table to be filled in by hand: rows of a height that a pen needs."""
        bold = _style("blank-head", fonts.SANS_BOLD, 8)
        body: list[list[Any]] = (
            [[Paragraph(fonts.markup(text, fonts.SANS_BOLD), bold) for text in head]] if head else []
        )
        body += [[_line(text, fonts.SANS, 8.5) for text in row] for row in rows]
        heights = [None] * bool(head) + [row_mm * mm] * len(rows)
        shares = [share * self._width for share in widths]
        table = Table(body, colWidths=shares, rowHeights=heights, repeatRows=1 if head else 0)
        style = [("GRID", (0, 1 if head else 0), (-1, -1), 0.5, _LINE), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
        table.setStyle(
            TableStyle([*style, ("LEFTPADDING", (0, 0), (-1, -1), 4), ("TOPPADDING", (0, 0), (-1, -1), 1.5)])
        )
        self._story.append(table)
        self.space(3)

    def signatures(self, labels: Sequence[str]) -> None:
        """Lines for ink, two beside each other, each with who signs below it."""
        small = _style("signed-by", fonts.SANS, 7.5, _FAINT)
        share = 0.46 * self._width
        for at in range(0, len(labels), 2):
            pair = [*labels[at : at + 2], ""][:2]
            cells = [
                Paragraph(fonts.markup(pair[0], fonts.SANS), small),
                "",
                Paragraph(fonts.markup(pair[1], fonts.SANS), small),
            ]
            table = Table([cells], colWidths=[share, self._width - 2 * share, share], hAlign="LEFT")
            rule = [("LINEABOVE", (0, 0), (0, 0), 0.6, _INK), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
            rule += [("LINEABOVE", (2, 0), (2, 0), 0.6, _INK)] if pair[1] else []
            table.setStyle(TableStyle([*rule, ("TOPPADDING", (0, 0), (-1, -1), 1.5)]))
            self._story.append(KeepTogether([Spacer(1, 11 * mm), table]))
        self.space(2)


def _line(text: str, font: str, size: float, colour: Any = _INK) -> Paragraph:
    return Paragraph(fonts.markup(text, font) or "&nbsp;", _style(f"line-{font}-{size}", font, size, colour))


def _told(row: Row) -> list[Any]:
    """Title, what is said, warnings, what was recorded."""
    parts = [_line(row.title, fonts.SANS_BOLD, 8.5), _line(f"“{row.said}”", fonts.SANS, 8)]
    parts += [_line(text, fonts.SANS_BOLD, 7.5, _WARNING) for text in row.warnings]
    if row.notes:
        style = _style("notes", fonts.SANS, 7.5, _FAINT)
        notes = "  \u00b7  ".join(grouped(note) for note in row.notes)
        parts.append(Paragraph(fonts.markup(notes, fonts.SANS), style))
    return parts


def _ruled(*, top: float, bottom: float) -> TableStyle:
    return TableStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 4),
            ("RIGHTPADDING", (0, 0), (-1, -1), 5),
            ("TOPPADDING", (0, 0), (-1, -1), top),
            ("BOTTOMPADDING", (0, 0), (-1, -1), bottom),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
            ("LINEBELOW", (0, 0), (-1, 0), 1.0, _INK),
        ]
    )
