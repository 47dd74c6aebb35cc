"""What a person can do on the page of the log."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples as s
from places import DENIED, report, settle
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QComboBox, QFileDialog, QLabel, QPushButton

from hsm_console.domain.messages.audit import Finding, Head, VerifyProgress
from ui.audit.entries import WHAT
from ui.audit.page import AuditPage
from ui.audit.panels import RECEIPT, RECORD, VERIFICATION
from ui.shell.window import Window


def words(widget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if label.isVisibleTo(widget))


def press(widget, text: str) -> QPushButton:
    found = [b for b in widget.findChildren(QPushButton) if text in b.text().replace("&", "") and b.isVisibleTo(widget)]
    assert found, text
    found[0].click()
    return found[0]


def opened(page) -> None:
    page.table.selectRow(0)
    page.table.opened.emit(0)
    settle(lambda: "What the record holds" in words(page.side.detail))


def test_the_keyboard_opens_a_record(qtbot, page, gateway):
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_Down)
    before = len(gateway.asked)
    qtbot.keyClick(page.table, Qt.Key.Key_Down)
    assert len(gateway.asked) == before, "moving along the rows reads no record"
    qtbot.keyClick(page.table, Qt.Key.Key_Return)
    settle(lambda: "What the record holds" in words(page.side.detail))
    said = words(page.side.detail)
    assert f"Record {page.model.entry(page.table.row).seq}" in said
    assert "UTC" in said
    assert "Not yet signed" in said
    assert f"{s.FINGERPRINT[:8]} {s.FINGERPRINT[8:16]}" in said


def test_the_exact_record_lies_in_a_fold(page):
    opened(page)
    fold = press(page.side.detail, "Exact record")
    assert fold.accessibleName() == "Exact record (JSON), open"


def test_filters_ask_once_and_can_be_taken_off(page, gateway):
    gateway.asked.clear()
    combo = page.filters.kind.control
    assert isinstance(combo, QComboBox)
    combo.setCurrentIndex(combo.findData("device-unlock-refused"))
    page.filters.who.set_text("Turing")
    page.filters.apply.click()
    settle(lambda: page.model.chosen.who == "Turing")
    assert gateway.asked == ["GET /v1/audit/entries?limit=256&kind=device-unlock-refused&who=Turing"]
    assert "records fit" in page.count.text()
    page.filters.text.set_text("no such words")
    page.filters.apply.click()
    settle(lambda: page._middle.currentWidget() is page._empty)
    assert "No record fits what you look for" in words(page)
    press(page, "Show everything")
    settle(lambda: page.model.rowCount() == gateway.size)
    assert page.filters.who.text() == ""


def test_going_to_a_number(qtbot, page, gateway):
    page.filters.number.set_text("12")
    page.filters.go.click()
    assert page.table.row == gateway.size - 13
    settle(lambda: "Record 12" in words(page.side.detail))
    page.filters.number.set_text("9999")
    page.filters.go.click()
    assert page.filters.number.error == "The newest is 1203."
    page.filters.number.set_text("last")
    page.filters.go.click()
    assert page.filters.number.error == "Type a number."


def test_news_come_by_themselves_at_the_top(page, gateway):
    gateway.size += 2
    page.show_head(Head(size=gateway.size + 1, checkpoint="", checkpoint_size=gateway.signed, last_kind="step-done"))
    assert page.model.rowCount() == gateway.size + 1
    assert page.news.isHidden()


def test_own_looks_are_no_news(page, gateway):
    size = page.model.size
    page.show_head(Head(size=size + 1, checkpoint="", checkpoint_size=size, last_kind="log-viewed"))
    assert page.model.rowCount() == size
    assert page.news.isHidden()


def test_looks_of_others_are_offered_but_never_fetched_unasked(page, gateway):
    gateway.asked.clear()
    page.show_head(Head(size=page.model.size + 3, checkpoint="", checkpoint_size=0, last_kind="log-viewed"))
    assert page.news.text() == "Show 2 new records"
    assert not gateway.asked
    gateway.size += 3
    page.news.click()
    settle(lambda: page.model.rowCount() == gateway.size)


def test_who_has_scrolled_away_is_not_moved(page, gateway):
    page.table.jump(600)
    chosen = page.table.row
    page.show_head(Head(size=page.model.size + 5, checkpoint="", checkpoint_size=0, last_kind="step-done"))
    assert page.table.row == chosen
    assert page.news.isVisible()


def test_verification_tells_progress_then_the_result_with_what_was_not_checked(page, gateway):
    running = VerifyProgress(running=True, done=300, of=1_204)
    done = VerifyProgress(running=False, done=1_204, of=1_204, report=report())
    gateway.progress = [running, done]
    page.verify.pressed.emit()
    settle(lambda: "300 of 1,204 records" in words(page.side.verification))
    settle(lambda: "witness, device log" in words(page.side.verification))
    said = words(page.side.verification)
    assert "Nothing contradicts the log" in said
    assert "4 are chained, but not yet signed" in said
    assert not page.verify.working


def test_a_finding_leads_to_its_record(page, gateway):
    finding = Finding(word="REWRITTEN", text="entry 41 hashes to something else", entry=41)
    gateway.progress = [VerifyProgress(running=False, done=1, of=1, report=report(finding))]
    page.verify.pressed.emit()
    settle(lambda: "A record was changed after it was written." in words(page.side.verification))
    assert "One thing is wrong" in words(page.side.verification)
    press(page.side.verification, "Go to record 41")
    assert page.table.row == page.model.row_of(41)
    assert page.side.shown == RECORD
    press(page.side, "Show the verification")
    assert page.side.shown == VERIFICATION


def test_a_verification_without_a_result_says_so(page, gateway):
    gateway.progress = [VerifyProgress(running=False, done=0, of=0)]
    page.verify.pressed.emit()
    settle(lambda: "ended without a result" in words(page.side.verification))


@pytest.mark.parametrize("form", ["pdf", "png", "tlog-proof"])
def test_a_receipt_is_shown_and_saved(page, gateway, tmp_path: Path, form):
    opened(page)
    press(page.side.detail, "Issue a receipt")
    settle(lambda: page.side.shown == RECEIPT)
    panel = page.side.receipt
    panel.saves[form].click()
    dialog = panel.findChild(QFileDialog)
    target = tmp_path / f"kept.{form}"
    dialog.fileSelected.emit(str(target))
    dialog.close()
    settle(lambda: f"Saved: {target}" in words(panel))
    assert target.read_bytes()


def test_a_receipt_that_cannot_be_saved_says_what_to_do(page, tmp_path: Path):
    opened(page)
    press(page.side.detail, "Issue a receipt")
    settle(lambda: page.side.shown == RECEIPT)
    page.side.receipt.save_asked.emit(1, "pdf", tmp_path / "nowhere" / "receipt.pdf")
    settle(lambda: page.side.problem.problem is not None)
    assert page.side.problem.problem.code == "file-not-written"


def test_a_refusal_is_told_in_four_things_and_can_be_repeated(qtbot, theme, calls, gateway):
    gateway.problem = DENIED
    page = AuditPage(gateway, calls)
    qtbot.addWidget(page)
    page.show()
    settle(lambda: page.problem.problem is not None)
    assert "may not read the audit log" in page.problem.accessibleDescription()
    gateway.problem = None
    page.again.click()
    settle(lambda: page.model.rowCount() > 0)
    assert page.problem.problem is None


def test_a_page_that_is_gone_hears_nothing(theme, calls, gateway):
    page = AuditPage(gateway, calls)
    page.show()
    page.deleteLater()
    settle(lambda: calls.drain(3000))


def test_every_control_has_a_name(page):
    opened(page)
    from PySide6.QtWidgets import QAbstractButton, QLineEdit, QPlainTextEdit, QTableView

    for kind in (QAbstractButton, QLineEdit, QComboBox, QPlainTextEdit, QTableView):
        for control in page.findChildren(kind):
            if control.isVisibleTo(page) and not control.objectName().startswith("qt_"):
                assert control.accessibleName(), control


@pytest.mark.parametrize(
    ("width", "scale", "stacked"), [(1366, 100, False), (1920, 150, False), (1366, 150, True), (1920, 200, True)]
)
def test_what_happened_keeps_its_room_and_nothing_is_cut_off(qtbot, theme, gateway, calls, width, scale, stacked):
    """Side by side, both would be too narrow; a record that was opened below the table is brought into sight."""
    theme.zoom(scale)
    try:
        window, made = Window(lambda: ()), AuditPage(gateway, calls)
        qtbot.addWidget(window)
        window.resize(width, 1080)
        window.show_page(made)
        window.show()
        settle(lambda: made.model.rowCount() > 0)
        qtbot.waitUntil(lambda: made.beside.stacked is stacked)
        qtbot.waitUntil(lambda: not made.area.horizontalScrollBar().isVisible())
        assert made.table.columnWidth(WHAT) >= theme.px(200)
        assert made.table.iconSize().height() == theme.px(16)
        assert made.area.verticalScrollBar().value() == 0 or scale == 200, "the page begins at its head"
        opened(made)
        seen = made.area.viewport()
        qtbot.waitUntil(lambda: made.side.mapTo(seen, QPoint(0, 0)).y() < seen.height() - 200)
    finally:
        theme.zoom(100)
