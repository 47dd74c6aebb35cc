"""The printed minutes and the printed script: the same bytes, the digest on every page, the watermark (clause C2)."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hsm_console.ceremony import engine, minutes, minutes_pdf, plans, script, script_pdf
from hsm_console.ceremony.minutes import LogHead
from hsm_console.domain.messages import ceremony as msg

pytestmark = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
TEXT = script.library()["executive-identity-key"]
SHA256 = script.digest(TEXT)


def pages(pdf: bytes, tmp_path: Path) -> list[str]:
    """The text of each page, its white space squeezed."""
    path = tmp_path / "page.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True)
    return [" ".join(page.split()) for page in done.stdout.decode().split("\f") if page.strip()]


def made(room: Any, head: str = "cm9vdA==") -> bytes:
    plan = engine.due(room.now, room.people["ada"])
    if plan is None:
        plan = room.decide("ada", msg.Abandon, why="Enough.")
    assert isinstance(plan, plans.ClosePlan)
    log = LogHead(origin="o", size=60, root=head, note=f"o\n60\n{head}\n\n— o sig\n")
    return minutes.build(room.now, room.log, plan=plan, environment=room.house, workspace="Head office", head=log)


def test_each_page_of_the_minutes_carries_digest_number_and_watermark(room: Any, tmp_path: Path) -> None:
    room.advance("generate")
    room.fail(room.decide("ada", msg.Perform, confirmed="generate"))
    room.vote("carl")
    room.vote("cleo")
    room.answer("will", msg.DeviationAnswer, expected="A key.", happened="A red lamp.", decided="Another attempt.")
    room.vote("carl")
    room.vote("cleo")
    room.advance("sign-off")
    room.sign_off("will", "disagree", because="It was read from the screen.")
    room.advance("")
    data = made(room)
    pdf = minutes_pdf.write(data)
    assert pdf == minutes_pdf.write(data)
    found = pages(pdf, tmp_path)
    for number, page in enumerate(found, 1):
        assert hashlib.sha256(data).hexdigest() in page
        assert f"page {number} of {len(found)}" in page
        assert "SIMULATION" in page
    whole = " ".join(found)
    for text in (
        "A red lamp.",
        "I do not agree, because: It was read from the screen.",
        "Eve Eldridge, executive",
        "does not prove anything about a hardware module",
        "Letter.pdf",
        "ended as “device-failed”",
        "The quorum approved.",
    ):
        assert text in whole


def test_a_real_token_has_no_watermark(new_room: Any, tmp_path: Path) -> None:
    room = new_room()
    room.open(simulated=False)
    room.advance("compare")
    found = pages(minutes_pdf.write(made(room), size="Letter"), tmp_path)
    assert all("SIMULATION" not in page for page in found)
    assert "Ended before its last step" in found[0]
    assert "not done" in " ".join(found)


def test_minutes_of_a_ceremony_that_ended_at_once(room: Any, tmp_path: Path) -> None:
    whole = " ".join(pages(minutes_pdf.write(made(room)), tmp_path))
    for text in ("No key was made.", "Nothing was put to the quorum.", "Nobody has signed off."):
        assert text in whole


def test_text_of_people_is_never_read_as_markup(room: Any, tmp_path: Path) -> None:
    room.answer("ada", msg.Pause, why="<b>bold</b> & <img src='x'/> Łódź 東京")
    whole = " ".join(pages(minutes_pdf.write(made(room)), tmp_path))
    assert "<b>bold</b> & <img src='x'/>" in whole


@pytest.mark.parametrize("size", ["a4", "letter"])
@pytest.mark.parametrize("script_id", list(script.library()))
def test_a_script_for_pen_and_ink(script_id: str, size: str, tmp_path: Path) -> None:
    text = script.library()[script_id]
    pdf = script_pdf.write(text, size=size)
    assert pdf == script_pdf.write(text, size=size)
    found = pages(pdf, tmp_path)
    whole = " ".join(found)
    assert all(script.digest(text) in page for page in found)
    assert script.spoken(script.digest(text)).split()[0] in found[0]
    assert "{" not in whole
    parsed = script.parse(text)
    for step in parsed.steps:
        assert step.title.split("{")[0].strip() in whole
    assert whole.count("This cannot be undone") == sum(step.commit for step in parsed.steps)


def test_chosen_values_are_printed(tmp_path: Path) -> None:
    pdf = script_pdf.write(TEXT, parameters={"algorithm": "ed25519", "label": "ceo-2026"})
    assert "It will be called ceo-2026." in " ".join(pages(pdf, tmp_path))
