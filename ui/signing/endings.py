"""Result pages, made from what the gateway answered."""

from __future__ import annotations

from pathlib import PurePath

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import DecryptReply, EncryptReply, SignReply, Verified
from ui import texts
from ui.files import Brought, size
from ui.keys.words import called, file_name, mechanism
from ui.signing import stranger
from ui.signing.forms import Wish
from ui.signing.results import ResultPage, Take
from ui.texts import tr

ENVELOPES = {"cms": "p7m", "jwe": "jwe"}


def signed(key: KeyView, brought: Brought, reply: SignReply, who: str) -> ResultPage:
    name = _plain(brought)
    facts = [
        *about(brought),
        (tr("Key"), called(key)),
        (tr("How"), mechanism(reply.mechanism.value)),
        *_done(who, reply.time_ms, reply.entry),
    ]
    if reply.verified_by:
        facts.append((tr("Verified again by"), reply.verified_by))
    command = stranger.command(
        reply.mechanism, name, f"{name}.sig", file_name(key.label, "pem"), of_digest=brought.of_digest
    )
    details = f"{command}\n\n{reply.signature.hex()}".strip()
    takes = [Take(tr("&Save the signature…"), f"{name}.sig", reply.signature)]
    if key.spki_pem:
        takes.append(Take(tr("Save the &public key…"), file_name(key.label, "pem"), key.spki_pem.encode()))
    return ResultPage(
        tr("It is signed"), tr("“{name}” is signed with “{label}”.", name=brought.name, label=key.label),
        good=True, facts=facts, takes=tuple(takes), entry=reply.entry, details=details,
    )  # fmt: skip


def verified(wish: Wish, brought: Brought, found: Verified) -> ResultPage:
    whose = found.label or (wish.key.label if wish.key is not None else _public_name(wish))
    facts = [*about(brought), (tr("Signature"), _file(wish)), (tr("Key"), whose),
             (tr("Record in the log"), str(found.entry))]  # fmt: skip
    if found.verified_by:
        facts.append((tr("Verified by"), found.verified_by))
    facts.append((tr("What this does not say"), tr("Who held the key. Compare its fingerprint with what you know.")))
    return ResultPage(
        tr("The signature is right"),
        tr("It was made over exactly “{name}”, with exactly the key “{key}”.", name=brought.name, key=whose),
        good=True, facts=facts, entry=found.entry, fingerprint=(found.fingerprint, found.words),
    )  # fmt: skip


def not_verified(wish: Wish, brought: Brought, problem: Problem) -> ResultPage:
    whose = wish.key.label if wish.key is not None else _public_name(wish)
    facts = [*about(brought), (tr("Signature"), _file(wish)), (tr("Key"), whose), (tr("What to do"), problem.todo)]
    return ResultPage(
        tr("The signature is NOT right"),
        tr("Do not rely on “{name}”: it was changed, or the signature belongs to another file or another key.",
           name=brought.name),
        good=False, facts=facts, entry=_entry(problem), details=_details(problem),
    )  # fmt: skip


def encrypted(key: KeyView, brought: Brought, reply: EncryptReply, who: str) -> ResultPage:
    name = f"{_plain(brought)}.{ENVELOPES.get(reply.format, reply.format)}"
    facts = [*about(brought), (tr("For the key"), called(key)),
             (tr("How"), reply.method), (tr("It is now"), size(len(reply.envelope))),
             *_done(who, reply.time_ms, reply.entry)]  # fmt: skip
    return ResultPage(
        tr("It is encrypted"), tr("Only with “{label}” can it be opened again.", label=key.label), good=True,
        facts=facts, takes=(Take(tr("&Save the encrypted file…"), name, reply.envelope),), entry=reply.entry,
    )  # fmt: skip


def decrypted(key: KeyView, brought: Brought, reply: DecryptReply, who: str) -> ResultPage:
    name = PurePath(brought.name).stem if brought.path is not None else "opened"
    facts = [(tr("What"), brought.name), (tr("Key"), key.label), (tr("What was inside"), size(len(reply.data))),
             *_done(who, reply.time_ms, reply.entry)]  # fmt: skip
    return ResultPage(
        tr("It is open"), tr("“{name}” was opened, and nobody has changed it.", name=brought.name), good=True,
        facts=facts, takes=(Take(tr("&Save what was inside…"), name, reply.data, private=True),), entry=reply.entry,
    )  # fmt: skip


def not_opened(key: KeyView, brought: Brought, problem: Problem) -> ResultPage:
    facts = [*about(brought), (tr("Key"), key.label), (tr("What to do"), problem.todo)]
    return ResultPage(
        tr("It cannot be opened"),
        tr("“{name}” was changed, or it was encrypted for another key, or something else was bound to it.",
           name=brought.name),
        good=False, facts=facts, entry=_entry(problem), details=_details(problem),
    )  # fmt: skip


def fixed() -> tuple[str, ...]:
    """Of `about`: what follows from the file itself."""
    return tr("Size"), tr("SHA-256"), tr("Taken for it")


def about(brought: Brought) -> list[tuple[str, str]]:
    return [
        (tr("What"), brought.name),
        (tr("Size"), size(brought.octets)),
        (tr("SHA-256"), texts.digest(brought.sha256)),
        *([(tr("Taken for it"), tr("the line that “sha256sum” prints for it"))] if brought.of_digest else []),
    ]


def _done(who: str, time_ms: int, entry: int) -> list[tuple[str, str]]:
    return [(tr("Who"), who), (tr("When"), texts.moment(time_ms)), (tr("Record in the log"), str(entry))]


def _plain(brought: Brought) -> str:
    return brought.name if brought.path is not None else "text"


def _file(wish: Wish) -> str:
    return wish.signature.name if wish.signature is not None else ""


def _public_name(wish: Wish) -> str:
    return wish.public.name if wish.public is not None else ""


def _entry(problem: Problem) -> int:
    """The record of a refusal, when the gateway named it."""
    told = problem.details.get("entry", "")
    return int(told) if told.isdecimal() else -1


def _details(problem: Problem) -> str:
    return "\n".join([f"code: {problem.code}", problem.what, *(f"{n}: {v}" for n, v in problem.details.items())])
