"""Verification of a long log by two processes at once: each reads one half, and the halves are joined.

The second process begins in the middle with a state that it assumes: the tree's edge from the stored tiles, the
fingerprint of the entry before, whether a run was open. The first comes to the same place with a state that it has
verified. Only when both are equal, neither found anything and nothing is pending between them is the second half taken
as read; in every other case the log is read again by one process, whose findings count. So nothing is ever OK in halves
that would not be OK in one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from hsm_console.audit import tiles
from hsm_console.audit.anchors import Anchor
from hsm_console.audit.anchors_required import Required
from hsm_console.audit.checkpoint import Vkey, parse_vkey
from hsm_console.audit.findings import Findings
from hsm_console.audit.in_clear import KINDS as SEALING_KINDS
from hsm_console.audit.in_clear import InClear, Place
from hsm_console.audit.lean import LeanEvent, decoder
from hsm_console.audit.retention import KEPT
from hsm_console.audit.source import Row, Source, open_source
from hsm_console.audit.tree import leaf_hash
from hsm_console.audit.verify import Progress, Verifier
from hsm_console.domain.errors import ConsoleError

WORTH_IT = 50_000
"""Below so many entries the second process would hardly have begun."""
_JOURNAL = 100_000
_RUNS = ("gateway-started", "gateway-stopped", "device-unlocked", "device-down")


class Border(msgspec.Struct, frozen=True):
    """Where a half begins or ends: everything that the next entry is held against. levels: of the edge, hex."""

    size: int
    levels: list[list[str]]
    fingerprint: str
    chain_uid: str
    clock: tuple[int, str, int]
    running: int | None
    unlocked: int | None
    line_kinds: list[str]
    sealing: Place


class Task(msgspec.Struct, frozen=True):
    """What the second process is told."""

    path: str
    vkey: str
    first: int
    stop: int
    anchors: list[Anchor]
    told: list[tuple[int, str]]


class Half(msgspec.Struct, frozen=True):
    """What the second process answers. reached None: it found something, or was not sure; nothing else counts then."""

    assumed: Border | None = None
    reached: Border | None = None
    intents: dict[int, tuple[int, str]] = {}
    loose: list[tuple[int, bool]] = []
    due: tuple[int, int] | None = None
    marks: list[tuple[int, int]] = []
    signed: int = 0
    roots: dict[int, str] = {}
    journal: list[tuple[int, str, str]] = []
    sealed: int = 0
    redacted: int = 0
    missing: dict[str, int] = {}
    told: list[int] = []


class Part:
    """A source that ends at `stop`, and begins at `first`; its checkpoints are those over more than `first` entries."""

    live = False
    kind = "database"

    def __init__(self, source: Source, first: int, stop: int) -> None:
        self._source, self._first, self._stop = source, first, stop
        self.tile, self.sealed, self.sealed_count = source.tile, source.sealed, source.sealed_count

    def entries(self, start: int = 0) -> Iterator[Row]:
        begin = max(start, self._first)
        return itertools.islice(self._source.entries(begin), self._stop - begin)

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        return (row for row in self._source.checkpoints() if self._first < row[0] <= self._stop)

    def count(self) -> int:
        return self._stop - self._first

    def newest(self, kinds: Sequence[str], stop: int) -> list[tuple[int, str]]:
        return self._source.newest(kinds, stop)


def worth_it(source: Source, jobs: int) -> int:
    """The size at which the log is to be cut in two; 0 when one process should read all of it."""
    if jobs < 2 or source.live or source.kind != "database":
        return 0
    total = source.count()
    if total < WORTH_IT or next(iter(source.entries(KEPT)), (-1,))[0] != KEPT:
        return 0  # too short, or entries were pruned
    sizes = [size for size, _ in source.checkpoints()]
    if sizes and sizes[-1] > total:
        return 0
    middle = total * 53 // 100  # the second process needs a while to begin
    near = min(sizes, key=lambda size: abs(size - middle), default=0)
    return near if 0.4 * total < near < 0.6 * total else middle - middle % tiles.WIDTH


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


class Second:
    """The other half, read by another process. `end` always, `answer` once."""

    def __init__(self, task: Task) -> None:
        command = [sys.executable, "-m", "hsm_console.audit.halves"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        pipe, self._process.stdin = self._process.stdin, None
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError), pipe:
                pipe.write(msgspec.json.encode(task))

    def answer(self) -> Half:
        """What it found; not clean when it ended in any other way than with an answer."""
        said, _ = self._process.communicate()
        try:
            return msgspec.json.decode(said, type=Half)
        except msgspec.DecodeError:
            return Half()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def verify(
    path: Path,
    source: Source,
    vkey: Vkey,
    anchors: list[Anchor],
    told: list[tuple[int, str]],
    segments: Path | None,
    progress: Progress | None,
    jobs: int,
) -> Verifier | None:
    """The verifier after both halves were read and joined, `end` not yet called. None: one process must read all."""
    cut = worth_it(source, jobs or processors())
    if not cut:
        return None
    total = source.count()
    later = [anchor for anchor in anchors if anchor.size > cut or anchor.index >= cut]
    second = Second(Task(str(path), vkey.text, cut, total, later, [item for item in told if item[0] >= cut]))
    try:
        first = Verifier(Part(source, 0, cut), vkey, anchors, _doubled(progress, total), told, segments)
        first.read()
        half = second.answer() if first.blame.quiet and not first.findings.items else Half()
    finally:
        second.end()
    if half.reached is None or half.assumed != border(first) or not first.history.settled:
        return None
    _join(first, half, half.reached, cut)
    return first


def _doubled(progress: Progress | None, total: int) -> Progress | None:
    return None if progress is None else lambda done, _of: progress(min(2 * done, total), total)


def _join(first: Verifier, half: Half, reached: Border, cut: int) -> None:
    """Go on where the second half ended. What depends on the order of entries is done again in their order."""
    _stand(first, reached)
    history, vouched, retained = first.history, first.vouched, first.retained
    history.settle(half.loose)
    history.intents |= {
        seq: LeanEvent(kind="", count=count, operation=name) for seq, (count, name) in half.intents.items()
    }
    history.due, history.marks = half.due, half.marks
    vouched.signed = half.signed or vouched.signed
    vouched.roots |= {size: bytes.fromhex(root) for size, root in half.roots.items()}
    retained.sealed += half.sealed
    retained.redacted += half.redacted
    retained.missing |= half.missing
    left = set(half.told)
    retained.told = {seq: texts for seq, texts in retained.told.items() if seq < cut or seq in left}
    for number, kind, text in half.journal:
        if kind == "signed":
            first.required.signed(number, bytes.fromhex(text))
        elif kind == "retained":
            retained.event(number, text.encode())
        else:
            first.required.see(number, text.encode())


def _stand(verifier: Verifier, place: Border) -> None:
    edge = tiles.Edge(place.size, [[bytes.fromhex(item) for item in level] for level in place.levels])
    verifier.stand_at(edge, place.fingerprint, place.chain_uid)
    verifier.history.begin_at(place.clock, place.running, place.unlocked)
    verifier.vouched.line_kinds = {item.encode() for item in place.line_kinds}
    verifier.in_clear.begin_at(place.sealing)


class Journal(Required):
    """Writes down, in order, what the first process will do when it comes there."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[tuple[int, str, str]] = []

    def see(self, seq: int, body: bytes) -> None:
        self.items.append((seq, "required", body.decode("utf-8", "replace")))

    def signed(self, size: int, root: bytes) -> None:
        self.items.append((size, "signed", root.hex()))

    def retained(self, seq: int, body: bytes) -> None:
        self.items.append((seq, "retained", body.decode("utf-8", "replace")))


def border(verifier: Verifier) -> Border:
    """Where this verifier stands."""
    history = verifier.history
    return Border(
        size=verifier.edge.size,
        levels=[[item.hex() for item in level] for level in verifier.edge.levels],
        fingerprint=verifier.previous,
        chain_uid=verifier.chain_uid or "",
        clock=history.clock,
        running=history.running,
        unlocked=history.unlocked,
        line_kinds=sorted(item.decode() for item in verifier.vouched.line_kinds),
        sealing=verifier.in_clear.place,
    )


# -- the second process -------------------------------------------------------------------------------------------


def main() -> int:
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        half = second_half(task)
    except (ConsoleError, msgspec.DecodeError, IndexError, TypeError, ValueError):
        half = Half()
    sys.stdout.buffer.write(msgspec.json.encode(half))
    return 0


def second_half(task: Task) -> Half:
    with open_source(Path(task.path)) as source:
        vkey = parse_vkey(task.vkey)
        verifier = Verifier(Part(source, task.first, task.stop), vkey, task.anchors, None, task.told, None)
        assumed = _assumed(source, vkey, task.first)
        _stand(verifier, assumed)
        verifier.history.before = task.first
        verifier.required = verifier.vouched.required = journal = Journal()
        verifier.retained.event = journal.retained  # type: ignore[method-assign]
        verifier.read()
        return _half(verifier, assumed, journal.items, task)


def _half(verifier: Verifier, assumed: Border, journal: list[tuple[int, str, str]], task: Task) -> Half:
    history, retained = verifier.history, verifier.retained
    clean = (
        not verifier.findings.items
        and verifier.blame.quiet
        and verifier.edge.size == task.stop
        and not history.steps
        and len(journal) < _JOURNAL
        and len(history.loose) < _JOURNAL
        and not retained.full
    )
    if not clean:
        return Half()
    return Half(
        assumed=assumed,
        reached=border(verifier),
        intents={seq: (event.count, event.operation) for seq, event in history.intents.items()},
        loose=history.loose,
        due=history.due,
        marks=history.marks,
        signed=verifier.signed,
        roots={size: root.hex() for size, root in verifier.vouched.roots.items()},
        journal=journal,
        sealed=retained.sealed,
        redacted=retained.redacted,
        missing=retained.missing,
        told=list(retained.told),
    )


def _assumed(source: Source, vkey: Vkey, size: int) -> Border:
    """The state at `size` as the file has it. Nothing of it is believed: the first process comes there and compares."""
    start = size - size % tiles.WIDTH
    rows = [body or b"" for _, _, body in itertools.islice(source.entries(start - 1), size - start + 1)]
    full: list[int] = []
    while size >> tiles.HEIGHT * (len(full) + 1):
        full.append(size >> tiles.HEIGHT * (len(full) + 1))
    edge = tiles.load_edge([leaf_hash(body) for body in rows[1:]], full, lambda n, m: source.tile(n, m) or b"")
    last = decoder.decode(rows[-1])
    genesis = decoder.decode(next(iter(source.entries()))[2] or b"")
    running, unlocked = _guess(source, size)
    return Border(
        size=size,
        levels=[[item.hex() for item in level] for level in edge.levels],
        fingerprint=sha256(rows[-1]).hexdigest(),
        chain_uid=genesis.attestation.chain_uid,
        clock=(last.time, last.device.boot_uid, last.hsm_console.boottime_ms),
        running=running,
        unlocked=unlocked,
        line_kinds=_line_kinds(source, vkey, size),
        sealing=_sealing(source, size),
    )


def _guess(source: Source, size: int) -> tuple[int | None, int | None]:
    """(entry that began the run, entry that unlocked the device), from the table that lists entries by kind."""
    running: int | None = None
    unlocked: int | None = None
    for seq, kind in source.newest(_RUNS, size):
        if kind == "device-unlocked":
            unlocked = seq
        else:
            running = seq if kind == "gateway-started" else None if kind == "gateway-stopped" else running
            unlocked = None
    return running, unlocked


def _sealing(source: Source, size: int) -> Place:
    """What is sealed at `size`, folded from the last entries of the kinds that say it."""
    found = InClear(Findings())
    hints = {seq: kind for one in sorted(SEALING_KINDS) for seq, kind in source.newest((one,), size)}
    for seq in sorted({1, *hints}):
        kind, body = hints.get(seq, "policy-in-force"), next(iter(source.entries(seq)))[2] or b""
        found.see(seq, kind, body)
    return found.place


def _line_kinds(source: Source, vkey: Vkey, size: int) -> list[str]:
    note = ""
    for at, text in source.checkpoints():
        if at > size:
            break
        note = text
    return sorted({line.split(" ")[2][:5] for line in note.split("\n") if line.startswith(f"— {vkey.name} ")})


if __name__ == "__main__":
    raise SystemExit(main())
