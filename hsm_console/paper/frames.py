"""A document that is too large for one code, in several: `HC1/<8 hex of SHA-256>/<i>/<n>/<Base45(data ‖ CRC-32)>`.

The digest is over the whole document, i counts from 1. Frames may be scanned in any order and more than once; a frame
of another document, a missing one and a garbled one are refused with words that say which.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from typing import NoReturn

from hsm_console.crypto import base45
from hsm_console.domain.errors import ConsoleError, ExitCode, Problem, VerificationFailed

PREFIX = "HC1/"
MAX_FRAMES = 64
FRAME_BYTES = 700
"""With its CRC a code of version 23 at error correction M; printed 60 mm wide it survives a bad scan."""
_FRAME = re.compile(r"HC1/([0-9A-F]{8})/([1-9][0-9]?)/([1-9][0-9]?)/([0-9A-Z $%*+\-./:]+)")


def encode(data: bytes, count: int = 0) -> tuple[str, ...]:
    """The frames' texts. count: exactly so many (0: as many as `FRAME_BYTES` asks for)."""
    number = count or max(1, -(-len(data) // FRAME_BYTES))
    size = -(-len(data) // number) or 1
    mark = _mark(data)
    parts = [data[at : at + size] for at in range(0, size * number, size)]
    return tuple(
        f"{PREFIX}{mark}/{at}/{number}/{base45.encode(part + zlib.crc32(part).to_bytes(4, 'big'))}"
        for at, part in enumerate(parts, 1)
    )


def decode(texts: Iterable[str]) -> bytes:
    """The document, from all of its frames. Raises VerificationFailed frame-unreadable, frames-mixed,
    frames-missing."""
    parts: dict[int, bytes] = {}
    marks: dict[str, int] = {}
    for text in texts:
        mark, at, number, part = _read(text)
        marks.setdefault(mark, number)
        if len(marks) > 1:
            _failed("frames-mixed", "the codes are parts of different documents", "Scan the codes of one sheet only.")
        if marks[mark] != number or at > number or parts.setdefault(at, part) != part:
            _failed("frames-mixed", "the codes contradict each other", "Scan the codes of one sheet only.")
    if not marks:
        _failed("frames-missing", "none of the codes was found", "Scan all codes of the sheet.")
    ((mark, number),) = marks.items()
    missing = [str(at) for at in range(1, number + 1) if at not in parts]
    if missing:
        which = f"code {missing[0]} of {number} is" if len(missing) == 1 else f"codes {', '.join(missing)} are"
        _failed("frames-missing", f"{which} missing", "Scan the missing ones too; the order does not matter.")
    data = b"".join(parts[at] for at in range(1, number + 1))
    if _mark(data) != mark:
        _failed("frame-unreadable", "the parts do not give the document that they name", "Scan all codes again.")
    return data


def _read(text: str) -> tuple[str, int, int, bytes]:
    match = _FRAME.fullmatch(text.strip("\r\n"))
    if match is None or int(match[3]) > MAX_FRAMES:
        _failed("frame-unreadable", "one of the codes is no part of such a document", "Scan it again.")
    try:
        data = base45.decode(match[4])
    except ConsoleError:
        data = b""
    part, crc = data[:-4], data[-4:]
    if len(data) < 4 or zlib.crc32(part).to_bytes(4, "big") != crc:
        _failed("frame-unreadable", f"code {match[2]} of {match[3]} was read wrongly", "Scan it again.")
    return match[1], int(match[2]), int(match[3]), part


def _mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8].upper()


def _failed(code: str, why: str, todo: str) -> NoReturn:
    raise VerificationFailed(
        Problem(code=code, what=f"BAD-PROOF: {why}.", todo=todo, contact="the auditor", exit_code=ExitCode.VERIFICATION)
    )
