"""Detached CMS signatures (RFC 5652): how people approve and how the authority signs the roster.

A stranger checks one with
`openssl cms -verify -inform DER -binary -in X.p7s -content X -CAfile authority.pem -purpose any -out /dev/null`.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.pki.signing import IssuerKey, hash_for, public_of, spki

MAX_CMS_BYTES = 64 * 1024
_HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def sign_detached(certificate: x509.Certificate, key: IssuerKey, data: bytes) -> bytes:
    """SignedData (DER) over `data` without the data, with signed attributes and the signer's certificate.

    Raises InputError `key-cannot-approve` for keys that CMS signing does not cover here (Ed25519, ML-DSA).
    """
    public_key = public_of(key)
    if spki(public_key) != spki(certificate.public_key()):
        raise ValueError("the key does not belong to the certificate")
    require_signing_key(public_key)
    algorithm = cast("hashes.SHA256 | hashes.SHA384 | hashes.SHA512", hash_for(public_key))
    signing = cast("rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey", key)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(data).add_signer(certificate, signing, algorithm)
    options = [
        pkcs7.PKCS7Options.DetachedSignature,
        pkcs7.PKCS7Options.Binary,
        pkcs7.PKCS7Options.NoCapabilities,
    ]
    return builder.sign(Encoding.DER, options)


def require_signing_key(public_key: object) -> None:
    """Refuse keys whose approvals a stranger could not check: `openssl cms` 3.0 knows CMS with EC and RSA keys only
    (it answers "invalid digest" to RFC 8419). Raises InputError `key-cannot-approve`."""
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise InputError(
            Problem(
                code="key-cannot-approve",
                what=f"Approvals cannot be signed with a key of the kind {type(public_key).__name__}.",
                todo="Make a P-384 key instead.",
                exit_code=ExitCode.USAGE,
            )
        )


def verify_detached(certificate: x509.Certificate, data: bytes, untrusted_der: bytes) -> None:
    """`untrusted_der` is one signature over exactly `data`, made with the key of `certificate`.

    Raises VerificationFailed: `signature-unreadable`, `signature-by-someone-else`, `signature-over-other-data`,
    `signature-wrong`. Validity dates and revocation are the caller's question, not this function's.
    """
    signer, signed_data = _parse(untrusted_der)
    _require_signer(signer, signed_data, certificate)
    algorithm = _digest_name(signer)
    attributes = _attributes(signer)
    if attributes.get("content_type") != ["data"]:
        raise _failed("signature-unreadable", "The signature does not say that it covers plain data.")
    if attributes.get("message_digest") != [hashlib.new(algorithm, data).digest()]:
        raise _failed("signature-over-other-data", "The signature is over other data than what is shown.")
    # RFC 5652 5.4: what is signed is the DER of the attributes as SET OF, not with their implicit tag.
    signed_bytes = signer["signed_attrs"].untag().dump(force=True)
    if signed_bytes[1:] != signer["signed_attrs"].dump()[1:]:
        raise _failed("signature-unreadable", "The signed attributes are not in DER order.")
    _require_signature(certificate.public_key(), signer["signature"].native, signed_bytes, _HASHES[algorithm]())


def _parse(untrusted_der: bytes) -> tuple[Any, Any]:
    if len(untrusted_der) > MAX_CMS_BYTES:
        raise _failed("signature-unreadable", "The signature is far too long to be one.")
    try:
        content = asn1.ContentInfo.load(untrusted_der, strict=True)
        if content["content_type"].native != "signed_data":
            raise ValueError("not SignedData")
        signed_data = content["content"]
        if signed_data["encap_content_info"]["content_type"].native != "data":
            raise ValueError("not over plain data")
        if signed_data["encap_content_info"]["content"].native is not None:
            raise ValueError("not detached")
        if len(signed_data["signer_infos"]) != 1:
            raise ValueError("not exactly one signer")
        signer = signed_data["signer_infos"][0]
        _ = signer.native, signed_data.native  # forces asn1crypto to parse every field now
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise _failed(
            "signature-unreadable", "The signature is not a detached CMS signature by one signer.", str(error)
        ) from error
    return signer, signed_data


def _require_signer(signer: Any, signed_data: Any, certificate: x509.Certificate) -> None:
    expected = certificate.public_bytes(Encoding.DER)
    identifier = signer["sid"]
    if identifier.name == "issuer_and_serial_number":
        chosen = identifier.chosen
        same = (
            chosen["issuer"].dump() == certificate.issuer.public_bytes()
            and chosen["serial_number"].native == certificate.serial_number
        )
    else:
        subject_key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        same = identifier.chosen.native == subject_key
    embedded = [choice.chosen.dump() for choice in signed_data["certificates"] or ()]
    if not same or (embedded and expected not in embedded):
        raise _failed("signature-by-someone-else", "The signature was not made with this person's certificate.")


def _digest_name(signer: Any) -> str:
    name = str(signer["digest_algorithm"]["algorithm"].native)
    if name not in _HASHES:
        raise _failed("signature-unreadable", f"The signature uses {name}, which is not accepted.")
    return name


def _attributes(signer: Any) -> dict[str, list[Any]]:
    """Signed attributes by name; each at most once (RFC 5652 11)."""
    found: dict[str, list[Any]] = {}
    for attribute in signer["signed_attrs"] or ():
        name = str(attribute["type"].native)
        if name in found:
            raise _failed("signature-unreadable", f"The signed attribute {name} stands there twice.")
        found[name] = list(attribute["values"].native)
    return found


def _require_signature(
    public_key: object, signature: bytes, data: bytes, algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512
) -> None:
    try:
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, data, ec.ECDSA(algorithm))
        elif isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, padding.PKCS1v15(), algorithm)
        elif isinstance(public_key, ed25519.Ed25519PublicKey):
            public_key.verify(signature, data)  # RFC 8419 3
        else:
            raise _failed("signature-wrong", f"Keys of the kind {type(public_key).__name__} are not accepted.")
    except InvalidSignature as error:
        raise _failed("signature-wrong", "The signature does not fit the signed attributes.") from error


def _failed(code: str, what: str, detail: str = "") -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code=code,
            what=what,
            todo="Do not rely on it. Ask the person to sign again; keep this file as evidence.",
            details={"detail": detail} if detail else {},
            exit_code=ExitCode.VERIFICATION,
        )
    )
