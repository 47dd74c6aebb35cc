"""What watches the log, in the memory of the test; and the rooms of the log that show it, for the gallery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import samples as s
from places import DENIED, Gateway

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.alerts import (
    AlertPage,
    AlertView,
    DeviceLogPast,
    DeviceLogReport,
    DeviceLogStanding,
    RulesView,
    RuleView,
    Usual,
    UsualHours,
    UsualView,
)
from hsm_console.domain.messages.anchors import (
    AnchorView,
    CheckView,
    CosignatureView,
    LogStatus,
    SheetDue,
    SheetView,
    WitnessHead,
)
from hsm_console.domain.messages.audit import Finding

SERIAL = "5a3f2c8e91d04b7f"
_DAY = 86_400_000
BAD_FILE = Problem(
    code="rule-refused",
    what="The rule file “night-shift.yml” cannot be used: `level` must be low, medium, high or critical.",
    todo="Correct the file in the workspace's folder “rules”, check it with “hsm-console audit rules check”, then "
    "start the gateway again.",
    contact="whoever wrote the rule",
)


def shipped(**marks: dict[str, Any]) -> tuple[RuleView, ...]:
    """The rules that ship, as the gateway tells them. marks: name with _ for - → what is different about it."""
    from hsm_console.detect.rulebook import in_force

    found = []
    for rule in in_force()[0].rules:
        if rule.raises:
            fields: dict[str, Any] = {
                "id": rule.name, "title": rule.title, "level": rule.level, "kind": rule.kind, "meaning": rule.meaning,
                "todo": rule.todo, "sha256": rule.sha256, "false_alarms": rule.false_alarms,
            }  # fmt: skip
            found.append(RuleView(**(fields | marks.get(rule.name.replace("-", "_"), {}))))
    return tuple(found)


def rules(*refused: Problem, evaluated: int = 1_204, **marks: dict[str, Any]) -> RulesView:
    fired: dict[str, Any] = {
        "pin_failures": {"fired": 2, "last_ms": s.NOW - _DAY, "last_seq": 812},
        "first_use_of_mechanism": {"fired": 14, "last_ms": s.NOW - 3_600_000, "last_seq": 1_180},
        "out_of_hours": {"fired": 1, "last_ms": s.NOW - 9 * _DAY, "last_seq": 377},
    }  # fmt: skip
    return RulesView(
        sha256=s.FINGERPRINT, rules=shipped(**(fired | marks)), evaluated=evaluated, size=1_204, refused=refused
    )


def hours(first: int = 8, last: int = 17, times: int = 113) -> UsualHours:
    return UsualHours(first=first, last=last, times=times)


def usual() -> UsualView:
    none = hours(0, 0, 0)
    keys = (
        Usual(uid="a1" * 16, name="invoice-signing-01", days=142, minutes=2_410, peak=38, working=hours(7, 18, 9_204),
              weekend=hours(9, 11, 41), rate_known=True, hours_known=True),
        Usual(uid="b2" * 16, name="payroll-files", days=61, minutes=9, peak=4, working=hours(22, 1, 61), weekend=none,
              rate_known=False, hours_known=True),
        Usual(uid="c3" * 16, name="ceo-identity-2026", days=0, minutes=1, peak=1, working=hours(14, 14, 1),
              weekend=none, rate_known=False, hours_known=False),
        Usual(uid="d4" * 16, name="", days=3, minutes=2, peak=2, working=none, weekend=hours(3, 3, 2),
              rate_known=False, hours_known=False),
    )  # fmt: skip
    people = tuple(
        Usual(uid=uid, name=name, days=90 - 20 * n, minutes=400 - 90 * n, peak=12 + n, working=hours(8 + n, 16 + n, 80),
              weekend=none, rate_known=n < 3, hours_known=n < 2)
        for n, (uid, (name, _role)) in enumerate(list(s.PEOPLE.items())[:4])
    )  # fmt: skip
    return UsualView(keys=keys, people=people, evaluated=1_204, size=1_204)


_FOUND = (
    (
        "SHADOW-OP",
        "the device signed with the key “invoice-signing-01” (its record 4812), and nothing here asked for it",
    ),
    ("SHADOW-OP", "the security officer logged in (record 4811 of the device), and no ceremony was open"),
    ("PHANTOM-OP", "entry 1091 says that the device made the key “payroll-files”, and its own log does not"),
)
FINDINGS = tuple(Finding(word=word, text=text) for word, text in _FOUND)


def report(*findings: Finding, **more: Any) -> DeviceLogReport:
    base: dict[str, Any] = {"source": "device", "serial": SERIAL, "records": 41, "matched": 26, "entry": 1_203}
    return DeviceLogReport(**(base | more), findings=findings)


def past(entry: int = 1_150, *findings: Finding, **more: Any) -> DeviceLogPast:
    base: dict[str, Any] = {"entry": entry, "time_ms": s.NOW - _DAY, "source": "device", "serial": SERIAL,
                            "first": 4_771, "last": 4_812, "matched": 26, "by": ""}  # fmt: skip
    return DeviceLogPast(**(base | more), findings=findings)


def standing(*before: DeviceLogPast, unlocked: bool = True, offered: bool = True) -> DeviceLogStanding:
    return DeviceLogStanding(offered=offered, unlocked=unlocked, serial=SERIAL, past=before)


def alert(seq: int = 812, **more: Any) -> AlertView:
    base: dict[str, Any] = {
        "seq": seq, "time_ms": s.NOW, "rule": "pin-failures", "title": "Several wrong PINs", "level": "high",
        "text": "The PIN of the HSM was wrong 3 times within fifteen minutes (entries 806 to 811).",
        "todo": "Stop trying. Ask the person who tried; look how many tries the token has left.",
        "first": 806, "last": 811,
    }  # fmt: skip
    return AlertView(**(base | more))


ALERTS = AlertPage(
    rows=(
        alert(),
        alert(
            377, rule="out-of-hours", title="Somebody came out of hours", level="medium", first=376, last=376,
            text="Alan Turing logged on at 23 o'clock on a tuesday.", todo="Ask him; write down what you hear.",
            acknowledged_by="k.goedel", acknowledged_ms=s.NOW, acknowledged_note="A renewal that was announced.",
        ),
    ),
    open_count=1,
    newest=812,
)  # fmt: skip
STATUS = LogStatus(
    size=1_204,
    signed=1_200,
    startup=CheckView(
        state="done",
        first=768,
        last=1_199,
        anchored=1_196,
        line="OK entries=768..1199 of 1200, token's head of 1196; not checked: clock, runs",
    ),
    background=CheckView(state="running", done=812, of=1_204),
    anchors=(
        AnchorView(kind="token", required=True, size=1_196),
        AnchorView(kind="receipt", required=True, size=1_102),
        AnchorView(kind="witness", required=True, problem="the policy requires a witness, and none cosigned a head"),
    ),
    sheet=SheetDue(by_itself=True, last_day="2026-11-23", due=True, next_ms=s.NOW, locked=True),
)
SHEETS = [
    SheetView(entry=1_180, day="2026-11-23", size=1_179, root=s.FINGERPRINT, key="k", software=True, note="n",
              codes=("a", "b", "c", "d")),
    SheetView(entry=905, day="2026-11-22", size=904, root=s.FINGERPRINT, key="k", software=True, note="n",
              codes=("a", "b", "c", "d")),
]  # fmt: skip
COSIGNED = [
    CosignatureView(entry=1_190, witness="Wilhelmina Diffie", key="k", person=True, size=1_185, root=s.FINGERPRINT,
                    signed_ms=s.NOW, brought_by="Charlotte Babbage", file="witness/x", note="n"),
]  # fmt: skip
HEAD = WitnessHead(
    text="t", size=1_200, root=s.FINGERPRINT, signed_ms=s.NOW, seconds=1, statement="s", codes=(), png=()
)


class Unheard:
    """Stands where Calls stands, and delivers nothing: a page shows what it is given."""

    def start(self, *_args: Any, **_more: Any) -> int:
        return 0


def page(kind: Any) -> Any:
    return kind(Gateway(), Unheard())


def reader(kind: Any) -> Any:
    """The page of somebody who may only look: a witness."""
    gateway = Gateway()
    gateway.greeting = s.greeting("w.diffie")
    return kind(gateway, Unheard())


def simple() -> dict[str, Callable[[], Any]]:
    """name → maker of a page."""
    from ui.audit.alerts import AlertsPage
    from ui.audit.kept import KeptPage
    from ui.audit.own_log import OwnLogPage
    from ui.audit.rules import KEYS, PEOPLE, RulesPage

    def told(made: Any, *shown: tuple[str, Any]) -> Any:
        for act, value in shown:
            getattr(made, act)(value)
        return made

    def of_rules(view: RulesView) -> RulesPage:
        return told(page(RulesPage), ("show_rules", view))

    def habits(which: str, view: UsualView) -> RulesPage:
        made = page(RulesPage)
        made.turn(which)
        return told(made, ("show_usual", view))

    def own_log(view: DeviceLogStanding, *found: DeviceLogReport) -> OwnLogPage:
        return told(page(OwnLogPage), ("show_standing", view), *(("show_report", one) for one in found))

    failed = {"fault": "KeyError at entry 1103"}
    nothing = UsualView(keys=(), people=(), evaluated=2, size=2)
    before = (past(), past(1_020, *FINDINGS[:1], by="Kurt Gödel", source="file", first=1, last=88))
    kept = (("show_status", STATUS), ("show_sheets", SHEETS), ("show_witnesses", COSIGNED))
    empty = (("show_status", STATUS), ("show_sheets", []), ("show_witnesses", []))
    return {
        "audit-alerts": lambda: told(page(AlertsPage), ("show_alerts", ALERTS)),
        "audit-alerts-none": lambda: told(page(AlertsPage), ("show_alerts", AlertPage(rows=(), open_count=0))),
        "audit-rules": lambda: of_rules(rules()),
        "audit-rules-trouble": lambda: of_rules(rules(BAD_FILE, evaluated=420, export_burst=failed)),
        "audit-rules-refused": lambda: told(page(RulesPage), ("_failed", DENIED)),
        "audit-habits-keys": lambda: habits(KEYS, usual()),
        "audit-habits-people": lambda: habits(PEOPLE, usual()),
        "audit-habits-none": lambda: habits(KEYS, nothing),
        "audit-own-log": lambda: own_log(standing(*before)),
        "audit-own-log-good": lambda: own_log(standing(*before), report()),
        "audit-own-log-bad": lambda: own_log(standing(*before), report(*FINDINGS)),
        "audit-own-log-first": lambda: own_log(standing(), report(beginning=True, matched=0)),
        "audit-own-log-locked": lambda: own_log(standing(unlocked=False)),
        "audit-own-log-reader": lambda: told(reader(OwnLogPage), ("show_standing", standing(*before, offered=False))),
        "audit-kept": lambda: told(page(KeptPage), *kept),
        "audit-kept-none": lambda: told(page(KeptPage), *empty),
    }
