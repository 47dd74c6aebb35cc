"""What a service offers that can be ordered, and what its run gets: see `services/orders`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from hsm_console.ceremony.orders import Order
from hsm_console.domain.people import Role
from hsm_console.gateway.sessions import Session


@dataclass
class Job:
    """One run of an order. progress and stopped may be called from the run's thread at any time."""

    order: Order
    session: Session
    done: int = 0
    total: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def correlation(self) -> str:
        return self.order.correlation

    def progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def stop(self) -> None:
        self._stop.set()

    def stopped(self) -> bool:
        """Whether somebody asked to stop: the run ends after what it is at, by raising `OrderStopped`."""
        return self._stop.is_set()


class OrderStopped(Exception):
    """A run ended because it was asked to. result: what there is now."""

    def __init__(self, text: str, result: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.result = result or {}


@dataclass(frozen=True)
class OrderKind:
    """An act that can be ordered. parameters: name → what is to be given; check raises before anything is recorded.

    summary: the sentence that is signed; run: does it and returns short facts; openers: who may ask for it.
    """

    action: str
    title: str
    parameters: dict[str, str]
    check: Callable[[dict[str, str], Session], None]
    summary: Callable[[dict[str, str]], str]
    run: Callable[[Job], dict[str, str]]
    needs_quorum: bool = True
    irreversible: bool = False
    openers: tuple[Role, ...] = (Role.ADMINISTRATOR,)
    optional: tuple[str, ...] = ()
    check_new: Callable[[dict[str, str], Session], None] = lambda _parameters, _session: None
    """Asked besides `check` when the order is opened, and not again when its run goes on."""
