"""Envelopes: opened by `openssl` and by second parsers, and what `openssl` makes is opened here."""

from __future__ import annotations

import base64
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hsm_console.crypto.envelope import cms, jwe
from hsm_console.domain.keys import Algorithm
from hsm_console.hsm.port import AesGcm

A = Algorithm
DATA, AAD = b"for her eyes only\n" * 40, b"case 7"


@dataclass
class Exported:
    """A private key in a test's hand, in place of one in a device."""

    private: Any

    def oaep_decrypt(self, ciphertext: bytes, digest: str) -> bytes:
        kind: hashes.HashAlgorithm = hashes.SHA256() if digest == "sha256" else hashes.SHA1()  # noqa: S303
        return bytes(self.private.decrypt(ciphertext, padding.OAEP(padding.MGF1(kind), kind, None)))

    def derive(self, point: bytes, length: int) -> bytes:
        peer = ec.EllipticCurvePublicKey.from_encoded_point(self.private.curve, point)
        return bytes(self.private.exchange(ec.ECDH(), peer))[:length]

    def decapsulate(self, ciphertext: bytes) -> bytes:
        return bytes(self.private.decapsulate(ciphertext))

    @property
    def spki(self) -> bytes:
        return bytes(self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def write(self, path: Path) -> Path:
        path.write_bytes(self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path


def make(algorithm: Algorithm) -> Exported:
    curves = {A.EC_P256: ec.SECP256R1, A.EC_P384: ec.SECP384R1, A.EC_P521: ec.SECP521R1}
    if algorithm.is_rsa:
        return Exported(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    if algorithm.is_ec:
        return Exported(ec.generate_private_key(curves[algorithm]()))
    return Exported((mlkem.MLKEM768PrivateKey if algorithm is A.ML_KEM_768 else mlkem.MLKEM1024PrivateKey).generate())


def openssl(*arguments: object) -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("oaep", ["sha256", "sha1"])
@pytest.mark.parametrize("algorithm", [A.RSA_2048, A.EC_P256, A.EC_P384, A.EC_P521])
def test_openssl_opens_what_is_sealed_here(algorithm: Algorithm, oaep: str, tmp_path: Path) -> None:
    key = make(algorithm)
    (tmp_path / "sealed.cms").write_bytes(cms.seal(algorithm, key.spki, DATA, oaep=oaep))
    private = key.write(tmp_path / "key.pem")
    found = openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-in", tmp_path / "sealed.cms", "-inkey", private)
    assert found == DATA


@pytest.mark.parametrize("algorithm", [A.RSA_2048, A.EC_P256, A.EC_P384, A.EC_P521])
def test_what_openssl_seals_is_opened_here(algorithm: Algorithm, tmp_path: Path) -> None:
    key = make(algorithm)
    private = key.write(tmp_path / "key.pem")
    (tmp_path / "data").write_bytes(DATA)
    openssl("req", "-new", "-x509", "-key", private, "-subj", "/CN=her", "-days", 30, "-out", tmp_path / "her.pem")
    digest = {A.EC_P256: "sha256", A.EC_P384: "sha384", A.EC_P521: "sha512"}.get(algorithm, "sha256")
    options = ["-keyopt", f"ecdh_kdf_md:{digest}"] if algorithm.is_ec else [
        "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"]  # fmt: skip
    out = tmp_path / "sealed.cms"
    openssl("cms", "-encrypt", "-binary", "-aes-256-gcm", "-aes256-wrap", "-outform", "DER", "-out", out, "-in",
            tmp_path / "data", "-keyid", "-recip", tmp_path / "her.pem", *options)  # fmt: skip
    assert cms.open_sealed(cms.parse(out.read_bytes()), algorithm, key.spki, b"", key) == DATA


@pytest.mark.parametrize("algorithm", [A.RSA_2048, A.EC_P384, A.ML_KEM_768, A.ML_KEM_1024])
def test_what_is_bound_is_carried_and_authenticated(algorithm: Algorithm) -> None:
    key, other = make(algorithm), make(algorithm)
    der = cms.seal(algorithm, key.spki, DATA, AAD)
    envelope = cms.parse(der)
    assert envelope.aad == AAD
    assert cms.open_sealed(envelope, algorithm, key.spki, AAD, key) == DATA
    for spki, aad, opener in ((key.spki, b"case 8", key), (other.spki, AAD, other), (key.spki, AAD, other)):
        with pytest.raises((cms.NotOpened, ValueError)):
            cms.open_sealed(envelope, algorithm, spki, aad, opener)
    moved = cms.parse(der.replace(AAD, b"case 8"))
    with pytest.raises(cms.NotOpened, match="changed"):
        cms.open_sealed(moved, algorithm, key.spki, b"case 8", key)


@pytest.mark.parametrize("algorithm", [A.ML_KEM_768, A.ML_KEM_1024])
def test_the_structure_for_ml_kem_is_that_of_rfc_9629(algorithm: Algorithm) -> None:
    """Read by another ASN.1 library with the RFC's own module, and opened from what that one says."""
    from pyasn1.codec.der.decoder import decode
    from pyasn1.codec.der.encoder import encode
    from pyasn1_alt_modules import rfc5083, rfc5652, rfc9629

    key = make(algorithm)
    info, rest = decode(cms.seal(algorithm, key.spki, DATA, AAD), asn1Spec=rfc5652.ContentInfo())
    assert not rest
    data, rest = decode(bytes(info["content"]), asn1Spec=rfc5083.AuthEnvelopedData())
    assert not rest
    other = data["recipientInfos"][0]["ori"]
    assert str(other["oriType"]) == "1.2.840.113549.1.9.16.13.3"
    kem, rest = decode(bytes(other["oriValue"]), asn1Spec=rfc9629.KEMRecipientInfo())
    assert not rest
    told = rfc9629.CMSORIforKEMOtherInfo()
    told["wrap"], told["kekLength"] = kem["wrap"], kem["kekLength"]
    shared = key.private.decapsulate(bytes(kem["kemct"]))
    kek = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=encode(told)).derive(shared)
    content_key = keywrap.aes_key_unwrap(kek, bytes(kem["encryptedKey"]))
    sealed = data["authEncryptedContentInfo"]
    nonce = bytes(sealed["contentEncryptionAlgorithm"]["parameters"])[4:16]
    attributes = b"\x31" + encode(data["authAttrs"])[1:]
    whole = bytes(sealed["encryptedContent"]) + bytes(data["mac"])
    assert AESGCM(content_key).decrypt(nonce, whole, attributes) == DATA


def test_an_envelope_without_a_tag_or_of_another_kind_is_not_read(tmp_path: Path) -> None:
    key = make(A.RSA_2048)
    private = key.write(tmp_path / "key.pem")
    (tmp_path / "data").write_bytes(DATA)
    openssl("req", "-new", "-x509", "-key", private, "-subj", "/CN=her", "-days", 30, "-out", tmp_path / "her.pem")
    for cipher, extra in (("-aes-256-cbc", ()), ("-aes-128-gcm", ()), ("-aes-256-gcm", ())):
        out = tmp_path / "sealed.cms"
        openssl("cms", "-encrypt", "-binary", cipher, "-outform", "DER", "-out", out, "-in", tmp_path / "data",
                *extra, tmp_path / "her.pem")  # fmt: skip
        with pytest.raises(cms.Unreadable):  # the last one: PKCS #1 v1.5, which is not opened here
            cms.open_sealed(cms.parse(out.read_bytes()), A.RSA_2048, key.spki, b"", key)
    for broken in (b"", b"\x30\x80", b"\x30\x00", DATA):
        with pytest.raises(cms.Unreadable):
            cms.parse(broken)


def test_a_sender_s_point_off_the_curve_never_reaches_the_key() -> None:
    key = make(A.EC_P256)
    der = cms.seal(A.EC_P256, key.spki, DATA)
    asked: list[bytes] = []

    class Watched(Exported):
        def derive(self, point: bytes, length: int) -> bytes:
            asked.append(point)
            return super().derive(point, length)

    start = der.index(b"\x04", der.index(bytes.fromhex("2a8648ce3d0201")) + 7)
    forged = der[: start + 40] + bytes([der[start + 40] ^ 1]) + der[start + 41 :]
    with pytest.raises(cms.NotOpened):
        cms.open_sealed(cms.parse(forged), A.EC_P256, key.spki, b"", Watched(key.private))
    assert asked == []


class Token:
    """AES-256-GCM as a device does it; some make IVs of 16 octets."""

    def __init__(self, iv_bytes: int = 12) -> None:
        self.key = secrets.token_bytes(32)
        self.iv_bytes = iv_bytes

    def encrypt(self, plaintext: bytes, aad: bytes) -> AesGcm:
        iv = secrets.token_bytes(self.iv_bytes)
        sealed = AESGCM(self.key).encrypt(iv, plaintext, aad)
        return AesGcm(iv=iv, ciphertext=sealed[:-16], tag=sealed[-16:])

    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes:
        return AESGCM(self.key).decrypt(iv, ciphertext + tag, aad)


@pytest.mark.parametrize("size", [0, 1, jwe.DIRECT_BYTES, jwe.DIRECT_BYTES + 1, 100_000])
@pytest.mark.parametrize("aad", [b"", AAD])
def test_jwe_by_the_words_of_rfc_7516(size: int, aad: bytes) -> None:
    """Opened step by step as 5.2 says, without the code that made it."""
    token, data = Token(), secrets.token_bytes(size)
    envelope, _ = jwe.seal("abcd", data, aad, token)
    plain = msgspec.json.decode(envelope)

    def raw(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    header = msgspec.json.decode(raw(plain["protected"]))
    key = token.key
    if header["alg"] == "A256GCMKW":
        key = AESGCM(token.key).decrypt(raw(header["iv"]), raw(plain["encrypted_key"]) + raw(header["tag"]), b"")
    assert header["alg"] == ("dir" if size <= jwe.DIRECT_BYTES else "A256GCMKW")
    bound = plain["protected"] + (f".{plain['aad']}" if aad else "")
    assert AESGCM(key).decrypt(raw(plain["iv"]), raw(plain["ciphertext"]) + raw(plain["tag"]), bound.encode()) == data
    assert jwe.open_sealed(*jwe.parse(envelope), "abcd", aad, token) == data
    with pytest.raises(cms.NotOpened):
        jwe.open_sealed(*jwe.parse(envelope), "abcd", aad + b"!", token)
    with pytest.raises(cms.NotOpened):
        jwe.open_sealed(*jwe.parse(envelope), "other", aad, token)


def test_jwe_that_was_changed_or_is_of_another_kind() -> None:
    token = Token()
    envelope, _ = jwe.seal("abcd", DATA, AAD, token)
    plain = msgspec.json.decode(envelope)
    for name in ("iv", "ciphertext", "tag", "protected"):
        changed = plain | {name: ("B" if plain[name][0] == "A" else "A") + plain[name][1:]}
        with pytest.raises((cms.NotOpened, cms.Unreadable, InvalidTag)):
            jwe.open_sealed(*jwe.parse(msgspec.json.encode(changed)), "abcd", AAD, token)
    header = base64.urlsafe_b64encode(b'{"alg":"dir","enc":"A128GCM"}').decode().rstrip("=")
    more: list[dict[str, str]] = [plain | {"protected": header}, plain | {"unprotected": "x"}, {}, plain | {"iv": "!"}]
    for broken in more:
        with pytest.raises(cms.Unreadable):
            jwe.open_sealed(*jwe.parse(msgspec.json.encode(broken)), "abcd", AAD, token)


@pytest.mark.parametrize("algorithm", [A.EC_P256, A.ML_KEM_768])
def test_no_changed_bit_gives_other_data(algorithm: Algorithm) -> None:
    """CMS does not authenticate what tells a recipient her key; whatever is changed there, the data are the same."""
    key = make(algorithm)
    der = cms.seal(algorithm, key.spki, DATA, AAD)
    opened = 0
    for position in range(len(der)):
        changed = bytearray(der)
        changed[position] ^= 1 << position % 8
        try:
            assert cms.open_sealed(cms.parse(bytes(changed)), algorithm, key.spki, AAD, key) == DATA
            opened += 1
        except (cms.NotOpened, cms.Unreadable):
            continue
    assert opened < 10


@pytest.mark.parametrize("size", [100, 10_000])
def test_a_device_that_makes_long_ivs_opens_its_own(size: int) -> None:
    token, data = Token(16), secrets.token_bytes(size)
    envelope, _ = jwe.seal("abcd", data, AAD, token)
    assert jwe.open_sealed(*jwe.parse(envelope), "abcd", AAD, token) == data
