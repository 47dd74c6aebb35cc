"""One key: what it is, where it lies, what it may do, what is proved of it and what is not, what happened to it."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.audit import EntryRow
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import DESTROY_KEY, WRAP_KEY, KeyDetail
from ui import saving, texts
from ui.keys import words
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs, row
from ui.widgets.busy import BusyButton
from ui.widgets.fingerprint import Fingerprint
from ui.widgets.fold import Fold, technical
from ui.widgets.problem import ProblemPanel, notice

USABLE = ("sign", "encrypt", "decrypt", "derive")
MADE = "operation-succeeded"
SHOWN = 30
UNKNOWN_ROUTE = "route-unknown"


class KeyPage(Page):
    left = Signal()
    use_asked = Signal()
    destroy_asked = Signal()
    wrap_asked = Signal()
    history_asked = Signal()
    receipt_asked = Signal(int)  # entry of the log
    save_asked = Signal(str, object)  # text of the file, Path

    def __init__(self, key: KeyView, may: frozenset[str] = frozenset(), *, may_use: bool = False) -> None:
        """may: orders that this person may ask for; may_use: her role lets her use keys. The gateway asks again."""
        super().__init__(key.label, words.kind(key), eyebrow=tr("Key"))
        self.key, self._may_ask, self._may_use = key, may, may_use
        if warning := words.state_warning(key.state):
            self.add(notice(warning, look="problem", colour="bad"))
        if key.purpose:
            self.add(notice(words.purpose(key.purpose), icon="lock"))
        self._news = QVBoxLayout()
        self.add(self._news)
        frame, box = card()
        box.addWidget(pairs(words.facts(key)))
        self.add(frame)
        if key.fingerprint:
            self.add(Fingerprint(key.fingerprint, key.words))
        self._held = self._part(tr("Where it is held"))
        self._may = self._part(tr("What it may do"))
        for part in (self._held, self._may):
            part.addWidget(label(tr("Asking the gateway."), "hint"))
        self._proof()
        self._copies()
        self._history = self._part(tr("What happened to it"))
        self._ask_history()
        self.add(technical(_details(key), lines=12))
        self._acts()

    # -- what the gateway tells later ------------------------------------------------------------------------

    def show_detail(self, detail: KeyDetail) -> None:
        clear(self._held)
        self._held.addWidget(label(detail.custody_words or detail.custody.meaning))
        clear(self._may)
        for act in detail.acts:
            self._may.addLayout(marked("check", "good", label(words.act(act)), size=18))
        for act, why in detail.why_not.items():
            self._may.addLayout(marked("cross", "ink-soft", label(f"{words.act(act)}: {why}", "hint"), size=18))
        if not detail.acts and not detail.why_not:
            self._may.addWidget(label(tr("Nothing."), "hint"))
        self.use.setVisible(self._may_use and any(act in USABLE for act in detail.acts))

    def refuse_detail(self, problem: Problem) -> None:
        if problem.code == UNKNOWN_ROUTE:  # a gateway that is older than this screen and cannot use keys
            for part in (self._held, self._may):
                _hide_card(part)
            return
        for part in (self._held, self._may):
            clear(part)
            part.addWidget(label(f"{problem.what} {problem.todo}", "hint"))

    def show_holders(self, members: tuple[str, ...], missing: tuple[str, ...]) -> None:
        """Of a cluster: the modules that hold a copy, and those that lack one."""
        for name in members:
            self._held.addLayout(marked("device", "good", label(name), size=18))
        for name in missing:
            self._held.addLayout(marked("alert", "warn", label(tr("{name}: it is missing there", name=name)), size=18))

    def show_certificate(self, facts: list[tuple[str, str]]) -> None:
        clear(self._certificate)
        self._certificate.addWidget(pairs(facts))

    def show_history(self, rows: tuple[EntryRow, ...], *, more: bool) -> None:
        """Newest first, as the log tells it."""
        self._clear_history()
        for found in rows[:SHOWN]:
            when = label(texts.moment(found.time_ms), "hint")
            when.setFixedWidth(engine().px(190))
            line = row(when, label(found.summary, selectable=True), stretch_last=True)
            line.setStretch(1, 1)
            self._history.addLayout(line)
        if more or len(rows) > SHOWN:
            self._history.addWidget(label(tr("Older records are in the log."), "hint"))
        if not rows:
            self._history.addWidget(label(tr("The log has no record with this name."), "hint"))
        made = next((r for r in reversed(rows) if r.kind == MADE and r.status == "success"), None)
        if made is not None:
            receipt = button(tr("&Receipt of its making (record {n})…", n=made.seq))
            receipt.clicked.connect(lambda _checked=False: self.receipt_asked.emit(made.seq))
            self._history.addLayout(row(receipt))

    def refuse_history(self, problem: Problem) -> None:
        self._clear_history()
        panel = ProblemPanel()
        panel.tell(problem)
        self._history.addWidget(panel)

    def _clear_history(self) -> None:
        """What comes in the place of the question is brought to the eyes of whoever asked; she goes on from there."""
        asked = self.window().focusWidget() is self.ask_history.button
        clear(self._history)
        frame = self._history.parentWidget()
        if frame is None:
            return

        def bring() -> None:
            found = frame.findChild(QPushButton) or self.back
            if asked:
                found.show()  # a control that is not seen yet takes no focus
                found.setFocus()
            self.area.ensureWidgetVisible(frame, 0, 0)

        QTimer.singleShot(0, self, bring)

    def saved(self, path: object) -> None:
        self._news.addWidget(notice(tr("Saved: {path}", path=path), look="done", icon="check", colour="good"))
        self.area.ensureVisible(0, 0)

    # -- parts -----------------------------------------------------------------------------------------------

    def _part(self, title: str) -> QVBoxLayout:
        """A card with a heading; returns what can be filled anew below it."""
        frame, box = card()
        box.addWidget(label(title, "heading"))
        inner = QVBoxLayout()
        inner.setSpacing(engine().px(8))
        box.addLayout(inner)
        self.add(frame)
        return inner

    def _proof(self) -> None:
        key = self.key
        box = self._part(tr("What is proved"))
        box.addWidget(label(tr("Grade {grade} of evidence", grade=key.grade.value), "label"))
        box.addWidget(label(key.grade_meaning))
        box.addLayout(marked("alert", "warn", label(key.does_not_prove)))
        box.addWidget(Fold(tr("What was read back from the module"), attributes(key)))

    def _copies(self) -> None:
        key = self.key
        if key.certificate_pem:
            self._certificate = self._part(tr("Certificate"))
            self._certificate.addWidget(label(tr("Reading it."), "hint"))
        saves: list[QPushButton] = []
        for text, pem, ending in (
            (tr("Save the &public key…"), key.spki_pem, "pem"),
            (tr("Save the &certificate…"), key.certificate_pem, "crt"),
        ):
            if pem:
                save = button(text)
                save.clicked.connect(lambda _checked=False, p=pem, e=ending: self._save(p, e))
                saves.append(save)
        if saves:
            box = self._part(tr("Copies that may leave"))
            box.addWidget(label(tr("They hold nothing secret: anybody may have them, to verify with."), "hint"))
            box.addLayout(row(*saves))

    def _ask_history(self) -> None:
        self._history.addWidget(label(tr("To look into the log is itself recorded there."), "hint"))
        self.ask_history = BusyButton(tr("Show what &happened to it"), "")
        self.ask_history.pressed.connect(self._want_history)
        self._history.addLayout(row(self.ask_history))

    def _want_history(self) -> None:
        self.ask_history.start()
        self.history_asked.emit()

    def _acts(self) -> None:
        self.back = button(tr("&Back to the keys"))
        self.back.clicked.connect(self.left)
        self.end = button(tr("&Destroy…"))
        self.end.clicked.connect(self.destroy_asked)
        self.wrap = button(tr("Take it &out, wrapped…"))
        self.wrap.clicked.connect(self.wrap_asked)
        self.use = button(tr("&Use it…"), "act")
        self.use.clicked.connect(self.use_asked)
        self.aside(self.back)
        self.act(self.end, self.wrap, self.use)
        there = self.key.state != "destroyed" and not self.key.purpose
        self.end.setVisible(there and DESTROY_KEY in self._may_ask)
        self.wrap.setVisible(there and WRAP_KEY in self._may_ask and self.key.attributes.extractable is True)
        self.use.setVisible(False)  # until the gateway has told what the key may do
        self.first = self.back

    def _save(self, text: str, ending: str) -> None:
        name = words.file_name(self.key.label, ending)
        saving.choose(self, tr("Save a copy"), name, lambda path: self.save_asked.emit(text, path))


def attributes(key: KeyView) -> QWidget:
    holder = QWidget()
    box = QVBoxLayout(holder)
    box.setContentsMargins(engine().px(8), 0, 0, engine().px(8))
    box.setSpacing(engine().px(8))
    for sentence, good in texts.attributes(key.attributes):
        if good is None:
            line = marked("ring", "ink-soft", label(tr("{fact}: the module does not tell", fact=sentence)))
        elif good:
            line = marked("check", "good", label(sentence))
        else:
            line = marked("cross", "bad", label(tr("NOT so: {fact}", fact=sentence)))
        box.addLayout(line)
    return holder


def _hide_card(part: QVBoxLayout) -> None:
    clear(part)
    frame = part.parentWidget()
    if frame is not None:
        frame.hide()


def _details(key: KeyView) -> str:
    return "\n".join(part for part in (f"CKA_ID {key.object_id}", key.spki_pem, key.certificate_pem) if part)
