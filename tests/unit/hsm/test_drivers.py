"""Finding a driver without loading it: the order of places, headers of files, and who may change them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from hsm_console.hsm import drivers, vendors

MODULES = ("/opt/vendor/lib/libvendor.so", "/opt/older/libvendor1.so")


def elf(machine: int, bits: int = 2, order: int = 1, length: int = 64) -> bytes:
    header = bytearray(64)
    header[:6] = b"\x7fELF" + bytes([bits, order])
    header[18:20] = machine.to_bytes(2, "big" if order == 2 else "little")
    return bytes(header[:length])


def test_places_come_in_the_order_that_is_documented() -> None:
    places = drivers.places("luna", MODULES, "", {})
    assert [place.path for place in places[:2]] == list(MODULES)
    named = [place.named for place in places]
    assert named == sorted(named, key=["profile", "folder", "p11-kit"].index)
    assert Path("/usr/lib64/pkcs11/libvendor.so") in [Path(place.path) for place in places]
    assert len({place.path for place in places}) == len(places)


def test_option_and_variable_leave_nothing_to_look_for() -> None:
    environ = {"HSM_CONSOLE_MODULE_AZURE_CLOUD_HSM": "/from/environment.so"}
    option = drivers.places("azure-cloud-hsm", MODULES, "/from/option.so", environ)
    assert [(place.path, place.named) for place in option] == [("/from/option.so", "option")]
    variable = drivers.places("azure-cloud-hsm", MODULES, "", environ)
    assert [(place.path, place.named) for place in variable] == [("/from/environment.so", "environment")]
    assert drivers.places("luna", MODULES, "", environ)[0].named == "profile"


def test_modules_of_p11_kit_are_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.module").write_text("# a comment: here\nmodule: /opt/vendor/lib/libvendor.so\ntrust-policy: no\n")
    (tmp_path / "b.module").write_text("module:short.so\n")
    (tmp_path / "c.conf").write_text("module: /not/read.so\n")
    found = drivers.registered([tmp_path, tmp_path / "none"])
    assert found[0] == Path("/opt/vendor/lib/libvendor.so")
    assert found[1:] == tuple(folder / "short.so" for folder in drivers.folders())


def test_first_is_the_first_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder.so").mkdir()
    there = tmp_path / "there.so"
    there.write_bytes(elf(62))
    places = [
        drivers.Place(path=str(tmp_path / name), named="profile") for name in ("none.so", "folder.so", "there.so")
    ]
    assert drivers.first(places) == places[2]
    assert drivers.first(places[:2]) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"#!/bin/sh\n", "no program library"),
        (b"MZ\x90\x00", "no program library"),
        (b"\xcf\xfa\xed\xfe" + bytes(60), "no program library"),
        (elf(62, length=30), "cut off"),
        (elf(62, bits=1), "32-bit"),
        (elf(183 if platform.machine() == "x86_64" else 62), "another machine"),
        (elf(22, order=2), "s390x"),
        (elf(999), "another processor"),
    ],
)
def test_header_tells_what_is_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "driver.so"
    path.write_bytes(content)
    assert words in drivers.unfit(path)


def test_this_machines_own_libraries_fit() -> None:
    assert drivers.unfit(Path("/bin/true").resolve()) == ""
    assert "cannot be read" in drivers.unfit(Path("/nonexistent/driver.so"))


def test_driver_that_others_may_change_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "lib"
    folder.mkdir(mode=0o755)
    driver = folder / "driver.so"
    driver.write_bytes(elf(62))
    driver.chmod(0o755)
    assert drivers.exposed(driver) == ""
    driver.chmod(0o757)
    assert drivers.exposed(driver) == str(driver)
    driver.chmod(0o755)
    folder.chmod(0o777)
    assert drivers.exposed(driver) == str(folder)


def test_profile_that_extends_itself_is_not_there() -> None:
    for name in vendors.names():
        assert "extends" not in vendors.read(name)
    assert set(vendors.by_id()) >= {"luna", "azure-dedicated-hsm", "opencryptoki", "pkcs11", "softhsm"}
