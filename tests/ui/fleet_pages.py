"""Modules as the gateway tells of them, in the memory of the test; and the pages that show them, for the gallery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import samples as s
from places import MISSING, PINS, device, hardware

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.devices import CallMetric, ClusterKey, DeviceRow, FleetView
from hsm_console.domain.messages.session import DeviceState

MAY = frozenset({"change", "lock", "compare"})
CALLS = (
    CallMetric(call="sign", count=1204, failed=2, p50_ms=1.91, p99_ms=7.4),
    CallMetric(call="describe", count=88, failed=0, p50_ms=0.22, p99_ms=0.9),
)
GONE = Problem(
    code="device-gone",
    what="“geneva” does not answer any more.",
    key_state="Its keys are where they were: in it. Copies on other modules are used meanwhile.",
    todo="Look at its cable and its power, then ask it.",
)


def row(name: str = "primary", **more: Any) -> DeviceRow:
    base: dict[str, Any] = {
        "name": name, "adapter": "softhsm", "label": f"token-{name}", "serial": "5a3f2c8e91d04b7f",
        "vendor": "SoftHSM project", "model": "SoftHSM v2", "firmware": "2.6",
        "region": "eu-zurich", "primary": name == "primary", "state": "up",
        "unlocked": True, "lanes": 4, "took_ms": 1.24, "checked_ms": s.NOW, "last_change_ms": s.NOW - 86_400_000,
        "calls": CALLS, "keys": 12,
    }  # fmt: skip
    return DeviceRow(**(base | more))


def only(**more: Any) -> FleetView:
    more = {"label": "rehearsal", "adapter": "simulation", "simulated": True, "region": ""} | more
    return FleetView(devices=(row(**more),))


def fleet(*rows: DeviceRow, keys: tuple[ClusterKey, ...] = ()) -> FleetView:
    found = rows or (
        row(),
        row("zurich-2", state="degraded", took_ms=812.4, waiting=7),
        row("geneva", state="down", region="eu-geneva", problem=GONE, took_ms=0.0),
        row("oslo", state="latched", region="eu-north", weight=0),
        row("bern", unlocked=False, region="eu-bern", keys=-1, calls=()),
    )
    return FleetView(devices=found, keys=keys, compared_ms=s.NOW if keys else 0, region="eu-zurich")


def compared(label: str, **more: Any) -> ClusterKey:
    base = {"object_id": "a1" * 16, "fingerprint": s.FINGERPRINT, "label": label, "algorithm": "ec-p384",
            "members": ("primary", "zurich-2"), "how": "It may be copied under a wrapping key."}  # fmt: skip
    return ClusterKey(**(base | more))


def findings() -> tuple[ClusterKey, ...]:
    return (
        compared("ceo-identity-2026"),
        compared("invoice-signing-01", members=("primary",), missing=("zurich-2",), replicable=True),
        compared("payroll-files", algorithm="aes-256", fingerprint="", members=("primary",), different=("zurich-2",)),
        compared("unknown", members=("zurich-2",), foreign=True, how="No entry of the log knows it."),
    )


def simple() -> dict[str, Callable[[], Any]]:
    """name → maker of a page."""
    from ui.devices.changing import AddPage, RemovePage
    from ui.devices.comparing import ComparePage
    from ui.devices.few import FewAttemptsPage
    from ui.devices.fleet import FleetPage
    from ui.devices.page import DevicePage
    from ui.devices.words import pin_state

    def one(row_: DeviceRow, state: DeviceState | None = None, *, alone: bool = False) -> DevicePage:
        page = DevicePage(row_, alone=alone, may=MAY)
        if state is not None:
            page.show_state(state)
        return page

    def shown(page: Any, view: FleetView) -> Any:
        page.show_fleet(view)
        return page

    def chosen() -> ComparePage:
        page = shown(ComparePage(), fleet(keys=findings()))
        page.table.selectRow(0)
        return page

    def refused() -> AddPage:
        page = AddPage("softhsm")
        page.name.set_text("Zürich 2")
        page.main.button.click()
        return page

    alone = only().devices[0]
    locked = row(unlocked=False, label="rehearsal")
    return {
        "modules": lambda: shown(FleetPage(MAY), fleet()),
        "modules-asking": lambda: FleetPage(MAY),
        "modules-reader": lambda: shown(FleetPage(frozenset()), fleet(row(), row("zurich-2"))),
        "module-only": lambda: one(alone, device(unlocked=True), alone=True),
        "module-hardware": lambda: one(row(model="Luna 7", vendor="Thales", untested_on_hardware=True), hardware()),
        "module-locked": lambda: one(locked, hardware(**PINS["low"])),
        "module-missing": lambda: one(row(state="down", unlocked=False, problem=MISSING)),
        "module-degraded": lambda: one(fleet().devices[1]),
        "module-add": lambda: AddPage("softhsm"),
        "module-add-wrong": refused,
        "module-remove": lambda: RemovePage(fleet().devices[2]),
        "module-compare-none": lambda: shown(ComparePage(), fleet()),
        "module-compare": chosen,
        "module-few-attempts": lambda: FewAttemptsPage(pin_state(hardware(**PINS["final-try"]).device)),
    }
