"""The few PKCS#11 calls that python-pkcs11 does not make, or makes in a way that leaks: by ctypes, on the same module.

C_Initialize with CKF_OS_LOCKING_OK (python-pkcs11 passes NULL, which means “no threads”), C_InitToken, C_InitPIN,
C_SetPIN with bytes, and C_Login on a session that is closed again when the login fails. PINs are copied into one
buffer that is overwritten after the call.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

from hsm_console.domain.secret import Secret

CKU_SO = 0
CKU_USER = 1
_CKF_OS_LOCKING_OK = 0x2
_CKF_RW_SESSION = 0x2
_CKF_SERIAL_SESSION = 0x4
_CKA_TOKEN = 0x1
_LABEL_BYTES = 32
_BATCH = 1024
# Places in CK_FUNCTION_LIST (PKCS #11 v2.40, 4.7), the same in every version since.
_PLACES = {
    "C_Initialize": 0,
    "C_Finalize": 1,
    "C_InitToken": 9,
    "C_InitPIN": 10,
    "C_SetPIN": 11,
    "C_OpenSession": 12,
    "C_CloseSession": 13,
    "C_GetSessionInfo": 15,
    "C_Login": 18,
    "C_Logout": 19,
    "C_GetAttributeValue": 24,
    "C_FindObjectsInit": 26,
    "C_FindObjects": 27,
    "C_FindObjectsFinal": 28,
    "C_EncryptInit": 29,
    "C_Encrypt": 30,
    "C_DecryptInit": 33,
    "C_Decrypt": 34,
    "C_GenerateRandom": 64,
}


class CkrError(Exception):
    """A PKCS#11 function returned something else than CKR_OK."""

    def __init__(self, function: str, value: int) -> None:
        super().__init__(f"{function}: 0x{value:08x}")
        self.value = value


class _InitializeArgs(ctypes.Structure):
    _fields_ = (
        ("CreateMutex", ctypes.c_void_p),
        ("DestroyMutex", ctypes.c_void_p),
        ("LockMutex", ctypes.c_void_p),
        ("UnlockMutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("pReserved", ctypes.c_char_p),
    )


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


class _Mechanism(ctypes.Structure):
    _fields_ = (("mechanism", ctypes.c_ulong), ("pParameter", ctypes.c_char_p), ("ulParameterLen", ctypes.c_ulong))


class AttributeValue(ctypes.Structure):
    """CK_ATTRIBUTE."""

    _fields_ = (("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("length", ctypes.c_ulong))


class RawModule:
    """A loaded PKCS#11 module. Raises OSError when it cannot be loaded, AttributeError when it is none."""

    def __init__(self, path: str, *, reserved: bytes | None = None) -> None:
        self.path = path
        self._reserved = reserved
        self._library = ctypes.CDLL(path)
        self._list = ctypes.POINTER(_FunctionList)()
        self._check("C_GetFunctionList", self._library.C_GetFunctionList(ctypes.byref(self._list)))
        if not self._list:
            raise AttributeError("C_GetFunctionList gave no list")

    def share(self, library: object) -> None:
        """Call the functions that python-pkcs11's `library` calls, before either is initialised.

        p11-kit answers every C_GetFunctionList with a list of its own, and each has an initialisation, sessions and a
        login of its own: two of them would not see one another. Raises AttributeError when the other list is none.
        """
        another = ctypes.POINTER(_FunctionList)()
        self._check("C_GetFunctionList", self._library.C_GetFunctionList(ctypes.byref(another)))
        if ctypes.addressof(another.contents) == ctypes.addressof(self._list.contents):
            return  # one list for everybody, as nearly all modules have it
        theirs = function_list_of(library)
        if not theirs or bytes(theirs.contents.version) != bytes(self._list.contents.version):
            raise AttributeError("python-pkcs11 holds no list of functions")
        self._list = theirs

    @property
    def version_3_2(self) -> bool:
        """Whether the module has the calls of PKCS #11 v3.2 (C_GetInterface): without them no ML-KEM."""
        if not hasattr(self._library, "C_GetInterface"):
            return False
        version, found = (ctypes.c_ubyte * 2)(3, 2), ctypes.c_void_p()
        self._library.C_GetInterface.restype = ctypes.c_ulong
        rv = self._library.C_GetInterface(b"PKCS 11", version, ctypes.byref(found), ctypes.c_ulong(0))
        return rv == 0 and bool(found.value)

    def initialize(self) -> None:
        """Tell the module that several threads may call it. pReserved only where a profile asks for it."""
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK, pReserved=self._reserved)
        self._call("C_Initialize", ctypes.byref(arguments))

    def finalize(self) -> None:
        self._call("C_Finalize", None)

    def init_token(self, slot: int, so_pin: Secret, label: str) -> None:
        padded = label.encode().ljust(_LABEL_BYTES)
        if len(padded) > _LABEL_BYTES:
            raise ValueError("a token's label has at most 32 bytes")
        with _revealed(so_pin) as (pin, length):
            self._call("C_InitToken", ctypes.c_ulong(slot), pin, length, padded)

    def init_pin(self, session: int, user_pin: Secret) -> None:
        with _revealed(user_pin) as (pin, length):
            self._call("C_InitPIN", ctypes.c_ulong(session), pin, length)

    def set_pin(self, session: int, old: Secret, new: Secret) -> None:
        with _revealed(old) as (old_pin, old_length), _revealed(new) as (new_pin, new_length):
            self._call("C_SetPIN", ctypes.c_ulong(session), old_pin, old_length, new_pin, new_length)

    def open_session(self, slot: int) -> int:
        """A read-write session."""
        handle = ctypes.c_ulong()
        flags = ctypes.c_ulong(_CKF_SERIAL_SESSION | _CKF_RW_SESSION)
        self._call("C_OpenSession", ctypes.c_ulong(slot), flags, None, None, ctypes.byref(handle))
        return handle.value

    def close_session(self, session: int) -> None:
        self._call("C_CloseSession", ctypes.c_ulong(session))

    def session_info(self, session: int) -> int:
        """The state of a session (CK_STATE). Raises CkrError CKR_SESSION_HANDLE_INVALID when it is gone."""
        info = (ctypes.c_ulong * 4)()
        self._call("C_GetSessionInfo", ctypes.c_ulong(session), ctypes.byref(info))
        return int(info[1])

    def login(self, session: int, pin: Secret | None, *, user: int = CKU_USER) -> None:
        """pin None: the device asks for it itself (CKF_PROTECTED_AUTHENTICATION_PATH)."""
        if pin is None:
            self._call("C_Login", ctypes.c_ulong(session), ctypes.c_ulong(user), None, ctypes.c_ulong(0))
            return
        with _revealed(pin) as (data, length):
            self._call("C_Login", ctypes.c_ulong(session), ctypes.c_ulong(user), data, length)

    def random(self, session: int, length: int, before: bytes) -> bytes:
        """`length` bytes. before: what stands in the buffer until then, so that a call that writes nothing shows."""
        buffer = ctypes.create_string_buffer(before, length)
        self._call("C_GenerateRandom", ctypes.c_ulong(session), buffer, ctypes.c_ulong(length))
        return buffer.raw

    def cipher(
        self, act: str, session: int, mechanism: int, parameter: bytes, key: int, data: bytes, room: int
    ) -> bytes:
        """C_`act`Init and C_`act` (Encrypt, Decrypt) in one part, into a buffer of `room` bytes that is wiped.

        The size is not asked for first, as python-pkcs11 does: some modules answer too little for AES-GCM.
        """
        chosen = _Mechanism(mechanism, parameter, len(parameter))
        self._call(f"C_{act}Init", ctypes.c_ulong(session), ctypes.byref(chosen), ctypes.c_ulong(key))
        out, length = ctypes.create_string_buffer(room), ctypes.c_ulong(room)
        try:
            self._call(f"C_{act}", ctypes.c_ulong(session), data, ctypes.c_ulong(len(data)), out, ctypes.byref(length))
            return out.raw[: length.value]
        finally:
            ctypes.memset(out, 0, room)

    def token_objects(self, session: int, most: int) -> list[int]:
        """Handles of every token object that the session sees, at most `most` and one batch more."""
        yes = ctypes.c_ubyte(1)
        token = AttributeValue(_CKA_TOKEN, ctypes.addressof(yes), 1)
        batch, count = (ctypes.c_ulong * _BATCH)(), ctypes.c_ulong()
        handles: list[int] = []
        self._call("C_FindObjectsInit", ctypes.c_ulong(session), ctypes.byref(token), ctypes.c_ulong(1))
        try:
            while len(handles) <= most:
                found = (ctypes.c_ulong(session), batch, ctypes.c_ulong(_BATCH), ctypes.byref(count))
                self._call("C_FindObjects", *found)
                if not count.value:
                    break
                handles += batch[: min(count.value, _BATCH)]
        finally:
            self._call("C_FindObjectsFinal", ctypes.c_ulong(session))
        return handles

    def attribute_values(self, session: int, handle: int, template: ctypes.Array[AttributeValue]) -> int:
        """C_GetAttributeValue into the template's own buffers; its return value, which speaks of single attributes."""
        function = self._function("C_GetAttributeValue")
        value: int = function(ctypes.c_ulong(session), ctypes.c_ulong(handle), template, ctypes.c_ulong(len(template)))
        return value

    def logout(self, session: int) -> None:
        self._call("C_Logout", ctypes.c_ulong(session))

    @contextlib.contextmanager
    def session(self, slot: int) -> Iterator[int]:
        """A session that is closed in any case."""
        handle = self.open_session(slot)
        try:
            yield handle
        finally:
            with contextlib.suppress(CkrError):
                self.close_session(handle)

    def _function(self, name: str) -> Any:
        address = self._list.contents.functions[_PLACES[name]]
        if not address:
            raise CkrError(name, 0x54)  # CKR_FUNCTION_NOT_SUPPORTED
        return ctypes.CFUNCTYPE(ctypes.c_ulong)(address)  # every argument is typed where it is made

    def _call(self, name: str, *arguments: object) -> None:
        self._check(name, self._function(name)(*arguments))

    @staticmethod
    def _check(name: str, value: int) -> None:
        if value:
            raise CkrError(name, value)


def function_list_of(library: object) -> ctypes._Pointer[_FunctionList]:
    """The list that python-pkcs11's library object calls: the first field of its C struct, which Python cannot name."""
    place = id(library) + object.__basicsize__
    return ctypes.POINTER(_FunctionList).from_address(place)


@contextlib.contextmanager
def _revealed(secret: Secret) -> Iterator[tuple[ctypes.Array[ctypes.c_char], ctypes.c_ulong]]:
    data = secret.reveal_bytes() if secret else b""
    buffer = ctypes.create_string_buffer(data, len(data) + 1)
    try:
        yield buffer, ctypes.c_ulong(len(data))
    finally:
        ctypes.memset(buffer, 0, len(buffer))
