import os
import sqlite3
import threading
from contextlib import closing

import msgspec
import pytest

from hsm_console.audit import projection, store
from hsm_console.audit.checkpoint import verify_note
from hsm_console.audit.log import AuditLog, _Request, create_log
from hsm_console.audit.tree import leaf_hash, verify_inclusion
from hsm_console.audit.verify import verify_workspace
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, InputError, PolicyRefusal, Problem


@pytest.fixture
def clock(forge):
    return forge.FixedClock()


@pytest.fixture
def log(forge, clock, tmp_path):
    log = forge.new_log(tmp_path, clock)
    yield log
    log.close()


def reopen(log, forge, clock, projections=()):
    log.close()
    return AuditLog.open(log.path, chain_uid=forge.CHAIN_UID, clock=clock, projections=projections)


def code_of(caught):
    return caught.value.problem.code


def test_a_new_log_has_its_two_genesis_entries(log, forge):
    assert log.size == 2
    assert log.read(0).event == forge.genesis()[0]
    assert log.read(1).event.environment == "rehearsal"
    assert sorted(path.name for path in log.path.parent.iterdir() if "-" not in path.name) == [
        "audit.db",
        "audit.db.lock",
    ]


def test_a_log_is_never_made_over_another(log, forge, clock):
    log.close()
    before = log.path.read_bytes()
    with pytest.raises(InputError) as caught:
        create_log(log.path, chain_uid="x", clock=clock, genesis=forge.genesis())
    assert code_of(caught) == "log-exists"
    assert log.path.read_bytes() == before


def test_entries_are_chained_and_come_back(log, forge):
    records = log.append([forge.intent(), forge.view()])
    assert [item.seq for item in records] == [2, 3]
    assert [log.read(item.seq) for item in records] == list(records)
    assert records[0].correlation == records[0].uid
    assert f'"value":"{records[0].fingerprint}"' in log.body(3).decode()


def test_a_batch_is_written_whole_or_not_at_all(log, forge):
    bad = msgspec.structs.replace(forge.view().event, filter="two\x07words")
    with pytest.raises(InputError, match="CANON refused"):
        log.append([forge.view(), forge.draft(bad)])
    assert log.size == 2
    assert log.append([forge.view()])[0].seq == 2


def test_a_caller_may_expect_and_refuse_inside_the_transaction(log, forge):
    def no(conn):
        assert conn.execute("SELECT count(*) FROM entry").fetchone()[0] == 2
        raise PolicyRefusal(Problem(code="stale", what="Stale.", todo="Again."))

    with pytest.raises(PolicyRefusal):
        log.append([forge.view()], expect=no)
    assert log.size == 2
    assert log.append([forge.view()], expect=lambda conn: None)[0].seq == 2


def test_one_who_is_refused_half_way_takes_nothing_from_those_who_share_the_transaction(log, forge):
    """Its first event is in the database already when its second one is refused."""
    bad = [forge.view(), forge.draft(msgspec.structs.replace(forge.view().event, filter="two\x07words"))]
    wishes = [[forge.view(1)], bad, [forge.view(2), forge.view(3)], bad, [forge.view(4)]]
    asked = [_Request(wish, None) for wish in wishes]
    log._commit(asked)
    assert [request.error is None for request in asked] == [True, False, True, False, True]
    assert [[item.seq for item in request.records] for request in asked] == [[2], [], [3, 4], [], [5]]
    assert log.size == 6
    assert [item.fingerprint for item in log.scan()][2:] == [
        item.fingerprint for request in asked for item in request.records
    ]
    assert log.append([forge.view()])[0].seq == 6


def test_many_callers_meet_in_few_transactions_and_none_is_lost(log, forge):
    refused = []

    def refuse(conn):
        raise PolicyRefusal(Problem(code="no", what="No.", todo="Nothing."))

    def work(number):
        for turn in range(10):
            if (number + turn) % 5 == 0:
                try:
                    log.append([forge.view(turn)], expect=refuse)
                except PolicyRefusal:
                    refused.append(number)
            else:
                log.append([forge.view(turn)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.size == 2 + 160 - len(refused)
    assert len(refused) == 32
    log.close()
    log_again = AuditLog.open(log.path, chain_uid=forge.CHAIN_UID, clock=forge.FixedClock())
    assert [item.seq for item in log_again.scan()] == list(range(log_again.size))
    log_again.close()


def test_it_opens_at_every_size_with_the_same_root(log, forge, clock):
    for _ in range(4):
        log.append([forge.view()] * 127)
        root = log.root()
        log = reopen(log, forge, clock)
        assert log.root() == root
    leaf = leaf_hash(log.body(300))
    verify_inclusion(leaf, 300, log.size, log.inclusion(300, log.size), log.root())
    verify_inclusion(leaf_hash(log.body(3)), 3, 400, log.inclusion(3, 400), subtree_root(log, 400))
    log.close()


def subtree_root(log, size):
    from hsm_console.audit.tree import subtree

    return subtree(log.nodes(), 0, size)


def test_only_full_tiles_are_stored(log, forge):
    log.append([forge.view()] * 600)
    with closing(sqlite3.connect(log.path)) as conn:
        rows = conn.execute("SELECT level, n, length(data) FROM tile ORDER BY level, n").fetchall()
    assert rows == [(0, 0, 8192), (0, 1, 8192)]


# -- signing ---------------------------------------------------------------------------------------------


def test_a_locked_log_writes_but_does_not_sign(log, forge):
    log.append([forge.unlocked()])
    assert log.last_checkpoint == ""
    with pytest.raises(EnvironmentFault) as caught:
        log.checkpoint()
    assert code_of(caught) == "log-key-locked"
    assert log.head().size == 3


def test_a_critical_event_is_signed_at_once_and_others_are_not(log, forge):
    log.set_signer(forge.Signer())
    log.append([forge.view()])
    assert log.signed_size == 0
    log.append([forge.unlocked()])
    assert log.signed_size == 4
    head, seconds = verify_note(log.last_checkpoint, forge.Signer().vkey())
    assert (head.size, head.root) == (4, log.root())
    assert abs(seconds - forge.START_MS // 1000) < 5


def test_256_entries_are_signed(log, forge):
    log.set_signer(forge.Signer())
    for _ in range(260):
        log.append([forge.view()])
    assert log.signed_size == 256


def test_an_entry_waits_at_most_a_minute(log, forge, clock):
    log.set_signer(forge.Signer())
    log.append([forge.view()])
    clock.pass_ms(59_000)
    log.tick()
    assert log.signed_size == 0
    clock.pass_ms(1_100)
    log.tick()
    assert log.signed_size == 3
    log.tick()


def test_the_clock_of_the_wall_does_not_hold_a_signature_back(log, forge, clock):
    log.set_signer(forge.Signer())
    log.append([forge.view()])
    clock.pass_ms(61_000)
    clock.step(-3_600_000)
    log.tick()
    assert log.signed_size == 3


def test_a_token_that_fails_never_loses_the_entry(log, forge):
    class Broken(forge.Signer):
        def sign(self, message):
            raise EnvironmentFault(Problem(code="device-removed", what="Gone.", todo="Plug it in."))

    log.set_signer(Broken())
    assert log.append([forge.unlocked()])[0].seq == 2
    assert log.sign_fault is not None
    assert log.sign_fault.code == "device-removed"
    log.set_signer(forge.Signer())
    log.checkpoint()
    assert log.sign_fault is None


def test_the_same_head_is_not_signed_twice(log, forge):
    signer = forge.Signer()
    log.set_signer(signer)
    assert log.checkpoint() == log.checkpoint()
    assert signer.calls == 1


def test_another_key_is_refused_once_something_is_signed(log, forge):
    log.set_signer(forge.Signer())
    log.checkpoint()
    with pytest.raises(ConsoleError) as caught:
        log.set_signer(forge.Signer(b"another log key, for tests only!"))
    assert code_of(caught) == "foreign"


# -- reading ---------------------------------------------------------------------------------------------


def test_pages_of_the_audit_table(log, forge):
    log.append([forge.view(number) for number in range(10)])
    log.append([forge.intent()])
    page = log.rows(limit=3)
    assert [row.seq for row in page.rows] == [12, 11, 10]
    assert page.more
    assert [row.seq for row in log.rows(before=3, limit=10).rows] == [2, 1, 0]
    assert not log.rows(before=3, limit=10).more
    assert [row.seq for row in log.rows(kind="operation-intended").rows] == [12]
    assert [row.seq for row in log.rows(who="a.turing").rows] == [12]
    assert len(log.rows(who="hopper").rows) == 10
    assert [row.seq for row in log.rows(text="entries 0 to 7 of").rows] == [9]
    assert log.rows(text="100%").rows == ()
    assert [row.seq for row in log.rows(ceremony="c-1", status="other").rows] == [12]
    with pytest.raises(InputError, match="filter-unknown"):
        log.rows(colour="red")


def test_rows_say_what_is_signed(log, forge):
    log.set_signer(forge.Signer())
    log.checkpoint()
    log.append([forge.view()])
    assert [row.signed for row in log.rows().rows] == [False, True, True]


def test_an_entry_that_is_not_there(log):
    for call in (lambda: log.body(2), lambda: log.read(99), lambda: log.inclusion(2, 2), lambda: log.detail(-1)):
        with pytest.raises(InputError) as caught:
            call()
        assert code_of(caught) == "entry-missing"


def test_waiting_for_the_next_entry(log, forge):
    assert log.wait(1, 5) == 2
    assert log.wait(2, 0.01) == 2
    thread = threading.Timer(0.05, lambda: log.append([forge.view()]))
    thread.start()
    assert log.wait(2, 10) == 3
    thread.join()


# -- projections -----------------------------------------------------------------------------------------


class Kinds:
    name = "kinds"

    def create(self, conn):
        conn.execute("CREATE TABLE kind_count(kind TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT")

    def apply(self, conn, recorded):
        conn.execute(
            "INSERT INTO kind_count VALUES (?, 1) ON CONFLICT(kind) DO UPDATE SET n = n + 1",
            (recorded.event.__struct_config__.tag,),
        )


def counts(path):
    with closing(sqlite3.connect(path)) as conn:
        return dict(conn.execute("SELECT kind, n FROM kind_count"))


def test_a_projection_is_folded_at_open_kept_in_step_and_catches_up(log, forge, clock):
    log.append([forge.view()])
    log = reopen(log, forge, clock, [Kinds()])
    log.append([forge.view()])
    assert counts(log.path) == {"log-created": 1, "policy-in-force": 1, "log-viewed": 2}
    log = reopen(log, forge, clock)
    log.append([forge.view()])
    assert counts(log.path)["log-viewed"] == 2
    log = reopen(log, forge, clock, [Kinds()])
    assert counts(log.path)["log-viewed"] == 3
    log.close()


def test_a_projection_that_fails_takes_its_entries_with_it(log, forge, clock):
    class Failing(Kinds):
        def apply(self, conn, recorded):
            super().apply(conn, recorded)
            if recorded.seq == 3:
                raise ValueError("a fault of the fold")

    log = reopen(log, forge, clock, [Failing()])
    with pytest.raises(ValueError, match="a fault of the fold"):
        log.append([forge.view(), forge.view()])
    assert log.size == 2
    assert "log-viewed" not in counts(log.path)
    log.append([forge.view()])
    log.close()


def test_rebuild_gives_the_same_tables_and_mends_spoiled_ones(log, forge, clock):
    log = reopen(log, forge, clock, [Kinds()])
    log.append([forge.draft(event) for event in forge.samples()])
    log.close()
    assert projection.rebuild(log.path, [Kinds()]) == {"entry_row": "identical", "kinds": "identical"}
    with closing(sqlite3.connect(log.path)) as conn:
        conn.execute("UPDATE kind_count SET n = 7")
        conn.execute("DELETE FROM entry_row WHERE seq = 3")
        conn.commit()
    assert projection.rebuild(log.path, [Kinds()]) == {"entry_row": "replaced", "kinds": "replaced"}
    assert projection.rebuild(log.path, [Kinds()]) == {"entry_row": "identical", "kinds": "identical"}
    log = AuditLog.open(log.path, chain_uid=forge.CHAIN_UID, clock=clock, projections=[Kinds()])
    log.append([forge.view()])
    log.close()
    assert projection.rebuild(log.path, [Kinds()]) == {"entry_row": "identical", "kinds": "identical"}


# -- faults ----------------------------------------------------------------------------------------------


def test_one_writer_at_a_time(log, forge, clock):
    with pytest.raises(EnvironmentFault) as caught:
        AuditLog.open(log.path, chain_uid=forge.CHAIN_UID, clock=clock)
    assert code_of(caught) == "log-in-use"
    with pytest.raises(EnvironmentFault) as caught:
        projection.rebuild(log.path, [])
    assert code_of(caught) == "log-in-use"
    log.append([forge.view()])


def test_a_verifier_beside_a_writer_disturbs_nobody(log, forge):
    log.set_signer(forge.Signer())
    log.checkpoint()
    log.append([forge.view()])
    report = verify_workspace(log.path.parent, forge.Signer().vkey())
    assert report.findings == ()
    assert "unsigned_tail=1 (log is open)" in report.line
    log.append([forge.view()])
    assert store.is_held(log.path)


def test_another_workspaces_log(log, clock):
    log.close()
    with pytest.raises(InputError) as caught:
        AuditLog.open(log.path, chain_uid="other", clock=clock)
    assert code_of(caught) == "log-foreign"


def test_no_log(tmp_path, clock):
    with pytest.raises(EnvironmentFault) as caught:
        AuditLog.open(tmp_path / "audit.db", chain_uid="x", clock=clock)
    assert code_of(caught) == "log-missing"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "log-damaged"), (b"no database " * 500, "log-damaged")],
)
def test_a_file_that_is_no_log(tmp_path, clock, content, code):
    (tmp_path / "audit.db").write_bytes(content)
    with pytest.raises(EnvironmentFault) as caught:
        AuditLog.open(tmp_path / "audit.db", chain_uid="x", clock=clock)
    assert code_of(caught) == code
    assert (tmp_path / "audit.db").read_bytes() == content


def test_a_foreign_database(tmp_path, clock):
    with closing(sqlite3.connect(tmp_path / "audit.db")) as conn:
        conn.execute("CREATE TABLE entry(seq, body)")
    with pytest.raises(EnvironmentFault) as caught:
        AuditLog.open(tmp_path / "audit.db", chain_uid="x", clock=clock)
    assert code_of(caught) == "log-damaged"


def test_a_log_of_a_later_format(log, forge, clock):
    log.close()
    with closing(sqlite3.connect(log.path)) as conn:
        conn.execute("PRAGMA user_version = 2")
    with pytest.raises(EnvironmentFault, match="format 2"):
        AuditLog.open(log.path, chain_uid=forge.CHAIN_UID, clock=clock)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(log, forge, clock):
    log.close()
    log.path.parent.chmod(0o500)
    try:
        with pytest.raises(EnvironmentFault) as caught:
            AuditLog.open(log.path, chain_uid=forge.CHAIN_UID, clock=clock)
        assert code_of(caught) == "log-not-writable"
    finally:
        log.path.parent.chmod(0o700)


def test_a_full_disk_is_told_and_the_log_goes_on_when_there_is_room(log, forge):
    pages = log._conn.execute("PRAGMA page_count").fetchone()[0]
    log._conn.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(EnvironmentFault) as caught:
        log.append([forge.view()] * 150)
    assert code_of(caught) == "disk-full"
    assert "Make room" in caught.value.problem.todo
    size, root = log.size, log.root()
    record = log.append([forge.view()])[0]  # the connection is new, the limit of the old one is gone
    assert record.seq == size
    assert log.root() != root
    assert [item.seq for item in log.scan()] == list(range(size + 1))


def test_nothing_is_written_after_close(log, forge):
    log.close()
    with pytest.raises(EnvironmentFault) as caught:
        log.append([forge.view()])
    assert code_of(caught) == "log-not-writable"
    log.close()
