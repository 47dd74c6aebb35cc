"""A key in words that people use: its state, what it may do, what is known of it, where it came from."""

from __future__ import annotations

from hsm_console.domain.keys import Custody, Usage
from hsm_console.domain.messages.ceremony import KeyView
from ui import texts
from ui.texts import tr


def state(value: str) -> str:
    return {
        "active": tr("in use"),
        "unclear": tr("unclear: do not use it"),
        "destroyed": tr("destroyed"),
    }.get(value, value)


def state_warning(value: str) -> str:
    """A sentence about a key that must not be used; empty for one that may."""
    return {
        "unclear": tr("Unclear what exists in the module: do not use this key."),
        "destroyed": tr("Destroyed; only its record is left."),
    }.get(value, "")


def usage(value: Usage) -> str:
    return {
        Usage.SIGN: tr("sign"),
        Usage.ENCRYPT: tr("encrypt and decrypt"),
        Usage.WRAP: tr("wrap other keys"),
        Usage.DERIVE: tr("derive other keys"),
    }[value]


def usages(values: tuple[Usage, ...]) -> str:
    return texts.names([usage(value) for value in values]) or tr("nothing")


def kind(key: KeyView) -> str:
    """Its algorithm; a key that lies outside the module is called one wherever its kind is said."""
    said = texts.algorithm(key.algorithm)
    return said if key.custody is Custody.DEVICE else tr("{kind}, software key", kind=said)


def called(key: KeyView) -> str:
    """Name and kind, where one is chosen among several."""
    return f"{key.label} ({kind(key)})"


def origin(key: KeyView) -> str:
    """Who agreed on it: a ceremony, an order outside one, or the founding of the workspace."""
    if key.purpose:
        return tr("the founding")
    return key.ceremony_id or tr("an order")


def origin_tag(key: KeyView) -> str:
    """The same for a filter."""
    return "founding" if key.purpose else key.ceremony_id or "order"


def purpose(value: str) -> str:
    """What the console itself needs such a key for; empty for keys of people."""
    known = {
        "": "",
        "authority": tr("It is the ceremony authority: it certifies the people and their gateway."),
        "log": tr("It signs the heads of the log, and nothing else."),
        "seal": tr("It opens the confidential values of the log, and nothing else."),
    }
    return known.get(value, tr("The console itself needs it."))


def mechanism(name: str) -> str:
    """How a signature is made, as an engineer says it."""
    hashes = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
    head, _dash, tail = name.rpartition("-")
    known = {"rsa-pss": "RSA-PSS", "rsa-pkcs1": "RSA PKCS#1 v1.5", "ecdsa": "ECDSA", "hmac": "HMAC"}
    if head in known and tail in hashes:
        return f"{known[head]}, {hashes[tail]}"
    return {"ed25519": "Ed25519", "ml-dsa": "ML-DSA (FIPS 204)", "slh-dsa": "SLH-DSA (FIPS 205)"}.get(name, name)


def act(name: str) -> str:
    """What one can do with a key, as a heading says it."""
    return {
        "sign": tr("Sign"),
        "verify": tr("Verify a signature"),
        "encrypt": tr("Encrypt"),
        "decrypt": tr("Decrypt"),
        "derive": tr("Agree on a secret with somebody"),
        "wrap": tr("Wrap other keys"),
        "unwrap": tr("Unwrap other keys"),
    }.get(name, name)


def facts(key: KeyView) -> list[tuple[str, str]]:
    return [
        (tr("Kind"), kind(key)),
        (tr("State"), state(key.state)),
        (tr("It may be used to"), usages(key.attributes.usages)),
        (tr("Made"), texts.moment(key.created_ms) if key.created_ms else tr("not known")),
        (tr("Agreed on in"), origin(key)),
        (tr("Certificate"), tr("issued") if key.certificate_pem else tr("none was issued")),
    ]


def file_name(label: str, ending: str) -> str:
    """A name for a file that no folder takes amiss."""
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in label) or "key"
    return f"{safe}.{ending}"
