"""Copies that somebody asked for: where they shall lie, and writing them away from the screen's thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from hsm_console.domain.errors import EnvironmentFault, Problem
from ui.texts import tr


def write(path: Path, data: bytes, *, private: bool = False) -> Path:
    """private: only its owner may read it, also when another file was there. Raises EnvironmentFault
    `file-not-written`.
    """
    try:
        if private:
            _write_private(path, data)
        else:
            path.write_bytes(data)
    except OSError as error:
        problem = Problem(
            code="file-not-written",
            what=tr("The file could not be written."),
            todo=tr("Choose another place, for example a medium that is not full, and save it again."),
            details={"path": str(path), "error": str(error)},
        )
        raise EnvironmentFault(problem) from error
    return path


def _write_private(path: Path, data: bytes) -> None:
    """A new file takes the place of an old one: whoever has that open, or may read it, gets nothing."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


class _Place:
    """The folder where somebody chose a file last; at first her home, never where the program was started."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def __call__(self) -> str:
        return str(self._folder if self._folder is not None and self._folder.is_dir() else Path.home())

    def chosen(self, path: str) -> Path:
        found = Path(path)
        self._folder = found.parent
        return found


place = _Place()


def choose(parent: QWidget, title: str, name: str, chosen: Callable[[Path], object]) -> None:
    """Ask where a copy shall lie; nothing happens when the person closes the dialog."""
    dialog = QFileDialog(parent, title, place())
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.selectFile(name)
    dialog.fileSelected.connect(lambda path: chosen(place.chosen(path)))
    dialog.open()
