"""A long run: mixed work by several callers over two devices whose drivers are killed and frozen again and again."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import devices, work
from hsm_console.client.session import Session
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, SignMechanism, Usage
from hsm_console.domain.messages.work import VerifyRequest
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret

OPERATIONS = int(os.environ.get("SOAK_OPERATIONS", "100000"))
CALLERS = 4
EVERY = 250  # operations between two faults
MOST_GROWTH_KB = 60_000
# What a fault explains: its device was asked, and nobody else could be. Everything else fails the run.
EXPLAINED = {"device-crashed", "device-hung", "device-locked", "device-closed", "not-logged-in", "device-resting"}


def resident_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


class Run:
    """What the callers do, and what they met."""

    def __init__(self, yard: Any) -> None:
        self.yard = yard
        self.left = OPERATIONS
        self.done = 0
        self.failed: dict[str, int] = {}
        self.lock = threading.Lock()
        self.signing = yard.make(Algorithm.EC_P256, Usage.SIGN)
        self.secret = yard.make(Algorithm.AES_256, Usage.ENCRYPT)
        self.mac = yard.make(Algorithm.HMAC_SHA256, Usage.SIGN)

    def take(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def call(self, session: Session) -> None:
        while self.take():
            try:
                self.one(session)
            except ConsoleError as error:
                with self.lock:
                    code = error.problem.code
                    self.failed[code] = self.failed.get(code, 0) + 1
            with self.lock:
                self.done += 1

    def one(self, session: Session) -> None:
        what = secrets.randbelow(4)
        data = secrets.token_bytes(64)
        if what == 0:
            signed = work.sign(session, self.signing, SignMechanism.ECDSA_SHA256, data)
            work.verify(
                session,
                VerifyRequest(
                    key_id=self.signing, mechanism=SignMechanism.ECDSA_SHA256, data=data, signature=signed.signature
                ),
            )
        elif what == 1:
            sealed = work.encrypt(session, self.secret, data)
            assert work.decrypt(session, self.secret, sealed.envelope).data == data
        elif what == 2:
            work.sign(session, self.mac, SignMechanism.HMAC_SHA256, data)
        else:
            assert len(work.random(session, 32).data) == 32


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_mixed_work_with_faults_thrown_in(soft_yard: Any, record_property: Callable[[str, object], None]) -> None:
    yard, ada = soft_yard, soft_yard.house.admin()
    yard.add(ada, "second")
    assert yard.ordered(ada, "share-wrapping-key", device="second").problem is None
    run = Run(yard)
    assert yard.ordered(ada, "replicate-key", key="all", device="second").problem is None
    member = yard.gateway.core.device.router.__self__.member("second")
    sessions = [yard.house.be("hedy", Role.EXECUTIVE) for _ in range(CALLERS)]
    threads = [threading.Thread(target=run.call, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    memory: list[int] = []
    faults = 0
    began = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        yard.gateway.tick()
        if run.done >= (faults + 1) * EVERY and run.left > EVERY and member.unlocked:
            pid = yard.clients["second"].pid
            with contextlib.suppress(ProcessLookupError):  # a frozen one was ended at its deadline already
                os.kill(pid, signal.SIGKILL if faults % 3 else signal.SIGSTOP)
                if not faults % 3:
                    time.sleep(0.3)
                    os.kill(pid, signal.SIGKILL)
            faults += 1
            memory.append(resident_kb())
        if not member.unlocked and member.station.alive:
            with contextlib.suppress(ConsoleError):  # killed once more meanwhile: the next turn tries again
                devices.unlock(ada, "second", Secret(yard.pins["second"]))
        time.sleep(0.05)
    took = time.monotonic() - began
    told = f"{run.done} operations in {took:.0f} s, {faults} faults, refused: {run.failed}, memory kB: {memory}"
    record_property("soak", told)
    sys.__stderr__.write(told + "\n")
    assert run.done == OPERATIONS
    assert set(run.failed) <= EXPLAINED
    assert sum(run.failed.values()) <= OPERATIONS // 1000
    assert faults >= OPERATIONS // EVERY // 4
    assert memory[-1] - memory[len(memory) // 4] < MOST_GROWTH_KB
    downs = [event for event in yard.events(ev.MemberChanged) if event.state == "down"]
    assert len(downs) <= faults  # one entry for each, not one for each call
    home = yard.gateway.core.home
    yard.gateway.core.log.checkpoint()
    assert verify_workspace(home.log, parse_vkey(home.vkey.read_text())).line.startswith("OK")
