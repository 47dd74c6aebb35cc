"""Credential files: strong ones are made, usual ones open, and each bad one has its own name."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, core
from asn1crypto import pkcs12 as asn1
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization import (
    pkcs12 as pyca,
)

from hsm_console.credential import passphrase, pkcs12, problems
from hsm_console.credential.memory import memory_file, pipe_holding
from hsm_console.domain.errors import EnvironmentFault, InputError
from hsm_console.domain.secret import Secret
from hsm_console.pki.signing import public_of, spki

GOOD = "seven violet lanterns drift"
DAY = 86_400_000


def openssl(*arguments: str | Path, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def plain_pem(owner: Any) -> bytes:
    from hsm_console.pki.authority import pem

    key: bytes = owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem(owner.certificate).encode() + key


@pytest.mark.parametrize(
    "secret", [GOOD, "пароль из пяти слов", 'quotes "and" $dollars `and` \\', "x" * 10 + "ß日本語"]
)
def test_what_is_made_can_be_opened_here_and_by_openssl(tmp_path: Path, owner: Any, secret: str) -> None:
    path = tmp_path / "a.turing.p12"
    pkcs12.create(path, owner.key, owner.certificate, [owner.authority.certificate], Secret(secret), 20_000)
    opened = pkcs12.load(path, Secret(secret), now_ms=owner.now)
    assert opened.certificate == owner.certificate
    assert spki(public_of(opened.key)) == spki(owner.key.public_key())
    assert opened.chain == (owner.authority.certificate,)
    assert opened.notices == ()
    assert opened.uid == "a.turing"
    assert path.stat().st_mode & 0o777 == 0o600
    shown = openssl("pkcs12", "-in", path, "-passin", "stdin", "-nokeys", data=secret.encode() + b"\n")
    assert b"BEGIN CERTIFICATE" in shown


def test_a_million_rounds_protect_bags_and_mac(tmp_path: Path, owner: Any) -> None:
    path = tmp_path / "a.p12"
    pkcs12.create(path, owner.key, owner.certificate, [], Secret(GOOD))
    shown = subprocess.run(
        ["openssl", "pkcs12", "-in", str(path), "-passin", "stdin", "-info", "-noout"],
        input=GOOD.encode(), capture_output=True, check=True,
    ).stderr.decode()  # fmt: skip
    assert "MAC: sha256, Iteration 1000000" in shown
    assert shown.count("AES-256-CBC, Iteration 1000000, PRF hmacWithSHA256") == 2
    assert pkcs12.load(path, Secret(GOOD), now_ms=owner.now).notices == ()


def test_writing_is_all_or_nothing(tmp_path: Path, owner: Any) -> None:
    path = tmp_path / "a.p12"
    path.write_bytes(b"older")
    with pytest.raises(InputError, match="passphrase-too-weak"):
        pkcs12.create(path, owner.key, owner.certificate, [], Secret("short"), 1)
    assert path.read_bytes() == b"older"
    with pytest.raises(EnvironmentFault, match="file-not-written"):
        pkcs12.create(tmp_path / "absent" / "a.p12", owner.key, owner.certificate, [], Secret(GOOD), 1)
    pkcs12.create(path, owner.key, owner.certificate, [], Secret(GOOD), 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.p12"]


def test_without_openssl_it_is_said(tmp_path: Path, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentFault, match="openssl-failed"):
        pkcs12.create(tmp_path / "a.p12", owner.key, owner.certificate, [], Secret(GOOD), -1)
    monkeypatch.setattr(pkcs12, "OPENSSL", "/nowhere/openssl")
    with pytest.raises(EnvironmentFault, match="openssl-failed"):
        pkcs12.create(tmp_path / "a.p12", owner.key, owner.certificate, [], Secret(GOOD), 1)


def test_nothing_secret_is_in_an_argument_or_the_environment(
    tmp_path: Path, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = subprocess.run

    def spy(command: list[str], **how: Any) -> Any:
        seen.extend([*command, *how["env"].keys(), *how["env"].values()])
        return real(command, **how)

    monkeypatch.setattr(subprocess, "run", spy)
    pkcs12.create(tmp_path / "a.p12", owner.key, owner.certificate, [], Secret(GOOD), 1)
    assert GOOD not in " ".join(seen)
    assert not any("PRIVATE KEY" in text for text in seen)


# -- the table of bad input ------------------------------------------------------------------------


def good(owner: Any) -> bytes:
    return pkcs12.encode(owner.key, owner.certificate, [], Secret(GOOD), 1000)


def without_key(owner: Any) -> bytes:
    return pyca.serialize_key_and_certificates(
        b"x", None, owner.certificate, None, BestAvailableEncryption(GOOD.encode())
    )


def without_certificate(owner: Any) -> bytes:
    return pyca.serialize_key_and_certificates(b"x", owner.key, None, None, BestAvailableEncryption(GOOD.encode()))


def mismatched(owner: Any) -> bytes:
    """A key beside somebody else's certificate. No tool makes such a file, so its bags are put together here."""
    other = ec.generate_private_key(ec.SECP384R1())
    halves = (
        pyca.serialize_key_and_certificates(b"x", owner.key, owner.certificate, None, NoEncryption()),
        pyca.serialize_key_and_certificates(b"x", other, None, None, NoEncryption()),
    )
    bags = [asn1.SafeContents.load(asn1.Pfx.load(h).authenticated_safe[0]["content"].native) for h in halves]
    mixed = asn1.SafeContents([bags[0][0], bags[1][0]])
    safe = asn1.AuthenticatedSafe([_data(mixed.dump())])
    return asn1.Pfx({"version": "v3", "auth_safe": _data(safe.dump())}).dump()


def _data(content: bytes) -> cms.ContentInfo:
    return cms.ContentInfo({"content_type": "data", "content": core.OctetString(content)})


BAD: dict[str, tuple[str, Callable[[Any], bytes]]] = {
    "cut short": ("credential-damaged", lambda owner: good(owner)[:-30]),
    "only the beginning": ("credential-damaged", lambda owner: good(owner)[:90]),
    "octets after the end": ("credential-damaged", lambda owner: good(owner) + b"\0\0"),
    "PEM": ("credential-is-pem", plain_pem),
    "PEM after some text": ("credential-is-pem", lambda owner: b"Bag Attributes\n" + plain_pem(owner)),
    "empty": ("credential-not-pkcs12", lambda owner: b""),
    "text": ("credential-not-pkcs12", lambda owner: b"0123456789 this is a shopping list\n" * 9),
    "a certificate": ("credential-not-pkcs12", lambda owner: owner.certificate.public_bytes(Encoding.DER)),
    "a picture": ("credential-not-pkcs12", lambda owner: b"\x89PNG\r\n\x1a\n" + bytes(200)),
    "far too large": ("credential-not-pkcs12", lambda owner: bytes(pkcs12.MAX_FILE_BYTES + 1)),
    "no key": ("credential-without-key", without_key),
    "another's key": ("credential-key-mismatch", mismatched),
    "no certificate": ("credential-without-certificate", without_certificate),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_called_by_its_name(case: str, tmp_path: Path, owner: Any) -> None:
    code, make = BAD[case]
    path = tmp_path / "mine.p12"
    path.write_bytes(make(owner))
    with pytest.raises(InputError) as caught:
        pkcs12.load(path, Secret(GOOD))
    problem = caught.value.problem
    assert problem.code == code
    assert "mine.p12" in problem.what
    assert GOOD not in problem.in_words()


@pytest.mark.parametrize("secret", ["seven violet lanterns drift ", "Seven violet lanterns drift", "x", ""])
def test_a_wrong_passphrase(secret: str, tmp_path: Path, owner: Any) -> None:
    path = tmp_path / "mine.p12"
    path.write_bytes(good(owner))
    with pytest.raises(InputError, match="passphrase-wrong"):
        pkcs12.load(path, Secret(secret))


def test_a_file_that_is_not_there_or_not_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="credential-missing"):
        pkcs12.load(tmp_path / "absent.p12", Secret(GOOD))
    with pytest.raises(InputError, match="credential-unreadable"):
        pkcs12.load(tmp_path, Secret(GOOD))


@pytest.mark.parametrize(
    ("options", "notice"),
    [
        (["-legacy"], "credential-legacy"),
        (["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"], "credential-legacy"),
        ([], "credential-few-iterations"),
        (["-iter", "20000"], None),
        (["-iter", "20000", "-keypbe", "AES-128-CBC", "-certpbe", "AES-128-CBC"], None),
    ],
)
def test_files_of_other_makers_open_and_weak_ones_say_so(
    options: list[str], notice: str | None, tmp_path: Path, owner: Any
) -> None:
    path = tmp_path / "mine.p12"
    (tmp_path / "mine.pem").write_bytes(plain_pem(owner))
    path.write_bytes(openssl("pkcs12", "-export", "-in", tmp_path / "mine.pem", "-passout", f"pass:{GOOD}", *options))
    opened = pkcs12.load(path, Secret(GOOD), now_ms=owner.now)
    assert opened.certificate == owner.certificate
    assert [p.code for p in opened.notices] == ([notice] if notice else [])


def test_an_unencrypted_file_is_as_good_as_published(tmp_path: Path, owner: Any) -> None:
    path = tmp_path / "mine.p12"
    path.write_bytes(pyca.serialize_key_and_certificates(b"x", owner.key, owner.certificate, None, NoEncryption()))
    assert [p.code for p in pkcs12.load(path, Secret(""), now_ms=owner.now).notices] == ["credential-unprotected"]


def test_dates_are_noticed_not_refused(tmp_path: Path, owner: Any) -> None:
    """The gateway refuses; here it is only told, so that a wrong clock can still be found out."""
    path = tmp_path / "mine.p12"
    path.write_bytes(pkcs12.encode(owner.key, owner.certificate, [], Secret(GOOD), 20_000))
    codes = [
        [p.code for p in pkcs12.load(path, Secret(GOOD), now_ms=owner.now + days * DAY).notices] for days in (-1, 1, 31)
    ]
    assert codes == [["credential-not-yet-valid"], [], ["credential-expired"]]


def test_every_text_tells_the_four_things() -> None:
    for code in problems.CODES:
        problem = problems.credential_problem(code, Path("/media/usb/mine.p12"), detail="detail")
        assert "{" not in problem.in_words()
        assert all((problem.what, problem.key_state, problem.todo, problem.contact))


# -- memory, TLS -------------------------------------------------------------------------------------


def test_a_credential_goes_into_a_tls_context_without_a_file(owner: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    credential = pkcs12.Credential(owner.certificate, owner.key, (owner.authority.certificate,))
    credential.install(context)
    with pytest.raises(ssl.SSLError):
        pkcs12.Credential(owner.authority.certificate, owner.key, ()).install(context)
    assert "BEGIN" not in repr(credential)


def test_memory_files_are_wiped_and_closed() -> None:
    with memory_file(b"secret") as descriptor:
        copy = os.dup(descriptor)
        assert Path(f"/proc/self/fd/{descriptor}").read_bytes() == b"secret"
    assert os.pread(copy, 100, 0) == bytes(6)
    os.close(copy)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    with pytest.raises(ValueError, match="one page"), pipe_holding(bytes(5000)):
        pass


# -- passphrases -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "fewer than 12"),
        ("elevenchars", "fewer than 12"),
        ("aaaaaaaaaaaaaaaa", "different"),
        ("abcabcabcabcabcabc", "different"),
        ("abcdefabcdefabcdef", "repeats"),
        ("abcdefghijklmnop", "alphabet"),
        ("ponmlkjihgfedcba", "alphabet"),
        ("alan.turing1912", "owner"),
        ("Türing Türing 12", "owner"),
        ("Password12345!", "guessed first"),
        ("hsm-console-2026", "guessed first"),
        ("good but with\nline end", "typed"),
        ("long" * 200 + "x", "too long"),
    ],
)
def test_weak_passphrases_are_refused_with_the_rule(text: str, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        passphrase.require_quality(Secret(text), "Alan Türing", "a.turing", "alan")
    assert caught.value.problem.code == "passphrase-too-weak"
    assert rule in caught.value.problem.what
    assert not text or text not in caught.value.problem.in_words()


@pytest.mark.parametrize("text", [GOOD, "Turing drinks four cups of tea", "kV9#mQ2$xL7!", "пароль из пяти слов"])
def test_good_passphrases_pass(text: str) -> None:
    passphrase.require_quality(Secret(text), "Alan Türing", "a.turing")
