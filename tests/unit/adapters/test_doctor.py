"""`adapter doctor` in words: what was found, what is missing, what to do; no driver in the command's own process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hsm_console.cli import doctor
from hsm_console.cli.main import main
from hsm_console.domain.errors import DeviceError, EnvironmentFault, Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.hsm.port import Binding

Findings = Callable[..., dict[str, list[str]]]
BARE = DeviceInfo(adapter="x", vendor="v", model="m", serial="1", label="t", firmware="1", simulated=False)


@pytest.fixture
def findings(capsys: pytest.CaptureFixture[str]) -> Findings:
    """What doctor says, by state."""

    def ask(*arguments: str) -> dict[str, list[str]]:
        main(["adapter", "doctor", *arguments, "--json"])
        found: dict[str, list[str]] = {"ok": [], "note": [], "missing": []}
        for row in json.loads(capsys.readouterr().out):
            found[row["state"]].append(f"{row['what']} → {row['todo']}")
        return found

    return ask


def says(lines: list[str], *words: str) -> bool:
    return any(all(word in line for word in words) for line in lines)


def test_missing_driver_names_every_place_and_what_to_install(findings: Findings) -> None:
    found = findings("luna")
    assert says(found["missing"], "/usr/safenet/lunaclient/lib/libCryptoki2_64.so", "/usr/lib64/pkcs11/", "Luna client")
    assert says(found["note"], "never tried on the hardware")


def test_driver_of_another_kind_is_told_from_its_header(findings: Findings, tmp_path: Path) -> None:
    wrong = tmp_path / "driver.so"
    wrong.write_text("not a library")
    found = findings("luna", "--option", f"module={wrong}")
    assert says(found["missing"], "no program library", str(wrong))
    assert not says(found["ok"], "starts in a process")


def test_files_and_programs_that_a_vendor_needs(findings: Findings, tmp_path: Path) -> None:
    found = findings("azure-cloud-hsm", "--option", f"configuration={tmp_path}")
    assert says(found["missing"], "azcloudhsm_client is not there", "Start azcloudhsm_client")
    assert says(found["missing"], "azcloudhsm_application.cfg is not there")
    (tmp_path / "azcloudhsm_application.cfg").write_text("x")
    found = findings("azure-cloud-hsm", "--option", f"configuration={tmp_path}")
    assert says(found["ok"], "azcloudhsm_application.cfg is there")


def test_variables_that_a_vendor_needs(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/a.json")
    assert says(findings("kmsp11")["note"], "GOOGLE_APPLICATION_CREDENTIALS is set here", "does not hand it on", "env.")
    found = findings("kmsp11", "--option", "credentials=/proc/self/comm")
    assert says(found["ok"], "GOOGLE_APPLICATION_CREDENTIALS will be /proc/self/comm")
    assert says(found["ok"], "the service account's key file: /proc/self/comm is there")
    assert says(findings("nshield")["ok"], "CKNFAST_ASSUME_SINGLE_PROCESS will be 0")
    assert not says(findings("pkcs11", "--option", "env.KRYOPTIC_CONF=/k")["note"], "means nothing")
    monkeypatch.setenv("SOME_VARIABLE", "x")
    assert doctor.is_there("environment", "SOME_VARIABLE")
    assert not doctor.is_there("environment", "NO_SUCH_VARIABLE")


def test_misspelt_option_is_noticed(findings: Findings) -> None:
    assert says(findings("yubihsm", "--option", "key-idd=0001")["note"], "“key-idd” means nothing")


def test_running_programs_and_groups_are_seen() -> None:
    own = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert doctor.is_there("process", own)
    assert not doctor.is_there("process", "no-such-program")
    assert doctor.is_there("file", "/proc/self/comm")
    assert not doctor.is_there("file", "/nonexistent")
    if os.getuid() != 0:
        assert not doctor.is_there("group", "no-such-group")


CONSTRUCTOR = """
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {
    FILE *out = fopen("%s", "a"); fprintf(out, "%%d\\n", (int)getpid()); fclose(out);
}
unsigned long C_GetFunctionList(void **list) { return 6; }
"""


def test_driver_is_loaded_in_a_worker_and_never_here(findings: Findings, tmp_path: Path) -> None:
    trace, source, library = tmp_path / "trace", tmp_path / "trace.c", tmp_path / "trace.so"
    source.write_text(CONSTRUCTOR % trace)
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    found = findings("pkcs11", "--option", f"module={library}", "--label", "t")
    assert says(found["ok"], str(library))
    assert says(found["missing"], "driver")
    assert trace.exists()
    assert os.getpid() not in [int(line) for line in trace.read_text().splitlines()]
    assert str(library) not in Path("/proc/self/maps").read_text()
    code = main(["adapter", "list", "--json"])
    assert code == 0
    assert str(library) not in Path("/proc/self/maps").read_text()


def failing(code: str) -> Callable[[Binding], doctor.Probe]:
    def probe(_binding: Binding) -> doctor.Probe:
        raise EnvironmentFault(Problem(code=code, what="Two tokens are called “t”.", todo="general"))

    return probe


def test_ambiguous_label_asks_for_the_serial_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", failing("token-ambiguous"))
    named = list(doctor.examine(Binding(adapter="simulation", token_label="t")))
    assert "--serial" in named[-1].todo
    unnamed = list(doctor.examine(Binding(adapter="simulation", token_label="")))
    assert "--label" in unnamed[-1].todo


def test_device_errors_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(_binding: Binding) -> doctor.Probe:
        raise DeviceError(Problem(code="device-hung", what="It hangs.", todo="Look.", details={"call": "open"}))

    monkeypatch.setattr(doctor, "probe", probe)
    last = list(doctor.examine(Binding(adapter="simulation", token_label="t")))[-1]
    assert (last.state, last.todo) == ("missing", "Look.")
    assert "call: open" in last.what


def test_locked_pin_is_missing_and_a_last_try_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    for change, state, words in (
        ({"user_pin_locked": True}, "missing", "locked"),
        ({"user_pin_final_try": True}, "note", "one try left"),
        ({"user_pin_low": True}, "note", "wrong PINs were tried"),
    ):
        answer = doctor.Probe(info=msgspec.structs.replace(BARE, **change), ready_ms=1.0, round_trip_ms=1.0)
        monkeypatch.setattr(doctor, "probe", lambda _binding, a=answer: a)
        found = list(doctor.examine(Binding(adapter="simulation", token_label="t")))
        assert any(each.state == state and words in each.what for each in found)
