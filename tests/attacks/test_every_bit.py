"""Flip any bit of any proof: it is refused, or proves the very same. All bits in the long run, else a sample."""

import base64
import random

import pytest

from hsm_console.audit import checkpoint, cose, receipt
from hsm_console.crypto import base45
from hsm_console.domain.errors import VerificationFailed

SAMPLE = 400


@pytest.fixture(scope="module")
def log(forge, kept, tmp_path_factory):
    log = forge.new_log(tmp_path_factory.mktemp("bits"), forge.FixedClock())
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    kept.sign_beside(log)
    log.append([forge.unlocked(), *(forge.view(number) for number in range(300))])
    log.checkpoint()
    yield log
    log.close()


def flipped(data, every):
    """(bit, the bytes with it flipped), of all bits or of some."""
    bits = range(len(data) * 8)
    for bit in bits if every else sorted(random.Random(len(data)).sample(bits, min(SAMPLE, len(bits)))):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def survivors(data, every, check):
    """Bits whose flip is not refused."""
    left = []
    for bit, changed in flipped(data, every):
        try:
            check(changed)
        except VerificationFailed:
            continue
        left.append(bit)
    return left


EVERY = [pytest.param(False, id="sample"), pytest.param(True, id="every", marks=[pytest.mark.soak])]


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("seq", [0, 255, 302])
def test_every_bit_of_a_proof_file_counts(log, forge, every, seq):
    vkey = forge.Signer().vkey()
    text = receipt.issue(log, seq).proof
    proven = receipt.verify(receipt.parse(text), vkey)
    line = text.rindex("— ")  # the line of ML-DSA-44 is another key's; its own test is below

    def check(changed):
        found = receipt.verify(receipt.parse(changed.decode("utf-8", "surrogateescape")), vkey)
        if found != proven:
            raise AssertionError(changed)

    left = survivors(text[:line].encode(), every, lambda changed: check(changed + text[line:].encode()))
    assert left == []


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("seq", [0, 302])
def test_every_bit_of_a_code_counts(log, forge, every, seq):
    vkey = forge.Signer().vkey()
    data = base45.decode(receipt.issue(log, seq).qr.removeprefix("HSM1:"))
    proven = cose.verify(data, vkey)

    def check(changed):
        assert cose.verify(changed, vkey) == proven

    assert len(survivors(data, every, check)) <= 7  # bits that pad the compressed entry to a byte


@pytest.mark.parametrize("every", EVERY)
def test_every_bit_of_a_checkpoint_counts(log, forge, every):
    vkey = forge.Signer().vkey()
    note = log.last_checkpoint
    own = note[: note.rindex("— ")].encode()
    head = checkpoint.verify_note(note, vkey)

    def check(changed):
        assert checkpoint.verify_note(changed.decode("utf-8", "surrogateescape"), vkey) == head

    assert survivors(own, every, check) == []


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("which", ["ed25519", "ml-dsa-44"])
def test_every_bit_of_a_cosignature_counts(log, forge, kept, every, which):
    """The bytes of one signature line, held to the key that it names."""
    other = which == "ml-dsa-44"
    vkey = kept.PostQuantum().vkey(forge.ORIGIN) if other else forge.Signer().vkey()
    note = checkpoint.parse_note(log.last_checkpoint)
    line = note.lines[1 if other else 0]
    assert line.key_id == vkey.key_id
    seconds = checkpoint.verify_line(note.body, line, vkey)

    def check(blob):
        changed = checkpoint.SignatureLine(line.name, line.key_id, blob)
        assert checkpoint.verify_line(note.body, changed, vkey) == seconds

    assert survivors(line.blob, every, check) == []
    encoded = base64.b64encode(line.key_id + line.blob).decode()
    assert encoded in log.last_checkpoint
