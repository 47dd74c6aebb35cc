"""How the log stands: checked at the start, checked as a whole in the background, and held to the anchors of policy.

The start-up check reads the token's head (no PIN is needed for that) and everything since it, before anybody is let
in. The round in the background goes on where the last run stopped. What either finds is an entry, and a notice on
everybody's screen until the gateway ends.
"""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec.structs import replace

from hsm_console.audit import startup
from hsm_console.audit.anchors import TokenHead, decode_head
from hsm_console.audit.anchors_required import KINDS, Required
from hsm_console.audit.startup import Checked
from hsm_console.audit.startup_round import Place, Round
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, ExitCode, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.anchors import AnchorView, CheckView, LogStatus, SheetDue
from hsm_console.domain.messages.audit import Finding
from hsm_console.gateway.app import Call, Route
from hsm_console.gateway.core import Core
from hsm_console.gateway.projections import pruned_below
from hsm_console.policy.roles import Action

BACKGROUND_AFTER_S = 20.0
ROUND_HOURS = 24
KEEP_EVERY = 1024  # tiles: at most a quarter of a million entries are read again after a crash
_REST = 1.0  # the round rests as long as it worked: people's requests go first


class Standing:
    """Made before the gateway listens. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._place = Place(core.home.directory)
        self._required = Required()
        self._folded = 0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._due = time.monotonic() + BACKGROUND_AFTER_S
        self._found: tuple[Problem, ...] = ()
        self._startup = CheckView(state="none")
        self._round = CheckView(state="none")
        self._checked: Checked | None = None
        self.sheet: Callable[[], SheetDue] | None = None

    def routes(self) -> tuple[Route, ...]:
        """What this service answers to."""
        return (Route("GET", "/v1/audit/status", self.status, LogStatus, action=Action.VERIFY_LOG),)

    # -- at the start -------------------------------------------------------------------------------------

    def start_up(self) -> None:
        """The token's head and everything since it. Never raises: what is found is told."""
        core = self._core
        head, faults = self._token_head()
        checked = startup.check(core.log, core.vkey, head, below=self._pruned())
        if head is None and not faults and self._must_have_head():
            text = "policy requires the log's head in the token, and the token has none"
            faults = (Finding(word="INCOMPLETE", text=text),)
        checked = replace(checked, findings=(*faults, *checked.findings))
        self._checked = checked
        self._startup = _view(checked, "failed" if checked.findings else "done")
        self._tell("at the start", checked)

    @property
    def sound(self) -> bool:
        """The check at the start was made, and found nothing."""
        return self._checked is not None and not self._checked.findings

    def _must_have_head(self) -> bool:
        core = self._core
        reachable = core.device.info is not None
        return reachable and "token" in core.environment.log.anchors and core.log.signed_size > 0

    def _token_head(self) -> tuple[TokenHead | None, tuple[Finding, ...]]:
        try:
            value = self._core.device.public_head()
        except ConsoleError:
            return None, ()  # no token is a state, not a finding: the device's own problem says so
        if value is None:
            return None, ()
        try:
            return decode_head(value), ()
        except ConsoleError as error:
            return None, (Finding(word="INCOMPLETE", text=error.problem.what.rstrip(".")),)

    def _pruned(self) -> int:
        """Entries under this number were pruned by order."""
        with self._core.reading() as conn:
            return pruned_below(conn)

    def record(self) -> None:
        """The start-up check stands in the log, after the entry of the start."""
        if self._checked is not None:
            self._core.log.append([_entry("start-up", self._checked)])

    # -- in the background --------------------------------------------------------------------------------

    def tick(self) -> None:
        """Once a second: begin a round when one is due."""
        if time.monotonic() < self._due or self._stop.is_set() or (self._thread and self._thread.is_alive()):
            return
        self._due = time.monotonic() + ROUND_HOURS * 3600
        self._thread = threading.Thread(target=self._run, name="log-round", daemon=True)
        self._thread.start()

    def begin_round(self) -> None:
        """Begin at the next tick."""
        self._due = 0.0

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        try:
            self._round_once()
        except ConsoleError as error:
            self._core.incidents.note(f"log round: {error.problem.code}", error)
            self._round = replace(self._round, state="failed", line=error.problem.what)
        except Exception as error:  # noqa: BLE001 - a thread's last line: told in the diagnostics, never lost
            self._core.incidents.bug(error, "log round")

    def _round_once(self) -> None:
        core = self._core
        tiles = -(-core.log.size // 256)
        one = Round(core.log, core.vkey, self._place.read(tiles), below=self._pruned())
        resumed, bad = one.start > 0, False
        worked = time.monotonic()
        for step in one.legs():
            if isinstance(step, Checked):
                core.log.append([_entry("background", step, resumed=resumed)])
                self._round = _view(step, "running", resumed=resumed)
                self._tell("in the background", step)
                bad = bad or bool(step.findings)
                continue
            self._round = replace(self._round, state="running", done=step[0], of=step[1], resumed=resumed)
            if not one.at % KEEP_EVERY and one.at:
                self._place.keep(one.at)
            if self._stop.wait((time.monotonic() - worked) * _REST):
                self._place.keep(one.at)
                return
            worked = time.monotonic()
        self._place.clear()
        self._round = replace(self._round, state="failed" if bad else "done", done=one.size, of=one.size)

    def _tell(self, when: str, checked: Checked) -> None:
        if checked.findings:
            self._found = (*self._found, _found(when, checked))

    # -- what policy asks for -----------------------------------------------------------------------------

    def problems(self) -> tuple[Problem, ...]:
        """Notices: what the checks found, and required anchors that are missing."""
        return (*self._found, *(_missing(text) for text in self._missing()))

    def _missing(self) -> list[str]:
        with self._lock:
            self._fold()
            return self._required.missing(())

    def _fold(self) -> None:
        log, size = self._core.log, self._core.log.size
        if self._folded == size:
            return
        marks = ",".join("?" * len(KINDS))
        with self._core.reading() as conn:
            start = max(self._folded, pruned_below(conn))
            query = f"SELECT seq FROM entry_row WHERE seq >= ? AND seq < ? AND kind IN ({marks}) ORDER BY seq"  # noqa: S608
            rows = conn.execute(query, (start, size, *sorted(KINDS))).fetchall()
        for (seq,) in rows:
            self._required.see(seq, log.body(seq))
        self._folded = size

    def status(self, call: Call) -> LogStatus:
        """How the log stands: checks, anchors, what is missing"""
        log, missing = self._core.log, self._missing()
        return LogStatus(
            size=log.size,
            signed=log.signed_size,
            startup=self._startup,
            background=self._round,
            anchors=tuple(self._anchor(kind, missing) for kind in ("token", "receipt", "witness", "device-log", "tpm")),
            sheet=self.sheet() if self.sheet else None,
        )

    def _anchor(self, kind: str, missing: list[str]) -> AnchorView:
        words = {"receipt": "receipts", "witness": "a witness", "tpm": "a TPM"}.get(kind, "?")
        problem = next((text for text in missing if words in text), "")
        size = {"witness": self._required.covered, "receipt": self._required.receipt}.get(kind, -1)
        if kind == "token":
            size = max(self._core.device.anchored, self._startup.anchored)
            problem = next((item.text for item in self._startup.findings if "token" in item.text), "")
        return AnchorView(kind=kind, required=kind in self._required.wanted, size=size, problem=problem)


def _view(checked: Checked, state: str, *, resumed: bool = False) -> CheckView:
    return CheckView(
        state=state,
        first=checked.first,
        last=checked.end - 1,
        done=checked.end - checked.first,
        of=checked.size,
        resumed=resumed,
        anchored=checked.anchored,
        took_ms=checked.took_ms,
        line=checked.line,
        findings=checked.findings,
    )


def _entry(what: str, checked: Checked, *, resumed: bool = False) -> Draft:
    event = ev.LogChecked(
        what="start-up" if what == "start-up" else "background",
        first=checked.first,
        last=checked.end - 1,
        size=checked.size,
        anchored=checked.anchored,
        result=checked.line,
        findings=tuple(f"{item.word}: {item.text}" for item in checked.findings[:50]),
        resumed=resumed,
    )
    return Draft(event=event, critical=bool(checked.findings))


def _found(when: str, checked: Checked) -> Problem:
    first = checked.findings[0]
    return Problem(
        code="log-check-failed",
        what=f"The check of the log {when} found something: {first.word}: {first.text}.",
        key_state="No key was touched by the check.",
        todo="Hold no ceremony. Keep the folder as it is, copy it, and run “hsm-console audit verify” on the copy.",
        contact="the auditor and the security officer",
        exit_code=ExitCode.VERIFICATION,
    )


def _missing(text: str) -> Problem:
    return Problem(
        code="anchor-missing",
        what=f"INCOMPLETE: {text}.",
        todo="Issue the receipt, or let a witness cosign the log's head (“hsm-console witness”), before people leave.",
        contact="the auditor",
        exit_code=ExitCode.VERIFICATION,
    )
