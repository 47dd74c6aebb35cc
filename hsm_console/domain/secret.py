"""A holder for PINs and passphrases whose text never shows (DESIGN 4, invariant 4)."""

from __future__ import annotations

import hmac
from typing import NoReturn, Self


class Secret:
    """A PIN or passphrase. `repr`, `str`, `format`, pickling and msgspec show or carry nothing.

    The bytes lie in one bytearray that `wipe` overwrites. Python may have copied the text before it
    came here (a line edit, a frame read from a socket): a process per login is the answer to that.
    """

    __slots__ = ("_data",)

    def __init__(self, value: str | bytes | bytearray) -> None:
        self._data = bytearray(value.encode() if isinstance(value, str) else value)

    def reveal(self) -> str:
        """The text, for the one call that needs it. Raises ValueError when it was wiped."""
        return self.reveal_bytes().decode()

    def reveal_bytes(self) -> bytes:
        if not self._data:
            raise ValueError("the secret was wiped or is empty")
        return bytes(self._data)

    def wipe(self) -> None:
        self._data[:] = bytes(len(self._data))
        self._data.clear()

    def __bool__(self) -> bool:
        return bool(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._data, other._data)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.wipe()
