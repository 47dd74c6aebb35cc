"""`hsm-console adapter`: which kinds of HSM there are, what one offers, and what this machine lacks for it.

Modules are loaded in worker processes only. Nothing here logs in, makes a key or changes a device.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.cli import doctor
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.hsm import drivers, registry
from hsm_console.hsm.port import Binding


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One adapter of `list`. module: the driver that was found, empty when there is none on this machine; unfit: why
    that one cannot be used here."""

    name: str
    title: str
    module: str
    unfit: str = ""
    simulated: bool
    untested_on_hardware: bool


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
    profiles = doctor.profiles()
    return tuple(
        Row(
            name=name,
            title=str(profile.get("title", name)),
            module=module,
            unfit=drivers.unfit(Path(module)) if module else "",
            simulated=bool(profile.get("simulated", False)),
            untested_on_hardware=bool(profile.get("untested", True)),
        )
        for name in registry.adapters()
        for profile in (profiles.get(name, {}),)
        for module in (doctor.driver_of(name, profile),)
    )


def _list(args: argparse.Namespace) -> int:
    found = rows()
    if args.json:
        _print_json(found)
        return ExitCode.OK
    for row in found:
        here = "built in" if row.name == "simulation" else row.module or "no driver on this machine"
        here += f" · {row.unfit}" if row.unfit else ""
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


def _probe(args: argparse.Namespace) -> int:
    answer = doctor.probe(_binding(args))
    if args.json:
        _print_json(answer)
        return ExitCode.OK
    info = answer.info
    lines = {
        "token": f"{info.label} (serial {info.serial})" if info.initialised else "not initialised yet",
        "device": f"{info.vendor} {info.model}, firmware {info.firmware}",
        "keys": ", ".join(info.algorithms),
        "signatures": ", ".join(info.sign_mechanisms),
        "user PIN": doctor.pin_state(info),
        "times": f"ready after {answer.ready_ms:.0f} ms, 32 random bytes in {answer.round_trip_ms:.2f} ms",
    }
    for name, value in lines.items():
        print(f"{name:12} {value}")
    for remark in (*info.remarks, *(("This profile was never tried on the hardware.",) * info.untested_on_hardware)):
        print(f"{'note':12} {remark}")
    return ExitCode.OK


def _doctor(args: argparse.Namespace) -> int:
    found = tuple(doctor.examine(_binding(args)))
    if args.json:
        _print_json(found)
    else:
        for finding in found:
            print(f"{finding.state:8} {finding.what}" + (f"\n{'':8} → {finding.todo}" if finding.todo else ""))
    return ExitCode.ENVIRONMENT if any(finding.state == "missing" for finding in found) else ExitCode.OK


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
