"""The room of what outlives the database, and the road between the rooms of the log."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from places import Gateway, settle

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.anchors import AnchorView, CheckView, CosignatureView, LogStatus, SheetDue, SheetView
from ui.audit.kept import KeptPage
from ui.widgets.basics import QLabel

ANCHORS = (
    AnchorView(kind="token", required=True, size=1200),
    AnchorView(kind="witness", required=True, problem="policy requires a witness, and none has cosigned"),
)
STATUS = LogStatus(
    size=1204,
    signed=1200,
    startup=CheckView(state="done", line="OK entries 1190 to 1203"),
    background=CheckView(state="running", done=3, of=5),
    anchors=ANCHORS,
)
SHEET = SheetView(
    entry=1180,
    day="2026-11-25",
    size=1179,
    root="5a" * 32,
    key="k",
    software=True,
    note="n",
    codes=("a", "b", "c", "d"),
)
COSIGNED = CosignatureView(
    entry=1190, witness="joan", key="k", person=True, size=1185, root="5a" * 32, signed_ms=1_790_000_000_000,
    brought_by="Ada", file="witness/x", note="n",
)  # fmt: skip


@pytest.fixture
def gateway() -> Gateway:
    made = Gateway()
    made.answers = {
        "GET /v1/audit/status": STATUS,
        "GET /v1/root-sheets": [SHEET],
        "GET /v1/witness/cosignatures": [COSIGNED],
    }
    return made


@pytest.fixture
def page(qtbot: Any, theme: Any, calls: Any, gateway: Gateway) -> KeptPage:
    made = KeptPage(gateway, calls)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(1100, 900)
    made.show()
    settle(lambda: any("joan" in text for text in texts(made)))
    return made


def texts(page: KeptPage) -> list[str]:
    return [found.text() for found in page.findChildren(QLabel)]


def test_it_tells_how_the_log_stands_and_what_is_missing(page: KeptPage) -> None:
    said = " ".join(texts(page))
    assert "none has cosigned" in said
    assert "software key" in said
    assert "1,185" in said


def test_a_refused_sheet_keeps_the_page_and_tells_why(page: KeptPage, gateway: Gateway) -> None:
    gateway.problem = Problem(code="device-locked", what="The HSM is locked.", todo="Unlock it.")
    page.sign_sheet.pressed.emit()
    settle(lambda: page.problem.problem is not None)
    assert page.problem.problem.code == "device-locked"
    assert "POST /v1/root-sheets" in gateway.asked


def test_pruning_asks_for_an_order_and_leads_to_it(page: KeptPage, gateway: Gateway, qtbot: Any) -> None:
    import samples

    gateway.answers["POST /v1/orders"] = lambda body: (asked.append(body), samples_order())[1]
    asked: list[Any] = []

    def samples_order() -> Any:
        from hsm_console.domain.messages.orders import OrderState, OrderView
        from hsm_console.domain.people import Role

        return OrderView(
            id="prune-log-1", action="prune-log", title="t", summary="Remove the entries below 256", parameters={},
            state=OrderState.OPEN, role=Role.CUSTODIAN, needed=2, of=3, votes=(), opened_by="ada",
            opened_name="Ada", opened_ms=1, entry=7,
        )  # fmt: skip

    assert samples
    page.below.set_text("256")
    page.prune.pressed.emit()
    settle(lambda: bool(asked) and any("Remove the entries below 256" in text for text in texts(page)))
    assert (asked[0].action, asked[0].parameters) == ("prune-log", {"below": "256"})


def test_a_cosignature_without_a_file_is_asked_for_and_nothing_is_sent(page: KeptPage, gateway: Gateway) -> None:
    before = len(gateway.asked)
    page.bring.pressed.emit()
    assert len(gateway.asked) == before
    assert page.file.field.error


def test_the_road_leads_through_every_room(qtbot: Any, theme: Any, calls: Any, gateway: Gateway) -> None:
    from types import SimpleNamespace

    from PySide6.QtWidgets import QWidget

    from ui.audit import rooms
    from ui.audit.road import LogRoad

    shown: list[Any] = []
    window = QWidget()
    qtbot.addWidget(window)
    window.show_page = shown.append  # type: ignore[attr-defined]
    desk = SimpleNamespace(book=SimpleNamespace(acting=gateway), calls=calls)
    road = LogRoad(window, desk)  # type: ignore[arg-type]
    road.records()
    for name in (rooms.ALERTS, rooms.RULES, rooms.OWN_LOG, rooms.REPORTS, rooms.RECEIPTS, rooms.KEPT, rooms.RECORDS):
        shown[-1].room_asked.emit(name)
    for page in shown:
        qtbot.addWidget(page)
    assert [type(page).__name__ for page in shown] == [
        "AuditPage", "AlertsPage", "RulesPage", "OwnLogPage", "ReportsPage", "CheckReceiptPage", "KeptPage",
        "AuditPage"]  # fmt: skip


@pytest.mark.parametrize(
    ("due", "said"),
    [
        (SheetDue(by_itself=False, last_day="", due=False, next_ms=0, locked=True), "does not ask for one a day"),
        (
            SheetDue(by_itself=True, last_day="2026-11-25", due=False, next_ms=0, locked=False),
            "the next is due on 1970",
        ),
        (
            SheetDue(by_itself=True, last_day="2026-11-24", due=True, next_ms=0, locked=True),
            "The last is of 2026-11-24.",
        ),
        (SheetDue(by_itself=True, last_day="", due=True, next_ms=0, locked=False), "being signed by itself"),
        (SheetDue(by_itself=True, last_day="", due=True, next_ms=0, locked=False, problem="No disk."), "No disk."),
    ],
)
def test_it_tells_when_the_days_sheet_is_due(page: KeptPage, due: SheetDue, said: str) -> None:
    page.show_status(replace(STATUS, sheet=due))
    assert said in " ".join(texts(page))
