"""Operations on the HSM: an intent, then exactly one ending."""

from __future__ import annotations

import enum
from typing import Literal

from hsm_console.domain.events.base import Event
from hsm_console.domain.keys import Algorithm, Grade, KeyAttributes, Usage


class Operation(enum.StrEnum):
    GENERATE = "generate"
    SIGN = "sign"
    CERTIFY = "certify"
    DESTROY = "destroy"
    RECORD_HEAD = "record-head"


class OperationIntended(Event, frozen=True, kw_only=True, tag="operation-intended"):
    """Durable before the HSM is called. For GENERATE the object's CKA_ID derives from this entry's SHA-256.

    key_id: hex CKA_ID of an existing key the operation uses; input_sha256: digest of what is signed.
    """

    operation: Operation
    algorithm: Algorithm | None = None
    label: str = ""
    usages: tuple[Usage, ...] = ()
    key_id: str = ""
    mechanism: str = ""
    input_sha256: str = ""
    input_name: str = ""
    ceremony_id: str = ""
    step: str = ""
    attempt: int = 1
    count: int = 1


class OperationSucceeded(Event, frozen=True, kw_only=True, tag="operation-succeeded"):
    """intent: sequence number of the intent. spki, signature, certificate: base64. recovered: found after a crash."""

    intent: int
    operation: Operation
    key_id: str
    label: str = ""
    algorithm: Algorithm | None = None
    spki: str = ""
    fingerprint: str = ""
    attributes: KeyAttributes | None = None
    grade: Grade | None = None
    signature: str = ""
    certificate: str = ""
    output_sha256: str = ""
    ceremony_id: str = ""
    step: str = ""
    recovered: bool = False


class OperationFailed(Event, frozen=True, kw_only=True, tag="operation-failed"):
    """The module answered with an error; nothing was made (checked by looking for the object id)."""

    intent: int
    operation: Operation
    code: str
    text: str
    ckr: str = ""
    ceremony_id: str = ""
    step: str = ""


class OperationInterrupted(Event, frozen=True, kw_only=True, tag="operation-interrupted"):
    """After a crash or a killed worker: what was found of an open intent. Ends the intent.

    found: `not-done`, `partial` (half a pair), `foreign` (id present, but not what was asked for).
    """

    intent: int
    operation: Operation
    found: Literal["not-done", "partial", "foreign"]
    text: str
    ceremony_id: str = ""
    step: str = ""
