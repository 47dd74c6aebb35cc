"""Secrets that leave on purpose: agreed ones (ECDH, then HKDF) and random octets (mixed from two sources)."""

from __future__ import annotations

import threading

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from hsm_console.crypto import mixing
from hsm_console.crypto.hashes import fingerprint
from hsm_console.crypto.wipe import wipe_bytes
from hsm_console.domain import events as ev
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.keys import Algorithm
from hsm_console.domain.keyuse import Act
from hsm_console.domain.messages import work as msg
from hsm_console.gateway.app import Call
from hsm_console.gateway.core import Core
from hsm_console.gateway.services import work_keys
from hsm_console.gateway.services.recorded import perform
from hsm_console.gateway.services.work_keys import unusable

CURVES: dict[Algorithm, tuple[type[ec.EllipticCurve], int]] = {
    Algorithm.EC_P256: (ec.SECP256R1, 32),
    Algorithm.EC_P384: (ec.SECP384R1, 48),
    Algorithm.EC_P521: (ec.SECP521R1, 66),
}
SOURCES = ("the device", "the operating system")


class Secrets:
    """Handlers of /v1/work/derive and /v1/work/random. What they give out is in no entry, not even as a digest."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._health = mixing.Health("token")
        self._drawing = threading.Lock()

    def derive(self, call: Call) -> msg.DeriveReply:
        """Agree on a secret: ECDH in the device, HKDF-SHA-256 outside"""
        wish: msg.DeriveRequest = call.body
        core = self._core
        _require_length(wish.length, msg.SECRET_OCTETS, "A secret")
        if len(wish.info) > msg.INFO_BYTES:
            most = f"The context has at most {msg.INFO_BYTES} octets."
            raise unusable("info-too-long", most, "Give a digest of it.")
        key = work_keys.require(core, call.session, wish.key_id, Act.DERIVE)
        point = peer_point(key.algorithm, wish.peer_spki_pem)
        core.device.require_open()
        intent = ev.OperationIntended(
            operation=Operation.DERIVE,
            algorithm=key.algorithm,
            label=key.row.label,
            key_id=key.row.object_id,
            mechanism="ecdh-hkdf-sha256",
            input_sha256=fingerprint(point),
            input_name=work_keys.name_of(wish.name),
            length=wish.length,
        )

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, bytes]:
            shared: bytes = core.device.run("derive", key.object_id, point, CURVES[key.algorithm][1])
            secret = HKDF(algorithm=SHA256(), length=wish.length, salt=None, info=wish.info).derive(shared)
            wipe_bytes(shared)
            return work_keys.outcome(announced, key), secret

        recorded, secret = perform(core, call.session, intent, act)
        return msg.DeriveReply(secret=secret, entry=recorded.seq, time_ms=recorded.time_ms)

    def random(self, call: Call) -> msg.RandomReply:
        """Random octets of the device, mixed with those of the operating system"""
        wish: msg.RandomRequest = call.body
        core = self._core
        _require_length(wish.length, msg.RANDOM_OCTETS, "A draw")
        core.device.require_open()
        intent = ev.OperationIntended(operation=Operation.RANDOM, length=wish.length)

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, tuple[bytes, int]]:
            drawn, tested = self._drawn(mixing.octets_needed(wish.length))
            done = ev.OperationSucceeded(intent=announced.seq, operation=Operation.RANDOM, key_id="")
            return done, (mixing.with_system(drawn, wish.length), tested)

        recorded, (data, tested) = perform(core, call.session, intent, act)
        return msg.RandomReply(data=data, entry=recorded.seq, time_ms=recorded.time_ms, sources=SOURCES, tested=tested)

    def _drawn(self, length: int) -> tuple[bytes, int]:
        """Octets of the device that passed the health tests, and how many have; the first of a run are thrown away."""
        with self._drawing:
            if not self._health.started:
                self._health.start(self._core.device.run("random", mixing.START_OCTETS))
            drawn: bytes = self._core.device.run("random", length)
            self._health.require(drawn)
            return drawn, self._health.passed


def peer_point(algorithm: Algorithm, pem: str) -> bytes:
    """The other side's point, uncompressed (X9.63), checked to lie on this key's curve. Raises InputError."""
    curve, _ = CURVES[algorithm]
    try:
        peer = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise unusable(
            "public-key-unreadable", "The other side's public key cannot be read.", "Ask for it again, as a PEM file."
        ) from wrong
    if not isinstance(peer, ec.EllipticCurvePublicKey) or not isinstance(peer.curve, curve):
        raise unusable(
            "public-key-other-curve",
            f"The other side's public key is not of the kind {algorithm.value}.",
            "Both sides use keys of the same curve.",
        )
    return peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _require_length(length: int, between: tuple[int, int], what: str) -> None:
    least, most = between
    if not least <= length <= most:
        raise unusable("length-refused", f"{what} has {least} to {most} octets.", "Ask for fewer, or several times.")
