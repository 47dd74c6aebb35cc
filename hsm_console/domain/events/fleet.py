"""Events of several devices: who belongs to the workspace, how they are, what comparing them found."""

from __future__ import annotations

from hsm_console.domain.events.base import Event


class MemberAdded(Event, frozen=True, kw_only=True, tag="device-added"):
    """A further device. The list in force is the fold over these; options say where its driver finds it."""

    name: str
    adapter: str
    label: str
    serial: str
    region: str = ""
    weight: int = 1
    simulated: bool = False
    model: str = ""
    options: dict[str, str] = {}


class MemberRemoved(Event, frozen=True, kw_only=True, tag="device-dropped"):
    """A device was taken off the list. Its keys stay in it."""

    name: str
    serial: str


class MemberUnlocked(Event, frozen=True, kw_only=True, tag="device-member-unlocked"):
    name: str
    serial: str
    lanes: int = 1


class MemberChanged(Event, frozen=True, kw_only=True, tag="device-changed-state"):
    """state: up, degraded, down, latched, locked. refused: calls that were refused since the last record."""

    name: str
    serial: str
    state: str
    was: str
    reason: str = ""
    text: str = ""
    refused: int = 0


class FleetCompared(Event, frozen=True, kw_only=True, tag="devices-compared"):
    """The keys of all unlocked devices were held side by side. Each finding: `device: label (id)`."""

    members: tuple[str, ...]
    keys: int
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
