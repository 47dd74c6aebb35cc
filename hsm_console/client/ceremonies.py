"""Ceremonies and their scripts. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hsm_console.client.session import Session
from hsm_console.domain.messages.ceremony import (
    AnyAnswer,
    CeremonySummary,
    CeremonyView,
    OpenCeremony,
    ScriptSummary,
    Statement,
)


def scripts(session: Session) -> list[ScriptSummary]:
    return session.call("GET", "/v1/scripts", None, list[ScriptSummary])


def script_text(session: Session, script_id: str) -> str:
    """The script's exact text, whose digest is approved."""
    return session.raw("GET", f"/v1/scripts/{_part(script_id)}/text").decode()


def script_paper(session: Session, script_id: str) -> bytes:
    """The script for pen and ink, as PDF."""
    return session.raw("GET", f"/v1/scripts/{_part(script_id)}/paper.pdf")


def listed(session: Session) -> list[CeremonySummary]:
    """All ceremonies of the workspace, newest first."""
    return session.call("GET", "/v1/ceremonies", None, list[CeremonySummary])


def open_ceremony(session: Session, wanted: OpenCeremony) -> CeremonyView:
    return session.call("POST", "/v1/ceremonies", wanted, CeremonyView)


def view(session: Session, ceremony_id: str) -> CeremonyView:
    return session.call("GET", f"/v1/ceremonies/{_part(ceremony_id)}", None, CeremonyView)


def answer(session: Session, ceremony_id: str, given: AnyAnswer) -> CeremonyView:
    """Answer the current step. An answer to an older view is refused (`answer-stale`), nothing is lost."""
    return session.call("POST", f"/v1/ceremonies/{_part(ceremony_id)}/answers", given, CeremonyView)


def statement(session: Session, ceremony_id: str, step: str, decision: str, because: str = "") -> Statement:
    """What this person would sign now. decision: approve, decline, agree or disagree."""
    query = urlencode({"step": step, "decision": decision} | ({"because": because} if because else {}))
    return session.call("GET", f"/v1/ceremonies/{_part(ceremony_id)}/statement?{query}", None, Statement)


def files(session: Session, ceremony_id: str) -> list[str]:
    """Names of the evidence so far."""
    return session.call("GET", f"/v1/ceremonies/{_part(ceremony_id)}/files", None, list[str])


def file(session: Session, ceremony_id: str, name: str) -> bytes:
    """One piece of evidence. The gateway records that it was taken out."""
    return session.raw("GET", f"/v1/ceremonies/{_part(ceremony_id)}/files/{quote(name)}")


def _part(text: str) -> str:
    return quote(text, safe="")
