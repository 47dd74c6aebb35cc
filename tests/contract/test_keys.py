"""Keys: made, found, used and destroyed the same way in every kind of token."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.crypto.pq import providers, spki
from hsm_console.domain.errors import ConsoleError, DeviceError, InputError
from hsm_console.domain.keys import Algorithm, Custody, KeyInfo, KeySpec, SignMechanism, Usage
from hsm_console.hsm.port import AesGcm, Unsupported
from hsm_console.hsm.worker import HsmClient

_NUMBERS = itertools.count(1)
PAIRS = [
    Algorithm.RSA_2048,
    Algorithm.RSA_3072,
    Algorithm.RSA_4096,
    Algorithm.EC_P256,
    Algorithm.EC_P384,
    Algorithm.EC_P521,
    Algorithm.ED25519,
]


def make(client: HsmClient, algorithm: Algorithm, *usages: Usage, extractable: bool = False) -> KeyInfo:
    number = next(_NUMBERS)
    return client.generate(
        KeySpec(
            algorithm=algorithm,
            label=f"key-{number}",
            object_id=number.to_bytes(16, "big"),
            usages=usages or (Usage.SIGN,),
            extractable=extractable,
        )
    )


def refused(call: object, family: type[ConsoleError] = DeviceError) -> str:
    with pytest.raises(family) as caught:
        call()  # type: ignore[operator]
    return caught.value.problem.code


@pytest.mark.parametrize("algorithm", PAIRS)
def test_pair_is_made_guarded_and_shown_with_its_public_half(shared: HsmClient, algorithm: Algorithm) -> None:
    key = make(shared, algorithm)
    attributes = key.attributes
    assert (attributes.token, attributes.private, attributes.sensitive) == (True, True, True)
    assert (attributes.always_sensitive, attributes.never_extractable, attributes.local) == (True, True, True)
    assert attributes.extractable is False
    assert attributes.usages == (Usage.SIGN,)
    assert shared.attributes(key.object_id) == attributes
    assert shared.find(object_id=key.object_id) == (key,)
    assert shared.find(label=key.label) == (key,)
    assert key in shared.find()
    public = load_der_public_key(key.spki)
    expected = {
        "r": rsa.RSAPublicKey,
        "e": ed25519.Ed25519PublicKey if algorithm is Algorithm.ED25519 else ec.EllipticCurvePublicKey,
    }[algorithm.value[0]]
    assert isinstance(public, expected)
    assert public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.spki


def test_lattice_and_hash_based_keys_in_the_device_or_wrapped_under_one_of_its_own(shared: HsmClient) -> None:
    info = shared.describe()
    assert not set(info.algorithms) & set(info.software_algorithms)
    for algorithm in (each for each in (*info.algorithms, *info.software_algorithms) if each.is_post_quantum):
        if algorithm.is_slh_dsa and not algorithm.value.endswith("128f"):
            continue  # the slow ones have tests of their own
        key = make(shared, algorithm, Usage.DERIVE if algorithm.is_kem else Usage.SIGN)
        assert (key.custody is Custody.SOFTWARE_WRAPPED) == (algorithm in info.software_algorithms)
        if algorithm.is_kem:
            ciphertext, secret = providers.encapsulate(*spki.decode(key.spki))
            assert shared.decapsulate(key.object_id, ciphertext) == secret
            continue
        mechanism = SignMechanism.SLH_DSA if algorithm.is_slh_dsa else SignMechanism.ML_DSA
        signature = shared.sign(key.object_id, mechanism, b"message")
        shared.verify(key.object_id, mechanism, b"message", signature)
        with pytest.raises(DeviceError, match="signature-invalid"):
            shared.verify(key.object_id, mechanism, b"another", signature)


def test_what_nobody_can_make_is_a_typed_answer(shared: HsmClient) -> None:
    info = shared.describe()
    for algorithm in set(Algorithm) - set(info.algorithms) - set(info.software_algorithms):
        with pytest.raises(Unsupported):
            make(shared, algorithm)


RSA = [mechanism for mechanism in SignMechanism if mechanism.value.startswith("rsa")]
ECDSA = [mechanism for mechanism in SignMechanism if mechanism.value.startswith("ecdsa")]
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


@pytest.fixture(scope="module")
def rsa_key(shared: HsmClient) -> KeyInfo:
    return make(shared, Algorithm.RSA_2048)


@pytest.mark.parametrize("mechanism", RSA)
@pytest.mark.parametrize("message", [b"", b"message", bytes(100_000)], ids=len)
def test_rsa_signature_verifies_elsewhere(
    shared: HsmClient, rsa_key: KeyInfo, mechanism: SignMechanism, message: bytes
) -> None:
    signature = shared.sign(rsa_key.object_id, mechanism, message)
    hash_ = HASHES[mechanism.value.rpartition("-")[2]]
    scheme = padding.PSS(padding.MGF1(hash_), hash_.digest_size) if "pss" in mechanism.value else padding.PKCS1v15()
    load_der_public_key(rsa_key.spki).verify(signature, message, scheme, hash_)  # type: ignore[union-attr,call-arg,arg-type]
    shared.verify(rsa_key.object_id, mechanism, message, signature)
    assert _verify_fails(shared, rsa_key, mechanism, message + b"!", signature)


@pytest.mark.parametrize("algorithm", [Algorithm.EC_P256, Algorithm.EC_P384, Algorithm.EC_P521])
@pytest.mark.parametrize("mechanism", ECDSA)
def test_ecdsa_signature_is_der_and_verifies_elsewhere(
    shared: HsmClient, algorithm: Algorithm, mechanism: SignMechanism
) -> None:
    key = make(shared, algorithm)
    public = load_der_public_key(key.spki)
    for message in (b"", b"message", bytes(100_000)):
        signature = shared.sign(key.object_id, mechanism, message)
        public.verify(signature, message, ec.ECDSA(HASHES[mechanism.value.rpartition("-")[2]]))  # type: ignore[union-attr,call-arg,arg-type]
        shared.verify(key.object_id, mechanism, message, signature)
        assert _verify_fails(shared, key, mechanism, message + b"!", signature)
    for nonsense in (b"", b"\x30\x00", b"\x00" * 96, signature[:-1], signature + b"\x00"):
        assert _verify_fails(shared, key, mechanism, message, nonsense)


def test_ed25519_signature_verifies_elsewhere(shared: HsmClient) -> None:
    key = make(shared, Algorithm.ED25519)
    for message in (b"", b"message", bytes(100_000)):
        signature = shared.sign(key.object_id, SignMechanism.ED25519, message)
        assert len(signature) == 64
        load_der_public_key(key.spki).verify(signature, message)  # type: ignore[union-attr,call-arg]
        shared.verify(key.object_id, SignMechanism.ED25519, message, signature)
        assert _verify_fails(shared, key, SignMechanism.ED25519, message + b"!", signature)
    with pytest.raises(InvalidSignature):
        load_der_public_key(key.spki).verify(bytes(64), b"message")  # type: ignore[union-attr,call-arg]


def test_hmac_is_deterministic_and_checked(shared: HsmClient) -> None:
    key = make(shared, Algorithm.HMAC_SHA256)
    assert key.spki == b""
    tag = shared.sign(key.object_id, SignMechanism.HMAC_SHA256, b"message")
    assert tag == shared.sign(key.object_id, SignMechanism.HMAC_SHA256, b"message")
    assert len(tag) == hashlib.sha256().digest_size
    shared.verify(key.object_id, SignMechanism.HMAC_SHA256, b"message", tag)
    assert _verify_fails(shared, key, SignMechanism.HMAC_SHA256, b"messagE", tag)


def _verify_fails(client: HsmClient, key: KeyInfo, mechanism: SignMechanism, data: bytes, signature: bytes) -> bool:
    return refused(lambda: client.verify(key.object_id, mechanism, data, signature)) == "signature-invalid"


def test_mechanism_of_another_kind_is_unsupported(shared: HsmClient, rsa_key: KeyInfo) -> None:
    for mechanism in (SignMechanism.ECDSA_SHA256, SignMechanism.ED25519, SignMechanism.ML_DSA, SignMechanism.SLH_DSA):
        assert refused(lambda m=mechanism: shared.sign(rsa_key.object_id, m, b"x"), Unsupported) == "unsupported"


def test_gcm_round_trip_with_fresh_ivs(shared: HsmClient, adapter: str) -> None:
    iv_bytes = 16 if adapter == "azure-dedicated-hsm@shim" else 12
    key = make(shared, Algorithm.AES_256, Usage.ENCRYPT)
    ivs = set()
    for plaintext in (b"x", b"a" * 1000, bytes(16_000) if adapter.endswith("@shim") else bytes(70_000)):
        message = shared.encrypt(key.object_id, plaintext, b"context")
        ivs.add(message.iv)
        assert (len(message.iv), len(message.tag), len(message.ciphertext)) == (iv_bytes, 16, len(plaintext))
        assert shared.decrypt(key.object_id, message, b"context") == plaintext
        assert shared.decrypt(key.object_id, shared.encrypt(key.object_id, plaintext)) == plaintext
    assert len(ivs) == 3


def test_gcm_refuses_every_change(shared: HsmClient) -> None:
    key = make(shared, Algorithm.AES_256, Usage.ENCRYPT)
    message = shared.encrypt(key.object_id, b"secret", b"context")
    flipped = bytes([message.ciphertext[0] ^ 1]) + message.ciphertext[1:]
    for changed, aad in (
        (message, b"other"),
        (AesGcm(iv=message.iv, ciphertext=flipped, tag=message.tag), b"context"),
        (AesGcm(iv=bytes(12), ciphertext=message.ciphertext, tag=message.tag), b"context"),
        (AesGcm(iv=message.iv, ciphertext=message.ciphertext, tag=bytes(16)), b"context"),
        (AesGcm(iv=message.iv, ciphertext=message.ciphertext, tag=message.tag[:4]), b"context"),
        (AesGcm(iv=b"", ciphertext=message.ciphertext, tag=message.tag), b"context"),
    ):
        assert refused(lambda c=changed, a=aad: shared.decrypt(key.object_id, c, a)) == "ciphertext-invalid"
    assert shared.decrypt(key.object_id, message, b"context") == b"secret"


def test_key_does_only_what_it_was_made_for(shared: HsmClient) -> None:
    signing = make(shared, Algorithm.EC_P256)
    cipher = make(shared, Algorithm.AES_256, Usage.ENCRYPT)
    agreeing = make(shared, Algorithm.EC_P256, Usage.DERIVE)
    peer = b"\x04" + bytes(64)
    for call in (
        lambda: shared.encrypt(signing.object_id, b"x"),
        lambda: shared.wrap(cipher.object_id, signing.object_id),
        lambda: shared.sign(agreeing.object_id, SignMechanism.ECDSA_SHA256, b"x"),
        lambda: shared.derive(signing.object_id, peer, 32),
    ):
        assert refused(call) == "key-not-permitted"


def test_wrapped_secret_key_comes_back_the_same(shared: HsmClient) -> None:
    wrapping = make(shared, Algorithm.AES_256, Usage.WRAP)
    key = make(shared, Algorithm.AES_256, Usage.ENCRYPT, extractable=True)
    message = shared.encrypt(key.object_id, b"secret")
    wrapped = shared.wrap(wrapping.object_id, key.object_id)
    assert len(wrapped) == 40  # RFC 5649: 32 bytes and one block
    spec = KeySpec(algorithm=Algorithm.AES_256, label="back", object_id=b"\xaa" * 16, usages=(Usage.ENCRYPT,))
    back = shared.unwrap(wrapping.object_id, wrapped, spec)
    assert back.attributes.local is False
    assert back.attributes.always_sensitive is False
    assert back.attributes.never_extractable is False
    assert shared.decrypt(back.object_id, message) == b"secret"
    broken = bytes([wrapped[0] ^ 1]) + wrapped[1:]
    spec = KeySpec(algorithm=Algorithm.AES_256, label="b2", object_id=b"\xab" * 16, usages=(Usage.ENCRYPT,))
    assert refused(lambda: shared.unwrap(wrapping.object_id, broken, spec)) == "ciphertext-invalid"
    assert shared.find(object_id=b"\xab" * 16) == ()


def test_non_extractable_key_is_not_wrapped(shared: HsmClient) -> None:
    wrapping = make(shared, Algorithm.AES_256, Usage.WRAP)
    for key in (make(shared, Algorithm.AES_256, Usage.ENCRYPT), make(shared, Algorithm.EC_P256)):
        assert refused(lambda k=key: shared.wrap(wrapping.object_id, k.object_id)) == "key-not-extractable"


@pytest.mark.parametrize("algorithm", [Algorithm.EC_P256, Algorithm.EC_P384, Algorithm.EC_P521])
def test_agreement_gives_what_the_other_side_gets(shared: HsmClient, algorithm: Algorithm) -> None:
    key = make(shared, algorithm, Usage.DERIVE)
    public = load_der_public_key(key.spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    other = ec.generate_private_key(public.curve)
    point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    expected = other.exchange(ec.ECDH(), public)
    assert shared.derive(key.object_id, point, len(expected)) == expected
    assert shared.derive(key.object_id, point, 16) == expected[:16]
    before = len(shared.find())
    for nonsense in (b"", b"\x04", b"\x02" + bytes(32), b"\x04" + b"\x01" * (2 * len(expected))):
        with pytest.raises(ConsoleError):
            shared.derive(key.object_id, nonsense, 16)
    assert len(shared.find()) == before


def test_taken_id_and_taken_label_are_refused(token: HsmClient) -> None:
    first = KeySpec(algorithm=Algorithm.EC_P256, label="first", object_id=b"\x01" * 16)
    token.generate(first)
    token.generate(KeySpec(algorithm=Algorithm.AES_256, label="aes", object_id=b"\x02" * 16, usages=(Usage.ENCRYPT,)))
    for label, number in (("first", 9), ("aes", 9), ("other", 1), ("other", 2)):
        spec = KeySpec(algorithm=Algorithm.EC_P384, label=label, object_id=bytes([number]) * 16)
        assert refused(lambda s=spec: token.generate(s)) == "label-taken"
    assert len(token.find()) == 2


@pytest.mark.parametrize("label", ["", "x" * 65, "schlüssel", "two\nlines", "nul\0"])
def test_label_no_token_keeps_faithfully_is_refused(shared: HsmClient, label: str) -> None:
    spec = KeySpec(algorithm=Algorithm.EC_P256, label=label, object_id=b"\x77" * 16)
    assert refused(lambda: shared.generate(spec), InputError) == "label-unusable"


def test_destroyed_key_is_gone(token: HsmClient) -> None:
    pair = make(token, Algorithm.EC_P384)
    secret = make(token, Algorithm.HMAC_SHA256)
    assert token.sign(pair.object_id, SignMechanism.ECDSA_SHA384, b"x")
    assert token.destroy(pair.object_id) == 2
    assert token.destroy(secret.object_id) == 1
    assert token.find() == ()
    for call in (
        lambda: token.destroy(pair.object_id),
        lambda: token.sign(pair.object_id, SignMechanism.ECDSA_SHA384, b"x"),
        lambda: token.attributes(pair.object_id),
    ):
        assert refused(call) == "object-missing"


def test_unknown_key_is_missing_in_every_call(shared: HsmClient, adapter: str) -> None:
    nobody = b"\xee" * 16
    for call in (
        lambda: shared.sign(nobody, SignMechanism.ED25519, b"x"),
        lambda: shared.verify(nobody, SignMechanism.ED25519, b"x", bytes(64)),
        lambda: shared.encrypt(nobody, b"x"),
        lambda: shared.wrap(nobody, nobody),
        lambda: shared.attributes(nobody),
        lambda: shared.destroy(nobody),
    ):
        answer = refused(call)
        assert answer == "object-missing" or (answer == "unsupported" and adapter.endswith("@shim"))
    assert shared.find(object_id=nobody) == ()
    assert shared.find(label="nobody") == ()
