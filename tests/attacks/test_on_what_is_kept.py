"""Attacks on sealed values, pruned entries, segments and the device's own log; and the orders that allow them."""

import contextlib
import shutil
import sqlite3

import pytest

from hsm_console.audit import disclosure, seal
from hsm_console.audit.log import AuditLog
from hsm_console.audit.source import open_source
from hsm_console.audit.verify import verify_workspace


@pytest.fixture
def clock(forge):
    return forge.FixedClock()


@pytest.fixture
def log(empty_case, forge, kept, clock):
    """An open log with four sealed values in two entries."""
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked()])
    kept.begin_sealing(forge, log)
    log.append([kept.pause(forge, "lunch"), kept.pause(forge, "a visitor")])
    yield log
    log.close()


def finish(log, forge):
    log.append([forge.stop()])
    log.checkpoint()
    log.close()


@pytest.fixture
def sealed(empty_case, forge, log):
    """The same, closed and signed to the last entry."""
    finish(log, forge)
    return empty_case


@pytest.fixture
def pruned(empty_case, forge, kept, log):
    """600 entries; two segments written, the entries of the first one pruned."""
    log.append([forge.view(number) for number in range(600)])
    log.checkpoint()
    made = [kept.rotate(forge, log, 0), kept.rotate(forge, log, 1)]
    kept.prune(forge, log, made[:1])
    finish(log, forge)
    return empty_case


def test_sealed_values_verify_without_any_key(sealed):
    sealed.expect_ok()
    assert " sealed=4 " in sealed.product().line
    assert "values under seal" in sealed.product().not_checked
    body = b"".join(body for _, _, body in entries(sealed))
    assert b"visitor" not in body
    assert b"Hopper" not in body[body.index(b"ceremony-paused") :]


def entries(case):
    with open_source(case.folder) as source:
        return list(source.entries())


SWAP = (
    "CREATE TEMP TABLE keep AS SELECT * FROM disclosure",
    """UPDATE disclosure SET {column} = (SELECT k.{column} FROM keep k, keep mine
       WHERE mine.digest = disclosure.digest AND k.rowid = mine.rowid % 4 + 1)""",
)


@pytest.mark.parametrize("column", ["sealed", "seq"])
def test_sealed_rows_swapped(sealed, column):
    sealed.sql(*(text.format(column=column) for text in SWAP))
    sealed.expect("SEALED")


def test_a_sealed_row_altered(sealed):
    sealed.sql("UPDATE disclosure SET sealed = zeroblob(length(sealed)) WHERE rowid = 2")
    sealed.expect("SEALED")


def test_a_sealed_row_deleted_by_hand(sealed):
    sealed.sql("DELETE FROM disclosure WHERE rowid = 3")
    sealed.expect("SEALED")


def test_all_sealed_rows_deleted_by_hand(sealed):
    sealed.sql("DELETE FROM disclosure")
    sealed.expect("SEALED")


def test_a_sealed_row_that_no_entry_names(sealed):
    sealed.sql("INSERT INTO disclosure VALUES ('x', 7, 'y', x'00')")
    sealed.expect("SEALED")


def test_a_disclosure_deleted_by_order_is_said_and_no_finding(empty_case, forge, kept, log):
    kept.redact(forge, log, kept.rows(log.path)[1:3])
    finish(log, forge)
    empty_case.expect_ok()
    assert " redacted=2 " in empty_case.product().line


def test_a_value_that_was_erased_is_put_back(empty_case, forge, kept, log):
    with contextlib.closing(sqlite3.connect(log.path)) as conn:
        row = conn.execute("SELECT * FROM disclosure ORDER BY seq, digest").fetchone()
    kept.redact(forge, log, kept.rows(log.path)[:1])
    finish(log, forge)
    values = ", ".join("x'" + item.hex() + "'" if isinstance(item, bytes) else repr(item) for item in row)
    empty_case.sql(f"INSERT INTO disclosure VALUES ({values})")
    empty_case.expect("SEALED")


def test_more_is_erased_than_was_ordered(empty_case, forge, kept, log):
    kept.redact(forge, log, kept.rows(log.path)[:1])
    finish(log, forge)
    empty_case.sql("DELETE FROM disclosure WHERE rowid = (SELECT max(rowid) FROM disclosure)")
    empty_case.expect("SEALED")


# -- values that are told ------------------------------------------------------------------------------------


def told(case, kept, log):
    """(entry, disclosure) of a sealed value, opened with the data key as the unlocked token does."""
    with contextlib.closing(sqlite3.connect(case.database)) as conn:
        rows = [seal.SealedRow(*row) for row in conn.execute("SELECT * FROM disclosure ORDER BY seq, digest")]
    opened = [(row.seq, seal.open_row(log.sealer._key, log.chain_uid, row)) for row in rows]
    return next((seq, item) for seq, item in opened if item.value == "a visitor")


def verdict(case, seq, item):
    return verify_workspace(case.folder, case.vkey, disclosures=[(seq, item.text)])


def test_a_told_value_is_held_against_its_entry(empty_case, forge, kept, log):
    seq, item = told(empty_case, kept, log)
    finish(log, forge)
    report = verdict(empty_case, seq, item)
    assert report.findings == ()
    assert "1 disclosure" in report.line


@pytest.mark.parametrize(
    ("salt", "name", "value", "off"),
    [
        (None, None, "nobody", 0),
        ("AAAAAAAAAAAAAAAAAAAAAA", None, None, 0),
        (None, "event.because", None, 0),
        (None, None, None, -1),
        (None, None, None, 900),
    ],
    ids=["value", "salt", "name", "another entry", "no entry"],
)
def test_a_disclosed_value_or_salt_swapped(empty_case, forge, kept, log, salt, name, value, off):
    seq, item = told(empty_case, kept, log)
    finish(log, forge)
    changed = disclosure.Disclosure(salt or item.salt, name or item.name, value or item.value)
    report = verdict(empty_case, seq + off, changed)
    assert {found.word for found in report.findings} == {"DISCLOSURE"}


# -- values in clear that policy seals ---------------------------------------------------------------------------


@pytest.fixture
def bare(empty_case, forge, log):
    """Goes on without sealing in the middle of a run, as a program that was changed would."""

    def append(event, actor=None):
        sealer, log.sealer = log.sealer, None
        entry = log.append([forge.draft(event, actor)])[0].seq
        log.sealer = sealer
        finish(log, forge)
        return entry

    return append


STEP = {"ceremony_id": "c-1", "step": "s", "phase": "opening"}


@pytest.mark.parametrize(
    ("make", "person", "member"),
    [
        (lambda e: e.LogViewed(first=0, last=9), True, "actor.user.name"),
        (lambda e: e.CeremonyPaused(ceremony_id="c-1", why="a visitor"), False, "event.why"),
        (lambda e: e.CeremonyPaused(ceremony_id="c-1", why="two\nlines"), False, "event.why"),
        (lambda e: e.CeremonyPaused(ceremony_id="c-1", why="sealed:" + "A" * 43), False, "event.why"),
        (lambda e: e.OperationIntended(operation="sign", input_sha256="5a" * 32), False, "event.input_sha256"),
        (lambda e: e.LogExported(what="names.csv", size=3, root="5a"), False, "event.what"),
        (lambda e: e.StepDone(**STEP, step_kind="presence", facts={"place": "Room 1"}), False, "event.facts.place"),
        (lambda e: e.StepDone(**STEP, step_kind="sign", facts={"document": "a.txt"}), False, "event.facts.document"),
        (
            lambda e: e.StepDone(
                **STEP, step_kind="presence", seats=(e.Seat(role="witness", uid="g.hopper", name="Grace Hopper"),)
            ),
            False,
            "event.seats.0.name",
        ),
    ],
    ids=["name", "text", "lines", "a digest of nothing", "digest", "file", "place", "fact", "seat"],
)
def test_a_value_in_clear_that_policy_seals(empty_case, forge, bare, make, person, member):
    entry = bare(make(forge.e), forge.GRACE if person else None)
    empty_case.expect("SEALED", entry=entry)
    assert any(f"entry {entry} holds {member} in clear" in item.text for item in empty_case.product().findings)


def test_a_log_whose_rules_seal_and_that_has_no_key_after_the_unlock(empty_case, forge, kept, clock):
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start(), kept.rules_that_seal(forge)])
    log.set_signer(forge.Signer())
    entry = log.append([forge.unlocked()])[0].seq
    log.append([kept.pause(forge, "lunch")])
    finish(log, forge)
    empty_case.expect("SEALED", entry=entry)


def test_rules_that_seal_later_are_met_when_the_device_is_unlocked(empty_case, forge, kept, clock):
    """What was logged before, and until there was a key, stands in clear and is nobody's fault."""
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start(), kept.pause(forge, "before"), kept.rules_that_seal(forge)])
    log.append([kept.pause(forge, "while locked")])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked()])
    kept.begin_sealing(forge, log)
    log.append([kept.pause(forge, "after")])
    finish(log, forge)
    empty_case.expect_ok()


def test_only_what_policy_names_is_missed(empty_case, forge, kept, log):
    log.append([kept.rules_that_seal(forge, ("file-names",))])
    log.sealer = None
    log.append([kept.pause(forge, "in clear"), kept.rules_that_seal(forge, ())])
    log.append([forge.draft(forge.e.LogExported(what="names.csv", size=3, root="5a"), forge.GRACE)])
    finish(log, forge)
    empty_case.expect_ok()


@pytest.mark.parametrize(("classes", "word"), [(None, "SEALED"), ((), "OK")])
def test_values_in_clear_behind_entries_that_were_pruned(empty_case, forge, kept, log, classes, word):
    """The policy itself was pruned; the entry that pruned it tells what was sealed there."""
    log.append([forge.view(number) for number in range(255 - log.size)])
    if classes is not None:
        log.append([kept.rules_that_seal(forge, classes)])
    log.append([forge.view(number) for number in range(300)])
    log.sealer = None
    log.append([kept.pause(forge, "in clear")])
    log.checkpoint()
    kept.prune(forge, log, [kept.rotate(forge, log, 0)], sealing=classes)
    finish(log, forge)
    empty_case.expect("SEALED") if word == "SEALED" else empty_case.expect_ok()


# -- pruned entries and segments -------------------------------------------------------------------------------


def test_a_pruned_log_verifies_and_says_what_is_gone(pruned):
    pruned.expect_ok()
    assert " pruned=254 " in pruned.product().line
    assert [seq for seq, _, _ in entries(pruned)][:4] == [0, 1, 256, 257]


def test_pruned_twice(empty_case, forge, kept, log):
    log.append([forge.view(number) for number in range(1200)])
    log.checkpoint()
    made = [kept.rotate(forge, log, number) for number in range(4)]
    kept.prune(forge, log, made[:1])
    kept.prune(forge, log, made[:3], first=256)
    finish(log, forge)
    empty_case.expect_ok()
    assert " pruned=766 " in empty_case.product().line


def test_a_log_that_was_pruned_up_to_its_last_tile_goes_on(empty_case, forge, kept, clock, log):
    log.append([forge.view(number) for number in range(510 - log.size)])
    log.checkpoint()
    made = [kept.rotate(forge, log, 0)]
    log.append([forge.view()] * (512 - log.size))
    log.checkpoint()
    made.append(kept.rotate(forge, log, 1))
    kept.prune(forge, log, made)
    finish(log, forge)
    again = AuditLog.open(empty_case.database, chain_uid=forge.CHAIN_UID, clock=clock)
    again.append([forge.start("clean")])
    again.set_signer(forge.Signer())
    assert len(list(again.scan())) == again.size - 510
    finish(again, forge)
    empty_case.expect_ok()


def test_a_clock_set_back_by_declaration_before_pruned_checkpoints(empty_case, forge, kept, clock, log):
    event = forge.e.TimeChangeDeclared(shift_ms=-3_600_000, source="radio clock", why="wrong zone")
    log.append([forge.draft(event, forge.GRACE, critical=True)])
    clock.step(-3_600_000)
    log.append([forge.view(number) for number in range(400)])
    log.checkpoint()
    made = [kept.rotate(forge, log, 0)]
    kept.prune(forge, log, made)
    finish(log, forge)
    empty_case.expect_ok()


def test_entries_deleted_as_if_they_were_pruned(empty_case, forge, kept, log):
    log.append([forge.view(number) for number in range(600)])
    finish(log, forge)
    empty_case.sql("DELETE FROM entry WHERE seq >= 2 AND seq < 512", "DELETE FROM disclosure")
    empty_case.expect("GAP", entry=2)


def test_more_is_pruned_than_was_ordered(pruned):
    pruned.sql("DELETE FROM entry WHERE seq >= 256 AND seq < 512")
    pruned.expect("GAP")


def test_a_pruned_log_whose_tile_was_altered(pruned):
    pruned.sql("UPDATE tile SET data = zeroblob(8192) WHERE level = 0 AND n = 0")
    pruned.expect("REWRITTEN")


def test_a_pruned_log_whose_tile_was_deleted(pruned):
    pruned.sql("DELETE FROM tile WHERE level = 0 AND n = 0")
    pruned.expect("GAP")


def test_the_entry_behind_the_pruned_ones_rewritten(pruned):
    pruned.edit(256, lambda body: body.replace(b'"kind":"log-viewed"', b'"kind":"log-viewe?"'))
    pruned.expect("REWRITTEN")


def segments(case):
    return case.folder / "segments"


def test_the_segment_of_pruned_entries_missing(pruned):
    (segments(pruned) / "segment-000000.tar.age").unlink()
    pruned.expect("SEGMENT")


def test_the_segment_of_entries_that_are_still_here_may_be_elsewhere(pruned):
    (segments(pruned) / "segment-000001.tar.age").unlink()
    pruned.expect_ok()
    assert "segments 1" in pruned.product().not_checked


@pytest.mark.parametrize("number", [0, 1])
def test_a_segment_exchanged(pruned, number):
    other = segments(pruned) / f"segment-00000{1 - number}.tar.age"
    shutil.copyfile(other, segments(pruned) / f"segment-00000{number}.tar.age")
    pruned.expect("SEGMENT")


def test_a_segment_with_one_bit_flipped(pruned):
    path = segments(pruned) / "segment-000000.tar.age"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    pruned.expect("SEGMENT")


# -- the device's own log ---------------------------------------------------------------------------------------


def compared(forge, *findings):
    event = forge.e.DeviceLogCompared(
        source="device", serial="SIM0001", sha256=forge.SHA, first=1, last=9, until=5, matched=8, findings=findings
    )
    return forge.draft(event)


@pytest.mark.parametrize(
    "finding",
    [
        "SHADOW-OP: the device signed with the key 11, and nobody asked for it here",
        "PHANTOM-OP: the device has no record of the signature of entry 7",
        "DEVICE-CHANGED: the device under this label has the serial SIM0002",
    ],
)
def test_what_the_devices_own_log_told_is_a_finding(empty_case, forge, log, finding):
    entry = log.append([compared(forge, finding)])[0].seq
    finish(log, forge)
    word, _, text = finding.partition(": ")
    empty_case.expect(word)
    assert any(text in item.text and f"entry {entry}" in item.text for item in empty_case.product().findings)


def test_a_device_whose_own_log_agrees_is_no_finding(empty_case, forge, log):
    log.append([compared(forge)])
    finish(log, forge)
    empty_case.expect_ok()
