"""Entries for log collectors: RFC 5424 syslog, CEF and CSV, made from the OCSF entries (AUDIT 8).

Two layers keep one entry on one line whatever a name holds. First every control character, line or paragraph separator,
direction mark and lone surrogate becomes `\\n`, `\\r` or `\\uXXXX`, and a backslash becomes two. Then the format's own
escaping follows. Both can be undone exactly; docs/reports.md says how.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec

from hsm_console import __version__
from hsm_console.audit.disclosure import MARK, hide
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed

FACILITY = 13  # "log audit", RFC 5424 table 1
SD_ID = "hsm-console@32473"  # 32473: the private enterprise number kept for examples (RFC 5612)
BOM = "\ufeff"
VENDOR = PRODUCT = "HSM Console"
SYSLOG_SEVERITY = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}
"""OCSF severity_id to syslog severity: informational, notice, warning, error, critical."""
CEF_SEVERITY = {1: 1, 2: 3, 3: 5, 4: 7, 5: 9}
BEGIN, END = "export-begin", "export-end"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\\\\]")
_NAMED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, flat: all text, in the order of the CSV columns. leaf: hex RFC 6962 leaf hash of the entry's bytes,
    from which the root of the checkpoint can be computed again; fingerprint: hex SHA-256 of the same bytes."""

    seq: str = ""
    time: str = ""
    time_ms: str = ""
    kind: str = ""
    severity: str = ""
    status: str = ""
    status_code: str = ""
    actor_uid: str = ""
    actor_name: str = ""
    roles: str = ""
    session: str = ""
    certificate: str = ""
    source: str = ""
    device: str = ""
    serial: str = ""
    resources: str = ""
    ceremony: str = ""
    step: str = ""
    class_name: str = ""
    activity: str = ""
    uid: str = ""
    correlation: str = ""
    fingerprint: str = ""
    leaf: str = ""
    simulated: str = ""
    size: str = ""
    root: str = ""
    checkpoint: str = ""
    message: str = ""
    severity_id: int = 1


COLUMNS = tuple(name for name in Row.__struct_fields__ if name != "severity_id")


# -- from an entry ------------------------------------------------------------------------------------------


class _Named(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _User(msgspec.Struct):
    uid: str = ""
    name: str = ""
    groups: list[_Named] = []


class _Actor(msgspec.Struct):
    user: _User | None = None
    session: _Named | None = None
    app_name: str = ""


class _Print(msgspec.Struct):
    value: str = ""


class _Certificate(msgspec.Struct):
    fingerprints: list[_Print] = []


class _Hardware(msgspec.Struct):
    serial_number: str = ""


class _Device(msgspec.Struct):
    name: str = ""
    hw_info: _Hardware = msgspec.field(default_factory=_Hardware)


class _Metadata(msgspec.Struct):
    uid: str
    sequence: int
    correlation_uid: str


class _Kind(msgspec.Struct):
    kind: str


class _Extension(msgspec.Struct):
    event: _Kind
    simulated: bool = False


class _Ceremony(msgspec.Struct):
    id: str = ""
    step: str = ""


class _Entry(msgspec.Struct):
    metadata: _Metadata
    time: int
    hsm_console: _Extension
    class_name: str
    activity_name: str
    severity: str
    severity_id: int
    status: str
    message: str
    actor: _Actor
    status_code: str = ""
    certificate: _Certificate = msgspec.field(default_factory=_Certificate)
    device: _Device = msgspec.field(default_factory=_Device)
    src_endpoint: _Named = msgspec.field(default_factory=_Named)
    resources: list[_Named] = []
    ceremony: _Ceremony = msgspec.field(default_factory=_Ceremony)


_decoder = msgspec.json.Decoder(_Entry)


def row(body: bytes, shown: bytes = b"") -> Row:
    """An entry's bytes as a row. shown: the same with values in the place of digests; the hashes are those of `body`.

    Raises VerificationFailed `entry-unreadable`.
    """
    try:
        entry = _decoder.decode(shown or body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise _unreadable(str(fault)) from fault
    user = entry.actor.user or _User()
    prints = entry.certificate.fingerprints
    return Row(
        seq=str(entry.metadata.sequence),
        time=timestamp(entry.time),
        time_ms=str(entry.time),
        kind=entry.hsm_console.event.kind,
        severity=entry.severity,
        severity_id=entry.severity_id,
        status=entry.status,
        status_code=entry.status_code,
        actor_uid=user.uid,
        actor_name=(hide(user.name) if MARK in user.name else user.name) or entry.actor.app_name,
        roles=" ".join(group.name for group in user.groups),
        session=entry.actor.session.uid if entry.actor.session else "",
        certificate=prints[0].value if prints else "",
        source=entry.src_endpoint.name,
        device=entry.device.name,
        serial=entry.device.hw_info.serial_number,
        resources=" ".join(item.uid for item in entry.resources),
        ceremony=entry.ceremony.id,
        step=entry.ceremony.step,
        class_name=entry.class_name,
        activity=entry.activity_name,
        uid=entry.metadata.uid,
        correlation=entry.metadata.correlation_uid,
        fingerprint=sha256(body).hexdigest(),
        leaf=leaf_hash(body).hex(),
        simulated="true" if entry.hsm_console.simulated else "false",
        message=entry.message,
    )


def _unreadable(why: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="entry-unreadable",
            what=f"An entry of the log cannot be read: {why}.",
            todo="Run the verification; it names the entry. Do not change the file.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def timestamp(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds; years outside 1 to 9999, which no clock of ours has, as the nearest one."""
    bounded = max(-62_135_596_800_000, min(time_ms, 253_402_300_799_999))
    moment = _EPOCH + timedelta(milliseconds=bounded)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{bounded % 1000:03d}Z".rjust(24, "0")


def visible(text: str, keep: str = "") -> str:
    """The text without what breaks a line or turns its direction; a backslash becomes two. Signs in `keep` stay."""
    return _HIDDEN.sub(lambda found: _shown(found[0], keep), text)


def _shown(sign: str, keep: str) -> str:
    if sign in keep:
        return sign
    return _NAMED.get(sign) or f"\\u{ord(sign):04x}"


# -- the formats: one line each, without its end ------------------------------------------------------------


def rfc5424(item: Row, host: str) -> str:
    """PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP [SD] SP BOM MSG (RFC 5424 section 6)."""
    priority = FACILITY * 8 + SYSLOG_SEVERITY.get(item.severity_id, 5)
    name = _NOT_PRINTABLE.sub("_", host)[:255] or "-"
    kind = _NOT_PRINTABLE.sub("_", item.kind)[:32] or "-"
    values = [(column, getattr(item, column)) for column in COLUMNS if column not in {"message", "time"}]
    data = "".join(f' {column}="{_param(value)}"' for column, value in values if value)
    head = f"<{priority}>1 {item.time or '-'} {name} hsm-console - {kind}"
    return f"{head} [{SD_ID}{data}] {BOM}{visible(item.message)}"


def _param(value: str) -> str:
    """RFC 5424 section 6.3.3: backslash, quote and closing bracket."""
    return visible(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


_CEF_KEYS = {
    "time_ms": "rt",
    "seq": "cn1",
    "uid": "externalId",
    "actor_uid": "suid",
    "actor_name": "suser",
    "roles": "spriv",
    "source": "shost",
    "status": "outcome",
    "status_code": "reason",
    "device": "hsmcDevice",
    "serial": "deviceExternalId",
    "activity": "act",
    "class_name": "cat",
    "ceremony": "cs1",
    "step": "cs2",
    "leaf": "cs3",
    "fingerprint": "cs4",
    "resources": "cs5",
    "correlation": "cs6",
    "session": "hsmcSession",
    "certificate": "hsmcCertificate",
    "simulated": "hsmcSimulated",
    "size": "hsmcSize",
    "root": "hsmcRoot",
    "checkpoint": "hsmcCheckpoint",
    "message": "msg",
}
_CEF_LABELS = {
    "cn1": "entry",
    "cs1": "ceremony",
    "cs2": "step",
    "cs3": "leafSha256",
    "cs4": "entrySha256",
    "cs5": "resources",
    "cs6": "correlation",
}


def cef(item: Row, host: str) -> str:
    """CEF:0|vendor|product|version|event class|name|severity|extension. host: the log's origin, as `dvchost`."""
    name = item.kind.replace("-", " ")
    severity = str(CEF_SEVERITY.get(item.severity_id, 3))
    header = "|".join(_header(part) for part in (VENDOR, PRODUCT, __version__, item.kind, name, severity))
    pairs = [f"dvchost={_extension(host)}"]
    for column, key in _CEF_KEYS.items():
        value = getattr(item, column)
        if not value:
            continue
        if key in _CEF_LABELS:
            pairs.append(f"{key}Label={_CEF_LABELS[key]}")
        pairs.append(f"{key}={_extension(value)}")
    return f"CEF:0|{header}|{' '.join(pairs)}"


def _header(value: str) -> str:
    return visible(value).replace("\\", "\\\\").replace("|", "\\|")


def _extension(value: str) -> str:
    """CEF: backslash and equals escaped, line breaks as \\n and \\r; a pipe stays."""
    text = visible(value, keep="\r\n").replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\n", "\\n").replace("\r", "\\r")


def csv(item: Row, _host: str = "") -> str:
    """One record of RFC 4180, every field in quotes."""
    return ",".join(_cell(getattr(item, column)) for column in COLUMNS)


def _cell(value: str) -> str:
    """A spreadsheet takes = + - @ (also full-width), tab and CR at the start for a formula: an apostrophe goes before
    it, and before an apostrophe, so that taking one off gives the value back."""
    text = visible(value)
    if value.startswith("'") or value.lstrip(" ").startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"'


CSV_HEAD = ",".join(f'"{column}"' for column in COLUMNS)
FORMATS: dict[str, Callable[[Row, str], str]] = {"rfc5424": rfc5424, "cef": cef, "csv": csv}
LINE_END = {"rfc5424": "\n", "cef": "\n", "csv": "\r\n"}
