"""A gateway on another machine: a folder that stands for its workspace here.

It holds `gateway.toml` (where it listens, the digest of its certificate), the workspace's `authority.pem`, both brought
over by hand, and the credentials that people put there. No log, no roster, no key of the gateway: none is needed.
"""

from __future__ import annotations

import json
import re
import socket
import tomllib
from pathlib import Path

import msgspec

from hsm_console.client import rendezvous
from hsm_console.client.rendezvous import GatewayAddress
from hsm_console.domain import places
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem

KNOCK_SECONDS = 1.0
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`gateway.toml`. listen: `host:port`; gateway_sha256: hex SHA-256 of the gateway's certificate (DER)."""

    listen: str
    gateway_sha256: str


def stands_here(folder: Path) -> bool:
    """Whether the folder stands for a gateway on another machine."""
    return (folder / places.ELSEWHERE).is_file()


def address(folder: Path) -> GatewayAddress:
    """Where the gateway is, with what pins it. Raises InputError `connection-unreadable` or `workspace-incomplete`."""
    path = folder / places.ELSEWHERE
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Elsewhere)
        _check(found.listen, found.gateway_sha256)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, InputError) as error:
        raise _refused(
            "connection-unreadable",
            f"{path} cannot be used: {error}.",
            "Connect to the gateway anew: address, authority file and digest.",
        ) from error
    return rendezvous.remote(found.listen, folder / places.AUTHORITY, found.gateway_sha256)


def digest_of(text: str) -> str:
    """A digest as people copy it from paper, without blanks, colons and dashes and in small letters."""
    return re.sub(r"[\s:.-]", "", text).lower()


def connect(folder: Path, listen: str, authority: Path, gateway_sha256: str) -> GatewayAddress:
    """Make the folder, or bring its address and digest up to date. Nothing is asked of the gateway yet.

    Raises InputError `address-unusable`, `digest-unusable`, `certificate-unreadable`, `workspace-exists`, …;
    EnvironmentFault `folder-not-written`.
    """
    digest = digest_of(gateway_sha256)
    _check(listen, digest)
    wanted = rendezvous.remote(listen, authority, digest)
    rendezvous.certificate_sha256(wanted.authority_pem)
    if (folder / places.WORKSPACE).exists():
        raise _refused(
            "workspace-exists",
            f"{folder} is a workspace of this machine.",
            "Open it, or name another folder for the gateway that is elsewhere.",
        )
    told = f"listen = {json.dumps(listen)}\ngateway_sha256 = {json.dumps(digest)}\n"
    try:
        (folder / places.CREDENTIALS).mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / places.AUTHORITY).write_text(wanted.authority_pem)
        (folder / places.ELSEWHERE).write_text(told)
    except OSError as error:
        raise EnvironmentFault(
            Problem(
                code="folder-not-written",
                what=f"Nothing can be written in {folder}: {error.strerror}.",
                todo="Check the folder's rights and the free space, or name another folder.",
                details={"path": str(folder), "errno": str(error.errno)},
            )
        ) from error
    return wanted


def answers(listen: str) -> bool:
    """Whether anything takes a connection there (`host:port`, `unix:/path`) within a second. It proves nobody: the
    handshake does."""
    kind, _, path = listen.partition(":")
    host, _, port = listen.rpartition(":")
    try:
        if kind == "unix":
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.settimeout(KNOCK_SECONDS)
                knocking.connect(path)
        else:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def _check(listen: str, digest: str) -> None:
    if not _ADDRESS.fullmatch(listen) or not 0 < int(listen.rpartition(":")[2]) <= 65535:
        what = f"“{listen[:100]}” is no address of a gateway."
        raise _refused("address-unusable", what, "Write host:port, for example 192.0.2.10:8443.")
    if not _DIGEST.fullmatch(digest):
        raise _refused(
            "digest-unusable",
            "The digest of the gateway's certificate is not a SHA-256: it has 64 hexadecimal digits.",
            "Read it from the sheet of the founding, or from the log-in page of the gateway's own machine.",
        )


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
