"""Keys and people: what the log says of them."""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from hsm_console.audit.disclosure import HIDDEN
from hsm_console.audit.opened import ERASED
from hsm_console.ceremony.view import pem
from hsm_console.crypto import words
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.people import Enrol, PersonView, Revoke
from hsm_console.domain.people import Person, Roster, RosterEntry
from hsm_console.gateway import issuing, projections
from hsm_console.gateway.app import Call, not_found
from hsm_console.gateway.core import Core
from hsm_console.gateway.founding_rules import check_names, check_person
from hsm_console.gateway.founding_steps import enrolment
from hsm_console.gateway.projections import KeyRow, PersonRow
from hsm_console.gateway.rosters import replace_crl
from hsm_console.pki import authority as ca
from hsm_console.pki import profiles
from hsm_console.pki import roster as rosters
from hsm_console.pki.authority import Authority

MOST_KEYS = 1000


class Keys:
    """Handler of /v1/keys."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def listed(self, call: Call) -> list[KeyView]:
        """Keys that the log knows, newest first: all, or at most `limit` after the key `after` that `text` fits"""
        text = call.query.get("text", "").casefold().strip()
        most, after = call.number("limit", 0, most=MOST_KEYS), call.query.get("after", "")
        with self._core.reading() as conn:
            rows = projections.keys_page(conn, after=after, most=most, fits=lambda row: _fits(row, text))
        return [key_view(row) for row in rows]


def _fits(row: KeyRow, text: str) -> bool:
    """text: part of a name, of an id, of a fingerprint."""
    return not text or text in row.label.casefold() or text in row.object_id or text in row.fingerprint


def key_view(row: KeyRow) -> KeyView:
    return KeyView(
        object_id=row.object_id,
        label=row.label,
        algorithm=row.algorithm,
        fingerprint=row.fingerprint,
        words=words.encode(bytes.fromhex(row.fingerprint)) if row.fingerprint else (),
        spki_pem=pem("PUBLIC KEY", row.spki),
        attributes=row.attributes,
        grade=row.grade,
        grade_meaning=row.grade.meaning,
        does_not_prove=row.grade.does_not_prove,
        ceremony_id=row.ceremony_id,
        created_ms=row.created_ms,
        certificate_pem=pem("CERTIFICATE", row.certificate),
        state=row.state,
        custody=row.custody,
        purpose=row.purpose,
    )


class People:
    """Handlers of /v1/people. Roster and CRL are issued write-ahead (see `rosters`)."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def listed(self, call: Call) -> list[PersonView]:
        """Every certificate that was issued to a person"""
        with self._core.reading() as conn:
            rows = projections.people(conn)
        return [self._view(row) for row in rows]

    def _view(self, row: PersonRow) -> PersonView:
        certificate = self._certificate(row)
        known = self._core.rosters.current.by_key(row.spki_sha256)
        name = known.person.name if known is not None else self._core.shown(row).name
        return PersonView(
            person=Person(uid=row.uid, name=name),
            roles=row.roles,
            serial=row.serial,
            not_after_ms=profiles.time_ms(certificate.not_valid_after_utc) if certificate else 0,
            revoked=row.revoked_ms > 0,
            certificate_pem=certificate.public_bytes(Encoding.PEM).decode() if certificate else "",
        )

    def _certificate(self, row: PersonRow) -> x509.Certificate | None:
        """None while it is sealed and the device locked, and when its entry was pruned."""
        try:
            event = self._core.shown(self._core.log.read(row.seq)).event
        except InputError:
            return None
        assert isinstance(event, ev.PersonEnrolled)  # noqa: S101 - the projection says so
        if event.certificate in (HIDDEN, ERASED):
            return None
        return x509.load_der_x509_certificate(base64.b64decode(event.certificate))

    def enrol(self, call: Call) -> PersonView:
        """Certify a person's key and put her on the roster"""
        wish: Enrol = call.body
        core = self._core
        check_person(wish.person, wish.roles)
        roster = core.rosters.current
        known = roster.by_uid(wish.person.uid)
        if known is not None and not known.revoked:
            raise _known(wish.person.uid, known.person.name)
        check_names([e.person.name for e in roster.entries if not e.revoked] + [wish.person.name])
        authority = core.signing_authority()
        days = core.environment.credential.certificate_days
        certificate = authority.issue_person(wish.person, wish.csr, now_ms=core.now_ms(), days=days)
        entry = ca.roster_entry(wish.person, wish.roles, certificate)
        if roster.by_key(entry.spki_sha256) is not None:
            raise _key_known()
        event = enrolment(entry, certificate)
        self._issue(call, authority, (*roster.entries, entry), [Draft(event=event, actor=call.session.actor)])
        with core.reading() as conn:
            return self._view(next(r for r in projections.people(conn) if r.spki_sha256 == entry.spki_sha256))

    def revoke(self, call: Call) -> PersonView:
        """Revoke a person's certificate; her sessions end at once"""
        wish: Revoke = call.body
        core, uid = self._core, call.params["uid"]
        entry = core.rosters.current.by_uid(uid)
        if entry is None or entry.revoked:
            raise not_found(f"Nobody with the short name “{uid[:40]}” is on the roster.")
        if uid == call.session.person.uid:
            raise PolicyRefusal(
                Problem(
                    code="self-revocation",
                    what="Nobody revokes her own certificate: another administrator does it.",
                    todo="Ask another administrator.",
                    exit_code=ExitCode.POLICY,
                )
            )
        authority = core.signing_authority()
        event = ev.PersonRevoked(uid=uid, serial=entry.serial, spki_sha256=entry.spki_sha256, reason=wish.reason)
        crl = issuing.stage_new_crl(core.home, core.log, authority, core.environment, core.now_ms(), event)
        entries = tuple(replace(e, revoked=True) if e is entry else e for e in core.rosters.current.entries)
        drafts = [Draft(event=event, actor=call.session.actor), Draft(event=crl, actor=call.session.actor)]
        self._issue(call, authority, entries, drafts)
        replace_crl(core.home)
        core.sessions.end_person(uid)
        with core.reading() as conn:
            return self._view(next(r for r in projections.people(conn) if r.spki_sha256 == entry.spki_sha256))

    def renew_crl(self) -> None:
        """At an unlock: a fresh list when half of the time of the old one is over, so that it never runs out."""
        core = self._core
        now = core.now_ms()
        if issuing.crl_is_due(core.environment, core.contexts.crl.next_update_ms, now):
            issuing.renew_crl(core.home, core.log, core.signing_authority(), core.environment, now)

    def _issue(self, call: Call, authority: Authority, entries: tuple[RosterEntry, ...], drafts: list[Draft]) -> None:
        """Sign the new roster, say so in the log together with `drafts`, put it in force."""
        core = self._core
        old = core.rosters.current
        roster = Roster(chain_uid=old.chain_uid, version=old.version + 1, issued_ms=core.now_ms(), entries=entries)
        data, signature = rosters.sign(authority, roster)
        core.rosters.stage(data, signature)
        issued = ev.RosterIssued(version=roster.version, sha256=hashlib.sha256(data).hexdigest())
        core.append(call.session, [*drafts, Draft(event=issued, actor=call.session.actor, critical=True)])
        core.rosters.replace(roster)


def _known(uid: str, name: str) -> InputError:
    return InputError(
        Problem(
            code="person-known",
            what=f"“{uid}” is on the roster already: {name}.",
            todo="Choose another short name, or revoke the old certificate first.",
            exit_code=ExitCode.USAGE,
        )
    )


def _key_known() -> InputError:
    return InputError(
        Problem(
            code="key-known",
            what="This key belongs to somebody on the roster already.",
            todo="Make a key of her own where the person will keep it.",
            exit_code=ExitCode.USAGE,
        )
    )
