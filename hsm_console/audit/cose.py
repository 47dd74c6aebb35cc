"""Receipts as COSE (RFC 9052): a COSE_Sign1 over the Merkle root with an RFC 9942 inclusion proof.

protected    {1: algorithm, 4: key id, 15: {1: origin, 6: seconds, "size": size}, 395: 1 (RFC9162_SHA256)}
unprotected  {396: {-1: [inclusion proof]}, "entry": zlib of the entry's bytes | "leaf": its leaf hash}
algorithm    -19 (Ed25519, RFC 9864), or -9 (ESP256) where the log key is ECDSA on P-256
payload      nil: the root is detached; a verifier computes it from entry and proof

The size stands among the signed claims too: many sizes give a proof the same path, and a root does not tell them apart.
"""

from __future__ import annotations

import zlib
from typing import Any, NoReturn

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from hsm_console.audit import canonical
from hsm_console.audit.checkpoint import Checkpoint, Vkey
from hsm_console.audit.tree import leaf_hash, root_from_inclusion
from hsm_console.audit.vkey import ECDSA, TIMED_ED25519, check_signature
from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed

_SIGN1 = b"\xd2"  # CBOR tag 18: COSE_Sign1
_ALGORITHMS = {TIMED_ED25519: -19, ECDSA: -9}  # RFC 9864: Ed25519, ESP256
_HALF = 32  # COSE has r and s of P-256 side by side (RFC 9053 2.1), the token gives DER
_ALG, _KID, _CWT, _VDS, _VDP = 1, 4, 15, 395, 396
_ISSUER, _ISSUED_AT, _SIZE = 1, 6, "size"  # CWT claims (RFC 8392); the size is ours
_RFC9162_SHA256 = 1
_INCLUSION = -1


class RootSignature(msgspec.Struct, frozen=True):
    """The log key's COSE signature over one head; the same for all receipts of that head."""

    protected: bytes
    signature: bytes


class CoseReceipt(msgspec.Struct, frozen=True):
    """What a receipt says once its signature was verified. body is empty when only the leaf hash is carried."""

    head: Checkpoint
    seconds: int
    index: int
    path: tuple[bytes, ...]
    leaf: bytes
    body: bytes


def protected_header(vkey: Vkey, seconds: int, size: int) -> bytes:
    header = {
        _ALG: _ALGORITHMS[vkey.kind],
        _KID: vkey.key_id,
        _CWT: {_ISSUER: vkey.name, _ISSUED_AT: seconds, _SIZE: size},
        _VDS: _RFC9162_SHA256,
    }
    return cbor2.dumps(header, canonical=True)


def to_be_signed(protected: bytes, root: bytes) -> bytes:
    """Sig_structure of RFC 9052 4.4 with the root as detached payload."""
    return cbor2.dumps(["Signature1", protected, b"", root], canonical=True)


def signature_of(vkey: Vkey, signature: bytes) -> bytes:
    """The token's signature as COSE has it."""
    if vkey.kind != ECDSA:
        return signature
    return b"".join(half.to_bytes(_HALF, "big") for half in decode_dss_signature(signature))


def encode(
    signed: RootSignature, size: int, index: int, path: tuple[bytes, ...], body: bytes, *, with_entry: bool
) -> bytes:
    """The receipt's bytes; with_entry: carry the entry itself (compressed), else its leaf hash."""
    proof = cbor2.dumps([size, index, list(path)], canonical=True)
    carried = {"entry": zlib.compress(body, 9)} if with_entry else {"leaf": leaf_hash(body)}
    unprotected: dict[Any, Any] = {_VDP: {_INCLUSION: [proof]}, **carried}
    return _SIGN1 + cbor2.dumps([signed.protected, unprotected, None, signed.signature], canonical=True)


def verify(data: bytes, vkey: Vkey) -> CoseReceipt:
    """Verify signature and proof. Raises VerificationFailed foreign, bad-signature, bad-proof, receipt-unreadable."""
    protected, unprotected, signature = _take_apart(data)
    origin, seconds, signed_size = _read_protected(protected, vkey)
    size, index, path = _read_proof(unprotected)
    if size != signed_size:
        _failed("bad-proof", f"its proof is for {size} entries, its signature for {signed_size}")
    body, leaf = _read_entry(unprotected)
    root = root_from_inclusion(leaf, index, size, path)
    try:
        if vkey.kind == ECDSA:
            if len(signature) != 2 * _HALF:
                raise ValueError("not r and s of P-256")
            halves = (int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big"))
            signature = encode_dss_signature(*halves)
        check_signature(vkey, to_be_signed(protected, root), signature)
    except ValueError:
        _failed("bad-signature", "entry, proof and signature do not belong together")
    return CoseReceipt(Checkpoint(origin, size, root), seconds, index, path, leaf, body)


def carries_entry(data: bytes) -> bool:
    """Whether the entry itself travels in this receipt, or only its hash."""
    return "entry" in _take_apart(data)[1]


def _take_apart(data: bytes) -> tuple[bytes, dict[Any, Any], bytes]:
    parts = _load(data[1:]) if data.startswith(_SIGN1) else None
    if not isinstance(parts, list) or len(parts) != 4 or parts[2] is not None:
        _failed("receipt-unreadable", "it is no COSE receipt with a detached root")
    protected, unprotected, _, signature = parts
    if not isinstance(protected, bytes) or not isinstance(unprotected, dict) or not isinstance(signature, bytes):
        _failed("receipt-unreadable", "its parts are not what COSE asks for")
    return protected, unprotected, signature


def _read_protected(protected: bytes, vkey: Vkey) -> tuple[str, int, int]:
    header = _load(protected)
    if (
        not isinstance(header, dict)
        or header.get(_ALG) != _ALGORITHMS.get(vkey.kind)
        or header.get(_VDS) != _RFC9162_SHA256
    ):
        _failed("receipt-unreadable", "it is signed in a way that this log never uses")
    claims = header.get(_CWT)
    if not isinstance(claims, dict) or not all(type(claims.get(name)) is int for name in (_ISSUED_AT, _SIZE)):
        _failed("receipt-unreadable", "it does not say which log issued it, when, and for how many entries")
    if claims.get(_ISSUER) != vkey.name or header.get(_KID) != vkey.key_id:
        _failed("foreign", f"it is of the log “{claims.get(_ISSUER)}” or of another key, not of “{vkey.name}”")
    return vkey.name, int(claims[_ISSUED_AT]), int(claims[_SIZE])


def _read_proof(unprotected: dict[Any, Any]) -> tuple[int, int, tuple[bytes, ...]]:
    proofs = unprotected.get(_VDP)
    listed = proofs.get(_INCLUSION) if isinstance(proofs, dict) and len(proofs) == 1 else None
    if not set(unprotected) <= {_VDP, "entry", "leaf"}:  # nobody signed what stands there: another reader may heed it
        _failed("receipt-unreadable", "it carries something that this log never writes")
    if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], bytes):
        _failed("receipt-unreadable", "it carries no inclusion proof")
    proof = _load(listed[0])
    if not isinstance(proof, list) or len(proof) != 3 or not isinstance(proof[2], list):
        _failed("receipt-unreadable", "its inclusion proof is malformed")
    size, index, path = proof
    if type(size) is not int or type(index) is not int or not all(isinstance(item, bytes) for item in path):
        _failed("receipt-unreadable", "its inclusion proof is malformed")
    return size, index, tuple(path)


def _read_entry(unprotected: dict[Any, Any]) -> tuple[bytes, bytes]:
    packed, leaf = unprotected.get("entry"), unprotected.get("leaf")
    if isinstance(packed, bytes) and leaf is None:
        try:
            unpack = zlib.decompressobj()
            body = unpack.decompress(packed, canonical.MAX_BYTES + 1)
        except zlib.error:
            body = b""
        if not body or len(body) > canonical.MAX_BYTES or not unpack.eof or unpack.unused_data:
            _failed("receipt-unreadable", "the entry in it cannot be unpacked")
        return body, leaf_hash(body)
    if not isinstance(leaf, bytes) or len(leaf) != 32 or packed is not None:
        _failed("receipt-unreadable", "it carries neither an entry nor a leaf hash")
    return b"", leaf


def _load(data: bytes) -> Any:
    """One CBOR item in deterministic encoding: another encoding of the same receipt is not accepted."""
    try:
        value = cbor2.loads(data)
        if cbor2.dumps(value, canonical=True) != data:
            _failed("receipt-unreadable", "its encoding is not the one this log writes")
    except (cbor2.CBORError, ValueError, TypeError, EOFError, RecursionError, OverflowError):
        _failed("receipt-unreadable", "it is not CBOR")
    return value


def _failed(code: str, why: str) -> NoReturn:
    word = {"foreign": "FOREIGN", "bad-signature": "BAD-SIGNATURE"}.get(code, "BAD-PROOF")
    raise VerificationFailed(
        Problem(
            code=code,
            what=f"{word}: the receipt cannot be accepted: {why}.",
            todo="Do not rely on this receipt. Scan it again; if it stays so, keep it and tell the auditor.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
