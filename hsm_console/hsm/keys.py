"""Keys in a token as `cryptography` private keys: certificate, CSR, CRL and CMS builders then sign in the token.

Each class holds a client and the key's public half, nothing else. What would need the private key itself is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.domain.errors import InputError, Problem
from hsm_console.domain.keys import Algorithm, KeyInfo, SignMechanism

if TYPE_CHECKING:
    from hsm_console.hsm.port import Hsm

_HASHES = {"sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512"}
_DEFAULTS: dict[Algorithm, SignMechanism] = {
    Algorithm.RSA_2048: SignMechanism.RSA_PSS_SHA256,
    Algorithm.RSA_3072: SignMechanism.RSA_PSS_SHA256,
    Algorithm.RSA_4096: SignMechanism.RSA_PSS_SHA512,
    Algorithm.EC_P256: SignMechanism.ECDSA_SHA256,
    Algorithm.EC_P384: SignMechanism.ECDSA_SHA384,
    Algorithm.EC_P521: SignMechanism.ECDSA_SHA512,
    Algorithm.ED25519: SignMechanism.ED25519,
    Algorithm.HMAC_SHA256: SignMechanism.HMAC_SHA256,
    Algorithm.ML_DSA_44: SignMechanism.ML_DSA,
    Algorithm.ML_DSA_65: SignMechanism.ML_DSA,
    Algorithm.ML_DSA_87: SignMechanism.ML_DSA,
    Algorithm.SLH_DSA_SHA2_128S: SignMechanism.SLH_DSA,
    Algorithm.SLH_DSA_SHA2_256S: SignMechanism.SLH_DSA,
}


def default_mechanism(algorithm: Algorithm) -> SignMechanism:
    """How keys of this algorithm sign when nobody chose: RSA with PSS (RFC 8017), curves with their own hash.

    Raises InputError `key-cannot-sign` for encryption and agreement keys.
    """
    mechanism = _DEFAULTS.get(algorithm)
    if mechanism is None:
        raise _refusal("key-cannot-sign", f"A key {algorithm.value} does not sign.", "Choose a signing key.")
    return mechanism


def private_key(client: Hsm, info: KeyInfo) -> Any:
    """The key as a subclass of pyca's private key class; `sign` calls the token.

    Raises InputError `key-incomplete` for half a pair, `key-cannot-sign` for keys that do not sign,
    `key-unknown` for an unreadable public half.
    """
    if not info.spki:
        raise _refusal(
            "key-incomplete",
            f"The key “{info.label}” has no public half in the device, so nothing can be signed with it here.",
            "List the keys in the device. Half a pair is left behind when a generation was cut off.",
        )
    try:
        public = load_der_public_key(info.spki)
    except (ValueError, UnsupportedAlgorithm) as unknown:
        raise _refusal(
            "key-unknown",
            f"The public half of the key “{info.label}” is of a kind that the console cannot read.",
            "Use a key that the console made.",
        ) from unknown
    for kind, made in _CLASSES:
        if isinstance(public, kind):
            return made(client, info, public)
    raise _refusal("key-cannot-sign", f"A key {info.algorithm.value} does not sign.", "Choose a signing key.")


class _TokenKey:
    """What all classes share. A key object may be copied: it holds no secret."""

    def __init__(self, client: Hsm, info: KeyInfo, public: Any) -> None:
        self._client = client
        self._info = info
        self._public = public

    def public_key(self) -> Any:
        return self._public

    def _sign(self, mechanism: SignMechanism, data: Any) -> bytes:
        return self._client.sign(self._info.object_id, mechanism, bytes(data))

    def private_bytes(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise _stays()

    def private_bytes_raw(self) -> NoReturn:
        raise _stays()

    def private_numbers(self) -> NoReturn:
        raise _stays()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._info.label!r} {self._info.object_id.hex()} in the token>"


class TokenRsaKey(_TokenKey, rsa.RSAPrivateKey):
    """RSA: PKCS #1 v1.5, or PSS with MGF1 of the same hash and a salt as long as the hash."""

    @property
    def key_size(self) -> int:
        return int(self._public.key_size)

    def sign(self, data: Any, padding: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        return self._sign(SignMechanism(f"rsa-{_scheme(padding, algorithm)}-{_hash_name(algorithm)}"), data)

    def decrypt(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise _refusal("key-cannot-decrypt", "Signing keys in the device do not decrypt.", "Choose another key.")


class TokenEcKey(_TokenKey, ec.EllipticCurvePrivateKey):
    """ECDSA over P-256, P-384 or P-521."""

    @property
    def curve(self) -> ec.EllipticCurve:
        curve: ec.EllipticCurve = self._public.curve
        return curve

    @property
    def key_size(self) -> int:
        return int(self._public.key_size)

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        return self._sign(SignMechanism(f"ecdsa-{_hash_name(signature_algorithm.algorithm)}"), data)

    def exchange(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise _refusal("key-cannot-agree", "Use the device's own derivation for ECDH.", "Choose another key.")


class TokenEd25519Key(_TokenKey, ed25519.Ed25519PrivateKey):
    """Ed25519 (RFC 8032)."""

    def sign(self, data: Any) -> bytes:
        return self._sign(SignMechanism.ED25519, data)


class _LatticeKey(_TokenKey):
    """ML-DSA (FIPS 204), pure, without context."""

    def sign(self, data: Any, context: Any = None) -> bytes:
        if context:
            raise _refusal("context-unsupported", "The device signs without context.", "Sign without a context.")
        return self._sign(SignMechanism.ML_DSA, data)

    def sign_mu(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise _prehashed()


class TokenMlDsa44Key(_LatticeKey, mldsa.MLDSA44PrivateKey):
    """ML-DSA-44."""


class TokenMlDsa65Key(_LatticeKey, mldsa.MLDSA65PrivateKey):
    """ML-DSA-65."""


class TokenMlDsa87Key(_LatticeKey, mldsa.MLDSA87PrivateKey):
    """ML-DSA-87."""


_CLASSES: tuple[tuple[type, type[_TokenKey]], ...] = (
    (rsa.RSAPublicKey, TokenRsaKey),
    (ec.EllipticCurvePublicKey, TokenEcKey),
    (ed25519.Ed25519PublicKey, TokenEd25519Key),
    (mldsa.MLDSA44PublicKey, TokenMlDsa44Key),
    (mldsa.MLDSA65PublicKey, TokenMlDsa65Key),
    (mldsa.MLDSA87PublicKey, TokenMlDsa87Key),
)


def _hash_name(algorithm: Any) -> str:
    if isinstance(algorithm, Prehashed):
        raise _prehashed()
    if not isinstance(algorithm, hashes.HashAlgorithm) or algorithm.name not in _HASHES:
        name = getattr(algorithm, "name", "none")
        raise _refusal("hash-unsupported", f"Signing with the hash {name} is not offered.", "Use SHA-256, 384 or 512.")
    return algorithm.name


def _scheme(scheme: padding.AsymmetricPadding, algorithm: Any) -> str:
    """`pkcs1` or `pss`. Raises InputError `padding-unsupported` for any other shape of PSS."""
    name = _hash_name(algorithm)
    if isinstance(scheme, padding.PKCS1v15):
        return "pkcs1"
    if isinstance(scheme, padding.PSS):
        mask_hash = scheme.mgf._algorithm.name
        salt = scheme._salt_length
        if mask_hash == name and salt in (padding.PSS.DIGEST_LENGTH, algorithm.digest_size):
            return "pss"
    raise _refusal(
        "padding-unsupported",
        "The device signs with PKCS #1 v1.5, or with PSS whose salt is as long as the hash and whose mask uses it too.",
        "Use PSS(MGF1(hash), PSS.DIGEST_LENGTH).",
    )


def _stays() -> InputError:
    return _refusal("key-stays", "The private key stays in the device.", "Ask the device to sign instead.")


def _prehashed() -> InputError:
    return _refusal(
        "digest-refused",
        "The device signs whole messages, not digests made elsewhere: nobody could tell what was signed.",
        "Hand over the message itself.",
    )


def _refusal(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=2))
