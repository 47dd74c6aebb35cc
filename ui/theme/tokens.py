"""Tokens of a theme, read from TOML, and the contrast between two of them (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

NAMES = ("light", "dark", "high-contrast")
SCALES = (100, 150, 200)

# Text on its ground, as the style sheet pairs them; `boundary` pairs are lines that carry meaning (WCAG 1.4.11).
TEXT_PAIRS = (
    ("ink", "window"), ("ink", "surface"), ("ink", "sunken"), ("ink-soft", "window"), ("ink-soft", "surface"),
    ("accent", "window"), ("accent", "surface"), ("accent-ink", "accent"), ("accent-ink", "accent-strong"),
    ("ink", "accent-wash"), ("good", "surface"), ("good", "window"), ("ink", "good-wash"), ("good", "good-wash"),
    ("warn", "surface"), ("ink", "warn-wash"), ("warn", "warn-wash"), ("bad", "surface"), ("bad", "window"),
    ("ink", "bad-wash"), ("bad", "bad-wash"), ("commit", "commit-wash"), ("ink", "commit-wash"),
    ("ink-soft", "bad-wash"), ("ink-soft", "warn-wash"), ("ink-soft", "good-wash"), ("ink-soft", "commit-wash"),
    ("commit-ink", "commit"), ("simulation-ink", "simulation"), ("simulation-ink", "simulation-stripe"),
    ("rail-ink", "rail"), ("rail-soft", "rail"), ("rail-ink", "rail-lift"), ("rail-soft", "rail-lift"),
)  # fmt: skip
BOUNDARY_PAIRS = (
    ("edge", "surface"), ("edge", "window"), ("focus", "surface"), ("focus", "window"), ("rail-mark", "rail"),
    ("accent", "window"), ("bad", "bad-wash"),
)  # fmt: skip
RATIOS = {"AA": 4.5, "AAA": 7.0}
BOUNDARY_RATIO = 3.0


@dataclass(frozen=True)
class Theme:
    """One theme. colours: token → #rrggbb; level: the WCAG level that its texts reach."""

    id: str
    name: str
    level: str
    colours: dict[str, str]

    def __getitem__(self, token: str) -> str:
        return self.colours[token]


def load(name: str) -> Theme:
    """The theme of that name. Raises FileNotFoundError for an unknown one."""
    text = resources.files("resources").joinpath("themes", f"{name}.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return Theme(name, data["name"], data["level"], data["colours"])


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two #rrggbb colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
