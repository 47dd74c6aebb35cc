"""Making keys: a form. It asks for an order; custodians approve it before the module makes anything."""

from __future__ import annotations

import re

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit

from hsm_console.domain import batches
from hsm_console.domain.keys import Algorithm, Custody, Usage
from hsm_console.domain.messages.work import KeyOffer
from ui import texts
from ui.keys import words
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label
from ui.widgets.field import choice, line
from ui.widgets.fold import technical

MOST = 1000
USUAL = (Algorithm.EC_P384, Algorithm.AES_256, Algorithm.RSA_4096)  # what is chosen when nobody has chosen yet
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


class MakePage(Page):
    filled = Signal(object)  # dict[str, str]: parameters of the order
    left = Signal()

    def __init__(self, offers: list[KeyOffer], values: dict[str, str]) -> None:
        lead = tr("Nothing is made by this. You check everything on the next page; then custodians decide.")
        super().__init__(tr("Make keys"), lead)
        self._offers = offers
        frame, box = card(margins=26, spacing=20)
        purposes = [u for u in Usage if any(u in offer.usages for offer in offers)]
        self.purpose = choice(tr("What are they &for?"), [(words.usage(u), u) for u in purposes])
        self.kind = choice(tr("&Kind of key"), [])
        self.count = line(tr("How &many?"), text=values.get("count", "1"), hint=tr("1 to {most}", most=MOST))
        self.name = line(tr("&Name"), text=values.get("label", ""))
        self._preview = label("", "hint")
        self._note = label("", "warn")
        self.extractable = QCheckBox(tr("They may &leave the module later, encrypted under another key of it"))
        self.extractable.setChecked(values.get("extractable") == "yes")
        for part in (self.purpose, self.kind, self._note, self.count, self.name, self._preview, self.extractable):
            box.addWidget(part)
        self.add(frame)
        back = button(tr("&Back"))
        back.clicked.connect(self.left)
        self.check = button(tr("&Check it"), "act")
        self.check.clicked.connect(self._go)
        self.aside(back)
        self.act(self.check)
        self.first = self.purpose.control
        self._wire(values)
        self.add(technical("\n".join(_line(offer) for offer in offers) or "-", lines=10))

    def _wire(self, values: dict[str, str]) -> None:
        combo = _combo(self.purpose)
        wanted = values.get("usages", "").split(",")[0]
        combo.setCurrentIndex(max(next((i for i in range(combo.count()) if combo.itemData(i) == wanted), 0), 0))
        combo.currentIndexChanged.connect(lambda _index: self._kinds())
        _combo(self.kind).currentIndexChanged.connect(lambda _index: self._tell())
        for field in (self.count, self.name):
            if isinstance(field.control, QLineEdit):
                field.control.textChanged.connect(lambda _text: self._tell())
        self._kinds()
        kinds = _combo(self.kind)
        at = next((i for i in range(kinds.count()) if kinds.itemData(i).algorithm == values.get("algorithm")), -1)
        if at >= 0:
            kinds.setCurrentIndex(at)
        self._tell()

    def _kinds(self) -> None:
        """Only kinds that can do what the keys are for."""
        combo, purpose = _combo(self.kind), _combo(self.purpose).currentData()
        combo.clear()
        for offer in self._offers:
            if purpose in offer.usages:
                combo.addItem(texts.algorithm(offer.algorithm.value), offer)
        fitting = [combo.itemData(n).algorithm for n in range(combo.count())]
        usual = next((name for name in USUAL if name in fitting), None)
        combo.setCurrentIndex(fitting.index(usual) if usual is not None else 0)
        self._tell()

    def _tell(self) -> None:
        offer = _combo(self.kind).currentData()
        said = offer.note if isinstance(offer, KeyOffer) else ""
        self._note.setText(said)
        self._note.setVisible(bool(said))
        software = isinstance(offer, KeyOffer) and offer.custody is not Custody.DEVICE
        self.extractable.setVisible(not software)
        count, pattern = self._number(), self.name.text().strip()
        many = count is not None and count > 1
        one = tr("Letters, digits, dots, dashes and spaces, for example: invoice-signing-2026")
        several = tr("Letters, digits, dots, dashes and spaces. Where {n} stands, each key gets its number.")
        self.name.set_hint(several if many else one)
        if count is None or not many or not batches.is_pattern(pattern):
            self._preview.hide()
            return
        made = batches.names(pattern, min(count, MOST))
        shown = ", ".join(made) if len(made) <= 4 else f"{made[0]}, {made[1]}, … {made[-1]}"
        self._preview.setText(tr("They will be called: {names}", names=shown))
        self._preview.show()

    def _number(self) -> int | None:
        text = self.count.text().strip()
        return int(text) if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST else None

    def _go(self) -> None:
        for field in (self.count, self.name, self.kind):
            field.clear_error()
        count, pattern = self._number(), self.name.text().strip()
        offer = _combo(self.kind).currentData()
        if not isinstance(offer, KeyOffer):
            self.kind.show_error(tr("The module can make no key for that."))
        elif count is None:
            self.count.show_error(tr("Type a number from 1 to {most}.", most=MOST))
            self.count.setFocus()
        elif count > 1 and not batches.is_pattern(pattern):
            self.name.show_error(_no_number(pattern))
            self.name.setFocus()
        elif not all(_NAME.fullmatch(name) for name in batches.names(pattern, count)):
            self.name.show_error(tr("A name has 1 to 64 letters, digits, dots, dashes and spaces."))
            self.name.setFocus()
        else:
            self.filled.emit(self._values(offer, count, pattern))

    def _values(self, offer: KeyOffer, count: int, pattern: str) -> dict[str, str]:
        usage = _combo(self.purpose).currentData()
        may_leave = self.extractable.isChecked() and offer.custody is Custody.DEVICE
        return {
            "algorithm": offer.algorithm.value,
            "label": pattern,
            "count": str(count),
            "usages": Usage(usage).value,
            "extractable": "yes" if may_leave else "no",
        }


def _no_number(pattern: str) -> str:
    """Said when several keys would get one name."""
    example = f"{pattern or 'key'}-{{nn}}"
    return tr("Several keys need several names. Write {example}: the number stands there then.", example=example)


def _line(offer: KeyOffer) -> str:
    usages = ", ".join(u.value for u in offer.usages)
    mechanisms = ", ".join(m.value for m in offer.mechanisms)
    return f"{offer.algorithm.value}: {usages}; {offer.custody.value}" + (f"; {mechanisms}" if mechanisms else "")


def _combo(field: object) -> QComboBox:
    control = getattr(field, "control", None)
    if not isinstance(control, QComboBox):
        raise TypeError("a choice was expected")
    return control
