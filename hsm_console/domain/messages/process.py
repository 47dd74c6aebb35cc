"""What a gateway process tells its parent, and what it leaves for those who come later.

The parent hands the child one end of a socket pair (`--control FD`). The child writes exactly one line of JSON, a
`ControlLine`, when it listens or cannot start; from then on the parent's end being closed asks it to stop.
"""

from __future__ import annotations

import msgspec

from hsm_console.domain.errors import Problem


class Rendezvous(msgspec.Struct, frozen=True, kw_only=True):
    """`gateway.json` in the run-time directory. listen: `unix:/path/gateway.sock` or `host:port`."""

    pid: int
    listen: str
    started_ms: int
    run_uid: str


class ControlLine(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of the two is set."""

    ready: Rendezvous | None = None
    problem: Problem | None = None
