"""Work with keys through the gateway. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import quote

from hsm_console.client.session import Session
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages import work


def offers(session: Session) -> list[work.KeyOffer]:
    """What kinds of keys can be made now. Raises `device-locked`."""
    return session.call("GET", "/v1/work/offers", None, list[work.KeyOffer])


def detail(session: Session, key_id: str) -> work.KeyDetail:
    """What may be done with this key, and why not the rest."""
    return session.call("GET", f"/v1/work/keys/{_part(key_id)}", None, work.KeyDetail)


def sign(session: Session, key_id: str, mechanism: SignMechanism, data: bytes, name: str = "") -> work.SignReply:
    """Sign the whole message in the device. Raises `key-reserved`, `usage-refused`, `device-locked`, …"""
    request = work.SignRequest(key_id=key_id, mechanism=mechanism, data=data, name=name)
    return session.call("POST", "/v1/work/sign", request, work.SignReply)


def verify(session: Session, request: work.VerifyRequest) -> work.Verified:
    """Raises VerificationFailed `signature-invalid` when it does not hold; recorded in both cases."""
    return session.call("POST", "/v1/work/verify", request, work.Verified)


def encrypt(session: Session, key_id: str, data: bytes, aad: bytes = b"", name: str = "") -> work.EncryptReply:
    request = work.EncryptRequest(key_id=key_id, data=data, aad=aad, name=name)
    return session.call("POST", "/v1/work/encrypt", request, work.EncryptReply)


def decrypt(session: Session, key_id: str, envelope: bytes, aad: bytes = b"", name: str = "") -> work.DecryptReply:
    """Raises VerificationFailed `ciphertext-invalid` when the envelope, its aad or the key do not belong together."""
    request = work.DecryptRequest(key_id=key_id, envelope=envelope, aad=aad, name=name)
    return session.call("POST", "/v1/work/decrypt", request, work.DecryptReply)


def derive(session: Session, request: work.DeriveRequest) -> work.DeriveReply:
    return session.call("POST", "/v1/work/derive", request, work.DeriveReply)


def random(session: Session, length: int) -> work.RandomReply:
    return session.call("POST", "/v1/work/random", work.RandomRequest(length=length), work.RandomReply)


def wrapped(session: Session, sha256: str) -> bytes:
    """A wrapped key that an order left in the workspace."""
    return session.call("GET", f"/v1/work/wrapped/{_part(sha256)}", None, work.WrappedKey).data


def _part(text: str) -> str:
    return quote(text, safe="")
