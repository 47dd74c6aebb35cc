"""Keys at work outside ceremonies: what is refused, what is recorded, what the module is never asked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.client import device, work
from hsm_console.client.session import Session
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, Custody, Grade, KeySpec, SignMechanism, Usage
from hsm_console.domain.messages import work as msg
from hsm_console.gateway import projections
from hsm_console.gateway.services.recorded import perform

Helpers = dict[str, Callable[..., Any]]
A, M, U = Algorithm, SignMechanism, Usage


def make(gateway: Any, algorithm: Algorithm, usage: Usage, label: str = "") -> str:
    """A key in the token and in the log's inventory, announced as the console announces it."""
    core = gateway.core
    label = label or f"{algorithm.value} {usage.value}"
    intent = ev.OperationIntended(operation=ev.Operation.GENERATE, algorithm=algorithm, label=label, usages=(usage,))

    def act(announced: ev.Recorded) -> tuple[ev.OperationSucceeded, str]:
        wanted = object_id(bytes.fromhex(announced.fingerprint))
        made = core.device.hsm().generate(KeySpec(algorithm=algorithm, label=label, object_id=wanted, usages=(usage,)))
        done = ev.OperationSucceeded(
            intent=announced.seq, operation=ev.Operation.GENERATE, key_id=wanted.hex(), label=label,
            algorithm=algorithm, spki=base64.b64encode(made.spki).decode(), custody=made.custody,
            fingerprint=hashlib.sha256(made.spki).hexdigest() if made.spki else "", attributes=made.attributes,
            grade=Grade.D,
        )  # fmt: skip
        return done, wanted.hex()

    return perform(core, core.sessions.live[0], intent, act)[1]


def pem(gateway: Any, key_id: str) -> str:
    with gateway.core.reading() as conn:
        row = projections.key(conn, key_id)
    assert row is not None
    return f"-----BEGIN PUBLIC KEY-----\n{row.spki}\n-----END PUBLIC KEY-----\n"


def public(gateway: Any, key_id: str) -> Any:
    with gateway.core.reading() as conn:
        row = projections.key(conn, key_id)
    assert row is not None
    return load_der_public_key(base64.b64decode(row.spki))


def reserved(gateway: Any, purpose: str) -> str:
    with gateway.core.reading() as conn:
        return next(row.object_id for row in projections.keys(conn) if row.purpose == purpose)


def events(gateway: Any, since: int) -> list[Any]:
    """What was recorded, without what the console noticed by itself meanwhile."""
    log = gateway.core.log
    found = (log.read(seq).event for seq in range(since, log.size))
    return [event for event in found if not isinstance(event, ev.AlertRaised | ev.Heartbeat | ev.LogChecked)]


def kinds(gateway: Any, since: int) -> list[str]:
    return [str(event.__struct_config__.tag) for event in events(gateway, since)]


USES = ("sign", "verify", "encrypt", "decrypt", "derive", "oaep_decrypt", "decapsulate")


def used(spy: Any) -> list[str]:
    return [name for name in spy.calls if name in USES]


# -- attacks ------------------------------------------------------------------------------------------------------


def test_who_has_no_role_for_it_uses_no_key(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    house.admin()
    key = make(gateway, A.EC_P256, U.SIGN)
    for uid in ("claude", "joan", "alan"):
        session, size = house.be(uid), gateway.core.log.size
        spy.calls.clear()
        for call in (
            lambda s=session: work.sign(s, key, M.ECDSA_SHA256, b"m"),
            lambda s=session: work.encrypt(s, key, b"m"),
            lambda s=session: work.decrypt(s, key, b"m"),
            lambda s=session: work.random(s, 32),
            lambda s=session: work.wrapped(s, "0" * 64),
        ):
            assert helpers["refusal"](call) == "role-refused"
        assert used(spy) == []
        assert kinds(gateway, size) == ["action-refused"] * 5
        assert work.detail(session, key).label  # looking is for everybody


@pytest.mark.parametrize("purpose", ["authority", "log"])
def test_the_console_s_own_keys_do_nothing_else(spied: Any, helpers: Helpers, purpose: str) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    key = reserved(gateway, purpose)
    detail = work.detail(ada, key)
    assert "sign" not in detail.acts
    assert "does nothing else" in detail.why_not["sign"]
    spy.calls.clear()
    size = gateway.core.log.size
    assert helpers["refusal"](lambda: work.sign(ada, key, detail.mechanisms[0], b"m")) == "key-reserved"
    assert "sign" not in spy.calls
    assert kinds(gateway, size) == ["action-refused"]


def test_a_key_that_seals_the_log_is_reserved_from_then_on(spied: Any, helpers: Helpers) -> None:
    gateway, _, house = spied
    ada = house.admin()
    key = make(gateway, A.EC_P256, U.DERIVE)
    assert "decrypt" in work.detail(ada, key).acts
    gateway.core.log.append([ev.Draft(event=ev.SealKeyInForce(key_id=key, spki=""))])
    assert work.detail(ada, key).purpose == "seal"
    assert helpers["refusal"](lambda: work.decrypt(ada, key, b"m")) == "key-reserved"


def test_a_key_does_only_what_it_was_made_for(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    signing, agreeing = make(gateway, A.EC_P256, U.SIGN), make(gateway, A.EC_P256, U.DERIVE)
    refusal = helpers["refusal"]
    spy.calls.clear()
    assert refusal(lambda: work.decrypt(ada, signing, b"m")) == "usage-refused"
    assert refusal(lambda: work.encrypt(ada, signing, b"m")) == "usage-refused"
    assert refusal(lambda: work.sign(ada, agreeing, M.ECDSA_SHA256, b"m")) == "usage-refused"
    wish = msg.DeriveRequest(key_id=signing, peer_spki_pem=pem(gateway, agreeing), info=b"")
    assert refusal(lambda: work.derive(ada, wish)) == "usage-refused"
    assert refusal(lambda: work.sign(ada, signing, M.RSA_PSS_SHA256, b"m")) == "mechanism-refused"
    assert refusal(lambda: work.sign(ada, "00" * 16, M.ECDSA_SHA256, b"m")) == "not-found"
    assert used(spy) == []


def full(*_: Any, **__: Any) -> Any:
    raise EnvironmentFault(Problem(code="disk-full", what="No space is left.", todo="Make room."))


def test_the_module_is_not_asked_when_the_log_cannot_be_written(
    spied: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    signing, secret = make(gateway, A.EC_P256, U.SIGN), make(gateway, A.AES_256, U.ENCRYPT)
    envelope = work.encrypt(ada, secret, b"m").envelope
    monkeypatch.setattr(gateway.core.log, "append", full)
    spy.calls.clear()
    for call in (
        lambda: work.sign(ada, signing, M.ECDSA_SHA256, b"m"),
        lambda: work.encrypt(ada, secret, b"m"),
        lambda: work.decrypt(ada, secret, envelope),
        lambda: work.random(ada, 32),
    ):
        assert helpers["refusal"](call) == "disk-full"
    assert used(spy) == []


def test_an_outcome_that_cannot_be_written_gives_no_signature_out(
    spied: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    key = make(gateway, A.EC_P256, U.SIGN)
    spy.after["sign"] = lambda: monkeypatch.setattr(gateway.core.log, "append", full)
    assert helpers["refusal"](lambda: work.sign(ada, key, M.ECDSA_SHA256, b"m")) == "disk-full"
    monkeypatch.undo()
    assert work.sign(ada, key, M.ECDSA_SHA256, b"m").signature


def test_a_locked_device_is_told_before_anything_is_announced(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    key = make(gateway, A.EC_P256, U.SIGN)
    signature = work.sign(ada, key, M.ECDSA_SHA256, b"m").signature
    device.lock(ada)
    size = gateway.core.log.size
    spy.calls.clear()
    for call in (
        lambda: work.sign(ada, key, M.ECDSA_SHA256, b"m"), lambda: work.random(ada, 32), lambda: work.offers(ada)
    ):  # fmt: skip
        assert helpers["refusal"](call) == "device-locked"
    assert kinds(gateway, size) == []
    wish = msg.VerifyRequest(mechanism=M.ECDSA_SHA256, data=b"m", signature=signature, key_id=key)
    assert work.verify(ada, wish).label  # needs no device, and is recorded
    assert kinds(gateway, size) == ["operation-intended", "operation-succeeded"]
    assert used(spy) == []


def test_a_wrong_signature_is_found_and_both_are_recorded(spied: Any, helpers: Helpers) -> None:
    gateway, _, house = spied
    ada, alan = house.admin(), house.be("alan")
    key = make(gateway, A.EC_P256, U.SIGN)
    signature = work.sign(ada, key, M.ECDSA_SHA256, b"the contract").signature
    good = msg.VerifyRequest(mechanism=M.ECDSA_SHA256, data=b"the contract", signature=signature, key_id=key)
    by_key = work.verify(alan, good)
    stranger = msg.VerifyRequest(
        mechanism=M.ECDSA_SHA256, data=b"the contract", signature=signature, spki_pem=pem(gateway, key)
    )
    by_pem = work.verify(alan, stranger)
    assert by_key.fingerprint == by_pem.fingerprint
    assert by_key.words == by_pem.words != ()
    assert by_key.verified_by.startswith("cryptography")
    size = gateway.core.log.size
    changed = bytes([signature[0]]) + signature[1:-1] + bytes([signature[-1] ^ 1])
    for data, proof in ((b"the contracT", signature), (b"the contract", changed), (b"the contract", b"")):
        wish = msg.VerifyRequest(mechanism=M.ECDSA_SHA256, data=data, signature=proof, key_id=key)
        assert helpers["refusal"](lambda w=wish: work.verify(alan, w)) == "signature-invalid"
    assert kinds(gateway, size) == ["operation-intended", "operation-failed"] * 3
    for broken in ("", "nonsense", pem(gateway, key)[:-40]):
        wish = msg.VerifyRequest(mechanism=M.ECDSA_SHA256, data=b"m", signature=signature, spki_pem=broken)
        assert helpers["refusal"](lambda w=wish: work.verify(alan, w)) in ("public-key-unreadable", "key-unnamed")


def test_a_token_that_signs_wrongly_is_found_out(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    key = make(gateway, A.EC_P256, U.SIGN)
    honest = spy.real.sign
    spy.real.sign = lambda wanted, mechanism, data: honest(wanted, mechanism, data + b"!")
    size = gateway.core.log.size
    assert helpers["refusal"](lambda: work.sign(ada, key, M.ECDSA_SHA256, b"m")) == "signature-not-verified"
    assert kinds(gateway, size) == ["operation-intended", "operation-failed"]


def test_a_stuck_generator_gives_nothing_out(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    spy.real.random = bytes
    size = gateway.core.log.size
    assert helpers["refusal"](lambda: work.random(ada, 32)) == "random-source-stuck"
    assert kinds(gateway, size) == ["operation-intended", "operation-failed"]
    del spy.real.random
    assert len(work.random(ada, 32).data) == 32


def test_a_device_that_ends_in_the_middle_leaves_the_intent_open(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    key = make(gateway, A.EC_P256, U.SIGN)

    spy.before["sign"] = spy.real.kill
    assert helpers["refusal"](lambda: work.sign(ada, key, M.ECDSA_SHA256, b"m")) == "device-crashed"
    assert device.state(ada).unlocked is False
    ada = house.admin()
    last = [event for event in events(gateway, 0) if isinstance(event, ev.OperationInterrupted)]
    assert [(event.operation.value, event.found) for event in last] == [("sign", "not-done")]
    assert work.sign(ada, key, M.ECDSA_SHA256, b"m").signature


def test_a_bug_in_the_gateway_ends_the_intent_and_gives_nothing_out(
    spied: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, _, house = spied
    ada = house.admin()
    key = make(gateway, A.EC_P256, U.SIGN)

    def broken(*_: Any) -> str:
        raise RuntimeError("not meant to happen")

    monkeypatch.setattr("hsm_console.gateway.services.second.verify", broken)
    size = gateway.core.log.size
    assert helpers["refusal"](lambda: work.sign(ada, key, M.ECDSA_SHA256, b"m")) == "gateway-bug"
    outcome = events(gateway, size)[1]
    assert (outcome.code, "not meant" in outcome.text) == ("gateway-bug", False)


def test_many_who_sign_at_once_each_get_their_own(spied: Any) -> None:
    gateway, _, house = spied
    house.admin()
    keys = [make(gateway, A.EC_P256, U.SIGN, f"key {n}") for n in range(3)]
    sessions = [house.be(uid) for uid in ("ada", "hedy", "both")]
    size = gateway.core.log.size

    def sign(number: int) -> tuple[int, msg.SignReply]:
        session, key = sessions[number % 3], keys[(number // 3) % 3]
        return number, work.sign(session, key, M.ECDSA_SHA256, f"message {number}".encode())

    with ThreadPoolExecutor(6) as pool:
        replies = dict(pool.map(sign, range(36)))
    for number, reply in replies.items():
        spki = public(gateway, keys[(number // 3) % 3])
        spki.verify(reply.signature, f"message {number}".encode(), ec.ECDSA(SHA256()))
    assert len({reply.entry for reply in replies.values()}) == 36
    told = [event for event in events(gateway, size) if isinstance(event, ev.OperationSucceeded)]
    assert len({event.intent for event in told}) == 36


# -- envelopes ----------------------------------------------------------------------------------------------------

ENVELOPES = [
    (A.RSA_2048, U.ENCRYPT), (A.EC_P256, U.DERIVE), (A.EC_P384, U.DERIVE), (A.EC_P521, U.DERIVE),
    (A.AES_256, U.ENCRYPT), (A.ML_KEM_768, U.DERIVE), (A.ML_KEM_1024, U.DERIVE),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "usage"), ENVELOPES)
def test_what_is_encrypted_is_opened_and_nothing_else(
    spied: Any, helpers: Helpers, algorithm: Algorithm, usage: Usage
) -> None:
    gateway, _, house = spied
    ada = house.admin()
    key, other = make(gateway, algorithm, usage), make(gateway, algorithm, usage, "another one")
    for data, aad in ((b"", b""), (b"for her eyes", b""), (b"for her eyes", b"case 7"), (bytes(9000), b"case 7")):
        sealed = work.encrypt(ada, key, data, aad, "letter.txt")
        assert sealed.format == ("jwe" if algorithm is A.AES_256 else "cms")
        assert data not in sealed.envelope or not data
        assert work.decrypt(ada, key, sealed.envelope, aad).data == data
        refusal = helpers["refusal"]
        assert refusal(lambda e=sealed, a=aad: work.decrypt(ada, other, e.envelope, a)) == "ciphertext-invalid"
        assert refusal(lambda e=sealed, a=aad: work.decrypt(ada, key, e.envelope, a + b"!")) == "ciphertext-invalid"


def opened(session: Session, key: str, envelope: bytes, aad: bytes) -> str:
    """The text, or the code of what was told: CMS does not authenticate how a recipient is told her key."""
    try:
        return work.decrypt(session, key, envelope, aad).data.decode()
    except ConsoleError as error:
        return error.problem.code


@pytest.mark.parametrize(("algorithm", "usage"), ENVELOPES)
def test_a_changed_envelope_never_gives_anything_else(
    spied: Any, helpers: Helpers, algorithm: Algorithm, usage: Usage
) -> None:
    gateway, _, house = spied
    ada = house.admin()
    key = make(gateway, algorithm, usage)
    envelope = work.encrypt(ada, key, b"for her eyes", b"case 7").envelope
    for position in {*range(0, len(envelope), max(1, len(envelope) // 40)), len(envelope) - 1}:
        changed = bytearray(envelope)
        changed[position] ^= 1
        found = opened(ada, key, bytes(changed), b"case 7")
        assert found in ("for her eyes", "ciphertext-invalid", "envelope-unreadable"), position
    for broken in (b"", b"{}", b"nonsense", envelope[:-1], envelope + b"\x00"):
        code = helpers["refusal"](lambda b=broken: work.decrypt(ada, key, b, b"case 7"))
        assert code in ("ciphertext-invalid", "envelope-unreadable"), broken[:10]


def test_messages_that_are_too_long_are_told_so(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    signing, secret = make(gateway, A.ED25519, U.SIGN), make(gateway, A.AES_256, U.ENCRYPT)
    large = bytes(12 * 1024 * 1024)
    assert work.decrypt(ada, secret, work.encrypt(ada, secret, large).envelope).data == large
    spy.calls.clear()
    refusal = helpers["refusal"]
    assert refusal(lambda: work.encrypt(ada, secret, large + b"!")) == "message-too-large"
    assert refusal(lambda: work.sign(ada, signing, M.ED25519, bytes(16 * 1024 * 1024 + 1))) == "message-too-large"
    assert used(spy) == []


# -- the rest -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "mechanisms"),
    [
        (A.RSA_2048, [m for m in M if m.value.startswith("rsa")]),
        (A.EC_P256, [M.ECDSA_SHA256, M.ECDSA_SHA384, M.ECDSA_SHA512]),
        (A.EC_P521, [M.ECDSA_SHA512]), (A.ED25519, [M.ED25519]), (A.HMAC_SHA256, [M.HMAC_SHA256]),
        (A.ML_DSA_65, [M.ML_DSA]), (A.SLH_DSA_SHA2_128F, [M.SLH_DSA]),
    ],
)  # fmt: skip
def test_each_kind_of_key_signs_and_is_verified_elsewhere(
    spied: Any, helpers: Helpers, algorithm: Algorithm, mechanisms: list[SignMechanism]
) -> None:
    gateway, _, house = spied
    ada = house.admin()
    key = make(gateway, algorithm, U.SIGN)
    detail = work.detail(ada, key)
    assert set(mechanisms) <= set(detail.mechanisms)
    for mechanism in mechanisms:
        size = gateway.core.log.size
        reply = work.sign(ada, key, mechanism, b"the contract", "contract.pdf")
        outcome = gateway.core.log.read(reply.entry).event
        intent = gateway.core.shown(gateway.core.log.read(outcome.intent)).event
        assert intent.input_name == "contract.pdf"
        assert intent.input_sha256 == hashlib.sha256(b"the contract").hexdigest()
        assert size <= outcome.intent < reply.entry
        assert outcome.output_sha256 == hashlib.sha256(reply.signature).hexdigest()
        assert reply.verified_by
        assert reply.custody is (Custody.SOFTWARE_WRAPPED if algorithm.is_slh_dsa else Custody.DEVICE)
        wish = msg.VerifyRequest(mechanism=mechanism, data=b"the contract", signature=reply.signature, key_id=key)
        assert work.verify(ada, wish).entry > reply.entry
        wrong = msg.VerifyRequest(mechanism=mechanism, data=b"another", signature=reply.signature, key_id=key)
        assert helpers["refusal"](lambda w=wrong: work.verify(ada, w)) == "signature-invalid"


def test_pss_is_what_others_call_pss(spied: Any) -> None:
    gateway, _, house = spied
    ada = house.admin()
    key = make(gateway, A.RSA_2048, U.SIGN)
    signature = work.sign(ada, key, M.RSA_PSS_SHA256, b"m").signature
    public(gateway, key).verify(signature, b"m", padding.PSS(padding.MGF1(SHA256()), 32), SHA256())


@pytest.mark.parametrize("algorithm", [A.EC_P256, A.EC_P384, A.EC_P521])
def test_both_sides_agree_on_a_secret(spied: Any, helpers: Helpers, algorithm: Algorithm) -> None:
    gateway, _, house = spied
    ada = house.admin()
    key = make(gateway, algorithm, U.DERIVE)
    peer = ec.generate_private_key(public(gateway, key).curve)
    theirs = peer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    wish = msg.DeriveRequest(key_id=key, peer_spki_pem=theirs, info=b"session 1", length=48)
    size = gateway.core.log.size
    reply = work.derive(ada, wish)
    shared = peer.exchange(ec.ECDH(), public(gateway, key))
    assert reply.secret == HKDF(algorithm=SHA256(), length=48, salt=None, info=b"session 1").derive(shared)
    outcome = events(gateway, size)[1]
    assert outcome.output_sha256 == ""  # a secret leaves no trace to guess at
    other = ec.SECP384R1() if algorithm is A.EC_P256 else ec.SECP256R1()
    stranger = ec.generate_private_key(other).public_key()
    off = stranger.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    wrong = msg.DeriveRequest(key_id=key, peer_spki_pem=off, info=b"")
    assert helpers["refusal"](lambda: work.derive(ada, wrong)) == "public-key-other-curve"


def test_random_octets_differ_and_stand_in_no_entry(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    one, two = work.random(ada, 4096), work.random(ada, 1)
    assert (len(one.data), len(two.data)) == (4096, 1)
    assert one.sources == ("the device", "the operating system")
    assert (one.tested, two.tested) == (1024 + 8192, 1024 + 8192 + 128), "the start-up test counts, and each draw"
    assert spy.calls.count("random") >= 3  # the start-up test has its own octets
    assert one.data[:16] not in gateway.core.log.body(one.entry)
    for length in (0, -1, 4097):
        assert helpers["refusal"](lambda n=length: work.random(ada, n)) == "length-refused"


def test_what_is_offered_can_be_made(spied: Any) -> None:
    gateway, _, house = spied
    ada = house.admin()
    offers = {offer.algorithm: offer for offer in work.offers(ada)}
    assert {A.RSA_4096, A.EC_P384, A.ED25519, A.AES_256, A.HMAC_SHA256, A.ML_DSA_65, A.ML_KEM_768} <= set(offers)
    assert offers[A.SLH_DSA_SHA2_128F].custody is Custody.SOFTWARE_WRAPPED
    assert "software key" in offers[A.SLH_DSA_SHA2_128F].note
    assert offers[A.ML_DSA_65].custody is Custody.DEVICE
    assert A.OTHER not in offers
    key = make(gateway, A.AES_256, U.WRAP)
    detail = work.detail(house.be("joan"), key)
    assert detail.acts == ("wrap", "unwrap")
    assert "made for wrapping keys" in detail.why_not["encrypt"]
