"""Where a vendor's driver module is, and whether it fits this machine: read from files, nothing is loaded.

Looked at in this order: the option `module`; the variable HSM_CONSOLE_MODULE_<ADAPTER>; the profile's own places; the
usual folders of libraries, by the same file names; the modules that p11-kit knows for all users. A person's own
p11-kit settings are not read: who can write there is not who may choose the driver.
"""

from __future__ import annotations

import os
import platform
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

P11_KIT = (Path("/etc/pkcs11/modules"), Path("/usr/share/p11-kit/modules"), Path("/usr/local/share/p11-kit/modules"))
_ELF_BYTES = 64
_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 21: "ppc64", 22: "s390x", 243: "riscv64"}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One place a driver may be. named: by what (`option`, `environment`, `profile`, `folder`, `p11-kit`)."""

    path: str
    named: str


def variable(adapter: str) -> str:
    """The environment variable that names an adapter's driver."""
    return "HSM_CONSOLE_MODULE_" + adapter.upper().replace("-", "_")


def folders() -> tuple[Path, ...]:
    """The usual folders of libraries on this machine."""
    triplet = f"/usr/lib/{platform.machine()}-linux-gnu"
    bases = ("/usr/lib", "/usr/lib64", triplet, "/usr/local/lib")
    return tuple(Path(base) / part for base in bases for part in ("", "pkcs11"))


def registered(p11_kit: Iterable[Path] = P11_KIT) -> tuple[Path, ...]:
    """Modules that p11-kit knows for all users (`module:` lines of its *.module files)."""
    found = []
    for folder in p11_kit:
        for path in sorted(folder.glob("*.module")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                name, colon, value = line.partition(":")
                if colon and name.strip() == "module":
                    module = Path(value.strip())
                    found += [module] if module.is_absolute() else [each / module for each in folders()]
    return tuple(found)


def places(adapter: str, modules: Iterable[str], option: str, environ: Mapping[str, str]) -> tuple[Place, ...]:
    """Every place in order. An option or a variable leaves nothing to look for: it is that one or none."""
    if option:
        return (Place(path=option, named="option"),)
    if chosen := environ.get(variable(adapter), ""):
        return (Place(path=chosen, named="environment"),)
    found: dict[str, Place] = {}
    for place in _all(tuple(modules)):
        found.setdefault(place.path, place)
    return tuple(found.values())


def _all(modules: tuple[str, ...]) -> Iterator[Place]:
    names = dict.fromkeys(Path(module).name for module in modules)
    for module in modules:
        yield Place(path=module, named="profile")
    for folder in folders():
        for name in names:
            yield Place(path=str(folder / name), named="folder")
    for path in registered():
        if path.name in names:
            yield Place(path=str(path), named="p11-kit")


def first(candidates: Iterable[Place]) -> Place | None:
    """The first place where a file is."""
    return next((place for place in candidates if Path(place.path).is_file()), None)


def unfit(path: Path) -> str:
    """Why this file is no driver for this machine, in words; empty when its header shows nothing against it."""
    try:
        with path.open("rb") as file:
            header = file.read(_ELF_BYTES)
    except OSError:
        return "it cannot be read or is empty"
    if not header:
        return "it cannot be read or is empty"
    if header[:4] != b"\x7fELF":
        return "it is no program library"
    if len(header) < _ELF_BYTES:
        return "it is cut off"
    bits = {1: "32-bit", 2: "64-bit"}.get(header[4], "unknown")
    order = ">" if header[5] == 2 else "<"
    machine = _MACHINES.get(struct.unpack(f"{order}H", header[18:20])[0], "another processor")
    if bits != "64-bit" or machine != platform.machine():
        return f"it is made for another machine ({machine}, {bits}; this one is {platform.machine()})"
    return ""


def exposed(path: Path) -> str:
    """Which part of the way to this file others may write: they could put a driver there that reads PINs. Else “”."""
    for each in (path.resolve(), *path.resolve().parents):
        try:
            found = each.stat()
        except OSError:
            continue
        shared = found.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if found.st_gid != 0 else 0))
        sticky = each.is_dir() and found.st_mode & stat.S_ISVTX
        if (shared and not sticky) or found.st_uid not in (0, os.getuid()):
            return str(each)
    return ""
