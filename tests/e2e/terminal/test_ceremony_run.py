"""A whole ceremony at a terminal: a real pseudo-terminal, real prompts, passphrases that are not echoed."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from pathlib import Path

from hsm_console.cli import demo_cast as cast
from hsm_console.client import setup
from hsm_console.crypto import software

ROOT = Path(__file__).parents[3]
SECONDS = 120
SHEET = re.compile(rb"Fingerprint: ([0-9a-f]{64})")

# What the people type when they are asked; the first pattern that fits the end of the screen answers.
ANSWERS: tuple[tuple[bytes, str], ...] = (
    (rb"Passphrase of (\w+)\.p12: \Z", "{passphrase}"),
    (rb"PIN of the token: \Z", cast.PIN),
    (rb"Which kind of key .*: \Z", ""),
    (rb"Which name .*: \Z", "terminal key"),
    (rb"steps up: [^(]*\(([\w.]+)\).* short name: \Z", "{first}"),
    (rb"executive steps up: .*short name: \Z", "hedy"),
    (rb"witness steps up: .*short name: \Z", "joan"),
    (rb"Who signs\? [^(]*\(([\w.]+)\).* short name: \Z", "{first}"),
    (rb"Place: \Z", "Room 1"),
    (rb"Seated as (\w+) .*: \Z", "{seats}"),
    (rb"Time source: \Z", "wall clock"),
    (rb"sixteen digits.*: \Z", "{digits}"),
    (rb"Type \xe2\x80\x9c(\w+)\xe2\x80\x9d to do it: \Z", "{first}"),
    (rb"Word (\d+) of your printed sheet .*: \Z", "{word}"),
    (rb"The document's file: \Z", "{document}"),
    (rb"Scan the receipt .*: \Z", ""),
    (rb"\]: \Z", ""),
)


def reply(screen: bytes, document: Path) -> bytes | None:
    from hsm_console.crypto import words

    for pattern, text in ANSWERS:
        found = re.search(pattern, screen[-2000:])
        if not found:
            continue
        first = found.group(1).decode() if found.groups() else ""
        fingerprint = SHEET.findall(screen)
        values = {
            "first": first,
            "passphrase": next((p.passphrase for p in cast.CAST if p.uid == first), ""),
            "seats": " ".join(p.uid for p in cast.CAST if p.role.value == first and p.role.value != "auditor"),
            "digits": software.sha256.__wrapped__()[:16],
            "document": str(document),
            "word": words.encode(bytes.fromhex(fingerprint[-1].decode()))[int(first) - 1] if "{word}" in text else "",
        }
        return text.format(**values).encode() + b"\n"
    return None


def converse(command: list[str], document: Path) -> tuple[int, bytes]:
    """Run the command on a terminal of its own and answer what it asks."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(command[0], command)  # noqa: S606 - our own program in a terminal of its own
    screen, answered, deadline = b"", 0, time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.15)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # EIO: the other side is gone
                    break
                if not piece:
                    break
                screen += piece.replace(b"\r\n", b"\n")
            elif len(screen) > answered:
                text = reply(screen, document)
                if text is not None:
                    answered = len(screen)
                    os.write(master, text)
        else:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen


def test_a_ceremony_at_the_terminal(tmp_path: Path) -> None:
    workspace, document = tmp_path / "house", tmp_path / "letter.txt"
    document.write_text("Dear auditor\n")
    setup.run(cast.founding(workspace, "simulation"))
    command = [sys.executable, "-m", "hsm_console", "ceremony", "run", str(workspace), "executive-identity-key"]
    code, screen = converse([*command, "--credential", "ada"], document)
    assert code == 0, screen[-3000:].decode(errors="replace")
    assert b": completed" in screen
    assert b" [x] Make the key" in screen
    for player in cast.CAST:
        assert player.passphrase.encode() not in screen
    assert cast.PIN.encode() not in screen
    shutil.rmtree(workspace)
