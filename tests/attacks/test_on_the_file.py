"""Enemies A and B of docs/audit-format.md: somebody edits the file, while the application is off or behind its back.

Each attack is made on a real log; both verifiers must say no, with the word that the format promises.
"""

import contextlib
import shutil
import sqlite3

import pytest

from hsm_console.audit import receipt
from hsm_console.audit.anchors import decode_head, encode_head
from hsm_console.audit.checkpoint import Checkpoint, parse_note
from hsm_console.audit.log import AuditLog
from hsm_console.domain.errors import EnvironmentFault, VerificationFailed


def test_nothing_was_done_and_both_verifiers_agree(case, pristine):
    case.receipts.append(pristine.parent / "290.tlog-proof")
    case.expect_ok()
    case.token_head = (pristine.parent / "head").read_bytes()
    assert "anchors: token, 1 receipt; not checked: witness, device log" in case.product().line


def test_looking_changes_nothing(case):
    before = {path.name: path.read_bytes() for path in case.folder.iterdir()}
    case.product()
    case.script()
    assert {path.name: path.read_bytes() for path in case.folder.iterdir()} == before


@pytest.mark.parametrize("seq", [0, 1, 100, 255, 256, 299, 306])
def test_a_byte_changed(case, seq):
    case.edit(seq, lambda body: body.replace(b'"success"', b'"succesS"').replace(b'"Success"', b'"Succesz"'))
    case.expect("REWRITTEN", entry=seq if seq != 306 else None)


def test_a_byte_changed_in_many_entries(case):
    case.sql("UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'Grace', 'Brace') AS BLOB)")
    case.expect("REWRITTEN", "CHAIN")


@pytest.mark.parametrize("seq", [0, 100, 256, 305])
def test_an_entry_deleted(case, seq):
    case.sql(f"DELETE FROM entry WHERE seq = {seq}")
    case.expect("GAP", entry=seq)


def test_an_entry_deleted_and_the_rest_renumbered(case):
    case.sql(
        "DELETE FROM entry WHERE seq = 100",
        "UPDATE entry SET seq = -seq WHERE seq > 100",
        "UPDATE entry SET seq = -seq - 1 WHERE seq < 0",
    )
    case.expect("GAP", "CHAIN", entry=100)


def test_two_entries_swapped(case):
    case.sql(
        "UPDATE entry SET seq = -1 WHERE seq = 100",
        "UPDATE entry SET seq = 100 WHERE seq = 101",
        "UPDATE entry SET seq = 101 WHERE seq = -1",
    )
    case.expect("GAP", "CHAIN", "REWRITTEN", entry=100)


def test_the_tail_cut_is_seen_by_a_receipt(case, pristine):
    case.receipts.append(pristine.parent / "290.tlog-proof")
    case.sql("DELETE FROM entry WHERE seq >= 280", "DELETE FROM checkpoint WHERE size > 280")
    case.expect("TRUNCATED", "UNCLEAN", entry=280)


def test_the_tail_cut_is_seen_by_the_token(case, pristine):
    case.token_head = (pristine.parent / "head").read_bytes()
    case.sql("DELETE FROM entry WHERE seq >= 280", "DELETE FROM checkpoint WHERE size > 280")
    case.expect("TRUNCATED", entry=280, script=False)


def test_the_tail_cut_and_the_checkpoint_forgotten(case):
    case.sql("DELETE FROM entry WHERE seq >= 280")
    case.expect("TRUNCATED", entry=280)


def test_an_older_copy_put_back(empty_case, forge):
    clock = forge.FixedClock()
    log = forge.new_log(empty_case.folder, clock)
    forge.signed_run(log, clock, 5)
    log.close()
    shutil.copy(empty_case.database, empty_case.folder / "older")
    log = AuditLog.open(empty_case.database, chain_uid=forge.CHAIN_UID, clock=clock)
    log.append([forge.start("clean")])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked(), forge.stop()])
    log.checkpoint()
    empty_case.keep_receipt(log, 10)
    log.close()
    empty_case.expect_ok()
    shutil.move(empty_case.folder / "older", empty_case.database)
    empty_case.expect("ROLLED-BACK")


def test_everything_deleted(case):
    case.sql("DELETE FROM entry", "DELETE FROM tile", "DELETE FROM checkpoint")
    case.expect("TRUNCATED")


def test_checkpoints_removed(case):
    case.sql("DELETE FROM checkpoint")
    case.expect("UNSIGNED")


def test_the_last_checkpoint_removed_shows_although_the_tail_is_short(case):
    case.sql("DELETE FROM checkpoint WHERE size > 300")
    case.expect("UNSIGNED")


def test_a_checkpoint_garbled(case):
    case.sql("UPDATE checkpoint SET note = replace(note, 'A', 'B') WHERE size = 307")
    report = case.product()
    assert {item.word for item in report.findings} & {"BAD-SIGNATURE", "FOREIGN"}
    assert case.script()[0] == 1


def test_a_signature_bit_flipped(case):
    case.sql("UPDATE checkpoint SET note = substr(note, 1, length(note) - 6) || 'AAA==' || char(10) WHERE size = 307")
    case.expect("BAD-SIGNATURE")


def test_signatures_stripped(case):
    case.sql("UPDATE checkpoint SET note = substr(note, 1, instr(note, char(10) || char(10)) + 1) WHERE size = 307")
    case.expect("DOWNGRADE")


def test_a_checkpoint_of_another_workstation(case, forge, tmp_path):
    (tmp_path / "other").mkdir()
    clock = forge.FixedClock()
    other = forge.new_log(tmp_path / "other", clock, origin="example.org/other-room")
    forge.signed_run(other, clock, 5)
    note = other.last_checkpoint.replace("'", "")
    other.close()
    case.sql(f"UPDATE checkpoint SET note = '{note}' WHERE size = 307")
    case.expect("FOREIGN")


def test_an_old_checkpoint_as_the_newest(case):
    case.sql("UPDATE checkpoint SET note = (SELECT note FROM checkpoint ORDER BY size LIMIT 1) WHERE size = 307")
    case.expect("ROLLED-BACK")


@pytest.mark.parametrize("change", [b" {", b'{"activity_id":1.0,'])
def test_a_body_replaced_by_equal_json(case, change):
    case.edit(100, lambda body: change + body[1:] if change == b" {" else body.replace(b":", b": ", 1))
    case.expect("REWRITTEN", entry=100)


def test_a_look_alike_name(case):
    case.edit(305, lambda body: body.replace(b"Alan", "\u0410lan".encode()))
    case.expect("REWRITTEN", entry=305)


def test_a_tile_altered_is_no_evidence_but_is_told(case):
    case.sql("UPDATE tile SET data = zeroblob(8192) WHERE level = 0")
    case.expect("REWRITTEN", script=False)
    case.sql("DELETE FROM tile WHERE level = 0")
    case.expect("INCOMPLETE", script=False)


def test_an_entry_longer_than_any_entry(case):
    case.sql("UPDATE entry SET body = zeroblob(65537) WHERE seq = 100")
    case.expect("REWRITTEN", entry=100)


def test_an_entry_of_a_hundred_megabytes_does_not_fill_the_memory(case):
    case.sql("UPDATE entry SET body = zeroblob(100000000) WHERE seq = 100")
    case.expect("REWRITTEN", entry=100)


def test_the_wrong_key_in_the_auditors_hand(case, forge):
    case.vkey = forge.Signer(b"another log key, for tests only!").vkey()
    case.expect("FOREIGN", "UNSIGNED")


def test_the_writer_refuses_a_log_that_was_changed(case, forge):
    case.edit(300, lambda body: body.replace(b'"Success"', b'"Succesz"'))
    with pytest.raises(VerificationFailed, match="log-changed") as caught:
        AuditLog.open(case.database, chain_uid=forge.CHAIN_UID, clock=forge.FixedClock())
    assert caught.value.problem.exit_code == 1


def test_the_triggers_stop_a_slip_of_the_hand(case):
    with (
        contextlib.closing(sqlite3.connect(case.database)) as conn,
        pytest.raises(sqlite3.IntegrityError, match="only appended"),
    ):
        conn.execute("UPDATE entry SET body = x'00'")
    with (
        contextlib.closing(sqlite3.connect(case.database)) as conn,
        pytest.raises(sqlite3.IntegrityError, match="only appended"),
    ):
        conn.execute("DELETE FROM checkpoint")


# -- rebuilt logs ---------------------------------------------------------------------------------------


def rebuilt(case, forge, seed=None, entries=299, origin=None):
    """The attacker writes a whole new history in place of the log, with all its machinery at hand."""
    for path in case.folder.iterdir():
        path.unlink()
    clock = forge.FixedClock()
    log = forge.new_log(case.folder, clock, origin=origin or forge.ORIGIN)
    log.append([forge.start()])
    log.set_signer(forge.Signer(seed) if seed else forge.Signer())
    log.append([forge.unlocked()])
    for number in range(entries):
        log.append([forge.view(number + 1)])
    log.append([forge.intent(), forge.stop()])
    begun = log.size - 2
    log.append([forge.success(begun), forge.stop()])
    log.checkpoint()
    return log


def test_rebuilt_with_another_key(case, forge):
    rebuilt(case, forge, b"another log key, for tests only!").close()
    case.expect("FOREIGN", "UNSIGNED")


def test_rebuilt_under_another_name(case, forge):
    rebuilt(case, forge, origin="example.org/elsewhere").close()
    case.expect("FOREIGN")


def test_rebuilt_with_the_logs_own_key_contradicts_a_receipt(case, forge, pristine):
    case.receipts.append(pristine.parent / "290.tlog-proof")
    rebuilt(case, forge, entries=320).close()
    case.expect("FORK")
    case.expect("REWRITTEN", entry=290, script=False)


def test_rebuilt_with_the_logs_own_key_contradicts_the_token(case, forge, pristine):
    case.token_head = (pristine.parent / "head").read_bytes()
    rebuilt(case, forge, entries=320).close()
    case.expect("FORK", script=False)


def test_the_later_half_rebuilt_with_the_logs_own_key(case, forge, pristine):
    early = receipt.Receipt(proof=(pristine.parent / "290.tlog-proof").read_text())
    for path in case.folder.iterdir():
        path.unlink()
    clock = forge.FixedClock()
    with forge.fixed_uids():
        log = forge.new_log(case.folder, clock)
        forge.signed_run(log, clock, 200)  # the same first half, byte for byte
    log.append([forge.start("clean")])
    for number in range(150):
        log.append([forge.view(number)])
    log.append([forge.stop()])
    log.checkpoint()
    log.close()
    case.receipts.append(pristine.parent / "290.tlog-proof")
    assert receipt.verify(early, case.vkey).index == 290  # the receipt on its own is as good as before
    case.expect("FORK")


def test_two_auditors_shown_two_databases(case, forge, pristine, tmp_path):
    """Each database verifies on its own; a receipt carried from one auditor to the other tells."""
    log = rebuilt(case, forge, entries=320)
    log.close()
    case.expect_ok()
    case.receipts.append(pristine.parent / "290.tlog-proof")
    case.expect("FORK")


def test_rebuilt_and_never_signed(case, forge, pristine):
    for path in case.folder.iterdir():
        path.unlink()
    log = forge.new_log(case.folder, forge.FixedClock())
    log.append([forge.start(), *(forge.view(n) for n in range(310)), forge.stop()])
    log.close()
    case.receipts.append(pristine.parent / "290.tlog-proof")
    case.expect("UNSIGNED", "REWRITTEN")


def test_a_key_that_did_not_sign_this_log_is_refused_at_unlocking(case, forge):
    log = AuditLog.open(case.database, chain_uid=forge.CHAIN_UID, clock=forge.FixedClock())
    with pytest.raises(VerificationFailed, match="foreign"):
        log.set_signer(forge.Signer(b"another log key, for tests only!"))
    log.close()


def test_a_checkpoint_that_would_not_continue_the_last_is_never_signed(case, forge):
    """The tree in memory is spoiled while the log is open: the signer is not even asked."""
    log = AuditLog.open(case.database, chain_uid=forge.CHAIN_UID, clock=forge.FixedClock(time_ms=forge.START_MS * 2))
    signer = forge.Signer()
    log.set_signer(signer)
    log.append([forge.view()])
    log._state.edge.levels[0][3] = bytes(32)
    with pytest.raises(VerificationFailed, match="bad-proof"):
        log.checkpoint()
    assert signer.calls == 0
    log.close()


def test_a_head_that_is_no_head_is_told(pristine):
    note = parse_note(
        receipt.Receipt(proof=(pristine.parent / "290.tlog-proof").read_text()).proof.partition("\n\n")[2]
    )
    value = encode_head(note.checkpoint, 1)
    assert value.startswith(b'{"origin":')
    for bad in (b"", b"{}", value + b" ", value.replace(b'"size":307', b'"size":0')):
        with pytest.raises(VerificationFailed, match="token-head-unreadable"):
            decode_head(bad)


# -- files that are no logs --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\x00" + bytes(5000)])
def test_a_file_that_is_no_database_is_unreadable_not_unverified(empty_case, content):
    empty_case.database.write_bytes(content)
    with pytest.raises(EnvironmentFault, match="log-damaged") as caught:
        empty_case.product()
    assert caught.value.problem.exit_code == 2
    assert empty_case.script()[0] == 2


def test_a_folder_without_a_log(empty_case):
    with pytest.raises(EnvironmentFault, match="log-missing") as caught:
        empty_case.product()
    assert caught.value.problem.exit_code == 2


def test_a_database_without_our_tables(case):
    case.sql("DROP TABLE checkpoint")
    with pytest.raises(EnvironmentFault, match="log-damaged"):
        case.product()
    assert case.script()[0] == 2


def test_pages_overwritten_in_the_middle(case):
    data = bytearray(case.database.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = bytes(8192)
    case.database.write_bytes(data)
    with contextlib.suppress(EnvironmentFault):  # log-damaged is an answer; OK would not be
        assert case.product().findings


def test_an_empty_head_cannot_be_made():
    with pytest.raises(VerificationFailed):
        parse_note(Checkpoint("a", 0, b"").body() + "\n")
