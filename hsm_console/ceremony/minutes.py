"""The minutes as data: everything that was said, decided and made, with the log entry that says it (clauses C1 to C9).

Canonical JSON (RFC 8785), the same bytes for the same log. The printed minutes carry these bytes' SHA-256 on every
page. All that can be signed is in here whole (statements and CMS), so that `openssl cms -verify` needs nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import rfc8785

from hsm_console.ceremony import state as st
from hsm_console.ceremony.plans import ClosePlan
from hsm_console.ceremony.script import Step, quorum_words, spoken
from hsm_console.ceremony.state import State
from hsm_console.ceremony.steps import attribute_facts, utc
from hsm_console.ceremony.texts import fill
from hsm_console.ceremony.view import pem
from hsm_console.crypto import words
from hsm_console.domain import events as ev
from hsm_console.domain.events import Recorded
from hsm_console.domain.messages.ceremony import StepKind
from hsm_console.policy import clauses
from hsm_console.policy.environment import Environment

TYPE, VERSION = "hsm-console/minutes", 1


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """The newest signed head when the minutes were written. note: the checkpoint's text, its line ends as they are."""

    origin: str
    size: int
    root: str
    note: str = ""


def build(
    state: State,
    records: Sequence[Recorded],
    *,
    plan: ClosePlan,
    environment: Environment,
    workspace: str,
    head: LogHead,
) -> bytes:
    """The minutes of a ceremony that is about to be closed as `plan` says, as canonical JSON.

    records: all of the ceremony's log entries; workspace: the workspace's name.
    """
    mine = [r for r in records if getattr(r.event, "ceremony_id", "") == state.id]
    body: Any = {
        "type": TYPE,
        "version": VERSION,
        "workspace": workspace,
        "ceremony": _ceremony(state, plan, environment),
        "script": _script(state),
        "parameters": dict(state.parameters),
        "seats": [{"role": s.role.value, "uid": s.uid, "name": s.name} for s in state.seats],
        "steps": _steps(state, mine),
        "decisions": _decisions(state),
        "operations": _operations(state),
        "device": _device(state),
        "key": _key(state),
        "certificate": _certificate(state),
        "documents": [_plain(d, "name", "sha256", "mechanism", "signature") for d in state.documents],
        "deviations": [
            _plain(d, "id", "step", "uid", "name", "expected", "happened", "decided", "verdict")
            for d in state.deviations
        ],
        "pauses": [
            _plain(p, "uid", "name", "why") | {"until": utc(p.until_ms) if p.until_ms else ""} for p in state.pauses
        ],
        "sign_offs": _sign_offs(state),
        "clauses": _clauses(state),
        "receipts": [_plain(r, "index", "size", "medium") for r in state.receipts],
        "log": {
            "origin": head.origin,
            "size": head.size,
            "root": head.root,
            "note": head.note,
            "first_entry": state.opened_seq,
            "last_entry": state.revision,
            "entries": [r.seq for r in mine],
        },
    }
    return bytes(rfc8785.dumps(body))


def digest(minutes: bytes) -> str:
    """Hex SHA-256 of the minutes' bytes: what `MinutesWritten` records and every printed page carries."""
    return hashlib.sha256(minutes).hexdigest()


def _plain(part: Any, *names: str) -> dict[str, Any]:
    found = {name: getattr(part, name) for name in names}
    return {"entry": part.seq, "time": utc(part.time_ms), "time_ms": part.time_ms, **found}


def _ceremony(state: State, plan: ClosePlan, environment: Environment) -> dict[str, Any]:
    script = st.script_of(state)
    return {
        "id": state.id,
        "title": state.title,
        "purpose": script.purpose,
        "outcome": plan.outcome,
        "closing": plan.text,
        "simulated": state.simulated,
        "environment": environment.title,
        "rules": environment.settings(),
        "opened": utc(state.opened_ms),
        "opened_ms": state.opened_ms,
        "opened_by": {"uid": state.opened_by, "name": state.opened_name},
        "quorum": quorum_words(script.quorum),
        "predecessor": state.predecessor,
    }


def _script(state: State) -> dict[str, Any]:
    return {
        "id": state.script_id,
        "version": state.script_version,
        "sha256": state.script_sha256,
        "words": spoken(state.script_sha256),
        "text": state.script,
    }


def _steps(state: State, records: Sequence[Recorded]) -> list[dict[str, Any]]:
    return [_step(state, number, step, records) for number, step in enumerate(st.script_of(state).steps, 1)]


def _step(state: State, number: int, step: Step, records: Sequence[Recorded]) -> dict[str, Any]:
    done = state.done.get(step.id)
    body: dict[str, Any] = {
        "number": number,
        "id": step.id,
        "phase": step.phase,
        "kind": step.kind.value,
        "actor": step.actor.value,
        "title": fill(step.title, state),
        "say": fill(step.say, state),
        "expect": fill(step.expect, state),
        "commit": step.commit,
        "clauses": list(step.clauses),
        "done": done is not None,
        "entries": [r.seq for r in records if getattr(r.event, "step", "") == step.id],
        "misses": [_plain(m, "uid", "name", "facts") for m in state.misses if m.step == step.id],
    }
    return body | (_plain(done, "uid", "name", "facts") if done else {})


def _decisions(state: State) -> list[dict[str, Any]]:
    """Every ballot in its order: the verdict, and each signed vote."""
    ballots = list(dict.fromkeys((v.subject, v.attempt) for v in state.votes))
    found = []
    for subject, attempt in ballots:
        verdict = next((v for v in state.verdicts if (v.subject, v.attempt) == (subject, attempt)), None)
        votes = [v for v in state.votes if (v.subject, v.attempt) == (subject, attempt)]
        found.append(
            {
                "subject": subject,
                "attempt": attempt,
                "verdict": "open" if verdict is None else "reached" if verdict.reached else "declined",
                "verdict_entry": verdict.seq if verdict else -1,
                "votes": [_vote(v) for v in votes],
            }
        )
    return found


def _vote(vote: st.Vote) -> dict[str, Any]:
    found = _plain(vote, "uid", "name", "because", "statement", "cms", "certificate_sha256")
    return found | {"role": vote.role.value, "decision": vote.decision.value}


def _sign_offs(state: State) -> list[dict[str, Any]]:
    names = ("uid", "name", "agrees", "because", "statement", "cms", "certificate_sha256")
    return [_plain(s, *names) | {"role": s.role.value} for s in state.sign_offs]


def _operations(state: State) -> list[dict[str, Any]]:
    return [
        {
            "intent_entry": e.intent.seq,
            "intent_fingerprint": e.intent.fingerprint,
            "ending_entry": e.seq,
            "time": utc(e.time_ms),
            "operation": e.intent.operation.value,
            "step": e.intent.step,
            "attempt": e.intent.attempt,
            "by": e.intent.name,
            "what": e.intent.input_name,
            "ended": e.code,
            "text": e.text,
        }
        for e in state.endings
    ]


def _device(state: State) -> str:
    """The module as it named itself when the key was read back; empty before that."""
    steps = [s for s in st.script_of(state).steps if s.kind is StepKind.READ_BACK and s.id in state.done]
    return state.done[steps[-1].id].facts.get("device", "") if steps else ""


def _key(state: State) -> dict[str, Any] | None:
    key = state.key
    if key is None:
        return None
    found = _plain(key, "object_id", "label", "fingerprint", "recovered")
    return found | {
        "algorithm": key.algorithm.value,
        "usages": [usage.value for usage in key.usages],
        "words": list(words.encode(bytes.fromhex(key.fingerprint))),
        "public_key": pem("PUBLIC KEY", key.spki),
        "attributes": attribute_facts(key.attributes),
        "grade": key.grade.value,
        "grade_meaning": key.grade.meaning,
        "does_not_prove": key.grade.does_not_prove,
    }


def _certificate(state: State) -> dict[str, Any] | None:
    if not state.certificate:
        return None
    der = base64.b64decode(state.certificate)
    found = {"request": pem("CERTIFICATE REQUEST", state.request), "certificate": pem("CERTIFICATE", state.certificate)}
    return found | {"sha256": hashlib.sha256(der).hexdigest()} | _names_in(der)


def _names_in(der: bytes) -> dict[str, str]:
    """What a reader wants to see of a certificate without a tool; nothing when it is not readable."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        return {}
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "not_before": utc(int(certificate.not_valid_before_utc.timestamp()) * 1000),
        "not_after": utc(int(certificate.not_valid_after_utc.timestamp()) * 1000),
    }


def _clauses(state: State) -> list[dict[str, Any]]:
    """Each clause: the steps that serve it, whether they are done, and the entries that say so.

    state: `served`, `covered by a deviation`, `open` (its steps are not done) or `not in this script`.
    """
    steps = st.script_of(state).steps
    covered = {d.step for d in state.deviations if d.verdict == "accepted"}
    found = []
    for clause in clauses.table().clauses:
        serving = [step for step in steps if clause.id in step.clauses]
        entries = sorted(state.done[s.id].seq for s in serving if s.id in state.done)
        if clause.id == "R13":  # deviations are evidence of their own
            entries = sorted({*entries, *(d.seq for d in state.deviations)})
        undone = [s for s in serving if s.id not in state.done]
        word = "served" if serving and not undone else "open" if serving else "not in this script"
        word = "covered by a deviation" if undone and all(s.id in covered for s in undone) else word
        found.append(
            {
                "id": clause.id,
                "title": clause.title,
                "state": word,
                "steps": [s.id for s in serving],
                "entries": entries,
                "sources": clauses.table().sources(clause),
            }
        )
    return found


def critical_endings(records: Sequence[Recorded]) -> tuple[Recorded, ...]:
    """The entries of a ceremony that a witness takes receipts of: keys and certificates made, and the end."""
    wanted = (ev.OperationSucceeded, ev.QuorumReached, ev.CeremonyClosed)
    return tuple(r for r in records if isinstance(r.event, wanted))
