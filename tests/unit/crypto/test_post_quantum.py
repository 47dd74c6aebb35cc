"""Post-quantum algorithms against NIST's vectors, against each other, and against what is wrong."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa

from hsm_console.crypto.pq import liboqs, providers, spki
from hsm_console.domain.keys import Algorithm

A = Algorithm
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    gzip.decompress((Path(__file__).parents[2] / "vectors" / "nist_acvp.json.gz").read_bytes())
)
VERIFIERS = (providers.OPENSSL, providers.RUST, providers.PYTHON)


def sample(name: str) -> list[Any]:
    return [pytest.param(each, id=f"{each['algorithm']}-{each.get('tc', 'kat')}") for each in VECTORS[name]]


def verifiers(algorithm: Algorithm) -> list[Any]:
    return [one for one in VERIFIERS if one.offers(algorithm)]


def raw(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


@pytest.mark.parametrize("vector", sample("slh-dsa"))
def test_slh_dsa_signatures_of_nist_hold_with_two_implementations(vector: dict[str, Any]) -> None:
    algorithm = A(vector["algorithm"])
    public, message, signature = raw(vector, "pk", "message", "signature")
    found = verifiers(algorithm)
    assert [one.name for one in found] == ["pqcrypto (Rust)", "slh-dsa (Python)"]
    for one in found:
        one.verify(algorithm, public, message, signature)
        wrong = bytearray(signature)
        wrong[len(wrong) // 2] ^= 1
        other = bytes([public[0] ^ 1]) + public[1:]
        for args in ((public, message + b"!", signature), (public, message, bytes(wrong)), (other, message, signature),
                     (public, message, signature[:-1]), (public, message, b"")):  # fmt: skip
            with pytest.raises(ValueError, match="verify"):
                one.verify(algorithm, *args)


@pytest.mark.parametrize("vector", sample("ml-dsa"))
def test_ml_dsa_signatures_that_nist_made_wrong_do_not_hold(vector: dict[str, Any]) -> None:
    algorithm = A(vector["algorithm"])
    assert vector["passed"] is False
    for one in verifiers(algorithm):
        with pytest.raises(ValueError, match="verify"):
            one.verify(algorithm, *raw(vector, "pk", "message", "signature"))


@pytest.mark.parametrize("vector", sample("ml-dsa-context"))
def test_a_signature_with_a_context_does_not_pass_for_one_without(vector: dict[str, Any]) -> None:
    algorithm = A(vector["algorithm"])
    public, message, signature, context = raw(vector, "pk", "message", "signature", "context")
    kinds = {
        A.ML_DSA_44: mldsa.MLDSA44PublicKey,
        A.ML_DSA_65: mldsa.MLDSA65PublicKey,
        A.ML_DSA_87: mldsa.MLDSA87PublicKey,
    }
    kinds[algorithm].from_public_bytes(public).verify(signature, message, context)  # the vector is sound
    for one in verifiers(algorithm):
        with pytest.raises(ValueError, match="verify"):
            one.verify(algorithm, public, message, signature)


@pytest.mark.parametrize("vector", sample("ml-dsa-seed") + sample("ml-dsa-context"))
def test_ml_dsa_keys_come_from_their_seeds_and_sign_for_the_other_implementation(vector: dict[str, Any]) -> None:
    algorithm = A(vector["algorithm"])
    seed, public = raw(vector, "seed", "pk")
    signature = providers.OPENSSL.sign(algorithm, bytearray(seed), b"message")
    for one in verifiers(algorithm):
        one.verify(algorithm, public, b"message", signature)
    assert providers.checker(algorithm, providers.OPENSSL.name).name != providers.OPENSSL.name


@pytest.mark.parametrize("vector", [v for v in sample("ml-kem-seed") if v.values[0]["algorithm"] != "ml-kem-512"])
def test_ml_kem_keys_come_from_their_seeds(vector: dict[str, Any]) -> None:
    """What Rust encapsulates for NIST's public key, OpenSSL opens with NIST's seed."""
    algorithm = A(vector["algorithm"])
    seed, public = raw(vector, "seed", "pk")
    for one in (providers.RUST, providers.OPENSSL):
        ciphertext, secret = one.encapsulate(algorithm, public)
        assert providers.OPENSSL.decapsulate(algorithm, bytearray(seed), ciphertext) == secret


@pytest.mark.parametrize("vector", sample("ml-kem-decap"))
def test_ml_kem_decapsulations_of_nist_with_implicit_rejection(vector: dict[str, Any]) -> None:
    private, ciphertext, secret = raw(vector, "dk", "c", "k")
    assert providers.RUST.decapsulate(A(vector["algorithm"]), bytearray(private), ciphertext) == secret


PAIRS = [(A.ML_DSA_44, 1), (A.ML_DSA_87, 1), (A.SLH_DSA_SHA2_128F, 1), (A.SLH_DSA_SHAKE_128F, 1)]


@pytest.mark.parametrize(("algorithm", "times"), PAIRS)
def test_what_one_signs_the_others_verify(algorithm: Algorithm, times: int) -> None:
    for maker in (providers.OPENSSL, providers.RUST):
        if not maker.offers(algorithm):
            continue
        public, private = maker.generate(algorithm)
        signature = maker.sign(algorithm, private, b"message")
        assert spki.decode(spki.encode(algorithm, public)) == (algorithm, public)
        for one in verifiers(algorithm):
            one.verify(algorithm, public, b"message", signature)
            with pytest.raises(ValueError, match="verify"):
                one.verify(algorithm, public, b"another", signature)


# -- liboqs: its package clones a repository and ends the process when its library is missing ------------------------


def test_oqs_is_not_imported_where_its_library_is_not(tmp_path: Path) -> None:
    code = (
        "import sys; from hsm_console.crypto.pq import liboqs, providers;"
        "from hsm_console.domain.keys import Algorithm;"
        "found = liboqs.module(); print(found is None, 'oqs' in sys.modules, providers.maker(Algorithm.ML_DSA_65).name)"
    )
    environment = {**os.environ, "OQS_INSTALL_PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    if liboqs.library() and not os.environ.get("OQS_INSTALL_PATH"):
        pytest.skip("liboqs is installed for the whole system here")
    assert done.stdout.split() == ["True", "False", *providers.OPENSSL.name.split()]
    assert list(tmp_path.iterdir()) == []  # nothing was cloned


FAKE = """
def get_enabled_sig_mechanisms(): return ("ML-DSA-65", "SPHINCS+-SHA2-128f-simple")
def get_enabled_kem_mechanisms(): return ("ML-KEM-768",)
class Signature:
    def __init__(self, name, secret=None): self.name, self.secret = name, secret
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def generate_keypair(self): return b"public"
    def export_secret_key(self): return b"secret"
    def sign(self, message): return self.name.encode() + b"|" + message
    def verify(self, message, signature, public): return signature == self.name.encode() + b"|" + message
"""


def test_with_its_library_oqs_is_asked_first(tmp_path: Path) -> None:
    """A package in place of oqs, any library in place of liboqs: who is asked, for what, in which frame."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "oqs.py").write_text(FAKE)
    import ctypes.util

    real = next(p for p in Path("/proc/self/maps").read_text().split() if p.endswith(".so.6") and "libc" in p)
    (tmp_path / "lib" / "liboqs.so").symlink_to(real)
    code = (
        "from hsm_console.crypto.pq import providers as p; from hsm_console.domain.keys import Algorithm as A;"
        "m = p.maker(A.ML_DSA_65); s = m.sign(A.SLH_DSA_SHA2_128F, bytearray(b'k'), b'msg');"
        "m.verify(A.SLH_DSA_SHA2_128F, b'public', b'msg', s);"
        "print(m.name, s, p.maker(A.ML_DSA_44).name)\n"
        "try: m.verify(A.SLH_DSA_SHA2_128F, b'public', b'other', s)\n"
        "except ValueError: print('refused')"
    )
    environment = {**os.environ, "OQS_INSTALL_PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    if ctypes.util.find_library("oqs"):
        pytest.skip("liboqs is installed for the whole system here")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "liboqs b'SPHINCS+-SHA2-128f-simple|\\x00\\x00msg' cryptography (OpenSSL)", "refused"
    ]  # fmt: skip


@pytest.mark.parametrize("algorithm", [A.ML_DSA_65, A.ML_KEM_768, A.SLH_DSA_SHA2_128F])
def test_a_real_liboqs_agrees_with_the_others(algorithm: Algorithm) -> None:
    if not os.environ.get("OQS_INSTALL_PATH") or not liboqs.enabled(algorithm):
        pytest.skip("OQS_INSTALL_PATH names no liboqs here")
    public, private = providers.LIBOQS.generate(algorithm)
    if algorithm.is_kem:
        ciphertext, secret = providers.RUST.encapsulate(algorithm, public)
        assert providers.LIBOQS.decapsulate(algorithm, private, ciphertext) == secret
        return
    signature = providers.LIBOQS.sign(algorithm, private, b"message")
    for one in verifiers(algorithm):
        one.verify(algorithm, public, b"message", signature)
