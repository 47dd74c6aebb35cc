"""Telling sealed values to somebody outside, so that he can prove them against the log himself. Recorded each time."""

from __future__ import annotations

import hashlib

from hsm_console.audit import disclosure
from hsm_console.audit.checkpoint import parse_note
from hsm_console.domain import events as ev
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem
from hsm_console.domain.events import Draft
from hsm_console.gateway.app import Call, Raw, Route, refused
from hsm_console.gateway.core import Core
from hsm_console.policy.roles import Action

MOST = 256


class Disclosing:
    """Handler of /v1/audit/disclosures."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> tuple[Route, ...]:
        """What this service answers to."""
        path, text = "/v1/audit/disclosures", "text/plain; charset=us-ascii"
        return (Route("GET", path, self.disclose, text, action=Action.READ_SEALED, query=("entries",)),)

    def disclose(self, call: Call) -> Raw:
        """The sealed values of some entries, with their salts, to hand to somebody"""
        core = self._core
        core.authorise(call.session, Action.EXPORT_EVIDENCE)
        wanted = _numbers(call.query.get("entries", ""))
        if not core.seals.opener.is_open:
            raise _locked()
        items = []
        with core.reading() as conn:
            marks = ",".join("?" * len(wanted))
            query = f"SELECT seq, digest FROM disclosure WHERE seq IN ({marks}) ORDER BY seq, digest"  # noqa: S608
            rows = conn.execute(query, wanted).fetchall()
        for seq, digest in rows:
            found = core.seals.opener.disclosure(digest)
            if found is not None:
                items.append((int(seq), found.text))
        if not items:
            raise _nothing_sealed(wanted)
        data = disclosure.write_file(items).encode("ascii")
        note = core.log.last_checkpoint
        head = parse_note(note).checkpoint if note else None
        event = ev.LogExported(
            what=f"{len(items)} sealed values of the entries {', '.join(map(str, wanted))}",
            size=head.size if head else 0,
            root=head.root.hex() if head else "",
            sha256=hashlib.sha256(data).hexdigest(),
        )
        core.append(call.session, [Draft(event=event, actor=call.session.actor, critical=True)])
        return Raw("text/plain; charset=us-ascii", data, "disclosures.txt")


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not 0 < len(parts) <= MOST or not all(p.isascii() and p.isdecimal() and len(p) < 16 for p in parts):
        raise refused("query-refused", f"“entries” names 1 to {MOST} entries by their numbers, with commas.")
    return sorted({int(part) for part in parts})


def _nothing_sealed(wanted: list[int]) -> InputError:
    return InputError(
        Problem(
            code="disclosure-missing",
            what=f"No value is sealed there: {', '.join(map(str, wanted))}.",
            todo="`hsm-console audit show` on an entry shows what stands in it; a sealed value is shown as sealed.",
            exit_code=ExitCode.USAGE,
        )
    )


def _locked() -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="device-locked",
            what="The HSM is locked, and without it nothing that is sealed can be read.",
            todo="Somebody whom policy names unlocks it with the PIN, then ask again.",
        )
    )
