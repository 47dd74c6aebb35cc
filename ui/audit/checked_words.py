"""What the gateway does for the log by itself, in words: its checks, and the day's root sheet."""

from __future__ import annotations

from hsm_console.domain.messages.anchors import CheckView, SheetDue
from ui import texts
from ui.texts import tr


def told(one: CheckView) -> str:
    """One or two sentences; what was found comes first."""
    if one.state == "none":
        return tr("It did not begin yet.")
    if one.state == "running":
        return tr("Under way: {n} of {m} records were read again so far.", n=f"{one.done:,}", m=f"{one.of:,}")
    if one.findings:
        first = one.findings[0]
        return tr("Something was found: {word}: {text}.", word=first.word, text=first.text)
    if one.state == "failed":
        return one.line or tr("It failed.")
    read = tr("Records {a} to {b} were read again, and they hold.", a=f"{one.first:,}", b=f"{one.last:,}")
    if one.anchored < 0:
        return read
    return f"{read} {tr('The module remembers the head of {n} records.', n=f'{one.anchored:,}')}"


def sheet(one: SheetDue) -> tuple[str, str, str]:
    """(words, icon, colour): whether the day's root sheet is made, and what it waits for."""
    if not one.by_itself:
        said = tr("Policy does not ask for one a day; it is signed when somebody asks.")
        return said, "dot", "ink-soft"
    if not one.due:
        said = tr("Policy asks for one a day. Today's is signed; the next is due on {when}.",
                  when=texts.moment(one.next_ms))  # fmt: skip
        return said, "check", "good"
    last = tr("The last is of {day}.", day=one.last_day) if one.last_day else tr("There is none yet.")
    if one.problem:
        return tr("Due today, and not made: {why}", why=one.problem), "alert", "bad"
    if one.locked:
        said = tr("Due today. It is signed by itself a minute after the module is unlocked.")
        return f"{said} {last}", "clock", "warn"
    return f"{tr('Due today. It is being signed by itself.')} {last}", "clock", "warn"
