"""Which key somebody means, and whether it may do what is asked: looked at before anything is announced."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from hsm_console.ceremony.texts import clean
from hsm_console.crypto.hashes import fingerprint
from hsm_console.domain import events as ev
from hsm_console.domain import keyuse
from hsm_console.domain.errors import ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.events import Recorded
from hsm_console.domain.keys import Algorithm, SignMechanism
from hsm_console.domain.keyuse import Act
from hsm_console.gateway import projections
from hsm_console.gateway.app import not_found
from hsm_console.gateway.core import Core
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.sessions import Session

MESSAGE_BYTES = 16 * 1024 * 1024
SEALED_BYTES = 12 * 1024 * 1024
_RESERVED = {
    "authority": "issues the certificates of this workspace",
    "log": "signs the audit log",
    "seal": "seals confidential values of the audit log",
    "root": "signs the daily root sheets",
}
NAME_CHARACTERS = 200
SIGNATURE_BYTES = 8 * 1024  # larger ones (SLH-DSA) stand in the log by their digest; an entry has 64 KiB at most


@dataclass(frozen=True)
class Held:
    """A key of the log's inventory, ready to be named to the device."""

    row: KeyRow
    algorithm: Algorithm

    @property
    def object_id(self) -> bytes:
        return bytes.fromhex(self.row.object_id)

    @property
    def spki(self) -> bytes:
        return base64.b64decode(self.row.spki)


def find(core: Core, key_id: str) -> Held:
    """Raises InputError `not-found`: what the log does not know is not used, whatever lies in the token."""
    with core.reading() as conn:
        row = projections.key(conn, key_id)
    if row is None:
        raise not_found(f"The log knows no key “{key_id[:64]}”.")
    known = row.algorithm in {each.value for each in Algorithm}
    return Held(row, Algorithm(row.algorithm) if known else Algorithm.OTHER)


def why_not(key: Held, act: Act) -> str:
    """One sentence when this key must not do this; empty when it may."""
    if act is Act.VERIFY and key.row.spki:  # the public part is in the log for good; anybody could verify with it
        return keyuse.why_not(act, key.algorithm, key.row.attributes.usages)
    if key.row.state != "active":
        return f"The key “{key.row.label}” was destroyed."
    if key.row.purpose:
        return f"This key {_RESERVED.get(key.row.purpose, 'belongs to the console itself')} and does nothing else."
    return keyuse.why_not(act, key.algorithm, key.row.attributes.usages)


def require(core: Core, session: Session, key_id: str, act: Act) -> Held:
    """The key, when it may do this. Refusals are recorded: `key-reserved`, `key-destroyed`, `usage-refused`."""
    key = find(core, key_id)
    reason = why_not(key, act)
    if not reason:
        return key
    code = "usage-refused"
    if key.row.state != "active":
        code = "key-destroyed"
    elif key.row.purpose:
        code = "key-reserved"
    refusal = PolicyRefusal(
        Problem(
            code=code,
            what=reason,
            todo=f"Choose a key that was made to {act.value}.",
            exit_code=ExitCode.POLICY,
            details={"key": key.row.label, "id": key.row.object_id},
        )
    )
    core.note_refusal(session, f"{act.value} with a key", refusal)
    raise refusal


def require_mechanism(algorithm: Algorithm, mechanism: SignMechanism) -> None:
    """Raises InputError `mechanism-refused`."""
    fitting = keyuse.mechanisms(algorithm)
    if mechanism not in fitting:
        names = ", ".join(name.value for name in fitting) or "nothing: it does not sign"
        raise unusable(
            "mechanism-refused",
            f"A key of the kind {algorithm.value} does not sign with {mechanism.value}.",
            f"Choose one of: {names}.",
        )


def require_size(data: bytes, most: int, what: str) -> None:
    """Raises InputError `message-too-large`."""
    if len(data) > most:
        raise unusable(
            "message-too-large",
            f"{what} has {len(data)} octets; at most {most} ({most >> 20} MiB) go through the gateway at once.",
            "For a signature, sign a list of the files' digests instead (`hsm-console use sign --digest`). "
            "For secrecy, encrypt the file in parts.",
        )


def intent(operation: ev.Operation, key: Held, data: bytes, name: str, mechanism: str = "") -> ev.OperationIntended:
    """What is about to be done with this key and these octets."""
    return ev.OperationIntended(
        operation=operation,
        algorithm=key.algorithm,
        label=key.row.label,
        key_id=key.row.object_id,
        mechanism=mechanism,
        input_sha256=fingerprint(data),
        input_name=name_of(name),
    )


def outcome(announced: Recorded, key: Held, *, output: bytes = b"", signature: bytes = b"") -> ev.OperationSucceeded:
    """How an announced use of this key ended well. Of what came out only the digest is kept, and signatures."""
    event = announced.event
    assert isinstance(event, ev.OperationIntended)  # noqa: S101 - its caller announced it
    return ev.OperationSucceeded(
        intent=announced.seq,
        operation=event.operation,
        key_id=key.row.object_id,
        label=key.row.label,
        algorithm=key.algorithm,
        signature=base64.b64encode(signature).decode() if len(signature) <= SIGNATURE_BYTES else "",
        output_sha256=fingerprint(output) if output else "",
        custody=key.row.custody,
    )


def name_of(given: str) -> str:
    """A file's name as it may stand in the log. Raises InputError `text-refused`."""
    return clean(given, "The name", empty=True, longest=NAME_CHARACTERS)


def unusable(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
