"""Every attack that the format promises to withstand, the word that tells of it, and the test that holds it.

`test_each_attack_has_its_test` fails when a test is renamed or dropped without this table being told.
"""

import re
from pathlib import Path

import pytest

from hsm_console.audit.findings import Word

TESTS = Path(__file__).parents[1]
FILE, CLOCK, KEPT, REST = (
    f"attacks/test_on_{name}.py" for name in ("the_file", "the_clock", "what_is_kept", "the_rest")
)
CRASH, BAD, LIFE = (f"attacks/test_{name}.py" for name in ("crashes", "bad_input", "legal_histories"))
LOG, RECEIPT, FLIPS = "unit/audit/test_log.py", "unit/audit/test_receipt.py", "attacks/test_every_bit.py"
REFUSED, OK = "refused", "OK"

TABLE = [
    ("byte changed", "REWRITTEN", FILE, "a_byte_changed"),
    ("entry deleted", "GAP", FILE, "an_entry_deleted"),
    ("deleted and renumbered", "GAP", FILE, "an_entry_deleted_and_the_rest_renumbered"),
    ("two swapped", "GAP", FILE, "two_entries_swapped"),
    ("tail cut after a receipt", "TRUNCATED", FILE, "the_tail_cut_is_seen_by_a_receipt"),
    ("tail cut, no receipt but token", "TRUNCATED", FILE, "the_tail_cut_is_seen_by_the_token"),
    ("unsigned tail cut", "UNCLEAN", REST, "an_unsigned_tail_cut"),
    ("database replaced by an older copy", "ROLLED-BACK", FILE, "an_older_copy_put_back"),
    ("everything deleted", "TRUNCATED", FILE, "everything_deleted"),
    ("rebuilt with another key", "FOREIGN", FILE, "rebuilt_with_another_key"),
    ("rebuilt with the log's own key", "FORK", FILE, "rebuilt_with_the_logs_own_key_contradicts_a_receipt"),
    ("later half rebuilt", "FORK", FILE, "the_later_half_rebuilt_with_the_logs_own_key"),
    ("attacker's key put in the database", "FOREIGN", REST, "an_attackers_key_put_where_the_log_lies"),
    ("checkpoints removed", "UNSIGNED", FILE, "checkpoints_removed"),
    ("checkpoints garbled", "BAD-SIGNATURE", FILE, "a_checkpoint_garbled"),
    ("signatures stripped", "DOWNGRADE", FILE, "signatures_stripped"),
    ("one of two signatures stripped", "DOWNGRADE", REST, "the_second_signature_stripped"),
    ("checkpoint of another workstation", "FOREIGN", FILE, "a_checkpoint_of_another_workstation"),
    ("old checkpoint as newest", "ROLLED-BACK", FILE, "an_old_checkpoint_as_the_newest"),
    ("clock back before a checkpoint", "CLOCK", CLOCK, "the_clock_back_before_a_checkpoint"),
    ("clock back between two events", "CLOCK", CLOCK, "the_clock_back_between_two_entries"),
    ("clock far ahead and back", "CLOCK", CLOCK, "the_clock_far_ahead_and_back"),
    ("edit in the tail, chain as it was", "CHAIN", REST, "an_edit_in_the_unsigned_tail"),
    ("edit in the tail, chain redone", OK, REST, "an_unsigned_edit_with_the_chain_redone_is_counted_as_unsigned"),
    ("edit in signed entries, chain redone", "REWRITTEN", REST, "an_edit_in_signed_entries_with_the_chain_redone"),
    ("-wal deleted, cut, one bit flipped", "TRUNCATED", CLOCK, "the_wal_file_of_a_crash_spoiled"),
    ("kill -9", OK, CRASH, "kill_9_at_thirty_random_moments"),
    ("kill, EIO, ENOSPC at a system call", OK, CRASH, "a_fault_in_the_middle_of_an_append"),
    ("kill, EIO, ENOSPC at every system call", OK, CRASH, "a_fault_at_every_call"),
    ("disk full", REFUSED, "faults/gateway/test_disk.py", "a_disk_that_fills_up"),
    ("disk full: no call of the HSM", REFUSED, "faults/gateway/test_invariants.py",
     "the_module_is_not_called_when_the_log_cannot_be_written"),
    ("two writers at once", REFUSED, LOG, "one_writer_at_a_time"),
    ("fork", "FORK", FILE, "rebuilt_with_the_logs_own_key_contradicts_the_token"),
    ("body replaced by equal JSON", "REWRITTEN", FILE, "a_body_replaced_by_equal_json"),
    ("look-alike name", "REWRITTEN", FILE, "a_look_alike_name"),
    ("non-NFC name", REFUSED, "unit/audit/test_canonical.py", "what_encoders_might_disagree_about_is_refused"),
    ("log injection in names", REFUSED, "unit/audit/test_ocsf.py", "a_forged_line_in_a_name_cannot_be_written"),
    ("log injection in exports", REFUSED, "unit/audit/test_siem.py", "a_name_cannot_forge_a_second_entry"),
    ("receipt for another index, path longer or shorter", "BAD-PROOF", RECEIPT, "a_proof_that_was_changed_is_refused"),
    ("each bit of a proof flipped", "BAD-PROOF", FLIPS, "every_bit_of_a_proof_file_counts"),
    ("each bit of a code flipped", "BAD-PROOF", FLIPS, "every_bit_of_a_code_counts"),
    ("each bit of a checkpoint flipped", "BAD-SIGNATURE", FLIPS, "every_bit_of_a_checkpoint_counts"),
    ("each bit of a cosignature flipped", "BAD-SIGNATURE", FLIPS, "every_bit_of_a_cosignature_counts"),
    ("size one more or less", "BAD-SIGNATURE", RECEIPT, "the_size_one_more_or_less_is_refused"),
    ("receipt of an unknown log", "FOREIGN", RECEIPT, "a_receipt_of_another_log_or_key_is_foreign"),
    ("receipts of two logs mixed", "BAD-PROOF", RECEIPT, "receipts_of_two_logs_mixed_are_refused"),
    ("disclosed value or salt swapped", "DISCLOSURE", KEPT, "a_disclosed_value_or_salt_swapped"),
    ("disclosure deleted by policy", OK, KEPT, "a_disclosure_deleted_by_order_is_said_and_no_finding"),
    ("disclosure deleted by hand", "SEALED", KEPT, "a_sealed_row_deleted_by_hand"),
    ("sealed rows swapped", "SEALED", KEPT, "sealed_rows_swapped"),
    ("a value in clear that policy seals", "SEALED", KEPT, "a_value_in_clear_that_policy_seals"),
    ("a value in clear behind pruned entries", "SEALED", KEPT, "values_in_clear_behind_entries_that_were_pruned"),
    ("sealing without a key", "SEALED", KEPT, "a_log_whose_rules_seal_and_that_has_no_key_after_the_unlock"),
    ("sealing switched on later", OK, KEPT, "rules_that_seal_later_are_met_when_the_device_is_unlocked"),
    ("segment missing", "SEGMENT", KEPT, "the_segment_of_pruned_entries_missing"),
    ("segment exchanged", "SEGMENT", KEPT, "a_segment_exchanged"),
    ("pruned without an order", "GAP", KEPT, "entries_deleted_as_if_they_were_pruned"),
    ("HSM used outside the application", "SHADOW-OP", KEPT, "what_the_devices_own_log_told_is_a_finding"),
    ("console event without device record", "PHANTOM-OP", KEPT, "what_the_devices_own_log_told_is_a_finding"),
    ("HSM replaced under the same label", "DEVICE-CHANGED", KEPT, "what_the_devices_own_log_told_is_a_finding"),
    ("key replaced under the same label", "FOREIGN", FILE, "a_key_that_did_not_sign_this_log_is_refused_at_unlocking"),
    ("alert deleted", "GAP", REST, "an_alert_deleted"),
    ("two auditors shown two databases", "FORK", FILE, "two_auditors_shown_two_databases"),
    ("empty file, directory, 10 GB file", REFUSED, BAD, "what_is_no_log_is_unreadable"),
    ("body of 1 GB", "REWRITTEN", BAD, "a_huge_body_is_a_finding"),
    ("65,537-byte entry", "REWRITTEN", FILE, "an_entry_longer_than_any_entry"),
    ("wrong vkey", "FOREIGN", FILE, "the_wrong_key_in_the_auditors_hand"),
    ("an operation without an ending", "INTERRUPTED", CLOCK, "an_operation_without_an_ending"),
    ("a tile deleted", "INCOMPLETE", FILE, "a_tile_altered_is_no_evidence_but_is_told"),
    ("500 legal histories", OK, LIFE, "five_hundred_legal_histories_are_ok"),
]  # fmt: skip


@pytest.mark.parametrize(("attack", "word", "file", "name"), TABLE, ids=[row[0] for row in TABLE])
def test_each_attack_has_its_test(attack, word, file, name):
    assert re.search(rf"^def test_{name}\(", (TESTS / file).read_text(), re.M), attack
    assert word in {REFUSED, OK, *(item.value for item in Word)}


def test_each_word_of_a_log_that_was_changed_is_in_the_table():
    elsewhere = {"WITNESS-CONFLICT"}  # needs a witness's heads beside the log
    assert {item.value for item in Word} - {row[1] for row in TABLE} <= elsewhere
