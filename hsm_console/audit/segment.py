"""Segments: a run of entries as a folder in C2SP tlog-tiles layout, packed and encrypted to the auditor (AUDIT 8).

segment.json               which segment, which entries, of which log; size and root of the checkpoint
checkpoint                 the signed note
receipt.tlog-proof         proof of the segment's last entry under that checkpoint
tile/entries/N             the entries, each after its length (16 bits, big-endian)
tile/0/N                   their leaf hashes, and the unfinished tile at the checkpoint's end (.p/W)
tile/LEVEL/N[.p/W]         every tile above, so that the root follows from the entries

On disk it is a tar file in the age format (age-encryption.org/v1).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hsm_console.audit import receipt, tiles
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.source import Source, open_source
from hsm_console.audit.store import sync_folder
from hsm_console.audit.tile_files import tile_path
from hsm_console.audit.tree import inclusion_proof, leaf_hash, subtree
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.events import LogRotated
from hsm_console.domain.reading import open_regular, read_whole

ENTRIES = 65_536
MANIFEST, CHECKPOINT, RECEIPT = "segment.json", "checkpoint", "receipt.tlog-proof"
SUFFIX = ".tar.age"
_MOST_OCTETS = 64 << 20  # 256 entries of 64 KiB are 16 MiB
MOST_PART = 1 << 20
"""Bytes of a segment's manifest, checkpoint or receipt."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """root: hex. format: of this folder."""

    origin: str
    segment: int
    first: int
    last: int
    size: int
    root: str
    format: int = 1


def name_of(segment: int) -> str:
    return f"segment-{segment:06d}{SUFFIX}"


def write(log: Path, folder: Path, segment: int, recipient: str, *, entries: int = ENTRIES) -> LogRotated:
    """Write one segment of the log into `folder`; the event that tells of it. entries: how many it has.

    Raises InputError segment-incomplete, recipient-unusable; VerificationFailed log-changed when the entries are not
    those that were signed; EnvironmentFault segment-not-written.
    """
    check_recipient(recipient)
    first, stop = segment * entries, (segment + 1) * entries
    draft = folder / f".{name_of(segment)}.tar"
    made = folder / f".{name_of(segment)}.new"
    with open_source(log) as source:
        note = next((text for size, text in _newest(source) if size >= stop), "")
        if not note:
            raise _refused(
                "segment-incomplete",
                f"Segment {segment} (entries {first} to {stop - 1}) is not complete and signed yet.",
                "Wait until the log is longer, unlock the device so that it is signed, and rotate then.",
            )
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            with draft.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                manifest = _pack(tar, source, note, segment, first, stop)
            sha256, octets = _encrypt(draft, made, recipient)
            made.rename(folder / name_of(segment))
            sync_folder(folder)
        except OSError as fault:
            raise _not_written(folder, fault) from fault
        finally:
            draft.unlink(missing_ok=True)
            made.unlink(missing_ok=True)
    return LogRotated(
        segment=segment,
        first=first,
        last=stop - 1,
        size=manifest.size,
        root=manifest.root,
        file=name_of(segment),
        sha256=sha256,
        octets=octets,
        recipient=recipient,
    )


def _newest(source: Source) -> Sequence[tuple[int, str]]:
    return list(source.checkpoints())[-1:]


def _pack(tar: tarfile.TarFile, source: Source, note: str, segment: int, first: int, stop: int) -> Manifest:
    head = parse_note(note).checkpoint
    edge = _edge(source, head.size)

    def fetch(level: int, n: int) -> bytes:
        data = source.tile(level, n)
        if data is None:
            raise _changed(f"tile {n} of level {level} is missing")
        return data

    nodes = tiles.nodes(edge, fetch)
    if subtree(nodes, 0, head.size) != head.root:
        raise _changed(f"the entries below {head.size} are not those that were signed")
    last = _pack_entries(tar, source, first, stop)
    _pack_tiles(tar, edge, fetch, first, stop)
    path = inclusion_proof(nodes, stop - 1, head.size)
    manifest = Manifest(
        origin=head.origin, segment=segment, first=first, last=stop - 1, size=head.size, root=head.root.hex()
    )
    _add(tar, RECEIPT, receipt.proof_text(stop - 1, last, path, note).encode())
    _add(tar, CHECKPOINT, note.encode())
    _add(tar, MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    return manifest


def _edge(source: Source, size: int) -> tiles.Edge:
    """The unfinished tiles of the tree as it was at `size`."""
    start = size - size % tiles.WIDTH
    leaves = [leaf_hash(body or b"") for _, body in _bodies(source, start, size)]
    if len(leaves) != size - start:
        raise _changed(f"entries below {size} are missing")
    full: list[int] = []
    while size >> tiles.HEIGHT * (len(full) + 1):
        full.append(size >> tiles.HEIGHT * (len(full) + 1))
    return tiles.load_edge(leaves, full, lambda level, n: source.tile(level, n) or bytes(tiles.TILE_BYTES))


def _bodies(source: Source, start: int, stop: int) -> Iterator[tuple[int, bytes | None]]:
    if start >= stop:
        return
    for seq, _, body in source.entries(start):
        if seq >= stop:
            return
        yield seq, body


def _pack_entries(tar: tarfile.TarFile, source: Source, first: int, stop: int) -> bytes:
    parts, expected, body = bytearray(), first, b""
    for seq, found in _bodies(source, first, stop):
        if seq != expected or found is None:
            raise _changed(f"entry {expected} is missing")
        body = found
        leaf = source.tile(0, seq // tiles.WIDTH) or b""
        at = seq % tiles.WIDTH * 32
        if leaf[at : at + 32] != leaf_hash(body):
            raise _changed(f"entry {seq} is not the one in the tree")
        parts += struct.pack(">H", len(body)) + body
        expected += 1
        if expected % tiles.WIDTH == 0:
            _add(tar, f"tile/entries/{tile_path(expected // tiles.WIDTH - 1)}", bytes(parts))
            parts.clear()
    if expected != stop:
        raise _changed(f"entry {expected} is missing")
    return body


def _pack_tiles(tar: tarfile.TarFile, edge: tiles.Edge, fetch: tiles.FetchTile, first: int, stop: int) -> None:
    for level, hashes in enumerate(edge.levels):
        full = edge.size >> tiles.HEIGHT * (level + 1)
        wanted = range(first // tiles.WIDTH, stop // tiles.WIDTH) if level == 0 else range(full)
        for n in wanted:
            _add(tar, f"tile/{level}/{tile_path(n)}", fetch(level, n))
        if hashes:
            _add(tar, f"tile/{level}/{tile_path(full, len(hashes))}", b"".join(hashes))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    item = tarfile.TarInfo(name)
    item.size, item.mode = len(data), 0o644
    tar.addfile(item, io.BytesIO(data))


# -- the age format ------------------------------------------------------------------------------------------------


def check_recipient(text: str) -> None:
    """Raise InputError `recipient-unusable` unless this is an age recipient (X25519, `age1…`)."""
    from pyrage import RecipientError, x25519

    try:
        x25519.Recipient.from_str(text)
    except RecipientError as fault:
        raise _refused(
            "recipient-unusable",
            f"“{text[:80]}” is no age recipient.",
            "Give the auditor's public recipient, a text that begins with age1.",
        ) from fault


def _encrypt(draft: Path, made: Path, recipient: str) -> tuple[str, int]:
    from pyrage import encrypt_io, x25519

    with draft.open("rb") as plain, made.open("wb") as sealed:
        encrypt_io(plain, sealed, [x25519.Recipient.from_str(recipient)])
        sealed.flush()
        os.fsync(sealed.fileno())
    with made.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), made.stat().st_size


def unpack(file: Path, identity: str, out: Path) -> Manifest:
    """Decrypt a segment with the auditor's identity into the new folder `out`. It is not verified by this.

    Raises InputError identity-unusable, segment-unreadable, out-exists.
    """
    from pyrage import DecryptError, IdentityError, decrypt_io, x25519

    if out.exists() and any(out.iterdir()):
        raise _refused("out-exists", f"{out} is there already and not empty.", "Name a new folder.")
    try:
        key = x25519.Identity.from_str(identity.strip())
    except IdentityError as fault:
        raise _refused(
            "identity-unusable", "This is no age identity.", "Give the file that age-keygen wrote."
        ) from fault
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    plain = out / ".plain.tar"
    try:
        with file.open("rb") as sealed, plain.open("wb") as target:
            decrypt_io(sealed, target, [key])
        with tarfile.open(plain) as tar:
            _extract(tar, out)
        return read_manifest(out)
    except (DecryptError, tarfile.TarError, OSError) as fault:
        raise _refused(
            "segment-unreadable",
            f"{file.name} cannot be opened: {fault}.",
            "Check that this is the whole file, and the identity that it was encrypted to.",
        ) from fault
    finally:
        plain.unlink(missing_ok=True)


_NAME = re.compile(
    r"(?:segment\.json|checkpoint|receipt\.tlog-proof|tile/(?:entries|\d{1,2})(?:/x?\d{3})+(?:\.p/\d{1,3})?)"
)


def _extract(tar: tarfile.TarFile, out: Path) -> None:
    """Plain files with the names of the layout, nothing else: whoever made the file may be an enemy."""
    for item in tar:
        if not item.isreg() or not _NAME.fullmatch(item.name) or item.size > _MOST_OCTETS:
            raise tarfile.TarError(f"it holds “{item.name[:80]}”, which is no part of a segment")
        path = out / item.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = tar.extractfile(item)
        path.write_bytes(data.read() if data else b"")


def read_manifest(folder: Path) -> Manifest:
    """Raises InputError `segment-unreadable`."""
    try:
        return msgspec.json.decode(read_part(folder, MANIFEST), type=Manifest)
    except (UnicodeDecodeError, msgspec.DecodeError) as fault:
        raise _refused("segment-unreadable", f"{folder} is no segment: {fault}.", "Open the segment again.") from fault


def read_part(folder: Path, name: str) -> bytes:
    """A small file of an opened segment. Raises InputError `segment-unreadable`."""
    try:
        return read_whole(folder / name, MOST_PART)
    except OSError as fault:
        raise _refused("segment-unreadable", f"{folder} is no segment: {fault}.", "Open the segment again.") from fault


def check_file(folder: Path, event_file: str, sha256: str, segment: int) -> None:
    """Raise VerificationFailed `segment-exchanged` (word SEGMENT) unless the file is there as it was written."""
    try:
        with open_regular(folder / Path(event_file).name) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        why = "" if found == sha256 else "is not the one that was written"
    except OSError as fault:
        why = f"cannot be read ({fault.strerror})"
    if why:
        raise VerificationFailed(
            Problem(
                code="segment-exchanged",
                what=f"SEGMENT: the file of segment {segment} {why}.",
                todo=f"Put {event_file} back from its copy into {folder}, then do this again.",
                contact="the auditor",
                exit_code=ExitCode.VERIFICATION,
            )
        )


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))


def _changed(why: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="log-changed",
            what=f"REWRITTEN: {why}; no segment was written.",
            todo="Run “hsm-console audit verify”; it names the entry.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _not_written(folder: Path, fault: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="segment-not-written",
            what=f"The segment could not be written: {fault.strerror}.",
            todo="Make room, or check the folder's rights, and rotate again. Nothing was removed from the log.",
            details={"folder": str(folder)},
        )
    )
