"""Where things lie: names inside a workspace, and the run-time directory of its gateway. Pure paths, no I/O.

Sockets do not live in the workspace: its path may be too long for a Unix socket (107 bytes) or on a file system
that has none. The run-time directory is private to the system user (0700) and named by a digest of the path.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

RUN_DIRECTORY_MODE = 0o700
SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its final NUL

WORKSPACE = "workspace.toml"
ELSEWHERE = "gateway.toml"
AUTHORITY = "authority.pem"
CRL = "crl.pem"
ROSTER = "roster.json"
ROSTER_SIGNATURE = "roster.p7s"
GATEWAY_CERTIFICATE = "gateway/identity.pem"
GATEWAY_KEY = "gateway/identity.key"
CREDENTIALS = "credentials"

GATEWAY_SOCKET = "gateway.sock"
REFUSALS_SOCKET = "refusals.sock"
RENDEZVOUS = "gateway.json"


def run_directory(workspace: Path, *, runtime_root: str, user_id: int) -> Path:
    """The run-time directory of the workspace's gateway.

    runtime_root: value of XDG_RUNTIME_DIR, empty when unset; where a socket's path would be too long in it, it is not
    used. user_id: numeric id of the system user.
    """
    name = hashlib.sha256(str(workspace.absolute()).encode()).hexdigest()[:16]
    usual = Path("/tmp") / f"hsm-console-{user_id}" / name  # noqa: S108
    wanted = Path(runtime_root) / "hsm-console" / name if runtime_root else usual
    return wanted if len(os.fsencode(wanted / REFUSALS_SOCKET)) <= SOCKET_PATH_BYTES else usual
