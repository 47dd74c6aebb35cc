"""The few members of an entry that a verifier looks at, decoded as fast as can be: in the order of canonical bytes."""

from __future__ import annotations

import msgspec


class LeanEvent(msgspec.Struct, gc=False, kw_only=True):
    """The few members of an event that matter for a log as a whole."""

    chain_uid: str = ""
    count: int = 1
    intent: int = -1
    kind: str
    operation: str = ""
    origin: str = ""
    previous_end: str = ""
    shift_ms: int = 0


class _Fingerprint(msgspec.Struct, gc=False):
    value: str


class _Previous(msgspec.Struct, gc=False):
    fingerprint: _Fingerprint


class _Attestation(msgspec.Struct, gc=False):
    chain_uid: str
    prev_event: _Previous | None = None


class _Metadata(msgspec.Struct, gc=False):
    sequence: int


class Extension(msgspec.Struct, gc=False, kw_only=True):
    sd: tuple[str, ...] = msgspec.field(name="_sd", default=())
    sealed: tuple[str, ...] = msgspec.field(name="_sealed", default=())
    boottime_ms: int
    critical: bool = False
    event: LeanEvent


class _Device(msgspec.Struct, gc=False):
    boot_uid: str


class _User(msgspec.Struct, gc=False):
    uid: str
    name: str = ""


class _Actor(msgspec.Struct, gc=False):
    user: _User | None = None


class Lean(msgspec.Struct, gc=False):
    actor: _Actor
    attestation: _Attestation
    device: _Device
    hsm_console: Extension
    metadata: _Metadata
    time: int


decoder = msgspec.json.Decoder(Lean)
