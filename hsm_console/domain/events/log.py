"""Events of the log's own life: created, started, stopped, looked at, verified, alerts."""

from __future__ import annotations

from typing import Literal

import msgspec

from hsm_console.domain.events.base import Event
from hsm_console.domain.keys import Algorithm, DeviceInfo, KeyAttributes


class FoundingKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key made at the founding. purpose: `authority`, `log`; spki: base64 DER."""

    purpose: str
    object_id: str
    label: str
    algorithm: Algorithm
    spki: str
    attributes: KeyAttributes


class LogCreated(Event, frozen=True, kw_only=True, tag="log-created"):
    """Entry 0. founding: canonical JSON of the founding statement whose SHA-256 the first object ids derive from."""

    origin: str
    chain_uid: str
    software: str
    software_version: str
    software_sha256: str
    founding: str
    keys: tuple[FoundingKey, ...]
    device: DeviceInfo


class PolicyInForce(Event, frozen=True, kw_only=True, tag="policy-in-force"):
    """Entry 1, and again at each change. policy_sha256: digest of the environment file's bytes."""

    environment: str
    production: bool
    policy_sha256: str
    settings: dict[str, str] = {}


class GatewayStarted(Event, frozen=True, kw_only=True, tag="gateway-started"):
    """previous_end: how the run before ended; `unclean` declares a crash (verifier: no finding)."""

    run_uid: str
    software_version: str
    previous_end: Literal["none", "clean", "unclean"]
    listen: str
    open_intents: int = 0


class GatewayStopped(Event, frozen=True, kw_only=True, tag="gateway-stopped"):
    """The clean end of a run. Its absence is UNCLEAN."""

    run_uid: str
    reason: str


class LogViewed(Event, frozen=True, kw_only=True, tag="log-viewed"):
    """Somebody looked at entries. One record per look (a page or a filter), not per row."""

    first: int
    last: int
    filter: str = ""


class LogVerified(Event, frozen=True, kw_only=True, tag="log-verified"):
    """Somebody ran the verification; result: the verifier's first line."""

    result: str
    size: int
    findings: tuple[str, ...] = ()


class LogExported(Event, frozen=True, kw_only=True, tag="log-exported"):
    what: str
    size: int
    root: str
    sha256: str = ""


class ReceiptIssued(Event, frozen=True, kw_only=True, tag="receipt-issued"):
    """A receipt for entry `index` was made under the checkpoint of `size`. medium: png, pdf, tlog-proof or screen."""

    index: int
    size: int
    medium: str
    ceremony_id: str = ""


class TimeChangeDeclared(Event, frozen=True, kw_only=True, tag="time-change-declared"):
    """A person says that the workstation's clock is being set, or was. Excuses one step of about that size.

    shift_ms: how far it is moved; positive: ahead. source: the time source it was compared with.
    """

    shift_ms: int
    source: str
    why: str


class AlertRaised(Event, frozen=True, kw_only=True, tag="alert-raised"):
    """A detection rule matched. first, last: the entries it saw; rules_sha256: digest of the rule file.

    text: why, in plain words; todo: what to do; subject: uid of the person whose act it was.
    """

    rule: str
    title: str
    level: Literal["low", "medium", "high", "critical"]
    first: int
    last: int
    text: str = ""
    rules_sha256: str = ""
    todo: str = ""
    subject: str = ""
