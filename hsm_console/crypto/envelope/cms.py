"""CMS AuthEnvelopedData (RFC 5083) with AES-256-GCM for one recipient: RSA-OAEP, ECDH or ML-KEM.

What the recipient's private key has to do is asked of the caller (`Opener`): here it lies in a device. Octets that are
bound and not hidden stand as the authenticated attribute content-identifier, so that the envelope carries them too.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Protocol

from asn1crypto.core import Null
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.crypto.envelope import asn1, schemes
from hsm_console.crypto.pq import providers
from hsm_console.crypto.pq import spki as post_quantum
from hsm_console.domain.keys import Algorithm

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
_VERSIONS = {"transport": (0, 2), "agreement": (3,), "other": (0,)}
_OAEP_HASHES: dict[str, tuple[str, type[hashes.HashAlgorithm]]] = {
    "sha256": (asn1.SHA256, hashes.SHA256),
    "sha1": (asn1.SHA1, hashes.SHA1),
}


class Unreadable(ValueError):
    """Not an envelope that this console reads: another structure, another algorithm."""


class NotOpened(ValueError):
    """The envelope, what is bound to it, and the key do not belong together."""


class Opener(Protocol):
    """What the private key does. Each raises what its device raises."""

    def oaep_decrypt(self, ciphertext: bytes, digest: str) -> bytes: ...
    def derive(self, point: bytes, length: int) -> bytes: ...
    def decapsulate(self, ciphertext: bytes) -> bytes: ...


@dataclass(frozen=True)
class Envelope:
    """A parsed envelope. aad: the bound octets; authenticated: DER over which the tag goes besides the content."""

    recipient: asn1.RecipientInfo
    nonce: bytes
    ciphertext: bytes
    tag: bytes
    aad: bytes
    authenticated: bytes


def seal(algorithm: Algorithm, spki: bytes, data: bytes, aad: bytes = b"", *, oaep: str = "sha256") -> bytes:
    """DER. spki: the recipient's public key; oaep: `sha256` or `sha1`, what the device can open."""
    key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    attributes = _attributes(aad) if aad else None
    bound = attributes.dump() if attributes is not None else b""
    sealed = AESGCM(key).encrypt(nonce, data, bound)
    gcm = asn1.GcmParameters({"nonce": nonce, "icv_length": TAG_BYTES})
    plain: dict[str, Any] = {
        "version": 0,
        "recipients": [_recipient(algorithm, spki, key, oaep)],
        "content": {
            "content_type": asn1.DATA,
            "algorithm": asn1.identifier(asn1.AES256_GCM, gcm),
            "content": sealed[:-TAG_BYTES],
        },
        "mac": sealed[-TAG_BYTES:],
    }
    if attributes is not None:
        plain["authenticated"] = attributes
    whole = asn1.ContentInfo({"content_type": asn1.AUTH_ENVELOPED, "content": plain})
    encoded: bytes = whole.dump()
    return encoded


def _attributes(aad: bytes) -> asn1.Attributes:
    """Attributes are a SET OF in DER order: RFC 5083 2.2 authenticates them with their universal tag."""
    from asn1crypto.core import ObjectIdentifier, OctetString

    kind = asn1.Attribute({"type": asn1.CONTENT_TYPE, "values": [ObjectIdentifier(asn1.DATA)]})
    bound = asn1.Attribute({"type": asn1.CONTENT_IDENTIFIER, "values": [OctetString(aad)]})
    return asn1.Attributes([kind, bound])


def _recipient(algorithm: Algorithm, spki: bytes, key: bytes, oaep: str) -> asn1.RecipientInfo:
    if algorithm.is_rsa:
        return asn1.RecipientInfo("transport", _transport(spki, key, oaep))
    if algorithm.is_ec:
        return asn1.RecipientInfo("agreement", _agreement(algorithm, spki, key))
    return asn1.RecipientInfo("other", _encapsulated(algorithm, spki, key))


def _transport(spki: bytes, key: bytes, oaep: str) -> asn1.KeyTransport:
    oid, kind = _OAEP_HASHES[oaep]
    public = load_der_public_key(spki)
    if not isinstance(public, rsa.RSAPublicKey):
        raise TypeError("no RSA key")
    digest = asn1.identifier(oid, Null())
    parameters = asn1.OaepParameters({"hash": digest, "mask": asn1.identifier(asn1.MGF1, digest)})
    scheme = padding.OAEP(padding.MGF1(kind()), kind(), None)
    return asn1.KeyTransport(
        {
            "version": 2,
            "rid": asn1.RecipientId("key_id", schemes.key_id(spki)),
            "algorithm": asn1.identifier(asn1.OAEP, parameters),
            "encrypted_key": public.encrypt(key, scheme),
        }
    )


def _agreement(algorithm: Algorithm, spki: bytes, key: bytes) -> asn1.KeyAgreement:
    how = schemes.AGREEMENTS[algorithm]
    public = load_der_public_key(spki)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("no elliptic-curve key")
    ephemeral = ec.generate_private_key(how.curve())
    kek = schemes.agreed_kek(algorithm, ephemeral.exchange(ec.ECDH(), public))
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    rid = asn1.AgreementId("key_id", {"key_id": schemes.key_id(spki)})
    origin = asn1.OriginatorKey({"algorithm": asn1.identifier(asn1.EC_PUBLIC_KEY), "public_key": point})
    return asn1.KeyAgreement(
        {
            "version": 3,
            "originator": asn1.Originator("key", origin),
            "algorithm": asn1.identifier(how.oid, schemes.wrap_identifier()),
            "encrypted_keys": [{"rid": rid, "encrypted_key": keywrap.aes_key_wrap(kek, key)}],
        }
    )


def _encapsulated(algorithm: Algorithm, spki: bytes, key: bytes) -> asn1.OtherRecipient:
    _, public = post_quantum.decode(spki)
    ciphertext, shared = providers.encapsulate(algorithm, public)
    info = asn1.KemRecipient(
        {
            "version": 0,
            "rid": asn1.RecipientId("key_id", schemes.key_id(spki)),
            "kem": asn1.identifier(schemes.KEM_OIDS[algorithm]),
            "ciphertext": ciphertext,
            "kdf": asn1.identifier(asn1.HKDF_SHA256),
            "kek_length": schemes.KEK_BYTES,
            "wrap": schemes.wrap_identifier(),
            "encrypted_key": keywrap.aes_key_wrap(schemes.kem_kek(shared), key),
        }
    )
    return asn1.OtherRecipient({"type": asn1.ORI_KEM, "value": info})


def parse(der: bytes) -> Envelope:
    """Raises Unreadable."""
    try:
        info = asn1.ContentInfo.load(der, strict=True)
        if info["content_type"].dotted != asn1.AUTH_ENVELOPED:
            raise Unreadable("it is no AuthEnvelopedData")
        return _envelope(info["content"])
    except Unreadable:
        raise
    except Exception as broken:
        raise Unreadable("it is no CMS structure") from broken


def _envelope(data: asn1.AuthEnvelopedData) -> Envelope:
    if int(data["version"].native) != 0 or len(data["recipients"]) != 1:
        raise Unreadable("it is for several recipients, or of another version")
    content = data["content"]
    if content["content_type"].dotted != asn1.DATA:
        raise Unreadable("its content is no plain data")
    if content["algorithm"]["algorithm"].dotted != asn1.AES256_GCM:
        raise Unreadable("its content is not encrypted with AES-256-GCM")
    gcm = content["algorithm"]["parameters"].parse(asn1.GcmParameters)
    nonce, tag = bytes(gcm["nonce"].native), bytes(data["mac"].native)
    if len(nonce) != NONCE_BYTES or int(gcm["icv_length"].native) != TAG_BYTES or len(tag) != TAG_BYTES:
        raise Unreadable("nonce or tag has an unusual length")
    present = data["authenticated"].native is not None
    attributes = asn1.Attributes.load(b"\x31" + data["authenticated"].dump()[1:]) if present else None
    return Envelope(
        recipient=data["recipients"][0],
        nonce=nonce,
        ciphertext=bytes(content["content"].native or b""),
        tag=tag,
        aad=_aad(attributes) if attributes is not None else b"",
        authenticated=attributes.dump() if attributes is not None else b"",
    )


def _aad(attributes: asn1.Attributes) -> bytes:
    from asn1crypto.core import OctetString

    for attribute in attributes:
        if attribute["type"].dotted == asn1.CONTENT_IDENTIFIER and len(attribute["values"]) == 1:
            return bytes(attribute["values"][0].parse(OctetString).native)
    return b""


def open_sealed(envelope: Envelope, algorithm: Algorithm, spki: bytes, aad: bytes, opener: Opener) -> bytes:
    """The data. Raises NotOpened, Unreadable, and what the device raises."""
    if envelope.aad != aad:
        raise NotOpened("other octets are bound to the envelope")
    key = _content_key(envelope, algorithm, spki, opener)
    try:
        return AESGCM(key).decrypt(envelope.nonce, envelope.ciphertext + envelope.tag, envelope.authenticated)
    except (InvalidTag, ValueError) as wrong:
        raise NotOpened("the content was changed") from wrong


def _content_key(envelope: Envelope, algorithm: Algorithm, spki: bytes, opener: Opener) -> bytes:
    """Structures are parsed when they are looked at, so whatever the parser says here is told as `Unreadable`."""
    try:
        return _opened_key(envelope, algorithm, schemes.key_id(spki), opener)
    except keywrap.InvalidUnwrap as wrong:
        raise NotOpened("the content's key does not open with this key") from wrong
    except (NotOpened, Unreadable):
        raise
    except (ValueError, TypeError, AttributeError, KeyError) as broken:
        raise Unreadable("what it says of its recipient is no CMS structure") from broken


def _opened_key(envelope: Envelope, algorithm: Algorithm, mine: bytes, opener: Opener) -> bytes:
    kind, info = envelope.recipient.name, envelope.recipient.chosen
    if int(info["version"].native if kind != "other" else 0) not in _VERSIONS[kind]:
        raise Unreadable("it is of another version")
    if kind == "transport" and algorithm.is_rsa:
        _require_mine(info["rid"], mine)
        key = opener.oaep_decrypt(bytes(info["encrypted_key"].native), _oaep(info["algorithm"]))
        if len(key) != KEY_BYTES:
            raise NotOpened("the content's key has another length")
        return key
    if kind == "agreement" and algorithm.is_ec:
        return _agreed(info, algorithm, mine, opener)
    if kind == "other" and algorithm.is_kem and info["type"].dotted == asn1.ORI_KEM:
        return _decapsulated(info["value"].parse(asn1.KemRecipient), algorithm, mine, opener)
    raise NotOpened("it was made for a key of another kind")


def _agreed(info: asn1.KeyAgreement, algorithm: Algorithm, mine: bytes, opener: Opener) -> bytes:
    how = schemes.AGREEMENTS[algorithm]
    if info["algorithm"]["algorithm"].dotted != how.oid or len(info["encrypted_keys"]) != 1:
        raise Unreadable("the way of agreeing is another")
    if info["algorithm"]["parameters"].parse(asn1.AlgorithmIdentifier)["algorithm"].dotted != asn1.AES256_WRAP:
        raise Unreadable("the content's key is wrapped in another way")
    origin = info["originator"]
    if origin.name != "key" or origin.chosen["algorithm"]["algorithm"].dotted != asn1.EC_PUBLIC_KEY:
        raise Unreadable("the sender's key is not in it")
    entry = info["encrypted_keys"][0]
    rid = entry["rid"]
    if rid.name == "key_id" and bytes(rid.chosen["key_id"].native) != mine:
        raise NotOpened("it was made for another key")
    point = bytes(origin.chosen["public_key"].native)
    _require_point(how, point)
    shared = opener.derive(point, how.octets)
    ukm = info["ukm"].native
    return keywrap.aes_key_unwrap(schemes.agreed_kek(algorithm, shared, ukm), bytes(entry["encrypted_key"].native))


def _decapsulated(info: asn1.KemRecipient, algorithm: Algorithm, mine: bytes, opener: Opener) -> bytes:
    _require_mine(info["rid"], mine)
    wanted = (0, schemes.KEM_OIDS[algorithm], asn1.HKDF_SHA256, asn1.AES256_WRAP, schemes.KEK_BYTES)
    found = (
        int(info["version"].native),
        info["kem"]["algorithm"].dotted,
        info["kdf"]["algorithm"].dotted,
        info["wrap"]["algorithm"].dotted,
        int(info["kek_length"].native),
    )
    ciphertext = bytes(info["ciphertext"].native)
    if found != wanted or len(ciphertext) != schemes.KEM_CIPHERTEXT_BYTES[algorithm]:
        raise NotOpened("it was made for a key of another kind")
    kek = schemes.kem_kek(opener.decapsulate(ciphertext), info["ukm"].native)
    return keywrap.aes_key_unwrap(kek, bytes(info["encrypted_key"].native))


def _require_mine(rid: asn1.RecipientId, mine: bytes) -> None:
    """An issuer's name and serial number say nothing here: then trying the key is the only test."""
    if rid.name == "key_id" and bytes(rid.chosen.native) != mine:
        raise NotOpened("it was made for another key")


def _require_point(how: schemes.Agreement, point: bytes) -> None:
    """A point off the curve is never given to a device."""
    try:
        if point[:1] != b"\x04":
            raise ValueError("compressed")
        ec.EllipticCurvePublicKey.from_encoded_point(how.curve(), point)
    except ValueError as wrong:
        raise NotOpened("the sender's key does not lie on the curve of this key") from wrong


def _oaep(algorithm: asn1.AlgorithmIdentifier) -> str:
    """`sha256` or `sha1`. Raises Unreadable."""
    if algorithm["algorithm"].dotted != asn1.OAEP:
        raise Unreadable("the content's key is not encrypted with RSA-OAEP")
    parameters = algorithm["parameters"].parse(asn1.OaepParameters)
    digest, mask, label = (parameters[name] for name in ("hash", "mask", "label"))
    oid = digest["algorithm"].dotted if digest.native is not None else asn1.SHA1
    masked = asn1.SHA1
    if mask.native is not None:
        if mask["algorithm"].dotted != asn1.MGF1:
            raise Unreadable("RSA-OAEP with another mask than MGF1")
        masked = mask["parameters"].parse(asn1.AlgorithmIdentifier)["algorithm"].dotted
    found = next((name for name, (known, _) in _OAEP_HASHES.items() if known == oid == masked), "")
    if not found or (label.native is not None and label["parameters"].native):
        raise Unreadable("RSA-OAEP with another hash, or with a label")
    return found
