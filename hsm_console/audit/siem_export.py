"""Writes a copy for a log collector or an auditor: one line or row an entry, up to the newest checkpoint, proof named.

Streaming: memory does not grow with the log. The file appears under its name only when it is whole and its entries
lead to the root of the checkpoint.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from hsm_console.audit import siem, table_export, tiles
from hsm_console.audit.checkpoint import SignedNote, parse_note
from hsm_console.audit.retention import pruned_leaves
from hsm_console.audit.source import Source, open_source
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem, VerificationFailed

COPY = (
    "This is a copy for searching and proves nothing by itself. To prove it: compute the RFC 6962 root over the {size} "
    "leaf hashes in their order and compare it with the root in the checkpoint; verify the checkpoint's signature with "
    "a verifier key (log.vkey) that did not come with this file; and hold a line that matters against the entry "
    "itself, from the log or its bundle: hsm-console audit verify LOG --vkey log.vkey"
)


TABLES = "sqlite"
FORMS = (*siem.FORMATS, TABLES)
EVERY = 1024  # entries between two words about the progress


def _silent(_done: int, _of: int) -> None:
    pass


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds. root: hex; unsigned: entries behind the checkpoint, which were left out."""

    format: str
    origin: str
    size: int
    root: str
    unsigned: int
    checkpoint: str


def as_it_is(body: bytes) -> bytes:
    return body


def export(
    path: Path,
    out: Path,
    form: str,
    *,
    progress: Callable[[int, int], None] = _silent,
    shown: Callable[[bytes], bytes] = as_it_is,
) -> Written:
    """Write the log at `path` in `form` (one of `FORMS`) into the new file `out`.

    shown: puts values in the place of digests in an entry's JSON, for whoever may read them.

    Raises InputError out-exists, log-unsigned; EnvironmentFault log-missing, log-damaged, export-failed;
    VerificationFailed log-changed, note-unreadable, entry-unreadable.
    """
    if out.exists():
        raise _refused("out-exists", f"{out} is there already.", "Name a new file.")
    with open_source(path) as source:
        newest = next(iter(collections.deque((text for _, text in source.checkpoints()), maxlen=1)), "")
        if not newest:
            raise _refused(
                "log-unsigned", "No entry of this log is signed yet.", "Unlock the device, sign, export then."
            )
        note = parse_note(newest)
        head = note.checkpoint
        entries = _Entries(source, note, progress, shown)
        frame = siem.Row(
            size=str(head.size),
            root=head.root.hex(),
            checkpoint=base64.b64encode(newest.encode()).decode(),
            message=COPY.format(size=head.size),
        )
        if form == TABLES:
            with new_path(out) as part:
                table_export.write(part, entries.rows(), frame, head.origin)
        else:
            with new_file(out) as stream:
                _write(stream, form, entries, frame)
    return Written(
        format=form, origin=head.origin, size=head.size, root=head.root.hex(), unsigned=entries.unsigned,
        checkpoint=newest,
    )  # fmt: skip


class _Entries:
    """The entries that a checkpoint covers, flat. unsigned: how many lie behind it, known when all were read."""

    def __init__(
        self, source: Source, note: SignedNote, progress: Callable[[int, int], None], shown: Callable[[bytes], bytes]
    ) -> None:
        self._source, self._progress, self._shown = source, progress, shown
        self.head = note.checkpoint
        self.unsigned = 0

    def rows(self) -> Iterator[siem.Row]:
        """Raises VerificationFailed log-changed at the end, unless they lead to the signed root."""
        head, edge = self.head, tiles.Edge()
        for seq, _, body in self._source.entries():
            if seq > edge.size:
                for leaf in pruned_leaves(self._source, edge.size, min(seq, head.size)):
                    edge.push(leaf)
            if edge.size == head.size:
                self.unsigned += 1
                continue
            data = body or b""
            edge.push(leaf_hash(data))
            yield siem.row(data, self._shown(data))
            if edge.size % EVERY == 0:
                self._progress(edge.size, head.size)
        if edge.size != head.size or edge.root() != head.root:
            raise _changed(head.size)


def _write(stream: BinaryIO, form: str, entries: _Entries, frame: siem.Row) -> None:
    origin, line, end = entries.head.origin, siem.FORMATS[form], siem.LINE_END[form]

    def put(text: str) -> None:
        stream.write((text + end).encode())

    if form == "csv":
        put(siem.CSV_HEAD)
    else:
        put(line(msgspec.structs.replace(frame, kind=siem.BEGIN), origin))
    for row in entries.rows():
        put(line(row, origin))
    put(line(msgspec.structs.replace(frame, kind=siem.END), origin))


@contextlib.contextmanager
def new_file(out: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends well. Raises EnvironmentFault export-failed."""
    with new_path(out) as part, part.open("xb") as stream:
        yield stream


@contextlib.contextmanager
def new_path(out: Path) -> Iterator[Path]:
    """Where to write a new file; what lies there when the block ends well gets the name `out`, durably.

    Raises EnvironmentFault export-failed.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(out)
    except OSError as fault:
        raise EnvironmentFault(
            Problem(
                code="export-failed",
                what=f"{out} could not be written: {fault.strerror or fault}.",
                todo="Make room, or choose another folder, and try again.",
            )
        ) from fault
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))


def _changed(size: int) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="log-changed",
            what=f"REWRITTEN: the entries below {size} are not those that were signed; nothing was exported.",
            todo="Run “hsm-console audit verify”; it names the entry.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
