"""The pages of the set-up assistant: one decision each, and nothing happens before the last of them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QRadioButton, QWidget

from hsm_console.domain.secret import Secret
from ui import texts
from ui.setup import answers as rules
from ui.setup.answers import Answers, EnvironmentChoice, Member
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, label
from ui.widgets.field import FormField, line, secret

PAGES = 6


class SetupPage(Page):
    """Back keeps what was typed; Next checks it."""

    done = Signal()
    left = Signal()

    def __init__(self, n: int, title: str, lead: str, answers: Answers, *, act: str = "") -> None:
        super().__init__(title, lead, eyebrow=tr("Set up a workspace  ·  {n} of {m}", n=n, m=PAGES))
        self.answers = answers
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.next = button(act or tr("Ne&xt"), "act")
        self.next.clicked.connect(self._next)
        self.build()
        self.aside(self.back)
        self.act(self.next)

    def build(self) -> None:
        raise NotImplementedError

    def take(self) -> bool:
        """Check what was typed and keep it. False: something has to be typed again, and the field says what."""
        raise NotImplementedError

    def _next(self) -> None:
        if self.take():
            self.done.emit()


class PlacePage(SetupPage):
    def __init__(self, answers: Answers) -> None:
        lead = tr(
            "A workspace is one folder: the log, the roster, the credentials. Nothing is made before you confirm."
        )
        super().__init__(1, tr("Name the workspace"), lead, answers)

    def build(self) -> None:
        frame, box = card(margins=26, spacing=20)
        self.name = line(tr("&Name"), text=self.answers.name, hint=tr("It stands on every page and on paper."))
        suggested = self.answers.directory or str(Path.home() / "hsm-console-workspace")
        self.directory = line(tr("&Folder"), text=suggested, hint=tr("It does not exist yet; the set-up makes it."))
        for one in (self.name, self.directory):
            box.addWidget(one)
        self.add(frame)
        self.first = self.name.control

    def take(self) -> bool:
        self.name.clear_error()
        self.directory.clear_error()
        name = rules.composed(self.name.text())
        if fault := rules.workspace_name_fault(name):
            self.name.show_error(fault)
            self.name.setFocus()
            return False
        if fault := rules.place_fault(self.directory.text()):
            self.directory.show_error(fault)
            self.directory.setFocus()
            return False
        self.answers.name = name
        self.answers.directory = str(Path(self.directory.text().strip()).expanduser())
        return True


class TokenPage(SetupPage):
    def __init__(self, answers: Answers, environments: list[EnvironmentChoice]) -> None:
        self._environments = environments
        super().__init__(
            2, tr("Choose the module and its rules"), tr("Both can be tried without any hardware."), answers
        )

    def build(self) -> None:
        frame, box = card()
        box.addWidget(label(tr("Module"), "heading"))
        self._adapters = self._group(
            box,
            [
                (
                    "simulation",
                    tr("&Simulation"),
                    tr("Part of this program. For learning and rehearsing; keys are not real."),
                ),
                (
                    "softhsm",
                    tr("So&ftHSM"),
                    tr("A software token of this machine, spoken to like hardware; keys are not real either."),
                ),
            ],
            self.answers.adapter,
        )
        self.add(frame)
        other, inner = card()
        inner.addWidget(label(tr("Environment"), "heading"))
        offered = [(e.id, e.title, e.purpose) for e in self._environments if e.simulated_tokens != "refused"]
        self._environment = self._group(inner, offered, self.answers.environment)
        refused = [e.title for e in self._environments if e.simulated_tokens == "refused"]
        if refused:
            inner.addWidget(label(tr("{names} need a hardware module.", names=texts.names(refused)), "hint"))
        self.add(other)
        self.first = self._adapters.checkedButton()

    def take(self) -> bool:
        self.answers.adapter = _checked(self._adapters)
        self.answers.environment = _checked(self._environment)
        return True

    def _group(self, box: object, items: list[tuple[str, str, str]], chosen: str) -> QButtonGroup:
        from PySide6.QtWidgets import QVBoxLayout

        if not isinstance(box, QVBoxLayout):
            raise TypeError("a column was expected")
        group = QButtonGroup(self)
        for name, title, hint in items:
            radio = QRadioButton(title)
            radio.setObjectName(name)
            radio.setAccessibleName(title.replace("&", ""))
            radio.setAccessibleDescription(hint)
            radio.setChecked(name == chosen or (not group.buttons() and chosen not in [i[0] for i in items]))
            group.addButton(radio)
            box.addWidget(radio)
            under = label(hint, "hint")
            under.setContentsMargins(engine().px(34), 0, 0, engine().px(6))
            box.addWidget(under)
        return group


class PeoplePage(SetupPage):
    def __init__(self, answers: Answers) -> None:
        lead = tr("Seven seats. Each person has a credential of her own; nobody holds two roles in one ceremony.")
        super().__init__(3, tr("Who takes part"), lead, answers)

    def build(self) -> None:
        frame, box = card()
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(engine().px(16))
        grid.setVerticalSpacing(engine().px(12))
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 1)
        self.lines: list[tuple[FormField, FormField, Member]] = []
        for n, member in enumerate(self.answers.people):
            name = line(_seat(self.answers, n), text=member.name)
            uid = line(tr("Short name"), text=member.uid)
            name.edited.connect(lambda name=name, uid=uid: uid.set_text(rules.short_name(name.text())))
            grid.addWidget(name, n, 0)
            grid.addWidget(uid, n, 1)
            self.lines.append((name, uid, member))
        box.addWidget(holder)
        self.add(frame)
        self.first = self.lines[0][0].control

    def take(self) -> bool:
        names: list[str] = []
        uids: list[str] = []
        wrong: list[FormField] = []
        for name, uid, member in self.lines:
            member.name, member.uid = rules.composed(name.text()), uid.text().strip()
            faults = ((name, rules.name_fault(member.name, names)), (uid, rules.uid_fault(member.uid, uids)))
            for field, fault in faults:
                field.clear_error()
                if fault:
                    field.show_error(fault)
                    wrong.append(field)
            names.append(member.name)
            uids.append(member.uid)
        if wrong:
            wrong[0].setFocus()
        return not wrong


class PassphrasePage(SetupPage):
    """One person at the keyboard; the others look away."""

    def __init__(self, answers: Answers, member: Member, least: int) -> None:
        self._member, self._least = member, least
        lead = tr(
            "Please take the keyboard, {name}; everybody else looks away. Nobody but you ever knows it.",
            name=member.name,
        )
        super().__init__(4, tr("{name}, choose your passphrase", name=member.name), lead, answers)

    def build(self) -> None:
        frame, box = card(margins=26, spacing=18)
        box.addWidget(label(texts.role(self._member.role), "eyebrow"))
        hint = tr("At least {n} characters. Four or five unrelated words are easy to remember.", n=self._least)
        self.one = secret(tr("&Passphrase"), hint=hint)
        self.two = secret(tr("The same &again"))
        self._meter = label("", "hint")
        self.one.edited.connect(self._count)
        for part in (self.one, self._meter, self.two):
            box.addWidget(part)
        self.add(frame)
        if self._member.passphrase:
            self.add(label(tr("A passphrase was typed before. Type it anew to go on."), "hint"))
        self.first = self.one.control

    def take(self) -> bool:
        fault = rules.passphrase_fault(self.one.text(), self.two.text(), self._least, self._member)
        self.one.clear_error()
        if fault:
            self.one.show_error(fault)
            self.one.setFocus()
            return False
        self.two.take_secret().wipe()
        self._member.passphrase = self.one.take_secret()
        return True

    def _count(self) -> None:
        n = len(self.one.text())
        said = tr("{n} of {m} characters", n=n, m=self._least) if n < self._least else tr("Long enough")
        self._meter.setText(said)


class PinsPage(SetupPage):
    def __init__(self, answers: Answers) -> None:
        lead = tr(
            "Custodians unlock the module with the PIN. The security officer's PIN sets a new one when it is locked."
        )
        super().__init__(5, tr("PINs of the module"), lead, answers)

    def build(self) -> None:
        self.fields: list[tuple[FormField, FormField]] = []
        for title in (tr("&PIN"), tr("PIN of the security &officer")):
            frame, box = card(margins=22, spacing=14)
            one = secret(title, hint=tr("{a} to {b} characters, no spaces.", a=rules.PIN_LEAST, b=rules.PIN_MOST))
            two = secret(tr("The same again"))
            box.addWidget(one)
            box.addWidget(two)
            self.fields.append((one, two))
            self.add(frame)
        self.first = self.fields[0][0].control

    def take(self) -> bool:
        for one, two in self.fields:
            one.clear_error()
            if fault := rules.pin_fault(one.text(), two.text()):
                one.show_error(fault)
                one.setFocus()
                return False
        if self.fields[0][0].text() == self.fields[1][0].text():
            self.fields[1][0].show_error(tr("The two PINs must be different."))
            self.fields[1][0].setFocus()
            return False
        taken: list[Secret] = []
        for one, two in self.fields:
            two.take_secret().wipe()
            taken.append(one.take_secret())
        self.answers.pin, self.answers.so_pin = taken
        return True


def _checked(group: QButtonGroup) -> str:
    found = group.checkedButton()
    return found.objectName() if found is not None else ""


def _seat(answers: Answers, n: int) -> str:
    """The role, numbered where several people hold it."""
    role = answers.people[n].role
    same = [i for i, member in enumerate(answers.people) if member.role is role]
    return texts.role(role) if len(same) == 1 else f"{texts.role(role)} {same.index(n) + 1}"
