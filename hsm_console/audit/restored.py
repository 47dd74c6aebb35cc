"""A pruned log read as a whole again: the entries that are not in it come from its encrypted segments.

The log says which files hold them, with their hashes; each entry is held to its leaf hash in the log's own tiles. So
whoever gives other files, or files of another log, is refused. What is opened lies in a folder that is removed again.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn, cast

import msgspec

from hsm_console.audit import ocsf, segment, tiles
from hsm_console.audit.lean import decoder
from hsm_console.audit.retention import KEPT
from hsm_console.audit.source import Row, Source
from hsm_console.audit.tile_files import MOST_ENTRIES, read_tile, split_entries
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.events import LogPruned
from hsm_console.domain.reading import read_whole

_MOST_OCTETS = 64 * 1024


class Keys(msgspec.Struct, frozen=True):
    """Where the segments lie, and the age identity that opens them (its text)."""

    folder: Path
    identity: str

    def __repr__(self) -> str:
        return f"Keys({self.folder}, …)"

    @classmethod
    def read(cls, folder: Path, file: Path) -> Keys:
        """The identity out of the file that age-keygen wrote. Raises InputError `identity-unusable`."""
        return cls(folder, read_identity(file))


def read_identity(file: Path) -> str:
    """Raises InputError `identity-unusable`."""
    try:
        text = read_whole(file, _MOST_OCTETS).decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(
            Problem(
                code="identity-unusable",
                what=f"{file} cannot be read as an age identity.",
                todo="Give the file that age-keygen wrote.",
                exit_code=ExitCode.USAGE,
            )
        ) from fault
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line.startswith("AGE-SECRET-KEY-")), text.strip())


class Restored:
    """A source whose entries are all there. Made by `whole`."""

    def __init__(self, source: Source, below: int, opened: Sequence[tuple[int, int, Path]]) -> None:
        self._source, self._below, self._opened = source, below, opened
        self.live, self.kind = source.live, source.kind
        self.tile, self.checkpoints, self.count = source.tile, source.checkpoints, source.count
        self.sealed, self.sealed_count, self.newest = source.sealed, source.sealed_count, source.newest

    def entries(self, start: int = 0) -> Iterator[Row]:
        """Raises VerificationFailed `log-changed` (REWRITTEN) when a segment holds another entry than the tree."""
        if start < KEPT:
            yield from itertools.islice(self._source.entries(start), KEPT - start)
        for first, last, folder in self._opened:
            if last >= start:
                yield from self._segment(first, last, max(start, KEPT), folder)
        yield from self._source.entries(max(start, self._below))

    def _segment(self, first: int, last: int, start: int, folder: Path) -> Iterator[Row]:
        for n in range(max(first, start) // tiles.WIDTH, (last + 1) // tiles.WIDTH):
            leaves = tiles.split(self._source.tile(0, n) or b"")
            rows = list(split_entries(read_tile(folder / "tile" / "entries", n, MOST_ENTRIES) or b"", n))
            held = [leaf_hash(body or b"") for _, _, body in rows]
            if held != leaves:
                at = next(
                    (i for i, pair in enumerate(zip(held, leaves, strict=False)) if pair[0] != pair[1]), len(held)
                )
                _changed(f"REWRITTEN: entry {n * tiles.WIDTH + at} of a segment is not the one in the tree")
            yield from (row for row in rows if row[0] >= start)


@contextlib.contextmanager
def whole(source: Source, keys: Keys | None) -> Iterator[Source]:
    """The source itself where nothing was pruned, or no keys are given; else one with the pruned entries in it.

    Raises VerificationFailed segment-exchanged (SEGMENT), log-changed (GAP: no order pruned what is missing);
    InputError identity-unusable, segment-unreadable.
    """
    below = first_kept(source)
    if keys is None or below <= KEPT:
        yield source
        return
    order, _ = pruning(source, below)
    with tempfile.TemporaryDirectory(prefix="hsm-console-segments-") as name:
        opened = []
        for item in order.segments:
            if item.first >= below:
                continue
            segment.check_file(keys.folder, item.file, item.sha256, item.segment)
            folder = Path(name) / str(item.segment)
            segment.unpack(keys.folder / Path(item.file).name, keys.identity, folder)
            opened.append((item.first, item.last, folder))
        yield Restored(source, below, opened)


def first_kept(source: Source) -> int:
    """The first entry behind the genesis entries that is here; `KEPT` where nothing is missing."""
    return next(source.entries(KEPT), (KEPT, 0, None))[0]


def pruning(source: Source, below: int) -> tuple[LogPruned, int]:
    """What pruned up to `below`, and the entry that tells of it. Raises VerificationFailed `log-changed` (GAP)."""
    found = None
    for seq, _, body in source.entries(below):
        if body is None or b'"kind":"log-pruned"' not in body:
            continue
        with contextlib.suppress(VerificationFailed, msgspec.DecodeError):
            if decoder.decode(body).hsm_console.event.kind == "log-pruned":
                event = cast("LogPruned", ocsf.decode(body).event)
                found = (event, seq) if event.below == below else found
    if found is None:
        _changed(f"GAP: entries {KEPT} to {below - 1} are missing, and no order pruned just these")
    return found


def _changed(why: str) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code="log-changed",
            what=f"{why}.",
            key_state="Nothing was changed.",
            todo="Run “hsm-console audit verify”, on the log and on the segment; it names the entry.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
