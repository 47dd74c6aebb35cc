"""Every page in every theme is drawn into build/screens; looked at by people, checked here for being drawn at all."""

from __future__ import annotations

import gallery
import pytest
from PySide6.QtGui import QImage

from ui.theme.engine import ThemeEngine
from ui.theme.tokens import NAMES

LARGE = ("login", "step-07-generate", "step-09-compare", "state-complete", "keys", "order-open", "use-sign", "modules",
         "module-compare")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_gallery_is_drawn(theme: ThemeEngine, name: str) -> None:
    drawn = list(gallery.pictures(themes=(name,)))
    assert len(drawn) == len(gallery.everything())
    for path in drawn:
        assert has_colours(QImage(str(path)), 8), path.name


def has_colours(image: QImage, more_than: int) -> bool:
    """Whether that many are met on a grid over the picture; it is left as soon as they are."""
    seen = set()
    for y in range(0, image.height(), 7):
        seen.update(image.pixel(x, y) for x in range(0, image.width(), 7))
        if len(seen) > more_than:
            return True
    return False


@pytest.mark.parametrize("scale", [150, 200])
def test_pages_grow_and_stay_whole(theme: ThemeEngine, scale: int) -> None:
    theme.zoom(scale)
    try:
        for name in (
            "login",
            "step-07-generate",
            "step-09-compare",
            "state-complete",
            "keys",
            "order-open",
            "use-sign",
            "modules",
            "module-compare",
        ):
            make, view = gallery.everything()[name]
            window = gallery.window_with(make, view)
            window.resize(1280 * scale // 100, 860 * scale // 100)
            path = gallery.OUT / f"{name}--scale-{scale}.png"
            assert window.grab().save(str(path), quality=gallery.QUALITY)
            window.close()
    finally:
        theme.zoom(100)


@pytest.mark.parametrize("name", ["login", "gateway-lost", "home", "connect", "setup-1-place"])
def test_a_page_that_fits_is_not_scrolled(theme: ThemeEngine, qtbot, name: str) -> None:
    make, view = gallery.everything()[name]
    window = gallery.window_with(make, view)
    qtbot.addWidget(window)
    area = window.page.area
    qtbot.waitUntil(lambda: area.widget().heightForWidth(area.viewport().width()) <= area.viewport().height())
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() == 0)
