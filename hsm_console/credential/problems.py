"""Everything that can be wrong with a credential file, as data: code → what happened and what to do."""

from __future__ import annotations

from pathlib import Path

from hsm_console.domain.errors import ExitCode, Problem

_ADMIN = "the administrator of this workstation"

_TEXTS: dict[str, tuple[str, str, str]] = {
    "passphrase-wrong": (
        "The passphrase does not open {name}.",
        (
            "Type it again; look at Caps Lock and at the keyboard's language. Nothing is locked by a wrong passphrase. "
            "If it is surely right, copy the file again from its medium."
        ),
        "the person who issued the credential, if it is lost: a passphrase cannot be recovered",
    ),
    "credential-missing": (
        "There is no file {path}.",
        "Connect the medium with your credential, or choose the file again.",
        _ADMIN,
    ),
    "credential-unreadable": (
        "The file {path} cannot be read: {detail}.",
        "Check that the medium is well connected and that the file belongs to you.",
        _ADMIN,
    ),
    "credential-is-pem": (
        "{name} is a PEM text file, not a credential file (PKCS#12, usually .p12 or .pfx).",
        "Choose the .p12 file that you were given.",
        _ADMIN,
    ),
    "credential-not-pkcs12": (
        "{name} is not a credential file (PKCS#12, usually .p12 or .pfx).",
        "Choose the .p12 file that you were given.",
        _ADMIN,
    ),
    "credential-damaged": (
        "{name} is a credential file, but it is damaged or cut short.",
        "Copy it again from the medium on which you received it.",
        _ADMIN,
    ),
    "credential-without-key": (
        "{name} holds a certificate, but no private key, so it proves nothing.",
        "Choose the file that was made together with your key; a certificate alone is public.",
        _ADMIN,
    ),
    "credential-without-certificate": (
        "{name} holds a private key, but no certificate that says whose it is.",
        "Ask for a complete credential file.",
        _ADMIN,
    ),
    "credential-key-mismatch": (
        "The private key in {name} does not belong to the certificate in it.",
        "Ask for a new credential file; do not use this one.",
        _ADMIN,
    ),
    "credential-legacy": (
        "{name} is protected by outdated encryption ({detail}).",
        "You can log in. Ask for a newly written file soon, and destroy this one.",
        _ADMIN,
    ),
    "credential-unprotected": (
        "{name} is not encrypted: whoever has the file has your key.",
        "Treat the key as disclosed: ask for a new credential, and for this one to be revoked.",
        _ADMIN,
    ),
    "credential-few-iterations": (
        "{name} makes guessing its passphrase too cheap ({detail} rounds).",
        "You can log in. Ask for a newly written file soon, and destroy this one.",
        _ADMIN,
    ),
    "credential-expired": (
        "The certificate in {name} expired on {detail} by this workstation's clock.",
        "Compare the workstation's clock with a watch. If the clock is right, ask for a new credential.",
        _ADMIN,
    ),
    "credential-not-yet-valid": (
        "The certificate in {name} becomes valid only at {detail} UTC by this workstation's clock.",
        "Compare the workstation's clock with a watch; an air-gapped clock is the usual cause.",
        _ADMIN,
    ),
}
CODES = frozenset(_TEXTS)


def credential_problem(code: str, path: Path, *, detail: str = "") -> Problem:
    """The Problem for `code`. path: the file as the person chose it."""
    what, todo, contact = _TEXTS[code]
    return Problem(
        code=code,
        what=what.format(name=path.name, path=path, detail=detail),
        todo=todo,
        contact=contact,
        details={"file": str(path)} | ({"detail": detail} if detail else {}),
        exit_code=ExitCode.USAGE,
    )
