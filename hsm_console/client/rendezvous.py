"""Where a gateway is, and what proves that it is the right one. No cryptography is imported here: starts stay fast."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import msgspec

from hsm_console.domain import places
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem
from hsm_console.domain.messages.process import Rendezvous

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class GatewayAddress(msgspec.Struct, frozen=True, kw_only=True):
    """listen: `unix:/path` or `host:port`; authority_pem: the only authority that is trusted; gateway_sha256: the one
    certificate that is accepted (hex SHA-256 of its DER), empty for any gateway of that authority; refusals: socket
    where to ask why one was refused, empty for a gateway on another machine."""

    listen: str
    authority_pem: str
    gateway_sha256: str = ""
    refusals: str = ""


def run_directory(workspace: Path) -> Path:
    """The run-time directory of the workspace's gateway, for this system user."""
    root = os.environ.get("XDG_RUNTIME_DIR", "")
    return places.run_directory(workspace, runtime_root=root, user_id=os.getuid())


def for_workspace(workspace: Path, listen: str) -> GatewayAddress:
    """Address of a gateway of this machine, with everything that pins it. Raises InputError `workspace-incomplete`."""
    authority = _read(workspace / places.AUTHORITY)
    certificate = _read(workspace / places.GATEWAY_CERTIFICATE)
    return GatewayAddress(
        listen=listen,
        authority_pem=authority,
        gateway_sha256=certificate_sha256(certificate),
        refusals=str(run_directory(workspace) / places.REFUSALS_SOCKET),
    )


def locate(workspace: Path) -> GatewayAddress:
    """The gateway of `workspace` that runs now. Raises EnvironmentFault `gateway-not-running`."""
    found = running(workspace)
    if found is None:
        raise EnvironmentFault(
            Problem(
                code="gateway-not-running",
                what=f"No gateway is running for the workspace {workspace}.",
                todo="Start HSM Console with this workspace, or `hsm-console gateway --workspace …`.",
                details={"workspace": str(workspace)},
            )
        )
    return for_workspace(workspace, found.listen)


def running(workspace: Path) -> Rendezvous | None:
    """What the running gateway says of itself; None when there is none or its process is gone."""
    try:
        found = msgspec.json.decode((run_directory(workspace) / places.RENDEZVOUS).read_bytes(), type=Rendezvous)
        os.kill(found.pid, 0)
    except PermissionError:  # it lives, as another user
        return found
    except (OSError, msgspec.DecodeError):
        return None
    return found


def remote(listen: str, authority: Path, gateway_sha256: str = "") -> GatewayAddress:
    """A gateway on another machine. authority: its workspace's authority.pem, brought over by hand."""
    return GatewayAddress(listen=listen, authority_pem=_read(authority), gateway_sha256=gateway_sha256.lower())


def certificate_sha256(pem: str) -> str:
    """Hex SHA-256 of the first certificate's DER in a PEM text. Raises InputError `certificate-unreadable`."""
    body, begin, _ = pem.partition(_END)
    try:
        der = base64.b64decode("".join(body.split(_BEGIN, 1)[1].split()), validate=True)
    except (IndexError, ValueError):
        der = b""
    if not der or not begin:
        raise InputError(
            Problem(
                code="certificate-unreadable",
                what="The file is not a certificate (X.509, PEM).",
                todo="Bring the file again from where it was made.",
                exit_code=ExitCode.USAGE,
            )
        )
    return hashlib.sha256(der).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(
                code="workspace-incomplete",
                what=f"The file {path} cannot be read.",
                todo="Check that the folder is a complete workspace and belongs to you.",
                details={"path": str(path)},
                exit_code=ExitCode.USAGE,
            )
        ) from error
