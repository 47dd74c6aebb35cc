"""A connection answers for itself: another one's failed write in the thread's error queue is not its end."""

from __future__ import annotations

import ssl

import pytest

from hsm_console.gateway.tls import PeerSocket


@pytest.mark.parametrize("stale", [BrokenPipeError, ConnectionResetError])
def test_a_stale_failure_is_asked_about_once_more(monkeypatch: pytest.MonkeyPatch, stale: type[OSError]) -> None:
    answers: list[object] = [stale(32, "of another connection"), b"what was sent"]

    def read(self: ssl.SSLSocket, length: int = 1024, buffer: object = None) -> object:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(ssl.SSLSocket, "read", read)
    assert PeerSocket.__new__(PeerSocket).read(1024) == b"what was sent"
    assert answers == []


def test_a_connection_that_is_really_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: ssl.SSLSocket, length: int = 1024, buffer: object = None) -> object:
        raise ConnectionResetError(104, "gone")

    monkeypatch.setattr(ssl.SSLSocket, "read", read)
    with pytest.raises(ConnectionResetError):
        PeerSocket.__new__(PeerSocket).read(1024)
