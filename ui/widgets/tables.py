"""What every table of rows has in common: one row is chosen, the keyboard moves it, Tab leaves it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView


def dress(table: QTableView, stretched: int, *, name: str, about: str) -> None:
    """Once the model is set. stretched: the column that takes what room is left; about: how it is used."""
    table.setAccessibleName(name)
    table.setAccessibleDescription(about)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setAlternatingRowColors(True)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.setCornerButtonEnabled(False)
    table.verticalHeader().hide()
    columns = table.horizontalHeader()
    columns.setSectionsClickable(False)
    columns.setHighlightSections(False)
    columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    columns.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
