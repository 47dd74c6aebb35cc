"""Keys in a token sign certificates, requests, revocation lists and CMS; `openssl` verifies each."""

from __future__ import annotations

import copy
import datetime
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from hsm_console.domain.errors import InputError
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, Usage
from hsm_console.hsm import keys
from hsm_console.hsm.worker import HsmClient

ALGORITHMS = [Algorithm.RSA_2048, Algorithm.EC_P256, Algorithm.EC_P384, Algorithm.EC_P521, Algorithm.ED25519]
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Contract CA")])
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2036, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module", params=ALGORITHMS, ids=str)
def info(shared: HsmClient, request: pytest.FixtureRequest) -> KeyInfo:
    algorithm: Algorithm = request.param
    object_id = algorithm.value.encode().ljust(16)
    return shared.generate(KeySpec(algorithm=algorithm, label=f"builder-{algorithm}", object_id=object_id))


@pytest.fixture
def key(shared: HsmClient, info: KeyInfo) -> Any:
    return keys.private_key(shared, info)


def hash_for(info: KeyInfo) -> Any:
    return None if info.algorithm is Algorithm.ED25519 else hashes.SHA384()


def certificate(key: Any, info: KeyInfo, **options: Any) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return builder.sign(key, hash_for(info), **options)


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def pem(path: Path, thing: Any) -> Path:
    path.write_bytes(thing.public_bytes(serialization.Encoding.PEM))
    return path


def test_certificate_verifies(key: Any, info: KeyInfo, tmp_path: Path) -> None:
    path = pem(tmp_path / "ca.pem", certificate(key, info))
    assert "OK" in openssl("verify", "-check_ss_sig", "-CAfile", path, path)


def test_pss_certificate_verifies(key: Any, info: KeyInfo, tmp_path: Path) -> None:
    if not info.algorithm.is_rsa:
        pytest.skip("PSS is for RSA")
    scheme = padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.DIGEST_LENGTH)
    path = pem(tmp_path / "ca.pem", certificate(key, info, rsa_padding=scheme))
    assert "rsassaPss" in openssl("x509", "-in", path, "-noout", "-text")
    assert "OK" in openssl("verify", "-check_ss_sig", "-CAfile", path, path)


def test_request_verifies(key: Any, info: KeyInfo, tmp_path: Path) -> None:
    request = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, hash_for(info))
    assert "verify OK" in openssl("req", "-in", pem(tmp_path / "r.pem", request), "-verify", "-noout")


def test_revocation_list_verifies(key: Any, info: KeyInfo, tmp_path: Path) -> None:
    revoked = x509.RevokedCertificateBuilder().serial_number(9).revocation_date(START).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(NAME).last_update(START).next_update(END)
    crl = builder.add_revoked_certificate(revoked).sign(key, hash_for(info))
    ca = pem(tmp_path / "ca.pem", certificate(key, info))
    assert "verify OK" in openssl("crl", "-in", pem(tmp_path / "crl.pem", crl), "-CAfile", ca, "-noout")


def test_cms_signature_verifies(key: Any, info: KeyInfo, tmp_path: Path) -> None:
    if info.algorithm is Algorithm.ED25519:
        pytest.skip("pyca builds CMS with RSA and EC")
    ca = certificate(key, info)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"the minutes").add_signer(ca, key, hashes.SHA384())
    signed = builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])
    (tmp_path / "m.p7s").write_bytes(signed)
    (tmp_path / "m.txt").write_bytes(b"the minutes")
    path = pem(tmp_path / "ca.pem", ca)
    command = ("cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "m.p7s", "-content", tmp_path / "m.txt")
    assert "successful" in openssl(*command, "-CAfile", path, "-purpose", "any").replace("Successful", "successful")


def test_private_half_never_comes_out(key: Any, info: KeyInfo) -> None:
    for call in (
        lambda: key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        lambda: key.private_bytes_raw() if info.algorithm is Algorithm.ED25519 else key.private_numbers(),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.problem.code == "key-stays"
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(key)
    assert copy.deepcopy(key).public_key() == key.public_key()
    assert info.label in repr(key)


def test_digests_and_odd_paddings_are_refused(key: Any, info: KeyInfo) -> None:
    digest = bytes(48)
    sha384 = hashes.SHA384()
    calls: dict[str, Any] = {}
    if info.algorithm.is_ec:
        calls["digest-refused"] = lambda: key.sign(digest, ec.ECDSA(Prehashed(sha384)))
        calls["hash-unsupported"] = lambda: key.sign(digest, ec.ECDSA(hashes.SHA1()))  # noqa: S303
    if info.algorithm.is_rsa:
        calls["digest-refused"] = lambda: key.sign(digest, padding.PKCS1v15(), Prehashed(sha384))
        calls["padding-unsupported"] = lambda: key.sign(
            digest, padding.PSS(padding.MGF1(sha384), padding.PSS.MAX_LENGTH), sha384
        )
        calls["key-cannot-decrypt"] = lambda: key.decrypt(b"x", padding.PKCS1v15())
    for code, call in calls.items():
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.problem.code == code


def test_default_mechanism_signs(shared: HsmClient, info: KeyInfo) -> None:
    mechanism = keys.default_mechanism(info.algorithm)
    signature = shared.sign(info.object_id, mechanism, b"message")
    shared.verify(info.object_id, mechanism, b"message", signature)


def test_keys_that_do_not_sign_are_refused(shared: HsmClient) -> None:
    with pytest.raises(InputError) as caught:
        keys.default_mechanism(Algorithm.AES_256)
    assert caught.value.problem.code == "key-cannot-sign"
    spec = KeySpec(algorithm=Algorithm.AES_256, label="cipher", object_id=b"\x05" * 16, usages=(Usage.ENCRYPT,))
    with pytest.raises(InputError) as caught:
        keys.private_key(shared, shared.generate(spec))
    assert caught.value.problem.code == "key-incomplete"


def test_unreadable_public_half_is_refused(shared: HsmClient) -> None:
    for spki in (b"nonsense", bytes.fromhex("300d300b0609608648016503040314030200")):
        info = KeyInfo(object_id=b"\x01", label="odd", algorithm=Algorithm.OTHER, spki=spki)
        with pytest.raises(InputError) as caught:
            keys.private_key(shared, info)
        assert caught.value.problem.code == "key-unknown"


def test_lattice_key_signs_a_certificate(shared: HsmClient) -> None:
    if Algorithm.ML_DSA_65 not in shared.describe().algorithms:
        pytest.skip("this token has no ML-DSA")
    info = shared.generate(KeySpec(algorithm=Algorithm.ML_DSA_65, label="lattice", object_id=b"\x06" * 16))
    key = keys.private_key(shared, info)
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(key.public_key())
    made = builder.serial_number(7).not_valid_before(START).not_valid_after(END).sign(key, None)
    key.public_key().verify(made.signature, made.tbs_certificate_bytes)
    with pytest.raises(InputError) as caught:
        key.sign(b"x", b"context")
    assert caught.value.problem.code == "context-unsupported"
