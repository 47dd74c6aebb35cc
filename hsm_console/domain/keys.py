"""Keys and what is known of them: algorithms, purposes, attributes read back, grade of the evidence."""

from __future__ import annotations

import enum

import msgspec


class Algorithm(enum.StrEnum):
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    EC_P521 = "ec-p521"
    ED25519 = "ed25519"
    AES_256 = "aes-256"
    HMAC_SHA256 = "hmac-sha256"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    ML_KEM_512 = "ml-kem-512"
    ML_KEM_768 = "ml-kem-768"
    ML_KEM_1024 = "ml-kem-1024"
    SLH_DSA_SHA2_128S = "slh-dsa-sha2-128s"
    SLH_DSA_SHA2_128F = "slh-dsa-sha2-128f"
    SLH_DSA_SHA2_192S = "slh-dsa-sha2-192s"
    SLH_DSA_SHA2_192F = "slh-dsa-sha2-192f"
    SLH_DSA_SHA2_256S = "slh-dsa-sha2-256s"
    SLH_DSA_SHA2_256F = "slh-dsa-sha2-256f"
    SLH_DSA_SHAKE_128S = "slh-dsa-shake-128s"
    SLH_DSA_SHAKE_128F = "slh-dsa-shake-128f"
    SLH_DSA_SHAKE_192S = "slh-dsa-shake-192s"
    SLH_DSA_SHAKE_192F = "slh-dsa-shake-192f"
    SLH_DSA_SHAKE_256S = "slh-dsa-shake-256s"
    SLH_DSA_SHAKE_256F = "slh-dsa-shake-256f"
    OTHER = "other"  # found in a token, made by another tool; the console never makes or uses one

    @property
    def is_pair(self) -> bool:
        return self not in (Algorithm.AES_256, Algorithm.HMAC_SHA256)

    @property
    def is_rsa(self) -> bool:
        return self.value.startswith("rsa-")

    @property
    def is_ec(self) -> bool:
        return self.value.startswith("ec-")

    @property
    def is_kem(self) -> bool:
        return self.value.startswith("ml-kem-")

    @property
    def is_slh_dsa(self) -> bool:
        return self.value.startswith("slh-dsa-")

    @property
    def is_post_quantum(self) -> bool:
        return self.value.startswith(("ml-", "slh-"))


class Usage(enum.StrEnum):
    """What a key may do. A key gets only what its purpose needs (HSM 1.3: 'all true' is refused by vendors)."""

    SIGN = "sign"
    ENCRYPT = "encrypt"
    WRAP = "wrap"
    DERIVE = "derive"


class Custody(enum.StrEnum):
    """Where a private key lies."""

    DEVICE = "device"  # in the module, never outside it
    SOFTWARE_WRAPPED = "software-wrapped"  # encrypted under a key of the module; used in memory, then overwritten

    @property
    def meaning(self) -> str:
        return _CUSTODY[self]


_CUSTODY = {
    Custody.DEVICE: "The private key lies in the module and is used there.",
    Custody.SOFTWARE_WRAPPED: (
        "This is a software key. The module does not know this algorithm: the private key is stored only encrypted "
        "under a key that cannot leave the module, is decrypted into the memory of the driver's process for each "
        "use, and is overwritten there afterwards as far as Python allows."
    ),
}


class SignMechanism(enum.StrEnum):
    """What is signed and how. `data` is always the whole message, never a bare digest."""

    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PKCS1_SHA384 = "rsa-pkcs1-sha384"
    RSA_PKCS1_SHA512 = "rsa-pkcs1-sha512"
    RSA_PSS_SHA256 = "rsa-pss-sha256"  # salt length = hash length, MGF1 with the same hash
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ECDSA_SHA256 = "ecdsa-sha256"  # signature: DER ECDSA-Sig-Value (RFC 3279)
    ECDSA_SHA384 = "ecdsa-sha384"
    ECDSA_SHA512 = "ecdsa-sha512"
    ED25519 = "ed25519"
    ML_DSA = "ml-dsa"
    SLH_DSA = "slh-dsa"
    HMAC_SHA256 = "hmac-sha256"


class Grade(enum.StrEnum):
    """Grade of the evidence that a key is what it is said to be (CEREMONY 4)."""

    A = "A"  # vendor-rooted attestation, verified offline
    B = "B"  # vendor tool on this host
    C = "C"  # attributes read back
    D = "D"  # simulated

    @property
    def meaning(self) -> str:
        return _GRADE_MEANING[self]

    @property
    def does_not_prove(self) -> str:
        return _GRADE_LIMIT[self]


_GRADE_MEANING = {
    Grade.A: "The device's maker attests the key, and the attestation was verified offline.",
    Grade.B: "The maker's tool on this workstation reported the key.",
    Grade.C: "The key's attributes were read back from the token after generation.",
    Grade.D: "The key was made by software on a workstation (a simulation), not in a hardware module.",
}
_GRADE_LIMIT = {
    Grade.A: "It does not prove who was in the room.",
    Grade.B: "It does not prove that the tool on this workstation told the truth.",
    Grade.C: "It does not prove that the token is genuine hardware: a false module could answer the same.",
    Grade.D: "It does not prove anything about a hardware module.",
}


class KeySpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to generate. object_id: CKA_ID, derived from the intent; label: CKA_LABEL, ASCII, ≤ 64 characters.

    spki: of a pair that is unwrapped, its public half (SubjectPublicKeyInfo DER), which is put beside the private one.
    """

    algorithm: Algorithm
    label: str
    object_id: bytes
    usages: tuple[Usage, ...] = (Usage.SIGN,)
    extractable: bool = False
    spki: bytes = b""


class KeyAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes read back from the private (or secret) object. None: the token does not tell."""

    token: bool | None = None
    private: bool | None = None
    sensitive: bool | None = None
    always_sensitive: bool | None = None
    extractable: bool | None = None
    never_extractable: bool | None = None
    local: bool | None = None
    modifiable: bool | None = None
    usages: tuple[Usage, ...] = ()


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A key in a token. spki: SubjectPublicKeyInfo DER (RFC 5280), empty for secret keys.

    For a software key `attributes` are those of the module's key that it is encrypted under.

    Several objects may carry one label or (after a foreign tool) one id: the caller decides what that means.
    """

    object_id: bytes
    label: str
    algorithm: Algorithm
    spki: bytes = b""
    attributes: KeyAttributes = KeyAttributes()
    custody: Custody = Custody.DEVICE


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the token says of itself, plus what the adapter knows of it.

    software_algorithms: kinds of keys that the device does not know and that would be software keys, wrapped under
    one of its own (`Custody.SOFTWARE_WRAPPED`). oaep: hashes it decrypts RSA-OAEP with, best first.
    """

    adapter: str
    vendor: str
    model: str
    serial: str
    label: str
    firmware: str
    hardware: str = ""
    simulated: bool
    initialised: bool = True
    mechanisms: tuple[str, ...] = ()
    algorithms: tuple[Algorithm, ...] = ()
    sign_mechanisms: tuple[SignMechanism, ...] = ()
    software_algorithms: tuple[Algorithm, ...] = ()
    oaep: tuple[str, ...] = ()
    limits: dict[str, int] = {}
    user_pin_low: bool = False
    user_pin_final_try: bool = False
    user_pin_locked: bool = False
    untested_on_hardware: bool = False
    remarks: tuple[str, ...] = ()
