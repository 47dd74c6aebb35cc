"""What outlives the database: how the log stands, root sheets, witnesses, segments for the auditor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.client import anchors, orders
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.anchors import AnchorView, CosignatureView, LogStatus, SheetView, WitnessHead
from hsm_console.domain.messages.orders import OrderView
from ui import texts
from ui.audit import checked_words
from ui.audit.rooms import KEPT, Rooms
from ui.calls import Calls, Lane
from ui.saving import choose, write
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import line
from ui.widgets.file_field import FileField
from ui.widgets.fold import technical
from ui.widgets.problem import notice

_PATTERN = "Cosigned heads (*.cosigned *.txt *.png *.pdf *.jpg)"
_SHOWN = 5


class KeptPage(Page):
    room_asked = Signal(str)
    record_asked = Signal(int)
    order_asked = Signal(str)  # id of an order that was asked for here

    def __init__(self, session: Session, calls: Calls) -> None:
        super().__init__(
            tr("Anchors and keeping"),
            tr("What a changed database cannot change with it: heads in other hands, sheets, segments."),
            width=1000,
        )
        self._session, self._lane = session, Lane(calls)
        self.destroyed.connect(self._lane.forget)
        self.rooms = Rooms(KEPT)
        self.rooms.asked.connect(self.room_asked)
        self.body.insertWidget(0, self.rooms)
        self._stand = self._card(tr("How the log stands"))
        self._sheets_card()
        self._witness_card()
        self._segments_card()
        self.again = button(tr("&Look anew"))
        self.again.clicked.connect(self.look)
        self.aside(self.again)
        self.first = self.again  # the acts lie further down: the page begins at its beginning

    def _card(self, title: str, said: str = "") -> QVBoxLayout:
        """A card; what changes goes into the layout that is returned, acts stand below it."""
        frame, box = card(spacing=12)
        box.addWidget(label(title, "heading"))
        if said:
            box.addWidget(label(said, "hint"))
        inner = QVBoxLayout()
        inner.setSpacing(engine().px(8))
        box.addLayout(inner)
        self._last = box
        self.add(frame)
        return inner

    def _sheets_card(self) -> None:
        said = tr("Once a day the log's root is signed with ML-DSA; older receipts are tied to the printed sheet.")
        self._due = self._card(tr("Root sheets"), said)
        self._sheets = QVBoxLayout()
        self._sheets.setSpacing(engine().px(8))
        self._last.addLayout(self._sheets)
        self.sign_sheet = BusyButton(tr("&Sign the root of today"))
        self.sign_sheet.pressed.connect(self._sign)
        self._last.addLayout(row(self.sign_sheet))

    def _witness_card(self) -> None:
        said = tr("Somebody outside signs the head of this log, so that it has one history only.")
        self._witnesses = self._card(tr("Witnesses"), said)
        self.cosign = BusyButton(tr("&Cosign as yourself"))
        self.cosign.pressed.connect(lambda: self._act(self.cosign, partial(anchors.cosign, self._session)))
        self.head = button(tr("Save the &head for a witness…"))
        self.head.clicked.connect(self._save_head)
        self.file = FileField(
            tr("What a &witness sent back"), hint=tr("Text, or a picture of the codes."), pattern=_PATTERN
        )
        self.key = line(tr("Her verifier &key"), hint=tr("Only for a device that this log does not know yet."))
        self.bring = BusyButton(tr("&Bring the cosignature"))
        self.bring.pressed.connect(self._bring)
        self._last.addLayout(row(self.cosign, self.head))
        self._last.addWidget(self.file)
        self._last.addWidget(self.key)
        self._last.addLayout(row(self.bring))

    def _segments_card(self) -> None:
        said = tr("Complete segments go to the auditor, encrypted to his age key. Old records may be removed then, "
                  "by an order that custodians decide about.")  # fmt: skip
        self._segments = self._card(tr("Segments and pruning"), said)
        self.recipient = line(tr("The auditor's age &recipient"), placeholder="age1…")
        self.rotate = BusyButton(tr("Write the complete segmen&ts"))
        self.rotate.pressed.connect(self._rotate)
        self.below = line(tr("Remove records below &number"), placeholder="65536")
        self.prune = BusyButton(tr("&Ask for their removal"))
        self.prune.pressed.connect(self._prune)
        self._last.addWidget(self.recipient)
        self._last.addLayout(row(self.rotate))
        self._last.addWidget(self.below)
        self._last.addLayout(row(self.prune))

    # -- looking ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        self.problem.clear()
        session = self._session
        self._lane.call(partial(anchors.status, session), self.show_status, self.tell)
        self._lane.call(partial(anchors.sheets, session), self.show_sheets, self.tell)
        self._lane.call(partial(anchors.cosignatures, session), self.show_witnesses, self.tell)

    def show_status(self, found: LogStatus) -> None:
        clear(self._stand)
        facts = [
            (tr("Records"), tr("{n}, of which {m} are signed", n=f"{found.size:,}", m=f"{found.signed:,}")),
            (tr("Checked at the start"), checked_words.told(found.startup)),
            (tr("Checked since then"), checked_words.told(found.background)),
        ]
        self._stand.addWidget(pairs(facts, first_width=180))
        lines = [one.line for one in (found.startup, found.background) if one.line]
        if lines:
            self._stand.addWidget(technical("\n".join(lines), lines=len(lines) + 1))
        for one in found.anchors:
            if one.required or one.size >= 0:
                self._stand.addLayout(_anchor(one))
        clear(self._due)
        if found.sheet is not None:
            words, icon, colour = checked_words.sheet(found.sheet)
            self._due.addLayout(marked(icon, colour, label(words)))

    def show_sheets(self, found: list[SheetView]) -> None:
        self.sign_sheet.stop()
        clear(self._sheets)
        if not found:
            self._sheets.addWidget(label(tr("None yet."), "hint"))
        for one in found[:_SHOWN]:
            kind = tr("software key, kept wrapped by the token") if one.software else tr("key in the token")
            said = tr("{day}: {n} records, {kind}", day=one.day, n=f"{one.size:,}", kind=kind)
            self._sheets.addWidget(label(said, "label"))
            saves = []
            for form, title in (("pdf", tr("Sheet (PDF)…")), ("txt", tr("Text…")), ("vkey", tr("Key…"))):
                made = button(title, name=f"{title} {one.day}, {one.size}")
                made.clicked.connect(partial(self._save_sheet, one, form))
                saves.append(made)
            there = button(tr("Record {n}", n=one.entry), "link")
            there.clicked.connect(partial(self._record, one.entry))
            self._sheets.addLayout(row(*saves, there))

    def show_witnesses(self, found: list[CosignatureView]) -> None:
        clear(self._witnesses)
        if not found:
            self._witnesses.addWidget(label(tr("No witness has cosigned a head of this log yet."), "hint"))
        for one in found[:_SHOWN]:
            said = tr("{who} cosigned {n} records on {when}", who=one.witness, n=f"{one.size:,}",
                      when=texts.moment(one.signed_ms))  # fmt: skip
            self._witnesses.addLayout(marked("check", "good", label(said, "label")))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()

    # -- acts ------------------------------------------------------------------------------------------------

    def _act(self, pressed: BusyButton, work: Callable[[], object]) -> None:
        """Do it in the background, then look again."""

        def done(_found: object) -> None:
            pressed.stop()
            self.look()

        def refused(problem: Problem) -> None:
            pressed.stop()
            self.tell(problem)

        self.problem.clear()
        pressed.start()
        self._lane.call(work, done, refused)

    def _sign(self) -> None:
        self._act(self.sign_sheet, partial(anchors.sign_sheet, self._session))

    def _bring(self) -> None:
        path = self.file.require()
        if path is not None:
            self._act(self.bring, partial(anchors.bring_file, self._session, path, self.key.text().strip()))

    def _rotate(self) -> None:
        session, recipient = self._session, self.recipient.text().strip()

        def work() -> OrderView:
            made = orders.open_order(session, "rotate-log", {"recipient": recipient})
            return orders.run(session, made.id)

        self._ordered(self.rotate, work)

    def _prune(self) -> None:
        wish = {"below": self.below.text().strip()}
        self._ordered(self.prune, partial(orders.open_order, self._session, "prune-log", wish))

    def _ordered(self, pressed: BusyButton, work: Callable[[], OrderView]) -> None:
        def done(view: OrderView) -> None:
            pressed.stop()
            clear(self._segments)
            self._segments.addWidget(notice(tr("Asked for: {what}", what=view.summary), look="done", icon="check"))
            there = button(tr("Show the &order"))
            there.clicked.connect(lambda: self.order_asked.emit(view.id))
            self._segments.addLayout(row(there))

        def refused(problem: Problem) -> None:
            pressed.stop()
            self.tell(problem)

        self.problem.clear()
        pressed.start()
        self._lane.call(work, done, refused)

    def _record(self, entry: int, _checked: bool = False) -> None:
        self.record_asked.emit(entry)

    def _save_sheet(self, one: SheetView, form: str, _checked: bool = False) -> None:
        name = "root.vkey" if form == "vkey" else f"root-{one.day}-{one.size:08d}.{form}"
        fetch = partial(anchors.sheet_file, self._session, one.entry, form)
        choose(self, tr("Save the root sheet"), name, partial(self.save_to, fetch))

    def _save_head(self) -> None:
        def fetch() -> bytes:
            found: WitnessHead = anchors.head(self._session)
            return found.text.encode()

        choose(self, tr("Save the head"), "head.checkpoint", partial(self.save_to, fetch))

    def save_to(self, fetch: Callable[[], bytes], path: Path) -> None:
        """Fetch and write in the background; what was saved is said at the end of the page."""
        guard = tr("A file is being saved.")
        self._lane.call(lambda: write(path, fetch()), self.saved, self.tell, guard=guard)

    def saved(self, path: Path) -> None:
        made = notice(tr("Saved: {path}", path=path), look="done", icon="check", colour="good")
        self.add(made)
        self.reveal(made)


def _anchor(one: AnchorView) -> QVBoxLayout:
    names = {
        "token": tr("Head in the token"),
        "receipt": tr("Receipts"),
        "witness": tr("Witness"),
        "device-log": tr("The device's own log"),
        "tpm": tr("TPM"),
    }
    name = names.get(one.kind, one.kind)
    said = name
    if one.size >= 0 and one.kind == "receipt":
        said = tr("{name}: the newest was issued at record {n}", name=name, n=f"{one.size:,}")
    elif one.size >= 0:
        said = tr("{name}: covers {n} records", name=name, n=f"{one.size:,}")
    if one.problem:
        said = f"{name}: {one.problem}"
    elif one.required:
        said = tr("{said} (policy asks for it)", said=said)
    box = QVBoxLayout()
    holder = QWidget()
    holder.setLayout(marked("alert" if one.problem else "check", "bad" if one.problem else "good", label(said)))
    box.addWidget(holder)
    return box
