"""What a founding may be asked for: every bad wish is refused before anything is made, in exact words."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hsm_console.credential.passphrase import require_quality
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.keys import Algorithm, DeviceInfo
from hsm_console.domain.messages.setup import FoundingSpec
from hsm_console.domain.people import MAX_WORKSPACE_NAME, Person, Role, alike, is_printed_name, is_short_name
from hsm_console.domain.secret import Secret
from hsm_console.gateway.workspace import FILE
from hsm_console.hsm import vendors
from hsm_console.policy import environment as environments
from hsm_console.policy import roles
from hsm_console.policy.environment import Environment

LABEL = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,30}[\x21-\x7e])?")
MIN_PIN = 8
MAX_PIN = 64
MIN_ITERATIONS = 1_000  # as few as tests need; the message names what is usual
MAX_ITERATIONS = 20_000_000  # half a minute at each log-in
MIN_FREE_BYTES = 64 * 1024 * 1024


def check(spec: FoundingSpec) -> Environment:
    """The environment of the new workspace. Raises InputError, PolicyRefusal or EnvironmentFault, nothing was made."""
    environment = environments.load(spec.environment)
    _check_name(spec.name)
    if not LABEL.fullmatch(spec.token_label):
        raise refused("label-refused", "A token's label has 1 to 32 printable ASCII characters.", "Choose another.")
    _check_pin(spec.pin, "The PIN")
    if spec.so_pin or not vendors.takes_initialised(spec.adapter):
        _check_pin(spec.so_pin, "The security officer's PIN")
    if spec.so_pin == spec.pin:
        raise refused("pin-too-weak", "The two PINs are the same.", "Choose two different ones.")
    if not MIN_ITERATIONS <= spec.kdf_iterations <= MAX_ITERATIONS:
        what = f"{spec.kdf_iterations} rounds for the credential files are not between {MIN_ITERATIONS} and "
        raise refused("iterations-refused", f"{what}{MAX_ITERATIONS}.", "Leave the number out: 1,000,000 is usual.")
    _check_people(spec, environment)
    return environment


def _check_name(name: str) -> None:
    if not is_printed_name(name, MAX_WORKSPACE_NAME):
        raise refused(
            "name-refused", "A workspace needs a name of at most 100 ordinary characters.", "Type another one."
        )


def _check_pin(pin: str, what: str) -> None:
    rules = f"{MIN_PIN} to {MAX_PIN} printable ASCII characters, at least four of them different"
    if not MIN_PIN <= len(pin) <= MAX_PIN or not all("!" <= c <= "~" for c in pin) or len(set(pin)) < 4:
        raise refused("pin-too-weak", f"{what} is not accepted: it must have {rules}.", "Choose another one.")


def _check_people(spec: FoundingSpec, environment: Environment) -> None:
    uids = [founder.person.uid for founder in spec.people]
    if len(set(uids)) != len(uids):
        raise refused("person-twice", "Two people have the same short name.", "Give each person one of her own.")
    passphrases = [founder.passphrase for founder in spec.people]
    if environment.production and len(set(passphrases)) != len(passphrases):
        raise refused(
            "passphrase-shared", "Two people have the same passphrase.", "Each person chooses one of her own."
        )
    check_names([founder.person.name for founder in spec.people])
    held = {role for founder in spec.people for role in founder.roles}
    if Role.ADMINISTRATOR not in held:
        raise refused("administrator-missing", "Nobody is administrator.", "Give the role to one person at least.")
    if not held & set(environment.unlock.roles):
        needed = " or ".join(role.value for role in environment.unlock.roles)
        raise refused("unlocker-missing", f"Nobody could unlock the HSM: no {needed}.", "Enrol one at least.")
    for founder in spec.people:
        person = founder.person
        check_person(person, founder.roles)
        _check_passphrase(founder.passphrase, environment, person.name, person.uid)


def check_names(names: Sequence[str]) -> None:
    """Minutes name people by their printed names: two alike could not be told apart. Raises InputError `name-twice`."""
    seen: set[str] = set()
    for name in names:
        if alike(name) in seen:
            todo = "Add what tells them apart, as it shall stand in the minutes: a second name or a department."
            raise refused("name-twice", f"Two people are called “{name}”.", todo)
        seen.add(alike(name))


def check_person(person: Person, held: tuple[Role, ...]) -> None:
    """Raises InputError `uid-refused`, `name-refused`, `roles-refused`."""
    if not is_short_name(person.uid):
        what = f"“{person.uid}” cannot be a short name: small letters, digits, dots and dashes, at most 32."
        raise refused("uid-refused", what, "Choose another one, for example a.turing.")
    if not is_printed_name(person.name):
        what = f"The name of “{person.uid}” is not accepted: 1 to 64 characters in Unicode's composed form (NFC), "
        raise refused("name-refused", f"{what}without control or direction marks.", "Type it as on the minutes.")
    if not held or len(set(held)) != len(held):
        raise refused("roles-refused", f"{person.name} needs at least one role, each once.", "Choose the roles.")


def _check_passphrase(text: str, environment: Environment, name: str, uid: str) -> None:
    try:
        roles.check_passphrase(text, environment)
        with Secret(text) as secret:
            require_quality(secret, name, uid)
    except ConsoleError as error:
        problem = error.problem
        raise PolicyRefusal(
            Problem(
                code=problem.code,
                what=f"{name}: {problem.what[:1].lower()}{problem.what[1:]}",
                todo=problem.todo,
                contact=problem.contact,
                details={"person": uid},
                exit_code=problem.exit_code,
            )
        ) from None


def check_place(target: Path) -> None:
    """The folder can be made here. Raises InputError `workspace-exists`, `directory-not-empty`, EnvironmentFault."""
    if (target / FILE).exists():
        raise refused(
            "workspace-exists", f"There is a workspace at {target} already.", "Open it, or name another folder."
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise refused(
            "directory-not-empty", f"{target} is not an empty folder.", "Name a folder that does not exist yet."
        )
    parent = target.parent
    if not parent.is_dir():
        raise refused(
            "directory-missing", f"The folder {parent} does not exist.", "Make it first, or name another one."
        )
    if not os.access(parent, os.W_OK | os.X_OK) or os.statvfs(parent).f_flag & os.ST_RDONLY:
        raise EnvironmentFault(
            Problem(
                code="directory-not-writable",
                what=f"Nothing can be written in {parent}.",
                todo="Check the folder's owner and rights, and that the disk is not mounted read-only.",
                details={"path": str(parent)},
            )
        )
    disk = os.statvfs(parent)
    if disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES:
        raise EnvironmentFault(
            Problem(
                code="disk-full",
                what=f"The disk of {parent} has only {disk.f_bavail * disk.f_frsize // 1024 // 1024} MB left.",
                todo="Make room, or name a folder on another disk.",
                details={"path": str(parent)},
            )
        )


def check_device(info: DeviceInfo) -> None:
    """The device can hold the first keys. Raises EnvironmentFault `device-unfit`, before anything is made in it.

    A role that makes no keys shows none; what may be done about that is told when it tries to.
    """
    log_key = {Algorithm.ED25519, Algorithm.EC_P256} & set(info.algorithms)
    if info.algorithms and not (Algorithm.EC_P384 in info.algorithms and log_key):
        offered = ", ".join(each.value for each in info.algorithms)
        raise EnvironmentFault(
            Problem(
                code="device-unfit",
                what="A workspace cannot be founded on this device: its authority's key is of P-384, its log's key of "
                f"Ed25519 or P-256, and the device makes only: {offered}.",
                key_state="Nothing has been done to the device.",
                todo="Found the workspace on another device, and add this one to it for the keys that it does make.",
            )
        )


def check_blank(spec: FoundingSpec) -> None:
    """A token that nobody has initialised needs a security officer's PIN. Raises InputError `so-pin-missing`."""
    if not spec.so_pin:
        what = f"The token “{spec.token_label}” is not initialised, and no security officer's PIN was given."
        todo = "Give one, so that the console initialises the token; or initialise it with its maker's tool first."
        raise refused("so-pin-missing", what, todo)


def refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
