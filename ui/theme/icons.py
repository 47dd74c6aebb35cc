"""Own SVG icons: line drawings on a 24-unit square, coloured by the theme. No emoji, no font of symbols."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from importlib import resources
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from ui.theme.tokens import Theme

# Colours of the icons that a style sheet names: it can only point to files.
_IN_SHEET = {"check": "accent-ink", "down": "ink"}


@lru_cache(maxsize=64)
def source(name: str) -> str:
    """The SVG text, drawn in `currentColor`. Raises FileNotFoundError for an unknown name."""
    return resources.files("resources").joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")


@lru_cache(maxsize=256)  # Qt keeps what it scaled by each picture's identity: drawn anew every time, that would grow
def pixmap(name: str, colour: str, size: int, ratio: float = 1.0) -> QPixmap:
    """The icon in one colour. size: edge in device-independent pixels; ratio: device pixels for each of them."""
    renderer = QSvgRenderer(QByteArray(source(name).replace("currentColor", colour).encode()))
    picture = QPixmap(round(size * ratio), round(size * ratio))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    renderer.render(painter)
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture


def icon(name: str, colour: str, size: int = 24) -> QIcon:
    return QIcon(pixmap(name, colour, size, 2.0))


def chosen(name: str, colour: str, selected: str, size: int = 24) -> QIcon:
    """An icon in a table: in another colour on the row that is chosen."""
    made = icon(name, colour, size)
    made.addPixmap(pixmap(name, selected, size, 2.0), QIcon.Mode.Selected)
    return made


def file_for(name: str, theme: Theme) -> str:
    """Path of a coloured copy, for a style sheet."""
    target = _folder() / f"{name}-{theme.id}.svg"
    if not target.exists():
        target.write_text(source(name).replace("currentColor", theme[_IN_SHEET[name]]), encoding="utf-8")
    return target.as_posix()


@lru_cache(maxsize=1)
def _folder() -> Path:
    # Kept alive by the cache, removed with the process: coloured copies are nobody else's business.
    holder = tempfile.TemporaryDirectory(prefix="hsm-console-icons-")
    _holders.append(holder)
    return Path(holder.name)


_holders: list[tempfile.TemporaryDirectory[str]] = []
