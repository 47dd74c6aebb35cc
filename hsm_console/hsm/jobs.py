"""What waits for a device: one call, whose it is, how urgent."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from hsm_console.hsm.worker import HsmClient

REPEATABLE = frozenset(
    {
        "describe",
        "find",
        "attributes",
        "sign",
        "verify",
        "encrypt",
        "decrypt",
        "wrap",
        "derive",
        "random",
        "read_data",
        "oaep_decrypt",
        "decapsulate",
    }
)


class Priority(enum.IntEnum):
    """Smaller goes first. The distance is how many later jobs of the better kind may pass.

    LOG is the signature of the log itself: without it nothing else may go on, so no lease holds it up.
    """

    LOG = -64
    CEREMONY = 0
    SIGNING = 8
    BULK = 64
    HEALTH = 256


class Job:
    """One call in the queue. owner: the thread that asked."""

    __slots__ = ("asked", "call", "future", "method", "owner", "priority", "repeatable", "turn")

    def __init__(self, method: str, call: Callable[[HsmClient], Any], *, repeatable: bool) -> None:
        self.method = method
        self.call = call
        self.repeatable = repeatable
        self.priority = Priority.SIGNING
        self.turn = 0
        self.owner = threading.get_ident()
        self.asked = time.monotonic()
        self.future: Future[Any] = Future()

    @property
    def age_ms(self) -> float:
        return (time.monotonic() - self.asked) * 1000
