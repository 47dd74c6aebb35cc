"""What the gateway checks by itself, in words: at the start, and as a whole in the background."""

from __future__ import annotations

from hsm_console.domain.messages.anchors import CheckView
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
