"""An alert as people see it, made of its entry and of the entry of its acknowledgement."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from hsm_console.domain import events as ev
from hsm_console.domain.events import Recorded
from hsm_console.domain.messages.alerts import AlertView


def raised(recorded: Recorded, event: ev.AlertRaised) -> AlertView:
    """The alert of this entry, which nobody has looked at yet."""
    return AlertView(
        seq=recorded.seq,
        time_ms=recorded.time_ms,
        rule=event.rule,
        title=event.title,
        level=event.level,
        text=event.text,
        todo=event.todo,
        first=event.first,
        last=event.last,
        subject=event.subject,
    )


def acknowledged(known: AlertView, recorded: Recorded, event: ev.AlertAcknowledged) -> AlertView:
    """The alert with what was said of it; the first answer stands."""
    if known.acknowledged_ms:
        return known
    return replace(
        known,
        acknowledged_by=recorded.actor.uid if recorded.actor else "",
        acknowledged_ms=recorded.time_ms,
        acknowledged_note=event.note,
    )


def fold(entries: Iterable[Recorded]) -> dict[int, AlertView]:
    """All alerts of a log by their entries, oldest first. entries: at least those of alerts and acknowledgements."""
    found: dict[int, AlertView] = {}
    for recorded in entries:
        event = recorded.event
        if isinstance(event, ev.AlertRaised):
            found[recorded.seq] = raised(recorded, event)
        elif isinstance(event, ev.AlertAcknowledged) and event.alert in found:
            found[event.alert] = acknowledged(found[event.alert], recorded, event)
    return found
