"""What this machine lacks for a kind of HSM, found without loading its driver here: files, programs and groups are
looked at, and the driver is tried in a worker process of its own."""

from __future__ import annotations

import grp
import os
import platform
import string
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import DeviceInfo
from hsm_console.hsm import drivers, registry, vendors
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

SIMULATION = {"title": "Simulation (keys are files; protects nothing)", "simulated": True, "untested": False}
_NAMED = {
    "option": "the option “module”",
    "environment": "the environment",
    "profile": "the vendor's usual place",
    "folder": "a usual folder of libraries",
    "p11-kit": "p11-kit's list of modules",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `doctor`. state: ok, note or missing."""

    state: str
    what: str
    todo: str = ""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What `probe` answers. Times in milliseconds: worker until ready, and the median of random(32)."""

    info: DeviceInfo
    ready_ms: float
    round_trip_ms: float


def profiles() -> dict[str, dict[str, Any]]:
    """All profiles by adapter, the simulation's too."""
    return {"simulation": SIMULATION, **vendors.by_id()}


def driver_of(adapter: str, profile: Mapping[str, Any], option: str = "") -> str:
    """The driver that would be used; empty when there is none."""
    found = drivers.first(drivers.places(adapter, profile.get("modules", ()), option, os.environ))
    return found.path if found else ""


def probe(binding: Binding) -> Probe:
    """Open a worker and ask. Raises what the adapter raises."""
    began = time.perf_counter()
    with HsmClient(binding) as client:
        info = client.describe()
        ready_ms = (time.perf_counter() - began) * 1000
        times = [_timed(client) for _ in range(9)] if info.initialised else [0.0]
    return Probe(info=info, ready_ms=ready_ms, round_trip_ms=sorted(times)[len(times) // 2])


def _timed(client: HsmClient) -> float:
    began = time.perf_counter()
    client.random(32)
    return (time.perf_counter() - began) * 1000


def pin_state(info: DeviceInfo) -> str:
    if info.user_pin_locked:
        return "locked"
    if info.user_pin_final_try:
        return "one try left before it locks"
    return "wrong PINs were tried" if info.user_pin_low else "no wrong tries"


def examine(binding: Binding) -> Iterator[Finding]:
    """What doctor finds, one line at a time. Never raises for what it looks for."""
    yield _machine()
    profile = profiles().get(binding.adapter)
    if binding.adapter not in registry.adapters() or profile is None:
        yield Finding(
            state="missing",
            what=f"there is no adapter “{binding.adapter}”",
            todo="Choose one of: " + ", ".join(registry.adapters()) + ".",
        )
        return
    driver = tuple(_driver(profile, binding)) if profile is not SIMULATION else ()
    yield from (*_untested(profile), *driver, *_needs(profile, binding), *_settings(profile, binding))
    if any(finding.state == "missing" for finding in driver):
        return
    try:
        answer = probe(binding)
    except ConsoleError as error:
        yield _failed(error, binding)
        return
    yield Finding(state="ok", what=f"the driver starts in a process of its own in {answer.ready_ms:.0f} ms")
    yield from _token(answer.info, binding.token_label)
    yield from _recipes(profile)


def _machine() -> Finding:
    if sys.platform != "linux":
        return Finding(state="note", what=f"workers are made for Linux; this is {platform.system()}")
    return Finding(state="ok", what=f"Linux {platform.machine()}, Python {platform.python_version()}")


def _untested(profile: Mapping[str, Any]) -> Iterator[Finding]:
    if profile.get("untested", True):
        yield Finding(
            state="note",
            what="this profile was written from the vendor's documents and never tried on the hardware",
            todo="Rehearse the whole ceremony on the device before the day.",
        )


def _driver(profile: Mapping[str, Any], binding: Binding) -> Iterator[Finding]:
    """The driver's file: where it is, whether it is one for this machine, and who may change it."""
    places = drivers.places(binding.adapter, profile.get("modules", ()), binding.options.get("module", ""), os.environ)
    found = drivers.first(places)
    if found is None:
        looked = ", ".join(place.path for place in places) or "nowhere: no module was named"
        yield Finding(
            state="missing", what=f"the driver is not on this machine; looked at {looked}", todo=_install(profile)
        )
        return
    path = Path(found.path)
    if why := drivers.unfit(path):
        todo = "Install the vendor's client software for this machine, or name another module."
        yield Finding(state="missing", what=f"the driver {path} cannot be used: {why}", todo=todo)
        return
    yield Finding(state="ok", what=f"the driver is {path}, found by {_NAMED[found.named]}")
    if exposed := drivers.exposed(path):
        yield Finding(
            state="note",
            what=f"others than the administrator may change {exposed}: whoever does can read every PIN",
            todo="Give the driver and its folders to root, writable by nobody else.",
        )


def _install(profile: Mapping[str, Any]) -> str:
    return str(profile.get("package_hint") or "Name the driver with --option module=PATH.")


def _needs(profile: Mapping[str, Any], binding: Binding) -> Iterator[Finding]:
    """Files, programs, groups and variables of the profile's `needs`."""
    for need in profile.get("needs", ()):
        names = [name for _, name, _, _ in string.Formatter().parse(need["name"]) if name]
        if any(not binding.options.get(name) for name in names):
            continue
        name = need["name"].format(**binding.options)
        if is_there(need["kind"], name):
            yield Finding(state="ok", what=f"{need['words']}: {name} is there")
        else:
            state = "missing" if need.get("required", True) else "note"
            yield Finding(state=state, what=f"{need['words']}: {name} is not there", todo=need["todo"])


def is_there(kind: str, name: str) -> bool:
    """Whether this machine has it: a `file` that can be read, a running `process`, a `group` of this user, or a
    variable of the `environment`."""
    if kind == "file":
        return os.access(name, os.R_OK)
    if kind == "environment":
        return bool(os.environ.get(name))
    if kind == "group":
        try:
            return os.getuid() == 0 or grp.getgrnam(name).gr_gid in os.getgroups()
        except KeyError:
            return False
    return any(_command(folder) == name[:15] for folder in Path("/proc").glob("[0-9]*"))


def _command(folder: Path) -> str:
    try:
        return (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # it has ended meanwhile
        return ""


def _settings(profile: Mapping[str, Any], binding: Binding) -> Iterator[Finding]:
    for name, words in profile.get("options", {}).items():
        state, given = ("ok", "is set") if name in binding.options else ("note", f"is not set: {words}")
        yield Finding(state=state, what=f"option “{name}” {given}")
    for name in binding.options:
        known = {*profile.get("options", {}), "module", "lanes", "user-type", "role", "iv"}
        if name not in known and not name.startswith("env."):
            yield Finding(state="note", what=f"option “{name}” means nothing to this adapter", todo="Is it misspelt?")
    for name, value in profile.get("environment", {}).items():
        known_value = all(binding.options.get(part) for _, part, _, _ in string.Formatter().parse(value) if part)
        if name in os.environ and not known_value:
            what = f"{name} is set here, but the application's own gateway does not hand it on"
            yield Finding(
                state="note", what=what, todo="Name it by the option above, or by the option env." + name + "."
            )
        elif known_value:
            yield Finding(state="ok", what=f"{name} will be {value.format(**binding.options)} for the driver")


def _failed(error: ConsoleError, binding: Binding) -> Finding:
    problem = error.problem
    facts = "; ".join(f"{name}: {value}" for name, value in problem.details.items() if value)
    todo = problem.todo
    if problem.code in ("token-missing", "token-ambiguous") and not binding.token_label:
        todo = "Name the token: --label NAME."
    elif problem.code == "token-ambiguous":
        todo = "Name the serial number: --serial NUMBER; or disconnect the others."
    return Finding(state="missing", what=f"{problem.what} ({facts})" if facts else problem.what, todo=todo)


def _token(info: DeviceInfo, label: str) -> Iterator[Finding]:
    if not info.initialised:
        named = f"no token is called “{label}”; there is an empty one" if label else "the token is empty"
        yield Finding(state="note", what=f"{named}; setting up a workspace initialises it")
    else:
        yield Finding(state="ok", what=f"the token “{info.label}” answers, serial number {info.serial}")
    if info.user_pin_locked:
        yield Finding(
            state="missing", what="the user PIN is locked", todo="The security officer unlocks it; do not initialise."
        )
    elif info.user_pin_final_try or info.user_pin_low:
        yield Finding(state="note", what=f"the user PIN: {pin_state(info)}")
    if not info.algorithms:
        yield Finding(state="note", what="the console makes no keys here; keys that are there can be used")
    for remark in info.remarks:
        yield Finding(state="note", what=remark)


def _recipes(profile: Mapping[str, Any]) -> Iterator[Finding]:
    """What the vendor's own tools do beside the console."""
    if recipe := profile.get("attestation"):
        what = f"keys are attested by the vendor's tool: {recipe['command']}. {recipe['proves']}"
        yield Finding(state="note", what=what, todo=f"Verify it without a network: {recipe['verify']}.")
    for name, words in (("audit_hint", "the device's own log"), ("cluster_hint", "several devices")):
        if hint := profile.get(name):
            yield Finding(state="note", what=f"{words}: {hint}")
