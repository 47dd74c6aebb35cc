"""What detection knows, kept beside the log so that a start need not fold all of it again (docs/adr/0019).

A state is used only when the log itself vouches for it: a heartbeat names its SHA-256, and a checkpoint that the log's
key signed covers that heartbeat, shown by an inclusion proof. So whoever writes another state, to have the rules
overlook something, would have to change signed entries. Whatever does not fit is passed over, and the log is folded
from its beginning: that is always right, and only slower.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import msgspec

from hsm_console import __version__
from hsm_console.audit import ocsf
from hsm_console.audit.checkpoint import Checkpoint, verify_note
from hsm_console.audit.log import AuditLog
from hsm_console.audit.tree import leaf_hash, subtree, verify_inclusion
from hsm_console.crypto.files import write_durably
from hsm_console.detect.engine import Engine, EngineState
from hsm_console.detect.rules import RuleSet
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.gateway.core import Core
from hsm_console.gateway.projections import pruned_below

FOLDER, FORM = "detection", 1
LARGEST = 64 << 20
MOST_BEATS = 256  # heartbeats that are looked through for the digest of a state, the newest first
MOST_FILES = 16  # that are looked at; ours are three
_NEWEST = 2


class Kept(msgspec.Struct, frozen=True):
    """A state on the disk: it stands for the entries below `at`."""

    at: int
    sha256: str


class Found(msgspec.Struct, frozen=True):
    """A state that the log vouches for."""

    kept: Kept
    engine: EngineState


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """The file. zone: hours of day were counted by it; root: hex, of the log's tree at `size`."""

    form: int
    software: str
    rules: str
    zone: tuple[str, str]
    size: int
    root: str
    engine: EngineState


class Keeper:
    """The states of one workspace. Not thread-safe: the thread of the watch owns it."""

    def __init__(self, core: Core, rules: RuleSet) -> None:
        self._core = core
        self._rules = rules
        self._folder = core.home.directory / FOLDER
        self._base: Path | None = None  # what this run began with stays until there is a signed one again

    def keep(self, engine: Engine, at: int) -> Kept | None:
        """Write the state after the entries below `at`. None: it could not be written, which is in the diagnostics."""
        whole = _Written(
            form=FORM,
            software=__version__,
            rules=self._rules.sha256,
            zone=time.tzname,
            size=at,
            root=subtree(self._core.log.nodes(), 0, at).hex(),
            engine=engine.state(),
        )
        data = msgspec.json.encode(whole)
        path = self._folder / f"state-{at:012}.json"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_durably(path, data)
            for old in self._files()[_NEWEST:]:
                if old != self._base:
                    old.unlink(missing_ok=True)
        except (OSError, ConsoleError) as error:
            self._core.incidents.note("watch: what was learned cannot be kept", error)
            return None
        return Kept(at, hashlib.sha256(data).hexdigest())

    def find(self, since: int) -> Found | None:
        """The newest state that the log vouches for, of entries below `since` or fewer; None: there is none."""
        core = self._core
        try:
            files = self._files()[:MOST_FILES]
            if not files or not core.log.last_checkpoint:
                return None
            head, _ = verify_note(core.log.last_checkpoint, core.vkey)
            named = _named(core, head)
            for path in files:
                found = self._fits(path, named, since)
                if found is not None:
                    self._base = path
                    return found
        except (OSError, ConsoleError, msgspec.DecodeError) as error:
            core.incidents.note("watch: what was kept is not used", error)
        return None

    def _files(self) -> list[Path]:
        """The newest first."""
        return sorted(self._folder.glob("state-*.json"), reverse=True) if self._folder.is_dir() else []

    def _fits(self, path: Path, named: set[str], since: int) -> Found | None:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest not in named:
            return None  # nothing of it is looked at before the log vouches for it
        whole = msgspec.json.decode(data, type=_Written)
        if (whole.form, whole.software, whole.rules) != (FORM, __version__, self._rules.sha256):
            return None
        log = self._core.log
        if whole.zone != time.tzname or not 0 < whole.size <= min(since, log.size):
            return None
        if subtree(log.nodes(), 0, whole.size).hex() != whole.root:
            return None
        return Found(Kept(whole.size, digest), whole.engine)


def _named(core: Core, head: Checkpoint) -> set[str]:
    """Digests of states that signed heartbeats name. head: what the newest checkpoint says, its signature verified."""
    with core.reading() as conn:
        query = "SELECT seq FROM entry_row WHERE kind = 'heartbeat' AND seq >= ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        rows = conn.execute(query, (pruned_below(conn), head.size, MOST_BEATS)).fetchall()
    found: set[str] = set()
    for (seq,) in rows:
        digest = _digest(core.log, seq)
        if digest and digest not in found:
            proof = core.log.inclusion(seq, head.size)
            verify_inclusion(leaf_hash(core.log.body(seq)), seq, head.size, proof, head.root)
            found.add(digest)
    return found


def _digest(log: AuditLog, seq: int) -> str:
    event = ocsf.decode(log.body(seq)).event
    return event.state_sha256 if isinstance(event, ev.Heartbeat) else ""
