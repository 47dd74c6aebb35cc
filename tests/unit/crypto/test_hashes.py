"""Hashes and key derivation against the vectors their standards publish; mixing against its own promises."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hsm_console.crypto import compare, hashes, kdf
from hsm_console.domain.errors import EnvironmentFault, VerificationFailed
from hsm_console.domain.secret import Secret

# FIPS 180-4 and FIPS 202 example values for the message "abc" (NIST Cryptographic Standards and Guidelines, examples).
ABC = {
    hashes.Hash.SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    hashes.Hash.SHA384: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
    "8086072ba1e7cc2358baeca134c825a7",
    hashes.Hash.SHA512: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    hashes.Hash.SHA3_256: "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
    hashes.Hash.SHA3_384: "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
    "98d88cea927ac7f539f1edf228376d25",
    hashes.Hash.SHA3_512: "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
    "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
}


@pytest.mark.parametrize("algorithm", list(hashes.Hash))
def test_published_digests(algorithm: hashes.Hash, tmp_path: Path) -> None:
    assert hashes.digest(b"abc", algorithm).hex() == ABC[algorithm]
    (tmp_path / "abc").write_bytes(b"abc")
    assert hashes.file_digest(tmp_path / "abc", algorithm).hex() == ABC[algorithm]


def test_shake_of_nothing() -> None:
    """FIPS 202 examples, message of length 0."""
    assert hashes.shake(b"", 16, hashes.Xof.SHAKE128).hex() == "7f9c2ba4e88f827d616045507605853e"
    assert hashes.shake(b"", 32).hex() == "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f"
    with pytest.raises(ValueError, match="at least one"):
        hashes.shake(b"", 0)


def test_an_unreadable_file_has_its_name(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="file-unreadable"):
        hashes.file_digest(tmp_path / "absent")


def test_scrypt_vector_of_rfc_7914() -> None:
    """RFC 7914 12, third vector; its salt is shorter than ours may be, so the primitive itself is held to it."""
    expected = (
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )
    assert Scrypt(salt=b"SodiumChloride", length=64, n=16384, r=8, p=1).derive(b"pleaseletmein").hex() == expected
    ours = kdf.scrypt(Secret("pleaseletmein"), b"SodiumChloride..", 64, kdf.ScryptParameters(n=16384, r=8, p=1))
    theirs = Scrypt(salt=b"SodiumChloride..", length=64, n=16384, r=8, p=1).derive(b"pleaseletmein")
    assert ours == theirs


def test_argon2id_vector_of_rfc_9106() -> None:
    """RFC 9106 5.3: with secret and associated data, which our own function does not take."""
    function = Argon2id(
        salt=b"\x02" * 16, length=32, iterations=3, lanes=4, memory_cost=32, ad=b"\x04" * 12, secret=b"\x03" * 8
    )
    expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    assert function.derive(b"\x01" * 32).hex() == expected
    small = kdf.Argon2Parameters(memory_kib=64, iterations=1, lanes=1)
    same = Argon2id(salt=b"\x02" * 16, length=32, iterations=1, lanes=1, memory_cost=64).derive(b"passphrase")
    assert kdf.argon2id(Secret("passphrase"), b"\x02" * 16, 32, small) == same


@pytest.mark.parametrize("function", [kdf.scrypt, kdf.argon2id])
def test_a_short_salt_is_refused(function: object) -> None:
    with pytest.raises(ValueError, match="salt"):
        function(Secret("x"), b"short")  # type: ignore[operator]


def test_parameters_that_would_exhaust_the_machine() -> None:
    with pytest.raises(ValueError, match="4 GiB"):
        kdf.scrypt(Secret("x"), bytes(16), parameters=kdf.ScryptParameters(n=1 << 24, r=8, p=1))
    with pytest.raises(ValueError, match="4 GiB"):
        kdf.argon2id(Secret("x"), bytes(16), parameters=kdf.Argon2Parameters(memory_kib=1 << 23, iterations=1, lanes=1))


def test_comparison_raises_and_quotes_nothing() -> None:
    compare.require_equal(b"same", b"same", "The digest")
    with pytest.raises(VerificationFailed) as caught:
        compare.require_equal(b"one-value", b"another", "The digest")
    assert "one-value" not in str(caught.value)
    assert caught.value.problem.what.startswith("The digest")
