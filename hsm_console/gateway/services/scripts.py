"""Scripts over the wire: what may be held here, their exact text, and their paper."""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

from hsm_console.ceremony import script
from hsm_console.domain.messages.ceremony import ScriptSummary
from hsm_console.gateway.app import Call, Raw, not_found
from hsm_console.gateway.services.evidence import Evidence


class Scripts:
    """Handlers under /v1/scripts."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def listed(self, call: Call) -> list[ScriptSummary]:
        """The ceremonies that can be held"""
        return [script.summary(text) for text in self._evidence.scripts().values()]

    def text(self, call: Call) -> Raw:
        """A script's exact bytes, whose digest is approved"""
        return Raw("text/plain; charset=utf-8", self._find(call).encode())

    def paper(self, call: Call) -> Raw:
        """A script for pen and ink"""
        data = self._evidence.script_paper(self._find(call))
        return Raw("application/pdf", data, f"{call.params['id']}.pdf")

    def _find(self, call: Call) -> str:
        text = self._evidence.scripts().get(call.params["id"])
        if text is None:
            raise not_found(f"There is no script “{call.params['id'][:80]}”.")
        return text
