import subprocess

import pytest

from hsm_console.audit.checkpoint import Checkpoint, Vkey, check_origin, parse_note, parse_vkey, sign_note, verify_note
from hsm_console.domain.errors import InputError, VerificationFailed

HEAD = Checkpoint("example.org/ceremony-room", 3, bytes(range(32)))


@pytest.fixture
def note(forge):
    signer = forge.Signer()
    return sign_note(HEAD, 1_790_000_000, signer.vkey(), signer.sign)


def test_a_note_verifies_and_says_when(forge, note):
    assert verify_note(note, forge.Signer().vkey()) == (HEAD, 1_790_000_000)
    assert note.startswith("example.org/ceremony-room\n3\nAAEC")


def test_the_signature_verifies_with_openssl_alone(forge, note, tmp_path):
    line = parse_note(note).lines[0]
    spki = bytes.fromhex("302a300506032b6570032100") + forge.Signer().public_key_bytes
    (tmp_path / "key.der").write_bytes(spki)
    (tmp_path / "signature").write_bytes(line.blob[8:])
    (tmp_path / "message").write_bytes(f"cosignature/v1\ntime 1790000000\n{HEAD.body()}".encode())
    command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in message -sigfile signature"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)


def test_a_vkey_reads_back(forge):
    vkey = forge.Signer().vkey()
    assert parse_vkey(vkey.text + "\n") == vkey
    assert vkey.text.startswith("example.org/ceremony-room+" + vkey.key_id.hex() + "+B")


@pytest.mark.parametrize("text", ["", "a", "a+b+c", "a+00000000+BAAA", "x y+00000000+AA=="])
def test_a_vkey_that_is_none_is_told(text):
    with pytest.raises(InputError, match="vkey-unreadable"):
        parse_vkey(text)


def test_a_vkey_with_one_letter_changed_is_told(forge):
    text = forge.Signer().vkey().text
    with pytest.raises(InputError):
        parse_vkey("f" + text[1:])
    with pytest.raises(InputError):
        parse_vkey(text[:-4] + "A" + text[-3:])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda note: note.replace("\n3\n", "\n4\n"), "bad-signature"),
        (lambda note: note.replace("AAEC", "AAED"), "bad-signature"),
        (lambda note: note.partition("\n\n")[0] + "\n\n", "downgrade"),
        (lambda note: note.replace("room\n3", "hall\n3"), "foreign"),
        (lambda note: note.replace("\n3\n", "\n03\n"), "note-unreadable"),
        (lambda note: note.replace("\n3\n", "\n-3\n"), "note-unreadable"),
        (lambda note: "garbage", "note-unreadable"),
        (lambda note: note + "garbage", "note-unreadable"),
        (lambda note: note.replace("— ", "- "), "note-unreadable"),
        (lambda note: "", "note-unreadable"),
    ],
)
def test_a_changed_note_is_refused_with_its_reason(forge, note, change, code):
    with pytest.raises(VerificationFailed) as caught:
        verify_note(change(note), forge.Signer().vkey())
    assert caught.value.problem.code == code


def test_another_key_is_foreign_and_a_witness_line_is_left_alone(forge, note):
    with pytest.raises(VerificationFailed, match="foreign"):
        verify_note(note, forge.Signer(b"another log key, for tests only!").vkey())
    verify_note(note + "— witness.example AAAAAAAA\n", forge.Signer().vkey())


def test_a_token_that_signs_something_else_is_caught_before_anything_is_kept(forge):
    signer = forge.Signer()
    with pytest.raises(VerificationFailed, match="bad-signature"):
        sign_note(HEAD, 1, signer.vkey(), lambda message: signer.sign(message + b"x"))


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "ä", "a\nb"])
def test_a_log_cannot_have_a_name_that_breaks_the_format(origin):
    with pytest.raises(InputError, match="origin-unusable"):
        check_origin(origin)


def test_the_key_id_commits_to_name_and_type():
    assert Vkey("a", bytes(32)).key_id != Vkey("b", bytes(32)).key_id
