"""The audit log: what is appended here is durable, chained, in the tree, and in due time signed (AUDIT 2 to 4).

Threads: every method may be called from any thread. Callers of `append` that meet are committed in one
transaction: whoever gets the write lock commits for all that wait (group commit without a hand-over for one).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hsm_console.audit import ocsf, opening, projection, reading, retention, store, tiles
from hsm_console.audit.checkpoint import CheckpointSigner
from hsm_console.audit.heads import Heads
from hsm_console.audit.seal import Sealer
from hsm_console.audit.tree import Nodes, inclusion_proof, leaf_hash
from hsm_console.audit.turns import Turn, Turns, again
from hsm_console.audit.view import Evidence, LogView
from hsm_console.domain.clock import Clock
from hsm_console.domain.errors import Problem
from hsm_console.domain.events import CeremonyOpened, Draft, LogCreated, PolicyInForce, Recorded
from hsm_console.domain.ids import uuid7
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.messages.audit import Head

Expect = Callable[[sqlite3.Connection], None]
"""Runs inside the transaction before anything is inserted; raises a ConsoleError to refuse."""


class _Request(Turn):
    """One call of `append` on its way through a shared transaction."""

    __slots__ = ("drafts", "error", "expect", "records")

    def __init__(self, drafts: Sequence[Draft], expect: Expect | None) -> None:
        super().__init__()
        self.drafts = drafts
        self.expect = expect
        self.records: tuple[Recorded, ...] = ()
        self.error: BaseException | None = None


class _State(msgspec.Struct):
    """What is committed: the tree's edge, the last entry's fingerprint, its kind."""

    edge: tiles.Edge
    fingerprint: str
    last_kind: str


class AuditLog(LogView):
    """The one writer of a log. Make it with `open` or `create_log`; end it with `close`. heads: what is signed."""

    def __init__(self, path: Path, chain_uid: str, clock: Clock, projections: Sequence[projection.Projection]) -> None:
        self.path = path
        self.chain_uid = chain_uid
        self._clock = clock
        self._projections = (projection.EntryRows(), *projections)
        self._turns: Turns[_Request] = Turns()
        self._write_lock = threading.Lock()
        self._grown = threading.Condition()
        self._lock = store.WriterLock(path)
        super().__init__(reading.LogReader(path))
        self._conn: sqlite3.Connection | None = None
        self._state = _State(tiles.Edge(), "", "")
        self._device: DeviceInfo | None = None
        self.sealer: Sealer | None = None  # whoever sets it has written the event of its key before
        self._scripts: dict[str, str] = {}
        self.heads = Heads(clock, self._edge, self.nodes, self._store)
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, *, chain_uid: str, clock: Clock, projections: Sequence[projection.Projection] = ()
    ) -> AuditLog:
        """Open an existing log for writing.

        Raises EnvironmentFault log-missing, log-in-use, log-not-writable, log-damaged, disk-full; InputError
        log-foreign (another chain_uid); VerificationFailed log-changed when tail, tiles and last checkpoint
        do not belong together.
        """
        log = cls(path, chain_uid, clock, projections)
        if not path.is_file():
            raise store.missing(path)
        log._lock.take()
        try:
            log._load(first=True)
        except BaseException:
            log.close()
            raise
        return log

    # -- writing ----------------------------------------------------------------------------------------

    def append(
        self, drafts: Sequence[Draft], expect: Expect | None = None, *, sign: bool = True
    ) -> tuple[Recorded, ...]:
        """Write events; they are durable on return, in one transaction, chained in the order given.

        expect is called inside the transaction and may refuse by raising. sign False: a due checkpoint waits for
        the caller's `sign_due`. Raises InputError canon-refused, EnvironmentFault disk-full or log-not-writable; after
        any of them nothing was written and the log is usable as soon as its cause is gone. Signing never fails it.
        """
        request = _Request(drafts, expect)
        self._turns.take(request, self._commit)
        if request.error is not None:
            raise request.error
        if request.records and sign:
            self.heads.after_append(request.records[-1].seq + 1, critical=any(item.critical for item in drafts))
        return request.records

    def _commit(self, batch: list[_Request]) -> None:
        """One transaction for all callers that wait. Their errors go to them; nothing is raised but interrupts."""
        with self._write_lock:
            self._commit_locked(batch)

    def _commit_locked(self, batch: list[_Request]) -> None:
        try:
            conn = self._usable()
            with store.told(self.path):
                state = self._write_batch(conn, batch)
        except BaseException as fault:
            self._give_up()
            for request in batch:
                request.records = ()
                request.error = again(fault)
            if not isinstance(fault, Exception):
                raise
        else:
            self._state = state
            with self._grown:
                self._grown.notify_all()

    def _write_batch(self, conn: sqlite3.Connection, batch: list[_Request]) -> _State:
        """Who is refused half way is taken out and the others are written anew: rarer than a SAVEPOINT is dear."""
        while True:
            state = _State(self._state.edge.copy(), self._state.fingerprint, self._state.last_kind)
            conn.execute("BEGIN IMMEDIATE")
            if all(self._tried(conn, request, state) for request in batch if request.error is None):
                conn.execute("COMMIT")
                return state
            conn.execute("ROLLBACK")

    def _tried(self, conn: sqlite3.Connection, request: _Request, state: _State) -> bool:
        """Whether the transaction can go on. One caller's refusal must not stop the others."""
        before = conn.total_changes
        try:
            request.records = self._write_request(conn, request, state)
            return True
        except sqlite3.Error:
            raise
        except Exception as refusal:  # noqa: BLE001 (it goes to the one whose it is)
            request.records, request.error = (), refusal
        return conn.total_changes == before

    def _write_request(self, conn: sqlite3.Connection, request: _Request, state: _State) -> tuple[Recorded, ...]:
        """Insert one caller's events and fold them in; `state` moves on only when all of it worked."""
        if self._closed:
            raise store.closed(self.path)
        if request.expect is not None:
            request.expect(conn)
        records: list[Recorded] = []
        leaves: list[bytes] = []
        fingerprint = state.fingerprint
        for draft in request.drafts:
            recorded, body = self._encode(conn, draft, state.edge.size + len(records), fingerprint)
            conn.execute("INSERT INTO entry VALUES (?, ?)", (recorded.seq, body))
            retention.carry_out(conn, recorded)
            for item in self._projections:
                item.apply(conn, recorded)
            records.append(recorded)
            leaves.append(leaf_hash(body))
            fingerprint = recorded.fingerprint
        for leaf in leaves:
            for full in state.edge.push(leaf):
                conn.execute("INSERT INTO tile VALUES (?, ?, ?)", full)
        if records:
            state.fingerprint = fingerprint
            state.last_kind = str(records[-1].event.__struct_config__.tag)
        return tuple(records)

    def _encode(self, conn: sqlite3.Connection, draft: Draft, seq: int, previous: str) -> tuple[Recorded, bytes]:
        instant = self._clock.now()
        sealed = self.sealer.seal(draft, seq) if self.sealer else None
        if sealed is not None:
            draft = sealed.draft
            sealed.insert(conn)
        uid = uuid7(instant.time_ms)
        around = ocsf.Surroundings(
            chain_uid=self.chain_uid,
            device=self._device,
            script_sha256=self._script_of(draft.event),
            sealed=sealed.members() if sealed is not None else {},
        )
        body = ocsf.encode(draft, seq, previous, instant, uid, around)
        recorded = Recorded(
            seq=seq,
            uid=uid,
            correlation=draft.correlation or uid,
            time_ms=instant.time_ms,
            actor=draft.actor,
            event=draft.event,
            fingerprint=hashlib.sha256(body).hexdigest(),
        )
        return recorded, body

    def _script_of(self, event: object) -> str:
        ceremony_id = getattr(event, "ceremony_id", "")
        if isinstance(event, CeremonyOpened):
            self._scripts[ceremony_id] = event.script_sha256
        return self._scripts.get(ceremony_id, "")

    def _usable(self) -> sqlite3.Connection:
        if self._closed:
            raise store.closed(self.path)
        return self._conn or self._load(first=False)

    def _give_up(self) -> None:
        """After a failed transaction nothing in memory is trusted: the next call opens the file anew."""
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # the connection is thrown away in any case
            finally:
                conn.close()

    def _load(self, *, first: bool) -> sqlite3.Connection:
        conn = store.connect_writer(self.path)
        try:
            with store.told(self.path):
                loaded = opening.load(conn, self.path, self.chain_uid)
                if first:
                    projection.prepare(conn, self._projections, loaded.edge.size)
        except BaseException:
            conn.close()
            raise
        self._conn = conn
        self._state = _State(loaded.edge, loaded.fingerprint, loaded.last_kind)
        self._scripts = loaded.scripts
        self._device = self._device or loaded.device
        self.heads.load(loaded.note)
        return conn

    def _store(self, *statements: store.Statement) -> None:
        """Keep a signed checkpoint, in a transaction of its own."""
        with self._write_lock:
            try:
                conn = self._usable()
                with store.told(self.path):
                    conn.execute("BEGIN IMMEDIATE")
                    for sql, values in statements:
                        conn.execute(sql, values)
                    conn.execute("COMMIT")
            except BaseException:
                self._give_up()
                raise

    # -- signing ----------------------------------------------------------------------------------------

    def set_device(self, device: DeviceInfo | None) -> None:
        """The token that entries name from now on (by default the one of entry 0)."""
        self._device = device

    def set_signer(self, signer: CheckpointSigner | None) -> None:
        """The log key after unlocking; None when locked again. Raises `foreign` when it is not this log's key."""
        self.heads.set_signer(signer)

    def checkpoint(self) -> str:
        """The signed note over all entries of now; signs one if there is none yet.

        Raises EnvironmentFault log-key-locked, the device's errors, VerificationFailed bad-proof when the tree
        does not continue what was signed before (nothing is signed then).
        """
        return self.heads.sign()

    def sign_due(self) -> None:
        """Sign what was appended with `sign=False`. May wait for a busy device. Never raises; see `sign_fault`."""
        self.heads.after_append(self.size, critical=True)

    def tick(self) -> None:
        """Once a second: signs when an entry waits for 60 s. Never raises; see `sign_fault`."""
        self.heads.tick()

    @property
    def sign_fault(self) -> Problem | None:
        """Why the last automatic checkpoint could not be signed; None when it could."""
        return self.heads.fault

    @property
    def last_checkpoint(self) -> str:
        """The newest signed note; empty when nothing is signed yet."""
        return self.heads.note

    @property
    def signed_size(self) -> int:
        return self.heads.size

    # -- reading ----------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        return self._state.edge.size

    def head(self) -> Head:
        state = self._state
        return Head(
            size=state.edge.size,
            checkpoint=self.heads.note,
            checkpoint_size=self.heads.size,
            last_kind=state.last_kind,
        )

    def root(self) -> bytes:
        """RFC 6962 root over all entries of now."""
        return self._state.edge.root()

    def wait(self, after: int, timeout_s: float) -> int:
        """Block until the log is longer than `after` or the time is over; the size then."""
        with self._grown:
            self._grown.wait_for(lambda: self.size > after or self._closed, timeout_s)
        return self.size

    def nodes(self) -> Nodes:
        """Access to the tree's perfect subtrees, for proofs."""
        return tiles.nodes(self._state.edge, self._reader.tile)

    def inclusion(self, seq: int, size: int) -> tuple[bytes, ...]:
        """Inclusion proof of entry seq in the tree of `size`. Raises InputError entry-missing."""
        if not 0 <= seq < size <= self.size:
            self.body(seq if seq >= self.size else self.size)  # says that it is not there
        return inclusion_proof(self.nodes(), seq, size)

    def evidence(self, seq: int) -> Evidence:
        """Everything a receipt of entry seq is made of; signs a checkpoint when none covers it yet.

        Raises InputError entry-missing; as `checkpoint` when signing is needed.
        """
        body = self.body(seq)
        if self.heads.size <= seq:
            self.checkpoint()
        head, seconds, note, signature = self.heads.signed_root()
        path = inclusion_proof(self.nodes(), seq, head.size)
        return Evidence(body=body, index=seq, head=head, seconds=seconds, note=note, path=path, signature=signature)

    def close(self) -> None:
        """Give the file and the lock back. Does not sign; a clean stop appends its event and signs before."""
        with self._write_lock:
            self._closed = True
            self._reader.close()  # before the writer: only the last connection's end folds the -wal file back
            self._give_up()
            self._lock.release()
        with self._grown:
            self._grown.notify_all()

    def _edge(self) -> tiles.Edge:
        return self._state.edge


def create_log(
    path: Path,
    *,
    chain_uid: str,
    clock: Clock,
    genesis: tuple[LogCreated, PolicyInForce],
    projections: Sequence[projection.Projection] = (),
) -> AuditLog:
    """A new log with its two genesis entries, durable in one step: it exists whole or not at all.

    Raises InputError log-exists; EnvironmentFault as `AuditLog.open`.
    """
    draft_path = path.with_name(path.name + ".new")
    for suffix in ("", "-wal", "-shm", store.LOCK_SUFFIX):
        draft_path.with_name(draft_path.name + suffix).unlink(missing_ok=True)
    if path.exists():
        raise store.exists(path)
    store.create(draft_path)
    draft = AuditLog(draft_path, chain_uid, clock, ())
    draft._lock.take()
    draft._conn = store.connect_writer(draft_path)
    projection.prepare(draft._conn, draft._projections, 0)
    draft.set_device(genesis[0].device)
    draft.append([Draft(event=genesis[0]), Draft(event=genesis[1])])
    draft.close()
    draft_path.with_name(draft_path.name + store.LOCK_SUFFIX).unlink()
    try:
        os.link(draft_path, path)  # unlike rename, never overwrites
    except FileExistsError:
        raise store.exists(path) from None
    draft_path.unlink()
    store.sync_folder(path.parent)
    return AuditLog.open(path, chain_uid=chain_uid, clock=clock, projections=projections)
