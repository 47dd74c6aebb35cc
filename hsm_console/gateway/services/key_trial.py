"""Whether the two halves of a pair belong together: found out by using the private one and checking with the public."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.domain import keyuse
from hsm_console.domain.errors import DeviceError, ExitCode, Problem, VerificationFailed
from hsm_console.domain.keys import KeySpec, Usage
from hsm_console.gateway.device import Device
from hsm_console.gateway.services import second

_TEXT = b"hsm-console: do these halves belong together?"


def require_pair(device: Device, spec: KeySpec) -> None:
    """Raises VerificationFailed `halves-differ`, and what the device raises. A secret key has no halves."""
    if not spec.algorithm.is_pair:
        return
    try:
        if Usage.SIGN in spec.usages:
            _by_signing(device, spec)
        elif spec.algorithm.is_rsa:
            _by_decrypting(device, spec)
        else:
            _by_agreeing(device, spec)
    except (ValueError, DeviceError) as wrong:
        if isinstance(wrong, DeviceError) and wrong.problem.code not in ("ciphertext-invalid", "signature-invalid"):
            raise
        raise _differ() from wrong


def _by_signing(device: Device, spec: KeySpec) -> None:
    mechanism = keyuse.mechanisms(spec.algorithm)[0]
    signature = device.run("sign", spec.object_id, mechanism, _TEXT)
    second.check(spec.spki, mechanism, _TEXT, signature)


def _by_decrypting(device: Device, spec: KeySpec) -> None:
    public, info = load_der_public_key(spec.spki), device.info
    digest = info.oaep[0] if info is not None and info.oaep else ""
    if not isinstance(public, rsa.RSAPublicKey) or not digest:
        return  # nothing that such a device could be asked
    kind = SHA256() if digest == "sha256" else SHA1()  # noqa: S303 - what the device offers
    sealed = public.encrypt(_TEXT[:32], padding.OAEP(padding.MGF1(kind), kind, None))
    if device.run("oaep_decrypt", spec.object_id, sealed, digest) != _TEXT[:32]:
        raise ValueError("other octets came out")


def _by_agreeing(device: Device, spec: KeySpec) -> None:
    public = load_der_public_key(spec.spki)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return
    mine = ec.generate_private_key(public.curve)
    point = mine.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = mine.exchange(ec.ECDH(), public)
    if device.run("derive", spec.object_id, point, len(shared)) != shared:
        raise ValueError("the secrets differ")


def _differ() -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="halves-differ",
            what="The wrapped key is not the private half of the public key that it was to be put beside.",
            key_state="What came in was destroyed again.",
            todo="Look for the right file; its SHA-256 stands in the record of the order that let the key out.",
            exit_code=ExitCode.VERIFICATION,
        )
    )
