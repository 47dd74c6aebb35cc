"""An order in words: its state, its values, its result."""

from __future__ import annotations

from hsm_console.domain.events import Decision
from hsm_console.domain.keys import Usage
from hsm_console.domain.messages.orders import OrderState, OrderView
from ui import texts
from ui.keys.words import usage
from ui.texts import tr

ENDED = (OrderState.DONE, OrderState.FAILED, OrderState.DECLINED, OrderState.WITHDRAWN)
HALTED = (OrderState.STOPPED, OrderState.INTERRUPTED)
_LONG = 80  # characters; what is longer stands in the technical details


def state(order: OrderView) -> str:
    """Where it is, in one line."""
    yes = sum(vote.decision is Decision.APPROVE for vote in order.votes)
    return {
        OrderState.OPEN: tr("{yes} of {needed} needed approvals", yes=yes, needed=order.needed),
        OrderState.READY: tr("approved; it waits to be carried out"),
        OrderState.RUNNING: _running(order),
        OrderState.STOPPED: tr("stopped on request; it can go on"),
        OrderState.INTERRUPTED: tr("interrupted; it can go on"),
        OrderState.DONE: tr("done"),
        OrderState.FAILED: tr("failed"),
        OrderState.DECLINED: tr("declined"),
        OrderState.WITHDRAWN: tr("withdrawn"),
    }[order.state]


def _running(order: OrderView) -> str:
    if order.total <= 0:
        return tr("being carried out")
    return tr("being carried out, {done} of {total}", done=order.done, total=order.total)


def name(parameter: str) -> str:
    known = {
        "algorithm": tr("Kind of key"),
        "label": tr("Name"),
        "count": tr("How many"),
        "usages": tr("They may be used to"),
        "extractable": tr("May leave the module, wrapped"),
        "key": tr("Key"),
        "under": tr("Wrapping key"),
        "sha256": tr("SHA-256 of the wrapped key"),
        "wrapped": tr("The wrapped key"),
        "made": tr("Keys made"),
        "first": tr("The first of them"),
        "last": tr("The last of them"),
        "device": tr("Module"),
        "with": tr("With the module"),
        "from": tr("From the module"),
        "brought back": tr("Keys brought back"),
        "held by no device that can give it": tr("No unlocked module can give"),
        "leave": tr("Copies that are left"),
        "destroyed in": tr("Destroyed in"),
        "left in": tr("A copy is left in"),
        "still in": tr("It is, or may be, still in"),
        "recipient": tr("For whom"),
        "below": tr("Entries below"),
        "entries": tr("Which entries"),
        "why": tr("Why"),
        "copied": tr("Keys copied"),
        "were there": tr("They were there already"),
        "copies remain on": tr("Copies remain on"),
        "because": tr("Why it stopped"),
        "removed": tr("Entries removed"),
        "erased": tr("Values erased"),
        "segments": tr("Segments"),
        "files": tr("Files"),
        "folder": tr("Folder in the workspace"),
        "entry": tr("Record in the log"),
    }
    return known.get(parameter, parameter.replace("_", " ").replace("-", " ").capitalize())


def value(parameter: str, text: str, labels: dict[str, str]) -> str:
    """labels: id of a key → its name."""
    if parameter == "algorithm":
        return texts.algorithm(text)
    if parameter == "usages":
        known = {u.value: usage(u) for u in Usage}
        return texts.names([known.get(part.strip(), part.strip()) for part in text.split(",")])
    if parameter in ("device", "with", "from") and text == "primary":
        return tr("the workspace's own module")
    if parameter == "key" and text == "all":
        return tr("every key that may leave and is missing there")
    if text in ("yes", "no"):
        return tr("yes") if text == "yes" else tr("no")
    if parameter in ("key", "under") and text in labels:
        return tr("“{label}” (id {id})", label=labels[text], id=text[:16] + "…")
    if parameter == "sha256":
        return texts.digest(text)
    if parameter in ("key", "under"):
        return texts.grouped(text)
    return text if len(text) <= _LONG else tr("{n} characters; they stand in the technical details", n=len(text))


def results(found: dict[str, str]) -> list[str]:
    """Names of results in the order in which people read them: how many, then which."""
    return sorted(found, key=lambda name: (name not in ("made", "copied", "brought back"), name == "entry"))


def values(parameters: dict[str, str], labels: dict[str, str]) -> list[tuple[str, str]]:
    return [(name(key), value(key, text, labels)) for key, text in parameters.items() if text]
