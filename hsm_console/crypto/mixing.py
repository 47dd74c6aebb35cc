"""Random octets from two sources, good as long as one of them is: XOR, then HKDF-Extract (RFC 5869) block by block.

The token's generator and the operating system's are independent. Every 64 octets that come out were extracted from 128
octets of each source that went into nothing else, so that long outputs are as good as short ones.
"""

from __future__ import annotations

import hmac
import secrets

from hsm_console.crypto.health import START_OCTETS, Health
from hsm_console.domain.errors import EnvironmentFault, Problem

__all__ = ["BLOCK", "SOURCE_BLOCK", "START_OCTETS", "Health", "mix", "octets_needed", "with_system"]
BLOCK = 64  # octets of SHA-512
SOURCE_BLOCK = 2 * BLOCK
_DOMAIN = b"hsm-console/mixed-random/v2"


def octets_needed(length: int) -> int:
    """How many octets of each source `length` octets take. Raises ValueError unless length is positive."""
    if length <= 0:
        raise ValueError("at least one octet must be wanted")
    return -(-length // BLOCK) * SOURCE_BLOCK


def mix(one: bytes, other: bytes, length: int) -> bytes:
    """`length` octets out of both sources, each of `octets_needed(length)` octets.

    Raises EnvironmentFault `random-source-stuck` when both gave the same (their sum would be zeros), ValueError when a
    source has another length.
    """
    if len(one) != octets_needed(length) or len(other) != len(one):
        raise ValueError(f"mixing takes {octets_needed(length)} octets of each source")
    if hmac.compare_digest(one, other):
        raise _copied()
    both = (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
    blocks = (both[at : at + SOURCE_BLOCK] for at in range(0, len(both), SOURCE_BLOCK))
    out = (hmac.digest(_DOMAIN + number.to_bytes(4, "big"), block, "sha512") for number, block in enumerate(blocks))
    return b"".join(out)[:length]


def with_system(token_octets: bytes, length: int) -> bytes:
    """The token's octets mixed with as many of the operating system's. Raises as `mix` does."""
    return mix(token_octets, secrets.token_bytes(len(token_octets)), length)


def _copied() -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="random-source-stuck",
            what="The two random number generators gave the same octets: one of them repeats the other.",
            todo="Do not make any key. Have the device examined.",
            contact="the maker of the device",
        )
    )
