"""Events of confidentiality and retention: keys that seal, values that were erased, segments, pruned entries."""

from __future__ import annotations

import msgspec

from hsm_console.domain.events.base import Event


class SealKeyInForce(Event, frozen=True, kw_only=True, tag="seal-key-in-force"):
    """The key in the token that data keys are wrapped for from now on. spki: base64 DER; key_id: hex CKA_ID.

    scheme: how, as `hsm_console.audit.seal.Scheme` names it; empty for ECDH on P-384.
    """

    key_id: str
    spki: str
    scheme: str = ""


class DataKeyMade(Event, frozen=True, kw_only=True, tag="data-key-made"):
    """A new AES-256 key seals values from here on. wrapped: base64, for the key `recipient` of the token (hex)."""

    data_key: str
    recipient: str
    wrapped: str
    why: str = ""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """One disclosure: the entry it belongs to, and its digest as it stands there."""

    entry: int
    digest: str


class DisclosuresErased(Event, frozen=True, kw_only=True, tag="disclosures-erased"):
    """By order of two people these values are gone; the rows were deleted in the transaction of this entry."""

    order_id: str
    erased: tuple[Erased, ...]
    why: str = ""


class LogRotated(Event, frozen=True, kw_only=True, tag="log-rotated"):
    """Entries first to last stand in a file encrypted to the auditor. sha256, octets: of that file, as written.

    size, root: of the checkpoint in it; recipient: whom it was encrypted to.
    """

    segment: int
    first: int
    last: int
    size: int
    root: str
    file: str
    sha256: str
    octets: int
    recipient: str


class SegmentFile(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as it was written: sha256 of the encrypted file."""

    segment: int
    first: int
    last: int
    file: str
    sha256: str


class LogPruned(Event, frozen=True, kw_only=True, tag="log-pruned"):
    """By order of two people the bodies from `first` up to but not including `below` are gone; their hashes stay.

    They were deleted in the transaction of this entry. fingerprint: hex SHA-256 of the last one's bytes, which the
    entry `below` carries as its predecessor's. segments: every file that holds what was ever pruned, since the entry
    that told of it may itself be pruned. sealing: the classes of values that were sealed at `below`, since the policy
    that said so may itself be pruned.
    """

    order_id: str
    first: int
    below: int
    fingerprint: str
    segments: tuple[SegmentFile, ...]
    sealing: tuple[str, ...] = ()
