"""`hsm-console device …`: the devices of a workspace: list, prepare, add, remove, probe, unlock, lock, compare.

A device is unlocked for as long as its gateway runs: `unlock` and `lock` speak to a gateway that runs already.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from hsm_console.cli.terminal import Secrets, logged_in, usage
from hsm_console.client import devices, rendezvous
from hsm_console.client.session import Session
from hsm_console.domain.errors import EnvironmentFault, ExitCode, Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.messages.devices import AddDevice, ClusterKey, DeviceRow, FleetView
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

_WORDS = {
    "list": "every device: how it is, what waits, how long calls take",
    "prepare": "make a new software token (simulation or SoftHSM) in the workspace's folder, to be added afterwards",
    "add": "put a device on the list; it must answer, and is held to its serial from then on",
    "remove": "take a device off the list; its keys stay in it",
    "probe": "ask a device now; one that was left alone gets another chance",
    "unlock": "unlock a device with its own PIN; tried once",
    "lock": "lock a device",
    "compare": "read the keys of every unlocked device, hold them side by side, record what was found",
}
_NAMED = ("prepare", "add", "remove", "probe", "unlock", "lock")
_STATES = {
    "up": "works",
    "degraded": "works, but slowly or after failures",
    "down": "does not answer",
    "latched": "failed again and again: left alone until somebody probes or unlocks it",
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("device", help="the devices of a workspace")
    verbs = parser.add_subparsers(dest="device_verb", metavar="VERB", required=True)
    for name, words in _WORDS.items():
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("workspace", type=Path)
        if name in _NAMED:
            verb.add_argument("name", help="the device's name in this workspace")
        if name in ("prepare", "add"):
            verb.add_argument("--adapter", required=True, help="a name of `hsm-console adapter list`")
            verb.add_argument("--label", required=True, help="the token's label")
        if name == "add":
            _of_adding(verb)
        if name != "prepare":
            verb.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
        verb.add_argument("--secrets", choices=("-",), help="passphrase and PINs as JSON on standard input")
        verb.add_argument("--json", action="store_true")


def _of_adding(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--serial", default="", help="the serial it must have; empty: whatever it tells now")
    verb.add_argument("--region", default="", help="where it stands; devices of the gateway's own region go first")
    verb.add_argument("--weight", type=int, default=1, help="its share of the work; 0: only when no other can")
    verb.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="for the driver: module=…")


def run(args: argparse.Namespace) -> int:
    """Run one of them. Raises ConsoleErrors."""
    secrets = Secrets(from_stdin=args.secrets == "-")
    if args.device_verb == "prepare":
        info = _prepare(args, secrets)
        _tell(args, info, [f"The token “{info.label}” is made; its serial is {info.serial}. Add it now."])
        return ExitCode.OK
    if args.device_verb in ("unlock", "lock"):
        _require_running(args.workspace)
    with logged_in(args.workspace, args.credential, secrets) as session:
        found = _VERBS[args.device_verb](args, session, secrets)
    _tell(args, found, _view_lines(found) if isinstance(found, FleetView) else _row_lines(found))
    return ExitCode.OK


def _tell(args: argparse.Namespace, value: msgspec.Struct, lines: list[str]) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n" if args.json else "".join(f"{x}\n" for x in lines))


def _require_running(workspace: Path) -> None:
    if rendezvous.running(workspace) is None:
        raise EnvironmentFault(
            Problem(
                code="gateway-not-running",
                what="No gateway runs for this workspace; every device is locked then.",
                todo="Start it with `hsm-console gateway --workspace DIR`, or open the application.",
            )
        )


def _prepare(args: argparse.Namespace, secrets: Secrets) -> DeviceInfo:
    if args.adapter not in ("simulation", "softhsm"):
        raise usage("device-not-prepared-here", "A hardware module is set up with its maker's tools, and then added.")
    folder = args.workspace.absolute() / "devices" / args.name
    folder.mkdir(parents=True, exist_ok=True)
    binding = Binding(adapter=args.adapter, token_label=args.label, directory=str(folder))
    with (
        secrets.new("so_pin", "PIN of the security officer") as so_pin,
        secrets.new("pin", "PIN of the token") as pin,
        HsmClient(binding) as client,
    ):
        return client.initialise_token(args.label, so_pin, pin)


def _add(args: argparse.Namespace, session: Session, _secrets: Secrets) -> DeviceRow:
    options = {}
    for item in args.option:
        name, equals, text = item.partition("=")
        if not equals:
            raise usage("option-unreadable", f"“{item}” is not NAME=VALUE.")
        options[name] = text
    wish = AddDevice(
        name=args.name,
        adapter=args.adapter,
        label=args.label,
        serial=args.serial,
        region=args.region,
        weight=args.weight,
        options=options,
    )
    return devices.add(session, wish)


def _unlock(args: argparse.Namespace, session: Session, secrets: Secrets) -> DeviceRow:
    with secrets.get("pin", f"PIN of the device “{args.name}”") as pin:
        return devices.unlock(session, args.name, pin)


def _row_lines(row: DeviceRow) -> list[str]:
    door = "unlocked" if row.unlocked else "locked"
    kind = ", simulated" if row.simulated else ", untested on hardware" if row.untested_on_hardware else ""
    where = f", {row.region}" if row.region else ""
    lines = [f"{row.name}: {row.state} ({_STATES.get(row.state, row.state)}), {door}"]
    lines.append(f"  {row.label} (serial {row.serial}), {row.adapter}{kind}{where}, weight {row.weight}")
    if row.waiting or row.busy_with:
        lines.append(f"  {row.waiting} waiting{f', busy with {row.busy_with}' if row.busy_with else ''}")
    lines += [f"  {c.call}: {c.count} ({c.failed} failed), {c.p50_ms:.1f} ms, p99 {c.p99_ms:.1f} ms" for c in row.calls]
    return lines + ([f"  {line}" for line in row.problem.in_words().splitlines()] if row.problem else [])


def _view_lines(view: FleetView) -> list[str]:
    lines = [line for row in view.devices for line in _row_lines(row)]
    return lines + [line for key in view.keys for line in _key_lines(key)]


def _key_lines(key: ClusterKey) -> list[str]:
    said = [f"in {', '.join(key.members)}"] if key.members else ["in no device that is unlocked"]
    said += [f"missing in {', '.join(key.missing)}"] if key.missing else []
    said += [f"ANOTHER KEY in {', '.join(key.different)}"] if key.different else []
    said += ["UNKNOWN to the log"] if key.foreign else []
    lines = [f"“{key.label}” ({key.algorithm}, {key.object_id}): {'; '.join(said)}"]
    return lines + ([f"  {key.how}"] if key.missing or key.different or key.foreign else [])


_VERBS: dict[str, Callable[[argparse.Namespace, Session, Secrets], FleetView | DeviceRow]] = {
    "list": lambda _args, session, _: devices.listed(session),
    "add": _add,
    "remove": lambda args, session, _: devices.remove(session, args.name),
    "probe": lambda args, session, _: devices.probe(session, args.name),
    "unlock": _unlock,
    "lock": lambda args, session, _: devices.lock(session, args.name),
    "compare": lambda _args, session, _: devices.compare(session),
}
