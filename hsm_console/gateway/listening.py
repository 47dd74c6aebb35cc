"""Listening sockets: a Unix socket with exact rights, or a TCP address. A taken address is told, a stale one reused."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from pathlib import Path

from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem

UNIX_PREFIX = "unix:"
BACKLOG = 128
_MAX_UNIX_PATH = 107  # sun_path of Linux without its final NUL
_UCRED = struct.Struct("3i")


def listen(address: str, *, mode: int = 0o600) -> socket.socket:
    """A listening socket for `unix:/path` or `host:port` (port 0: any free one).

    Raises InputError `address-unusable`, EnvironmentFault `address-in-use` or `address-not-available`.
    """
    if address.startswith(UNIX_PREFIX):
        return listen_unix(Path(address.removeprefix(UNIX_PREFIX)), mode)
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535 or not host:
        raise InputError(
            Problem(
                code="address-unusable",
                what=f"“{address}” is no address to listen at.",
                todo="Write unix:/path/to/socket or host:port.",
                exit_code=ExitCode.USAGE,
            )
        )
    return _listen_tcp(host.strip("[]"), int(port), address)


def address_of(listening: socket.socket) -> str:
    """The address as clients write it, with the real port."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return UNIX_PREFIX + str(name)
    return f"[{name[0]}]:{name[1]}" if listening.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def listen_unix(path: Path, mode: int) -> socket.socket:
    """Bind `path` with exactly `mode`. A socket file that nobody answers at is left over from a crash: replaced."""
    if len(os.fsencode(path)) > _MAX_UNIX_PATH:
        raise _fault("address-not-available", str(path), "the path is too long for a Unix socket", errno.ENAMETOOLONG)
    _clear_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise _unavailable(str(path), error) from error
    finally:
        os.umask(before)
    listening.listen(BACKLOG)
    return listening


def _clear_stale(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise _fault("address-in-use", str(path), "a file that is no socket lies there", errno.EADDRINUSE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise _unavailable(str(path), error) from error
    raise _fault("address-in-use", str(path), "another gateway answers there", errno.EADDRINUSE)


def _listen_tcp(host: str, port: int, address: str) -> socket.socket:
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise _unavailable(address, error) from error
    listening = socket.socket(family, kind, proto)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Linux hands these on to accepted sockets: small answers go out at once, a dead peer is found in minutes.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    try:
        listening.bind(where)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _unavailable(address, error) from error
    return listening


def _unavailable(address: str, error: OSError) -> EnvironmentFault:
    code = "address-in-use" if error.errno == errno.EADDRINUSE else "address-not-available"
    return _fault(code, address, error.strerror or str(error), error.errno or 0)


def _fault(code: str, address: str, why: str, number: int) -> EnvironmentFault:
    todo = "Choose an address of this machine."
    if code == "address-in-use":
        todo = "Close the other instance of HSM Console, or choose another address."
    elif number == errno.ENAMETOOLONG:
        todo = f"Choose a path of at most {_MAX_UNIX_PATH} bytes."
    return EnvironmentFault(
        Problem(
            code=code,
            what=f"The gateway cannot listen at {address}: {why}.",
            todo=todo,
            details={"address": address, "errno": str(number)},
        )
    )


def describe_peer(connected: socket.socket) -> tuple[str, str]:
    """(src, connection): who connected, for the log; and the name by which that side can ask about itself."""
    if connected.family == socket.AF_UNIX:
        raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(raw)
        name = connected.getpeername()
        text = name.decode("ascii", "replace").lstrip("\x00") if isinstance(name, bytes) else str(name)
        return f"unix uid={uid} pid={pid}", text
    host, port = connected.getpeername()[:2]
    return f"{host}:{port}", f"{host}:{port}"
