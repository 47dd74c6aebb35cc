"""The worker's side of a call: unknown exceptions, calls of sys.exit and unreadable frames become answers."""

from __future__ import annotations

from typing import Any

import pytest

from hsm_console.domain.errors import PolicyRefusal, Problem
from hsm_console.domain.secret import Secret
from hsm_console.hsm import host, problems, wire


class Broken:
    """An adapter whose calls fail as told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.pin: Secret | None = None

    def log_in(self, pin: Secret) -> None:
        self.pin = pin
        raise self.error

    def generate(self, spec: Any) -> None:
        raise self.error


def reply(hsm: Any, call: wire.AnyCall) -> wire.Failed:
    frame, last = host._answer(hsm, wire.pack(call)[wire.HEADER_BYTES :])
    assert not last
    answer = wire.decode_reply(frame[wire.HEADER_BYTES :])
    assert isinstance(answer, wire.Failed)
    return answer


@pytest.mark.parametrize("error", [KeyError("the PIN 1234"), SystemExit(3), MemoryError(), RuntimeError()])
def test_unknown_exception_is_told_by_its_type_only(error: BaseException) -> None:
    broken = Broken(error)
    failed = reply(broken, wire.LogIn(pin=Secret("1234")))
    assert failed.problem.code == "device-failed"
    assert failed.problem.details == {"call": "log_in", "type": type(error).__name__}
    assert "1234" not in repr(failed)
    assert broken.pin is not None
    assert not broken.pin, "the worker's copy of the PIN is wiped"


def test_family_that_the_protocol_does_not_know_is_carried_by_its_parent() -> None:
    class Special(PolicyRefusal):
        pass

    failed = reply(Broken(Special(Problem(code="x", what="w", todo="t"))), wire.LogIn(pin=Secret("1")))
    assert failed.family == "PolicyRefusal"


def test_unreadable_frame_reaches_no_adapter() -> None:
    frame, last = host._answer(Broken(RuntimeError()), bytearray(b"nonsense"))  # type: ignore[arg-type]
    answer = wire.decode_reply(frame[wire.HEADER_BYTES :])
    assert isinstance(answer, wire.Failed)
    assert answer.problem.code == "call-unreadable"
    assert not last


@pytest.mark.parametrize("method", ["generate", "unwrap", "destroy", "initialise_token", "change_pin"])
def test_what_may_have_happened_is_never_called_nothing(method: str) -> None:
    for error in (problems.hung(method, 1), problems.crashed(method, {}), problems.unexpected(method, KeyError())):
        assert "not known" in error.problem.key_state
