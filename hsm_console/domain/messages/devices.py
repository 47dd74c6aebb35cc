"""Several devices on the wire: who they are, how they are, and which keys lie where."""

from __future__ import annotations

import msgspec

from hsm_console.domain.errors import Problem


class CallMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of call on one device since the gateway started. Times in milliseconds, waiting included."""

    call: str
    count: int
    failed: int
    p50_ms: float
    p99_ms: float


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device. primary: it carries the ceremony authority and the log key.

    state: `up`, `degraded` (slow, or a check failed), `down` (no answer), `latched` (failed again and again: it is
    left alone until a person probes or unlocks it). waiting: calls in its queue; took_ms: how long the last check
    took; busy_with: the ceremony step that holds it. keys: how many were seen at the last look, -1 when nobody looked.
    """

    name: str
    adapter: str
    label: str
    serial: str
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    region: str = ""
    weight: int = 1
    primary: bool = False
    state: str = "down"
    unlocked: bool = False
    waiting: int = 0
    lanes: int = 1
    took_ms: float = 0.0
    checked_ms: int = 0
    last_change_ms: int = 0
    busy_with: str = ""
    untested_on_hardware: bool = False
    simulated: bool = False
    calls: tuple[CallMetric, ...] = ()
    keys: int = -1
    problem: Problem | None = None


class ClusterKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the fleet. fingerprint: hex SHA-256 of the public key; secret keys have none.

    members: devices where it lies with this very public key; missing: unlocked devices without it; different: devices
    that hold another key under this id; foreign: no entry of the log knows it. replicable: it may leave its device
    under a wrapping key; how: what to do when it may not.
    """

    object_id: str
    fingerprint: str
    label: str
    algorithm: str
    members: tuple[str, ...]
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    foreign: bool = False
    replicable: bool = False
    how: str = ""


class FleetView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/devices. keys: as at the last comparison (compared_ms, 0: none yet); region: the gateway's own."""

    devices: tuple[DeviceRow, ...]
    keys: tuple[ClusterKey, ...] = ()
    compared_ms: int = 0
    region: str = ""


class AddDevice(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/devices. weight: share of the work among devices that hold a key (0: only when no other can).

    serial: empty takes the serial that the token tells now; it is held to that one from then on.
    """

    name: str
    adapter: str
    label: str
    serial: str = ""
    region: str = ""
    weight: int = 1
    options: dict[str, str] = {}
