"""One authority per run, and the openssl command as the stranger who checks."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_console.pki.authority import Authority

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000
Openssl = Callable[..., str]


@pytest.fixture(scope="session")
def now() -> int:
    return NOW


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.found(ec.generate_private_key(ec.SECP384R1()), "Ceremony authority", now_ms=NOW - 10 * DAY)


@pytest.fixture
def openssl(tmp_path: Path) -> Openssl:
    """Run openssl in the test's folder; its output. ok=False: it must fail."""

    def run(*arguments: str | Path, ok: bool = True) -> str:
        done = subprocess.run(
            ["openssl", *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
