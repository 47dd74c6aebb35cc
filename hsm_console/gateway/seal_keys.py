"""The key in a token that data keys are wrapped for: of which kind, tried out before it is used (ADR 0011).

ECDH on P-384 where the device does it; else RSA-OAEP, which devices without key agreement open. Both are opened by the
unlocked device alone, and both are wrapped by anybody who has the public half.
"""

from __future__ import annotations

import base64
import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.audit import seal
from hsm_console.audit.seal import DataKey, Holder, Recipient, Scheme
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, ExitCode, Problem
from hsm_console.domain.keys import Algorithm, DeviceInfo, KeyInfo, KeySpec, Usage
from hsm_console.hsm.port import Hsm
from hsm_console.policy.environment import Environment

_ECDH = "ECDH1_DERIVE"
_RSA = (Algorithm.RSA_3072, Algorithm.RSA_4096)
_OAEP = {"sha256": Scheme.OAEP_SHA256, "sha1": Scheme.OAEP_SHA1}


class Plan(NamedTuple):
    """Which key pair to make. number: tells the ids of a founding apart."""

    algorithm: Algorithm
    usage: Usage
    number: int

    def spec(self, label: str, wanted: bytes) -> KeySpec:
        return KeySpec(algorithm=self.algorithm, label=label, object_id=wanted, usages=(self.usage,))


def plan_for(device: DeviceInfo) -> Plan:
    """By what the device says that it offers. Raises EnvironmentFault `seal-unsupported`."""
    offered = set(device.algorithms)
    if Algorithm.EC_P384 in offered and _ECDH in device.mechanisms:
        return Plan(Algorithm.EC_P384, Usage.DERIVE, 2)
    for algorithm in _RSA:
        if algorithm in offered and device.oaep:
            return Plan(algorithm, Usage.ENCRYPT, 3)
    raise EnvironmentFault(_unsupported("The device does neither ECDH on P-384 nor RSA-OAEP with RSA-3072 or longer."))


def check_device(environment: Environment, device: DeviceInfo) -> None:
    """Raises EnvironmentFault `seal-unsupported` when the rules seal and no key of the device could hold what seals."""
    if environment.log.confidential:
        plan_for(device)


def recipient_of(hsm: Hsm, made: KeyInfo) -> Recipient:
    """The key, tried out, and how data keys are wrapped for it. Raises DeviceError `seal-unsupported`."""
    scheme = _agreed(hsm, made) if made.algorithm.is_ec else _opened(hsm, made)
    return Recipient(made.object_id.hex(), made.spki, scheme)


def _agreed(hsm: Hsm, made: KeyInfo) -> Scheme:
    """One agreement with the token, compared with the same one in software."""
    public = load_der_public_key(made.spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101 - it was asked for
    other = ec.generate_private_key(ec.SECP384R1())
    point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if hsm.derive(made.object_id, point, seal.SHARED_BYTES) != other.exchange(ec.ECDH(), public):
        raise _useless("The device agreed on a secret that is not the right one: it cannot hold the key for sealing.")
    return Scheme.ECDH_P384


def _opened(hsm: Hsm, made: KeyInfo) -> Scheme:
    """The best hash with which the token opens what was encrypted for it: it may offer more than it does."""
    public = load_der_public_key(made.spki)
    assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101 - it was asked for
    failed: ConsoleError | None = None
    for digest in hsm.describe().oaep:
        scheme, message = _OAEP[digest], secrets.token_bytes(32)
        try:
            if hsm.oaep_decrypt(made.object_id, public.encrypt(message, seal.oaep(scheme)), digest) == message:
                return scheme
        except ConsoleError as error:
            failed = error
    raise failed or _useless(
        "The device opens no message that was encrypted for its key: it cannot hold the key for sealing."
    )


def holder(hsm: Hsm, key_id: bytes) -> Holder:
    """What opens data keys: the private half in the token."""
    return Holder(
        derive=lambda point: hsm.derive(key_id, point, seal.SHARED_BYTES),
        decrypt=lambda ciphertext, digest: hsm.oaep_decrypt(key_id, ciphertext, digest),
    )


def in_force(recipient: Recipient) -> ev.SealKeyInForce:
    spki = base64.b64encode(recipient.spki).decode()
    return ev.SealKeyInForce(key_id=recipient.key_id, spki=spki, scheme=recipient.scheme.value)


def data_key(chain_uid: str, recipient: Recipient, why: str) -> tuple[DataKey, ev.DataKeyMade]:
    """A new data key, and the event that must be durable before it is used. Needs no device."""
    key = seal.new_data_key()
    wrapped = base64.b64encode(seal.wrap(key, chain_uid, recipient)).decode()
    return key, ev.DataKeyMade(data_key=key.uid, recipient=recipient.key_id, wrapped=wrapped, why=why)


def _useless(what: str) -> DeviceError:
    return DeviceError(_unsupported(what, "The key was made and is not used."))


def _unsupported(what: str, key_state: str = "Nothing has been done; no key was touched.") -> Problem:
    return Problem(
        code="seal-unsupported",
        what=f"The rules seal confidential values. {what}",
        key_state=key_state,
        todo="Choose another device, or an environment that seals nothing.",
        exit_code=ExitCode.ENVIRONMENT,
    )
