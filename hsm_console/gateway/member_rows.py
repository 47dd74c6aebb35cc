"""The tables of further devices and of copies of keys in them: folds over the log (invariant 3)."""

from __future__ import annotations

import sqlite3

import msgspec

from hsm_console.domain import events as ev
from hsm_console.domain.events import Operation, Recorded
from hsm_console.gateway.workspace import DeviceTable

PRIMARY = "primary"
"""The workspace's own token among the names of devices."""
_ENCODER = msgspec.json.Encoder(order="deterministic")


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """A device of the list in force, as it was added in entry `seq`."""

    name: str
    adapter: str
    label: str
    serial: str
    region: str
    weight: int
    simulated: bool
    options: dict[str, str]
    seq: int

    def table(self) -> DeviceTable:
        """The same as workspace.toml has it."""
        return DeviceTable(
            name=self.name,
            adapter=self.adapter,
            label=self.label,
            serial=self.serial,
            region=self.region,
            weight=self.weight,
            options=self.options,
        )


class Members:
    """device_member: who is on the list. device_key: which keys were copied where, by the log's own word."""

    name = "device_member"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE device_member(name TEXT PRIMARY KEY, seq INTEGER NOT NULL, row BLOB NOT NULL) STRICT"
        )
        conn.execute(
            "CREATE TABLE device_key(device TEXT NOT NULL, object_id TEXT NOT NULL, seq INTEGER NOT NULL, "
            "PRIMARY KEY (device, object_id)) STRICT"
        )

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case ev.MemberAdded():
                row = _added(event, recorded.seq)
                conn.execute(
                    "INSERT OR REPLACE INTO device_member VALUES (?,?,?)", (row.name, row.seq, _ENCODER.encode(row))
                )
            case ev.MemberRemoved():
                conn.execute("DELETE FROM device_member WHERE name=?", (event.name,))
                conn.execute("DELETE FROM device_key WHERE device=?", (event.name,))
            case ev.OperationSucceeded() if event.operation in (Operation.REPLICATE, Operation.AGREE):
                partner = (event.source or PRIMARY,) if event.operation is Operation.AGREE else ()
                for name in (event.device, *partner):
                    row_of_key = (name, event.key_id, recorded.seq)
                    conn.execute("INSERT OR REPLACE INTO device_key VALUES (?,?,?)", row_of_key)
            case ev.OperationSucceeded() if event.operation is Operation.DESTROY and event.device:
                conn.execute("DELETE FROM device_key WHERE device=? AND object_id=?", (event.device, event.key_id))


def _added(event: ev.MemberAdded, seq: int) -> MemberRow:
    return MemberRow(
        name=event.name,
        adapter=event.adapter,
        label=event.label,
        serial=event.serial,
        region=event.region,
        weight=event.weight,
        simulated=event.simulated,
        options=event.options,
        seq=seq,
    )


def members(conn: sqlite3.Connection) -> tuple[MemberRow, ...]:
    """The list in force, in the order of adding."""
    rows = conn.execute("SELECT row FROM device_member ORDER BY seq")
    return tuple(msgspec.json.decode(row[0], type=MemberRow) for row in rows)


def copies(conn: sqlite3.Connection, device: str) -> frozenset[str]:
    """Hex CKA_IDs of the keys that this device got under a quorum: copies, and wrapping keys it agreed on."""
    rows = conn.execute("SELECT object_id FROM device_key WHERE device=?", (device,))
    return frozenset(row[0] for row in rows)
