"""The ASN.1 of RFC 5083, 5084, 5753, 9629 and 9936 that envelopes here use, and no more: what else comes is refused.

`asn1crypto` has some of these structures, but reads algorithm parameters loosely; these say exactly what is expected.
"""

# mypy: disable-error-code=misc
# (asn1crypto has no types: its classes are Any to mypy)

from __future__ import annotations

from asn1crypto.core import (
    Any,
    Choice,
    Integer,
    ObjectIdentifier,
    OctetBitString,
    OctetString,
    Sequence,
    SequenceOf,
    SetOf,
)

DATA = "1.2.840.113549.1.7.1"
AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
CONTENT_IDENTIFIER = "1.2.840.113549.1.9.16.2.7"  # RFC 2634 2.6: octets that name the content
AES256_GCM = "2.16.840.1.101.3.4.1.46"
AES256_WRAP = "2.16.840.1.101.3.4.1.45"
OAEP = "1.2.840.113549.1.1.7"
MGF1 = "1.2.840.113549.1.1.8"
SHA1 = "1.3.14.3.2.26"
SHA256 = "2.16.840.1.101.3.4.2.1"
EC_PUBLIC_KEY = "1.2.840.10045.2.1"
ORI_KEM = "1.2.840.113549.1.9.16.13.3"  # RFC 9629
HKDF_SHA256 = "1.2.840.113549.1.9.16.3.28"  # RFC 8619


class AlgorithmIdentifier(Sequence):
    _fields = [("algorithm", ObjectIdentifier), ("parameters", Any, {"optional": True})]


class GcmParameters(Sequence):
    """RFC 5084 3.2; the tag has 12 octets unless it is said."""

    _fields = [("nonce", OctetString), ("icv_length", Integer, {"default": 12})]


class OaepParameters(Sequence):
    """RFC 8017 A.2.1; what is left out means SHA-1."""

    _fields = [
        ("hash", AlgorithmIdentifier, {"explicit": 0, "optional": True}),
        ("mask", AlgorithmIdentifier, {"explicit": 1, "optional": True}),
        ("label", AlgorithmIdentifier, {"explicit": 2, "optional": True}),
    ]


class IssuerAndSerial(Sequence):
    _fields = [("issuer", Any), ("serial", Integer)]


class RecipientId(Choice):
    _alternatives = [("issuer_and_serial", IssuerAndSerial), ("key_id", OctetString, {"implicit": 0})]


class KeyTransport(Sequence):
    """RFC 5652 6.2.1."""

    _fields = [
        ("version", Integer),
        ("rid", RecipientId),
        ("algorithm", AlgorithmIdentifier),
        ("encrypted_key", OctetString),
    ]


class OriginatorKey(Sequence):
    _fields = [("algorithm", AlgorithmIdentifier), ("public_key", OctetBitString)]


class Originator(Choice):
    _alternatives = [
        ("issuer_and_serial", IssuerAndSerial),
        ("key_id", OctetString, {"implicit": 0}),
        ("key", OriginatorKey, {"implicit": 1}),
    ]


class RecipientKeyId(Sequence):
    _fields = [("key_id", OctetString), ("date", Any, {"optional": True})]


class AgreementId(Choice):
    _alternatives = [("issuer_and_serial", IssuerAndSerial), ("key_id", RecipientKeyId, {"implicit": 0})]


class RecipientEncryptedKey(Sequence):
    _fields = [("rid", AgreementId), ("encrypted_key", OctetString)]


class RecipientEncryptedKeys(SequenceOf):
    _child_spec = RecipientEncryptedKey


class KeyAgreement(Sequence):
    """RFC 5652 6.2.2, RFC 5753 3.1."""

    _fields = [
        ("version", Integer),
        ("originator", Originator, {"explicit": 0}),
        ("ukm", OctetString, {"explicit": 1, "optional": True}),
        ("algorithm", AlgorithmIdentifier),
        ("encrypted_keys", RecipientEncryptedKeys),
    ]


class EccSharedInfo(Sequence):
    """RFC 5753 7.2: what X9.63's derivation is told besides the secret."""

    _fields = [
        ("key_info", AlgorithmIdentifier),
        ("ukm", OctetString, {"explicit": 0, "optional": True}),
        ("bits", OctetString, {"explicit": 2}),
    ]


class KemRecipient(Sequence):
    """RFC 9629 3."""

    _fields = [
        ("version", Integer),
        ("rid", RecipientId),
        ("kem", AlgorithmIdentifier),
        ("ciphertext", OctetString),
        ("kdf", AlgorithmIdentifier),
        ("kek_length", Integer),
        ("ukm", OctetString, {"explicit": 0, "optional": True}),
        ("wrap", AlgorithmIdentifier),
        ("encrypted_key", OctetString),
    ]


class KemOtherInfo(Sequence):
    """RFC 9629 5: what HKDF is told besides the secret."""

    _fields = [
        ("wrap", AlgorithmIdentifier),
        ("kek_length", Integer),
        ("ukm", OctetString, {"explicit": 0, "optional": True}),
    ]


class OtherRecipient(Sequence):
    _fields = [("type", ObjectIdentifier), ("value", Any)]


class RecipientInfo(Choice):
    """RFC 5652 6.2, without passwords and shared keys."""

    _alternatives = [
        ("transport", KeyTransport),
        ("agreement", KeyAgreement, {"implicit": 1}),
        ("other", OtherRecipient, {"implicit": 4}),
    ]


class RecipientInfos(SetOf):
    _child_spec = RecipientInfo


class EncryptedContent(Sequence):
    _fields = [
        ("content_type", ObjectIdentifier),
        ("algorithm", AlgorithmIdentifier),
        ("content", OctetString, {"implicit": 0, "optional": True}),
    ]


class Values(SetOf):
    _child_spec = Any


class Attribute(Sequence):
    _fields = [("type", ObjectIdentifier), ("values", Values)]


class Attributes(SetOf):
    _child_spec = Attribute


class AuthEnvelopedData(Sequence):
    """RFC 5083 2.1, without certificates of a sender."""

    _fields = [
        ("version", Integer),
        ("recipients", RecipientInfos),
        ("content", EncryptedContent),
        ("authenticated", Attributes, {"implicit": 1, "optional": True}),
        ("mac", OctetString),
        ("unauthenticated", Attributes, {"implicit": 2, "optional": True}),
    ]


class ContentInfo(Sequence):
    _fields = [("content_type", ObjectIdentifier), ("content", AuthEnvelopedData, {"explicit": 0})]


def identifier(oid: str, parameters: object = None) -> AlgorithmIdentifier:
    """An algorithm, with its parameters where it has some."""
    plain: dict[str, object] = {"algorithm": oid}
    if parameters is not None:
        plain["parameters"] = parameters
    return AlgorithmIdentifier(plain)
