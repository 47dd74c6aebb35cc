"""Opening sealed values for people: in memory, while the token is unlocked, in what is shown or written out.

The tables and the entries keep the digest in the value's place (ADR 0011). Here the values are put in: in a text, in a
struct, in an entry. What cannot be opened is said in words: `(sealed)` while there is no key, `(erased)` for ever.
"""

from __future__ import annotations

import base64
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import msgspec

from hsm_console.audit import seal
from hsm_console.audit.disclosure import HIDDEN, MARK, MARKER, Disclosure
from hsm_console.audit.seal import DataKey, Recipient, SealedRow
from hsm_console.domain.errors import VerificationFailed

ERASED = "(erased)"
ALTERED = "(altered)"
_MOST_KEPT = 4096
_ENCODER = msgspec.json.Encoder()
_SEALED = re.compile(MARKER.pattern.encode())
T = TypeVar("T")
Borrow = Callable[[], AbstractContextManager[sqlite3.Connection]]
Unwrap = Callable[[str, bytes, str], DataKey]
"""(uid of the data key, wrapped, hex id of the recipient in the token) → the key. Raises what the token raises."""


class DataKeys:
    """Projection: every data key of the log, wrapped; and the key in the token that they are wrapped for."""

    name = "seal"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE data_key(uid TEXT PRIMARY KEY, recipient TEXT NOT NULL, wrapped TEXT NOT NULL) STRICT"
        )
        conn.execute("CREATE TABLE seal_key(seq INTEGER PRIMARY KEY, key_id TEXT NOT NULL, spki TEXT NOT NULL) STRICT")

    def apply(self, conn: sqlite3.Connection, recorded: Any) -> None:
        event = recorded.event
        tag = event.__struct_config__.tag
        if tag == "data-key-made":
            row = (event.data_key, event.recipient, event.wrapped)
            conn.execute("INSERT OR REPLACE INTO data_key VALUES (?,?,?)", row)
        elif tag == "seal-key-in-force":
            # a scheme stands before the key, so that tables of logs from before there were two can hold it
            spki = f"{event.scheme} {event.spki}" if event.scheme else event.spki
            conn.execute("INSERT INTO seal_key VALUES (?,?,?)", (recorded.seq, event.key_id, spki))


def key_in_force(conn: sqlite3.Connection) -> Recipient | None:
    """The newest key in the token that data keys are wrapped for."""
    row = conn.execute("SELECT key_id, spki FROM seal_key ORDER BY seq DESC LIMIT 1").fetchone()
    return _recipient(*row) if row else None


def recipient(conn: sqlite3.Connection, key_id: str) -> Recipient | None:
    """The key of this hex id, in force or before. Data keys that were wrapped for it are opened by it."""
    row = conn.execute("SELECT key_id, spki FROM seal_key WHERE key_id = ?", (key_id,)).fetchone()
    return _recipient(*row) if row else None


def _recipient(key_id: str, text: str) -> Recipient:
    scheme, _, spki = text.rpartition(" ")
    return Recipient(key_id, base64.b64decode(spki), seal.Scheme(scheme))


class Opener:
    """Puts values in the place of their digests. Thread-safe. Without keys it puts `(sealed)`."""

    def __init__(self, borrow: Borrow, chain_uid: str) -> None:
        self._borrow = borrow
        self._chain_uid = chain_uid
        self._lock = threading.Lock()
        self._unwrap: Unwrap | None = None
        self._keys: dict[str, DataKey] = {}
        self._values: dict[str, str] = {}

    @property
    def is_open(self) -> bool:
        return self._unwrap is not None

    def unlock(self, unwrap: Unwrap) -> None:
        with self._lock:
            self._unwrap = unwrap

    def lock(self) -> None:
        """Forget the keys and every value."""
        with self._lock:
            self._unwrap = None
            self._keys.clear()
            self._values.clear()

    def remember(self, key: DataKey) -> None:
        """A key that was just made: what it seals is read without asking the token. Only while unlocked."""
        with self._lock:
            if self._unwrap is not None:
                self._keys[key.uid] = key

    def forget(self) -> None:
        """Forget the values: some were erased."""
        with self._lock:
            self._values.clear()

    def text(self, text: str) -> str:
        """The text with every value that can be opened."""
        return MARKER.sub(lambda found: self._value(found[1]), text) if MARK in text else text

    def json(self, body: bytes) -> bytes:
        """JSON with every value that can be opened, each written as JSON writes it."""
        if MARK.encode() not in body:
            return body
        return _SEALED.sub(lambda found: _ENCODER.encode(self._value(found[1].decode()))[1:-1], body)

    def struct(self, value: T) -> T:
        """A struct, as it would be had nothing been sealed. Members that are no text keep their place."""
        if not has_sealed(value):
            return value
        kind: Any = type(value)
        return msgspec.convert(self._walk(msgspec.to_builtins(value)), kind)  # type: ignore[no-any-return]

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._walk(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._walk(item) for item in value]
        return value

    def disclosure(self, digest: str) -> Disclosure | None:
        """The disclosure with this digest; None when its row is gone or there is no key for it.

        Raises VerificationFailed `sealed-broken`, `disclosure-broken`; what the token raises.
        """
        with self._borrow() as conn:
            query = "SELECT digest, seq, key_id, sealed FROM disclosure WHERE digest = ?"
            row = conn.execute(query, (digest,)).fetchone()
        if row is None:
            return None
        key = self._key(row[2])
        return None if key is None else seal.open_row(key, self._chain_uid, SealedRow(*row))

    def _value(self, digest: str) -> str:
        with self._lock:
            known = self._values.get(digest)
        if known is not None:
            return known
        with self._borrow() as conn:
            here = conn.execute("SELECT 1 FROM disclosure WHERE digest = ?", (digest,)).fetchone()
        if here is None:
            return ERASED
        try:
            found = self.disclosure(digest)
        except VerificationFailed:
            return ALTERED
        if found is None:
            return HIDDEN
        with self._lock:
            if self._unwrap is not None:
                if len(self._values) >= _MOST_KEPT:
                    self._values.clear()
                self._values[digest] = found.value
        return found.value

    def _key(self, uid: str) -> DataKey | None:
        with self._lock:
            known, unwrap = self._keys.get(uid), self._unwrap
        if known is not None or unwrap is None:
            return known
        with self._borrow() as conn:
            row = conn.execute("SELECT recipient, wrapped FROM data_key WHERE uid = ?", (uid,)).fetchone()
        if row is None:
            return None
        key = unwrap(uid, base64.b64decode(row[1]), row[0])
        with self._lock:
            if self._unwrap is unwrap:
                self._keys[uid] = key
        return key


def has_sealed(value: Any) -> bool:
    """Whether digests stand in the place of values somewhere in it."""
    return _SEALED.search(_ENCODER.encode(value)) is not None


def looks_sealed(data: bytes) -> bool:
    """Whether bytes that came from outside look like a sealed value: such text would be opened for its writer."""
    return _SEALED.search(data) is not None
