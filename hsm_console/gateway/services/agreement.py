"""Two devices agree on a wrapping key: ECDH inside both, each with the other's public point. Nothing secret moves."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, Usage
from hsm_console.gateway.services.copy_proof import different
from hsm_console.hsm.port import Hsm, Unsupported

KEY, PAIR, TRIAL = range(3)
"""Which of the intent's ids is whose: the wrapping key, the pairs that agree, a key that tries whether they did."""


X963_SHA256 = "x963-sha256"


class Agreed(NamedTuple):
    """The wrapping key in the first and in the second device; kdf: how it came from the secret, empty for the secret
    itself (ADR 0022)."""

    keys: tuple[KeyInfo, KeyInfo]
    kdf: str


def agreed(announced: Recorded, label: str, devices: tuple[Hsm, Hsm]) -> Agreed:
    """The pairs live only as long as this takes."""
    fingerprint = bytes.fromhex(announced.fingerprint)
    pair = KeySpec(
        algorithm=Algorithm.EC_P256,
        label=f"{label} pair",
        object_id=object_id(fingerprint, PAIR),
        usages=(Usage.DERIVE,),
    )
    wrapping = KeySpec(
        algorithm=Algorithm.AES_256, label=label, object_id=object_id(fingerprint, KEY), usages=(Usage.WRAP,)
    )
    try:
        points = [_point(device.generate(pair).spki) for device in devices]
        made = _derived(fingerprint, pair.object_id, points, wrapping, devices)
        _try(fingerprint, label, wrapping.object_id, devices)
    except BaseException:
        for device in devices:
            _remove(device, wrapping.object_id)
        raise
    finally:
        for device in devices:
            _remove(device, pair.object_id)
            _remove(device, object_id(fingerprint, TRIAL))
    return made


def _derived(
    fingerprint: bytes, pair_id: bytes, points: list[bytes], wrapping: KeySpec, devices: tuple[Hsm, Hsm]
) -> Agreed:
    """By the KDF where both devices have it; the text that goes into it names the intent's entry."""
    info = f"hsm-console/wrapping-key/v1\n{fingerprint.hex()}\n".encode()
    one, other = devices
    with suppress(Unsupported):
        first = one.agree(pair_id, points[1], wrapping, info)
        try:
            return Agreed((first, other.agree(pair_id, points[0], wrapping, info)), X963_SHA256)
        except Unsupported:
            one.destroy(wrapping.object_id)  # of no use to anybody: the other device does not hold it
            raise
    return Agreed((one.agree(pair_id, points[1], wrapping), other.agree(pair_id, points[0], wrapping)), "")


def _try(fingerprint: bytes, label: str, wrapping_id: bytes, devices: tuple[Hsm, Hsm]) -> None:
    """A key of no value goes from one to the other, and must do the same there."""
    spec = KeySpec(
        algorithm=Algorithm.AES_256,
        label=f"{label} trial",
        object_id=object_id(fingerprint, TRIAL),
        usages=(Usage.ENCRYPT,),
        extractable=True,
    )
    one, other = devices
    one.generate(spec)
    other.unwrap(wrapping_id, one.wrap(wrapping_id, spec.object_id), spec)
    if other.decrypt(spec.object_id, one.encrypt(spec.object_id, b"agreed")) != b"agreed":
        raise different(label, "what one device encrypts, the other does not decrypt")


def _remove(device: Hsm, wanted: bytes) -> None:
    with suppress(ConsoleError):
        if device.find(object_id=wanted):
            device.destroy(wanted)


def _point(spki: bytes) -> bytes:
    key = load_der_public_key(spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - what was asked for
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
