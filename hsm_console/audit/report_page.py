"""A compliance report on paper: the verification first, then each control, then the proof of the population."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Sequence
from typing import Any

from reportlab.lib import colors
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import CondPageBreak, Paragraph, Table, TableStyle

from hsm_console.audit.report import Answer, Population, Report, Sample, Verification, encode
from hsm_console.paper import fonts
from hsm_console.paper.page import Paper, grouped_hex

RED, GREEN, FAINT = colors.HexColor("#a01010"), colors.HexColor("#1d5c2e"), colors.HexColor("#5b6670")
_LINE = colors.HexColor("#9aa5ae")
_COLOUR = {"answered": GREEN, "gap": RED, "not applicable": FAINT, "unproven": RED}
_WORD = {"answered": "answered", "gap": "GAP", "not applicable": "not applicable", "unproven": "unproven"}
_FINDINGS = 20
PROOF = (
    "The code holds the checkpoint above as text. Verify its signature with the key log.vkey that was printed at the "
    "first ceremony, never with one from the machine under assessment: hsm-console audit verify LOG --vkey log.vkey. "
    "Without our software: docs/verify.py with Python and openssl. The verification must name the same size and root; "
    "then no entry of the population was changed, left out or added. The JSON form of this report holds in addition a "
    "tlog-proof of the newest signed entry."
)


def page(report: Report, size: str = "A4") -> bytes:
    """The PDF. The same report gives the same bytes. Raises InputError qr-too-large."""
    digest = hashlib.sha256(encode(report)).hexdigest()
    span = f"{report.period_from or '?'} to {report.period_to or '?'} (UTC)"
    sheet = _Sheet(
        f"Evidence report: {report.title}",
        subtitle=f"log {report.log.origin or 'unknown'} · {span}",
        simulated=report.log.simulated,
        size=size,
        footer=f"SHA-256 of the JSON form: {digest}",
    )
    _verification(sheet, report.verification)
    _identity(sheet, report)
    _overview(sheet, report)
    sheet.heading("What this report is, and what it is not")
    sheet.text(report.disclaimer)
    sheet.text(report.scope)
    _sources(sheet, report)
    sheet.room(180)
    sheet.heading("The answers in full")
    for answer in report.answers:
        _answer(sheet, answer)
    _population(sheet, report.population, digest)
    return sheet.build()


class _Sheet(Paper):
    """Paper with the colours and the blocks of a report."""

    def coloured(self, text: str, colour: Any, size: float = 10, after: float = 3) -> None:
        style = _style(fonts.SANS_BOLD, size, colour, after)
        self._story.append(Paragraph(fonts.markup(text, fonts.SANS_BOLD), style))

    def room(self, height: float) -> None:
        """A new page unless so many points are left on this one."""
        self._story.append(CondPageBreak(height))

    def states(
        self,
        head: Sequence[str],
        rows: Sequence[tuple[Sequence[str], str]],
        widths: Sequence[float],
        *,
        bold: bool = False,
    ) -> None:
        """Rows of text, each ending with a state in its colour."""
        font = fonts.SANS_BOLD if bold else fonts.SANS
        body = [[_cell(text, fonts.SANS_BOLD) for text in head]] if head else []
        for texts, state in rows:
            colour = _COLOUR[state]
            body.append([*(_cell(text, font) for text in texts), _cell(_WORD[state], fonts.SANS_BOLD, colour)])
        table = Table(body, colWidths=[share * self._width for share in widths], repeatRows=1 if head else 0)
        line = ("LINEABOVE", (0, 0), (-1, 0), 0.9, _LINE) if bold else ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE)
        table.setStyle(
            TableStyle(
                [
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("LEFTPADDING", (0, 0), (-1, -1), 2),
                    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
                    ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
                    line,
                ]
            )
        )
        self._story.append(table)


def _style(font: str, size: float, colour: Any = colors.black, after: float = 0) -> ParagraphStyle:
    return ParagraphStyle(
        f"{font}{size}{colour}", fontName=font, fontSize=size, leading=size * 1.32, textColor=colour, spaceAfter=after
    )


def _cell(text: str, font: str, colour: Any = colors.black) -> Paragraph:
    return Paragraph(fonts.markup(text, font), _style(font, 8, colour))


def _verification(sheet: _Sheet, result: Verification) -> None:
    sheet.heading("1. Verification of the log")
    if result.verified:
        sheet.coloured("The log verifies: every entry below the checkpoint is as it was signed.", GREEN, 11)
    else:
        sheet.coloured("THE LOG DOES NOT VERIFY. No answer in this report may be relied upon.", RED, 13, 5)
    sheet.mono(textwrap.wrap(result.line, 108), size=7.5)
    if not result.trusted_key:
        sheet.coloured(
            "The key came out of the folder of the log itself. Whoever can change the log can change that key: verify "
            "again with the key that was printed at the first ceremony.",
            RED,
            8.5,
        )
    if result.findings:
        rows = [
            (item.word, item.text, str(item.entry) if item.entry >= 0 else "") for item in result.findings[:_FINDINGS]
        ]
        sheet.table(("Found", "What", "Entry"), rows, (0.18, 0.72, 0.1))
    if len(result.findings) > _FINDINGS:
        sheet.coloured(f"and {len(result.findings) - _FINDINGS} more; the JSON form lists them.", RED, 8.5)


def _identity(sheet: _Sheet, report: Report) -> None:
    log, population = report.log, report.population
    kind = "production" if log.production else "not production"
    sheet.heading("2. Which log, and which period")
    asked = "" if report.asked_from or report.asked_to else " (all that the log holds)"
    sheet.fields(
        [
            ("Period", f"{report.period_from} to {report.period_to}, whole days in UTC{asked}"),
            ("Log", f"{log.origin or 'unknown'}, {log.chain_uid}, created {log.created or 'unknown'}"),
            ("Environment", f"{log.environment or 'unknown'} ({kind}{', simulated token' if log.simulated else ''})"),
            ("Software", log.software or "unknown"),
            ("Log key", f"{log.key_id} (key id of the verifier key)"),
            ("Population", _said(population)),
        ]
    )


def _said(population: Population) -> str:
    inside = f"{population.in_period} of {population.size} entries are of this period"
    if population.first >= 0:
        inside += f" (numbers {population.first} to {population.last})"
    left = f"; {population.unsigned} newer ones that no checkpoint covers are left out" if population.unsigned else ""
    if not population.proven:
        left = "; none of them is proven"
    broken = f"; {population.unreadable} cannot be read" if population.unreadable else ""
    return f"{inside}{left}{broken}."


def _overview(sheet: _Sheet, report: Report) -> None:
    count = report.summary
    sheet.heading("3. Controls")
    sheet.coloured(
        f"{count['answered']} answered, {count['unproven']} unproven, {count['gap']} with a gap, "
        f"{count['not applicable']} not applicable.",
        RED if count["gap"] or not report.verification.verified else GREEN,
    )
    if not report.verification.verified:
        sheet.coloured("Unproven: there are entries, but the log does not verify.", RED, 8.5)
    rows = [((item.control.id, item.control.title, str(item.events)), item.state) for item in report.answers]
    sheet.states(("Clause", "Our short words for it", "Entries", "State"), rows, (0.2, 0.54, 0.1, 0.16))


_READ = {
    "original": "held against the original",
    "quoted": "held against what others quote of it, not against the original",
    "not checked": "NOT CHECKED AGAINST THE ORIGINAL",
    "no clause": "numbers of our own: the standard names no such control",
}


def _sources(sheet: _Sheet, report: Report) -> None:
    """What the clauses were held against: first the sources, then which clause how."""
    sheet.heading("Where the numbers come from")
    for source in report.sources:
        sheet.text(f"{source.title}. {source.edition}: {_READ[source.read]}.")
    for how, words in _READ.items():
        ids = [item.control.id for item in report.answers if item.control.checked == how]
        if ids:
            sheet.text(f"Clauses {words}: {', '.join(ids)}.", small=True)


def _answer(sheet: _Sheet, answer: Answer) -> None:
    control = answer.control
    sheet.room(110)
    sheet.states((), [((control.id, control.title), answer.state)], (0.2, 0.62, 0.18), bold=True)
    sheet.text(f"Answered by: {control.answer}. Entries: {answer.events}.")
    if answer.why:
        sheet.coloured(f"Gap: {answer.why}.", RED, 8.5)
    if answer.contradictions:
        more = f" ({answer.faults} in all)" if answer.faults > len(answer.contradictions) else ""
        sheet.coloured(f"Entries that contradict it{more}:", RED, 8.5)
        rows = [
            (str(item.seq), _time(item), item.who, f"{item.summary} It {item.why}.".strip())
            for item in answer.contradictions
        ]
        sheet.table(("Entry", "When (UTC)", "Who", "What"), rows, _WIDTHS)
    if answer.samples:
        if answer.contradictions:
            sheet.text("Of all entries that it is about:", small=True)
        rows = [(str(item.seq), _time(item), item.who, item.summary) for item in answer.samples]
        sheet.table(("Entry", "When (UTC)", "Who", "What"), rows, _WIDTHS)
    if control.checked == "not checked":
        sheet.coloured("The number of this clause was not checked against the original.", RED, 8.5)
    if control.note:
        sheet.text(f"Note: {control.note}", small=True)
    sheet.space(2)


_WIDTHS = (0.08, 0.2, 0.22, 0.5)


def _time(sample: Sample) -> str:
    return sample.time[:19].replace("T", " ")


def _population(sheet: _Sheet, population: Population, digest: str) -> None:
    sheet.room(330)
    sheet.heading("Proof of the population")
    if not population.proven:
        sheet.coloured("The log does not verify: nothing proves this population.", RED)
    if not population.checkpoint:
        sheet.coloured("There is no checkpoint that the key verifies.", RED)
    else:
        sheet.fields(
            [("Entries", str(population.covered)), ("Signed", f"{population.signed_at} by the workstation's clock")]
        )
        sheet.text("Merkle root over the entries of the checkpoint (RFC 6962)")
        sheet.mono(grouped_hex(population.root, 16), size=7)
        sheet.text("Checkpoint (C2SP signed note)")
        sheet.mono([part for line in population.checkpoint for part in _wrapped(line, 100)], size=7)
    sheet.text("SHA-256 of this report's JSON form, which has the same content")
    sheet.mono(grouped_hex(digest, 16), size=7)
    if population.checkpoint:
        note = "\n".join(population.checkpoint) + "\n"
        sheet.qr(note, "The checkpoint, as signed.", beside=(PROOF,))


def _wrapped(line: str, width: int) -> list[str]:
    return [line[at : at + width] for at in range(0, max(1, len(line)), width)]
