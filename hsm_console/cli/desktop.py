"""Becoming the desktop application. It is another process image: the command line never imports the screen."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from hsm_console.domain.errors import EnvironmentFault, Problem

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def become(*arguments: str) -> NoReturn:
    """Replace this process by `python -m ui`. Raises EnvironmentFault `no-display`."""
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
        raise EnvironmentFault(
            Problem(
                code="no-display",
                what="There is no screen to open a window on: neither DISPLAY nor WAYLAND_DISPLAY is set.",
                todo="Log in at the workstation's own screen, or use a verb: `hsm-console --help` lists them; "
                "`hsm-console demo --headless` needs no screen.",
            )
        )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ui", *arguments])  # noqa: S606 - the same interpreter, no shell
