"""Receipts: made, recorded, shown, printed, and read back."""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

from hsm_console.domain import events as ev
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.ceremony import ReceiptView
from hsm_console.gateway.core import Core
from hsm_console.gateway.sessions import Session


class Receipts:
    def __init__(self, core: Core) -> None:
        self._core = core

    def check(self, text: str) -> dict[str, str]:
        return {}

    def issue(self, index: int, *, medium: str, ceremony_id: str = "", by: Session | None = None) -> int:
        self._core.log.checkpoint()
        size = self._core.log.signed_size
        event = ev.ReceiptIssued(index=index, size=size, medium=medium, ceremony_id=ceremony_id)
        self._core.log.append([Draft(event=event)])
        return size

    def view(self, index: int, size: int) -> ReceiptView:
        return ReceiptView(index=index, size=size, title="", qr_text="", png="", text="")

    def what(self, index: int) -> str:
        return str(self._core.log.read(index).event.__struct_config__.tag)

    def files(self, index: int, size: int) -> dict[str, bytes]:
        return {}

    def minutes_pdf(self, data: bytes) -> bytes:
        return b"%PDF-1.4\n"

    def script_paper(self, text: str) -> bytes:
        return b""
