"""Contrast from the tokens, every token used and defined, fonts that keep 0/O and 1/l apart."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from PySide6.QtGui import QFont, QFontDatabase, QFontInfo, QImage, QPainter

from ui.theme.engine import style_sheet
from ui.theme.tokens import BOUNDARY_PAIRS, BOUNDARY_RATIO, NAMES, RATIOS, SCALES, TEXT_PAIRS, contrast, load


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pair", TEXT_PAIRS, ids="/".join)
def test_text_reaches_the_level_of_its_theme(name: str, pair: tuple[str, str]) -> None:
    theme = load(name)
    assert contrast(theme[pair[0]], theme[pair[1]]) >= RATIOS[theme.level]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pair", BOUNDARY_PAIRS, ids="/".join)
def test_lines_that_carry_meaning_are_seen(name: str, pair: tuple[str, str]) -> None:
    theme = load(name)
    assert contrast(theme[pair[0]], theme[pair[1]]) >= BOUNDARY_RATIO


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_high_contrast_is_held_to_aaa() -> None:
    assert load("high-contrast").level == "AAA"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_the_sheet_has_no_token_left(qapp, name: str, scale: int) -> None:
    assert "@" not in style_sheet(load(name), scale)


def test_lengths_grow_with_the_scale(qapp) -> None:
    def title(scale: int) -> int:
        return int(re.search(r'look="title"\] \{ font-size: (\d+)px', style_sheet(load("light"), scale)).group(1))

    assert title(200) == 2 * title(100)


def test_every_theme_has_every_colour() -> None:
    assert len({frozenset(load(name).colours) for name in NAMES}) == 1


def test_our_own_fonts_are_drawn(theme) -> None:
    for family in ("IBM Plex Sans", "IBM Plex Mono", "IBM Plex Serif"):
        assert family in QFontDatabase.families()
        assert QFontInfo(QFont(family)).family() == family
    assert resources.files("resources").joinpath("fonts", "OFL.txt").is_file()


@pytest.mark.parametrize(("one", "other"), [("0", "O"), ("1", "l"), ("1", "I"), ("I", "l")])
def test_letters_that_look_alike_do_not(theme, one: str, other: str) -> None:
    assert _pixels_that_differ(one, other) > 6


def _pixels_that_differ(one: str, other: str) -> int:
    drawn = []
    for text in (one, other):
        image = QImage(32, 40, QImage.Format.Format_Grayscale8)
        image.fill(255)
        painter = QPainter(image)
        font = QFont("IBM Plex Mono")
        font.setPixelSize(28)
        painter.setFont(font)
        painter.drawText(4, 30, text)
        painter.end()
        drawn.append(bytes(image.constBits()))
    return sum(abs(a - b) > 100 for a, b in zip(*drawn, strict=True))
