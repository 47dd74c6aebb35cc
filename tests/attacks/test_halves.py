"""A log read by two processes: verdict, counts and findings are those of one; joined only when nothing is pending."""

import pytest

from hsm_console.audit import halves, receipt
from hsm_console.audit.log import AuditLog
from hsm_console.audit.verify import verify_workspace


@pytest.fixture
def joined(monkeypatch):
    """How often two halves were joined; every log is worth it."""
    times = []
    join = halves._join
    monkeypatch.setattr(halves, "WORTH_IT", 0)
    monkeypatch.setattr(halves, "_join", lambda *arguments: (times.append(arguments[3]), join(*arguments)))
    return times


class Made:
    def __init__(self, folder, forge, kept):
        self.folder, self.forge, self.kept = folder, forge, kept
        self.vkey = forge.Signer().vkey()
        self.anchors = []

    def both(self):
        one = verify_workspace(self.folder, self.vkey, self.anchors, jobs=1)
        two = verify_workspace(self.folder, self.vkey, self.anchors, jobs=2)
        same = [(r.line, r.root, r.findings, r.entries, r.signed, r.anchors, r.not_checked) for r in (one, two)]
        assert same[0] == same[1]
        return two

    def views(self, log, upto):
        log.append([self.forge.view(number) for number in range(upto - log.size)])


@pytest.fixture
def made(forge, kept, tmp_path):
    """1,200 entries in one run, signed at 600: what begins before the cut ends behind it."""
    made = Made(tmp_path / "log", forge, kept)
    made.folder.mkdir()
    clock = forge.FixedClock()
    log = forge.new_log(made.folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked()])
    kept.begin_sealing(forge, log)
    early = log.append([forge.intent("early")])[0].seq
    log.append([kept.pause(forge, "lunch"), kept.pause(forge, "tea")])
    made.anchors.append(receipt.anchor(receipt.issue(log, 5), made.vkey))
    made.views(log, 600)
    log.checkpoint()
    made.anchors.append(receipt.anchor(receipt.issue(log, 300), made.vkey))
    made.views(log, 700)
    late = log.append([forge.intent("late")])[0].seq
    log.append([forge.success(late), forge.success(early), kept.pause(forge, "a visitor")])
    kept.redact(forge, log, kept.rows(log.path)[:2])
    made.views(log, 1000)
    made.anchors.append(receipt.anchor(receipt.issue(log, 900), made.vkey))
    made.views(log, 1200)
    made.sealer = log.sealer
    log.append([forge.stop()])
    log.checkpoint()
    log.close()
    return made


def test_two_processes_say_what_one_says(made, joined):
    report = made.both()
    assert report.findings == ()
    assert "3 receipts" in report.line
    assert " redacted=2 " in report.line
    assert joined == [600]


def reopen(made, forge):
    clock = forge.FixedClock(forge.START_MS + 10**7, "later", 10**7)
    log = AuditLog.open(made.folder / "audit.db", chain_uid=forge.CHAIN_UID, clock=clock)
    log.append([forge.start("clean")])
    log.sealer = made.sealer
    log.set_signer(forge.Signer())
    return log


def test_a_value_in_clear_is_told_whichever_half_it_stands_in(made, forge, joined):
    log = reopen(made, forge)
    log.sealer = None
    entry = log.append([forge.view(), forge.stop()])[0].seq
    log.checkpoint()
    log.close()
    report = made.both()
    assert [(item.word, item.entry) for item in report.findings] == [("SEALED", entry)]
    assert joined == []


def test_an_operation_that_never_ended_is_told_whichever_half_it_began_in(made, forge, joined):
    log = reopen(made, forge)
    log.append([forge.intent("open"), forge.stop()])
    log.checkpoint()
    log.close()
    assert {item.word for item in made.both().findings} == {"INTERRUPTED"}
    assert joined == [600]


def test_what_the_second_half_says_of_the_device_is_told(made, forge, joined):
    log = reopen(made, forge)
    event = forge.e.DeviceLogCompared(
        source="device", serial="S", sha256=forge.SHA, first=1, last=2, until=3, matched=1, findings=("SHADOW-OP: x",)
    )
    log.append([forge.draft(event), forge.stop()])
    log.checkpoint()
    log.close()
    assert {item.word for item in made.both().findings} == {"SHADOW-OP"}
    assert joined == [600]


@pytest.mark.parametrize("seq", [100, 599, 600, 1100])
def test_an_entry_changed_in_either_half(made, new_case, joined, seq):
    case = new_case(made.folder)
    case.edit(seq, lambda body: body.replace(b'"Success"', b'"Succesz"'))
    report = made.both()
    assert seq in {item.entry for item in report.findings if item.word == "REWRITTEN"}
    assert joined == []


def test_a_tile_that_the_second_half_began_with_is_not_believed(made, new_case, joined):
    new_case(made.folder).sql("UPDATE tile SET data = zeroblob(8192) WHERE level = 0 AND n = 1")
    assert "REWRITTEN" in {item.word for item in made.both().findings}
    assert joined == []


def test_a_table_of_rows_that_lies_only_costs_time(made, new_case, joined):
    new_case(made.folder).sql("UPDATE entry_row SET kind = 'log-viewed'")
    assert made.both().findings == ()
    assert joined == []


def test_short_pruned_and_open_logs_are_read_by_one(made, forge, new_case, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(halves, "Second", never)
    assert made.both().findings == ()
    monkeypatch.setattr(halves, "WORTH_IT", 0)
    log = reopen(made, forge)
    assert "(log is open)" in made.both().line
    log.close()
    new_case(made.folder).sql("DELETE FROM entry WHERE seq BETWEEN 2 AND 255")
    assert "GAP" in {item.word for item in made.both().findings}
