"""Anchors outside the database: how the log stands, heads for witnesses, cosignatures.

All functions raise ConsoleError with the gateway's Problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from hsm_console.client.brought import brought
from hsm_console.client.session import Session
from hsm_console.domain.messages.anchors import BringCosignature, CosignatureView, LogStatus, SheetView, WitnessHead


def status(session: Session) -> LogStatus:
    """The start-up check, the round in the background, and which anchors there are or must be."""
    return session.call("GET", "/v1/audit/status", None, LogStatus)


def head(session: Session, *, since: int = 0) -> WitnessHead:
    """The newest signed head for a witness. since: size that the witness cosigned last, for the consistency proof."""
    return session.call("GET", f"/v1/witness/head?since={since}", None, WitnessHead)


def cosign(session: Session) -> list[CosignatureView]:
    """Cosign the newest head with the key of the person who is logged in. Her agent signs; nothing leaves it."""
    shown = head(session)
    signature = session.sign_statement(shown.statement)
    return bring(session, BringCosignature(cms=signature, seconds=shown.seconds, size=shown.size))


def bring(session: Session, body: BringCosignature) -> list[CosignatureView]:
    """Hand in what a witness sent back."""
    return session.call("POST", "/v1/witness/cosignatures", body, list[CosignatureView])


def bring_file(session: Session, path: Path, key: str = "") -> list[CosignatureView]:
    """Hand in a file of a witness: text, or a picture of its codes. Raises EnvironmentFault `file-unreadable`."""
    data = brought(path)
    return bring(session, BringCosignature(data=data, key=key))


def bring_codes(session: Session, codes: Sequence[str], key: str = "") -> list[CosignatureView]:
    """Hand in what was scanned."""
    return bring(session, BringCosignature(codes=tuple(codes), key=key))


def cosignatures(session: Session) -> list[CosignatureView]:
    """Every cosignature of this log, the newest first."""
    return session.call("GET", "/v1/witness/cosignatures", None, list[CosignatureView])


def cosigned_file(session: Session, entry: int) -> bytes:
    """One cosigned head as a file for an auditor."""
    return session.raw("GET", f"/v1/witness/cosignatures/{entry}")


def sheets(session: Session) -> list[SheetView]:
    """Every root sheet, the newest first."""
    return session.call("GET", "/v1/root-sheets", None, list[SheetView])


def sign_sheet(session: Session) -> SheetView:
    """Sign the newest root with ML-DSA, and make the sheet."""
    return session.call("POST", "/v1/root-sheets", None, SheetView)


def sheet_file(session: Session, entry: int, form: str) -> bytes:
    """form: pdf, txt (with all proofs) or vkey."""
    return session.raw("GET", f"/v1/root-sheets/{entry}/{quote(form, safe='')}")
