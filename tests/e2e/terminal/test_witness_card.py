"""A witness's key in a smart card: SoftHSM stands for the card, the head goes out and back as a picture of codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hsm_console.audit import witness, witness_files
from hsm_console.audit.checkpoint import Checkpoint, parse_vkey, sign_note
from hsm_console.audit.vkey import Vkey
from hsm_console.audit.witness import Trusted
from hsm_console.domain.keys import Algorithm, KeySpec
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

ROOT = Path(__file__).parents[3]
MODULE = next((p for p in Path("/usr/lib").rglob("libsofthsm2.so")), None)
PIN = "87654321"

pytestmark = [pytest.mark.softhsm]


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token with one Ed25519 key."""
    assert MODULE is not None
    (tmp_path / "card").mkdir()
    configuration = tmp_path / "softhsm.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'card'}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    command = ["softhsm2-util", "--init-token", "--free", "--label", "card", "--so-pin", "12345678", "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True)
    binding = Binding(adapter="pkcs11", token_label="card", options={"module": str(MODULE)})
    with HsmClient(binding) as client, Secret(PIN) as pin:
        client.log_in(pin)
        client.generate(KeySpec(algorithm=Algorithm.ED25519, label="wit", object_id=b"\x01" * 16))
    return str(MODULE)


@pytest.fixture
def head(tmp_path: Path) -> tuple[Path, Vkey]:
    key = Ed25519PrivateKey.generate()
    vkey = Vkey("log.example/1", key.public_key().public_bytes_raw())
    note = sign_note(Checkpoint("log.example/1", 42, b"\x07" * 32), 1_790_000_000, vkey, key.sign)
    (tmp_path / "log.vkey").write_text(vkey.text)
    path = tmp_path / "head.png"
    path.write_bytes(witness_files.pictures(witness_files.codes_for(note))[0])
    return path, vkey


def sign(head: Path, module: str, pin: str, *more: str) -> subprocess.CompletedProcess[str]:
    folder = head.parent
    command = [sys.executable, "-m", "hsm_console.cli.main", "witness", "sign", str(head), "--secrets", "-"]
    command += [
        "--vkey",
        str(folder / "log.vkey"),
        "--card",
        module,
        "--card-token",
        "card",
        "--name",
        "card.example/1",
    ]
    command += ["--state", str(folder / "memory.json"), "--out", str(folder / "out.txt"), *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said = f'{{"pin": "{pin}"}}'
    return subprocess.run(command, input=said, capture_output=True, text=True, check=False, env=environment)


def test_a_card_cosigns_a_head_that_came_as_a_code(card: str, head: tuple[Path, Vkey]) -> None:
    path, vkey = head
    done = sign(path, card, PIN, "--card-key", "wit")
    assert done.returncode == 0, done.stderr
    own = parse_vkey(done.stderr.strip().splitlines()[-1])
    found = witness.verify((path.parent / "out.txt").read_text(), vkey, Trusted((own,), (), ()))
    assert [item.witness for item in found.cosignatures] == ["card.example/1"]


def test_a_wrong_pin_is_tried_once_and_a_missing_key_is_named(card: str, head: tuple[Path, Vkey]) -> None:
    wrong = sign(head[0], card, "11111111")
    assert wrong.returncode == 3
    assert "PIN" in wrong.stderr
    missing = sign(head[0], card, PIN, "--card-key", "nobody")
    assert missing.returncode == 2
    assert "holds: none" in missing.stderr
    assert not (head[0].parent / "out.txt").exists()
