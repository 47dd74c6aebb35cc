"""Receipts from files: pictures and scans (.png, .pdf), .tlog-proof, text."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import BinaryIO

from hsm_console.audit.receipt import MAGIC, QR_PREFIX, Receipt, parse
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem
from hsm_console.domain.reading import open_regular
from hsm_console.paper import qr

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_TEXT_BYTES = 1024 * 1024
_RENDER_DPI = (150, 300)
_RENDER_TIMEOUT_S = 60
_MOST_PAGES = 100
_PICTURES = (b"\x89PNG", b"\xff\xd8", b"II*\x00", b"MM\x00*")


def read(path: Path) -> tuple[Receipt, ...]:
    """All receipts in a file, by its content. Raises InputError receipt-file-unreadable, EnvironmentFault
    pdf-tool-missing, VerificationFailed receipt-unreadable (a text that is no receipt)."""
    found = _content(path, all_sizes=False)
    if not isinstance(found, str):
        return _from_codes(path, list(found))
    if found.startswith(MAGIC):
        return (parse(found, path.name),)
    codes = [line.strip() for line in found.splitlines() if line.strip().startswith(QR_PREFIX)]
    return _from_codes(path, codes) if codes else (parse(found, path.name),)


def text_or_codes(path: Path) -> str | tuple[str, ...]:
    """A file's text; or, of a picture or a PDF, the texts of all codes on it, each once. Raises as `read`."""
    return _content(path, all_sizes=True)


def _content(path: Path, *, all_sizes: bool) -> str | tuple[str, ...]:
    """The text of a text file; the texts of all codes of a picture or a PDF, which is never held as a whole."""
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise _file(path, "it is larger than 64 MB")
            head = file.read(8)
            file.seek(0)
            if head.startswith(_PICTURES):
                return tuple(dict.fromkeys(_picture_codes(path, file)))
            if not head.startswith(b"%PDF"):
                return _text(path, file)
    except OSError as fault:
        raise _file(path, fault.strerror or str(fault)) from fault
    return tuple(dict.fromkeys(_pdf_codes(path, all_sizes=all_sizes)))


def _text(path: Path, file: BinaryIO) -> str:
    data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise _file(path, "it is neither a picture nor a PDF, and larger than any receipt")
    try:
        return data.decode()
    except UnicodeDecodeError as fault:
        raise _file(path, "it is neither a picture, a PDF nor text") from fault


def _from_codes(path: Path, codes: list[str]) -> tuple[Receipt, ...]:
    found = list(dict.fromkeys(text for text in codes if text.startswith(QR_PREFIX)))
    if not found:
        raise _file(path, "no receipt's code was found in it (scan with at least 150 dpi, flat and whole)")
    if len(found) == 1:
        return (Receipt(qr=found[0], name=path.name),)
    return tuple(Receipt(qr=text, name=f"{path.name} no. {number}") for number, text in enumerate(found, 1))


def _picture_codes(path: Path, file: BinaryIO) -> list[str]:
    from PIL import Image, UnidentifiedImageError  # most receipts are read as text

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                return list(qr.read(picture))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError, Warning) as fault:
        raise _file(path, "the picture is damaged or too large") from fault


def _pdf_codes(path: Path, *, all_sizes: bool = False) -> list[str]:
    if shutil.which("pdftoppm") is None:
        raise EnvironmentFault(
            Problem(
                code="pdf-tool-missing",
                what="Pages of a PDF cannot be read here: the program pdftoppm is not installed.",
                todo="Install poppler-utils, or use the .tlog-proof file or a picture of the code.",
            )
        )
    codes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hsm-console-receipt-") as name:
        for dpi in _RENDER_DPI:
            command = [
                "pdftoppm",
                "-l",
                str(_MOST_PAGES),
                "-r",
                str(dpi),
                "-gray",
                "-png",
                str(path.absolute()),
                f"{name}/{dpi}",
            ]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=_RENDER_TIMEOUT_S)
            except (subprocess.SubprocessError, OSError) as fault:
                raise _file(path, "the PDF cannot be drawn") from fault
            for page in sorted(Path(name).glob(f"{dpi}-*.png")):
                with page.open("rb") as file:
                    codes += _picture_codes(path, file)
            if codes and not all_sizes:
                break
    return codes


def _file(path: Path, why: str) -> InputError:
    return InputError(
        Problem(
            code="receipt-file-unreadable",
            what=f"No receipt could be read from {path.name}: {why}.",
            todo="Use the .tlog-proof file, the PNG or PDF that was issued, or a better scan.",
            exit_code=ExitCode.USAGE,
        )
    )
