"""Puts a theme on the application: fonts, palette, style sheet, at a scale of 100, 150 or 200 per cent."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from ui.theme import icons
from ui.theme.tokens import NAMES, SCALES, Theme, load

BODY_PX = 15
_FONT_FILES = ("IBMPlexSans-Regular", "IBMPlexSans-SemiBold", "IBMPlexMono-Regular", "IBMPlexSerif-Regular")
_SIZE = re.compile(r"@(\d+)px")
_ICON = re.compile(r"@icon-([a-z]+)")
_TOKEN = re.compile(r"@([a-z]+(?:-[a-z]+)*)")
_PALETTE = {
    QPalette.ColorRole.Window: "window",
    QPalette.ColorRole.WindowText: "ink",
    QPalette.ColorRole.Base: "surface",
    QPalette.ColorRole.AlternateBase: "window",
    QPalette.ColorRole.Text: "ink",
    QPalette.ColorRole.PlaceholderText: "ink-soft",
    QPalette.ColorRole.Button: "surface",
    QPalette.ColorRole.ButtonText: "ink",
    QPalette.ColorRole.Highlight: "accent",
    QPalette.ColorRole.HighlightedText: "accent-ink",
    QPalette.ColorRole.ToolTipBase: "surface",
    QPalette.ColorRole.ToolTipText: "ink",
    QPalette.ColorRole.Link: "accent",
}


class ThemeEngine(QObject):
    """The theme in force. Offscreen and many desktops ignore a colour scheme: the engine sets its own."""

    changed = Signal()  # theme or scale were changed; painters ask `theme` and `px` again

    def __init__(self, app: QApplication, name: str = "light", scale: int = 100) -> None:
        super().__init__(app)
        self._app = app
        self.theme: Theme = load(name)
        self.scale = scale
        app.setStyle(QStyleFactory.create("Fusion"))
        load_fonts()
        self._apply()

    def use(self, name: str) -> None:
        self.theme = load(name)
        self._apply()

    def zoom(self, scale: int) -> None:
        """scale: per cent, one of tokens.SCALES."""
        if scale not in SCALES:
            raise ValueError(f"the scale is one of {SCALES}")
        self.scale = scale
        self._apply()

    def next_theme(self) -> str:
        self.use(NAMES[(NAMES.index(self.theme.id) + 1) % len(NAMES)])
        return self.theme.name

    def px(self, size: int) -> int:
        """A length in pixels at the present scale."""
        return round(size * self.scale / 100)

    def colour(self, token: str) -> QColor:
        return QColor(self.theme[token])

    def _apply(self) -> None:
        font = QFont("IBM Plex Sans")
        font.setPixelSize(self.px(BODY_PX))
        self._app.setFont(font)
        palette = QPalette()
        for role, token in _PALETTE.items():
            palette.setColor(role, self.colour(token))
        palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text, self.colour("ink-soft"))
        self._app.setPalette(palette)
        self._app.setStyleSheet(style_sheet(self.theme, self.scale))
        self.changed.emit()


def style_sheet(theme: Theme, scale: int = 100) -> str:
    """The template with the theme's colours and scaled lengths. Raises KeyError for a token that does not exist."""
    template = resources.files("resources").joinpath("themes", "screen.qss").read_text(encoding="utf-8")
    template = template.split("*/", 1)[1]
    sized = _SIZE.sub(lambda m: f"{round(int(m.group(1)) * scale / 100)}px", template)
    with_icons = _ICON.sub(lambda m: icons.file_for(m.group(1), theme), sized)
    return _TOKEN.sub(lambda m: theme[m.group(1)], with_icons)


def load_fonts() -> None:
    """Register the fonts that ship with the application: the same letters on every machine."""
    folder = resources.files("resources").joinpath("fonts")
    for name in _FONT_FILES:
        with resources.as_file(folder.joinpath(f"{name}.ttf")) as path:
            QFontDatabase.addApplicationFont(str(Path(path)))


def engine() -> ThemeEngine:
    """The application's one engine. Raises RuntimeError before it was made."""
    app = QApplication.instance()
    found = app.findChild(ThemeEngine) if app is not None else None
    if not isinstance(found, ThemeEngine):
        raise RuntimeError("the theme engine is made in the composition root")
    return found
