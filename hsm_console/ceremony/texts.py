"""Text of people and of scripts: what may be recorded, and the placeholders of a sentence to read aloud.

A placeholder is a name in braces. Only names listed here, and the script's parameters, are filled in.
"""

from __future__ import annotations

import re
import unicodedata

from hsm_console.ceremony import state as st
from hsm_console.ceremony.script import Script
from hsm_console.ceremony.state import State
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.people import Role

MAX_TEXT = 1000
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_KNOWN = {role.value for role in Role} | {"custodians", "fingerprint", "needed", "of", "grade", "ceremony", "title"}
_FORBIDDEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_BIDI = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"}


def unknown_placeholders(text: str, script: Script) -> tuple[str, ...]:
    """Names in braces that nothing would fill in."""
    known = _KNOWN | set(script.parameters)
    return tuple(name for name in _PLACEHOLDER.findall(text) if name not in known)


def fill(text: str, state: State) -> str:
    """`text` with the ceremony's own values. What is not known yet is shown as a line to fill in by hand."""
    wanted = set(_PLACEHOLDER.findall(text))
    if not wanted:
        return text
    script = st.script_of(state)
    values: dict[str, str] = {
        **state.parameters,
        "needed": str(script.quorum.needed),
        "of": str(script.quorum.of),
        "title": state.title,
        "ceremony": state.id,
        "fingerprint": state.key.fingerprint if state.key else "",
        "grade": state.key.grade.value if state.key else "",
        "custodians": _names(state, script.quorum.role) if "custodians" in wanted else "",
    }
    for role in Role:
        if role.value in wanted:
            values.setdefault(role.value, _names(state, role))
    return _PLACEHOLDER.sub(lambda m: values.get(m.group(1), m.group(0)) or "________", text)


def blank(text: str, script: Script, parameters: dict[str, str]) -> str:
    """`text` for a form that is printed before anybody sits: names are lines, roles are called by their role."""
    values = {role.value: f"the {role.value}" for role in Role}
    values |= {"needed": str(script.quorum.needed), "of": str(script.quorum.of), "title": script.title}
    values |= {"custodians": f"the {script.quorum.role.value}s"} | parameters
    filled = _PLACEHOLDER.sub(lambda m: values.get(m.group(1), "") or "____________", text)
    return re.sub(r"(^|[.!?]\s+)the ", lambda m: f"{m.group(1)}The ", filled)


def _names(state: State, role: Role) -> str:
    names = [seat.name for seat in st.seated(state, role)]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def clean(text: str, what: str, *, empty: bool = False, longest: int = MAX_TEXT) -> str:
    """Text of a person as it may stand in the log: NFC, one line, no invisible characters.

    Raises InputError `text-refused`, naming `what`. Line breaks become spaces.
    """
    one_line = " ".join(unicodedata.normalize("NFC", text).split())
    if any(unicodedata.category(c) in _FORBIDDEN or c in _BIDI for c in one_line):
        raise _refused(f"{what} has invisible or reordering characters.", "Type it anew, without pasting.")
    if not one_line and not empty:
        raise _refused(f"{what} is empty.", "Fill it in and answer again.")
    if len(one_line) > longest:
        raise _refused(f"{what} is longer than {longest} characters.", "Say it in fewer words.")
    return one_line


def _refused(what: str, todo: str) -> InputError:
    return InputError(Problem(code="text-refused", what=what, todo=todo, exit_code=ExitCode.USAGE))
