"""`python -m hsm_console.credential.enrol`: make a person's key where it will live, and put it into a credential file.

The private key exists in this process and in the encrypted file, nowhere else. Two lines of JSON come in on standard
input (what is wished; then the certificate that the gateway issued), two go out on standard output (the request; then
that the file is written, or the problem).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_console.credential import pkcs12
from hsm_console.credential.passphrase import require_quality
from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, Problem
from hsm_console.domain.messages.enrolment import Certified, EnrolLine, Wish
from hsm_console.domain.secret import Secret
from hsm_console.pki import csr
from hsm_console.pki.authority import load_certificate, spki_sha256
from hsm_console.pki.signing import spki

T = TypeVar("T", Wish, Certified)


def main() -> int:
    """Run one enrolment."""
    os.umask(0o077)
    try:
        path = _enrol()
    except ConsoleError as error:
        _say(EnrolLine(problem=error.problem))
        return int(error.problem.exit_code)
    _say(EnrolLine(written=str(path)))
    return ExitCode.OK


def _enrol() -> Path:
    wish = _read(Wish)
    path = Path(wish.path)
    with Secret(wish.passphrase) as passphrase:
        require_quality(passphrase, wish.name, wish.uid)
        if path.exists():
            raise _refused("file-exists", f"There is a file {path} already.", "Choose another name for the credential.")
        key = ec.generate_private_key(ec.SECP384R1())
        _say(EnrolLine(csr=csr.make(key, wish.name)))
        issued = _read(Certified)
        certificate = load_certificate(issued.certificate)
        if spki(certificate.public_key()) != spki(key.public_key()):
            what = f"The certificate (key {spki_sha256(certificate)[:16]}…) is not for the key that was made."
            raise _refused("certificate-for-other-key", what, "Enrol the person anew.")
        chain = (load_certificate(issued.authority),)
        pkcs12.create(path, key, certificate, chain, passphrase, wish.iterations, names=(wish.name, wish.uid))
    return path


def _read(kind: type[T]) -> T:
    line = sys.stdin.buffer.readline()
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError:
        raise _refused(
            "enrolment-stopped", "The enrolment was not completed; no file was written.", "Enrol the person anew."
        ) from None


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))


def _say(line: EnrolLine) -> None:
    try:
        os.write(sys.stdout.fileno(), msgspec.json.encode(line) + b"\n")
    except BrokenPipeError:
        return  # the asker has gone: nobody is left to tell


if __name__ == "__main__":
    raise SystemExit(main())
