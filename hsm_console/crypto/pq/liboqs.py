"""liboqs, when its shared library is on this machine; never otherwise.

`import oqs` without the library clones a git repository, builds it and calls sys.exit. So the library is looked for
and loaded first, in the places where `oqs` itself looks, and the version it would fetch is set to one that its
installer refuses: if the two searches ever differ, the import fails instead of reaching out (invariant 9).
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import importlib
import io
import os
from pathlib import Path
from typing import Any

from hsm_console.domain.keys import Algorithm

_NEVER = "nothing-is-ever-downloaded"
_VERSION = "PYOQS_VERSION"


def library() -> str:
    """The shared library that loads here; empty when there is none. Looks where `oqs` looks, and in its order."""
    base = Path(os.environ.get("OQS_INSTALL_PATH") or Path.home() / "_oqs")
    found = [ctypes.util.find_library("oqs"), ctypes.util.find_library("liboqs")]
    places = [name for name in found if name] + [str(base / part / "liboqs.so") for part in ("lib", "lib64")]
    for place in places:
        with contextlib.suppress(OSError):
            ctypes.CDLL(place)
            return place
    return ""


@functools.cache
def module() -> Any:
    """The package `oqs`, or None. It is imported only when its library was found and loaded."""
    if not library():
        return None
    before = os.environ.get(_VERSION)
    os.environ[_VERSION] = _NEVER
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it greets on standard output
            return importlib.import_module("oqs")
    except (Exception, SystemExit):  # noqa: BLE001 - a library that does not fit is as good as none
        return None
    finally:
        if before is None:
            del os.environ[_VERSION]
        else:
            os.environ[_VERSION] = before


def names(algorithm: Algorithm) -> tuple[str, ...]:
    """What liboqs calls this algorithm: by the final standards, or as the submission they were made from."""
    text = algorithm.value
    if text.startswith(("ml-dsa-", "ml-kem-")):
        return (text.upper(),)
    if algorithm.is_slh_dsa:
        family, size = text.removeprefix("slh-dsa-").split("-")
        return (
            f"SLH_DSA_PURE_{family.upper()}_{size.upper()}",
            f"SPHINCS+-{family.upper()}-{size}-simple",
        )
    return ()


@functools.cache
def enabled(algorithm: Algorithm) -> str:
    """The name under which this machine's liboqs offers the algorithm; empty when it does not."""
    oqs = module()
    if oqs is None:
        return ""
    offered = oqs.get_enabled_kem_mechanisms() if algorithm.is_kem else oqs.get_enabled_sig_mechanisms()
    return next((name for name in names(algorithm) if name in offered), "")


class LibOqs:
    """A provider (see `providers`). Private keys are in liboqs' own expanded form."""

    name = "liboqs"
    form = "expanded"

    @staticmethod
    def offers(algorithm: Algorithm) -> bool:
        return bool(enabled(algorithm))

    @staticmethod
    def generate(algorithm: Algorithm) -> tuple[bytes, bytearray]:
        oqs, name = module(), enabled(algorithm)
        kind = oqs.KeyEncapsulation if algorithm.is_kem else oqs.Signature
        with kind(name) as pair:
            public = bytes(pair.generate_keypair())
            return public, bytearray(pair.export_secret_key())

    @staticmethod
    def sign(algorithm: Algorithm, private: bytearray, message: bytes) -> bytes:
        name = enabled(algorithm)
        with module().Signature(name, bytes(private)) as signer:
            return bytes(signer.sign(_framed(name, message)))

    @staticmethod
    def verify(algorithm: Algorithm, public: bytes, message: bytes, signature: bytes) -> None:
        """Raises ValueError."""
        name = enabled(algorithm)
        with module().Signature(name) as verifier:
            if not verifier.verify(_framed(name, message), signature, public):
                raise ValueError("the signature does not verify")

    @staticmethod
    def encapsulate(algorithm: Algorithm, public: bytes) -> tuple[bytes, bytes]:
        """(ciphertext, shared secret)."""
        with module().KeyEncapsulation(enabled(algorithm)) as kem:
            ciphertext, secret = kem.encap_secret(public)
            return bytes(ciphertext), bytes(secret)

    @staticmethod
    def decapsulate(algorithm: Algorithm, private: bytearray, ciphertext: bytes) -> bytes:
        with module().KeyEncapsulation(enabled(algorithm), bytes(private)) as kem:
            return bytes(kem.decap_secret(ciphertext))


def _framed(name: str, message: bytes) -> bytes:
    """FIPS 205 10.2 puts two octets before the message (pure, no context), which SPHINCS+ 3.1 does not know."""
    return b"\x00\x00" + message if name.startswith("SPHINCS+") else message
