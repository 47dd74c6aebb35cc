"""The log key in the token: Ed25519 where the token offers it, else ECDSA on P-256 (AUDIT 4: types 0x04 and 0x02)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.audit.vkey import ECDSA, TIMED_ED25519, Vkey
from hsm_console.domain.keys import Algorithm, DeviceInfo, SignMechanism
from hsm_console.gateway.device_problems import log_key_foreign as foreign
from hsm_console.gateway.device_problems import log_key_lost as lost
from hsm_console.hsm.port import Hsm


def algorithm_for(device: DeviceInfo) -> Algorithm:
    """What a new log key is: ECDSA only where Ed25519 is not on the device's list."""
    ed25519 = not device.algorithms or Algorithm.ED25519 in device.algorithms
    return Algorithm.ED25519 if ed25519 else Algorithm.EC_P256


def vkey_of(origin: str, spki: bytes) -> Vkey:
    """The verifier key that is printed at the founding."""
    key = load_der_public_key(spki)
    if isinstance(key, Ed25519PublicKey):
        return Vkey(origin, key.public_bytes_raw(), TIMED_ED25519)
    return Vkey(origin, spki, ECDSA)


def check_held(hsm: Hsm, object_id: bytes, spki: bytes) -> None:
    """The token holds the key that signed this log until now: nothing is logged on a token that could not sign it.

    Raises VerificationFailed `log-key-lost`, or `log-key-foreign` (FOREIGN) for another key in its place.
    """
    found = hsm.find(object_id=object_id)
    if not found:
        raise lost()
    other = found[0].spki  # empty where the token keeps no public half: then its first signature tells
    if other and vkey_of("", other).public_key != vkey_of("", spki).public_key:
        raise foreign()


class LogSigner:
    """The log key as the checkpoint room wants it."""

    def __init__(self, hsm: Hsm, object_id: bytes, spki: bytes) -> None:
        vkey = vkey_of("", spki)
        self._hsm = hsm
        self._object_id = object_id
        self.public_key_bytes: bytes = vkey.public_key
        self.kind = vkey.kind

    def sign(self, message: bytes) -> bytes:
        mechanism = SignMechanism.ED25519 if self.kind == TIMED_ED25519 else SignMechanism.ECDSA_SHA256
        return self._hsm.sign(self._object_id, mechanism, message)
