"""The second implementation: vectors of the standards, signatures of `openssl`, and what must not pass."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_console.crypto.pq import providers, spki
from hsm_console.domain.errors import VerificationFailed
from hsm_console.domain.keys import Algorithm, Custody, SignMechanism
from hsm_console.gateway.services import second

M = SignMechanism


def refused(public: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - every library has words of its own
        second.check(public, mechanism, data, signature)


def test_ed25519_of_rfc_8032() -> None:
    """7.1, test 2."""
    raw = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert second.check(public, M.ED25519, b"\x72", signature) == second.CLASSIC
    for data, proof, mechanism in ((b"\x73", signature, M.ED25519), (b"\x72", signature[:-1], M.ED25519),
                                   (b"\x72", signature, M.ECDSA_SHA256), (b"\x72", signature, M.ML_DSA)):  # fmt: skip
        refused(public, mechanism, data, proof)


def test_ecdsa_of_rfc_6979() -> None:
    """A.2.5, SHA-256, message “sample”."""
    x = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
    y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
    r = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
    s = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    second.check(public, M.ECDSA_SHA256, b"sample", encode_dss_signature(r, s))
    for data, pair, mechanism in ((b"samplE", (r, s), M.ECDSA_SHA256), (b"sample", (s, r), M.ECDSA_SHA256),
                                  (b"sample", (0, 1), M.ECDSA_SHA256),
                                  (b"sample", (r, s), M.ECDSA_SHA384)):  # fmt: skip
        refused(public, mechanism, data, encode_dss_signature(*pair))


@pytest.mark.parametrize("mechanism", [m for m in M if m.value.startswith("rsa")])
def test_rsa_signatures_of_openssl(mechanism: SignMechanism, tmp_path: Path) -> None:
    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    private, der, data, proof = (tmp_path / name for name in ("key.pem", "key.der", "data", "data.sig"))
    data.write_bytes(b"the contract")
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-outform", "DER", "-out", der)
    family, name = mechanism.value.rsplit("-", 1)
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if "pss" in family else []
    openssl("dgst", f"-{name}", "-sign", private, *options, "-out", proof, data)
    second.check(der.read_bytes(), mechanism, b"the contract", proof.read_bytes())
    refused(der.read_bytes(), mechanism, b"another", proof.read_bytes())
    for other in (m for m in M if m is not mechanism):
        refused(der.read_bytes(), other, b"the contract", proof.read_bytes())


@pytest.mark.parametrize("algorithm", [Algorithm.ML_DSA_65, Algorithm.SLH_DSA_SHA2_128F])
def test_a_software_key_is_checked_by_another_library_than_its_own(algorithm: Algorithm) -> None:
    maker = providers.maker(algorithm)
    raw, private = maker.generate(algorithm)
    public = spki.encode(algorithm, raw)
    mechanism = M.SLH_DSA if algorithm.is_slh_dsa else M.ML_DSA
    signature = maker.sign(algorithm, private, b"m")
    assert second.verify(public, mechanism, b"m", signature, Custody.SOFTWARE_WRAPPED) != maker.name
    with pytest.raises(VerificationFailed, match="signature-not-verified"):
        second.verify(public, mechanism, b"n", signature, Custody.SOFTWARE_WRAPPED)
    refused(public, M.SLH_DSA if mechanism is M.ML_DSA else M.ML_DSA, b"m", signature)
    refused(public, M.ED25519, b"m", signature)
