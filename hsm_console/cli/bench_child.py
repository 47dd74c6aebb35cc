"""Measurements that need a process of their own: `python -m hsm_console.cli.bench_child KIND …`, JSON lines out.

verify DATABASE VKEY ROUNDS: the verifier in one process and in two beside a bare scan with a bare SHA-256, and the
    peaks of resident memory.
module LIBRARY LABEL: a PKCS#11 module's C functions, without a worker; commands and the PIN come on standard input.
software: the same commands over the crypto library, without any store.
stall: a Qt event loop with a 5 ms timer while a ceremony makes an RSA-4096 key; workspace and adapter come on
    standard input.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> int:
    kinds: dict[str, Callable[..., None]] = {"verify": verify, "module": module, "software": software, "stall": stall}
    kinds[arguments[0]](*arguments[1:])
    return 0


def tell(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def peak_mb() -> float:
    """Peak of this process's resident memory (VmHWM, proc(5)), in MB of 10^6 bytes."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def verify(database: str, vkey: str, rounds: str) -> None:
    from hsm_console.audit.checkpoint import parse_vkey
    from hsm_console.audit.verify import verify_workspace

    key, path = parse_vkey(vkey), Path(database)
    acts: dict[str, Callable[[], object]] = {
        "raw": lambda: scan(path),
        "one": lambda: verify_workspace(path, key, jobs=1),
        "two": lambda: verify_workspace(path, key, jobs=2),
    }
    took: dict[str, list[float]] = {name: [] for name in acts}
    spent: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(int(rounds)):
        for name, act in acts.items():
            began, used = time.perf_counter_ns(), processor_ms()
            act()
            took[name].append((time.perf_counter_ns() - began) / 1e6)
            spent[name].append(max(b - a for a, b in zip(used, processor_ms(), strict=True)))
    line = verify_workspace(path, key, jobs=1).line
    second_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    tell({**took, "spent": spent, "peak_mb": peak_mb(), "second_mb": second_mb, "line": line})


def processor_ms() -> tuple[float, float]:
    """Processor time so far of this process, and of those that it started and waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, others = (1e3 * (item.ru_utime + item.ru_stime) for item in used)
    return own, others


def scan(path: Path) -> None:
    """Read every entry and hash it: the least that any verifier must do."""
    conn = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    for (body,) in conn.execute("SELECT body FROM entry ORDER BY seq"):
        hashlib.sha256(body).digest()
    conn.close()


def serve(acts: dict[str, Callable[..., object]]) -> None:
    """One JSON list a line, name and arguments; the answer is the milliseconds that it took, of a burst its number."""
    tell("ready")
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        began = time.perf_counter_ns()
        answer = acts[name](*arguments)
        tell(answer if name == "burst" else (time.perf_counter_ns() - began) / 1e6)


def repeated(act: Callable[[], object], seconds: float) -> int:
    """How often it is done in this time."""
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        act()
        count += 1
    return count


def software() -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    key = ec.generate_private_key(ec.SECP384R1())
    makers: dict[str, Callable[[], object]] = {
        "ec-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa-4096": lambda: rsa.generate_private_key(65537, 4096),
    }
    made: dict[str, Any] = {}

    def burst(algorithm: str, seconds: str) -> int:
        if algorithm not in made:
            made[algorithm] = makers[algorithm]()
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return repeated(lambda: made[algorithm].sign(b"x" * 1000, pss, hashes.SHA256()), float(seconds))

    serve(
        {
            "generate": lambda algorithm: makers[algorithm](),
            "sign": lambda text: key.sign(text.encode(), ec.ECDSA(hashes.SHA384())),
            "burst": burst,
        }
    )


def module(library: str, label: str) -> None:
    from hsm_console.cli.bench_raw import RawToken

    token = RawToken(library, label, sys.stdin.readline().rstrip("\n"))
    key, made = token.generate("ec-p384"), {}

    def burst(algorithm: str, seconds: str) -> int:
        if algorithm not in made:
            made[algorithm] = token.generate(algorithm)
        return repeated(lambda: token.sign_pss(made[algorithm], b"x" * 1000), float(seconds))

    serve({"burst": burst, "generate": token.generate, "sign": lambda text: token.sign_p384(key, text.encode())})


def stall() -> None:
    """The loop of a screen that does nothing but tick, beside a thread that holds a whole ceremony."""
    from PySide6.QtCore import QCoreApplication, QTimer

    from hsm_console.cli.bench_desk import Held, hold

    workspace, adapter = json.loads(sys.stdin.readline())
    app = QCoreApplication([])
    ticks: list[int] = []
    held = Held()
    thread = threading.Thread(target=hold, args=(Path(workspace), adapter, held))

    def tick() -> None:
        ticks.append(time.perf_counter_ns())
        if not thread.is_alive():
            app.quit()

    sys.setswitchinterval(0.001)  # as the screen does
    timer = QTimer(interval=5)
    timer.timeout.connect(tick)
    thread.start()
    timer.start()
    app.exec()
    thread.join()
    gaps = [(start, (end - start) / 1e6) for start, end in itertools.pairwise(ticks)]
    made = [gap for start, gap in gaps if held.began <= start <= held.ended]
    tell(
        {
            "gaps": made,
            "elsewhere": max((gap for _, gap in gaps), default=0.0),
            "made_ms": (held.ended - held.began) / 1e6,
            "fault": held.fault,
        }
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
