"""Keys from the command line: asked for, approved, made, used, destroyed; and what scripts get to read."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hsm_console.cli import demo_cast as cast
from hsm_console.client.transport import GatewayProcess


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, found: Callable[..., Path]) -> Iterator[Path]:
    folder = found(cast.founding(tmp_path_factory.mktemp("terminal") / "house", "simulation"))
    with GatewayProcess(folder):
        yield folder


def said(workspace: Path, *arguments: Any, who: str = "ada") -> tuple[int, Any]:
    """(exit code, what it said as JSON). The workspace is put behind the two verbs."""
    passphrase = next(person.passphrase for person in cast.CAST if person.uid == who)
    first, rest = [str(a) for a in arguments[:2]], [str(a) for a in arguments[2:]]
    command = [sys.executable, "-m", "hsm_console", *first, str(workspace), *rest, "--json"]
    command += ["--credential", who, "--secrets", "-"]
    secrets = json.dumps({"passphrase": passphrase, "pin": cast.PIN})
    done = subprocess.run(command, input=secrets, capture_output=True, text=True, timeout=120, check=False)
    assert passphrase not in done.stdout + done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def carried_out(workspace: Path, *arguments: Any) -> Any:
    code, order = said(workspace, *arguments)
    assert code == 0, order
    for who in ("claude", "grace", "whit")[: order["needed"]]:
        assert said(workspace, "order", "approve", order["id"], "--yes", who=who)[0] == 0
    code, order = said(workspace, "order", "run", order["id"])
    assert (code, order["state"]) == (0, "done"), order
    return order


def test_a_key_s_life(workspace: Path, tmp_path: Path) -> None:
    letter, other = tmp_path / "letter.txt", tmp_path / "other.txt"
    letter.write_bytes(b"Dear Ada\n")
    other.write_bytes(b"Dear Grace\n")
    code, problem = said(workspace, "use", "sign", "web 1", letter)
    assert (code, problem["code"]) == (2, "key-unknown")
    assert said(workspace, "use", "random", 32, "--out", tmp_path / "seed", "--unlock")[0] == 0
    order = carried_out(workspace, "key", "make", "--algorithm", "ec-p256", "--label", "web {n}", "--count", 3)
    assert order["result"]["made"] == "3 of 3"
    code, listed = said(workspace, "key", "list", who="joan")
    assert [key["label"] for key in listed[:3]] == ["web 3", "web 2", "web 1"]
    code, shown = said(workspace, "key", "show", "web 2")
    assert (code, shown["acts"]) == (0, ["sign", "verify"])
    code, reply = said(workspace, "use", "sign", "web 2", letter)
    assert (code, reply["mechanism"]) == (0, "ecdsa-sha256")
    signature = tmp_path / "letter.txt.sig"
    assert said(workspace, "use", "verify", letter, signature, "--key", "web 2", who="alan")[0] == 0
    code, problem = said(workspace, "use", "verify", other, signature, "--key", "web 2", who="alan")
    assert (code, problem["code"]) == (1, "signature-invalid")
    pem = tmp_path / "key.pem"
    pem.write_text(next(key["spki_pem"] for key in listed if key["label"] == "web 2"))
    by_pem = ("use", "verify", letter, signature, "--public", pem)
    assert said(workspace, *by_pem, "--mechanism", "ecdsa-sha256")[0] == 0
    assert said(workspace, *by_pem)[1]["code"] == "mechanism-missing"
    done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", pem, "-signature", signature, letter], check=False)
    assert done.returncode == 0
    code, problem = said(workspace, "use", "sign", "web 2", letter)
    assert (code, problem["code"]) == (3, "file-exists")
    assert said(workspace, "use", "sign", "web 2", letter, "--out", tmp_path / "x", who="joan")[0] == 4
    code, problem = said(workspace, "key", "destroy", "web 2", "--leave", "second", "--leave", "third")
    assert (code, problem["code"]) == (2, "device-unknown")
    kinds = {kind["action"]: kind for kind in said(workspace, "order", "kinds")[1]}
    assert kinds["destroy-key"]["optional"] == ["leave"]
    carried_out(workspace, "key", "destroy", "web 2")
    code, problem = said(workspace, "use", "sign", shown["key_id"], other)
    assert (code, problem["code"]) == (4, "key-destroyed")


def test_large_files_are_signed_by_their_digests(workspace: Path, tmp_path: Path) -> None:
    said(workspace, "use", "random", 1, "--out", tmp_path / "seed", "--unlock")
    carried_out(workspace, "key", "make", "--algorithm", "ed25519", "--label", "archive")
    large = tmp_path / "large.img"
    with large.open("wb") as stream:
        stream.truncate(17 * 1024 * 1024)
    code, problem = said(workspace, "use", "sign", "archive", large)
    assert (code, problem["code"]) == (2, "message-too-large")
    assert "--digest" in problem["what"]
    code, _ = said(workspace, "use", "sign", "archive", large, "--digest")
    assert code == 0
    listed = tmp_path / "large.img.sha256"
    assert listed.read_text().split()[0] == hashlib.sha256(large.read_bytes()).hexdigest()
    assert subprocess.run(["sha256sum", "-c", listed], capture_output=True, check=False).returncode == 0
    assert said(workspace, "use", "verify", listed, tmp_path / "large.img.sha256.sig", "--key", "archive")[0] == 0


def test_secrets_go_into_files_and_nowhere_else(workspace: Path, tmp_path: Path) -> None:
    said(workspace, "use", "random", 1, "--out", tmp_path / "seed", "--unlock")
    carried_out(workspace, "key", "make", "--algorithm", "aes-256", "--label", "vault", "--usages", "encrypt",
                "--extractable")  # fmt: skip
    carried_out(workspace, "key", "make", "--algorithm", "aes-256", "--label", "wrapper", "--usages", "wrap")
    letter, sealed, opened = tmp_path / "letter.txt", tmp_path / "letter.jwe", tmp_path / "opened.txt"
    letter.write_bytes(b"Dear Ada\n")
    bound = ("--bind", "case 7")
    assert said(workspace, "use", "encrypt", "vault", letter, "--out", sealed, *bound)[1]["format"] == "jwe"
    code, problem = said(workspace, "use", "decrypt", "vault", sealed, "--out", opened)
    assert (code, problem["code"]) == (1, "ciphertext-invalid")
    code, told = said(workspace, "use", "decrypt", "vault", sealed, "--out", opened, *bound)
    assert (code, set(told)) == (0, {"out", "octets", "entry"})
    assert opened.read_bytes() == b"Dear Ada\n"
    assert stat.S_IMODE(opened.stat().st_mode) == 0o600
    order = carried_out(workspace, "key", "wrap", "vault", "--under", "wrapper")
    wrapped = tmp_path / "vault.kwp"
    assert said(workspace, "key", "wrapped", order["result"]["sha256"], "--out", wrapped)[0] == 0
    carried_out(workspace, "key", "unwrap", "--under", "wrapper", "--file", wrapped, "--algorithm", "aes-256",
                "--label", "back", "--usages", "encrypt")  # fmt: skip
    code, offers = said(workspace, "key", "offers")
    assert {"ec-p384", "ml-dsa-65", "slh-dsa-sha2-128s"} <= {offer["algorithm"] for offer in offers}
