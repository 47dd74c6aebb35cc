"""Operations on the HSM: an intent, then exactly one ending."""

from __future__ import annotations

import enum
from typing import Literal

from hsm_console.domain.events.base import Event
from hsm_console.domain.keys import Algorithm, Custody, Grade, KeyAttributes, Usage


class Operation(enum.StrEnum):
    GENERATE = "generate"
    SIGN = "sign"
    CERTIFY = "certify"
    DESTROY = "destroy"
    RECORD_HEAD = "record-head"
    VERIFY = "verify"
    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    DERIVE = "derive"
    RANDOM = "random"
    WRAP = "wrap"
    UNWRAP = "unwrap"
    AGREE = "agree"
    REPLICATE = "replicate"


class OperationIntended(Event, frozen=True, kw_only=True, tag="operation-intended"):
    """Durable before the HSM is called. For GENERATE and UNWRAP the object's CKA_ID derives from this entry's SHA-256.

    key_id: hex CKA_ID of an existing key the operation uses; under: of the wrapping key; input_sha256: digest of what
    is signed, verified, encrypted, decrypted or unwrapped. count: how many keys a batch makes; `label` gives the name
    of each ({n}: its number, the first is `first`); length: octets of RANDOM and DERIVE. device: name of a further
    device that REPLICATE copies the key to, under the same id (`primary`: back to the workspace's own token), that
    AGREE makes a wrapping key with, or in which DESTROY destroys its copy (the key itself lives on in the workspace's
    own token until it is destroyed there). source: the other device of REPLICATE and AGREE; empty: that token.
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
    under: str = ""
    extractable: bool = False
    length: int = 0
    first: int = 1
    device: str = ""
    source: str = ""


class OperationSucceeded(Event, frozen=True, kw_only=True, tag="operation-succeeded"):
    """intent: sequence number of the intent. spki, signature, certificate: base64. recovered: found after a crash.

    index: which key of a batch; last: the intent ends with this entry. custody: where the private key lies.
    device: name of the further device that did it; empty: the workspace's own token. source: as in the intent.
    kdf: how AGREE's key was derived, `x963-sha256`; empty: the secret of ECDH itself is the key.
    """

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
    index: int = 0
    last: bool = True
    custody: Custody = Custody.DEVICE
    device: str = ""
    source: str = ""
    kdf: str = ""


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

    found: `not-done`, `partial` (half a pair), `foreign` (id present, but not what was asked for), `stopped` (a batch
    that somebody ended before its last key; every key that was made has an entry of its own).
    """

    intent: int
    operation: Operation
    found: Literal["not-done", "partial", "foreign", "stopped"]
    text: str
    ceremony_id: str = ""
    step: str = ""
