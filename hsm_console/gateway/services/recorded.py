"""One operation outside a ceremony, by the rule of the house: intent durable, call, outcome durable (invariant 1)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import msgspec

from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Draft, Recorded
from hsm_console.gateway.core import Core, acting
from hsm_console.gateway.device import DOWN
from hsm_console.gateway.sessions import Session

T = TypeVar("T")
Act = Callable[[Recorded], tuple[ev.OperationSucceeded, T]]
MAKING = (ev.Operation.GENERATE, ev.Operation.UNWRAP, ev.Operation.DESTROY)
Expect = Callable[[sqlite3.Connection], None]


def perform(
    core: Core,
    session: Session | None,
    intent: ev.OperationIntended,
    act: Act[T],
    *,
    correlation: str = "",
    expect: Expect | None = None,
    on_device: bool = True,
    critical: bool = False,
) -> tuple[Recorded, T]:
    """Announce, act, record. Returns the outcome's entry and what `act` made. expect: looked at with the intent.

    session None: policy asks the gateway for it, not a person. on_device: the act needs the device; critical: its
    outcome is signed at once.

    Raises what `act` raises: then the failure is recorded first. When the device is gone the intent stays open: what
    became of it is found out at the next unlock, never guessed here.
    """
    draft = Draft(event=intent, correlation=correlation)
    (announced,) = core.log.append([acting(draft, session)], expect=expect)
    core.device.served_by()  # what an earlier call of this thread left
    try:
        event, made = act(announced)
    except ConsoleError as error:
        if core.device.unlocked or not on_device or error.problem.code not in DOWN:
            conclude(core, session, announced, failure(announced, error), critical=critical)
        raise
    except Exception as bug:
        if intent.operation not in MAKING:  # of those the token knows what became of them; it is asked at an unlock
            conclude(core, session, announced, _bug(announced, bug), critical=critical)
        raise
    if on_device and not event.device:
        event = msgspec.structs.replace(event, device=core.device.served_by())
    return conclude(core, session, announced, event, critical=critical), made


def conclude(
    core: Core, session: Session | None, announced: Recorded, event: ev.AnyEvent, *, critical: bool = False
) -> Recorded:
    """Record how an announced operation ended, or one part of it."""
    draft = Draft(event=event, correlation=announced.correlation, critical=critical)
    (recorded,) = core.log.append([acting(draft, session)])
    return recorded


def destroyed(core: Core, session: Session, label: str, object_id: bytes, *, correlation: str) -> None:
    """Take away what is left of a key that never came into use, by an operation of its own in the log."""
    intent = ev.OperationIntended(operation=ev.Operation.DESTROY, label=label, key_id=object_id.hex())

    def act(announced: Recorded) -> tuple[ev.OperationSucceeded, None]:
        core.device.run("destroy", object_id)
        done = ev.OperationSucceeded(
            intent=announced.seq, operation=intent.operation, key_id=intent.key_id, label=label
        )
        return done, None

    perform(core, session, intent, act, correlation=correlation, critical=True)


def _bug(announced: Recorded, bug: Exception) -> ev.OperationFailed:
    intent = announced.event
    assert isinstance(intent, ev.OperationIntended)  # noqa: S101 - it was made above
    text = f"The gateway failed ({type(bug).__name__}); nothing was given out."
    return ev.OperationFailed(intent=announced.seq, operation=intent.operation, code="gateway-bug", text=text)


def failure(announced: Recorded, error: ConsoleError) -> ev.OperationFailed:
    intent = announced.event
    assert isinstance(intent, ev.OperationIntended)  # noqa: S101 - it was made above
    problem = error.problem
    return ev.OperationFailed(
        intent=announced.seq,
        operation=intent.operation,
        code=problem.code,
        text=problem.what,
        ckr=problem.details.get("ckr", ""),
    )
