"""Certification requests (PKCS#10, RFC 2986): made where the private key is, checked where a certificate is made."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.pki.signing import IssuerKey, hash_for, public_of, require_strength

MAX_CSR_BYTES = 16 * 1024


def make(key: IssuerKey, common_name: str) -> str:
    """A request (PEM) for `common_name`, signed by the key it is about (proof of possession, RFC 2986 3)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    request = builder.sign(key, hash_for(public_of(key)))
    return request.public_bytes(Encoding.PEM).decode()


def check(untrusted_pem: str | bytes) -> x509.CertificateSigningRequest:
    """The request, when its signature proves possession and its key is strong enough.

    Raises InputError: `csr-unreadable`, `csr-not-signed-by-its-key`, `key-too-weak`.
    """
    data = untrusted_pem.encode() if isinstance(untrusted_pem, str) else untrusted_pem
    if len(data) > MAX_CSR_BYTES:
        raise _refusal("csr-unreadable", f"The request has {len(data)} bytes; that is no certification request.")
    try:
        request = x509.load_pem_x509_csr(data)
        public_key = request.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refusal("csr-unreadable", "The text is not a certification request (PKCS#10, PEM).") from error
    require_strength(public_key)
    try:
        valid = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        valid = False
    if not valid:
        raise _refusal(
            "csr-not-signed-by-its-key",
            "The request is not signed by the key it contains, so possession of the private key is not proven.",
        )
    return request


def _refusal(code: str, what: str) -> InputError:
    return InputError(
        Problem(
            code=code,
            what=what,
            todo="Make the request again where the private key is, and bring it unchanged.",
            contact="the person who made the request",
            exit_code=ExitCode.USAGE,
        )
    )
