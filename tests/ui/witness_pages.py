"""The pages of the window that only watches, for the gallery."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import samples as s
from places import DENIED

from hsm_console.domain.messages.audit import Head
from ui.login.over import End, told_end
from ui.login.page import LoginPage
from ui.witness.page import WitnessPage

ROOT = base64.b64encode(bytes.fromhex(s.FINGERPRINT)).decode()
CHECKPOINT = f"aurora/log\n41\n{ROOT}\n\n— aurora/log wRqS3Q==\n"
HEAD = Head(size=44, checkpoint=CHECKPOINT, checkpoint_size=41, last_kind="approval-given")


def watching() -> WitnessPage:
    page = _page()
    page.show_view(s.ceremony("authorise"))
    page.show_rows(s.rows(43, 8), HEAD)
    page.show_head(HEAD)
    page.renewed(s.NOW)
    return page


def simple() -> dict[str, Callable[[], Any]]:
    """name → maker of a page."""

    def lost() -> WitnessPage:
        page = watching()
        page.ended(told_end(End.GATEWAY, "Wilhelmina Diffie", s.PROBLEM))
        return page

    def refused() -> WitnessPage:
        page = watching()
        page.show_refusal(DENIED)
        return page

    files = [Path(f"/srv/hsm-console/credentials/{uid}.p12") for uid in s.PEOPLE]
    return {
        "witness-empty": _page,
        "witness-lost": lost,
        "witness-refused": refused,
        "witness-login": lambda: LoginPage(lambda: files, workspace="A window that only watches", watch=True),
    }


def _page() -> WitnessPage:
    return WitnessPage("Wilhelmina Diffie", workspace="Aurora Holding AG, Zürich")
