"""`hsm-console adapter`: which kinds of HSM there are, what one offers, and what this machine lacks for it.

Modules are loaded in worker processes only. Nothing here logs in, makes a key or changes a device.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.hsm import registry
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

SIMULATION = {"title": "Simulation (keys are files; protects nothing)", "simulated": True, "untested": False}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One adapter of `list`. module: the driver that was found, empty when there is none on this machine."""

    name: str
    title: str
    module: str
    simulated: bool
    untested_on_hardware: bool


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


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("adapter", help="list, probe and examine adapters for HSMs")
    verbs = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    listing = verbs.add_parser("list", help="all adapters, and whether their driver is on this machine")
    listing.add_argument("--json", action="store_true", help="print JSON")
    for name, words in (("probe", "ask a token what it is and offers"), ("doctor", "tell what this machine lacks")):
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("adapter", metavar="ADAPTER")
        verb.add_argument("--label", default="", help="the token's name (CKA label)")
        verb.add_argument("--serial", default="", help="the token's serial number")
        verb.add_argument("--directory", default="", metavar="DIR", help="the token folder of a software adapter")
        verb.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="for example module=PATH")
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Exit 0: done, nothing missing. 3: something is missing. Raises ConsoleError for `probe`."""
    acts: dict[str, Callable[[argparse.Namespace], int]] = {"list": _list, "probe": _probe, "doctor": _doctor}
    return acts[args.act](args)


def rows() -> tuple[Row, ...]:
    """All adapters, by name."""
    profiles = _profiles()
    return tuple(
        Row(
            name=name,
            title=str(profile.get("title", name)),
            module=next((place for place in profile.get("modules", ()) if Path(place).is_file()), ""),
            simulated=bool(profile.get("simulated", False)),
            untested_on_hardware=bool(profile.get("untested", True)),
        )
        for name in registry.adapters()
        for profile in (profiles.get(name, {}),)
    )


def _profiles() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"simulation": SIMULATION}
    for path in resources.files("resources").joinpath("vendors").iterdir():
        if path.name.endswith(".toml"):
            profile = tomllib.loads(path.read_text(encoding="utf-8"))
            found[profile["id"]] = profile
    return found


def _list(args: argparse.Namespace) -> int:
    found = rows()
    if args.json:
        _print_json(found)
        return ExitCode.OK
    for row in found:
        here = "built in" if row.name == "simulation" else row.module or "no driver on this machine"
        notes = [
            note
            for note, holds in (("software", row.simulated), ("untested on hardware", row.untested_on_hardware))
            if holds
        ]
        print(f"{row.name:16} {row.title}\n{'':16} {here}{' · ' + ', '.join(notes) if notes else ''}")
    return ExitCode.OK


def _binding(args: argparse.Namespace) -> Binding:
    options = {}
    for option in args.option:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise InputError(
                Problem(
                    code="option-unusable",
                    what=f"“{option}” is no option: it must read NAME=VALUE.",
                    todo="For example: --option module=/usr/lib/vendor/pkcs11.so",
                    exit_code=ExitCode.USAGE,
                )
            )
        options[name] = value
    return Binding(
        adapter=args.adapter, token_label=args.label, serial=args.serial, directory=args.directory, options=options
    )


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


def _probe(args: argparse.Namespace) -> int:
    answer = probe(_binding(args))
    if args.json:
        _print_json(answer)
        return ExitCode.OK
    info = answer.info
    lines = {
        "token": f"{info.label} (serial {info.serial})" if info.initialised else "not initialised yet",
        "device": f"{info.vendor} {info.model}, firmware {info.firmware}",
        "keys": ", ".join(info.algorithms),
        "signatures": ", ".join(info.sign_mechanisms),
        "user PIN": _pin_state(info),
        "times": f"ready after {answer.ready_ms:.0f} ms, 32 random bytes in {answer.round_trip_ms:.2f} ms",
    }
    for name, value in lines.items():
        print(f"{name:12} {value}")
    for remark in (*info.remarks, *(("This profile was never tried on the hardware.",) * info.untested_on_hardware)):
        print(f"{'note':12} {remark}")
    return ExitCode.OK


def _pin_state(info: DeviceInfo) -> str:
    if info.user_pin_locked:
        return "locked"
    if info.user_pin_final_try:
        return "one try left before it locks"
    return "wrong PINs were tried" if info.user_pin_low else "no wrong tries"


def examine(binding: Binding) -> Iterator[Finding]:
    """What doctor finds, one line at a time. Never raises for what it looks for."""
    yield _machine()
    profile = _profiles().get(binding.adapter)
    if binding.adapter not in registry.adapters() or profile is None:
        yield Finding(
            state="missing",
            what=f"there is no adapter “{binding.adapter}”",
            todo="Choose one of: " + ", ".join(registry.adapters()) + ".",
        )
        return
    yield from _settings(profile, binding)
    try:
        answer = probe(binding)
    except ConsoleError as error:
        problem = error.problem
        facts = "; ".join(f"{name}: {value}" for name, value in problem.details.items())
        yield Finding(state="missing", what=f"{problem.what} ({facts})" if facts else problem.what, todo=problem.todo)
        return
    yield Finding(state="ok", what=f"the driver starts in a process of its own in {answer.ready_ms:.0f} ms")
    yield from _token(answer.info)


def _machine() -> Finding:
    if sys.platform != "linux":
        return Finding(state="note", what=f"workers are made for Linux; this is {platform.system()}")
    return Finding(state="ok", what=f"Linux {platform.machine()}, Python {platform.python_version()}")


def _settings(profile: dict[str, Any], binding: Binding) -> Iterator[Finding]:
    if profile.get("untested", True):
        yield Finding(
            state="note",
            what="this profile was written from the vendor's documents and never tried on the hardware",
            todo="Rehearse the whole ceremony on the device before the day.",
        )
    for name, words in profile.get("options", {}).items():
        state, given = ("ok", "is set") if name in binding.options else ("note", f"is not set: {words}")
        yield Finding(state=state, what=f"option “{name}” {given}")
    for name in profile.get("environment", {}):
        if name in os.environ:
            yield Finding(state="ok", what=f"{name} is set in the environment")


def _token(info: DeviceInfo) -> Iterator[Finding]:
    if not info.initialised:
        yield Finding(state="note", what="the token is empty; setting up a workspace initialises it")
    else:
        yield Finding(state="ok", what=f"the token “{info.label}” answers, serial number {info.serial}")
    if info.user_pin_locked:
        yield Finding(
            state="missing", what="the user PIN is locked", todo="The security officer unlocks it; do not initialise."
        )
    elif info.user_pin_final_try or info.user_pin_low:
        yield Finding(state="note", what=f"the user PIN: {_pin_state(info)}")
    if not info.algorithms:
        yield Finding(state="missing", what="the token offers no kind of key that the console makes", todo="")
    for remark in info.remarks:
        yield Finding(state="note", what=remark)


def _doctor(args: argparse.Namespace) -> int:
    found = tuple(examine(_binding(args)))
    if args.json:
        _print_json(found)
    else:
        for finding in found:
            print(f"{finding.state:8} {finding.what}" + (f"\n{'':8} → {finding.todo}" if finding.todo else ""))
    return ExitCode.ENVIRONMENT if any(finding.state == "missing" for finding in found) else ExitCode.OK


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
