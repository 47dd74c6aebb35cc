"""Identifiers: UUIDv7 (RFC 9562) and object ids derived from intents (DESIGN 4, invariant 2)."""

from __future__ import annotations

import hashlib
import os
import time

OBJECT_ID_BYTES = 16
_OBJECT_ID_DOMAIN = b"hsm-console/object-id/v1\x00"


def uuid7(time_ms: int | None = None) -> str:
    """A UUIDv7 (RFC 9562 5.7): 48 bits of Unix milliseconds, then 74 random bits; lower-case text."""
    stamp = time.time_ns() // 1_000_000 if time_ms is None else time_ms
    value = (stamp & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"  # by hand: an object of the class UUID costs five times as much, once for each entry
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def object_id(intent_fingerprint: bytes, index: int = 0) -> bytes:
    """CKA_ID (16 bytes) of the index-th object that an intent makes.

    intent_fingerprint: SHA-256 of the intent's entry bytes (the same value that the chain carries).
    """
    if len(intent_fingerprint) != hashlib.sha256().digest_size:
        raise ValueError("an intent's fingerprint is a SHA-256")
    data = _OBJECT_ID_DOMAIN + intent_fingerprint + index.to_bytes(4, "big")
    return hashlib.sha256(data).digest()[:OBJECT_ID_BYTES]
