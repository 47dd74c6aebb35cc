"""Random octets from several sources, good as long as one of them is (HKDF-Extract as combiner, RFC 5869).

The token's generator and the operating system's are independent; what is mixed from both is no worse than either.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from hsm_console.domain.errors import EnvironmentFault, Problem

MIN_SOURCE_BYTES = 32
MAX_LENGTH = 255 * 64  # HKDF-Expand with SHA-512
_DOMAIN = b"hsm-console/mixed-random/v1"
_STUCK_RUN = 8  # eight equal octets in a row: one in 2^56 for a sound source


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    """RFC 5869 2.2 with SHA-512."""
    return hmac.digest(salt or bytes(64), material, "sha512")


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 2.3 with SHA-512. Raises ValueError when length is out of range."""
    if not 0 < length <= MAX_LENGTH:
        raise ValueError(f"HKDF-Expand gives 1 to {MAX_LENGTH} octets")
    block, out = b"", b""
    for counter in range(1, -(-length // hashlib.sha512().digest_size) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha512")
        out += block
    return out[:length]


def mix(sources: Mapping[str, bytes], length: int) -> bytes:
    """`length` octets out of all sources (name → octets). At least two sources of at least 32 octets each.

    Raises EnvironmentFault `random-source-stuck` when one of them repeats itself, ValueError when too little is given.
    """
    if len(sources) < 2 or any(len(value) < MIN_SOURCE_BYTES for value in sources.values()):
        raise ValueError(f"mixing takes two sources or more, each of {MIN_SOURCE_BYTES} octets or more")
    for name, value in sources.items():
        require_alive(name, value)
    values = list(sources.values())
    if any(values[i] == values[j] for i in range(len(values)) for j in range(i)):
        raise _stuck(" and ".join(sources), "two sources gave the same octets")
    # Names and lengths are hashed along, so that no octet can move from one source to its neighbour unseen.
    material = b"".join(
        len(name.encode()).to_bytes(2, "big") + name.encode() + len(value).to_bytes(4, "big") + value
        for name, value in sorted(sources.items())
    )
    return hkdf_expand(hkdf_extract(_DOMAIN, material), _DOMAIN, length)


def with_system(token_octets: bytes, length: int) -> bytes:
    """The token's octets mixed with as many of the operating system's. Raises as `mix` does."""
    return mix({"token": token_octets, "system": secrets.token_bytes(max(MIN_SOURCE_BYTES, len(token_octets)))}, length)


def require_alive(name: str, value: bytes) -> None:
    """A stuck generator repeats one octet (repetition count test, SP 800-90B 4.4.1). Raises `random-source-stuck`."""
    run = 1
    for before, now in zip(value, value[1:], strict=False):  # noqa: RUF007  # bytes slices beat pairwise here
        run = run + 1 if before == now else 1
        if run >= _STUCK_RUN:
            raise _stuck(name, f"it gave the same octet {run} times in a row")


def _stuck(name: str, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="random-source-stuck",
            what=f"The random number generator “{name}” is not working: {why}.",
            todo="Do not make any key. Have the device examined.",
            contact="the maker of the device",
            details={"source": name, "why": why},
        )
    )
