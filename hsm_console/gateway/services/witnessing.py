"""Witnesses: a head goes out as text and as codes, cosignatures come back, are verified and stand in the log.

A person who is logged in signs with the key of her own certificate, through her agent; a device or a person on another
machine sends the cosigned checkpoint. A cosigned head that is not in this log is refused, and that is recorded.
"""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path

from hsm_console.audit import tree, witness, witness_files
from hsm_console.audit.checkpoint import Checkpoint, parse_note, verify_note
from hsm_console.audit.vkey import OTHER, Vkey, parse_vkey
from hsm_console.audit.witness import Cosignature, Request, Trusted, Witnessed
from hsm_console.crypto.files import write_durably
from hsm_console.domain import events as ev
from hsm_console.domain.errors import (
    ConsoleError,
    EnvironmentFault,
    ExitCode,
    InputError,
    PolicyRefusal,
    Problem,
    VerificationFailed,
)
from hsm_console.domain.events import Draft, HeadCosigned, Recorded
from hsm_console.domain.messages.anchors import BringCosignature, CosignatureView, WitnessHead
from hsm_console.gateway.app import Call, Raw, Route, refused
from hsm_console.gateway.core import Core
from hsm_console.gateway.projections import pruned_below
from hsm_console.gateway.sessions import Session
from hsm_console.pki.profiles import user_id
from hsm_console.policy.roles import Action

FOLDER = "witness"
FRESH_SECONDS = 600
"""A person signs the head that she was just shown: the time in her statement is hers and ours within ten minutes."""


class Witnessing:
    """Handlers under /v1/witness."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> tuple[Route, ...]:
        """What this service answers to."""
        base, look, bring = "/v1/witness", Action.ISSUE_RECEIPT, Action.COSIGN_HEAD
        listed = list[CosignatureView]
        return (
            Route("GET", f"{base}/head", self.head, WitnessHead, action=look, query=("since",)),
            Route("GET", f"{base}/cosignatures", self.listed, listed, action=look),
            Route("POST", f"{base}/cosignatures", self.bring, listed, body=BringCosignature, action=bring),
            Route("GET", f"{base}/cosignatures/{{entry}}", self.file, "text/plain", action=look),
        )

    def head(self, call: Call) -> WitnessHead:
        """The newest signed head for a witness, as text and as codes"""
        core, since = self._core, call.number("since", 0)
        if core.device.unlocked:
            try:
                core.log.checkpoint()
            except ConsoleError as error:
                core.device.failed(error)
                raise
        note = core.log.last_checkpoint
        if not note:
            raise _nothing_signed()
        head, signed = verify_note(note, core.vkey)
        request = Request(note)
        if 0 < since < head.size:
            request = Request(note, since, tree.consistency_proof(core.log.nodes(), since, head.size))
        seconds = core.now_ms() // 1000
        codes = witness_files.codes_for(request.text)
        return WitnessHead(
            text=request.text,
            size=head.size,
            root=head.root.hex(),
            signed_ms=signed * 1000,
            seconds=seconds,
            statement=witness.statement(note, seconds),
            codes=codes,
            png=tuple(base64.b64encode(item).decode() for item in witness_files.pictures(codes)),
        )

    def bring(self, call: Call) -> list[CosignatureView]:
        """Bring a cosignature; it is verified and recorded"""
        body: BringCosignature = call.body
        try:
            note = self._note(body)
            found = self._verified(note, body.key)
        except VerificationFailed as error:
            self._core.note_refusal(call.session, Action.COSIGN_HEAD.value, error)
            raise
        return self.record(found, call.session)

    def listed(self, call: Call) -> list[CosignatureView]:
        """Every cosignature of this log, the newest first"""
        return [_view(item) for item in reversed(self._events())]

    def file(self, call: Call) -> Raw:
        """One cosigned head, to hand to an auditor"""
        text = call.params["entry"]
        for item in self._events():
            if str(item.seq) == text:
                event = item.event
                assert isinstance(event, HeadCosigned)  # noqa: S101 - the query asked for this kind
                return Raw("text/plain; charset=utf-8", event.note.encode(), file_name(event))
        raise refused("entry-missing", f"Entry {text} is no cosignature.")

    def record(self, found: Witnessed, session: Session) -> list[CosignatureView]:
        """Stand it in the log, and beside it in a file. What stands there already is not written twice."""
        known = {(item.event.key, item.event.size) for item in self._events() if isinstance(item.event, HeadCosigned)}
        drafts, views = [], []
        for item in found.cosignatures:
            if (item.key.text, found.head.size) not in known:
                drafts.append(Draft(event=_event(found, item), actor=session.actor, src=session.source, critical=True))
        if drafts:
            for recorded in self._core.log.append(drafts):
                views.append(_view(recorded))
                self._write(recorded)
        return views or [_view(item) for item in self._events() if getattr(item.event, "size", -1) == found.head.size]

    def _write(self, recorded: Recorded) -> None:
        event = recorded.event
        assert isinstance(event, HeadCosigned)  # noqa: S101 - just appended
        folder: Path = self._core.home.directory / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        write_durably(folder / file_name(event), event.note.encode(), 0o644)

    # -- what came in -------------------------------------------------------------------------------------

    def _note(self, body: BringCosignature) -> str:
        given = [bool(body.text), bool(body.codes), bool(body.data), bool(body.cms)]
        if sum(given) != 1:
            raise refused("cosignature-unclear", "Bring one of: a text, the codes, or a signature of your own.")
        if body.text:
            return body.text
        if body.data:
            return _text_of(body.data)
        return witness_files.of_codes(body.codes) if body.codes else self._own(body)

    def _own(self, body: BringCosignature) -> str:
        """A person's own signature over the statement that she was shown."""
        if abs(body.seconds - self._core.now_ms() // 1000) > FRESH_SECONDS:
            raise refused("cosignature-stale", "The head was shown too long ago, or will be shown later: ask again.")
        with self._core.reading() as conn:
            row = conn.execute("SELECT note FROM checkpoint WHERE size = ?", (body.size,)).fetchone()
        if row is None:
            raise refused("checkpoint-missing", f"No checkpoint of {body.size} entries was signed here.")
        try:
            signature = base64.b64decode(body.cms, validate=True)
        except ValueError:
            raise refused("cosignature-unclear", "The signature is no Base64.") from None
        note = str(row[0])
        name = user_id(witness.certificate_of(signature)) or "person"
        return witness.add_line(note, witness.person_line(note, name, body.seconds, signature))

    def _verified(self, note: str, key: str) -> Witnessed:
        """Raises VerificationFailed, InputError witness-key-needed, PolicyRefusal witness-key-changed."""
        core = self._core
        given = (parse_vkey(key),) if key else ()
        known = {item.event.key for item in self._events() if isinstance(item.event, HeadCosigned)}
        keys = [parse_vkey(text) for text in sorted(known)]
        found = witness.verify(note, core.vkey, Trusted((*given, *keys), (), (core.authority,)))
        if found.unknown or not found.cosignatures:
            raise _whose(found.unknown)
        for item in found.cosignatures:
            _same_key(item, keys, explicit=bool(given))
        self._require_ours(found.head)
        return found

    def _require_ours(self, head: Checkpoint) -> None:
        log = self._core.log
        if head.size > log.size:
            raise _not_ours(f"TRUNCATED: a witness cosigned {head.size} entries, this log has {log.size}")
        if tree.subtree(log.nodes(), 0, head.size) != head.root:
            raise _not_ours(f"FORK: the {head.size} entries that a witness cosigned are not the first {head.size} here")

    def _events(self) -> list[Recorded]:
        with self._core.reading() as conn:
            query = "SELECT seq FROM entry_row WHERE kind = 'head-cosigned' AND seq >= ? ORDER BY seq"
            rows = conn.execute(query, (pruned_below(conn),)).fetchall()
        return [self._core.log.read(seq) for (seq,) in rows]


def _text_of(untrusted_data: bytes) -> str:
    """Raises InputError receipt-file-unreadable, VerificationFailed frames-…"""
    with tempfile.TemporaryDirectory(prefix="hsm-console-witness-") as folder:
        path = Path(folder) / "cosignature"
        path.write_bytes(untrusted_data)
        return witness_files.read(path)


def _event(found: Witnessed, item: Cosignature) -> HeadCosigned:
    """The event carries the log's own lines and this witness's, no others."""
    lines = parse_note(found.note)
    body, _, _ = found.note.partition("\n\n")
    kept = [line for line in lines.lines if line.name in (found.head.origin, item.witness)]
    note = f"{body}\n\n" + "".join(
        f"— {line.name} {base64.b64encode(line.key_id + line.blob).decode()}\n" for line in kept
    )
    return ev.HeadCosigned(
        witness=item.witness,
        key=item.key.text,
        size=found.head.size,
        root=found.head.root.hex(),
        signed_ms=max(0, item.seconds) * 1000,
        note=note,
    )


def file_name(event: HeadCosigned) -> str:
    """`00000300-witness.example-w1.cosigned`."""
    return f"{event.size:08d}-{re.sub(r'[^A-Za-z0-9.-]+', '-', event.witness)}.cosigned"


def _view(item: Recorded) -> CosignatureView:
    event = item.event
    assert isinstance(event, HeadCosigned)  # noqa: S101 - the query asked for this kind
    return CosignatureView(
        entry=item.seq,
        witness=event.witness,
        key=event.key,
        person=parse_vkey(event.key).kind == OTHER,
        size=event.size,
        root=event.root,
        signed_ms=event.signed_ms,
        brought_by=item.actor.name if item.actor else "",
        file=f"{FOLDER}/{file_name(event)}",
        note=event.note,
    )


def _same_key(item: Cosignature, known: list[Vkey], *, explicit: bool) -> None:
    others = [key for key in known if key.name == item.witness]
    if others and item.key not in others and not explicit:
        raise PolicyRefusal(
            Problem(
                code="witness-key-changed",
                what=f"{item.witness} signed with another key than before.",
                todo="If the key was really replaced, bring the cosignature again together with the new key.",
                contact="the auditor",
                exit_code=ExitCode.POLICY,
            )
        )


def _whose(unknown: tuple[str, ...]) -> InputError:
    names = " and ".join(unknown)
    return InputError(
        Problem(
            code="witness-key-needed",
            what=f"The key of {names} is not known here." if unknown else "No witness has signed this checkpoint.",
            todo="Bring it together with the witness's verifier key (on the command line: --witness-key); "
            "a person needs a certificate of this house."
            if unknown
            else "Let a witness sign it with “hsm-console witness sign”, then bring what comes back.",
            exit_code=ExitCode.USAGE,
        )
    )


def _not_ours(what: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="witness-head-foreign",
            what=f"{what}.",
            todo="Stop. Somebody was shown another log than this one: keep both, and compare them with the auditor.",
            contact="the auditor and the security officer",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _nothing_signed() -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="log-key-locked",
            what="Nothing of this log was signed yet, so there is no head to show to a witness.",
            todo="Unlock the device; the head is signed then.",
        )
    )
