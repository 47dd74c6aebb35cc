"""QR codes: drawn with `qrcode`, read back with ZXing before anybody relies on them (AUDIT 6).

One symbol, at most version 30 (larger ones fail in scanners), error correction M where it fits, else L. What draws and
reads is imported at the first code: every receipt knows this module, and a gateway starts without having drawn one.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed

if TYPE_CHECKING:
    from PIL import Image

MAX_VERSION = 30
QUIET = 4  # modules of white around (ISO/IEC 18004)
_ROOM = 2520
_MASK = 0  # receipts are as good as random: choosing among the eight masks costs 8 times the time and gains nothing
_ALPHANUMERIC = re.compile(r"[0-9A-Z $%*+\-./:]*")


def fits(text: str) -> bool:
    """Whether `matrix` will find room for this alphanumeric text (ISO/IEC 18004 table 7: version 30-L)."""
    return len(text) <= _ROOM


def matrix(text: str) -> list[list[bool]]:
    """The modules, without the quiet zone. Raises InputError `qr-too-large` above version 30-L."""
    import qrcode
    from qrcode.exceptions import DataOverflowError
    from qrcode.util import MODE_8BIT_BYTE, MODE_ALPHA_NUM, QRData

    mode = MODE_ALPHA_NUM if _ALPHANUMERIC.fullmatch(text) else MODE_8BIT_BYTE
    for correction in (qrcode.constants.ERROR_CORRECT_M, qrcode.constants.ERROR_CORRECT_L):
        code = qrcode.QRCode(error_correction=correction, border=0, mask_pattern=_MASK)
        code.add_data(QRData(text.encode(), mode=mode))
        try:
            code.make(fit=True)
        except (DataOverflowError, ValueError):
            continue
        if code.version <= MAX_VERSION:
            return [[bool(cell) for cell in row] for row in code.get_matrix()]
    raise InputError(
        Problem(
            code="qr-too-large",
            what=f"{len(text)} characters do not fit into one code that scanners can read.",
            todo="Use the file beside it.",
            exit_code=ExitCode.USAGE,
        )
    )


def png(text: str, pixels: int = 6) -> bytes:
    """A PNG, black on white with quiet zone; pixels a module (at least 4). It was decoded again before return.

    Raises InputError qr-too-large, VerificationFailed qr-unreadable.
    """
    from PIL import Image

    cells = matrix(text)
    size = len(cells) + 2 * QUIET
    picture = Image.new("1", (size, size), 1)
    for y, row in enumerate(cells):
        for x, dark in enumerate(row):
            if dark:
                picture.putpixel((x + QUIET, y + QUIET), 0)
    picture = picture.resize((size * max(4, pixels),) * 2, Image.Resampling.NEAREST)
    check(picture, text)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def read(picture: Image.Image) -> tuple[str, ...]:
    """The texts of all QR codes on a picture (a scan, a photo, a rendered page)."""
    import zxingcpp

    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    return tuple(found.text for found in zxingcpp.read_barcodes(picture.convert("L"), formats=formats))


def check(picture: Image.Image, text: str) -> None:
    """Raise VerificationFailed `qr-unreadable` unless a reader finds exactly this text on the picture."""
    if text not in read(picture):
        raise VerificationFailed(
            Problem(
                code="qr-unreadable",
                what="The code that was drawn does not read back as what it should say.",
                todo="Do not use this code; use the file beside it, and report this.",
                exit_code=ExitCode.VERIFICATION,
            )
        )
