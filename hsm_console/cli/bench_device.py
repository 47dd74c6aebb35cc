"""Budgets of the way to the token: through the worker, beside the module itself in a process of its own.

Each side has a token of its own, so neither slows the other's. SoftHSM's limit is its module without worker and
rules; the simulation's limit is the crypto library without any store.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.cli import adapter, bench_desk, bench_log
from hsm_console.cli import demo_cast as cast
from hsm_console.cli.bench_measure import Place, Row, median, p99, ratio, timed
from hsm_console.client import audit, spawn
from hsm_console.client.session import log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, SignMechanism
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

LABEL = "bench"
TEXT = "What is signed to see how long it takes. " * 25
MECHANISM = SignMechanism.ECDSA_SHA384
RSA_RATIO = 1.1
AUDITED_MS = 5.0
AUDITED_P99_MS = 15.0


class Bare:
    """The limit's process (`bench_child`): it answers how many milliseconds each command took it."""

    def __init__(self, place: Place) -> None:
        if place.adapter == "simulation":
            command = spawn.python_command("hsm_console.cli.bench_child", "software")
            environment: dict[str, str] = {}
        else:
            command, environment = _module(place)
        self._process = subprocess.Popen(
            command,
            env={**spawn.environment(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if environment:
            self._write(cast.PIN)
        self._read()

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.__exit__(kind, error, at)

    def ask(self, *command: str) -> float:
        """Milliseconds, as the process itself measured them."""
        self._write(json.dumps(command))
        return float(json.loads(self._read()))

    def _write(self, line: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _read(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise EnvironmentFault(
                Problem(
                    code="bench-failed",
                    what="The process that measures the module by itself ended early.",
                    todo="Look at `hsm-console adapter doctor softhsm`.",
                )
            )
        return line


def _module(place: Place) -> tuple[list[str], dict[str, str]]:
    """A second token, initialised through the worker as the first was, for the module by itself."""
    folder = Path(tempfile.mkdtemp(dir=place.folder))
    _initialised(folder, place.adapter).close()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'softhsm'}\nobjectstore.backend = file\n", "utf-8")
    library = next(row.module for row in adapter.rows() if row.name == place.adapter)
    command = spawn.python_command("hsm_console.cli.bench_child", "module", library, LABEL)
    return command, {"SOFTHSM2_CONF": str(configuration)}


def _initialised(folder: Path, name: str) -> HsmClient:
    client = HsmClient(Binding(adapter=name, token_label=LABEL, directory=str(folder)))
    with Secret(cast.SO_PIN) as so_pin, Secret(cast.PIN) as pin:
        client.initialise_token(LABEL, so_pin, pin)
    return client


@contextmanager
def token(place: Place) -> Iterator[HsmClient]:
    """A fresh token through the worker, logged in."""
    client = _initialised(Path(tempfile.mkdtemp(dir=place.folder)), place.adapter)
    try:
        with Secret(cast.PIN) as pin:
            client.log_in(pin)
        yield client
    finally:
        client.close()


def _maker(client: HsmClient, algorithm: Algorithm) -> Callable[[], KeyInfo]:
    """Makes another key at each call."""
    count = 0

    def make() -> KeyInfo:
        nonlocal count
        count += 1
        name = f"{algorithm.value}-{count}"
        object_id = hashlib.sha256(name.encode()).digest()[:16]
        return client.generate(KeySpec(algorithm=algorithm, label=name, object_id=object_id))

    return make


def _against(client_act: Callable[[], object], limit: Callable[[], float], rounds: int) -> tuple[list[float], ...]:
    """Alternate our way and the limit, which measures itself."""
    ours: list[float] = []
    bare: list[float] = []
    for turn in range(rounds):
        if turn % 2:
            ours.append(timed(client_act))
        bare.append(limit())
        if not turn % 2:
            ours.append(timed(client_act))
    return ours, bare


def keygen(place: Place) -> list[Row]:
    """Key pairs that stay in the token.

    The search for the primes of an RSA pair takes one time or three times as long by chance, so pairs of runs say
    little. What the way to the module costs is the same for any pair: it is taken from P-384, and set beside RSA.
    """
    rows = []
    way = 0.0
    wanted = ((Algorithm.EC_P384, 30), (Algorithm.ED25519, 30), (Algorithm.RSA_4096, 9))
    with token(place) as client, Bare(place) as bare:
        for algorithm, rounds in wanted:
            make = _maker(client, algorithm)
            ours, limit = _against(make, lambda: bare.ask("generate", algorithm.value), place.some(rounds, 2))  # noqa: B023
            if algorithm is Algorithm.EC_P384:
                way = median([mine - theirs for mine, theirs in zip(ours, limit, strict=True)])
            rows.append(_rsa(place, ours, limit, way) if algorithm.is_rsa else _made(place, algorithm, ours, limit))
    return rows


def _made(place: Place, algorithm: Algorithm, ours: list[float], limit: list[float]) -> Row:
    top = p99(ours)
    return Row(
        name=f"keygen-{algorithm.value}", median=median(ours), p99=top, limit=median(limit), ratio=ratio(ours, limit),
        budget="p99 ≤ 100 ms", ok=top <= 100, note=_whose(place),
    )  # fmt: skip


def _rsa(place: Place, ours: list[float], limit: list[float], way: float) -> Row:
    """The budget is about a module, and a simulation has none."""
    found, real = round((median(limit) + way) / median(limit), 3), place.adapter != "simulation"
    return Row(
        name=f"keygen-{Algorithm.RSA_4096.value}", median=median(ours), p99=p99(ours), limit=median(limit), ratio=found,
        budget=f"(limit + way) / limit ≤ {RSA_RATIO}" if real else "", ok=found <= RSA_RATIO if real else None,
        note=f"way to the module, by P-384: {way} ms; {len(ours)} pairs as they came: {ratio(ours, limit)}; "
        + _whose(place),
    )  # fmt: skip


def _whose(place: Place) -> str:
    if place.adapter == "simulation":
        return "limit: the crypto library, nothing kept"
    return "limit: the module's own C function, kept in a token"


def sign(place: Place) -> list[Row]:
    """ECDSA P-384 with SHA-384 over 1 KiB."""
    with token(place) as client, Bare(place) as bare:
        key = _maker(client, Algorithm.EC_P384)()
        data = TEXT.encode()
        ours, limit = _against(
            lambda: client.sign(key.object_id, MECHANISM, data), lambda: bare.ask("sign", TEXT), place.some(300, 20)
        )
    top = p99(ours)
    return [
        Row(
            name="sign-ec-p384", median=median(ours), p99=top, limit=median(limit), ratio=ratio(ours, limit),
            budget="p99 ≤ 75 ms", ok=top <= 75, note=_whose(place),
        )
    ]  # fmt: skip


def audited(place: Place) -> list[Row]:
    """The parts of one audited signature in a row. A ceremony is the only way to sign, so no single call does all."""
    folder = bench_desk.workspace(place)
    ada = cast.of_role(Role.ADMINISTRATOR)[0]
    data = TEXT.encode()
    with (
        GatewayProcess(folder) as gateway,
        token(place) as client,
        Bare(place) as bare,
        bench_log.stage(place) as (log, raw),
        Secret(ada.passphrase) as passphrase,
        log_in(gateway.address, folder / "credentials" / f"{ada.uid}.p12", passphrase, ada.role) as session,
    ):
        key = _maker(client, Algorithm.EC_P384)()
        public = load_der_public_key(key.spki)
        assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101 - what was asked for

        def once() -> None:
            audit.head(session)
            intended = log.append([bench_log.intent()])[0]
            signature = client.sign(key.object_id, MECHANISM, data)
            public.verify(signature, data, ec.ECDSA(hashes.SHA384()))
            log.append([bench_log.outcome(intended.seq, base64.b64encode(signature).decode())])

        disk: list[float] = []

        def limit() -> float:
            disk.append(timed(lambda: raw.write(2)))
            return bare.ask("sign", TEXT)

        ours, module = _against(once, limit, place.some(100, 10))
    extra = [mine - theirs for mine, theirs in zip(ours, module, strict=True)]
    least = [one + other for one, other in zip(module, disk, strict=True)]
    middle, top = median(extra), p99(extra)
    return [
        Row(
            name="sign-audited-parts", median=middle, p99=top, limit=median(disk), ratio=ratio(least, ours),
            budget=f"over the raw signature: median ≤ {AUDITED_MS:.0f} ms, p99 ≤ {AUDITED_P99_MS:.0f} ms",
            ok=middle <= AUDITED_MS and top <= AUDITED_P99_MS,
            note="TLS round trip, intent, worker, second verifier, outcome; limit: the disk's two durable writes; "
            "ratio: (raw signature + those) / ours",
        )
    ]  # fmt: skip
