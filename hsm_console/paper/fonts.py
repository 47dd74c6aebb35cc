"""The shipped fonts (resources/fonts), embedded in every page so that it looks the same in ten years.

IBM Plex keeps 0/O and 1/l/I apart; what it has no sign for (a name in another script) is set in DejaVu.
"""

from __future__ import annotations

import functools
import itertools
from importlib import resources
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

SANS = "Console-Sans"
SANS_BOLD = "Console-Sans-Bold"
MONO = "Console-Mono"
_FALLBACK = {SANS: "Console-Wide", SANS_BOLD: "Console-Wide-Bold", MONO: "Console-Wide-Mono"}
_FILES = {
    SANS: "IBMPlexSans-Regular.ttf",
    SANS_BOLD: "IBMPlexSans-SemiBold.ttf",
    MONO: "IBMPlexMono-Regular.ttf",
    "Console-Wide": "DejaVuSans.ttf",
    "Console-Wide-Bold": "DejaVuSans-Bold.ttf",
    "Console-Wide-Mono": "DejaVuSansMono.ttf",
}


@functools.cache
def register() -> None:
    """Make the fonts known to ReportLab; once a process."""
    folder = resources.files("resources") / "fonts"
    for name, file in _FILES.items():
        with resources.as_file(folder / file) as path:
            pdfmetrics.registerFont(TTFont(name, str(path)))


def markup(text: str, font: str) -> str:
    """The text for a ReportLab paragraph: escaped, and set in the wider font where `font` has no sign for it."""
    known = pdfmetrics.getFont(font).face.charToGlyph
    parts = []
    for has, run in itertools.groupby(text, key=lambda sign: ord(sign) in known or sign in "\n\u00a0"):
        plain = escape("".join(run))
        parts.append(plain if has else f'<font name="{_FALLBACK[font]}">{plain}</font>')
    return "".join(parts).replace("\n", "<br/>")
