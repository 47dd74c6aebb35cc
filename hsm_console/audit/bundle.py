"""A log as a folder of static files: C2SP tlog-tiles layout, all checkpoints beside (AUDIT 8).

checkpoint                       the newest signed note
checkpoints/SIZE                 every signed note
tile/LEVEL/N[.p/W]               hashes
tile/entries/N[.p/W]             entries, each after its length (16 bits, big-endian)
README.txt                       what this is and how a stranger checks it
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from hsm_console.audit import canonical, store, tiles
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.retention import KEPT
from hsm_console.audit.source import Row, Source, open_source
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.reading import open_regular

_README = """This folder is a copy of the audit log “{origin}” up to entry {last}, as it was signed.

Layout: C2SP tlog-tiles (c2sp.org/tlog-tiles), SHA-256, RFC 6962. The newest signed head is in `checkpoint`.
Check it with a verifier key that you did not get together with this folder:

    hsm-console audit verify THIS-FOLDER --vkey log.vkey

Entries: {size}. Root: {root}.
"""

_SIZE = re.compile(r"[0-9]{1,18}")
_WIDTH = re.compile(r"[0-9]{1,3}")
_GROUP = re.compile(r"[0-9]{3}")
_MOST_NOTE = 65536
MOST_ENTRIES = tiles.WIDTH * (2 + canonical.MAX_BYTES)


class Exported(msgspec.Struct, frozen=True):
    """What a bundle holds: the population that its checkpoint proves. root: hex."""

    origin: str
    size: int
    root: str
    checkpoints: int


class Bundle:
    """Reads a bundle as a verifier's source. A bundle ends where it was signed, so it has no end of a run."""

    kind = "bundle"
    live = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entries(self, start: int = 0) -> Iterator[Row]:
        n = start // tiles.WIDTH
        while True:
            data = read_tile(self._folder / "tile" / "entries", n, MOST_ENTRIES)
            if data is None:
                following = self._following(n)
                if following is None:
                    return
                n = following
                continue
            yield from ((seq, length, body) for seq, length, body in split_entries(data, n) if seq >= start)
            n += 1

    def _following(self, n: int) -> int | None:
        """The next file of entries behind a missing one."""
        folder = self._folder / "tile" / "entries"
        found = (_index_of(path.relative_to(folder).parts) for path in folder.rglob("*") if path.is_file())
        return min((index for index in found if index is not None and index > n), default=None)

    def tile(self, level: int, n: int) -> bytes | None:
        data = read_tile(self._folder / "tile" / str(level), n)
        return data if data is not None and len(data) == tiles.TILE_BYTES else None

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        folder = self._folder / "checkpoints"
        names = sorted((int(item.name), item) for item in folder.glob("*") if _SIZE.fullmatch(item.name))
        for size, path in names:
            yield size, _text(path)
        newest = _text(self._folder / "checkpoint")
        if newest and names and newest != _text(names[-1][1]):
            yield _size_of(newest), newest

    def count(self) -> int:
        return max((size for size, _ in self.checkpoints()), default=0)

    def sealed(self, digest: str) -> tuple[int, bytes] | None:  # noqa: ARG002 - a bundle carries no sealed values
        return None

    def sealed_count(self, start: int) -> int:  # noqa: ARG002
        return 0

    def newest(self, kinds: Sequence[str], stop: int) -> list[tuple[int, str]]:  # noqa: ARG002
        return []


def _silent(_done: int, _of: int) -> None:
    pass


def export(path: Path, out: Path, *, progress: Callable[[int, int], None] = _silent) -> Exported:
    """Write a bundle of the log at `path` into the new folder `out`, up to its newest checkpoint.

    Raises InputError out-exists, log-unsigned (nothing is signed yet), EnvironmentFault log-missing, log-damaged,
    disk-full; VerificationFailed log-changed when the entries are not those that were signed.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        _refuse("out-exists", f"{out} is there already and not empty.", "Name a new folder.")
    with open_source(path) as source:
        notes = list(source.checkpoints())
        if not notes:
            _refuse("log-unsigned", "No entry of this log is signed yet.", "Unlock the device, sign, export then.")
        size, newest = notes[-1]
        try:
            out.mkdir(parents=True, exist_ok=True)
            edge = _write_entries(source, out, size, progress)
        except OSError as fault:
            raise _cannot_write(out, fault) from fault
        head = parse_note(newest).checkpoint
        if edge.root() != head.root:
            raise _changed(size)
        for at, note in notes:
            _write(out / "checkpoints" / str(at), note.encode())
        _write(out / "checkpoint", newest.encode())
        root = head.root.hex()
        readme = _README.format(origin=head.origin, last=size - 1, size=size, root=root)
        _write(out / "README.txt", readme.encode())
        done = Exported(head.origin, size, root, len(notes))
        _write(out / "manifest.json", json.dumps(msgspec.to_builtins(done), indent=2).encode() + b"\n")
    return done


def _write_entries(source: Source, out: Path, size: int, progress: Callable[[int, int], None]) -> tiles.Edge:
    edge, parts = tiles.Edge(), bytearray()
    for seq, _, body in source.entries():
        if seq >= size:
            break
        if seq > edge.size == KEPT and source.tile(0, 0) is not None:
            _refuse(
                "log-pruned",
                f"Entries {edge.size} to {seq - 1} were pruned, and a bundle holds all entries.",
                "Hand out audit.db together with the segments that hold them.",
            )
        data = body or b""
        parts += struct.pack(">H", len(data)) + data
        for level, n, tile in edge.push(leaf_hash(data)):
            _write(_tile_path(out / "tile" / str(level), n), tile)
        if edge.size % tiles.WIDTH == 0:
            _write(_tile_path(out / "tile" / "entries", edge.size // tiles.WIDTH - 1), bytes(parts))
            parts.clear()
            progress(edge.size, size)
    if parts:
        _write(_tile_path(out / "tile" / "entries", edge.size // tiles.WIDTH, edge.size % tiles.WIDTH), bytes(parts))
    for level, hashes in enumerate(edge.levels):
        if hashes:
            n = edge.size >> tiles.HEIGHT * (level + 1)
            _write(_tile_path(out / "tile" / str(level), n, len(hashes)), b"".join(hashes))
    return edge


def tile_path(n: int, width: int = tiles.WIDTH) -> str:
    """C2SP: index 1234067 is x001/x234/067, and .p/W behind it when the tile is not full."""
    groups = [f"{n % 1000:03d}"]
    while n >= 1000:
        n //= 1000
        groups.insert(0, f"x{n % 1000:03d}")
    return "/".join(groups) + ("" if width == tiles.WIDTH else f".p/{width}")


def _tile_path(folder: Path, n: int, width: int = tiles.WIDTH) -> Path:
    return folder / tile_path(n, width)


def read_tile(folder: Path, n: int, most: int = tiles.TILE_BYTES) -> bytes | None:
    """A full tile, else the widest partial one; no more of it than `most` bytes and one, which no tile has.

    Raises EnvironmentFault log-unreadable.
    """
    path = _tile_path(folder, n)
    with store.told(path, store.unreadable):
        if not path.exists():
            partial = path.with_name(path.name + ".p")
            widths = sorted(int(item.name) for item in partial.glob("*") if _WIDTH.fullmatch(item.name))
            if not widths:
                return None
            path = partial / str(widths[-1])
        with open_regular(path) as file:
            return file.read(most + 1)


def _index_of(parts: Sequence[str]) -> int | None:
    """The index in a tile's path: x001/x234/067, or x001/x234/067.p/8; None for another file."""
    groups = parts[:-1] if len(parts) > 1 and parts[-2].endswith(".p") else parts
    digits = [group.removeprefix("x").removesuffix(".p") for group in groups]
    return int("".join(digits)) if all(_GROUP.fullmatch(group) for group in digits) else None


def split_entries(data: bytes, n: int) -> Iterator[Row]:
    seq, at = n * tiles.WIDTH, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + 2 + length]
        if len(body) != length or at + 2 > len(data) or seq == (n + 1) * tiles.WIDTH:
            yield seq, length, None
            return
        yield seq, length, body
        seq, at = seq + 1, at + 2 + length


def _text(path: Path) -> str:
    """A note's text; empty where there is none. Raises EnvironmentFault log-unreadable."""
    with store.told(path, store.unreadable):
        if not path.exists():
            return ""
        with open_regular(path) as file:
            return file.read(_MOST_NOTE).decode("utf-8", "replace")


def _size_of(note: str) -> int:
    try:
        return parse_note(note).checkpoint.size
    except VerificationFailed:
        return 1


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _refuse(code: str, what: str, todo: str) -> NoReturn:
    raise InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))


def _cannot_write(out: Path, fault: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="export-failed",
            what=f"The export could not be written: {fault.strerror}.",
            todo="Make room, or choose another folder, and export again. What is there is not complete: delete it.",
            details={"folder": str(out)},
        )
    )


def _changed(size: int) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="log-changed",
            what=f"REWRITTEN: the entries below {size} are not those that were signed; the export is not to be used.",
            todo="Run “hsm-console audit verify”; it names the entry.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
