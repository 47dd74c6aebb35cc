"""Credential files (PKCS#12, RFC 7292): strong ones are made, all usual ones are opened, each failure has its name.

Files are written by the `openssl` command because `cryptography` raises the iterations of the bags only and leaves
the MAC at 2048, which is what a guesser attacks (PLATFORM 3). Key and passphrases reach it through a memory file
and pipes; nothing secret is in an argument, in the environment or on a disk.
"""

from __future__ import annotations

import secrets
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from asn1crypto import pkcs12 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs12,
)

from hsm_console.credential.memory import memory_file, pipe_holding
from hsm_console.credential.passphrase import require_quality
from hsm_console.credential.problems import credential_problem
from hsm_console.crypto.files import write_durably
from hsm_console.domain.errors import EnvironmentFault, InputError, Problem
from hsm_console.domain.secret import Secret
from hsm_console.pki.profiles import time_ms, user_id
from hsm_console.pki.signing import IssuerKey

ITERATIONS = 1_000_000
MAX_FILE_BYTES = 1024 * 1024
FEW_ITERATIONS = 10_000
_STRONG = ("2.16.840.1.101.3.4.1.42", "2.16.840.1.101.3.4.1.2")  # AES-256-CBC, AES-128-CBC
OPENSSL = "openssl"
_OPENSSL_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Credential:
    """An opened credential. notices: Problems that do not stop the log-in (legacy encryption, expired, …)."""

    certificate: x509.Certificate
    key: IssuerKey
    chain: tuple[x509.Certificate, ...]
    notices: tuple[Problem, ...] = ()

    @property
    def uid(self) -> str:
        """The uid that the certificate claims; empty when it is not one of ours."""
        return user_id(self.certificate) or ""

    def __repr__(self) -> str:
        return f"Credential({self.certificate.subject.rfc4514_string()})"

    def install(self, context: ssl.SSLContext) -> None:
        """Give key and certificates to a TLS context through a memory file, encrypted with a one-time password."""
        password = secrets.token_hex(24).encode()
        with memory_file(_pem_bundle(self.certificate, self.chain, self.key, password)) as descriptor:
            context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: password)


def create(
    path: Path,
    key: IssuerKey,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    passphrase: Secret,
    iterations: int = ITERATIONS,
    *,
    names: Sequence[str] = (),
) -> None:
    """Write a credential file, mode 0600, wholly or not at all.

    names: what the passphrase must not be built on (name and uid). Raises InputError `passphrase-too-weak`,
    EnvironmentFault `openssl-failed` or `file-not-written`. PBKDF2-HMAC-SHA-256 and MAC both run `iterations` times.
    """
    require_quality(passphrase, *names)
    write_durably(path, encode(key, certificate, chain, passphrase, iterations))


def encode(
    key: IssuerKey,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    passphrase: Secret,
    iterations: int = ITERATIONS,
) -> bytes:
    """The bytes of a credential file. The passphrase's quality is not judged here."""
    password = secrets.token_hex(24).encode()
    with ExitStack() as stack:
        bundle = stack.enter_context(memory_file(_pem_bundle(certificate, chain, key, password)))
        unlock = stack.enter_context(pipe_holding(password + b"\n"))
        lock = stack.enter_context(pipe_holding(passphrase.reveal_bytes() + b"\n"))
        command = [
            OPENSSL, "pkcs12", "-export", "-in", f"/proc/self/fd/{bundle}",
            "-passin", f"fd:{unlock}", "-passout", f"fd:{lock}", "-iter", str(iterations),
            "-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC", "-macalg", "SHA256",
            "-name", certificate.subject.rfc4514_string(),
        ]  # fmt: skip
        return _run(command, (bundle, unlock, lock))


def _run(command: list[str], descriptors: tuple[int, ...]) -> bytes:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=descriptors,
            env=_OPENSSL_ENVIRONMENT,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _openssl_failed(str(error)) from error
    if done.returncode != 0 or not done.stdout:
        raise _openssl_failed(done.stderr.decode(errors="replace"))
    return done.stdout


def _openssl_failed(detail: str) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="openssl-failed",
            what="The openssl command could not write the credential file.",
            todo="Check that the package openssl (3.0 or newer) is installed, then do the step again.",
            details={"detail": detail[-400:]},
        )
    )


def load(path: Path, passphrase: Secret, *, now_ms: int | None = None) -> Credential:
    """Open a credential file. now_ms: clock against which an expired certificate is noticed.

    Raises InputError whose code says which of the ways to fail it was: `credential-missing`,
    `credential-unreadable`, `credential-is-pem`, `credential-not-pkcs12`, `credential-damaged`, `passphrase-wrong`,
    `credential-without-key`, `credential-without-certificate`, `credential-key-mismatch`.
    """
    data = _read(path)
    _sniff(path, data)
    try:
        content = pkcs12.load_pkcs12(data, passphrase.reveal_bytes() if passphrase else b"")
    except ValueError as error:
        raise _refused("passphrase-wrong" if "password" in str(error) else "credential-damaged", path) from error
    return _judge(path, data, content, now_ms)


def _judge(path: Path, data: bytes, content: pkcs12.PKCS12KeyAndCertificates, now_ms: int | None) -> Credential:
    if content.key is None:
        raise _refused("credential-without-key", path)
    if content.cert is None:  # none matches the key: either there is none, or it is somebody else's
        raise _refused(
            "credential-key-mismatch" if content.additional_certs else "credential-without-certificate", path
        )
    key = cast("IssuerKey", content.key)
    certificate = content.cert.certificate
    chain = tuple(extra.certificate for extra in content.additional_certs)
    notices = [*_encryption_notices(path, data), *_date_notices(path, certificate, now_ms)]
    return Credential(certificate, key, chain, tuple(notices))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _refused("credential-not-pkcs12", path)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise _refused("credential-missing", path) from error
    except OSError as error:
        raise _refused("credential-unreadable", path, detail=str(error.strerror)) from error


def _sniff(path: Path, data: bytes) -> None:
    """Tell other kinds of files and damaged ones apart before a passphrase is blamed."""
    if b"-----BEGIN " in data[:4096]:
        raise _refused("credential-is-pem", path)
    if not data or data[0] != 0x30 or data[:64].isascii():  # DER SEQUENCE; ASCII text may begin with the digit 0
        raise _refused("credential-not-pkcs12", path)
    try:
        version = asn1.Pfx.load(data, strict=True)["version"].native
    except (ValueError, TypeError, KeyError) as error:
        raise _refused("credential-damaged" if _claims_to_be_pfx(data) else "credential-not-pkcs12", path) from error
    if version != "v3":
        raise _refused("credential-not-pkcs12", path)


def _claims_to_be_pfx(data: bytes) -> bool:
    """Version 3 and id-data near the beginning: what every PFX starts with (RFC 7292 4)."""
    return b"\x02\x01\x03" in data[:16] and b"\x2a\x86\x48\x86\xf7\x0d\x01\x07" in data[:64]


def _encryption_notices(path: Path, data: bytes) -> list[Problem]:
    """Legacy ciphers and few iterations are told, not refused: the person could not do anything about it now."""
    oids, iterations = _protection(data)
    if not oids:
        return [credential_problem("credential-unprotected", path)]
    if any(oid not in _STRONG for oid in oids):
        return [credential_problem("credential-legacy", path, detail=", ".join(sorted(oids)))]
    if iterations < FEW_ITERATIONS:
        return [credential_problem("credential-few-iterations", path, detail=str(iterations))]
    return []


def _protection(data: bytes) -> tuple[set[str], int]:
    """(cipher OIDs of the encrypted bags, iterations of the MAC)."""
    pfx = asn1.Pfx.load(data)
    ciphers: set[str] = set()
    for info in pfx.authenticated_safe:
        if info["content_type"].native == "encrypted_data":
            ciphers.add(_cipher(info["content"]["encrypted_content_info"]["content_encryption_algorithm"]))
        elif info["content_type"].native == "data":
            ciphers |= {
                _cipher(bag["bag_value"]["encryption_algorithm"])
                for bag in asn1.SafeContents.load(info["content"].native)
                if bag["bag_id"].native == "pkcs8_shrouded_key_bag"
            }
    mac = pfx["mac_data"]
    return ciphers, int(mac["iterations"].native) if mac.native is not None else 0


def _cipher(algorithm: asn1.EncryptionAlgorithm) -> str:
    """The OID of the cipher; PBES2 (RFC 8018) names it in its parameters."""
    if algorithm["algorithm"].native == "pbes2":
        return str(algorithm["parameters"]["encryption_scheme"]["algorithm"].dotted)
    return str(algorithm["algorithm"].dotted)


def _date_notices(path: Path, certificate: x509.Certificate, now_ms: int | None) -> list[Problem]:
    if now_ms is None:
        return []
    if now_ms > time_ms(certificate.not_valid_after_utc):
        return [credential_problem("credential-expired", path, detail=f"{certificate.not_valid_after_utc:%Y-%m-%d}")]
    if now_ms < time_ms(certificate.not_valid_before_utc):
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        return [credential_problem("credential-not-yet-valid", path, detail=begins)]
    return []


def _pem_bundle(
    certificate: x509.Certificate, chain: Sequence[x509.Certificate], key: IssuerKey, password: bytes
) -> bytes:
    certificates = b"".join(c.public_bytes(Encoding.PEM) for c in (certificate, *chain))
    return certificates + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


def _refused(code: str, path: Path, detail: str = "") -> InputError:
    return InputError(credential_problem(code, path, detail=detail))
