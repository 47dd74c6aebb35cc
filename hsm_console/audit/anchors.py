"""Anchors: heads of the log that are kept where the database is not (AUDIT 5)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from hsm_console.audit import canonical
from hsm_console.audit.checkpoint import Checkpoint
from hsm_console.domain.errors import ConsoleError, ExitCode, Problem, VerificationFailed

APPLICATION = "hsm-console"


def head_label(chain_uid: str) -> str:
    """CKA_LABEL of the token's data object; CKA_APPLICATION is `hsm-console`."""
    return f"log-head/{chain_uid}"


class TokenHead(msgspec.Struct, frozen=True):
    """What the token's data object says: the newest head that was signed, and when (Unix ms)."""

    origin: str
    size: int
    root: bytes
    time_ms: int


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """A head that something outside the database vouches for. kind: `token`, `receipt`, `witness` or `sheet`.

    leaf: hash of the entry `index` when the anchor proves one (a receipt); else empty and -1. by: the witness's key.
    """

    kind: str
    name: str
    origin: str
    size: int
    root: bytes
    index: int = -1
    leaf: bytes = b""
    by: str = ""


def encode_head(head: Checkpoint, time_ms: int) -> bytes:
    """Value of the CKO_DATA object: canonical JSON {origin, root, size, time}."""
    root = base64.b64encode(head.root).decode()
    return canonical.encode({"origin": head.origin, "root": root, "size": head.size, "time": time_ms})


def decode_head(value: bytes) -> TokenHead:
    """Read the object's value. Raises VerificationFailed `token-head-unreadable`."""
    try:
        canonical.check(value)
        fields: Any = msgspec.json.decode(value, type=dict[str, Any])
        root = base64.b64decode(fields["root"], validate=True)
        head = TokenHead(str(fields["origin"]), int(fields["size"]), root, int(fields["time"]))
    except (ConsoleError, msgspec.DecodeError, KeyError, TypeError, ValueError, binascii.Error) as fault:
        raise _unreadable() from fault
    if len(head.root) != 32 or head.size < 1:
        raise _unreadable()
    return head


def _unreadable() -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="token-head-unreadable",
            what="The log's head that is kept in the token cannot be read.",
            todo="Keep the token's content as it is and show it to the auditor; do not write a new head over it.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
