"""The writer dies, or the disk fails, at any moment: what was acknowledged is there, what is there verifies."""

import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hsm_console.audit.log import AuditLog

WRITER = """
import sys, importlib.util
spec = importlib.util.spec_from_file_location("golden_forge", sys.argv[2])
forge = importlib.util.module_from_spec(spec); spec.loader.exec_module(forge)
from pathlib import Path
from hsm_console.audit.log import AuditLog
from hsm_console.domain.errors import ConsoleError
clock = forge.FixedClock(forge.START_MS + int(sys.argv[4]) * 10**6, sys.argv[4])
log = AuditLog.open(Path(sys.argv[1]), chain_uid=forge.CHAIN_UID, clock=clock)
log.set_signer(forge.Signer())
log.append([forge.start("unclean")])
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    try:
        print("ack", log.append([forge.view(number)] * 3 + [forge.unlocked()])[-1].seq, flush=True)
    except ConsoleError as fault:
        print("fault", fault.problem.code, flush=True)
print("end", flush=True)
"""
FORGE = Path(__file__).parents[1] / "golden" / "forge.py"


@pytest.fixture
def begun(new_case, forge, tmp_path):
    """A log on a real disk with an open run, and no writer."""
    folder = tmp_path / "log"
    folder.mkdir()
    case = new_case(folder)
    clock = forge.FixedClock()
    log = forge.new_log(folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.checkpoint()
    log.close()
    return case


TURNS = itertools.count(1)


def spawn(case, rounds=10_000, prefix=()):
    """A writer in a process of its own, in a boot of its own."""
    turn = str(next(TURNS))
    command = [*prefix, sys.executable, "-c", WRITER, str(case.database), str(FORGE), str(rounds), turn]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def acknowledged(output):
    found = re.findall(r"^ack (\d+)$", output, re.M)
    return int(found[-1]) if found else -1


def look_after(case, forge, acked):
    """Nothing acknowledged is lost; the log verifies (but for the crash itself), opens, goes on and ends clean."""
    report = case.product()
    assert {item.word for item in report.findings} <= {"UNCLEAN", "UNSIGNED"}, report
    assert report.entries > acked
    turn = next(TURNS)
    clock = forge.FixedClock(forge.START_MS + turn * 10**6, str(turn))
    log = AuditLog.open(case.database, chain_uid=forge.CHAIN_UID, clock=clock)
    log.append([forge.start("unclean")])
    log.set_signer(forge.Signer())
    log.append([forge.stop()])
    log.checkpoint()
    log.close()
    assert case.product().findings == ()


def test_kill_9_at_thirty_random_moments(begun, forge):
    generator = random.Random(os.getpid())
    for turn in range(30):
        writer = spawn(begun)
        assert writer.stdout.readline() == "ready\n"
        time.sleep(generator.random() * 0.08)
        writer.send_signal(signal.SIGKILL)
        output = writer.stdout.read()
        writer.wait()
        writer.stdout.close()
        if turn % 6 == 0:
            look_after(begun, forge, acknowledged(output))
        else:
            assert begun.product().entries > acknowledged(output)
    assert begun.script()[0] == 1  # the last crashes are not declared yet
    look_after(begun, forge, 0)
    assert begun.script() == (0, set())


SYSCALLS = ("pwrite64", "fdatasync", "fcntl", "ftruncate")  # what an append calls; it makes no fsync


def inject(case, syscall, fault, when):
    """Run a short writer in which the when-th call fails (EIO, ENOSPC) or the process is killed at it."""
    how = "signal=KILL" if fault == "KILL" else f"error={fault}"
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={syscall}:{how}:when={when}"]
    writer = spawn(case, rounds=4, prefix=prefix)
    return writer.communicate(timeout=120)[0]


def survive(case, forge, syscall, fault, when):
    output = inject(case, syscall, fault, when)
    faults = re.findall(r"^fault (\S+)$", output, re.M)
    assert set(faults) <= {"disk-full", "log-not-writable"}, output
    if fault != "KILL" and "ready" in output:
        assert output.endswith("end\n"), output
        assert acknowledged(output) >= 0, "the log is usable again when the fault is gone"
    look_after(case, forge, acknowledged(output))
    return output


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    ("syscall", "fault", "when"),
    [("pwrite64", "ENOSPC", 12), ("pwrite64", "EIO", 14), ("fdatasync", "EIO", 3), ("fdatasync", "KILL", 4)],
)
def test_a_fault_in_the_middle_of_an_append(begun, forge, syscall, fault, when):
    survive(begun, forge, syscall, fault, when)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "KILL"])
@pytest.mark.parametrize("syscall", SYSCALLS)
def test_a_fault_at_every_call(begun, forge, tmp_path, syscall, fault):
    keep = tmp_path / "keep"
    shutil.copytree(begun.folder, keep)
    reached = []
    for when in range(1, 80):
        shutil.rmtree(begun.folder)
        shutil.copytree(keep, begun.folder)
        output = survive(begun, forge, syscall, fault, when)
        reached.append("fault" in output or not output.endswith("end\n"))
        if when > 20 and not any(reached[-10:]):
            break
    assert any(reached) or syscall == "ftruncate"  # the faults were really met
