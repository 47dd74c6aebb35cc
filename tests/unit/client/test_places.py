"""Sockets lie where their path fits into sockaddr_un."""

from __future__ import annotations

from pathlib import Path

from hsm_console.domain.places import REFUSALS_SOCKET, SOCKET_PATH_BYTES, run_directory


def test_a_run_time_directory_that_is_too_long_is_not_used() -> None:
    short = run_directory(Path("/house"), runtime_root="/run/user/1000", user_id=1000)
    assert short.is_relative_to("/run/user/1000")
    deep = run_directory(Path("/house"), runtime_root="/run/" + "deep/" * 30, user_id=1000)
    assert deep.is_relative_to("/tmp/hsm-console-1000")
    assert len(str(deep / REFUSALS_SOCKET)) <= SOCKET_PATH_BYTES
