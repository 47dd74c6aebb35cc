import io
import random
import shutil
import subprocess

import cbor2
import pytest
from PIL import Image, ImageFilter

from hsm_console.audit import cose, receipt, receipt_files, receipt_page
from hsm_console.audit.receipt_page import Setting, page
from hsm_console.cli import receipt as cli
from hsm_console.crypto import base45
from hsm_console.domain.errors import EnvironmentFault, InputError, VerificationFailed
from hsm_console.paper import qr

SETTING = Setting(workspace="Ceremony room 1", environment="rehearsal", simulated=True, zone="Europe/Berlin")


@pytest.fixture(scope="module")
def log(forge, tmp_path_factory):
    clock = forge.FixedClock()
    log = forge.new_log(tmp_path_factory.mktemp("receipts"), clock)
    forge.signed_run(log, clock, 300)
    yield log
    log.close()


@pytest.fixture(scope="module")
def key_receipt(log):
    return receipt.issue(log, 305)


@pytest.fixture
def vkey(forge):
    return forge.Signer().vkey()


def test_a_receipt_proves_its_entry_in_both_forms(log, key_receipt, vkey):
    for item in (key_receipt, receipt.Receipt(proof=key_receipt.proof), receipt.Receipt(qr=key_receipt.qr)):
        proven = receipt.verify(item, vkey)
        assert (proven.index, proven.head.size) == (305, log.size)
        assert proven.body == log.body(305)
        assert proven.recorded == log.read(305)
        assert proven.simulated
        assert proven.head.root == log.root()


def test_every_entry_has_a_receipt(log, vkey):
    for seq in range(0, log.size, 37):
        assert receipt.verify(receipt.issue(log, seq), vkey).body == log.body(seq)


def test_one_signature_serves_all_receipts_of_a_head(forge, tmp_path):
    log = forge.new_log(tmp_path, forge.FixedClock())
    signer = forge.Signer()
    log.set_signer(signer)
    for _ in range(5):
        receipt.issue(log, 0)
    assert signer.calls == 2  # the checkpoint and the root
    log.append([forge.view()])
    receipt.issue(log, 2)
    assert signer.calls == 4
    log.set_signer(None)
    receipt.issue(log, 2)
    log.append([forge.view()])
    with pytest.raises(EnvironmentFault, match="log-key-locked"):
        receipt.issue(log, 3)
    with pytest.raises(InputError, match="entry-missing"):
        receipt.issue(log, 4)
    log.close()


def test_the_code_is_a_cose_receipt_of_rfc_9942(key_receipt, forge):
    data = base45.decode(key_receipt.qr.removeprefix("HSM1:"))
    tag = cbor2.loads(data)
    assert tag.tag == 18
    protected, unprotected, payload, signature = tag.value
    header = cbor2.loads(protected)
    assert header[1] == -19
    assert header[395] == 1
    assert header[15][1] == forge.ORIGIN
    assert payload is None
    assert len(signature) == 64
    size, index, path = cbor2.loads(unprotected[396][-1][0])
    assert (size, index, len(path)) == (307, 305, len(key_receipt.proof.partition("\n\n")[0].split("\n")) - 3)


def test_an_entry_too_large_for_one_code_travels_as_its_hash(forge, tmp_path, vkey):
    log = forge.new_log(tmp_path, forge.FixedClock())
    log.set_signer(forge.Signer())
    noise = random.Random(1).randbytes(3000).hex()
    log.append([forge.draft(forge.e.MinutesWritten(ceremony_id="c-1", minutes_sha256=noise), forge.ALICE)])
    issued = receipt.issue(log, 2)
    proven = receipt.verify(receipt.Receipt(qr=issued.qr), vkey)
    assert proven.body == b""
    assert proven.leaf == receipt.verify(issued, vkey).leaf
    assert "carries the entry's hash" in _text(page(issued, vkey, SETTING), tmp_path)
    log.close()


# -- what must be refused --------------------------------------------------------------------------------


def code(call, *arguments):
    with pytest.raises(VerificationFailed) as caught:
        call(*arguments)
    return caught.value.problem.code


def lines_of(item):
    return item.proof.split("\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[:2], "index 304", *lines[3:]],
        lambda lines: [*lines[:2], "index 307", *lines[3:]],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:3], lines[3], *lines[3:]],
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        lambda lines: [lines[0], lines[1][:-8] + "AAAAAAA=", *lines[2:]],
        lambda lines: [lines[0], lines[1] + "AAAA", *lines[2:]],
    ],
    ids=["other index", "beyond", "path shorter", "path longer", "path swapped", "entry changed", "entry longer"],
)
def test_a_proof_that_was_changed_is_refused(key_receipt, vkey, change):
    changed = "\n".join(change(lines_of(key_receipt)))
    assert code(receipt.verify, receipt.Receipt(proof=changed), vkey) in {"bad-proof", "receipt-unreadable"}


def test_the_size_one_more_or_less_is_refused(key_receipt, vkey):
    for size in (306, 308):
        changed = key_receipt.proof.replace("\n307\n", f"\n{size}\n")
        assert code(receipt.verify, receipt.Receipt(proof=changed), vkey) == "bad-signature"


@pytest.mark.parametrize(
    "more",
    [{"note": "approved by the board"}, {1: -7}, {2: [99]}, {4: b"another key"}, {396: {-1: [b""], -2: [b""]}}],
    ids=["a note", "an algorithm", "what is critical", "a key", "another proof"],
)
def test_what_nobody_signed_is_not_carried_along(key_receipt, vkey, more):
    """The header of a COSE message that is not protected: any hand may write there, and other readers may heed it."""
    data = base45.decode(key_receipt.qr.removeprefix("HSM1:"))
    protected, unprotected, _, signature = cbor2.loads(data).value
    if 396 in more:
        more = {396: {-1: unprotected[396][-1], -2: [b""]}}
    changed = data[:1] + cbor2.dumps([protected, {**unprotected, **more}, None, signature], canonical=True)
    assert code(cose.verify, changed, vkey) == "receipt-unreadable"


def test_every_bit_of_the_code_counts(key_receipt, vkey):
    data = base45.decode(key_receipt.qr.removeprefix("HSM1:"))
    generator, same = random.Random(7), 0
    for bit in {*range(200), *generator.sample(range(len(data) * 8), 1500)}:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            proven = cose.verify(bytes(changed), vkey)
        except VerificationFailed:
            continue
        same += 1
        assert proven == cose.verify(data, vkey)  # one of the bits that pad the compressed entry to a byte
    assert same <= 7
    for cut in (data[:-1], data + b"\x00", data[1:], b"", b"\xd2"):
        with pytest.raises(VerificationFailed):
            cose.verify(cut, vkey)


def test_a_receipt_of_another_log_or_key_is_foreign(key_receipt, forge):
    for other in (
        forge.Signer().vkey("example.org/other-room"),
        forge.Signer(b"another log key, for tests only!").vkey(),
    ):
        assert code(receipt.verify, receipt.Receipt(proof=key_receipt.proof), other) == "foreign"
        assert code(receipt.verify, receipt.Receipt(qr=key_receipt.qr), other) == "foreign"


def test_receipts_of_two_logs_mixed_are_refused(key_receipt, forge, tmp_path, vkey):
    clock = forge.FixedClock()
    other = forge.new_log(tmp_path, clock)
    forge.signed_run(other, clock, 301)
    theirs = receipt.issue(other, 305)
    other.close()
    mixed = key_receipt.proof.partition("\n\n")[0] + "\n\n" + theirs.proof.partition("\n\n")[2]
    assert code(receipt.verify, receipt.Receipt(proof=mixed), vkey) == "bad-proof"
    pair = receipt.Receipt(proof=key_receipt.proof, qr=theirs.qr)
    assert code(receipt.verify, pair, vkey) == "receipt-unreadable"


@pytest.mark.parametrize("text", ["", "hello", "HSM1:", "HSM1:ABC", "HSM1:abc", "HSM2:ABC", "c2sp.org/tlog-proof@v1\n"])
def test_what_is_no_receipt_is_refused(vkey, text):
    with pytest.raises(VerificationFailed):
        receipt.verify(receipt.parse(text), vkey)


# -- files and paper ---------------------------------------------------------------------------------------


def _text(pdf, folder):
    (folder / "page.pdf").write_bytes(pdf)
    done = subprocess.run(
        ["pdftotext", "-layout", "page.pdf", "-"], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.mark.parametrize("size", ["A4", "Letter"])
def test_the_page_says_everything_and_its_code_reads_at_150_dpi(key_receipt, vkey, tmp_path, size):
    pdf = page(key_receipt, vkey, Setting(**{**_fields(SETTING), "size": size}))
    text = _text(pdf, tmp_path)
    for words in (
        "Receipt for entry 305",
        "The token generated the key “root”.",
        "Alan Türing (a.turing), custodian",
        "2026-09-21 14:13:50 UTC",
        "2026-09-21 16:13:50 +0200 Europe/Berlin",
        "c-1, step “generate”",
        "5a5a 5a5a",
        "enlist existence",
        "Evidence grade D",
        "SIMULATION",
        "number 305 (counted from 0) of 307",
        "example.org/ceremony-room",
        "It does not prove",
        "hsm-console receipt verify",
        "page 1 of 1",
    ):
        assert words in " ".join(text.split()), words
    assert receipt_files.read(tmp_path / "page.pdf")[0].qr == key_receipt.qr


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_the_same_receipt_gives_the_same_page(key_receipt, vkey):
    assert page(key_receipt, vkey, SETTING) == page(key_receipt, vkey, SETTING)


def test_a_page_whose_code_does_not_read_is_not_given_out(key_receipt, vkey, monkeypatch):
    other = receipt.Receipt(proof=key_receipt.proof, qr=key_receipt.qr[:-3] + "AAA")
    with pytest.raises(VerificationFailed, match="qr-unreadable"):
        receipt_page.check(page(key_receipt, vkey, SETTING), other)


def test_a_receipt_that_does_not_verify_is_not_printed(key_receipt, forge):
    with pytest.raises(VerificationFailed, match="foreign"):
        page(key_receipt, forge.Signer(b"another log key, for tests only!").vkey(), SETTING)


def test_files_are_read_by_their_content(key_receipt, tmp_path):
    picture = qr.png(key_receipt.qr)
    for name, data in {
        "code.png": picture,
        "wrong-name.txt": picture,
        "file.tlog-proof": key_receipt.proof.encode(),
        "scanned.txt": f"typed by a scanner:\n{key_receipt.qr}\r\n".encode(),
    }.items():
        (tmp_path / name).write_bytes(data)
        found = receipt_files.read(tmp_path / name)[0]
        assert key_receipt.qr == found.qr or key_receipt.proof == found.proof


def test_a_bad_scan_still_reads(key_receipt, tmp_path):
    with Image.open(io.BytesIO(qr.png(key_receipt.qr, 5))) as picture:
        grey = picture.convert("L").rotate(1.3, fillcolor=255, expand=True).filter(ImageFilter.GaussianBlur(0.8))
    grey.save(tmp_path / "scan.jpg", quality=60)
    assert receipt_files.read(tmp_path / "scan.jpg")[0].qr == key_receipt.qr


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("empty.txt", b"", "receipt-unreadable"),
        ("noise.bin", b"\xff\xfe\x00", "receipt-file-unreadable"),
        ("broken.png", b"\x89PNG\r\n\x1a\nxxxx", "receipt-file-unreadable"),
        ("broken.pdf", b"%PDF-1.7 nothing", "receipt-file-unreadable"),
    ],
)
def test_a_file_without_a_receipt_is_told(tmp_path, name, data, code):
    (tmp_path / name).write_bytes(data)
    with pytest.raises((VerificationFailed, InputError)) as caught:
        receipt_files.read(tmp_path / name)
    assert caught.value.problem.code == code


def test_a_page_without_a_code_is_told(tmp_path):
    Image.new("L", (200, 200), 255).save(tmp_path / "white.png")
    with pytest.raises(InputError, match="no receipt's code was found"):
        receipt_files.read(tmp_path / "white.png")


def test_without_pdftoppm_the_way_out_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EnvironmentFault, match="pdf-tool-missing"):
        receipt_files.read(tmp_path / "a.pdf")


# -- the command line ----------------------------------------------------------------------------------------


def verify(tmp_path, vkey, *names, as_json=False):
    import argparse

    (tmp_path / "log.vkey").write_text(vkey.text)
    files = [tmp_path / name for name in names]
    return cli.run(argparse.Namespace(files=files, vkey=str(tmp_path / "log.vkey"), json=as_json, root_sheet=None))


def test_the_command_says_what_is_proven_and_what_not(key_receipt, vkey, tmp_path, capsys):
    (tmp_path / "r.tlog-proof").write_text(key_receipt.proof)
    assert verify(tmp_path, vkey, "r.tlog-proof") == 0
    said = capsys.readouterr().out
    assert said.startswith("r.tlog-proof: VERIFIED entry=305 size=307 log=example.org/ceremony-room")
    assert "The token generated the key “root”." in said
    assert "SIMULATION: grade D" in said
    assert "It does not prove" in said


def test_the_command_refuses_with_the_four_things_and_the_worst_code(key_receipt, vkey, tmp_path, capsys):
    (tmp_path / "good.tlog-proof").write_text(key_receipt.proof)
    (tmp_path / "bad.tlog-proof").write_text(key_receipt.proof.replace("index 305", "index 304"))
    assert verify(tmp_path, vkey, "good.tlog-proof", "bad.tlog-proof") == 1
    said = capsys.readouterr().out
    assert "bad.tlog-proof: NOT VERIFIED" in said
    assert "BAD-PROOF" in said
    assert "Whom to call" in said
    assert verify(tmp_path, vkey, "missing.png") == 2


def test_the_command_in_json(key_receipt, vkey, tmp_path, capsys):
    import json

    (tmp_path / "r.txt").write_text(key_receipt.qr)
    assert verify(tmp_path, vkey, "r.txt", as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["index"], found["simulated"]) == (True, 305, True)
    assert found["entry"]["metadata"]["sequence"] == 305
