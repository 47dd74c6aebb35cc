"""Compliance reports over real logs: verified first, provable population, gaps named, the same bytes again."""

import argparse
import hashlib
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import date

import msgspec
import pytest

from hsm_console.audit import receipt, report, report_page, report_standard
from hsm_console.audit.checkpoint import verify_note
from hsm_console.audit.report_period import Period
from hsm_console.cli import audit as cli
from hsm_console.domain import events as e
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError
from hsm_console.domain.people import Actor, Role

TAGS = {item.__struct_config__.tag for item in e.AnyEvent.__args__}


@pytest.fixture(scope="module")
def golden(forge):
    return forge.GOLDEN / "golden.db"


@pytest.fixture(scope="module")
def vkey(forge):
    return forge.Signer().vkey()


@pytest.fixture
def make(forge, tmp_path):
    """A closed, signed log with these drafts between start and stop."""

    def build(*drafts, name="made"):
        folder = tmp_path / name
        folder.mkdir()
        log = forge.new_log(folder, forge.FixedClock())
        log.append([forge.start()])
        log.set_signer(forge.Signer())
        log.append([forge.unlocked()])
        for item in drafts:
            log.append([item(log) if callable(item) else item])
        log.append([forge.stop()])
        log.checkpoint()
        log.close()
        (folder / "log.vkey").write_text(forge.Signer().vkey().text)
        return folder

    return build


def answers(log, vkey, standard, **days):
    made = report.build(log, vkey, report_standard.load(standard), Period(**days))
    return made, {item.control.id: item for item in made.answers}


def run(*arguments):
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    return cli.run(parser.parse_args(["audit", *map(str, arguments)]))


def text_of(pdf):
    return subprocess.run(["pdftotext", "-layout", pdf, "-"], check=True, capture_output=True, text=True).stdout


# -- the data -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", report_standard.STANDARDS)
def test_the_files_name_kinds_and_roles_that_exist(name):
    standard = report_standard.load(name)
    ids = [item.id for item in standard.controls]
    assert len(set(ids)) == len(ids) > 10
    for item in standard.controls:
        assert set(item.kinds) <= TAGS, item.id
        assert set(item.roles) <= {role.value for role in Role}, item.id
        assert set(item.operations) <= {operation.value for operation in e.Operation}, item.id
        assert item.kinds or item.checks, item.id


@pytest.mark.parametrize("name", report_standard.STANDARDS)
def test_it_is_said_how_each_number_was_checked(name, golden, tmp_path, capsys):
    standard = report_standard.load(name)
    read = {source.read for source in standard.sources}
    assert {item.checked for item in standard.controls} <= read | {"no clause"}
    assert all(source.title and source.edition for source in standard.sources)
    run("report", golden, "--standard", name, "--paper", "Letter", "--out", tmp_path / "r.pdf")
    said = " ".join(text_of(tmp_path / "r.pdf").split())
    assert "Where the numbers come from" in said
    unchecked = [item.id for item in standard.controls if item.checked == "not checked"]
    assert said.count("The number of this clause was not checked against the original.") == len(unchecked)
    size = subprocess.run(["pdfinfo", tmp_path / "r.pdf"], check=True, capture_output=True, text=True).stdout
    assert "(letter)" in size


def test_the_clauses_that_assessors_ask_for_are_there():
    ids = {name: {item.id for item in report_standard.load(name).controls} for name in report_standard.STANDARDS}
    assert {"3.6.1", "3.7.1", "3.7.6", "10.2.1.1", "10.2.1.7", "10.2.2", "10.3.2", "10.5.1"} <= ids["pci-dss"]
    assert {
        "164.312(a)(2)(i)",
        "164.312(b)",
        "164.312(c)(1)",
        "164.312(d)",
        "164.308(a)(1)(ii)(D)",
        "164.308(a)(5)(ii)(C)",
        "164.316(b)(2)(i)",
    } <= ids["hipaa"]
    assert {"404-AC-1", "404-CM-2", "404-SD-1", "404-IR-1"} <= ids["sox"]


# -- the answers --------------------------------------------------------------------------------------------


def test_the_population_is_proven_by_what_the_report_carries(golden, vkey):
    made, found = answers(golden, vkey, "pci-dss")
    head, _ = verify_note("\n".join(made.population.checkpoint) + "\n", vkey)
    assert (head.size, head.root.hex()) == (made.population.size, made.population.root) == (400, head.root.hex())
    proof = receipt.Receipt(proof="\n".join(made.population.proof) + "\n", qr="", name="r")
    assert receipt.verify(proof, vkey).index == 399
    assert found["10.2.2"].events == 400
    assert [item.seq for item in found["10.2.2"].samples] == [0, 1, 399]
    assert made.log.simulated
    assert found["10.2.1.4"].state == "answered"
    assert {item.seq for item in found["10.2.1.4"].samples}


def test_every_size_of_log_carries_a_proof_that_verifies(make, forge, vkey):
    for count in range(9):
        made, _ = answers(make(*[forge.view(n) for n in range(count)], name=str(count)), vkey, "hipaa")
        proof = receipt.Receipt(proof="\n".join(made.population.proof) + "\n", qr="", name="r")
        assert receipt.verify(proof, vkey).index == made.population.size - 1 == count + 4


def test_a_key_made_without_two_people_is_a_gap_with_the_entry(make, forge, vkey):
    log = make(forge.intent(), lambda log: forge.success(log.size - 1))
    _, found = answers(log, vkey, "sox")
    assert found["404-CM-2"].state == "gap"
    assert [item.seq for item in found["404-CM-2"].contradictions] == [5]
    assert "two" in found["404-CM-2"].contradictions[0].why


def test_a_quorum_of_two_answers_it_and_of_one_name_twice_does_not(make, forge, vkey):
    def log_with(*people):
        reached = e.QuorumReached(ceremony_id="c-1", step="go", attempt=1, needed=2, of=3, by=people)
        return make(
            forge.draft(reached), forge.intent(), lambda log: forge.success(log.size - 1), name="-".join(people)
        )

    assert answers(log_with("a", "b"), vkey, "sox")[1]["404-CM-2"].state == "answered"
    assert answers(log_with("a", "a"), vkey, "sox")[1]["404-CM-2"].state == "gap"


@pytest.mark.parametrize(
    ("operation", "by", "state"),
    [
        (e.Operation.DESTROY, ("a", "b"), "answered"),
        (e.Operation.DESTROY, ("a", "a"), "gap"),
        (e.Operation.DESTROY, (), "gap"),
        (e.Operation.SIGN, (), "not applicable"),
    ],
)
def test_the_quorum_of_an_order_answers_it_and_the_use_of_a_key_needs_none(make, forge, vkey, operation, by, state):
    def tied(event, actor=forge.ALICE):
        return e.Draft(event=event, actor=actor, correlation=forge.CHAIN_UID)

    ready = [tied(e.OrderReady(order_id="o-1", by=by), None)] if by else []
    act = e.OperationIntended(operation=operation, key_id="aa")
    log = make(
        *ready, tied(act), lambda log: tied(e.OperationSucceeded(intent=log.size - 1, operation=operation, key_id="aa"))
    )
    assert answers(log, vkey, "sox")[1]["404-CM-2"].state == state
    assert answers(log, vkey, "pci-dss")[1]["3.7.6"].state == state
    assert answers(log, vkey, "pci-dss")[1]["10.2.1.1"].events == 2


def test_extractable_keys_shared_certificates_double_seats_and_open_ceremonies_are_gaps(make, forge, vkey):
    def weak(log):
        good = forge.success(log.size - 1)
        attributes = msgspec.structs.replace(good.event.attributes, extractable=True)
        return msgspec.structs.replace(good, event=msgspec.structs.replace(good.event, attributes=attributes))

    seats = tuple(e.Seat(role=role, uid="a", name="A") for role in (Role.WITNESS, Role.CUSTODIAN))
    seated = e.StepDone(ceremony_id="c-1", step="s", step_kind="presence", phase="p", seats=seats)
    opened = next(item for item in forge.samples() if isinstance(item, e.CeremonyOpened))
    other = Actor(uid="x", name="X", roles=(Role.AUDITOR,), session_uid="s", certificate_sha256="ab" * 32)
    logged = e.LoggedOn(roles=(Role.AUDITOR,), certificate_serial="0a")
    log = make(
        forge.intent(),
        weak,
        forge.draft(seated, forge.ALICE),
        forge.draft(opened, forge.ALICE),
        forge.draft(logged, other),
    )
    gaps = {name for name, item in answers(log, vkey, "sox")[1].items() if item.state == "gap"}
    assert gaps == {"404-CM-1", "404-CM-2", "404-SD-1", "404-AC-3"}
    assert answers(log, vkey, "pci-dss")[1]["3.6.1.2"].state == "gap"
    assert answers(log, vkey, "hipaa")[1]["164.312(a)(2)(i)"].state == "gap"


def test_nothing_to_answer_is_a_gap_or_not_applicable_as_the_control_says(make, vkey):
    _, found = answers(make(), vkey, "pci-dss")
    assert (found["10.2.1.3"].state, found["10.2.1.3"].why) == ("gap", "the period has no such entry")
    assert (found["10.2.1.4"].state, found["10.2.1.4"].events) == ("not applicable", 0)


def test_a_period_counts_only_its_days_and_remembers_what_came_before(forge, tmp_path, vkey):
    clock = forge.FixedClock()
    log = forge.new_log(tmp_path, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    reached = e.QuorumReached(ceremony_id="c-1", step="go", attempt=1, needed=2, of=3, by=("a", "b"))
    log.append([forge.draft(reached)])
    clock.pass_ms(86_400_000)
    begun = log.append([forge.intent()])[0].seq
    log.append([forge.success(begun)])
    log.append([forge.stop()])
    log.checkpoint()
    log.close()
    made, found = answers(tmp_path, vkey, "sox", start=date(2026, 9, 22), end=date(2026, 9, 22))
    assert (made.population.in_period, made.population.first, made.population.last) == (3, 4, 6)
    assert (made.population.size, found["404-CM-2"].state, found["404-IR-2"].events) == (7, "answered", 3)
    made, _ = answers(tmp_path, vkey, "sox", end=date(2026, 9, 21))
    assert (made.population.in_period, made.period_from) == (4, "2026-09-21")


# -- a log that does not verify -----------------------------------------------------------------------------


@pytest.fixture
def changed(make, forge):
    folder = make(*[forge.view(n) for n in range(5)])
    with closing(sqlite3.connect(folder / "audit.db")) as conn:
        conn.execute("DROP TRIGGER entry_keeps_on_update")
        conn.execute(
            "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'Grace', 'Brace') AS BLOB) WHERE seq = 6"
        )
        conn.commit()
    return folder


def test_a_changed_log_is_reported_in_red_with_exit_1(changed, tmp_path, capsys):
    out = tmp_path / "r.pdf"
    assert run("report", changed, "--standard", "sox", "--vkey", changed / "log.vkey", "--out", out) == 1
    told = capsys.readouterr().out
    assert told.startswith("NOT OK")
    assert "REWRITTEN" in told
    pages = text_of(out).split("\f")
    assert "THE LOG DOES NOT VERIFY" in pages[0]
    assert pages[0].index("DOES NOT VERIFY") < pages[0].index("Which log") < pages[0].index("Controls")
    assert "REWRITTEN" in pages[0]
    assert "nothing proves this population" in " ".join(pages)
    assert _has_red(out, tmp_path)


def _has_red(pdf, folder):
    from PIL import Image

    subprocess.run(["pdftoppm", "-r", "40", "-l", "1", "-png", pdf, folder / "p"], check=True)
    picture = Image.open(next(folder.glob("p-*.png"))).convert("RGB")
    colours = picture.getcolors(1 << 24)
    return any(red > 140 and green < 60 and blue < 60 for _, (red, green, blue) in colours)


def test_another_key_gives_a_report_that_says_foreign(make, forge, tmp_path, capsys):
    other = forge.Signer(b"another log key, for tests only!").vkey().text
    out = tmp_path / "r.json"
    assert run("report", make(), "--standard", "hipaa", "--vkey", other, "--out", out, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    written = json.loads(out.read_text())
    assert told["verified"] is written["verification"]["verified"] is False
    assert "FOREIGN" in told["line"]
    assert "164.312(c)(1)" in told["gaps"]
    assert written["population"]["checkpoint"] == []
    assert told["summary"]["answered"] == 0 < told["summary"]["unproven"]


# -- the command and the paper ------------------------------------------------------------------------------


def test_pdf_and_json_say_the_same_and_come_again_byte_for_byte(golden, forge, tmp_path, capsys):
    key = forge.GOLDEN / "log.vkey"
    for name in ("a.pdf", "b.pdf", "a.json", "b.json"):
        assert run("report", golden, "--standard", "pci-dss", "--vkey", key, "--out", tmp_path / name) == 0
    assert "with a gap" in capsys.readouterr().out
    data = {name: (tmp_path / name).read_bytes() for name in ("a.pdf", "b.pdf", "a.json", "b.json")}
    assert data["a.pdf"] == data["b.pdf"]
    assert data["a.json"] == data["b.json"]
    text = text_of(tmp_path / "a.pdf")
    assert hashlib.sha256(data["a.json"]).hexdigest() in text
    assert "SIMULATION" in text
    assert "not a certification" in text
    written = json.loads(data["a.json"])
    for item in written["answers"]:
        assert item["control"]["id"] in text
    assert all(line[:60] in text for line in written["population"]["checkpoint"])


def test_the_code_on_the_page_is_the_checkpoint(golden, vkey, tmp_path):
    from PIL import Image

    from hsm_console.paper import qr

    made, _ = answers(golden, vkey, "hipaa")
    (tmp_path / "r.pdf").write_bytes(report_page.page(made))
    subprocess.run(["pdftoppm", "-r", "150", "-png", tmp_path / "r.pdf", tmp_path / "p"], check=True)
    texts = [text for picture in sorted(tmp_path.glob("p-*.png")) for text in qr.read(Image.open(picture))]
    head, _ = verify_note(texts[0], vkey)
    assert head.size == 400


def test_a_key_out_of_the_folder_is_told(make, tmp_path):
    assert run("report", make(), "--standard", "sox", "--out", tmp_path / "r.pdf") == 0
    assert "The key came out of the folder of the log itself" in text_of(tmp_path / "r.pdf")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--standard", "iso"], "standard-unknown"),
        (["--standard", "sox", "--from", "2026-02-01", "--to", "2026-01-01"], "period-inverted"),
        (["--standard", "sox", "--from", "2031-01-01"], "period-empty"),
        (["--standard", "sox", "--from", "yesterday"], "date-unreadable"),
        (["--standard", "sox", "--vkey", "a+b+c"], "vkey-unreadable"),
        (["--standard", "sox", "--vkey", "nowhere"], "vkey-missing"),
        (["--standard", "sox", "--out", "report.doc"], "out-unknown"),
    ],
)
def test_bad_input_is_named_and_writes_nothing(arguments, code, make, tmp_path):
    log, out = make(), tmp_path / "r.pdf"
    with pytest.raises(InputError) as found:
        run("report", log, "--out", out, *arguments)
    assert (found.value.problem.code, found.value.problem.exit_code) == (code, ExitCode.USAGE)
    assert not out.exists()


def test_unreadable_and_unsigned_logs_and_files_that_are_there(make, forge, tmp_path):
    log, key = make(), forge.GOLDEN / "log.vkey"
    with pytest.raises(EnvironmentFault, match="log-missing"):
        run("report", tmp_path / "nowhere", "--standard", "sox", "--vkey", key, "--out", tmp_path / "r.pdf")
    (tmp_path / "audit.db").write_bytes(b"no database" * 500)
    with pytest.raises(EnvironmentFault, match="log-damaged") as found:
        run("report", tmp_path / "audit.db", "--standard", "sox", "--vkey", key, "--out", tmp_path / "r.pdf")
    assert found.value.problem.exit_code == ExitCode.USAGE
    unsigned = tmp_path / "unsigned"
    unsigned.mkdir()
    fresh = forge.new_log(unsigned, forge.FixedClock())
    shutil.copyfile(key, unsigned / "log.vkey")
    fresh.close()
    assert run("report", unsigned, "--standard", "sox", "--out", tmp_path / "r.json") == 1
    assert "UNSIGNED" in (tmp_path / "r.json").read_text()
    (tmp_path / "there.pdf").write_text("mine")
    with pytest.raises(InputError, match="out-exists"):
        run("report", log, "--standard", "sox", "--out", tmp_path / "there.pdf")
