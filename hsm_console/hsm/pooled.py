"""A pool as an `Hsm`: every call of the port goes through the queue, at one priority."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from hsm_console.hsm.pool import DevicePool, Priority
from hsm_console.hsm.port import Hsm


class _Pooled:
    def __init__(self, pool: DevicePool, priority: Priority) -> None:
        self._pool = pool
        self._priority = priority


def _through(method: str) -> Callable[..., Any]:
    def call(self: _Pooled, *arguments: Any, **named: Any) -> Any:
        return self._pool.run(method, *arguments, priority=self._priority, **named)

    return call


_CALLS = {name: _through(name) for name in vars(Hsm) if not name.startswith("_")}
_PooledHsm = cast("Callable[[DevicePool, Priority], Hsm]", type("PooledHsm", (_Pooled, Hsm), _CALLS))


def pooled(pool: DevicePool, priority: Priority) -> Hsm:
    """Whatever the port offers, waiting its turn."""
    return _PooledHsm(pool, priority)
