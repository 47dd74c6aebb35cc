"""Unexpected failures: people get a Problem with an incident number, the trace stays in a file on this machine.

The trace holds file names, lines and the kinds of exceptions, never local values and never an exception's text,
since either might carry what somebody typed.
"""

from __future__ import annotations

import datetime
import os
import secrets
import threading
import traceback
from pathlib import Path

from hsm_console.domain.errors import ConsoleError, Problem

MAX_BYTES = 1024 * 1024


class Incidents:
    """Appends to one diagnostics file (0600), which is begun anew when it grows beyond a megabyte."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def bug(self, error: BaseException, where: str) -> ConsoleError:
        """Record the failure; the Problem to tell instead of it."""
        incident = secrets.token_hex(4)
        self.note(f"incident {incident} at {where}", error)
        return ConsoleError(
            Problem(
                code="gateway-bug",
                what=f"The gateway met a fault of its own (incident {incident}).",
                key_state="What was durable in the log before this moment stands; look at the ceremony's state.",
                todo="Look at the page anew. If it happens again, keep the diagnostics file and report the number.",
                details={"incident": incident, "kind": type(error).__name__, "file": str(self._path)},
            )
        )

    def note(self, title: str, error: BaseException | None = None) -> None:
        """One paragraph in the file. Never raises: a full disk must not hide the first failure."""
        stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        lines = [f"{stamp} {title}"]
        while error is not None:
            lines.append(f"  {type(error).__module__}.{type(error).__qualname__}")
            lines += [f"    {f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
            error = error.__cause__ or error.__context__
        try:
            with self._lock:
                self._rotate()
                descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                with open(descriptor, "a", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
                    file.write("\n".join(lines) + "\n")
        except OSError:
            return

    def _rotate(self) -> None:
        if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
            self._path.replace(self._path.with_suffix(".old"))
