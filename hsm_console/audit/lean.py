"""The few members of an entry that a verifier looks at, decoded as fast as can be."""

from __future__ import annotations

import msgspec

from hsm_console.audit.history import LeanEvent


class _Fingerprint(msgspec.Struct, gc=False):
    value: str


class _Previous(msgspec.Struct, gc=False):
    fingerprint: _Fingerprint


class _Attestation(msgspec.Struct, gc=False):
    chain_uid: str
    prev_event: _Previous | None = None


class _Metadata(msgspec.Struct, gc=False):
    sequence: int


class Extension(msgspec.Struct, gc=False):
    event: LeanEvent
    boottime_ms: int
    critical: bool = False
    sd: tuple[str, ...] = msgspec.field(name="_sd", default=())
    sealed: tuple[str, ...] = msgspec.field(name="_sealed", default=())


class _Device(msgspec.Struct, gc=False):
    boot_uid: str


class _User(msgspec.Struct, gc=False):
    uid: str
    name: str = ""


class _Actor(msgspec.Struct, gc=False):
    user: _User | None = None


class Lean(msgspec.Struct, gc=False):
    metadata: _Metadata
    time: int
    attestation: _Attestation
    hsm_console: Extension
    device: _Device
    actor: _Actor


decoder = msgspec.json.Decoder(Lean)
