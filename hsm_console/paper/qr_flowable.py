"""A QR code among what ReportLab sets: rectangles, so that it stays sharp at every size of print."""

from __future__ import annotations

from reportlab.lib.units import mm
from reportlab.platypus.flowables import Flowable

from hsm_console.paper.qr import QUIET, matrix

MODULE_MM = 0.55  # 3.2 px at 150 dpi; well above the 0.4 mm that scanners need


class QrFlowable(Flowable):  # type: ignore[misc]
    """A QR code as vector rectangles, for ReportLab's flow; width in points."""

    def __init__(self, text: str, min_mm: float = 40.0) -> None:
        super().__init__()
        self._cells = matrix(text)
        count = len(self._cells) + 2 * QUIET
        self._module = max(MODULE_MM, min_mm / count) * mm
        self.width = self.height = count * self._module

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        canvas = self.canv
        canvas.saveState()
        canvas.setFillColorRGB(1, 1, 1)
        canvas.rect(0, 0, self.width, self.height, stroke=0, fill=1)
        canvas.setFillColorRGB(0, 0, 0)
        for y, row in enumerate(self._cells):
            top = self.height - (y + QUIET + 1) * self._module
            for start, length in _runs(row):
                left = (start + QUIET) * self._module
                canvas.rect(left, top, length * self._module, self._module, stroke=0, fill=1)
        canvas.restoreState()


def _runs(row: list[bool]) -> list[tuple[int, int]]:
    """(start, length) of the dark stretches: one rectangle each leaves no hairlines between modules."""
    runs: list[tuple[int, int]] = []
    for at, dark in enumerate(row):
        if dark and runs and sum(runs[-1]) == at:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((at, 1))
    return runs
