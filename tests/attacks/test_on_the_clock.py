"""Attacks on time, and crashes that are not declared, each with the legal way beside it."""

import contextlib
import shutil

import pytest

from hsm_console.audit.log import AuditLog
from hsm_console.domain.errors import EnvironmentFault

HOUR = 3_600_000


@pytest.fixture
def clock(forge):
    return forge.FixedClock()


@pytest.fixture
def log(empty_case, forge, clock):
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked()])
    yield log
    log.close()


def finish(log, forge):
    log.append([forge.stop()])
    log.checkpoint()
    log.close()


def declare(forge, shift_ms, actor=True):
    event = forge.e.TimeChangeDeclared(shift_ms=shift_ms, source="radio clock", why="wrong zone")
    return forge.draft(event, forge.GRACE if actor else None, critical=True)


def test_the_clock_back_between_two_entries(empty_case, forge, clock, log):
    log.append([forge.view()])
    clock.step(-HOUR)
    entry = log.append([forge.view()])[0].seq
    finish(log, forge)
    empty_case.expect("CLOCK", entry=entry)


def test_the_clock_back_before_a_checkpoint(empty_case, forge, clock, log):
    log.append([forge.view()])
    clock.step(-HOUR)
    log.checkpoint()
    clock.step(HOUR)
    finish(log, forge)
    empty_case.expect("CLOCK")


def test_the_clock_far_ahead_and_back(empty_case, forge, clock, log):
    log.append([forge.view()])
    clock.step(1000 * HOUR)
    entry = log.append([forge.view()])[0].seq
    clock.step(-1000 * HOUR)
    log.append([forge.view()])
    finish(log, forge)
    empty_case.expect("CLOCK", entry=entry)


def test_the_clock_back_across_a_reboot(empty_case, forge, clock, log):
    finish(log, forge)
    clock.reboot()
    clock.step(-HOUR)
    log = AuditLog.open(empty_case.database, chain_uid=forge.CHAIN_UID, clock=clock)
    log.append([forge.start("clean")])
    log.set_signer(forge.Signer())
    finish(log, forge)
    empty_case.expect("CLOCK")


@pytest.mark.parametrize("before", [True, False])
def test_a_declared_change_is_no_finding(empty_case, forge, clock, log, before):
    if before:
        log.append([declare(forge, -HOUR)])
    clock.step(-HOUR)
    log.append([forge.view()])
    if not before:
        log.append([declare(forge, -HOUR)])
    finish(log, forge)
    empty_case.expect_ok()


@pytest.mark.parametrize("shift", [HOUR, -2 * HOUR])
def test_a_declaration_of_another_size_excuses_nothing(empty_case, forge, clock, log, shift):
    log.append([declare(forge, shift)])
    clock.step(-HOUR)
    log.append([forge.view()])
    finish(log, forge)
    empty_case.expect("CLOCK")


def test_a_declaration_excuses_only_one_step_and_needs_a_person(empty_case, forge, clock, log):
    log.append([declare(forge, -HOUR, actor=False)])
    clock.step(-HOUR)
    log.append([forge.view()])
    finish(log, forge)
    empty_case.expect("CLOCK")


def test_a_log_without_a_stop_is_unclean_and_one_that_is_open_is_not(empty_case, forge, log):
    log.append([forge.view()])
    log.checkpoint()
    assert "(log is open)" in empty_case.product().line
    empty_case.expect_ok()
    log.close()
    empty_case.expect("UNCLEAN")


def test_a_crash_that_the_next_run_does_not_declare(empty_case, forge, clock, log):
    log.checkpoint()
    log.append([forge.start("clean")])
    finish(log, forge)
    empty_case.expect("UNCLEAN")


def test_a_crash_that_the_next_run_declares(empty_case, forge, log):
    log.checkpoint()
    log.append([forge.start("unclean")])
    finish(log, forge)
    empty_case.expect_ok()


def test_an_operation_without_an_ending(empty_case, forge, log):
    entry = log.append([forge.intent()])[0].seq
    finish(log, forge)
    empty_case.expect("INTERRUPTED", entry=entry)


def test_a_key_at_hand_and_a_minute_without_a_signature(empty_case, forge, clock, log):
    log.append([forge.view()])
    clock.pass_ms(10 * 60_000)  # nobody calls tick(): the policy was not kept
    log.set_signer(None)
    log.append([forge.view()])
    log.append([forge.stop()])
    log.close()
    empty_case.expect("UNSIGNED")


def test_257_unsigned_entries_are_too_many_even_without_a_key(empty_case, forge, clock):
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.checkpoint()
    log.set_signer(None)
    log.append([forge.view()] * 256)
    log.append([forge.stop()])
    log.close()
    empty_case.expect("UNSIGNED")


def test_a_short_tail_of_a_locked_run_is_counted_not_blamed(empty_case, forge, clock):
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.checkpoint()
    log.set_signer(None)
    log.append([forge.view(), forge.stop()])
    log.close()
    empty_case.expect_ok()
    assert "unsigned_tail=2" in empty_case.product().line


@pytest.mark.parametrize("how", ["deleted", "cut", "flipped"])
def test_the_wal_file_of_a_crash_spoiled(empty_case, forge, log, tmp_path, how):
    """The last entries live in the -wal file until they are folded back; who spoils it cuts the tail."""
    log.append([forge.view(number) for number in range(20)])
    log.checkpoint()
    path = empty_case.keep_receipt(log, log.size - 1)
    crashed = tmp_path / "crashed"
    shutil.copytree(empty_case.folder, crashed)
    empty_case.folder = crashed
    assert "UNCLEAN" in {item.word for item in empty_case.product().findings}
    assert empty_case.product().entries == log.size  # the -wal file is read, and not written
    wal = crashed / "audit.db-wal"
    data = bytearray(wal.read_bytes())
    if how == "deleted":
        wal.unlink()
        (crashed / "audit.db-shm").unlink()
    else:
        data[len(data) // 2] ^= 1
        wal.write_bytes(data[: len(data) // 2] if how == "cut" else data)
        (crashed / "audit.db-shm").unlink()
    assert path.exists()
    with contextlib.suppress(EnvironmentFault):  # log-damaged is an answer; OK would not be
        words = {item.word for item in empty_case.product().findings}
        assert words & {"TRUNCATED", "ROLLED-BACK"}  # cut anywhere, or exactly at an earlier checkpoint
