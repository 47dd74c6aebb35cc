"""Detached CMS signatures and the roster: what openssl accepts, and each way to be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asn1crypto import cms as asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm_console.domain.errors import InputError, VerificationFailed
from hsm_console.domain.people import Person, Role, Roster
from hsm_console.pki import cms, csr, roster
from hsm_console.pki.authority import Authority, pem, roster_entry

DATA = '{"approve":"Schlüssel"}'.encode()
Openssl = Callable[..., str]


def person(authority: Authority, now: int, key: Any, uid: str = "a.turing") -> Any:
    return authority.issue_person(Person(uid=uid, name="Alan Turing"), csr.make(key, "x"), now_ms=now)


KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA-3072": lambda: rsa.generate_private_key(65537, 3072),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("data", [DATA, b"", b"line\nline\r\n", bytes(range(256)) * 300])
def test_openssl_and_we_agree(
    kind: str, data: bytes, authority: Authority, now: int, tmp_path: Path, openssl: Openssl
) -> None:
    key = KEYS[kind]()
    certificate = person(authority, now, key)
    signature = cms.sign_detached(certificate, key, data)
    cms.verify_detached(certificate, data, signature)
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "data.p7s").write_bytes(signature)
    (tmp_path / "authority.pem").write_text(pem(authority.certificate))
    (tmp_path / "person.pem").write_text(pem(certificate))
    verify = ("cms", "-verify", "-inform", "DER", "-binary", "-in", "data.p7s", "-content", "data", "-out", "out")
    openssl(*verify, "-CAfile", "authority.pem", "-purpose", "any")
    assert (tmp_path / "out").read_bytes() == data
    openssl(*verify, "-certfile", "person.pem", "-noverify")
    (tmp_path / "data").write_bytes(data + b" ")
    openssl(*verify, "-certfile", "person.pem", "-noverify", ok=False)


def test_a_signature_made_by_openssl_is_accepted(
    authority: Authority, now: int, tmp_path: Path, openssl: Openssl
) -> None:
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    key = KEYS["P-384"]()
    certificate = person(authority, now, key)
    (tmp_path / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "cert").write_text(pem(certificate))
    (tmp_path / "data").write_bytes(DATA)
    sign = ("cms", "-sign", "-binary", "-in", "data", "-signer", "cert", "-inkey", "key", "-outform", "DER")
    openssl(*sign, "-md", "sha384", "-out", "one")
    cms.verify_detached(certificate, DATA, (tmp_path / "one").read_bytes())
    openssl(*sign, "-md", "sha384", "-keyid", "-nocerts", "-out", "two")
    cms.verify_detached(certificate, DATA, (tmp_path / "two").read_bytes())
    for bad in (["-md", "sha1"], ["-nodetach"], ["-md", "sha384", "-noattr"]):
        openssl(*sign, *bad, "-out", "three")
        with pytest.raises(VerificationFailed, match="signature-unreadable"):
            cms.verify_detached(certificate, DATA, (tmp_path / "three").read_bytes())


def test_someone_elses_signature(authority: Authority, now: int) -> None:
    mine, theirs = KEYS["P-384"](), KEYS["P-384"]()
    my_certificate, their_certificate = person(authority, now, mine), person(authority, now, theirs, "g.hopper")
    with pytest.raises(VerificationFailed, match="signature-by-someone-else"):
        cms.verify_detached(my_certificate, DATA, cms.sign_detached(their_certificate, theirs, DATA))


def test_a_signature_that_only_claims_to_be_ours(authority: Authority, now: int) -> None:
    """The certificate of one person, the signature of another's key."""
    mine, theirs = KEYS["P-384"](), KEYS["P-384"]()
    certificate = person(authority, now, mine)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(DATA).add_signer(certificate, theirs, hashes.SHA384())
    forged = builder.sign(Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])
    with pytest.raises(VerificationFailed, match="signature-wrong"):
        cms.verify_detached(certificate, DATA, forged)


def test_other_data_and_no_signature_at_all(authority: Authority, now: int) -> None:
    key = KEYS["P-384"]()
    certificate = person(authority, now, key)
    signature = cms.sign_detached(certificate, key, DATA)
    with pytest.raises(VerificationFailed, match="signature-over-other-data"):
        cms.verify_detached(certificate, DATA + b" ", signature)
    for rubbish in (
        b"",
        b"0",
        signature[:-1],
        signature + b"\0",
        pem(certificate).encode(),
        bytes(cms.MAX_CMS_BYTES + 1),
    ):
        with pytest.raises(VerificationFailed, match="signature-unreadable"):
            cms.verify_detached(certificate, DATA, rubbish)


def test_two_signers_are_one_too_many(authority: Authority, now: int) -> None:
    key, other = KEYS["P-384"](), KEYS["P-256"]()
    certificate = person(authority, now, key)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(DATA).add_signer(certificate, key, hashes.SHA384())
    builder = builder.add_signer(person(authority, now, other, "g.hopper"), other, hashes.SHA256())
    both = builder.sign(Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])
    with pytest.raises(VerificationFailed, match="signature-unreadable"):
        cms.verify_detached(certificate, DATA, both)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_changed_octet_goes_unnoticed(authority: Authority, now: int, data: st.DataObject) -> None:
    """Every octet counts, but for the embedded copies of certificates, which are compared as a whole."""
    key = _fixed(authority, now)
    position = data.draw(st.integers(0, len(key[2]) - 1))
    changed = bytearray(key[2])
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        cms.verify_detached(key[1], DATA, bytes(changed))
    except VerificationFailed:
        return
    # What is left is what no verifier looks at: the outer list of digest algorithms, and NULL parameters.
    before, after = (asn1.ContentInfo.load(bytes(x))["content"] for x in (key[2], changed))
    for field in ("encap_content_info", "certificates"):
        assert before[field].dump() == after[field].dump()
    assert before["signer_infos"][0]["signature"].native == after["signer_infos"][0]["signature"].native
    assert before["signer_infos"][0]["signed_attrs"].dump() == after["signer_infos"][0]["signed_attrs"].dump()


_cache: dict[int, tuple[Any, Any, bytes]] = {}


def _fixed(authority: Authority, now: int) -> tuple[Any, Any, bytes]:
    if now not in _cache:
        key = KEYS["P-384"]()
        certificate = person(authority, now, key)
        _cache[now] = key, certificate, cms.sign_detached(certificate, key, DATA)
    return _cache[now]


def test_what_cannot_sign(authority: Authority, now: int) -> None:
    """A person whose key logs in but cannot approve would be found out in the middle of a ceremony."""
    key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(InputError, match="key-cannot-approve"):
        person(authority, now, key)
    certificate = authority.issue_key("Ed25519", csr.make(key, "x"), now_ms=now)
    with pytest.raises(InputError, match="key-cannot-approve"):
        cms.sign_detached(certificate, key, DATA)
    with pytest.raises(ValueError, match="belong"):
        cms.sign_detached(authority.certificate, KEYS["P-384"](), DATA)


# -- the roster ----------------------------------------------------------------------------------


def a_roster(authority: Authority, now: int) -> Roster:
    certificate = person(authority, now, KEYS["P-384"]())
    entry = roster_entry(Person(uid="a.turing", name="Alan Türing"), (Role.CUSTODIAN,), certificate)
    return Roster(chain_uid="01a2", version=3, issued_ms=now, entries=(entry,))


def test_the_roster_round_trips_and_openssl_agrees(
    authority: Authority, now: int, tmp_path: Path, openssl: Openssl
) -> None:
    wanted = a_roster(authority, now)
    data, signature = roster.sign(authority, wanted)
    assert roster.verify(authority.certificate, data, signature) == wanted
    assert b" " not in data.replace("Alan Türing".encode(), b"")
    (tmp_path / "roster.json").write_bytes(data)
    (tmp_path / "roster.p7s").write_bytes(signature)
    (tmp_path / "authority.pem").write_text(pem(authority.certificate))
    openssl("cms", "-verify", "-inform", "DER", "-binary", "-in", "roster.p7s", "-content", "roster.json",
            "-CAfile", "authority.pem", "-out", "out")  # fmt: skip


def test_a_roster_by_someone_else_or_changed(authority: Authority, now: int) -> None:
    data, signature = roster.sign(authority, a_roster(authority, now))
    other = Authority.found(KEYS["P-384"](), "Ceremony authority", now_ms=now)
    with pytest.raises(VerificationFailed, match="roster-not-authentic"):
        roster.verify(other.certificate, data, signature)
    with pytest.raises(VerificationFailed, match="roster-not-authentic"):
        roster.verify(authority.certificate, data.replace(b"custodian", b"executive"), signature)


@pytest.mark.parametrize("change", ["unknown member", "not canonical", "no roster", "twice"])
def test_a_signed_roster_that_is_not_understood(change: str, authority: Authority, now: int) -> None:
    wanted = a_roster(authority, now)
    plain = msgspec.to_builtins(wanted)
    data = {
        "unknown member": msgspec.json.encode(plain | {"zz": 1}),
        "not canonical": msgspec.json.encode(dict(reversed(plain.items()))),
        "no roster": b"[]",
        "twice": roster.encode(msgspec.structs.replace(wanted, entries=wanted.entries * 2)),
    }[change]
    signature = cms.sign_detached(authority.certificate, authority.key, data)
    with pytest.raises(VerificationFailed, match="roster-unreadable"):
        roster.verify(authority.certificate, data, signature)
