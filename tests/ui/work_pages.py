"""Keys, orders and what they answer, in the memory of the test; and the pages that show them, for the gallery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import samples as s
from msgspec.structs import replace
from places import DENIED, certified

from hsm_console.domain import keyuse
from hsm_console.domain.errors import Problem
from hsm_console.domain.events import Decision
from hsm_console.domain.keys import Algorithm, Custody, Usage
from hsm_console.domain.messages.audit import EntryRow
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.orders import OrderKindView, OrderState, OrderView, OrderVote
from hsm_console.domain.messages.work import (
    DESTROY_KEY,
    GENERATE_KEYS,
    UNWRAP_KEY,
    WRAP_KEY,
    KeyDetail,
    KeyOffer,
)
from hsm_console.domain.people import Role

MAY = frozenset({GENERATE_KEYS, DESTROY_KEY, WRAP_KEY, UNWRAP_KEY})
MAKE_FIVE = {
    "algorithm": "ec-p384",
    "label": "invoice-signing-{nn}",
    "count": "5",
    "usages": "sign",
    "extractable": "no",
}
FIVE = ("Make 5 keys “invoice-signing-01” to “invoice-signing-05” (Elliptic curve P-384) to sign, never leaving the "
        "module.")  # fmt: skip
FULL = Problem(
    code="device-full",
    what="The module has no room for another key.",
    key_state="Three of five keys were made; each has its record.",
    todo="Destroy keys that are not needed, or use another module; then ask for what is missing.",
)


def key(label: str, *, algorithm: str = "ec-p384", usages: tuple[Usage, ...] = (Usage.SIGN,), **more: Any) -> KeyView:
    """A key of everyday work, made by an order."""
    n = sum(map(ord, label))
    attributes = replace(s.key().attributes, usages=usages, extractable=more.pop("extractable", False))
    base = {
        "object_id": f"{n:032x}",
        "label": label,
        "algorithm": algorithm,
        "ceremony_id": "",
        "attributes": attributes,
    }
    return replace(s.key(), **(base | more))


def secret_key(label: str, usage: Usage) -> KeyView:
    """AES: no public key, so no fingerprint."""
    return key(label, algorithm="aes-256", usages=(usage,), fingerprint="", words=(), spki_pem="")


def own() -> list[KeyView]:
    """What the console made for itself when the workspace was founded."""
    return [key("authority", purpose="authority"), key("log", algorithm="ed25519", purpose="log")]


def several() -> list[KeyView]:
    return [
        s.key(),
        replace(certified(), object_id="c3" * 16),
        key("invoice-signing-01", extractable=True),
        key("invoice-signing-02", state="unclear"),
        key("archive-sealing-2019", algorithm="rsa-4096", state="destroyed"),
        secret_key("backup-wrapping", Usage.WRAP),
        secret_key("payroll-files", Usage.ENCRYPT),
        key("partner-exchange", usages=(Usage.DERIVE,)),
        *own(),
    ]


def many(count: int) -> list[KeyView]:
    return [key(f"invoice-signing-{n:04}") for n in range(1, count + 1)]


def offers() -> list[KeyOffer]:
    software = Custody.SOFTWARE_WRAPPED.meaning
    found = []
    for algorithm in (Algorithm.EC_P384, Algorithm.ED25519, Algorithm.RSA_4096, Algorithm.AES_256, Algorithm.ML_DSA_65):
        soft = algorithm is Algorithm.ML_DSA_65
        found.append(
            KeyOffer(
                algorithm=algorithm,
                title=algorithm.value,
                usages=keyuse.usages(algorithm),
                mechanisms=keyuse.mechanisms(algorithm),
                custody=Custody.SOFTWARE_WRAPPED if soft else Custody.DEVICE,
                note=software if soft else "",
            )
        )
    return found


def detail(of: KeyView) -> KeyDetail:
    algorithm, usages = Algorithm(of.algorithm), of.attributes.usages
    said = {act: keyuse.why_not(act, algorithm, usages) for act in keyuse.Act}
    return KeyDetail(
        key_id=of.object_id,
        label=of.label,
        algorithm=algorithm,
        usages=usages,
        acts=tuple(act.value for act, why in said.items() if not why),
        why_not={act.value: why for act, why in said.items() if why},
        mechanisms=keyuse.mechanisms(algorithm) if Usage.SIGN in usages else (),
        custody=Custody.DEVICE,
        custody_words="In the module “rehearsal”, serial 4F00A1. It cannot leave it.",
    )


def vote(uid: str, decision: Decision = Decision.APPROVE, because: str = "") -> OrderVote:
    return OrderVote(uid=uid, name=s.PEOPLE[uid][0], decision=decision, time_ms=s.NOW, entry=61, because=because)


def order(state: OrderState = OrderState.OPEN, **more: Any) -> OrderView:
    base: dict[str, Any] = {
        "id": "generate-keys-1f2e3d4c", "action": GENERATE_KEYS, "title": "Make keys", "parameters": MAKE_FIVE,
        "summary": FIVE, "state": state,
        "role": Role.CUSTODIAN, "needed": 2, "of": 3, "votes": (), "opened_by": "c.babbage",
        "opened_name": "Charlotte Babbage", "opened_ms": s.NOW, "entry": 58,
    }  # fmt: skip
    return OrderView(**(base | more))


def both() -> tuple[OrderVote, ...]:
    return vote("a.turing"), vote("g.hopper")


def orders() -> list[OrderView]:
    destroy = {"action": DESTROY_KEY, "irreversible": True, "parameters": {"key": several()[4].object_id}}
    return [
        order(votes=(vote("a.turing"),), may_decide=True),
        order(OrderState.RUNNING, id="b", done=212, total=1000, votes=both(), may_stop=True,
              summary="Make 1000 keys “sensor-0001” to “sensor-1000” (Ed25519) to sign."),
        order(OrderState.INTERRUPTED, id="c", votes=both(), may_run=True),
        order(OrderState.DONE, id="d", votes=both(), result={"made": "5", "entry": "77"}),
        order(OrderState.DECLINED, id="e", title="Destroy a key", summary="Destroy “archive-sealing-2019”.", **destroy),
    ]  # fmt: skip


def kinds() -> list[OrderKindView]:
    """Kinds of order that begin on the page of the orders."""
    said = {
        "replicate-key": ("Copy a key to another device", {"key": "the key's id", "device": "the further device's name",
                          "under": "id of the wrapping key; empty: the newest"}, True, False),
        "rotate-log": ("Write complete segments of the log for the auditor", {"recipient": "age1…"}, False, False),
        "prune-log": ("Remove old entries that stand in segments", {"below": "Entries below this number"}, True, True),
    }  # fmt: skip
    return [
        OrderKindView(
            action=action,
            title=title,
            parameters=given,
            needs_quorum=quorum,
            irreversible=last,
            may_open=True,
            optional=tuple(name for name in given if name == "under"),
        )
        for action, (title, given, quorum, last) in said.items()
    ]


CHOICES = {"key": [("every key", "all"), ("invoice-signing-01 (Elliptic curve P-384)", "a1" * 16)],
           "device": [("zurich-2", "zurich-2")], "under": [("the newest that both hold", "")]}  # fmt: skip


def shown(page: Any, *acts: tuple[str, Any]) -> Any:
    for act, value in acts:
        getattr(page, act)(value)
    return page


HISTORY = tuple(
    EntryRow(seq=n, time_ms=s.NOW - (80 - n) * 60_000, kind=kind, who="", status="success", signed=True, summary=words)
    for n, kind, words in (
        (79, "operation-succeeded", "The key “ceo-identity-2026” signed “contract.pdf”."),
        (41, "operation-succeeded", "The workstation generated the key “ceo-identity-2026”."),
    )
)


def simple() -> dict[str, Callable[[], Any]]:
    """name → maker of a page."""
    return _keys() | _orders()


def _keys() -> dict[str, Callable[[], Any]]:
    from ui.keys.ending import DestroyPage
    from ui.keys.key import KeyPage
    from ui.keys.leaving import UnwrapPage, WrapPage
    from ui.keys.making import MakePage
    from ui.keys.page import KeysPage
    from ui.orders import words
    from ui.orders.check import CheckPage

    one, out = s.key(), several()[2]
    wrapping = [several()[5]]

    def searched() -> KeysPage:
        page = shown(KeysPage(), ("show_keys", several()))
        page.search.set_text("nothing like this")
        return page

    def filled() -> KeyPage:
        page = KeyPage(out, MAY, may_use=True)
        page.show_detail(detail(out))
        page.show_holders(("rehearsal", "Zürich"), ("Geneva",))
        page.show_history(HISTORY, more=True)
        return page

    def wrong() -> MakePage:
        page = MakePage(offers(), MAKE_FIVE | {"label": "invoice-signing"})
        page.check.click()
        return page

    def leaving() -> DestroyPage:
        from fleet_pages import row

        page = DestroyPage(one, (row("zurich-2"), row("bern", unlocked=False)))
        page.copies["bern"].setChecked(True)
        return page

    def no_room() -> CheckPage:
        page = check()
        page.refuse(FULL)
        return page

    def check() -> CheckPage:
        then = "The custodians are asked. When enough of them have approved, an administrator starts the work."
        return CheckPage("Make keys", words.values(MAKE_FIVE, {}), then, where="Rehearsal (simulation)")

    return {
        "keys": lambda: shown(KeysPage(), ("show_keys", several()), ("offer", MAY)),
        "keys-none": lambda: shown(KeysPage(), ("show_keys", []), ("offer", MAY)),
        "keys-asking": KeysPage,
        "keys-nothing-fits": searched,
        "keys-refused": lambda: shown(KeysPage(), ("refuse", DENIED)),
        "key": filled,
        "key-asking": lambda: KeyPage(one, MAY, may_use=True),
        "key-own": lambda: KeyPage(own()[1], MAY, may_use=True),
        "keys-only-own": lambda: shown(KeysPage(), ("show_keys", own()), ("offer", MAY)),
        "key-unclear": lambda: KeyPage(several()[3]),
        "key-secret": lambda: shown(KeyPage(several()[6], MAY, may_use=True), ("show_detail", detail(several()[6]))),
        "key-make": lambda: MakePage(offers(), MAKE_FIVE),
        "key-make-software": lambda: MakePage(offers(), {"algorithm": "ml-dsa-65", "usages": "sign"}),
        "key-make-wrong": wrong,
        "key-make-check": check,
        "key-make-refused": no_room,
        "key-destroy": lambda: DestroyPage(one),
        "key-destroy-copies": leaving,
        "key-wrap": lambda: WrapPage(out, wrapping),
        "key-wrap-none": lambda: WrapPage(out, []),
        "key-unwrap": lambda: UnwrapPage(wrapping, offers()),
    }


def _orders() -> dict[str, Callable[[], Any]]:
    from ui.orders.asking import AskPage
    from ui.orders.order import OrderPage
    from ui.orders.page import OrdersPage

    def wrong() -> AskPage:
        page = AskPage(kinds()[2:], {})
        page.check.click()
        return page

    made = {"first": "invoice-signing-01", "last": "invoice-signing-05", "made": "5 of 5"}
    labels = {"a1" * 16: "archive-sealing-2019"}
    destroy = {"action": DESTROY_KEY, "title": "Destroy a key", "irreversible": True, "votes": both(),
               "summary": "Destroy the key “archive-sealing-2019”.", "parameters": {"key": "a1" * 16}}  # fmt: skip
    no = vote("g.hopper", Decision.DECLINE, "Five is more than the plan of 2026 says.")
    return {
        "orders": lambda: shown(OrdersPage(), ("show_orders", orders()), ("offer", True)),
        "orders-ask": lambda: AskPage(kinds(), CHOICES),
        "orders-ask-wrong": wrong,
        "orders-none": lambda: shown(OrdersPage(), ("show_orders", [])),
        "orders-refused": lambda: shown(OrdersPage(), ("refuse", DENIED)),
        "order-open": lambda: OrderPage(order(votes=(vote("a.turing"),), may_decide=True)),
        "order-ready": lambda: OrderPage(order(OrderState.READY, votes=both(), may_run=True, may_withdraw=True)),
        "order-running": lambda: OrderPage(order(OrderState.RUNNING, votes=both(), done=3, total=5, may_stop=True)),
        "order-stopped": lambda: OrderPage(
            order(
                OrderState.STOPPED,
                votes=both(),
                may_run=True,
                result={"made": "3 of 5", "first": "invoice-signing-01", "last": "invoice-signing-03"},
            )
        ),
        "order-done": lambda: OrderPage(order(OrderState.DONE, votes=both(), result=made)),
        "order-failed": lambda: OrderPage(order(OrderState.FAILED, votes=both(), problem=FULL)),
        "order-declined": lambda: OrderPage(order(OrderState.DECLINED, votes=(vote("a.turing"), no))),
        "order-destroy": lambda: OrderPage(order(OrderState.READY, may_run=True, **destroy), labels),
    }
