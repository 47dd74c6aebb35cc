"""Budgets of work with keys through the whole house: TLS, policy, log, worker, second verifier; beside the bare module.

The bare side is the module without worker and rules, one process and one session for each caller.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hsm_console.cli import bench_desk
from hsm_console.cli import demo_cast as cast
from hsm_console.cli.bench_device import AUDITED_MS, AUDITED_P99_MS, TEXT, Bare
from hsm_console.cli.bench_measure import Place, Row, median, p99, ratio, timed
from hsm_console.client import device, devices, keys, orders, work
from hsm_console.client.session import Session, log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.events import Decision
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages.devices import AddDevice
from hsm_console.domain.messages.orders import OrderState
from hsm_console.domain.messages.work import GENERATE_KEYS, VerifyRequest
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

DATA = TEXT.encode()
MECHANISMS = {"rsa-4096": SignMechanism.RSA_PSS_SHA256, "ec-p384": SignMechanism.ECDSA_SHA384}
CALLERS = (1, 2, 4, 8)
PARALLEL = 4
SECOND = "second"


class House:
    """A running gateway with an unlocked token, and people who are logged in."""

    def __init__(self, folder: Path, gateway: GatewayProcess, stack: contextlib.ExitStack) -> None:
        self.folder, self.gateway, self._stack = folder, gateway, stack
        self.ada = self.be(Role.ADMINISTRATOR)
        with Secret(cast.PIN) as pin:
            device.unlock(self.ada, pin)

    def be(self, role: Role) -> Session:
        player = cast.of_role(role)[0]
        with Secret(player.passphrase) as passphrase:
            session = log_in(self.gateway.address, self.folder / "credentials" / f"{player.uid}.p12", passphrase, role)
        self._stack.callback(session.close)
        return session

    def ordered(self, action: str, **given: str) -> None:
        """Ask, approve, carry out. Raises what the order failed of."""
        order = orders.open_order(self.ada, action, given)
        orders.decide(self.be(Role.CUSTODIAN), order.id, Decision.APPROVE)
        order = orders.run(self.ada, order.id)
        while order.state is OrderState.RUNNING:
            time.sleep(0.05)
            order = orders.show(self.ada, order.id)
        if order.state is not OrderState.DONE:
            raise EnvironmentFault(order.problem or _failed(f"the order “{action}” is {order.state.value}"))

    def key(self, algorithm: str, usages: str = "sign") -> str:
        """A new key's id; it may leave its device under a wrapping key."""
        label = f"bench-{algorithm}-{os.urandom(4).hex()}"
        self.ordered(GENERATE_KEYS, algorithm=algorithm, label=label, count="1", usages=usages, extractable="yes")
        return next(row.object_id for row in keys.listed(self.ada) if row.label == label)

    def second(self, place: Place) -> None:
        """Another token that holds the keys of the first, unlocked."""
        folder = self.folder / "devices" / SECOND
        folder.mkdir(parents=True)
        with (
            HsmClient(Binding(adapter=place.adapter, token_label=SECOND, directory=str(folder))) as client,
            Secret(cast.SO_PIN) as so_pin,
            Secret(cast.PIN) as pin,
        ):
            client.initialise_token(SECOND, so_pin, pin)
        devices.add(self.ada, AddDevice(name=SECOND, adapter=place.adapter, label=SECOND))
        with Secret(cast.PIN) as pin:
            devices.unlock(self.ada, SECOND, pin)
        self.ordered("share-wrapping-key", device=SECOND)
        self.ordered("replicate-key", key="all", device=SECOND)


@contextlib.contextmanager
def house(place: Place) -> Iterator[House]:
    """A house of its own for one measurement."""
    lonely = Place(
        folder=Path(tempfile.mkdtemp(dir=place.folder)), adapter=place.adapter, events=place.events, quick=place.quick
    )
    folder = bench_desk.workspace(lonely)
    with contextlib.ExitStack() as stack:
        yield House(folder, stack.enter_context(GatewayProcess(folder)), stack)


def _failed(why: str) -> Problem:
    return Problem(code="bench-failed", what=f"The measurement came to no end: {why}.", todo="Run it again.")


# -- one call ------------------------------------------------------------------------------------------------


def audited(place: Place) -> list[Row]:
    """One signature through everything, minus the module's own; and the other calls at their 99th percentile."""
    with house(place) as home, Bare(place) as bare:
        key = home.key("ec-p384")
        ours: list[float] = []
        limit: list[float] = []
        for turn in range(place.some(150, 6)):
            for act in (ours, limit)[:: 1 if turn % 2 else -1]:
                act.append(
                    timed(lambda: work.sign(home.ada, key, MECHANISMS["ec-p384"], DATA))
                    if act is ours
                    else bare.ask("sign", TEXT)
                )
        return [_over(ours, limit), *_table(place, home, key, ours)]


def _over(ours: list[float], limit: list[float]) -> Row:
    extra = [mine - theirs for mine, theirs in zip(ours, limit, strict=True)]
    middle, top = median(extra), p99(extra)
    return Row(
        name="sign-audited", median=middle, p99=top, limit=median(limit), ratio=ratio(limit, ours),
        budget=f"over the raw signature: median ≤ {AUDITED_MS:.0f} ms, p99 ≤ {AUDITED_P99_MS:.0f} ms",
        ok=middle <= AUDITED_MS and top <= AUDITED_P99_MS,
        note=f"P-384 through mutual TLS, audit included, {len(ours)} calls; ratio: raw / ours",
    )  # fmt: skip


def _table(place: Place, home: House, key: str, signing: list[float]) -> list[Row]:
    """The table of times that users asked for, audit included."""
    signature = work.sign(home.ada, key, MECHANISMS["ec-p384"], DATA).signature
    request = VerifyRequest(key_id=key, mechanism=MECHANISMS["ec-p384"], data=DATA, signature=signature)
    secret = home.key("aes-256", "encrypt")
    rounds = place.some(100, 4)
    checking = [timed(lambda: work.verify(home.ada, request)) for _ in range(rounds)]
    sealing = [timed(lambda: work.encrypt(home.ada, secret, DATA)) for _ in range(rounds)]
    found = (("use-sign", signing, 75), ("use-verify", checking, 25), ("use-aes-gcm", sealing, 50))
    return [
        Row(
            name=name, median=median(times), p99=p99(times), budget=f"p99 ≤ {most} ms", ok=p99(times) <= most,
            note="through mutual TLS, audit included",
        )
        for name, times, most in found
    ]  # fmt: skip


# -- many callers ------------------------------------------------------------------------------------------------


def burst(sessions: Sequence[Session], key: str, algorithm: str, seconds: float) -> float:
    """Signatures a second that these callers get together. Raises what a caller was refused with."""
    counts = [0] * len(sessions)
    errors: list[Exception] = []
    end = time.monotonic() + seconds

    def call(number: int) -> None:
        try:
            while time.monotonic() < end:
                work.sign(sessions[number], key, MECHANISMS[algorithm], DATA)
                counts[number] += 1
        except Exception as error:  # noqa: BLE001 - a thread's end; raised again by whoever waits
            errors.append(error)

    began = time.monotonic()
    _together([lambda n=n: call(n) for n in range(len(sessions))])  # type: ignore[misc]
    if errors:
        raise errors[0]
    return sum(counts) / (time.monotonic() - began)


def bare_burst(bares: Sequence[Bare], algorithm: str, seconds: float) -> float:
    """The same by the module alone, a process for each caller."""
    counts = [0.0] * len(bares)

    def call(number: int) -> None:
        counts[number] = bares[number].ask("burst", algorithm, str(seconds))

    began = time.monotonic()
    _together([lambda n=n: call(n) for n in range(len(bares))])  # type: ignore[misc]
    return sum(counts) / (time.monotonic() - began)


def _together(acts: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def parallel(place: Place) -> list[Row]:
    """Throughput of parallel RSA-4096 signatures through the gateway, beside as many bare sessions."""
    seconds, rounds = (3.0, 5) if not place.quick else (0.5, 1)
    with house(place) as home, contextlib.ExitStack() as stack:
        key = home.key("rsa-4096")
        sessions = [home.be(Role.EXECUTIVE) for _ in range(PARALLEL)]
        bares = [stack.enter_context(Bare(place)) for _ in range(PARALLEL)]
        _together([lambda b=b: b.ask("burst", "rsa-4096", "0") for b in bares])  # type: ignore[misc]
        ours, limit = [], []
        for _ in range(rounds):
            limit.append(bare_burst(bares, "rsa-4096", seconds))
            ours.append(burst(sessions, key, "rsa-4096", seconds))
    found = ratio(ours, limit)
    real = place.adapter != "simulation"
    return [
        Row(
            name="sign-parallel-rsa-4096", median=median(ours), p99=None, unit="1/s", limit=median(limit), ratio=found,
            budget="ours / limit ≥ 0.5" if real else "", ok=found >= 0.5 if real else None,
            note=f"{PARALLEL} callers; limit: {PARALLEL} bare sessions",
        )
    ]  # fmt: skip


def scaling(place: Place) -> list[Row]:
    """Signatures a second with 1, 2, 4, 8 callers, on one token and on two."""
    seconds = 2.0 if not place.quick else 0.4
    rows = []
    with house(place) as home:
        key = home.key("rsa-4096")
        sessions = [home.be(Role.EXECUTIVE) for _ in range(CALLERS[-1])]
        for tokens in (1, 2):
            if tokens == 2:
                home.second(place)
            for callers in CALLERS:
                rate = burst(sessions[:callers], key, "rsa-4096", seconds)
                name = f"scaling-{callers}x{tokens}"
                rows.append(Row(name=name, median=round(rate, 2), p99=None, unit="1/s",
                                note=f"RSA-4096, {callers} callers, {tokens} token(s)"))  # fmt: skip
    return rows


# -- when a device fails -----------------------------------------------------------------------------------------


def failover(place: Place) -> list[Row]:
    """How long a signature takes whose device is killed under it, and how long until the device answers again."""
    took: list[float] = []
    back: list[float] = []
    with house(place) as home:
        key = home.key("ec-p384")
        home.second(place)
        for _ in range(place.some(8, 1)):
            worker = _worker(home)
            stop = threading.Event()
            times: list[float] = []

            def call(times: list[float] = times, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    times.append(timed(lambda: work.sign(home.ada, key, MECHANISMS["ec-p384"], DATA)))

            thread = threading.Thread(target=call)
            thread.start()
            time.sleep(0.3)
            os.kill(worker, signal.SIGKILL)
            began = time.monotonic()
            while next(row for row in devices.listed(home.ada).devices if row.name == SECOND).unlocked:
                time.sleep(0.005)
            with Secret(cast.PIN) as pin:
                devices.unlock(home.ada, SECOND, pin)
            back.append((time.monotonic() - began) * 1000)
            stop.set()
            thread.join()
            took.append(max(times))
    return [
        Row(name="failover-call", median=median(took), p99=p99(took), budget="largest ≤ 1 s", ok=max(took) <= 1000,
            note="the longest of the signatures around a kill of their device; none failed"),
        Row(name="failover-back", median=median(back), p99=p99(back), budget="median ≤ 1 s", ok=median(back) <= 1000,
            note="from the kill until the device was unlocked again, keys read back (PIN given at once)"),
    ]  # fmt: skip


def _worker(home: House) -> int:
    """The worker process of the second device: the youngest child of the gateway's that hosts a module."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and b"hsm_console.hsm.host" in (entry / "cmdline").read_bytes():
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == home.gateway.pid:
                    found.append((int(stat[19]), int(entry.name)))
    if len(found) < 2:
        raise EnvironmentFault(_failed("there are no two workers"))
    return max(found)[1]
