"""Public keys of post-quantum algorithms as SubjectPublicKeyInfo: RFC 9881 (ML-DSA), 9909 (SLH-DSA), 9935 (ML-KEM).

All have the same shape: an object identifier without parameters, and the raw public key. `cryptography` does not know
all of them, so the few octets before the key are written here.
"""

from __future__ import annotations

from hsm_console.domain.keys import Algorithm

_ARC = bytes.fromhex("6086480165030404")  # 2.16.840.1.101.3.4.4: KEMs
_SIGN_ARC = bytes.fromhex("6086480165030403")  # 2.16.840.1.101.3.4.3: signatures
_A = Algorithm
OIDS: dict[Algorithm, bytes] = {
    _A.ML_KEM_512: _ARC + b"\x01",
    _A.ML_KEM_768: _ARC + b"\x02",
    _A.ML_KEM_1024: _ARC + b"\x03",
    _A.ML_DSA_44: _SIGN_ARC + b"\x11",
    _A.ML_DSA_65: _SIGN_ARC + b"\x12",
    _A.ML_DSA_87: _SIGN_ARC + b"\x13",
    _A.SLH_DSA_SHA2_128S: _SIGN_ARC + b"\x14",
    _A.SLH_DSA_SHA2_128F: _SIGN_ARC + b"\x15",
    _A.SLH_DSA_SHA2_192S: _SIGN_ARC + b"\x16",
    _A.SLH_DSA_SHA2_192F: _SIGN_ARC + b"\x17",
    _A.SLH_DSA_SHA2_256S: _SIGN_ARC + b"\x18",
    _A.SLH_DSA_SHA2_256F: _SIGN_ARC + b"\x19",
    _A.SLH_DSA_SHAKE_128S: _SIGN_ARC + b"\x1a",
    _A.SLH_DSA_SHAKE_128F: _SIGN_ARC + b"\x1b",
    _A.SLH_DSA_SHAKE_192S: _SIGN_ARC + b"\x1c",
    _A.SLH_DSA_SHAKE_192F: _SIGN_ARC + b"\x1d",
    _A.SLH_DSA_SHAKE_256S: _SIGN_ARC + b"\x1e",
    _A.SLH_DSA_SHAKE_256F: _SIGN_ARC + b"\x1f",
}
PUBLIC_BYTES: dict[Algorithm, int] = {
    _A.ML_KEM_512: 800,
    _A.ML_KEM_768: 1184,
    _A.ML_KEM_1024: 1568,
    _A.ML_DSA_44: 1312,
    _A.ML_DSA_65: 1952,
    _A.ML_DSA_87: 2592,
    **{name: {"128": 32, "192": 48, "256": 64}[name.value[-4:-1]] for name in _A if name.is_slh_dsa},
}


def encode(algorithm: Algorithm, public: bytes) -> bytes:
    """DER. Raises ValueError when the key has another length than its algorithm says, KeyError for other algorithms."""
    if len(public) != PUBLIC_BYTES[algorithm]:
        raise ValueError("the public key has the wrong length")
    oid = OIDS[algorithm]
    return _tlv(0x30, _tlv(0x30, _tlv(0x06, oid)) + _tlv(0x03, b"\x00" + public))


def decode(der: bytes) -> tuple[Algorithm, bytes]:
    """(algorithm, raw public key). Raises ValueError unless `der` is exactly what `encode` writes."""
    for algorithm, oid in OIDS.items():
        size = PUBLIC_BYTES[algorithm]
        if len(der) > size and der == encode(algorithm, der[-size:]) and oid in der[:40]:
            return algorithm, der[-size:]
    raise ValueError("no post-quantum public key that is known here")


def _tlv(tag: int, value: bytes) -> bytes:
    length = len(value)
    if length < 0x80:
        return bytes([tag, length]) + value
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + value
