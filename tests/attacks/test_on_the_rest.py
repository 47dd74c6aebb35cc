"""Attacks that need more than one file or run: the unsigned tail, keys in wrong hands, alerts, further signatures."""

import json

import pytest

from hsm_console.audit import canonical
from hsm_console.audit.checkpoint import verify_note
from hsm_console.audit.source import open_source
from hsm_console.cli.main import main
from hsm_console.domain.errors import VerificationFailed


@pytest.fixture
def clock(forge):
    return forge.FixedClock()


@pytest.fixture
def tailed(empty_case, forge, clock):
    """Signed at 4, then a locked run goes on: five entries that nobody signed yet."""
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start(), forge.view()])
    log.set_signer(forge.Signer())
    log.checkpoint()
    log.set_signer(None)
    log.append([*(forge.view(number) for number in range(4)), forge.stop()])
    log.close()
    empty_case.expect_ok()
    return empty_case


def test_an_unsigned_tail_cut(tailed):
    tailed.sql("DELETE FROM entry WHERE seq >= 6")
    tailed.expect("UNCLEAN")


def rename(body):
    return body.replace(b'"last":2', b'"last":9')


def test_an_edit_in_the_unsigned_tail(tailed):
    tailed.edit(6, rename)
    tailed.expect("CHAIN", entry=6)


def redo_the_chain(case, seq, change):
    """Edit an entry and make every link behind it anew, as whoever knows the format can."""
    with open_source(case.folder) as source:
        bodies = [body for _, _, body in source.entries()]
    bodies[seq] = change(bodies[seq])
    from hashlib import sha256

    for at in range(seq + 1, len(bodies)):
        entry = json.loads(bodies[at])
        entry["attestation"]["prev_event"]["fingerprint"]["value"] = sha256(bodies[at - 1]).hexdigest()
        bodies[at] = canonical.encode(entry)
    case.sql(*(f"UPDATE entry SET body = x'{body.hex()}' WHERE seq = {at}" for at, body in enumerate(bodies)))


def test_an_unsigned_edit_with_the_chain_redone_is_counted_as_unsigned(tailed):
    """Nobody signed or anchored these entries: what cannot be seen is said."""
    redo_the_chain(tailed, 6, rename)
    tailed.expect_ok()
    assert "unsigned_tail=5" in tailed.product().line


@pytest.mark.parametrize("seq", [3, 100, 305])
def test_an_edit_in_signed_entries_with_the_chain_redone(case, seq):
    redo_the_chain(case, seq, lambda body: body.replace(b'"simulated":true', b'"simulated":false'))
    case.expect("REWRITTEN")


def test_the_first_link_forged(case):
    case.edit(
        0, lambda body: body.replace(b'"attestation":{', b'"attestation":{"prev_event":{"fingerprint":{"value":"aa"}},')
    )
    case.expect("CHAIN")


def test_an_attackers_key_put_where_the_log_lies(case, forge, capsys):
    """The whole log made anew with a key of his own, which he puts into its first entry and beside it."""
    for path in case.folder.iterdir():
        path.unlink()
    key = forge.Signer(b"another log key, for tests only!")
    log = forge.new_log(case.folder, forge.FixedClock())
    log.append([forge.start()])
    log.set_signer(key)
    log.append([forge.unlocked(), forge.stop()])
    log.checkpoint()
    log.close()
    (case.folder / "log.vkey").write_text(key.vkey().text + "\n")
    case.expect("FOREIGN", "UNSIGNED")
    assert main(["audit", "verify", str(case.folder), "--vkey", case.vkey.text]) == 1
    capsys.readouterr()
    assert main(["audit", "verify", str(case.folder)]) == 0
    assert "not checked: token, receipts, witness, device log, origin of the key" in capsys.readouterr().out


def test_an_alert_deleted(empty_case, forge, clock):
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    alert = next(event for event in forge.samples() if isinstance(event, forge.e.AlertRaised))
    seq = log.append([forge.view(), forge.draft(alert, critical=True), forge.view()])[1].seq
    log.append([forge.stop()])
    log.checkpoint()
    log.close()
    empty_case.sql(
        f"DELETE FROM entry WHERE seq = {seq}",
        f"UPDATE entry SET seq = -seq WHERE seq > {seq}",
        "UPDATE entry SET seq = -seq - 1 WHERE seq < 0",
    )
    empty_case.expect("GAP", "CHAIN", entry=seq)


@pytest.fixture
def beside(empty_case, forge, kept, clock):
    """A log whose checkpoints carry a second signature, of ML-DSA-44."""
    log = forge.new_log(empty_case.folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.checkpoint()
    kept.sign_beside(log)
    log.append([forge.unlocked()])
    log.append([forge.view(), forge.stop()])
    log.checkpoint()
    empty_case.note = log.last_checkpoint
    log.close()
    empty_case.expect_ok()
    return empty_case


def test_the_second_signature_stripped(beside):
    note = beside.note[: beside.note.rindex("— ")]
    beside.sql(f"UPDATE checkpoint SET note = '{note}' WHERE size = (SELECT max(size) FROM checkpoint)")
    beside.expect("DOWNGRADE")


def test_the_second_signature_is_verified_by_who_holds_its_key(beside, forge, kept):
    other = kept.PostQuantum().vkey(forge.ORIGIN)
    assert verify_note(beside.note, beside.vkey, [other])[0].size == 6
    with pytest.raises(VerificationFailed, match="bad-signature"):
        verify_note(beside.note[:-2000] + "AAAA" + beside.note[-1996:], beside.vkey, [other])
