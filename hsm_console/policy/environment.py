"""Environments: the rules of one house as a TOML file, typed, with every unknown key refused.

The bytes of the file are digested and the digest stands in the log's second entry (`PolicyInForce`), so that
an auditor can tell under which rules a ceremony was held. Files live in `resources/environments`.
"""

from __future__ import annotations

import functools
import hashlib
import tomllib
from importlib.resources import files
from typing import Literal

import msgspec

from hsm_console.domain.errors import ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.people import Role

Anchor = Literal["token", "receipt", "witness", "device-log", "tpm"]
Standard = Literal["pci-dss", "hipaa", "sox"]
Confidential = Literal["names", "free-text", "document-digests", "file-names"]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of the tables of an environment file."""


class QuorumRules(_Table, frozen=True, kw_only=True):
    """Least quorum that a script must ask for here: `needed` approvals out of a body of `of` custodians."""

    needed: int
    of: int


class SeatRules(_Table, frozen=True, kw_only=True):
    """required: roles that must be seated whatever the script says; may_combine: pairs one person may hold at once."""

    required: tuple[Role, ...] = ()
    may_combine: tuple[tuple[Role, Role], ...] = ()


class UnlockRules(_Table, frozen=True, kw_only=True):
    """Whose PIN opens the device."""

    roles: tuple[Role, ...]


class LogRules(_Table, frozen=True, kw_only=True):
    """When checkpoints are signed, and the anchors outside the database that must exist (AUDIT 4 and 5).

    confidential: values that are sealed (AUDIT 2); none: the log holds them as they are. standards: whose terms of
    keeping hold here besides `retention_months`, the longest counts. segment_entries: a multiple of 256. root_sheet
    `daily`: the gateway signs each day's root with ML-DSA by itself; `on-request`: when somebody asks.
    """

    checkpoint_entries: int = 256
    checkpoint_seconds: int = 60
    anchors: tuple[Anchor, ...] = ()
    confidential: tuple[Confidential, ...] = ()
    standards: tuple[Standard, ...] = ()
    segment_entries: int = 65_536
    retention_months: int = 12
    root_sheet: Literal["on-request", "daily"] = "on-request"


class PassphraseRules(_Table, frozen=True, kw_only=True):
    """What a credential's passphrase must be. Lengths count characters."""

    minimum_length: int = 12
    kdf_iterations: int = 600_000


class CredentialRules(_Table, frozen=True, kw_only=True):
    """How long a person's certificate and a list of revoked certificates hold."""

    certificate_days: int = 365
    crl_hours: int = 168


class SessionRules(_Table, frozen=True, kw_only=True):
    idle_minutes: int = 15
    clock_tolerance_s: int = 120


class CeremonyRules(_Table, frozen=True, kw_only=True):
    """scripts: `any` script that lints, or only `approved` ones (shipped, or listed by digest in `approved_sha256`).

    scan_receipt: a receipt step needs the paper scanned back; an empty scan is refused.
    """

    scripts: Literal["any", "approved"] = "any"
    approved_sha256: tuple[str, ...] = ()
    scan_receipt: bool = False


class DeviceRules(_Table, frozen=True, kw_only=True):
    """least: with fewer devices than this unlocked, everybody is told that one more failure stops the work."""

    least: int = 1


class Environment(_Table, frozen=True, kw_only=True):
    """simulated_tokens `refused`: a ceremony and an unlock on a simulated token are refused (invariant 6).

    `required`: a real token is refused, so that a rehearsal cannot touch one.
    """

    id: str
    version: str
    title: str
    purpose: str
    production: bool
    simulated_tokens: Literal["allowed", "refused", "required"]
    quorum: QuorumRules
    unlock: UnlockRules
    seats: SeatRules = SeatRules()
    log: LogRules = LogRules()
    passphrase: PassphraseRules = PassphraseRules()
    credential: CredentialRules = CredentialRules()
    session: SessionRules = SessionRules()
    ceremony: CeremonyRules = CeremonyRules()
    devices: DeviceRules = DeviceRules()

    def settings(self) -> dict[str, str]:
        """Every rule as flat text (`quorum.needed` → `2`), for `PolicyInForce.settings` and for the minutes."""
        return dict(sorted(_flat("", msgspec.to_builtins(self))))


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else key, inner)]
    if isinstance(value, list | tuple):
        return [(prefix, ", ".join("+".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in value))]
    return [(prefix, {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value))]


def digest(text: str) -> str:
    """Hex SHA-256 over the UTF-8 bytes of an environment file."""
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, *, name: str = "environment") -> Environment:
    """One environment. Raises InputError `environment-unreadable` that names the key."""
    try:
        found = msgspec.convert(tomllib.loads(text), Environment)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise _unreadable(name, str(error)) from None
    if not 1 <= found.quorum.needed <= found.quorum.of:
        raise _unreadable(name, "quorum.needed must lie between 1 and quorum.of")
    if found.log.segment_entries < 256 or found.log.segment_entries % 256:
        raise _unreadable(name, "log.segment_entries must be a multiple of 256")
    if found.production and found.simulated_tokens != "refused":
        raise _unreadable(name, "a production environment must say simulated_tokens = 'refused'")
    return found


def _unreadable(name: str, why: str) -> InputError:
    return InputError(
        Problem(
            code="environment-unreadable",
            what=f"The rules in “{name}” cannot be used: {why}.",
            todo="Correct the file, or restore it from the software's installation.",
            exit_code=ExitCode.USAGE,
        )
    )


@functools.cache
def texts() -> dict[str, str]:
    """The text of every shipped environment by its id (the file's name without `.toml`)."""
    folder = files("resources") / "environments"
    found = {item.name[:-5]: item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".toml")}
    return dict(sorted(found.items()))


@functools.cache
def load(environment_id: str) -> Environment:
    """The shipped environment of this id. Raises InputError `environment-unknown`."""
    text = texts().get(environment_id)
    if text is None:
        raise InputError(
            Problem(
                code="environment-unknown",
                what=f"There is no environment “{environment_id}”.",
                todo=f"Choose one of: {', '.join(texts())}.",
                exit_code=ExitCode.USAGE,
            )
        )
    return parse(text, name=f"{environment_id}.toml")


def check_token(environment: Environment, *, simulated: bool) -> None:
    """Raises PolicyRefusal when this kind of token may not be used here (invariant 6)."""
    if environment.simulated_tokens == "refused" and simulated:
        raise PolicyRefusal(
            Problem(
                code="simulated-token-refused",
                what=f"The environment “{environment.title}” refuses a simulated token.",
                todo="Connect the hardware module, or hold a rehearsal in a rehearsal environment.",
                exit_code=ExitCode.POLICY,
            )
        )
    if environment.simulated_tokens == "required" and not simulated:
        raise PolicyRefusal(
            Problem(
                code="real-token-refused",
                what=f"The environment “{environment.title}” is for rehearsals and refuses a real token.",
                todo="Use the simulation for the rehearsal, or choose a production environment.",
                exit_code=ExitCode.POLICY,
            )
        )
