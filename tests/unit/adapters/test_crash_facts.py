"""What made processes crash or keys useless when it was done otherwise, held by one test each."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import Attribute, ObjectClass

from adapters.pkcs11 import aes, generation, objects, session
from adapters.pkcs11.numbers import Numbers
from adapters.pkcs11.profile import Profile
from adapters.pkcs11.raw import CkrError, RawModule
from adapters.pkcs11.templates import TolerantMapper
from hsm_console.domain.errors import DeviceError, InputError
from hsm_console.domain.keys import Algorithm, KeySpec
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import AesGcm, Binding

PLAIN = Profile(id="x", title="x", vendor="x")
ZEROS = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"


class NeverAsked:
    """A session that no native call may reach."""

    def __getattr__(self, name: str) -> Any:
        def asked(*_arguments: Any, **_options: Any) -> None:
            raise AssertionError(f"the device was asked: {name}")

        return asked


def test_wrong_template_never_reaches_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_arguments: Any, **_options: Any) -> dict[Any, Any]:
        return {Attribute.LABEL: 5}

    spec = KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=b"\x01")
    for function in ("guarded", "public"):
        with monkeypatch.context() as patched:
            patched.setattr(generation, function, wrong)
            with pytest.raises(InputError) as caught:
                generation.generate(NeverAsked(), TolerantMapper(), PLAIN, Numbers(PLAIN, "caller"), spec)
            assert caught.value.problem.code == "template-unusable"


RECORDER = """
typedef unsigned long ul;
typedef struct { void *a, *b, *c, *d; ul flags; void *reserved; } arguments;
static struct { unsigned char version[2]; void *f[68]; } list = { { 2, 40 } };
ul seen_flags, seen_mutexes; const char *seen_reserved; ul given = 1;
static ul initialize(arguments *a) {
    given = a != 0;
    if (a) { seen_flags = a->flags; seen_reserved = a->reserved; seen_mutexes = a->a || a->b || a->c || a->d; }
    return 0;
}
ul C_GetFunctionList(void **out) { list.f[0] = initialize; *out = &list; return 0; }
"""


def test_module_is_told_that_several_threads_call_it(tmp_path: Path) -> None:
    source, library = tmp_path / "recorder.c", tmp_path / "recorder.so"
    source.write_text(RECORDER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    seen = ctypes.CDLL(str(library))
    for reserved in (None, b"connector=http://127.0.0.1:12345"):
        RawModule(str(library), reserved=reserved).initialize()
        assert ctypes.c_ulong.in_dll(seen, "given").value == 1
        assert ctypes.c_ulong.in_dll(seen, "seen_flags").value == 0x2  # CKF_OS_LOCKING_OK
        assert ctypes.c_ulong.in_dll(seen, "seen_mutexes").value == 0
        assert ctypes.c_char_p.in_dll(seen, "seen_reserved").value == reserved


class Key:
    """An object of python-pkcs11: a handle and its session's."""

    handle = 8
    session = type("Session", (), {"handle": 7})()


class WritingDevice:
    """A device that writes its IV through the pointer of CK_GCM_PARAMS, as late as the encryption itself."""

    def __init__(self, iv: bytes) -> None:
        self.iv = iv

    def cipher(
        self, act: str, session: int, mechanism: int, parameter: bytes, key: int, data: bytes, room: int
    ) -> bytes:
        assert (act, session, mechanism, key) == ("Encrypt", 7, 0x1087, 8)
        assert room >= len(data) + 32  # tag and a long IV
        parameters = aes._GcmParams.from_buffer_copy(parameter)
        assert ctypes.string_at(parameters.pIv, parameters.ulIvLen) == bytes(12)
        ctypes.memmove(parameters.pIv, self.iv, 12)
        return data + b"T" * 16


def test_iv_that_a_device_writes_changes_nothing_else() -> None:
    for number in (1, 2):
        iv = bytes([number]) * 12
        sealed = aes.encrypt(WritingDevice(iv), Key(), "readback", Numbers(PLAIN, "readback"), b"secret", b"aad")
        assert sealed == AesGcm(iv=iv, ciphertext=b"secret", tag=b"T" * 16)
    assert bytes(12) == ZEROS
    assert bytes(12) == b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"


class SilentDevice:
    """A device that does not write its IV, though the profile says so."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def cipher(self, act: str, *given: Any) -> bytes:
        return given[4] + self.answer if act == "Encrypt" else self.answer


def test_zero_iv_and_answers_of_the_wrong_length_are_thrown_away() -> None:
    for answer, rule in ((b"T" * 16, "readback"), (b"T" * 15, "caller"), (b"", "caller"), (b"T" * 40, "append16")):
        with pytest.raises(DeviceError) as caught:
            aes.encrypt(SilentDevice(answer), Key(), rule, Numbers(PLAIN, rule), b"secret", b"")
        assert caught.value.problem.code == "answer-unusable"
    message = AesGcm(iv=b"\x01" * 12, ciphertext=b"secret", tag=b"T" * 16)
    with pytest.raises(DeviceError):
        aes.decrypt(SilentDevice(b"longer than it was"), Key(), "caller", Numbers(PLAIN, "caller"), message, b"")


class Searching:
    """A session whose search is active until its generator is exhausted; reading meanwhile is an error."""

    active = False

    def get_objects(self, _wanted: Any) -> Iterator[Any]:
        assert not self.active
        self.active = True
        yield from (Object(self) for _ in range(25))
        self.active = False


class Object:
    def __init__(self, owner: Searching) -> None:
        self.owner = owner

    def get_attributes(self, attributes: list[Attribute]) -> dict[Attribute, Any]:
        assert not self.owner.active, "an attribute was read while a search was open"
        return {Attribute.ID: b"\x01", Attribute.LABEL: "k", Attribute.CLASS: ObjectClass.PRIVATE_KEY}


def test_searches_are_finished_before_anything_is_read() -> None:
    searching = Searching()
    assert len(objects.search(searching, (ObjectClass.PRIVATE_KEY,))) == 25
    assert len(objects.search(searching)) == 25
    assert objects.taken(searching, Attribute.ID, b"\x01")
    assert not searching.active


class Endless(Searching):
    def get_objects(self, _wanted: Any) -> Iterator[Any]:
        while True:
            yield Object(self)


def test_search_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_OBJECTS", 1000)
    with pytest.raises(DeviceError) as caught:
        objects.search(Endless(), (ObjectClass.PRIVATE_KEY,))
    assert caught.value.problem.code == "answer-unusable"


class Raw:
    """Counts native sessions."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.open: set[int] = set()
        self.right = True
        self.state = 2  # CKS_RW_PUBLIC_SESSION

    def open_session(self, _slot: int) -> int:
        self.open.add(len(self.calls) + 1)
        self.calls.append("open")
        return len(self.calls)

    def close_session(self, handle: int) -> None:
        self.open.discard(handle)
        self.calls.append("close")

    def login(self, _session: int, _pin: Secret | None, *, user: int = 1) -> None:
        self.calls.append(f"login {user}")
        if not self.right:
            raise CkrError("C_Login", 0xA0)

    def session_info(self, _session: int) -> int:
        return self.state

    def logout(self, _session: int) -> None:
        self.state = 2
        self.calls.append("logout")


class Token:
    """A token whose work sessions must be opened without a PIN."""

    label, serial, flags = "t", b"1", 0x400

    def __init__(self) -> None:
        self.slot = type("Slot", (), {"slot_id": 0, "get_token": lambda _slot: self})()
        self.worked = 0

    def open(self, **options: Any) -> Any:
        assert set(options) == {"rw", "attribute_mapper"}
        self.worked += 1
        return type("Work", (), {"close": lambda _self: None, "handle": self.worked})()


@pytest.fixture
def sessions() -> tuple[session.Sessions, Raw, Token]:
    raw, token = Raw(), Token()
    module: Any = type("Module", (), {"raw": raw, "slots": lambda _self: [token.slot]})()
    return session.Sessions(module, PLAIN, Binding(adapter="x", token_label="t")), raw, token


def test_one_session_logs_in_and_does_nothing_else(sessions: tuple[session.Sessions, Raw, Token]) -> None:
    opened, raw, token = sessions
    opened.log_in(Secret("user-pin"))
    assert raw.calls == ["open", "login 1"]
    opened.work()
    opened.work()
    assert (token.worked, raw.calls) == (1, ["open", "login 1"])
    opened.log_out()
    assert raw.calls == ["open", "login 1", "logout", "close"]
    assert raw.open == set()


def test_failed_login_leaves_no_session_open(sessions: tuple[session.Sessions, Raw, Token]) -> None:
    opened, raw, _ = sessions
    raw.right = False
    for _ in range(3):
        with pytest.raises(DeviceError) as caught:
            opened.log_in(Secret("user-pin"))
        assert caught.value.problem.code == "pin-incorrect"
    assert raw.open == set()
    assert not opened.logged_in


def test_login_that_nobody_remembers_is_ended_so_that_the_pin_is_checked(
    sessions: tuple[session.Sessions, Raw, Token],
) -> None:
    opened, raw, _ = sessions
    raw.state = 3  # CKS_RW_USER_FUNCTIONS, though nobody is logged in here
    opened.log_in(Secret("user-pin"))
    assert raw.calls == ["open", "logout", "login 1"]
    opened.forget()
    assert raw.calls[3:] == ["logout", "close"]
    assert not opened.logged_in


def test_lanes_stay_within_the_devices_sessions() -> None:
    few = Profile(id="x", title="x", vendor="x", lanes=16, max_sessions=6)
    binding = Binding(adapter="x", token_label="t")
    assert session.lanes_of(binding, few) == 5
    assert session.lanes_of(binding, Profile(id="x", title="x", vendor="x", max_sessions=1)) == 1
