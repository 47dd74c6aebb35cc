"""Work with keys outside ceremonies: sign, verify, agree on secrets, draw random octets; what may be made and done.

Each goes the way of the house: authorised by its route, looked at (`work_keys`), announced durably, done by the
device, verified by a second implementation, recorded durably, answered. What envelopes need stands in `work_envelopes`.
"""

from __future__ import annotations

import base64
import contextlib

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hsm_console.crypto import words
from hsm_console.crypto.hashes import fingerprint
from hsm_console.crypto.pq import spki as post_quantum
from hsm_console.domain import events as ev
from hsm_console.domain.errors import DeviceError, ExitCode, Problem, VerificationFailed
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.keys import Custody, SignMechanism
from hsm_console.domain.keyuse import Act
from hsm_console.domain.messages import work as msg
from hsm_console.gateway.app import Call, Route
from hsm_console.gateway.core import Core
from hsm_console.gateway.services import second, work_keys
from hsm_console.gateway.services.recorded import perform
from hsm_console.gateway.services.work_envelopes import Envelopes
from hsm_console.gateway.services.work_keys import MESSAGE_BYTES, Held, unusable
from hsm_console.gateway.services.work_offers import Offers
from hsm_console.gateway.services.work_secrets import Secrets
from hsm_console.pki.signing import spki as spki_of
from hsm_console.policy.roles import Action

OWN_DEVICE = "the device itself"


class Work:
    """Handlers of the routes under /v1/work."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._envelopes = Envelopes(core)
        self._secrets = Secrets(core)
        self._offers = Offers(core)

    def routes(self) -> tuple[Route, ...]:
        """What this service answers to."""
        use, look = Action.USE_KEYS, Action.READ_KEYS
        return (
            Route("GET", "/v1/work/offers", self._offers.offers, list[msg.KeyOffer], action=look),
            Route("GET", "/v1/work/keys/{id}", self._offers.detail, msg.KeyDetail, action=look),
            Route("POST", "/v1/work/sign", self.sign, msg.SignReply, body=msg.SignRequest, action=use),
            Route("POST", "/v1/work/verify", self.verify, msg.Verified, body=msg.VerifyRequest,
                  action=Action.VERIFY_SIGNATURE),
            Route("POST", "/v1/work/encrypt", self._envelopes.encrypt, msg.EncryptReply, body=msg.EncryptRequest,
                  action=use),
            Route("POST", "/v1/work/decrypt", self._envelopes.decrypt, msg.DecryptReply, body=msg.DecryptRequest,
                  action=use),
            Route("POST", "/v1/work/derive", self._secrets.derive, msg.DeriveReply, body=msg.DeriveRequest, action=use),
            Route("POST", "/v1/work/random", self._secrets.random, msg.RandomReply, body=msg.RandomRequest, action=use),
            Route("GET", "/v1/work/wrapped/{sha256}", self._offers.wrapped, msg.WrappedKey, action=use),
        )  # fmt: skip

    def sign(self, call: Call) -> msg.SignReply:
        """Sign a whole message with a key of the device"""
        wish: msg.SignRequest = call.body
        core, session = self._core, call.session
        work_keys.require_size(wish.data, MESSAGE_BYTES, "The message")
        key = work_keys.require(core, session, wish.key_id, Act.SIGN)
        work_keys.require_mechanism(key.algorithm, wish.mechanism)
        core.device.require_open()

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, tuple[bytes, str]]:
            signature: bytes = core.device.run("sign", key.object_id, wish.mechanism, wish.data)
            agreed = self._agreed(key, wish.mechanism, wish.data, signature)
            return work_keys.outcome(announced, key, output=signature, signature=signature), (signature, agreed)

        intent = work_keys.intent(Operation.SIGN, key, wish.data, wish.name, wish.mechanism.value)
        recorded, (signature, agreed) = perform(core, session, intent, act)
        return msg.SignReply(
            signature=signature,
            mechanism=wish.mechanism,
            entry=recorded.seq,
            time_ms=recorded.time_ms,
            key_id=key.row.object_id,
            custody=key.row.custody,
            verified_by=agreed,
        )

    def _agreed(self, key: Held, mechanism: SignMechanism, data: bytes, signature: bytes) -> str:
        """Who verified it. A secret key has no public part: there the device says it, in a call of its own."""
        if key.algorithm.is_pair:
            return second.verify(key.spki, mechanism, data, signature, key.row.custody)
        self._core.device.run("verify", key.object_id, mechanism, data, signature)
        return OWN_DEVICE

    def verify(self, call: Call) -> msg.Verified:
        """Verify a signature; what does not hold is a Problem, and is recorded too"""
        wish: msg.VerifyRequest = call.body
        core = self._core
        work_keys.require_size(wish.data, MESSAGE_BYTES, "The message")
        if bool(wish.key_id) == bool(wish.spki_pem):
            raise unusable("key-unnamed", "Either a key of this workspace or a public key is to be given.",
                           "Name one of the two, not both.")  # fmt: skip
        if wish.spki_pem:
            return self._verified_by_stranger(call, _der(wish.spki_pem))
        key = work_keys.require(core, call.session, wish.key_id, Act.VERIFY)
        work_keys.require_mechanism(key.algorithm, wish.mechanism)
        on_device = not key.algorithm.is_pair
        if on_device:
            core.device.require_open()
        intent = work_keys.intent(Operation.VERIFY, key, wish.data, wish.name, wish.mechanism.value)

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, str]:
            by = self._by_device(key, wish) if on_device else _checked(key.spki, wish, key.row.custody)
            return work_keys.outcome(announced, key, output=wish.signature), by

        recorded, by = perform(core, call.session, intent, act, on_device=on_device)
        return _verified(key.row.fingerprint, key.row.label, recorded, by)

    def _by_device(self, key: Held, wish: msg.VerifyRequest) -> str:
        try:
            self._core.device.run("verify", key.object_id, wish.mechanism, wish.data, wish.signature)
        except DeviceError as error:
            if error.problem.code == "signature-invalid":
                raise _invalid() from error
            raise
        return OWN_DEVICE

    def _verified_by_stranger(self, call: Call, spki: bytes) -> msg.Verified:
        """With somebody's public key, which the log then names by its fingerprint."""
        wish: msg.VerifyRequest = call.body
        digest = fingerprint(spki)
        intent = ev.OperationIntended(
            operation=Operation.VERIFY,
            label=f"public key {digest[:16]}",
            mechanism=wish.mechanism.value,
            input_sha256=fingerprint(wish.data),
            input_name=work_keys.name_of(wish.name),
        )

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, str]:
            by = _checked(spki, wish, Custody.DEVICE)
            done = ev.OperationSucceeded(
                intent=announced.seq,
                operation=Operation.VERIFY,
                key_id="",
                label=intent.label,
                fingerprint=digest,
                output_sha256=fingerprint(wish.signature),
            )
            return done, by

        recorded, by = perform(self._core, call.session, intent, act, on_device=False)
        return _verified(digest, "", recorded, by)


def _checked(spki: bytes, wish: msg.VerifyRequest, custody: Custody) -> str:
    try:
        return second.check(spki, wish.mechanism, wish.data, wish.signature, custody)
    except ValueError as wrong:
        raise _invalid() from wrong


def _invalid() -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="signature-invalid",
            what="The signature does not belong to this key and these data.",
            key_state="No key was used or changed.",
            todo="Do not trust the data. Ask whoever sent them, by a way that you trust.",
            contact="whoever sent the data",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _verified(digest: str, label: str, recorded: Recorded, by: str) -> msg.Verified:
    found = words.encode(bytes.fromhex(digest)) if digest else ()
    return msg.Verified(words=tuple(found), entry=recorded.seq, fingerprint=digest, label=label, verified_by=by)


def _der(pem: str) -> bytes:
    """SubjectPublicKeyInfo of a PEM file; post-quantum ones that `cryptography` does not know are taken as they are."""
    lines = [line.strip() for line in pem.strip().splitlines()]
    try:
        if lines[0] != "-----BEGIN PUBLIC KEY-----" or lines[-1] != "-----END PUBLIC KEY-----":
            raise ValueError("no public key in PEM")
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
        if _is_post_quantum(der):
            return der
        return spki_of(load_pem_public_key(pem.encode("ascii")))
    except (ValueError, IndexError, TypeError) as wrong:
        raise unusable(
            "public-key-unreadable",
            "The public key cannot be read: it must be a PEM file that begins with “BEGIN PUBLIC KEY”.",
            "Ask for the public key again; from a certificate, `openssl x509 -pubkey -noout` takes it out.",
        ) from wrong


def _is_post_quantum(der: bytes) -> bool:
    with contextlib.suppress(ValueError):
        post_quantum.decode(der)
        return True
    return False
