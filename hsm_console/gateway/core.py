"""What the services share: one object, made in `compose` and nowhere else."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from msgspec.structs import replace

from hsm_console.audit.checkpoint import Vkey
from hsm_console.audit.log import AuditLog
from hsm_console.audit.opened import Opener
from hsm_console.domain.clock import Clock
from hsm_console.domain.errors import ConsoleError, PolicyRefusal, Problem
from hsm_console.domain.events import ActionRefused, Draft
from hsm_console.domain.keys import Algorithm, KeyInfo
from hsm_console.gateway import projections
from hsm_console.gateway.device import Device
from hsm_console.gateway.incidents import Incidents
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.rosters import RosterBook
from hsm_console.gateway.seals import Seals
from hsm_console.gateway.sessions import Session, Sessions
from hsm_console.gateway.tls import TlsContexts
from hsm_console.gateway.workspace import Home, WorkspaceFile
from hsm_console.hsm.keys import private_key
from hsm_console.pki.authority import Authority
from hsm_console.policy.environment import Environment
from hsm_console.policy.roles import Action, authorise, granted

T = TypeVar("T")


@dataclass(frozen=True)
class Core:
    """The parts of a running gateway. authority: its certificate; vkey: read from the file, never from the database."""

    home: Home
    file: WorkspaceFile
    environment: Environment
    clock: Clock
    log: AuditLog
    authority: x509.Certificate
    vkey: Vkey
    contexts: TlsContexts
    rosters: RosterBook
    sessions: Sessions
    device: Device
    seals: Seals
    incidents: Incidents
    run_uid: str
    started_ms: int
    startup_notices: tuple[Problem, ...] = ()
    notices: list[Callable[[], Sequence[Problem]]] = field(default_factory=list)
    """Asked for each greeting and each look at the health: what services have to tell everybody."""

    def now_ms(self) -> int:
        return self.clock.now().time_ms

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection to look at projections with."""
        return self.log.query().borrow()

    def shown(self, value: T) -> T:
        """With the values that were sealed, where the device is unlocked: for those who take part."""
        return self.seals.opener.struct(value)

    def opener(self, session: Session) -> Opener:
        """What opens values for this person in the log: nothing, when policy does not let her read them."""
        allowed = Action.READ_SEALED in granted(session.actor.roles, self.environment)
        return self.seals.opener if allowed else self.seals.closed

    def authorise(self, session: Session, action: Action, ceremony_id: str = "") -> None:
        """Policy's word. A refusal is recorded before it is told."""
        try:
            authorise(session.actor, action, self.environment)
        except PolicyRefusal as refusal:
            self.note_refusal(session, action.value, refusal, ceremony_id)
            raise

    def note_refusal(self, session: Session, action: str, refusal: ConsoleError, ceremony_id: str = "") -> None:
        """An authenticated person asked for what is refused: that stands in the log."""
        event = ActionRefused(
            action=action, code=refusal.problem.code, text=refusal.problem.what, ceremony_id=ceremony_id
        )
        self.log.append([Draft(event=event, actor=session.actor, src=session.source)])

    def append(self, session: Session, drafts: Sequence[Draft]) -> None:
        """Append what a person did, from where she did it."""
        self.log.append([placed(draft, session) for draft in drafts])

    def signing_authority(self) -> Authority:
        """The authority with its key in the unlocked token. Raises `device-locked`, `authority-key-mismatch`."""
        with self.reading() as conn:
            row = next(row for row in projections.keys(conn) if row.purpose == "authority")
        return Authority(self.authority, private_key(self.device.hsm(), key_info(row)))


def placed(draft: Draft, session: Session | None) -> Draft:
    """The draft with the connection's address, where it has none. session None: the gateway acts by itself."""
    return draft if draft.src or draft.actor is None or session is None else replace(draft, src=session.source)


def acting(draft: Draft, session: Session | None) -> Draft:
    """The draft as an act of this person, from where she is; session None: the gateway acts by itself."""
    return draft if session is None else placed(replace(draft, actor=session.actor), session)


def key_info(row: KeyRow) -> KeyInfo:
    """A key of the log's inventory as the port names it."""
    return KeyInfo(
        object_id=bytes.fromhex(row.object_id),
        label=row.label,
        algorithm=Algorithm(row.algorithm),
        spki=base64.b64decode(row.spki),
        attributes=row.attributes,
        custody=row.custody,
    )
