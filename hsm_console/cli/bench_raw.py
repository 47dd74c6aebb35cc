"""The limit of every call to a device: the module's own C functions, by ctypes, with nothing between (PKCS #11 v2.40).

One session, one thread. It makes pairs on the token with the attributes that the adapter asks for, and signs with them.
"""

from __future__ import annotations

import ctypes
import hashlib
from typing import Any

_PLACES = {"Initialize": 0, "GetSlotList": 4, "GetTokenInfo": 6, "OpenSession": 12, "Login": 18, "SignInit": 42,
           "Sign": 43, "GenerateKeyPair": 59}  # fmt: skip
_CKF_RW_SERIAL = 0x6
_CKU_USER = 1
_LABEL = 32
_ROOM = 1024
_TOKEN, _PRIVATE, _SENSITIVE, _SIGN, _VERIFY = 0x01, 0x02, 0x103, 0x108, 0x10A
_MODULUS_BITS, _PUBLIC_EXPONENT, _EXTRACTABLE, _MODIFIABLE, _EC_PARAMS = 0x121, 0x122, 0x162, 0x170, 0x180
_RSA_PAIR, _EC_PAIR, _EDWARDS_PAIR, _ECDSA = 0x0, 0x1040, 0x1055, 0x1041
_PSS_SHA256 = (0x43, (ctypes.c_ulong * 3)(0x250, 0x02, 32))  # CKM_SHA256_RSA_PKCS_PSS; hash, mask, octets of salt
_P384, _ED25519 = bytes.fromhex("06052b81040022"), bytes.fromhex("06032b6570")
_KINDS: dict[str, tuple[int, dict[int, Any]]] = {
    "ec-p384": (_EC_PAIR, {_EC_PARAMS: _P384}),
    "ed25519": (_EDWARDS_PAIR, {_EC_PARAMS: _ED25519}),
    "rsa-4096": (_RSA_PAIR, {_MODULUS_BITS: 4096, _PUBLIC_EXPONENT: b"\x01\x00\x01"}),
}


class _Attribute(ctypes.Structure):
    _fields_ = (("type", ctypes.c_ulong), ("value", ctypes.c_char_p), ("length", ctypes.c_ulong))


class _Mechanism(ctypes.Structure):
    _fields_ = (("mechanism", ctypes.c_ulong), ("parameter", ctypes.c_void_p), ("length", ctypes.c_ulong))


class _TokenInfo(ctypes.Structure):
    _fields_ = (("label", ctypes.c_char * _LABEL), ("rest", ctypes.c_ubyte * 480))


class RawToken:
    """A token with a session that is logged in. Raises OSError for a module that does not load or refuses a call."""

    def __init__(self, library: str, label: str, pin: str) -> None:
        self._library = ctypes.CDLL(library)
        found = ctypes.POINTER(ctypes.c_void_p)()
        if self._library.C_GetFunctionList(ctypes.byref(found)):
            raise OSError("C_GetFunctionList failed")
        table = ctypes.cast(ctypes.addressof(found.contents) + ctypes.sizeof(ctypes.c_void_p),
                            ctypes.POINTER(ctypes.c_void_p))  # fmt: skip
        self._functions = {name: ctypes.CFUNCTYPE(ctypes.c_ulong)(table[at] or 0) for name, at in _PLACES.items()}
        self._call("Initialize", None)
        self._session = ctypes.c_ulong()
        slot = self._slot(label)
        self._call("OpenSession", slot, ctypes.c_ulong(_CKF_RW_SERIAL), None, None, ctypes.byref(self._session))
        secret = pin.encode()
        self._call("Login", self._session, ctypes.c_ulong(_CKU_USER), secret, ctypes.c_ulong(len(secret)))
        self._out, self._length = ctypes.create_string_buffer(_ROOM), ctypes.c_ulong()

    def _call(self, name: str, *arguments: Any) -> None:
        value = self._functions[name](*arguments)
        if value:
            raise OSError(f"C_{name}: 0x{value:08x}")

    def _slot(self, label: str) -> ctypes.c_ulong:
        count = ctypes.c_ulong()
        self._call("GetSlotList", ctypes.c_ubyte(1), None, ctypes.byref(count))
        slots = (ctypes.c_ulong * count.value)()
        self._call("GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        for slot in slots:
            info = _TokenInfo()
            self._call("GetTokenInfo", ctypes.c_ulong(slot), ctypes.byref(info))
            if info.label.decode().rstrip() == label:
                return ctypes.c_ulong(slot)
        raise OSError(f"no token is called {label}")

    def generate(self, kind: str) -> ctypes.c_ulong:
        """A pair on the token; the private key's handle."""
        mechanism, given = _KINDS[kind]
        public = _template({_TOKEN: True, _VERIFY: True, **given})
        guarded = {_TOKEN: True, _PRIVATE: True, _SENSITIVE: True, _SIGN: True, _EXTRACTABLE: False, _MODIFIABLE: False}
        private = _template(guarded)
        halves = ctypes.c_ulong(), ctypes.c_ulong()
        self._call(
            "GenerateKeyPair", self._session, ctypes.byref(_Mechanism(mechanism)), public, ctypes.c_ulong(len(public)),
            private, ctypes.c_ulong(len(private)), ctypes.byref(halves[0]), ctypes.byref(halves[1]),
        )  # fmt: skip
        return halves[1]

    def sign_p384(self, key: ctypes.c_ulong, message: bytes) -> bytes:
        return self._sign(key, _Mechanism(_ECDSA), hashlib.sha384(message).digest())

    def sign_pss(self, key: ctypes.c_ulong, message: bytes) -> bytes:
        """RSA-PSS with SHA-256, hashed by the module."""
        number, parameter = _PSS_SHA256
        address = ctypes.cast(parameter, ctypes.c_void_p)
        return self._sign(key, _Mechanism(number, address, ctypes.sizeof(parameter)), message)

    def _sign(self, key: ctypes.c_ulong, mechanism: _Mechanism, data: bytes) -> bytes:
        self._call("SignInit", self._session, ctypes.byref(mechanism), key)
        self._length.value = _ROOM
        self._call("Sign", self._session, data, ctypes.c_ulong(len(data)), self._out, ctypes.byref(self._length))
        return self._out.raw[: self._length.value]


def _template(values: dict[int, Any]) -> Any:
    packed = (_Attribute * len(values))()
    for at, (kind, value) in enumerate(values.items()):
        data = value if isinstance(value, bytes) else bytes(ctypes.c_ubyte(value) if value is True or value is False
                                                            else ctypes.c_ulong(value))  # fmt: skip
        packed[at] = _Attribute(kind, data, len(data))
    return packed
