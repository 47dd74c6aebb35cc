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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from hsm_console.audit import store, tiles
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.restored import Keys, first_kept, pruning, whole
from hsm_console.audit.retention import KEPT, pruned_leaves
from hsm_console.audit.source import Row, Source, open_source
from hsm_console.audit.tile_files import MOST_ENTRIES, index_of, path_of, read_tile, split_entries
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.events import SegmentFile
from hsm_console.domain.reading import open_regular

_README = """This folder is a copy of the audit log “{origin}” up to entry {last}, as it was signed.

Layout: C2SP tlog-tiles (c2sp.org/tlog-tiles), SHA-256, RFC 6962. The newest signed head is in `checkpoint`.
Check it with a verifier key that you did not get together with this folder:

    hsm-console audit verify THIS-FOLDER --vkey log.vkey

Entries: {size}. Root: {root}.
"""

_SIZE = re.compile(r"[0-9]{1,18}")
_MOST_NOTE = 65536


_NOT_HERE = """
Not here: the bodies of the entries {first} to {last}. By order of two people they were pruned from the log (entry
{entry}), and stand in encrypted segments, which the auditor can open. Their hashes are here (tile/0), so the root still
follows from this folder, and it is verified as above, with no key but the log's public one. The segments:

{segments}
"""


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """Entries whose bodies a bundle lacks. entry: where the log tells of the pruning; segments: who holds them."""

    first: int
    last: int
    entry: int
    segments: tuple[SegmentFile, ...]


class Exported(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a bundle holds: the population that its checkpoint proves. root: hex; pruned: what is not in it."""

    origin: str
    size: int
    root: str
    checkpoints: int
    pruned: Pruned | None = None


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
        found = (index_of(path.relative_to(folder).parts) for path in folder.rglob("*") if path.is_file())
        return min((index for index in found if index is not None and index > n), default=None)

    def tile(self, level: int, n: int) -> bytes | None:
        data = read_tile(self._folder / "tile" / str(level), n)
        return data if data is not None and len(data) == tiles.TILE_BYTES else None

    def unfinished(self, level: int, n: int) -> bytes:
        """The tile at the right edge; empty where there is none."""
        return read_tile(self._folder / "tile" / str(level), n) or b""

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        folder = self._folder / "checkpoints"
        names = sorted((int(item.name), item) for item in folder.glob("*") if _SIZE.fullmatch(item.name))
        for size, path in names:
            yield size, _text(path)
        newest = _text(self._folder / "checkpoint")
        if newest and not names:
            yield _size_of(newest), newest  # as another writer of tlog-tiles leaves it: only the newest
        elif newest and newest != _text(names[-1][1]):
            yield max(_size_of(newest), names[-1][0]), newest  # an older one in its place is told as that

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


def export(
    path: Path, out: Path, *, progress: Callable[[int, int], None] = _silent, segments: Keys | None = None
) -> Exported:
    """Write a bundle of the log at `path` into the new folder `out`, up to its newest checkpoint.

    segments: opens the segments that hold what was pruned, so that the bundle is whole. Without them a bundle of a
    pruned log says what it does not hold; it verifies all the same.

    Raises InputError out-exists, log-unsigned (nothing is signed yet), prune-unsigned, and as `restored.whole`;
    EnvironmentFault log-missing, log-damaged, disk-full; VerificationFailed log-changed when the entries are not those
    that were signed, and as `restored.whole`.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        _refuse("out-exists", f"{out} is there already and not empty.", "Name a new folder.")
    with open_source(path) as log, whole(log, segments) as source:
        notes = list(source.checkpoints())
        if not notes:
            _refuse("log-unsigned", "No entry of this log is signed yet.", "Unlock the device, sign, export then.")
        size, newest = notes[-1]
        below = first_kept(source)
        pruned = _missing(source, below, size)
        try:
            out.mkdir(parents=True, exist_ok=True)
            edge = _write_entries(source, out, size, below, progress)
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
        _write(out / "README.txt", (readme + _not_here(pruned)).encode())
        done = Exported(head.origin, size, root, len(notes), pruned)
        _write(out / "manifest.json", json.dumps(msgspec.to_builtins(done), indent=2).encode() + b"\n")
    return done


def _not_here(pruned: Pruned | None) -> str:
    if pruned is None:
        return ""
    lines = [f"    {item.sha256}  {item.file}  (entries {item.first} to {item.last})" for item in pruned.segments]
    return _NOT_HERE.format(first=pruned.first, last=pruned.last, entry=pruned.entry, segments="\n".join(lines))


class _Writer:
    """Puts entries and tiles into the folder, in order."""

    def __init__(self, out: Path, size: int, progress: Callable[[int, int], None]) -> None:
        self._out, self._size, self._progress = out, size, progress
        self._parts, self._held = bytearray(), 0
        self.edge = tiles.Edge()

    def entry(self, body: bytes) -> None:
        self._parts += struct.pack(">H", len(body)) + body
        self._held += 1
        self._leaf(leaf_hash(body))
        if self.edge.size % tiles.WIDTH == 0:
            self._flush(self.edge.size // tiles.WIDTH - 1, tiles.WIDTH)
            self._progress(self.edge.size, self._size)

    def pruned(self, leaves: Iterable[bytes]) -> None:
        """Entries that are not here any more: what stands before them is a file that is not full."""
        self._flush(self.edge.size // tiles.WIDTH, self._held)
        for leaf in leaves:
            self._leaf(leaf)

    def end(self) -> None:
        self._flush(self.edge.size // tiles.WIDTH, self.edge.size % tiles.WIDTH)
        for level, hashes in enumerate(self.edge.levels):
            if hashes:
                n = self.edge.size >> tiles.HEIGHT * (level + 1)
                _write(path_of(self._out / "tile" / str(level), n, len(hashes)), b"".join(hashes))

    def _leaf(self, leaf: bytes) -> None:
        for level, n, tile in self.edge.push(leaf):
            _write(path_of(self._out / "tile" / str(level), n), tile)

    def _flush(self, n: int, width: int) -> None:
        if self._parts:
            _write(path_of(self._out / "tile" / "entries", n, width), bytes(self._parts))
        self._parts.clear()
        self._held = 0


def _write_entries(
    source: Source, out: Path, size: int, below: int, progress: Callable[[int, int], None]
) -> tiles.Edge:
    """below: the first entry behind those that were pruned and are not given back."""
    writer = _Writer(out, size, progress)
    for seq, _, body in source.entries():
        if seq >= size:
            break
        if seq == below and writer.edge.size == KEPT < below:
            writer.pruned(pruned_leaves(source, KEPT, below))
        writer.entry(body or b"")
    writer.end()
    return writer.edge


def _missing(source: Source, below: int, size: int) -> Pruned | None:
    """What the bundle says of entries that it does not hold. Raises InputError `prune-unsigned`, and as `pruning`."""
    if below <= KEPT:
        return None
    order, entry = pruning(source, below)
    if entry >= size:
        _refuse(
            "prune-unsigned",
            f"Entry {entry}, which tells of the pruning, is not signed yet: a bundle would end before it.",
            "Unlock the device, so that the log is signed, and export then.",
        )
    held = tuple(item for item in order.segments if item.first < below)
    return Pruned(first=KEPT, last=below - 1, entry=entry, segments=held)


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
