"""Events of anchors outside the database: cosigned heads, root sheets, and what the gateway checked by itself."""

from __future__ import annotations

from typing import Literal

from hsm_console.domain.events.base import Event


class HeadCosigned(Event, frozen=True, kw_only=True, tag="head-cosigned"):
    """A witness cosigned the head of `size` entries. key: her vkey; note: the checkpoint with her line; root: hex."""

    witness: str
    key: str
    size: int
    root: str
    signed_ms: int
    note: str


class RootKeyMade(Event, frozen=True, kw_only=True, tag="root-key-made"):
    """The ML-DSA-44 key that signs root sheets. software: made outside the token; wrapped: base64 of its seed,
    encrypted by the key `wrapping_id` (hex CKA_ID) in the token; empty when the key is in the token (`key_id`)."""

    vkey: str
    software: bool
    wrapped: str = ""
    wrapping_id: str = ""
    key_id: str = ""


class RootSigned(Event, frozen=True, kw_only=True, tag="root-signed"):
    """The root of a day was signed with ML-DSA for a printed sheet. note: the checkpoint with that line; root: hex."""

    day: str
    size: int
    root: str
    key: str
    note: str


class LogChecked(Event, frozen=True, kw_only=True, tag="log-checked"):
    """The gateway checked entries first to last by itself. anchored: size of the token's head, -1: it was not there.

    resumed: an earlier run began this round at entry 0.
    """

    what: Literal["start-up", "background"]
    first: int
    last: int
    size: int
    anchored: int
    result: str
    findings: tuple[str, ...] = ()
    resumed: bool = False
