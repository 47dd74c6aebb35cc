import io

import pytest
from PIL import Image, ImageDraw

from hsm_console.domain.errors import InputError, VerificationFailed
from hsm_console.paper import qr
from hsm_console.paper.page import Paper, grouped_hex, spoken


def test_digests_are_grouped_and_spoken():
    assert grouped_hex("AB" * 32) == ("abab abab abab abab abab abab abab abab",) * 2
    assert grouped_hex(bytes(4), 1) == ("0000", "0000")
    assert spoken(bytes(4), 2) == ("aardvark adroitness", "aardvark adroitness")


def sheet(**settings):
    paper = Paper("Minutes <b>", subtitle="Sub & title", footer="f", **settings)
    paper.heading("Head <i>")
    paper.text("A line\nand a <script> & more")
    paper.fields([("Who", "Alan <Türing>"), ("名前", "明子 Ωμέγα")])
    paper.table(("a", "b"), [("1", "2")] * 200, (0.3, 0.7))
    paper.digest("Fingerprint", bytes(32))
    paper.qr("HSM1:ABC", "below", beside=("right",))
    paper.signature_line("Witness")
    paper.new_page()
    paper.mono(["a  b", ""])
    return paper


@pytest.mark.parametrize("size", ["A4", "Letter"])
def test_markup_in_names_is_only_text_and_the_same_content_gives_the_same_bytes(size):
    paper = sheet(simulated=True, size=size)
    first = paper.build()
    assert first.startswith(b"%PDF")
    assert paper.build() == first
    assert sheet(simulated=True, size=size).build() == first


def test_a_simulation_is_marked_on_every_page(tmp_path):
    import subprocess

    for simulated in (True, False):
        (tmp_path / "p.pdf").write_bytes(sheet(simulated=simulated).build())
        command = ["pdftotext", "-layout", "p.pdf", "-"]
        text = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        pages = text.split("\f")[:-1]
        assert len(pages) >= 3
        assert all(("SIMULATION – grade D" in page) == simulated for page in pages)
        assert f"page 2 of {len(pages)}" in pages[1]


def test_a_code_reads_back_and_has_its_quiet_zone():
    data = qr.png("HSM1:HELLO WORLD", pixels=2)
    with Image.open(io.BytesIO(data)) as picture:
        assert qr.read(picture) == ("HSM1:HELLO WORLD",)
        assert picture.width >= 4 * (21 + 8)
        assert picture.convert("L").crop((0, 0, picture.width, 16)).getextrema() == (255, 255)


def test_the_largest_receipt_fits_and_one_more_character_does_not():
    assert len(qr.matrix("A" * 2520)) == 4 * 30 + 17
    assert qr.fits("A" * 2520)
    assert not qr.fits("A" * 2521)
    with pytest.raises(InputError, match="qr-too-large"):
        qr.matrix("A" * 2521)


def test_a_code_that_says_something_else_stops():
    with Image.open(io.BytesIO(qr.png("HSM1:HELLO"))) as picture:
        with pytest.raises(VerificationFailed, match="qr-unreadable"):
            qr.check(picture, "HSM1:WORLD")
        spoiled = picture.convert("L")
    ImageDraw.Draw(spoiled).rectangle((30, 30, 110, 110), fill=0)
    with pytest.raises(VerificationFailed, match="qr-unreadable"):
        qr.check(spoiled, "HSM1:HELLO")
