"""Words of the screen: translation, roles, times, numbers. One place, so that screen and reader hear the same."""

from __future__ import annotations

import datetime

from PySide6.QtCore import QCoreApplication, QTranslator

from hsm_console.domain.keys import KeyAttributes
from hsm_console.domain.people import Role

CONTEXT = "ui"


def tr(text: str, /, **values: object) -> str:
    """The sentence in the user's language, with {names} filled in afterwards, so that it is found in the catalogue."""
    translated = QCoreApplication.translate(CONTEXT, text)
    return translated.format(**values) if values else translated


class PseudoTranslator(QTranslator):
    """The pseudo-locale: longer, accented, bracketed. What is not bracketed on the screen is not translatable."""

    _LETTERS = str.maketrans("aeiouAEIOUcnsy", "àéîöûÀÉÎÖÛçñšý")

    def translate(self, context: str, source: str, disambiguation: str | None = None, n: int = -1) -> str:  # noqa: ARG002
        if context != CONTEXT or not source:
            return ""
        pieces, inside = [], False
        for piece in source.replace("{", "\0{").replace("}", "}\0").split("\0"):
            inside = piece.startswith("{") and piece.endswith("}")
            pieces.append(piece if inside else piece.translate(self._LETTERS))
        return f"[{''.join(pieces)}{'~' * (len(source) // 4)}]"

    def isEmpty(self) -> bool:
        return False


def role(value: Role) -> str:
    return {
        Role.ADMINISTRATOR: tr("Administrator"),
        Role.CUSTODIAN: tr("Custodian"),
        Role.EXECUTIVE: tr("Executive"),
        Role.WITNESS: tr("Witness"),
        Role.AUDITOR: tr("Auditor"),
    }[value]


def roles(values: tuple[Role, ...]) -> str:
    return ", ".join(role(v) for v in values)


def clock(time_ms: int) -> str:
    """Wall time of the workstation, to the second."""
    return _local(time_ms).strftime("%H:%M:%S")


def moment(time_ms: int) -> str:
    """Date and time with the zone, for anything that is evidence."""
    return _local(time_ms).strftime("%Y-%m-%d %H:%M:%S %Z").strip()


def day(time_ms: int) -> str:
    return _local(time_ms).strftime("%Y-%m-%d")


def _local(time_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).astimezone()


def minutes(number: int) -> str:
    if number <= 1:
        return tr("about a minute")
    return tr("about {n} minutes", n=number)


def grouped(text: str, size: int = 4) -> str:
    """Hex in groups, as it is read aloud."""
    return " ".join(text[i : i + size] for i in range(0, len(text), size))


def digest(text: str) -> str:
    """A SHA-256 in groups, on two lines of the same length."""
    groups = grouped(text).split()
    return " ".join(groups[: len(groups) // 2]) + "\n" + " ".join(groups[len(groups) // 2 :])


def names(people: list[str]) -> str:
    if len(people) <= 1:
        return "".join(people)
    return tr("{first} and {last}", first=", ".join(people[:-1]), last=people[-1])


def attributes(found: KeyAttributes) -> list[tuple[str, bool | None]]:
    """What was read back, as statements and whether each is as it should be (None: the token does not tell)."""
    usages = ", ".join(u.value for u in found.usages) or tr("nothing")
    return [
        (tr("It lives in the module, not only for this session"), found.token),
        (tr("It is visible only after log-in to the module"), found.private),
        (tr("Its value cannot be read in the clear"), found.sensitive),
        (tr("That was so from the beginning"), found.always_sensitive),
        (tr("It cannot leave the module"), _not(found.extractable)),
        (tr("It never could leave the module"), found.never_extractable),
        (tr("It was made inside the module"), found.local),
        (tr("It may be used to: {usages}", usages=usages), bool(found.usages)),
    ]


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


ALGORITHMS = {
    "rsa-2048": "RSA, 2048 bits",
    "rsa-3072": "RSA, 3072 bits",
    "rsa-4096": "RSA, 4096 bits",
    "ec-p256": "Elliptic curve P-256",
    "ec-p384": "Elliptic curve P-384",
    "ec-p521": "Elliptic curve P-521",
    "ed25519": "Ed25519",
}


def algorithm(name: str) -> str:
    return ALGORITHMS.get(name, name.upper())
