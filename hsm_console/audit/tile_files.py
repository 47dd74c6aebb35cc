"""Names and forms of the files of a C2SP tlog-tiles folder (bundles, segments)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hsm_console.audit import canonical, store, tiles
from hsm_console.audit.source import Row
from hsm_console.domain.reading import open_regular

MOST_ENTRIES = tiles.WIDTH * (2 + canonical.MAX_BYTES)
"""Octets of the longest file of entries."""
_WIDTH = re.compile(r"[0-9]{1,3}")
_GROUP = re.compile(r"[0-9]{3}")


def tile_path(n: int, width: int = tiles.WIDTH) -> str:
    """C2SP: index 1234067 is x001/x234/067, and .p/W behind it when the tile is not full."""
    groups = [f"{n % 1000:03d}"]
    while n >= 1000:
        n //= 1000
        groups.insert(0, f"x{n % 1000:03d}")
    return "/".join(groups) + ("" if width == tiles.WIDTH else f".p/{width}")


def path_of(folder: Path, n: int, width: int = tiles.WIDTH) -> Path:
    """Where a tile lies, or the part of it that there is."""
    return folder / tile_path(n, width)


def read_tile(folder: Path, n: int, most: int = tiles.TILE_BYTES) -> bytes | None:
    """A full tile, else the widest partial one; no more of it than `most` bytes and one, which no tile has.

    Raises EnvironmentFault log-unreadable.
    """
    path = path_of(folder, n)
    with store.told(path, store.unreadable):
        if not path.exists():
            partial = path.with_name(path.name + ".p")
            widths = sorted(int(item.name) for item in partial.glob("*") if _WIDTH.fullmatch(item.name))
            if not widths:
                return None
            path = partial / str(widths[-1])
        with open_regular(path) as file:
            return file.read(most + 1)


def index_of(parts: Sequence[str]) -> int | None:
    """The index in a tile's path: x001/x234/067, or x001/x234/067.p/8; None for another file."""
    groups = parts[:-1] if len(parts) > 1 and parts[-2].endswith(".p") else parts
    digits = [group.removeprefix("x").removesuffix(".p") for group in groups]
    return int("".join(digits)) if all(_GROUP.fullmatch(group) for group in digits) else None


def split_entries(data: bytes, n: int) -> Iterator[Row]:
    """The entries of file `n`; one that is cut short, or too many, has no body and is the last."""
    seq, at = n * tiles.WIDTH, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + 2 + length]
        if len(body) != length or at + 2 > len(data) or seq == (n + 1) * tiles.WIDTH:
            yield seq, length, None
            return
        yield seq, length, body
        seq, at = seq + 1, at + 2 + length
