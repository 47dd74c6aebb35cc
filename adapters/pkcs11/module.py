"""Loading a vendor's module: found, of this machine's kind, a PKCS#11 module, and told that several threads call it."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pkcs11._pkcs11
from pkcs11.exceptions import PKCS11Error

from adapters.pkcs11.errors import ckr_of, told
from adapters.pkcs11.profile import Hint, Profile
from adapters.pkcs11.raw import CkrError, RawModule
from adapters.problems import refused
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.hsm import drivers
from hsm_console.hsm.port import Binding

_VARIABLE = "env."


class Module:
    """One loaded module: `raw` for what python-pkcs11 does not do, `library` for the rest."""

    def __init__(self, path: Path, profile: Profile, reserved: bytes | None = None) -> None:
        self.path = path
        self._finalize = profile.finalize
        try:
            self.raw = RawModule(str(path), reserved=reserved)
        except OSError as error:
            raise _unusable(path, _reason(path, str(error)), str(error)) from error
        except AttributeError as error:
            raise _unusable(path, "it is no PKCS#11 module", "no C_GetFunctionList") from error
        except CkrError as error:
            raise _refused_to_start(path, ckr_of(error), profile) from error
        try:
            self.library = _library(self.raw)
        except (CkrError, PKCS11Error) as error:
            raise _refused_to_start(path, ckr_of(error), profile) from error

    def slots(self) -> list[Any]:
        with told("describe"):
            return list(self.library.get_slots(token_present=True))

    def restart(self) -> None:
        """C_Finalize and C_Initialize: some modules see a new token only then."""
        with contextlib.suppress(CkrError):
            self.raw.finalize()
        with told("open"):
            self.raw.initialize()

    def close(self) -> None:
        """Never unloads: objects of python-pkcs11 keep raw pointers. The process ends soon."""
        if self._finalize:
            with contextlib.suppress(CkrError):
                self.raw.finalize()


def _library(raw: RawModule) -> Any:
    """python-pkcs11's library object, whose C_Initialize and C_Finalize are ours (CKF_OS_LOCKING_OK)."""

    class LockingLibrary(pkcs11._pkcs11.lib):
        def initialize(self) -> None:
            raw.share(self)
            raw.initialize()

        def finalize(self) -> None:
            raw.finalize()

    return LockingLibrary(raw.path)


def prepare(profile: Profile, binding: Binding) -> None:
    """Environment and working directory as the module wants them, before it is loaded. What a vendor's module reads
    from the environment comes from the binding: the gateway hands on little of its own."""
    for name, value in profile.environment.items():
        with contextlib.suppress(KeyError):  # an option that was not given leaves the variable as it is
            os.environ[name] = value.format(**binding.options)
    for option, value in binding.options.items():
        if option.startswith(_VARIABLE):
            os.environ[_variable(option.removeprefix(_VARIABLE))] = value
    if directory := binding.options.get(profile.working_directory, ""):
        os.chdir(directory)


def _variable(name: str) -> str:
    """A variable that the option `env.NAME` sets. Raises InputError `option-unusable` for the loader's and Python's."""
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or name.startswith(("LD_", "PYTHON", "GCONV_")):
        raise refused("option-unusable", f"The option “{_VARIABLE}{name}” may not set that variable.", "Leave it out.")
    return name


def find(profile: Profile, binding: Binding) -> Path:
    """The module's path, in the order of `hsm_console.hsm.drivers`.

    Raises InputError `module-relative`; EnvironmentFault `module-missing` naming every place that was looked at.
    """
    chosen = binding.options.get("module", "") or os.environ.get(drivers.variable(profile.id), "")
    if chosen and not Path(chosen).is_absolute():
        raise refused("module-relative", "The path of a driver module must be absolute.", "Give the whole path.")
    places = drivers.places(profile.id, profile.modules, chosen, {})
    if found := drivers.first(places):
        return Path(found.path)
    hint = profile.package_hint or "Install the vendor's client software, or name the module with the option “module”."
    raise EnvironmentFault(
        Problem(
            code="module-missing",
            what=f"The driver for {profile.title} is not on this machine.",
            todo=hint,
            details={"looked_at": _in_words(places)},
        )
    )


def _in_words(places: tuple[drivers.Place, ...]) -> str:
    """The places that were named, and how many usual folders."""
    named = [place.path for place in places if place.named != "folder"]
    folders = len(places) - len(named)
    more = f"; and the usual folders of libraries ({folders} places)" if folders else ""
    return " ".join(named) + more if places else "nothing: the option “module” is not set"


def load(profile: Profile, binding: Binding) -> Module:
    """Prepare, find and load. Raises EnvironmentFault `module-missing`, `module-unusable`."""
    prepare(profile, binding)
    path = find(profile, binding)
    if why := drivers.unfit(path):  # before the loader runs anything of it
        raise _unusable(path, why, "read from its header")
    reserved = binding.options.get(profile.reserved, "").encode() or None
    return Module(path, profile, reserved)


def _reason(path: Path, text: str) -> str:
    """Why the loader refused, in words; its own text is for the details."""
    if why := drivers.unfit(path):
        return why
    if "cannot open shared object file" in text:
        return f"it needs a library that is missing: {text.split(':', 1)[0]}"
    return "the system's loader refuses it"


def _refused_to_start(path: Path, ckr: str, profile: Profile) -> EnvironmentFault:
    """The driver is one, but C_Initialize failed: mostly its configuration or a daemon is missing."""
    hint = profile.hints.get(f"open/{ckr}") or profile.hints.get(ckr) or Hint()
    return EnvironmentFault(
        Problem(
            code="module-unusable",
            what=f"The driver module cannot be used: it refused to start. {hint.what}".rstrip(),
            todo=hint.todo
            or "Check the driver's configuration and its daemon: `hsm-console adapter doctor` names them.",
            details={"module": str(path), "ckr": ckr},
        )
    )


def _unusable(path: Path, reason: str, detail: str) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="module-unusable",
            what=f"The driver module cannot be used: {reason}.",
            todo="Install the vendor's client software for this machine, or name another module.",
            details={"module": str(path), "detail": detail},
        )
    )
