"""The devices of the workspace over the wire: list, add, take off, probe, unlock, lock, compare."""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.devices import AddDevice, CallMetric, DeviceRow, FleetView
from hsm_console.domain.messages.session import Unlock
from hsm_console.domain.secret import Secret
from hsm_console.gateway.app import Call, Route, not_found
from hsm_console.gateway.core import Core
from hsm_console.gateway.device_problems import wrong_serial
from hsm_console.gateway.fleet import Fleet, Place
from hsm_console.gateway.member import Member
from hsm_console.gateway.member_rows import PRIMARY, MemberRow
from hsm_console.gateway.services.comparing import Comparison
from hsm_console.policy.environment import check_token
from hsm_console.policy.roles import Action

MOST_DEVICES = 16
MOST_WEIGHT = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Devices:
    """Handlers under /v1/devices. on_unlock: run after a further device was unlocked."""

    def __init__(self, core: Core, fleet: Fleet, on_unlock: Callable[[], None] = lambda: None) -> None:
        self._core = core
        self._fleet = fleet
        self._comparison = Comparison(core, fleet)
        self._on_unlock = on_unlock
        self._lock = threading.Lock()  # one change of the list after the other

    def routes(self) -> tuple[Route, ...]:
        all_of, one = "/v1/devices", "/v1/devices/{name}"
        a = Action
        return (
            Route("GET", all_of, self.listed, FleetView, action=a.READ_KEYS),
            Route("POST", all_of, self.add, DeviceRow, body=AddDevice, action=a.MANAGE_DEVICES),
            Route("POST", f"{all_of}/comparison", self.compare, FleetView, action=a.READ_LOG),
            Route("DELETE", one, self.remove, FleetView, action=a.MANAGE_DEVICES),
            Route("POST", f"{one}/probe", self.probe, DeviceRow, action=a.LOCK_DEVICE),
            Route("POST", f"{one}/unlock", self.unlock, DeviceRow, body=Unlock, action=a.UNLOCK_DEVICE),
            Route("POST", f"{one}/lock", self.lock, DeviceRow, action=a.LOCK_DEVICE),
        )

    # -- looking --------------------------------------------------------------------------------------------------

    def listed(self, call: Call) -> FleetView:
        """Every device as it is known now; no device is asked"""
        return self._view()

    def _view(self) -> FleetView:
        rows = (self._primary_row(), *(self._member_row(member) for member in self._fleet.members))
        found = self._comparison.last
        return FleetView(devices=rows, keys=found.keys, compared_ms=found.time_ms, region=self._fleet.region)

    def compare(self, call: Call) -> FleetView:
        """Read the keys of every unlocked device and hold them side by side; what was found is recorded"""
        self._comparison.run(call.session)
        return self._view()

    def _primary_row(self) -> DeviceRow:
        core, place = self._core, self._fleet.primary
        token, state = core.file.token, core.device.state()
        return self._row(
            place,
            adapter=token.adapter,
            label=token.label,
            serial=token.serial,
            simulated=token.simulated,
            primary=True,
            state=place.health.value,
            problem=state.problem,
        )

    def _member_row(self, member: Member) -> DeviceRow:
        row, state = member.row, member.state
        return self._row(
            member,
            adapter=row.adapter,
            label=row.label,
            serial=row.serial,
            simulated=row.simulated,
            state="up" if state == "locked" else state,
            problem=member.problem,
        )

    def _row(
        self,
        place: Place,
        *,
        adapter: str,
        label: str,
        serial: str,
        simulated: bool,
        state: str,
        problem: Problem | None,
        primary: bool = False,
    ) -> DeviceRow:
        pool, info = place.station.pool, place.station.info
        status = pool.status if pool is not None else None
        return DeviceRow(
            name=place.name,
            adapter=adapter,
            label=label,
            serial=serial,
            vendor=info.vendor if info else "",
            model=info.model if info else "",
            firmware=info.firmware if info else "",
            region=place.region,
            weight=place.weight,
            primary=primary,
            state=state,
            unlocked=place.unlocked,
            waiting=status.waiting if status else 0,
            lanes=place.lanes,
            took_ms=round(status.took_ms, 3) if status else 0.0,
            checked_ms=status.checked_ms if status else 0,
            last_change_ms=status.changed_ms if status else 0,
            busy_with=status.busy_with if status else "",
            untested_on_hardware=info.untested_on_hardware if info else False,
            simulated=simulated,
            calls=tuple(
                CallMetric(call=f.call, count=f.count, failed=f.failed, p50_ms=f.p50_ms, p99_ms=f.p99_ms)
                for f in (pool.metrics.figures() if pool is not None else ())
            ),
            keys=self._comparison.last.counts.get(place.name, -1),
            problem=problem or (status.problem if status else None),
        )

    # -- acting ---------------------------------------------------------------------------------------------------

    def add(self, call: Call) -> DeviceRow:
        """Put a device on the list; it must answer now, and is held to its serial from then on"""
        wish: AddDevice = call.body
        with self._lock:
            self._check_wish(wish)
            member = self._fleet.made(_row_of(wish))
            try:
                info = member.station.describe(by_person=True)
                if not info.initialised:  # what answers is a blank token in its place: no serial to hold it to
                    raise _refused(
                        "device-blank",
                        f"There is no token “{wish.label}”; only a blank one answers.",
                        "Initialise the token first: with its maker's tool, or a software token with "
                        "`hsm-console device prepare`. Then add it.",
                    )
                if wish.serial and info.serial != wish.serial:
                    raise wrong_serial(wish.serial, info.serial, wish.name)
                self._check_serial(info.serial)
                check_token(self._core.environment, simulated=info.simulated)
            finally:
                member.station.close()
            event = ev.MemberAdded(
                name=wish.name,
                adapter=wish.adapter,
                label=wish.label,
                serial=info.serial,
                region=wish.region,
                weight=wish.weight,
                simulated=info.simulated,
                model=info.model,
                options=wish.options,
            )
            self._core.append(call.session, [Draft(event=event, actor=call.session.actor, critical=True)])
            held = self._fleet.made(_row_of(wish, serial=info.serial, simulated=info.simulated))
            self._fleet.join(held)
        held.probe()
        return self._member_row(held)

    def _check_wish(self, wish: AddDevice) -> None:
        if not _NAME.fullmatch(wish.name) or wish.name == PRIMARY:
            raise _refused(
                "device-name",
                f"“{wish.name[:40]}” cannot be a device's name: small letters, digits and hyphens, at most 32, "
                f"and not “{PRIMARY}”.",
                "Choose another name.",
            )
        if self._fleet.member(wish.name) is not None:
            raise _refused("device-known", f"There is a device “{wish.name}” already.", "Choose another name.")
        if not 0 <= wish.weight <= MOST_WEIGHT:
            raise _refused("device-weight", f"The weight lies between 0 and {MOST_WEIGHT}.", "Correct it.")
        if len(self._fleet.members) >= MOST_DEVICES:
            raise _refused("device-too-many", f"{MOST_DEVICES} further devices are the most.", "Take one off first.")
        if not wish.label or len(wish.label) > 64 or len(wish.region) > 64:
            raise _refused("device-label", "A token's label is needed; label and region have at most 64 characters.",
                           "Correct it.")  # fmt: skip

    def _check_serial(self, serial: str) -> None:
        taken = {self._core.file.token.serial: "the workspace's own token"}
        taken |= {member.row.serial: f"“{member.name}”" for member in self._fleet.members}
        if serial in taken:
            raise _refused(
                "device-known",
                f"The token that answers (serial {serial}) is on the list already: {taken[serial]}.",
                "Check the label, the driver and its options: they lead to the same token.",
            )

    def remove(self, call: Call) -> FleetView:
        """Take a device off the list; its keys stay in it, untouched"""
        with self._lock:
            member = self._member(call.params["name"])
            event = ev.MemberRemoved(name=member.name, serial=member.row.serial)
            self._core.append(call.session, [Draft(event=event, actor=call.session.actor, critical=True)])
            self._fleet.leave(member.name)
        member.close()
        return self._view()

    def probe(self, call: Call) -> DeviceRow:
        """Ask a device now; one that was left alone is given another chance by that"""
        if call.params["name"] == PRIMARY:
            return self._probe_primary()
        member = self._member(call.params["name"])
        member.probe(by_person=True)
        return self._member_row(member)

    def _probe_primary(self) -> DeviceRow:
        device = self._core.device
        try:
            device.station.describe(by_person=True)
        except ConsoleError as error:
            device.failed(error)
        device.look()
        return self._primary_row()

    def unlock(self, call: Call) -> DeviceRow:
        """Unlock one device with its own PIN; tried once, never repeated"""
        body: Unlock = call.body
        session, name = call.session, call.params["name"]
        with Secret(body.pin) as pin:
            if name == PRIMARY:
                self._core.device.unlock(session.actor, pin, session.source)
                return self._primary_row()
            member = self._member(name)
            member.unlock(session.actor, pin, session.source)
        self._on_unlock()
        return self._member_row(member)

    def lock(self, call: Call) -> DeviceRow:
        """Lock one device"""
        session, name = call.session, call.params["name"]
        if name == PRIMARY:
            self._core.device.lock(session.actor, session.source)
            return self._primary_row()
        member = self._member(name)
        member.lock(session.actor, session.source)
        return self._member_row(member)

    def _member(self, name: str) -> Member:
        member = self._fleet.member(name)
        if member is None:
            raise not_found(f"There is no device “{name[:40]}” on the list.")
        return member


def _row_of(wish: AddDevice, *, serial: str = "", simulated: bool = False) -> MemberRow:
    return MemberRow(
        name=wish.name,
        adapter=wish.adapter,
        label=wish.label,
        serial=serial or wish.serial,
        region=wish.region,
        weight=wish.weight,
        simulated=simulated,
        options=wish.options,
        seq=-1,
    )


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
