"""What an order about keys was given, read and held to what may be: before anybody is asked to approve it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hsm_console.domain import batches, keyuse
from hsm_console.domain.errors import ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.keys import Algorithm, Usage
from hsm_console.domain.keyuse import Act
from hsm_console.gateway import projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.services import work_keys
from hsm_console.gateway.services.work_keys import Held, unusable

LABEL_CHARACTERS = 64
MOST_KEYS = 1000
_LABEL = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_YES = {"yes": True, "no": False, "": False}


@dataclass(frozen=True)
class Batch:
    """Keys that shall be made. label: a pattern when there are several."""

    algorithm: Algorithm
    label: str
    usages: tuple[Usage, ...]
    count: int
    extractable: bool

    def names(self, first: int = 1) -> tuple[str, ...]:
        """Names from the number `first` on."""
        if not batches.is_pattern(self.label):
            return (self.label,)[first - 1 :]
        return batches.names(self.label, self.count - first + 1, first)


@dataclass(frozen=True)
class Incoming:
    """A wrapped key that shall come in. spki: of a pair, its public half."""

    algorithm: Algorithm
    label: str
    usages: tuple[Usage, ...]
    data: bytes
    spki: bytes


def batch(given: dict[str, str]) -> Batch:
    """Raises InputError `order-parameters`."""
    algorithm, label, usages = kind(given)
    count = given.get("count", "") or "1"
    if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= MOST_KEYS:
        raise refuse(
            "order-parameters", f"“{count[:20]}” is no number of keys.", f"Say a number from 1 to {MOST_KEYS}."
        )
    if given.get("extractable", "") not in _YES:
        raise refuse("order-parameters", "“extractable” is yes or no.", "Say one of the two.")
    extractable = _YES[given.get("extractable", "")]
    if int(count) > 1 and not batches.is_pattern(label):
        raise refuse("order-parameters", "Several keys cannot have the same name.", "Put {n} where the number belongs.")
    found = Batch(algorithm, label, usages, int(count), extractable)
    if len(found.names()[-1]) > LABEL_CHARACTERS:
        raise refuse("order-parameters", f"A name has at most {LABEL_CHARACTERS} characters.", "Choose a shorter one.")
    return found


def kind(given: dict[str, str]) -> tuple[Algorithm, str, tuple[Usage, ...]]:
    """(algorithm, label, usages). Raises InputError `order-parameters`."""
    known = {each.value: each for each in Algorithm if each is not Algorithm.OTHER}
    algorithm = known.get(given["algorithm"])
    if algorithm is None:
        raise refuse(
            "order-parameters", f"“{given['algorithm'][:40]}” is no kind of key.", f"One of: {', '.join(known)}."
        )
    label = given["label"]
    if not _LABEL.fullmatch(label) or len(label) > LABEL_CHARACTERS:
        raise refuse(
            "order-parameters",
            f"“{label[:70]}” cannot be a key's name.",
            f"Letters, digits and signs of ASCII, at most {LABEL_CHARACTERS}, no space at either end.",
        )
    possible = keyuse.usages(algorithm)
    words = [word.strip() for word in given.get("usages", "").split(",") if word.strip()]
    usages = tuple(dict.fromkeys(usage for word in words for usage in possible if usage.value == word))
    if len(usages) != len(set(words)) or (len(usages) > 1 and algorithm is not Algorithm.AES_256):
        names = ", ".join(usage.value for usage in possible)
        raise refuse(
            "order-parameters",
            f"A key of the kind {algorithm.value} cannot be made for “{given.get('usages', '')[:60]}”.",
            f"Choose one purpose: {names}.",
        )
    return algorithm, label, usages or possible[:1]


def own(core: Core, key_id: str) -> Held:
    """A key that people may order something about. Raises `not-found`, `key-reserved`, `key-destroyed`."""
    key = work_keys.find(core, key_id)
    if key.row.purpose or key.row.state != "active":
        raise PolicyRefusal(
            Problem(
                code="key-reserved" if key.row.purpose else "key-destroyed",
                what=work_keys.why_not(key, Act.SIGN),
                todo="Choose another key.",
                exit_code=ExitCode.POLICY,
            )
        )
    return key


def wrapping(core: Core, key_id: str) -> Held:
    """A key that wraps others. Raises PolicyRefusal `usage-refused` besides."""
    key = own(core, key_id)
    reason = work_keys.why_not(key, Act.WRAP)
    if reason:
        raise PolicyRefusal(
            Problem(
                code="usage-refused",
                what=reason,
                todo="Choose a key that was made to wrap others.",
                exit_code=ExitCode.POLICY,
            )
        )
    return key


def require_free(core: Core, names: tuple[str, ...]) -> None:
    """Raises InputError `label-taken` when the log knows a living key of one of these names."""
    with core.reading() as conn:
        living = {row.label for row in projections.keys(conn) if row.state == "active"}
    taken = next((name for name in names if name in living), "")
    if taken:
        raise refuse("label-taken", f"A key with the name “{taken}” is there already.", "Choose another name.")


def kept(folder: Path, sha256: str) -> bytes:
    """A wrapped key that an order left in the workspace; empty when there is none."""
    path = folder / f"{sha256}.bin"
    return path.read_bytes() if _SHA256.fullmatch(sha256) and path.is_file() else b""


def refuse(code: str, what: str, todo: str) -> InputError:
    return unusable(code, what, todo)
