"""A key copied from one token to another: a wrapping key that both agree on, and that neither gives out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, Unsupported
from hsm_console.hsm.worker import HsmClient

USER_PIN = "user-pin-1357"
AGREE, WRAP = b"\xa1" * 16, b"\xa2" * 16
Pair = tuple[HsmClient, HsmClient]


def point(spki: bytes) -> bytes:
    key = load_der_public_key(spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def spec(algorithm: Algorithm, label: str, object_id: bytes, usage: Usage, **more: object) -> KeySpec:
    return KeySpec(algorithm=algorithm, label=label, object_id=object_id, usages=(usage,), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair(make_token: Callable[[Path], Binding], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two tokens that have agreed on a wrapping key."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("one", "other"):
            client = stack.enter_context(HsmClient(make_token(tmp_path_factory.mktemp(name))))
            client.log_in(Secret(USER_PIN))
            found.append(client)
        one, other = found
        points = [point(c.generate(spec(Algorithm.EC_P256, "agree", AGREE, Usage.DERIVE)).spki) for c in found]
        for client, theirs in ((one, points[1]), (other, points[0])):
            made = client.agree(AGREE, theirs, spec(Algorithm.AES_256, "shared", WRAP, Usage.WRAP))
            assert (made.object_id, made.algorithm) == (WRAP, Algorithm.AES_256)
            assert made.attributes.sensitive is not False
            assert made.attributes.extractable is False
            assert made.attributes.local is not True
        yield one, other


@pytest.mark.parametrize(
    ("algorithm", "mechanism"),
    [
        (Algorithm.EC_P256, SignMechanism.ECDSA_SHA256),
        (Algorithm.EC_P384, SignMechanism.ECDSA_SHA384),
        (Algorithm.EC_P521, SignMechanism.ECDSA_SHA512),
        (Algorithm.ED25519, SignMechanism.ED25519),
        (Algorithm.RSA_2048, SignMechanism.RSA_PSS_SHA256),
        (Algorithm.HMAC_SHA256, SignMechanism.HMAC_SHA256),
    ],
)
def test_a_copied_key_signs_as_the_first_one(
    pair: Pair, adapter: str, algorithm: Algorithm, mechanism: SignMechanism
) -> None:
    one, other = pair
    object_id = algorithm.value.encode()[:16]
    key = one.generate(spec(algorithm, f"copy {algorithm.value}", object_id, Usage.SIGN, extractable=True))
    if adapter != "simulation" and algorithm is Algorithm.ED25519:  # SoftHSM 2.6 has no PKCS #8 form of it
        with pytest.raises(ConsoleError) as caught:
            one.wrap(WRAP, object_id)
        assert caught.value.problem.code == "key-not-extractable"
        return
    wrapped = one.wrap(WRAP, object_id)
    copy = other.unwrap(
        WRAP, wrapped, spec(algorithm, key.label, object_id, Usage.SIGN, extractable=True, spki=key.spki)
    )
    assert (copy.object_id, copy.label, copy.algorithm, copy.spki) == (object_id, key.label, algorithm, key.spki)
    assert other.find(object_id=object_id) == (copy,)
    one.verify(object_id, mechanism, b"text", other.sign(object_id, mechanism, b"text"))
    other.verify(object_id, mechanism, b"text", one.sign(object_id, mechanism, b"text"))


def test_a_key_that_cannot_leave_is_not_copied(pair: Pair) -> None:
    one, _ = pair
    one.generate(spec(Algorithm.EC_P256, "stays", b"stays", Usage.SIGN))
    with pytest.raises(ConsoleError):
        one.wrap(WRAP, b"stays")
    with pytest.raises(ConsoleError):
        one.wrap(WRAP, WRAP)


def test_nothing_is_left_of_a_copy_that_failed(pair: Pair) -> None:
    one, other = pair
    key = one.generate(spec(Algorithm.EC_P256, "broken", b"broken", Usage.SIGN, extractable=True))
    wrapped = one.wrap(WRAP, b"broken")
    damaged = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    wanted = spec(Algorithm.EC_P256, "broken", b"broken", Usage.SIGN, spki=key.spki)
    with pytest.raises(ConsoleError) as caught:
        other.unwrap(WRAP, damaged, wanted)
    assert caught.value.problem.code == "ciphertext-invalid"
    assert other.find(object_id=b"broken") == ()


def test_a_point_that_is_none_is_refused(pair: Pair) -> None:
    one, _ = pair
    for theirs in (b"", b"\x04" + bytes(64), b"\x02" + bytes(32)):
        with pytest.raises(ConsoleError):
            one.agree(AGREE, theirs, spec(Algorithm.AES_256, "none", b"none", Usage.WRAP))
    assert one.find(object_id=b"none") == ()


def test_agreed_key_is_derived_for_the_text_that_names_it(pair: Pair) -> None:
    one, other = pair
    points = [point(client.find(object_id=AGREE)[0].spki) for client in pair]
    wanted = spec(Algorithm.AES_256, "derived", b"derived", Usage.ENCRYPT)
    try:
        one.agree(AGREE, points[1], wanted, b"for this")
    except Unsupported:  # SoftHSM knows no KDF: said before anything is made, so that the secret itself can be taken
        assert one.find(object_id=b"derived") == ()
        return
    other.agree(AGREE, points[0], wanted, b"for this")
    assert other.decrypt(b"derived", one.encrypt(b"derived", b"text")) == b"text"
    other.agree(AGREE, points[0], spec(Algorithm.AES_256, "else", b"else", Usage.ENCRYPT), b"for something else")
    with pytest.raises(ConsoleError):
        other.decrypt(b"else", one.encrypt(b"derived", b"text"))
