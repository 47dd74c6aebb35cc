"""The floor under passphrases of credential files: long enough, not the owner's name, not one repeated pattern."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.secret import Secret

MIN_CHARACTERS = 12
MAX_BYTES = 512  # one line that `openssl` reads from a pipe
MIN_DIFFERENT = 5
MIN_LEFT = 8  # characters besides names and common words
_COMMON = ("password", "passphrase", "passwort", "123456", "qwerty", "qwertz", "letmein", "ceremony", "hsm-console")


def require_quality(passphrase: Secret, *names: str) -> None:
    """Refuse what is guessed first. names: the owner's name and uid, which the passphrase must not be built on.

    Raises InputError `passphrase-too-weak`; the text says which rule, never the passphrase.
    """
    text = passphrase.reveal() if passphrase else ""
    plain = text.casefold()
    if len(text) < MIN_CHARACTERS:
        raise _weak(f"it has fewer than {MIN_CHARACTERS} characters")
    if len(text.encode()) > MAX_BYTES or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise _weak("it is too long or contains characters that cannot be typed again")
    if len(set(plain)) < MIN_DIFFERENT:
        raise _weak(f"it uses fewer than {MIN_DIFFERENT} different characters")
    if _is_repeated(plain) or _is_sequence(plain):
        raise _weak("it repeats one short pattern or runs along the alphabet")
    if _left_without(plain, _parts(names)) < MIN_LEFT:
        raise _weak("it is built on the owner's name")
    if _left_without(plain, _COMMON) < MIN_LEFT:
        raise _weak("it is built on a word that is guessed first")


def _left_without(plain: str, words: Iterable[str]) -> int:
    """How many characters a guesser who knows `words` still has to guess."""
    for word in sorted(words, key=len, reverse=True):
        plain = plain.replace(word, "")
    return len(plain)


def _parts(names: tuple[str, ...]) -> list[str]:
    return [part for name in names for part in re.split(r"[^\w]+|_", name.casefold()) if len(part) >= 3]


def _is_repeated(text: str) -> bool:
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, len(text) // 2 + 1))


def _is_sequence(text: str) -> bool:
    steps = {ord(b) - ord(a) for a, b in itertools.pairwise(text)}
    return steps in ({1}, {-1})


def _weak(rule: str) -> InputError:
    return InputError(
        Problem(
            code="passphrase-too-weak",
            what=f"This passphrase is not accepted: {rule}.",
            todo="Choose another one; four or five unrelated words are easy to remember and hard to guess.",
            contact="nobody: it is your choice alone; do not tell it to anybody",
            exit_code=ExitCode.USAGE,
        )
    )
