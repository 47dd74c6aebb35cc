"""Composition root of the screen: everything is made and wired here, once, in the order in which it is needed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLocale, QTimer, QTranslator
from PySide6.QtWidgets import QApplication

from hsm_console import __version__
from ui import recent
from ui.calls import Calls
from ui.console import Console
from ui.desk import Desk
from ui.shell.window import Window
from ui.texts import PseudoTranslator
from ui.theme.engine import ThemeEngine
from ui.theme.tokens import NAMES, SCALES

UMASK = 0o077
START_BUDGET_MS = 1500
_TICKS = os.sysconf("SC_CLK_TCK")


def main(argv: Sequence[str] | None = None) -> int:
    """Open the application and return its exit code."""
    os.umask(UMASK)
    options = _parser().parse_args(argv)
    app = QApplication(["hsm-console"])
    app.setApplicationName("hsm-console")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("hsm-console")
    translator = _language(options.language)
    if translator is not None:
        app.installTranslator(translator)
    ThemeEngine(app, options.theme, options.scale)
    calls = Calls(app)
    window = Window(lambda: calls.guards)
    desk = Desk(calls, _workspace(options))
    console = Console(window, desk, kdf_iterations=options.kdf_iterations)
    window.closing.connect(app.quit)
    window.show()
    if options.demo:
        from ui.setup.demonstration import Demonstration

        Demonstration(window, desk, console, out=options.demo_out, adapter=options.demo_adapter)
    else:
        console.start()
    if options.startup_time:
        QTimer.singleShot(0, lambda: _tell_start(app))
    code = app.exec()
    console.stop()
    desk.stop()
    calls.drain(5000)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hsm-console", description="The desktop application of HSM Console.")
    parser.add_argument("--workspace", type=Path, help="folder of the workspace to open (default: the last one)")
    parser.add_argument("--demo", action="store_true", help="found a simulated workspace for trying things out")
    parser.add_argument("--demo-out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--demo-adapter", default="simulation", help=argparse.SUPPRESS)
    parser.add_argument("--theme", choices=NAMES, default="light")
    parser.add_argument("--scale", type=int, choices=SCALES, default=100, help="size of everything, per cent")
    parser.add_argument("--language", default="", help="for example de; en_XA is the pseudo-locale of the translators")
    parser.add_argument("--startup-time", action="store_true", help="print the time to the log-in page as JSON and end")
    parser.add_argument("--kdf-iterations", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def _workspace(options: argparse.Namespace) -> Path | None:
    if options.demo:
        return None
    if options.workspace is not None:
        return Path(options.workspace).absolute()
    last = recent.known()
    return Path(last[0]) if last else None


def _language(wanted: str) -> QTranslator | None:
    if wanted == "en_XA":
        return PseudoTranslator()
    from importlib import resources

    locale = QLocale(wanted) if wanted else QLocale()
    catalogue = resources.files("resources").joinpath("i18n", f"ui_{locale.name()[:2]}.qm")
    if not catalogue.is_file():
        return None
    translator = QTranslator()
    return translator if translator.load(str(catalogue)) else None


def _tell_start(app: QApplication) -> None:
    """After the first events were handled, the page is painted: say how long it took since the process began."""
    app.sendPostedEvents()
    took = process_age_ms()
    sys.stdout.write(
        json.dumps({"login_page_ms": took, "budget_ms": START_BUDGET_MS, "ok": took <= START_BUDGET_MS}) + "\n"
    )
    sys.stdout.flush()
    app.quit()


def process_age_ms() -> int:
    """Milliseconds since the kernel started this process (proc(5), field 22 of /proc/self/stat)."""
    started = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]) / _TICKS
    return round((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000)
