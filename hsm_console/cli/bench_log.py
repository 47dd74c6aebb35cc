"""Budgets of the audit log, beside what the disk and SHA-256 allow."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hsm_console import __version__
from hsm_console.audit.checkpoint import Vkey
from hsm_console.audit.log import AuditLog, create_log
from hsm_console.cli.bench_measure import Place, Row, median, p99, pairs, ratio
from hsm_console.crypto import software
from hsm_console.domain.clock import SystemClock
from hsm_console.domain.events import Draft, LogCreated, Operation, OperationIntended, OperationSucceeded, PolicyInForce
from hsm_console.domain.ids import uuid7
from hsm_console.domain.keys import Algorithm, DeviceInfo, SignMechanism
from hsm_console.domain.people import Actor, Role

ORIGIN = "example.org/bench"
BLOCK = b"\x5a" * 4096
CALLERS = 32
EACH = 8
_WRAP = 1000 * 4096  # a write-ahead log begins anew after so many bytes; the limit's file does the same
_SHA = "5a" * 32
_ACTOR = Actor(uid="bench", name="Bench", roles=(Role.CUSTODIAN,), session_uid="bench", certificate_sha256=_SHA)
_DEVICE = DeviceInfo(
    adapter="simulation", vendor="", model="", serial="0", label="bench", firmware="", simulated=True
)  # fmt: skip


class Signer:
    """A log key in memory: the budgets of the log are not those of a token."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public_key_bytes = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def vkey(self) -> Vkey:
        return Vkey(ORIGIN, self.public_key_bytes)


class RawFile:
    """4 KiB written and made durable: the physical limit of one durable event."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._at = 0

    def write(self, times: int = 1) -> None:
        for _ in range(times):
            os.pwrite(self._handle, BLOCK, self._at)
            os.fdatasync(self._handle)
            self._at = (self._at + len(BLOCK)) % _WRAP

    def close(self) -> None:
        os.close(self._handle)


def new_log(folder: Path) -> AuditLog:
    """An empty log with its genesis entries."""
    chain_uid = uuid7()
    created = LogCreated(
        origin=ORIGIN,
        chain_uid=chain_uid,
        software="HSM Console",
        software_version=__version__,
        software_sha256=software.sha256(),
        founding="{}",
        keys=(),
        device=_DEVICE,
    )
    genesis = (created, PolicyInForce(environment="rehearsal", production=False, policy_sha256=_SHA))
    return create_log(folder / "audit.db", chain_uid=chain_uid, clock=SystemClock(), genesis=genesis)


def intent() -> Draft:
    event = OperationIntended(
        operation=Operation.SIGN, key_id="00" * 16, mechanism=SignMechanism.ED25519, input_sha256=_SHA
    )
    return Draft(event=event, actor=_ACTOR)


def outcome(seq: int, signature: str = "") -> Draft:
    event = OperationSucceeded(
        intent=seq, operation=Operation.SIGN, key_id="00" * 16, algorithm=Algorithm.ED25519, signature=signature
    )
    return Draft(event=event)


@contextmanager
def stage(place: Place) -> Iterator[tuple[AuditLog, RawFile]]:
    """A log and the raw file beside it, on one disk."""
    with tempfile.TemporaryDirectory(dir=place.folder) as name:
        log, raw = new_log(Path(name)), RawFile(Path(name) / "raw")
        try:
            yield log, raw
        finally:
            raw.close()
            log.close()


def append_one(place: Place) -> list[Row]:
    """One caller: each event is durable before the next."""
    with stage(place) as (log, raw):
        for _ in range(20):
            log.append([intent()])
            raw.write()
        ours, limit = pairs(lambda: log.append([intent()]), raw.write, place.some(400, 20))
    found = ratio(limit, ours)
    return [
        Row(
            name="append-1", median=median(ours), p99=p99(ours), limit=median(limit), ratio=found,
            budget="limit / ours ≥ 0.6", ok=found >= 0.6, note="limit: write 4 KiB + fdatasync",
        )
    ]  # fmt: skip


def append_many(place: Place) -> list[Row]:
    """32 callers at once; milliseconds per event, against one raw caller."""
    with stage(place) as (log, raw):
        total = CALLERS * EACH
        ours, limit = pairs(
            functools.partial(_crowd, lambda: log.append([intent()])),
            functools.partial(raw.write, total),
            place.some(9),
        )
    found = ratio(limit, ours)
    ours, limit = [t / total for t in ours], [t / total for t in limit]
    return [
        Row(
            name="append-32", median=median(ours), p99=p99(ours), limit=median(limit), ratio=found,
            budget="limit / ours ≥ 2", ok=found >= 2, note=f"{CALLERS} callers, {EACH} events each; per event",
        )
    ]  # fmt: skip


def _crowd(act: Callable[[], object]) -> None:
    gate = threading.Barrier(CALLERS)

    def caller() -> None:
        gate.wait()
        for _ in range(EACH):
            act()

    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
