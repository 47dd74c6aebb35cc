"""The road of using keys: choose what, fill in, check, see how it ended."""

from __future__ import annotations

from functools import partial

from hsm_console.client import device, keys, work
from hsm_console.domain import keyuse
from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import Algorithm, SignMechanism
from hsm_console.domain.keyuse import Act
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import (
    DecryptReply,
    DeriveReply,
    DeriveRequest,
    EncryptReply,
    RandomReply,
    SignReply,
    Verified,
    VerifyRequest,
)
from ui.desk import Desk
from ui.files import Brought, read
from ui.keys.road import USERS
from ui.keys.words import called
from ui.keys.words import mechanism as mechanism_words
from ui.orders.check import CheckPage
from ui.road import Road
from ui.shell.window import Window
from ui.signing import endings, secret_endings, stranger
from ui.signing.forms import DecryptForm, EncryptForm, SignForm, UseForm, VerifyForm, Wish
from ui.signing.page import UsePage
from ui.signing.results import ResultPage
from ui.signing.secret_forms import DeriveForm, RandomForm
from ui.texts import tr
from ui.typed import taking

SMALL = 64 * 1024
FORMS: dict[str, type[SignForm] | type[VerifyForm] | type[EncryptForm] | type[DecryptForm] | type[DeriveForm]] = {
    form.deed: form for form in (SignForm, VerifyForm, EncryptForm, DecryptForm, DeriveForm)
}
RANDOM = "random"  # the one deed without a key


class UseRoad(Road):
    def __init__(self, window: Window, desk: Desk, about: object = None) -> None:
        """about: a key that somebody wants to use."""
        super().__init__(window, desk)
        self._wanted = about if isinstance(about, KeyView) else None
        self.doors()

    def doors(self) -> None:
        greeting = self._session.greeting
        page = UsePage(may_use=bool(USERS & set(greeting.roles)), unlocked=greeting.device_unlocked)
        page.chosen.connect(self._form)
        self._window.show_page(page)
        self._lane.call(partial(device.state, self._session), page.show_state, lambda _problem: None)

    def _form(self, deed: str) -> None:
        if deed == RANDOM:
            self._random_form()
            return

        def came(found: list[KeyView]) -> None:
            usable = [k for k in found if _fits(k, deed)]
            form: UseForm = FORMS[deed](usable, self._wanted)
            form.left.connect(self._window.back)
            form.key_chosen.connect(taking(KeyView, partial(self._detail, form)))
            form.asked.connect(taking(Wish, partial(self._take_up, form)))
            self._window.show_over(form)
            form.begin()

        self._lane.call(partial(keys.listed, self._session), came, self._window.page.tell)

    def _detail(self, form: UseForm, key: KeyView) -> None:
        self._lane.call(partial(work.detail, self._session, key.object_id), form.show_detail, form.key.refuse)

    def _take_up(self, form: UseForm, wish: Wish) -> None:
        """Read what was brought; then check and sign, or do it."""
        go = {"sign": self._check, "verify": self._verify, "encrypt": self._encrypt, "decrypt": self._decrypt,
              "derive": self._derive}  # fmt: skip
        self._lane.call(wish.content.bring, partial(go[wish.deed], form, wish), form.refuse)

    # -- signing ---------------------------------------------------------------------------------------------

    def _check(self, form: UseForm, wish: Wish, brought: Brought) -> None:
        form.main.stop()
        key, detail = _key(wish), form.key.detail
        way = wish.mechanism or (detail.mechanisms[0] if detail is not None and detail.mechanisms else None)
        if way is None:
            form.key.refuse(Problem(code="no-way", what=tr("It is not known how this key signs."),
                                    todo=tr("Wait a moment, or choose another key.")))  # fmt: skip
            return
        items = [*endings.about(brought), (tr("Key"), called(key)),
                 (tr("How"), mechanism_words(way.value))]  # fmt: skip
        then = tr("The module signs it now. Whoever has the public key can verify it, for ever; it cannot be unsigned.")
        ask = tr("&Sign with “{label}”", label=key.label)
        page = CheckPage(tr("Sign"), items, then, ask=ask, fixed=endings.fixed())
        page.left.connect(self._window.back)
        page.change_asked.connect(self._window.back)
        page.confirmed.connect(lambda: self._sign(page, key, way, brought))
        self._window.show_over(page)

    def _sign(self, page: CheckPage, key: KeyView, way: SignMechanism, brought: Brought) -> None:
        who = self._session.greeting.person.name

        def signed(reply: SignReply) -> None:
            self._end(endings.signed(key, brought, reply, who), "sign")

        ask = partial(work.sign, self._session, key.object_id, way, brought.data, brought.name)
        guard = tr("The module is signing; that cannot be interrupted.")
        self._lane.call(ask, signed, page.refuse, guard=guard)

    # -- verifying -------------------------------------------------------------------------------------------

    def _verify(self, form: UseForm, wish: Wish, brought: Brought) -> None:
        session, detail = self._session, form.key.detail

        def ask() -> Verified:
            if wish.signature is None:
                raise TypeError("a form that verifies gives a signature")
            signature = read(wish.signature, SMALL)
            pem = read(wish.public, SMALL) if wish.public is not None else b""
            way = wish.mechanism
            if way is None and wish.key is not None:
                known = detail if detail is not None and detail.key_id == wish.key.object_id else None
                way = (known or work.detail(session, wish.key.object_id)).mechanisms[0]
            request = VerifyRequest(
                mechanism=way or stranger.usual(pem),
                data=brought.data,
                signature=signature,
                key_id=wish.key.object_id if wish.key is not None else "",
                spki_pem=pem.decode("ascii", "replace"),
                name=brought.name,
            )
            return work.verify(session, request)

        def refused(problem: Problem) -> None:
            if problem.code == "signature-invalid":
                self._end(endings.not_verified(wish, brought, problem), "verify")
            else:
                form.refuse(problem)

        self._lane.call(ask, lambda found: self._end(endings.verified(wish, brought, found), "verify"), refused)

    # -- encrypting ------------------------------------------------------------------------------------------

    def _encrypt(self, form: UseForm, wish: Wish, brought: Brought) -> None:
        key, who = _key(wish), self._session.greeting.person.name
        ask = partial(work.encrypt, self._session, key.object_id, brought.data, wish.bound, brought.name)

        def done(reply: EncryptReply) -> None:
            self._end(endings.encrypted(key, brought, reply, who), "encrypt")

        self._lane.call(ask, done, form.refuse)

    def _decrypt(self, form: UseForm, wish: Wish, brought: Brought) -> None:
        key, who = _key(wish), self._session.greeting.person.name
        ask = partial(work.decrypt, self._session, key.object_id, brought.data, wish.bound, brought.name)

        def done(reply: DecryptReply) -> None:
            self._end(endings.decrypted(key, brought, reply, who), "decrypt")

        def refused(problem: Problem) -> None:
            if problem.code == "ciphertext-invalid":
                self._end(endings.not_opened(key, brought, problem), "decrypt")
            else:
                form.refuse(problem)

        self._lane.call(ask, done, refused)

    # -- secrets ---------------------------------------------------------------------------------------------

    def _derive(self, form: UseForm, wish: Wish, brought: Brought) -> None:
        key, who = _key(wish), self._session.greeting.person.name
        request = DeriveRequest(
            key_id=key.object_id,
            peer_spki_pem=brought.data.decode("ascii", "replace"),
            info=wish.bound,
            length=wish.length,
            name=brought.name,
        )

        def done(reply: DeriveReply) -> None:
            self._end(secret_endings.agreed(key, wish, brought, reply, who), "derive")

        self._lane.call(partial(work.derive, self._session, request), done, form.refuse)

    def _random_form(self) -> None:
        form, who = RandomForm(), self._session.greeting.person.name

        def done(reply: RandomReply) -> None:
            self._end(secret_endings.drawn(reply, who), RANDOM)

        def draw(octets: int) -> None:
            self._lane.call(partial(work.random, self._session, octets), done, form.refuse)

        form.left.connect(self._window.back)
        form.asked.connect(draw)
        self._window.show_over(form)

    def _end(self, page: ResultPage, deed: str) -> None:
        page.left.connect(self.doors)
        page.again_asked.connect(partial(self._again, deed))
        page.receipt_asked.connect(self._receipt)
        page.save_asked.connect(partial(self._save, page, page.saved))
        self._window.show_page(page)

    def _again(self, deed: str) -> None:
        """The same form, empty; below it lie the doors."""
        self.doors()
        self._form(deed)


def _fits(key: KeyView, deed: str) -> bool:
    """What the gateway would not refuse for the key's sake. A signature is verified even by a key that is gone."""
    if (key.state != "active" or key.purpose) and not (deed == "verify" and key.spki_pem):
        return False
    return not keyuse.why_not(Act(deed), Algorithm(key.algorithm), key.attributes.usages)


def _key(wish: Wish) -> KeyView:
    if wish.key is None:
        raise TypeError("only verifying goes without a key of this workspace")
    return wish.key
