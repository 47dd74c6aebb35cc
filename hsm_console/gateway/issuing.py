"""What the authority issues for the workspace itself: lists of revoked certificates, and the gateway's identity.

Both run out. A list is issued anew at an unlock when half of its time is over; when it ran out all the same, nobody
can log in any more, and the owner of the folder renews with the token's PIN (see `renewal`).
"""

from __future__ import annotations

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsm_console.audit.log import AuditLog
from hsm_console.crypto.files import write_durably
from hsm_console.domain import events as ev
from hsm_console.domain.events import Draft, Operation
from hsm_console.domain.people import Actor
from hsm_console.gateway import projections
from hsm_console.gateway.rosters import replace_crl, stage_crl
from hsm_console.gateway.workspace import Home
from hsm_console.pki import authority as ca
from hsm_console.pki import csr, profiles
from hsm_console.pki.authority import Authority, Revocation
from hsm_console.policy.environment import Environment

HOUR_MS = 3_600_000
HOURS_A_DAY = 24
IDENTITY_RENEWAL_DAYS = 90


def crl_days(environment: Environment) -> int:
    """How long a list of revoked certificates holds, in whole days."""
    return max(1, environment.credential.crl_hours // HOURS_A_DAY)


def stage_new_crl(
    home: Home,
    log: AuditLog,
    authority: Authority,
    environment: Environment,
    now_ms: int,
    newest: ev.PersonRevoked | None = None,
) -> ev.CrlIssued:
    """Make the next list and lay it beside the old one. newest: a revocation that is not in the log yet."""
    with log.query().borrow() as conn:
        rows = [row for row in projections.people(conn) if row.revoked_ms]
        number = (projections.issued(conn, "crl") or (0, ""))[0] + 1
    revoked = [Revocation(int(row.serial, 16), row.revoked_ms, row.reason) for row in rows]
    if newest is not None:
        revoked.append(Revocation(int(newest.serial, 16), now_ms, newest.reason))
    crl = authority.issue_crl(number, revoked, now_ms=now_ms, days=crl_days(environment))
    data = ca.pem(crl).encode()
    stage_crl(home, data)
    assert crl.next_update_utc is not None  # noqa: S101 - just set
    return ev.CrlIssued(
        number=number,
        sha256=hashlib.sha256(data).hexdigest(),
        next_update_ms=profiles.time_ms(crl.next_update_utc),
        revoked=tuple(f"{one.serial:x}" for one in revoked),
    )


def renew_crl(
    home: Home, log: AuditLog, authority: Authority, environment: Environment, now_ms: int, actor: Actor | None = None
) -> ev.CrlIssued:
    """A fresh list with the same names, in force at once."""
    event = stage_new_crl(home, log, authority, environment, now_ms)
    log.append([Draft(event=event, actor=actor, critical=True)])
    replace_crl(home)
    return event


def crl_is_due(environment: Environment, next_update_ms: int, now_ms: int) -> bool:
    """Half of its time is over."""
    return next_update_ms - now_ms < crl_days(environment) * HOURS_A_DAY * HOUR_MS // 2


def identity_is_due(home: Home, now_ms: int) -> bool:
    """The gateway's own certificate runs out within three months."""
    certificate = x509.load_pem_x509_certificate(home.gateway_certificate.read_bytes())
    days = IDENTITY_RENEWAL_DAYS * HOURS_A_DAY * HOUR_MS
    return profiles.time_ms(certificate.not_valid_after_utc) - now_ms < days


def renew_identity(home: Home, log: AuditLog, authority: Authority, now_ms: int) -> None:
    """A new transport key and certificate for the gateway. Only while no gateway runs."""
    with log.query().borrow() as conn:
        key_id = next(row.object_id for row in projections.keys(conn) if row.purpose == "authority")
    intended = ev.OperationIntended(
        operation=Operation.CERTIFY, key_id=key_id, input_name="transport identity of the gateway"
    )
    (intent,) = log.append([Draft(event=intended)])
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = authority.issue_gateway(csr.make(key, profiles.GATEWAY_NAME), now_ms=now_ms)
    der = certificate.public_bytes(Encoding.DER)
    write_durably(home.gateway_key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    write_durably(home.gateway_certificate, ca.pem(certificate).encode(), 0o644)
    succeeded = ev.OperationSucceeded(
        intent=intent.seq,
        operation=Operation.CERTIFY,
        key_id="",
        certificate=base64.b64encode(der).decode(),
        output_sha256=hashlib.sha256(der).hexdigest(),
    )
    log.append([Draft(event=succeeded, correlation=intent.correlation, critical=True)])
