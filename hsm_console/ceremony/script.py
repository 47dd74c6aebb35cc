"""Scripts of ceremonies: one TOML file each, read into structs that refuse every key they do not know (CEREMONY 2).

A script says what is said and done, never where: a PIN, a slot or a module path in it is refused. Its digest is
SHA-256 over the file's UTF-8 bytes; people approve that digest, and the log carries the whole text.
"""

from __future__ import annotations

import functools
import hashlib
import re
import tomllib
import unicodedata
from importlib.resources import files
from pathlib import Path

import msgspec

from hsm_console.crypto import words
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.keys import Algorithm, Usage
from hsm_console.domain.messages.ceremony import ScriptSummary, StepKind
from hsm_console.domain.people import Role

MAX_BYTES = 40 * 1024  # the text travels whole in one log entry, which may have 64 KiB
MAX_LOGGED_BYTES = 56 * 1024  # the same text as JSON, with its quotation marks escaped
_SITE_NAMES = {"pin", "so_pin", "user_pin", "password", "passphrase", "slot", "slot_id", "module", "module_path",
               "library", "library_path", "token_serial", "pkcs11"}  # fmt: skip
_SITE_VALUE = re.compile(
    r"pkcs11:|\.so\b|\.dll\b|\bCKU?_[A-Z]|/(usr|opt|lib|etc)/|\bslot\s*=?\s*\d|\bpin\b\W{0,4}\d{4}", re.IGNORECASE
)
_LINE_END = "\u240a"  # the visible sign for a line end: log entries hold no control characters
_KINDS = {"str": "a text in quotation marks", "int": "a whole number", "bool": "true or false", "float": "a number",
          "array": "a list in square brackets", "object": "a table", "datetime": "a date"}  # fmt: skip
_BIDI = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"}


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of the tables of a script."""


class Quorum(_Table, frozen=True, kw_only=True):
    """`needed` approvals by distinct persons out of a body of `of`, all seated in `role`."""

    needed: int
    of: int
    role: Role = Role.CUSTODIAN


class Parameter(_Table, frozen=True, kw_only=True):
    """What is chosen when the ceremony is opened: one of `choices` (first: the default) or text that fits `pattern`."""

    title: str
    choices: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""


class KeyWish(_Table, frozen=True, kw_only=True):
    """The key to make. algorithm and label: fixed text, or empty: from the parameter of that name."""

    usages: tuple[Usage, ...]
    algorithm: str = ""
    label: str = ""


class CertificateWish(_Table, frozen=True, kw_only=True):
    """The certificate of the new key. profile: see `lint.PROFILES`; subject: with placeholders, at most 64 signs."""

    profile: str
    subject: str
    days: int


class Step(_Table, frozen=True, kw_only=True):
    """One step. say: what is read aloud; commit: it cannot be undone; words: how many words a comparison asks for.

    facts: what is typed and recorded at the step, name → the question.
    """

    id: str
    phase: str
    kind: StepKind
    actor: Role
    title: str
    say: str
    expect: str
    button: str
    minutes: int
    evidence: str = ""
    clauses: tuple[str, ...] = ()
    commit: bool = False
    facts: dict[str, str] = {}
    words: int = 4


class Script(_Table, frozen=True, kw_only=True):
    """A whole ceremony. roles: role → how many must be seated at least; phases in their order."""

    id: str
    version: str
    title: str
    purpose: str
    roles: dict[Role, int]
    phases: tuple[str, ...]
    steps: tuple[Step, ...]
    quorum: Quorum
    parameters: dict[str, Parameter] = {}
    key: KeyWish | None = None
    certificate: CertificateWish | None = None
    continues: bool = False  # needs the receipt of the ceremony before it for the same key

    @property
    def minutes(self) -> int:
        """The time the script asks people for."""
        return sum(step.minutes for step in self.steps)

    def step(self, step_id: str) -> Step | None:
        return next((step for step in self.steps if step.id == step_id), None)


def digest(text: str) -> str:
    """Hex SHA-256 over the script's UTF-8 bytes: what people approve and what the log carries."""
    return hashlib.sha256(text.encode()).hexdigest()


def to_log(text: str) -> str:
    """The script as one line, as a log entry carries it: each line end as U+240A, which no script may contain."""
    return text.replace("\n", _LINE_END)


def from_log(line: str) -> str:
    """The script's exact text again; its digest is the approved one."""
    return line.replace(_LINE_END, "\n")


def spoken(sha256: str) -> str:
    """A hex digest as PGP words in one line."""
    return " ".join(words.encode(bytes.fromhex(sha256)))


@functools.lru_cache(maxsize=64)
def parse(text: str) -> Script:
    """The script in `text`. Raises InputError (`script-unreadable`, `script-names-site`) naming key and line."""
    _check_text(text)
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise unreadable(f"it is no TOML: {error}") from None
    _check_site(text, raw, "")
    try:
        return msgspec.convert(raw, Script)
    except (msgspec.ValidationError, RecursionError) as error:
        raise unreadable(_explained(text, str(error))) from None


def _check_text(text: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise unreadable(f"it is longer than {MAX_BYTES} bytes, more than one log entry carries")
    for number, line in enumerate(text.split("\n"), 1):
        bad = next(
            (c for c in line if c in _BIDI or c == _LINE_END or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")),
            None,
        )
        if bad is not None:
            raise unreadable(f"line {number} has the invisible character U+{ord(bad):04X}")
    if not unicodedata.is_normalized("NFC", text):
        raise unreadable("its text is not in Unicode normal form C")
    if len(msgspec.json.encode(to_log(text))) > MAX_LOGGED_BYTES:
        raise unreadable(
            f"written into the log it is longer than {MAX_LOGGED_BYTES} bytes, more than one entry carries"
        )


def _check_site(text: str, value: object, path: str) -> None:
    """A script never says where: no PIN, slot or module path (letsencrypt/boulder #8377)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            where = f"{path}.{key}" if path else key
            if key.lower().replace("-", "_") in _SITE_NAMES:
                raise _site(text, where)
            _check_site(text, inner, where)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_site(text, inner, f"{path}[{index}]")
    elif isinstance(value, str) and _SITE_VALUE.search(value):
        raise _site(text, path)


def _site(text: str, path: str) -> InputError:
    where = _place(text, path)
    return InputError(
        Problem(
            code="script-names-site",
            what=f"The script names a PIN, a slot or a module at {path}{where}. A script is separate from its site.",
            todo="Take it out. Device and key are found by the workspace's own binding.",
            contact="the author of the script",
            exit_code=ExitCode.USAGE,
        )
    )


def unreadable(why: str) -> InputError:
    """The script cannot be used; `why` names key and line."""
    return InputError(
        Problem(
            code="script-unreadable",
            what=f"The script cannot be used: {why}.",
            todo="Correct the file and run `hsm-console ceremony lint` on it again.",
            contact="the author of the script",
            exit_code=ExitCode.USAGE,
        )
    )


def _explained(text: str, message: str) -> str:
    """msgspec's message with the key's path in the file's own terms and the line it stands in."""
    reason, _, where = message.partition(" - at ")
    path = where.strip("`").removeprefix("$").lstrip(".")
    unknown = re.search(r"unknown field `([^`]+)`", reason)
    missing = re.search(r"missing required field `([^`]+)`", reason)
    if unknown:
        path = f"{path}.{unknown.group(1)}" if path else unknown.group(1)
        return f"{path} is a key that no script has{_place(text, path)}"
    if missing:
        key = f"{path}.{missing.group(1)}" if path else missing.group(1)
        return f"{key} is missing{_place(text, path)}"
    kinds = re.fullmatch(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`", reason)
    if kinds and kinds.group(1) in _KINDS:
        reason = f"must be {_KINDS[kinds.group(1)]}, and is {_KINDS.get(kinds.group(2), kinds.group(2))}"
        return f"{path or 'the file'} {reason}{_place(text, path)}"
    return f"{path or 'the file'}: {reason[:1].lower()}{reason[1:]}{_place(text, path)}"


def _place(text: str, path: str) -> str:
    """Where a key path stands in the file, as ` (line n)`; empty when it cannot be told."""
    parts = re.findall(r"[^.\[\]]+|\[\d+\]|\[\.\.\.\]", path)
    lines = text.split("\n")
    at, best = 0, 0
    for index, part in enumerate(parts):
        if part.startswith("["):
            if index == 1 and part[1:-1].isdigit():
                headers = [
                    n for n, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{re.escape(parts[0])}\s*\]\]", line)
                ]
                if int(part[1:-1]) < len(headers):
                    at = headers[int(part[1:-1])]
                    best = at + 1
            continue
        name = re.escape(part)
        pattern = rf"\s*(?:\[+[^\]]*\b{name}\b[^\]]*\]+|[\"']?{name}[\"']?\s*=|[^=\[]*\.{name}\s*=)"
        hit = next((n for n in range(at, len(lines)) if re.match(pattern, lines[n])), None)
        if hit is not None:
            at, best = hit, hit + 1
    return f" (line {best})" if best else ""


@functools.cache
def library() -> dict[str, str]:
    """The text of every shipped script by its id, in the order of the ids."""
    found = {}
    for item in (files("resources") / "ceremonies").iterdir():
        if item.name.endswith(".toml"):
            text = item.read_bytes().decode()
            found[parse(text).id] = text
    return dict(sorted(found.items()))


def own(folder: Path) -> dict[str, str]:
    """The scripts of a workspace's own folder by id. A file that cannot be read is an error, never skipped."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        text = read(path)
        try:
            script_id = parse(text).id
        except InputError as error:
            raise InputError(
                msgspec.structs.replace(error.problem, what=f"{path.name}: {error.problem.what}")
            ) from error
        if script_id in found or script_id in library():
            raise unreadable(f"{path.name} has the id “{script_id}”, which another script has already")
        found[script_id] = text
    return found


def read(path: Path) -> str:
    """A script file's text, its bytes unchanged. Raises InputError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise unreadable(f"{path.name} is longer than {MAX_BYTES} bytes")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # a device or a pipe has no size beforehand
        if len(data) > MAX_BYTES:
            raise unreadable(f"{path.name} is longer than {MAX_BYTES} bytes")
        return data.decode()
    except UnicodeDecodeError:
        raise unreadable(f"{path.name} is not UTF-8 text") from None
    except OSError as error:
        raise unreadable(f"{path.name} cannot be read ({error.strerror})") from None


def summary(text: str) -> ScriptSummary:
    """What a chooser shows of a script."""
    script, sha256 = parse(text), digest(text)
    return ScriptSummary(
        id=script.id,
        version=script.version,
        title=script.title,
        purpose=script.purpose,
        sha256=sha256,
        words=spoken(sha256),
        minutes=script.minutes,
        roles={role.value: count for role, count in script.roles.items()},
        quorum=quorum_words(script.quorum),
        parameters={name: item.choices for name, item in script.parameters.items()},
        questions={name: item.title for name, item in script.parameters.items()},
        examples={name: item.example for name, item in script.parameters.items() if not item.choices},
        patterns={name: item.pattern for name, item in script.parameters.items() if not item.choices},
    )


def quorum_words(quorum: Quorum) -> str:
    """For example `2 of 3 custodians`."""
    return f"{quorum.needed} of {quorum.of} {quorum.role.value}s"


def check_parameters(script: Script, parameters: dict[str, str]) -> None:
    """Raises InputError `parameter-refused` naming the first value that the script does not permit."""
    for name in parameters:
        if name not in script.parameters:
            raise _parameter(f"The script knows no value “{name}”.")
    for name, item in script.parameters.items():
        value = parameters.get(name, "")
        if len(value) > 200 or not value.isprintable() or not unicodedata.is_normalized("NFC", value):
            raise _parameter(f"“{item.title}”: the text is too long or has invisible characters.")
        if item.choices and value not in item.choices:
            raise _parameter(f"“{item.title}”: “{value}” is not one of {', '.join(item.choices)}.")
        if not item.choices and not re.fullmatch(item.pattern, value):
            raise _parameter(
                f"“{item.title}”: “{value}” does not have the required form (for example: {item.example})."
            )


def _parameter(what: str) -> InputError:
    return InputError(
        Problem(
            code="parameter-refused",
            what=what,
            todo="Correct the value and open the ceremony again.",
            exit_code=ExitCode.USAGE,
        )
    )


def key_of(script: Script, parameters: dict[str, str]) -> tuple[Algorithm, str]:
    """Algorithm and label of the key that this ceremony makes. Raises InputError when the script makes none."""
    wish = script.key
    if wish is None:
        raise unreadable("it makes a key but has no [key] table")
    algorithm = wish.algorithm or parameters.get("algorithm", "")
    label = wish.label or parameters.get("label", "")
    try:
        return Algorithm(algorithm), label
    except ValueError:
        raise unreadable(f"key.algorithm “{algorithm}” is not known") from None
