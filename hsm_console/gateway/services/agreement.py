"""Two devices agree on a wrapping key: ECDH inside both, each with the other's public point. Nothing secret moves."""

from __future__ import annotations

from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, Usage
from hsm_console.gateway.services.copy_proof import different
from hsm_console.hsm.port import Hsm

KEY, PAIR, TRIAL = range(3)
"""Which of the intent's ids is whose: the wrapping key, the pairs that agree, a key that tries whether they did."""


def agreed(announced: Recorded, label: str, devices: tuple[Hsm, Hsm]) -> tuple[KeyInfo, KeyInfo]:
    """The wrapping key in the first and in the second device. The pairs live only as long as this takes."""
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
    made: list[KeyInfo] = []
    try:
        points = [_point(device.generate(pair).spki) for device in devices]
        made = [d.agree(pair.object_id, point, wrapping) for d, point in zip(devices, points[::-1], strict=True)]
        _try(fingerprint, label, wrapping.object_id, devices)
    except BaseException:
        for device in devices:
            _remove(device, wrapping.object_id)
        raise
    finally:
        for device in devices:
            _remove(device, pair.object_id)
            _remove(device, object_id(fingerprint, TRIAL))
    return made[0], made[1]


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
