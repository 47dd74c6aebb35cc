"""The script for pen and ink: what is said, what is expected, room for initials and time (CEREMONY 2).

The same file gives the same bytes. Page 1 carries the digest that people approve, as hex and as words to read aloud.
"""

from __future__ import annotations

from hsm_console.ceremony.script import Script, Step, digest, parse, quorum_words
from hsm_console.ceremony.sheet import Row, Sheet
from hsm_console.ceremony.texts import blank
from hsm_console.domain.people import Role

_SIZES = {"a4": "A4", "letter": "Letter"}
_UNDO = "\u25b6 This cannot be undone. A witness looks on."


def write(text: str, *, size: str = "a4", parameters: dict[str, str] | None = None) -> bytes:
    """The script as a PDF for `a4` or `letter`. parameters: what was chosen, once a ceremony is opened."""
    script, sha256 = parse(text), digest(text)
    sheet = Sheet(
        script.title,
        subtitle=f"Ceremony script {script.id}, version {script.version}",
        simulated=False,
        size=_SIZES[size],
        footer=f"script sha256 {sha256}",
    )
    chosen = parameters or {}
    _front(sheet, script, sha256, chosen)
    for phase in script.phases:
        sheet.heading(phase, needs_mm=48)
        rows = [
            _row(number, step, script, chosen) for number, step in enumerate(script.steps, 1) if step.phase == phase
        ]
        sheet.initialled(("Step", "Read aloud and do", "Expected", "Initials and time"), rows, (0.06, 0.5, 0.28, 0.16))
    _closing(sheet, script)
    return sheet.build()


def _front(sheet: Sheet, script: Script, sha256: str, chosen: dict[str, str]) -> None:
    sheet.text(script.purpose)
    sheet.digest("Digest of this script: read aloud and compared with the screen before it is approved.", sha256)
    sheet.fields(
        [
            ("Time", f"about {script.minutes} minutes, {len(script.steps)} steps"),
            ("Quorum", quorum_words(script.quorum)),
        ]
    )
    rows = [(item.title, chosen.get(name) or _choices(item.choices)) for name, item in script.parameters.items()]
    rows += [("Date and place", ""), ("Module and its serial number", ""), ("Started at (UTC)", "")]
    sheet.blanks((), rows, widths=(0.36, 0.64), row_mm=8)
    sheet.heading("Who is in the room")
    seats = []
    for role in Role:
        count = script.quorum.of if role is script.quorum.role else script.roles.get(role, 0)
        seats += [(role.value.capitalize(), "", "") for _ in range(count)]
    sheet.blanks(("Role", "Name in capitals", "Signature"), seats, widths=(0.2, 0.42, 0.38), row_mm=9)
    sheet.heading("Approved for use")
    sheet.text("The script with the digest above is approved and is not changed any more.")
    sheet.signatures(("Name and signature", "Place and date"))
    sheet.new_page()


def _choices(choices: tuple[str, ...]) -> str:
    return "\u2003".join(f"\u25a1 {choice}" for choice in choices)


def _row(number: int, step: Step, script: Script, chosen: dict[str, str]) -> Row:
    middle = [blank(step.expect, script, chosen)]
    return Row(
        number=str(number),
        title=f"{blank(step.title, script, chosen)} \u2013 {step.actor.value}",
        said=blank(step.say, script, chosen),
        notes=[f"{question}: ______________________________" for question in step.facts.values()],
        warnings=(_UNDO,) if step.commit else (),
        middle=[*middle, *([f"Clauses {', '.join(step.clauses)}"] if step.clauses else [])],
        right=("", "", f"about {step.minutes} min"),
    )


def _closing(sheet: Sheet, script: Script) -> None:
    sheet.heading("What did not go as written", needs_mm=70)
    heads = ("At step", "Expected", "Happened", "Decided, by whom")
    sheet.blanks(heads, [("", "", "", "")] * 3, widths=(0.1, 0.26, 0.32, 0.32), row_mm=15)
    sheet.heading("Sign-off", needs_mm=60)
    sheet.text("The script was followed. Or: I do not agree, because (write it beside your name). Both are answers.")
    labels = []
    for role in Role:
        count = script.quorum.needed if role is script.quorum.role else script.roles.get(role, 0)
        labels += [f"{role.value.capitalize()}: signature and time"] * count
    sheet.signatures(labels)
