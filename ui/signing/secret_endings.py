"""Result pages of what is secret: covered, to be saved where only its owner reads it, gone with the page."""

from __future__ import annotations

from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import DeriveReply, RandomReply
from ui import texts
from ui.files import Brought, size
from ui.keys.words import called, file_name
from ui.signing import stranger
from ui.signing.forms import Wish
from ui.signing.results import ResultPage, Take
from ui.texts import tr
from ui.widgets.disclosed import Disclosed


def agreed(key: KeyView, wish: Wish, brought: Brought, reply: DeriveReply, who: str) -> ResultPage:
    facts = [
        (tr("Key"), called(key)),
        (tr("The other side's public key"), brought.name),
        (tr("Context"), wish.bound.decode() or tr("none")),
        (tr("How"), tr("Diffie-Hellman in the module (ECDH), then HKDF with SHA-256")),
        (tr("Length"), size(len(reply.secret))),
        *_recorded(who, reply.time_ms, reply.entry),
    ]
    takes = [Take(tr("&Save the secret…"), file_name(f"secret-{reply.entry}", "bin"), reply.secret, private=True)]
    if key.spki_pem:
        takes.append(Take(tr("Save the &public key…"), file_name(key.label, "pem"), key.spki_pem.encode()))
    said = tr("Whoever holds the private key of “{name}” can compute the same secret with the public key of “{label}”.",
              name=brought.name, label=key.label)  # fmt: skip
    page = ResultPage(
        tr("You share a secret"), said, good=True, facts=facts, takes=tuple(takes), entry=reply.entry,
        details=stranger.agreement(file_name(key.label, "pem"), len(reply.secret), wish.bound),
    )  # fmt: skip
    return _holding(page, Disclosed(tr("The secret"), reply.secret))


def drawn(reply: RandomReply, who: str) -> ResultPage:
    tests = tr("passed: {n} bytes of the module without a failure (NIST SP 800-90B 4.4: repetition, proportion)",
               n=f"{reply.tested:,}")  # fmt: skip
    facts = [
        (tr("How many"), size(len(reply.data))),
        (tr("Mixed from"), texts.names([_source(name) for name in reply.sources])),
        (tr("Health tests"), tests),
        (
            tr("What this does not say"),
            tr("That the module's generator is honest: these tests find one that died."),
        ),
        *_recorded(who, reply.time_ms, reply.entry),
    ]
    take = Take(tr("&Save them…"), file_name(f"random-{reply.entry}", "bin"), reply.data, private=True)
    page = ResultPage(
        tr("They are drawn"), tr("Nobody else has these bytes, and nobody can guess them."), good=True, facts=facts,
        takes=(take,), entry=reply.entry,
    )  # fmt: skip
    return _holding(page, Disclosed(tr("The bytes"), reply.data))


def _holding(page: ResultPage, disclosed: Disclosed) -> ResultPage:
    page.hold(disclosed, disclosed.show_it, disclosed.copy)
    return page


def _source(name: str) -> str:
    return {"the device": tr("the module"), "the operating system": tr("the operating system")}.get(name, name)


def _recorded(who: str, time_ms: int, entry: int) -> list[tuple[str, str]]:
    """The record tells that it was done, and nothing of what came out."""
    return [(tr("Who"), who), (tr("When"), texts.moment(time_ms)),
            (tr("Record in the log"), tr("{n}; it holds nothing of the secret", n=entry))]  # fmt: skip
