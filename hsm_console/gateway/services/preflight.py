"""Everything that a ceremony will need, looked at before people give their time (CEREMONY 4, preflight; oks #158)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable

from hsm_console.ceremony import state as st
from hsm_console.ceremony.plans import ChecksPlan
from hsm_console.ceremony.state import State
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem
from hsm_console.domain.messages.ceremony import CheckItem
from hsm_console.gateway.core import Core
from hsm_console.pki import roster as rosters

MIN_FREE_BYTES = 200 * 1024 * 1024
DAY_MS = 86_400_000


class Preflight:
    """One method a line; each returns what it found or raises a ConsoleError that tells what to do."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def look(self, state: State, plan: ChecksPlan) -> tuple[CheckItem, ...]:
        """All lines, green and red. Never raises."""
        lines: tuple[tuple[str, Callable[[], str]], ...] = (
            ("Module", self._module),
            ("Key algorithm", lambda: self._algorithm(plan)),
            ("Name of the key", lambda: self._label(plan)),
            ("Audit log", self._log),
            ("Free disk space", self._disk),
            ("Evidence folder", self._evidence),
            ("Clock", self._clock),
            ("Roster", self._roster),
            ("Revoked certificates", self._crl),
            ("Quorum", lambda: self._quorum(state)),
            ("Printed pages", self._paper),
        )
        return tuple(self._item(name, check) for name, check in lines)

    def _item(self, name: str, check: Callable[[], str]) -> CheckItem:
        try:
            return CheckItem(name=name, found=check())
        except ConsoleError as error:
            self._core.device.failed(error)  # locked, when the worker is gone: the next look says so
            return CheckItem(name=name, found=error.problem.what, problem=error.problem)
        except OSError as error:
            problem = _red(f"{error.strerror}.", "Look at the disk and the folder's rights.").problem
            return CheckItem(name=name, found=problem.what, problem=problem)

    def _module(self) -> str:
        info = self._core.device.hsm().describe()
        if info.user_pin_locked or info.user_pin_final_try:
            raise _red("The PIN is locked or has one try left.", "Have the PIN reset before the ceremony.")
        kind = "simulated, " if info.simulated else ""
        return f"{info.vendor} {info.model}, {kind}serial {info.serial}, firmware {info.firmware}"

    def _algorithm(self, plan: ChecksPlan) -> str:
        if plan.algorithm is None:
            return "none is made"
        info = self._core.device.info
        if info is not None and info.algorithms and plan.algorithm not in info.algorithms:
            raise _red(f"The module does not offer {plan.algorithm.value}.", "Choose another algorithm or module.")
        return plan.algorithm.value

    def _label(self, plan: ChecksPlan) -> str:
        if not plan.label:
            return "none is made"
        if self._core.device.hsm().find(label=plan.label):
            raise _red(
                f"The module holds a key with the label “{plan.label}” already.",
                "Open the ceremony again with another label.",
            )
        return f"“{plan.label}” is free"

    def _log(self) -> str:
        fault = self._core.log.sign_fault
        if fault is not None:
            raise EnvironmentFault(fault)
        self._core.log.checkpoint()
        return f"{self._core.log.size} entries, writable, all signed"

    def _disk(self) -> str:
        free = shutil.disk_usage(self._core.home.directory).free
        if free < MIN_FREE_BYTES:
            raise _red(f"Only {free // 1024 // 1024} MB are free.", "Make room: at least 200 MB are wanted.")
        return f"{free // 1024 // 1024} MB"

    def _evidence(self) -> str:
        folder = self._core.home.evidence
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder) as probe:
                probe.write(b"probe")
                os.fsync(probe.fileno())
        except OSError as error:
            raise _red(f"Nothing can be written there: {error.strerror}.", "Correct the folder's rights.") from error
        return "writable"

    def _clock(self) -> str:
        core = self._core
        last = core.log.read(core.log.size - 1)
        behind = last.time_ms - core.now_ms()
        if behind > 0:
            raise _red(
                f"The clock is {behind // 1000} s behind the log's last entry.",
                "Set the clock and declare the change; certificates and checkpoints depend on it.",
            )
        return "not behind the log's last entry"

    def _roster(self) -> str:
        home = self._core.home
        roster = rosters.verify(self._core.authority, home.roster.read_bytes(), home.roster_signature.read_bytes())
        in_force = sum(not entry.revoked for entry in roster.entries)
        return f"version {roster.version}, signature verified, {in_force} people"

    def _crl(self) -> str:
        problems = self._core.contexts.problems(self._core.now_ms())
        if problems:
            raise EnvironmentFault(problems[0])
        days = (self._core.contexts.crl.next_update_ms - self._core.now_ms()) // DAY_MS
        return f"list {self._core.contexts.crl.number}, good for {days} more days"

    def _quorum(self, state: State) -> str:
        seated = [seat.name for seat in st.seated(state, state.quorum_role)]
        if len(seated) < state.needed:
            raise _red(f"{state.needed} are needed, {len(seated)} are seated.", "Seat the missing ones.")
        return f"{state.needed} of {len(seated)} seated: {', '.join(seated)}"

    def _paper(self) -> str:
        try:
            import reportlab.pdfgen.canvas
        except ImportError as error:
            raise _red("Pages cannot be made: reportlab is not installed.", "Complete the installation.") from error
        printers = shutil.which("lp")
        return "PDF" if reportlab and not printers else "PDF and the system's printing command"


def _red(what: str, todo: str) -> EnvironmentFault:
    return EnvironmentFault(Problem(code="preflight-red", what=what, todo=todo))
