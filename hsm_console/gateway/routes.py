"""The table of routes: method, path, who may, what goes in, what comes out (the OpenAPI document is made from it)."""

from __future__ import annotations

from typing import Any

from hsm_console.domain.messages import audit, people, session
from hsm_console.domain.messages import ceremony as msg
from hsm_console.gateway.app import Route
from hsm_console.gateway.services.access import Access
from hsm_console.gateway.services.auditing import FILTERS, Auditing
from hsm_console.gateway.services.ceremonies import Ceremonies
from hsm_console.gateway.services.evidence import Evidence
from hsm_console.gateway.services.inventory import Keys, People
from hsm_console.gateway.services.scripts import Scripts
from hsm_console.policy.roles import Action

PDF, TEXT, BYTES = "application/pdf", "text/plain", "application/octet-stream"


def table(
    access: Access,
    ceremonies: Ceremonies,
    evidence: Evidence,
    scripts: Scripts,
    keys: Keys,
    folk: People,
    auditing: Auditing,
) -> tuple[Route, ...]:
    """Every route of the gateway."""
    a = Action
    ceremony = "/v1/ceremonies/{id}"
    entry = "/v1/audit/entries/{seq}"
    return (
        Route("GET", "/v1/greeting", access.greeting, session.Greeting, before_log_on=True),
        Route("POST", "/v1/session", access.log_on, session.Greeting, body=session.LogOn, before_log_on=True),
        Route("DELETE", "/v1/session", access.log_off, None, before_log_on=True),
        Route("GET", "/v1/health", access.health, session.Health),
        Route("GET", "/v1/openapi.json", access.openapi, dict[str, Any]),
        Route("GET", "/v1/device", access.device, session.DeviceState),
        Route("POST", "/v1/device/unlock", access.unlock, session.DeviceState, body=session.Unlock,
              action=a.UNLOCK_DEVICE),
        Route("POST", "/v1/device/lock", access.lock, session.DeviceState, action=a.LOCK_DEVICE),
        Route("GET", "/v1/scripts", scripts.listed, list[msg.ScriptSummary], action=a.READ_CEREMONY),
        Route("GET", "/v1/scripts/{id}/text", scripts.text, TEXT, action=a.READ_CEREMONY),
        Route("GET", "/v1/scripts/{id}/paper.pdf", scripts.paper, PDF, action=a.READ_CEREMONY),
        Route("GET", "/v1/ceremonies", ceremonies.listed, list[msg.CeremonySummary], action=a.READ_CEREMONY),
        Route("POST", "/v1/ceremonies", ceremonies.open, msg.CeremonyView, body=msg.OpenCeremony,
              action=a.OPEN_CEREMONY),
        Route("GET", ceremony, ceremonies.view, msg.CeremonyView, action=a.READ_CEREMONY),
        Route("POST", f"{ceremony}/answers", ceremonies.answer, msg.CeremonyView, body=msg.AnyAnswer,
              action=a.ANSWER_STEP),
        Route("GET", f"{ceremony}/statement", ceremonies.statement, msg.Statement, action=a.ANSWER_STEP,
              query=("step", "decision", "because")),
        Route("GET", f"{ceremony}/files", evidence.listed, list[str], action=a.READ_CEREMONY),
        Route("GET", f"{ceremony}/files/{{name*}}", evidence.file, BYTES, action=a.READ_CEREMONY),
        Route("GET", "/v1/keys", keys.listed, list[msg.KeyView], action=a.READ_KEYS, query=("text", "after", "limit")),
        Route("GET", "/v1/people", folk.listed, list[people.PersonView], action=a.READ_PEOPLE),
        Route("POST", "/v1/people", folk.enrol, people.PersonView, body=people.Enrol, action=a.ENROL),
        Route("POST", "/v1/people/{uid}/revoke", folk.revoke, people.PersonView, body=people.Revoke,
              action=a.REVOKE),
        Route("GET", "/v1/audit/entries", auditing.entries, audit.EntryPage, action=a.READ_LOG,
              query=("before", "limit", *FILTERS)),
        Route("GET", entry, auditing.entry, audit.EntryDetail, action=a.READ_LOG),
        Route("POST", "/v1/audit/verification", auditing.start_verification, audit.VerifyProgress,
              action=a.VERIFY_LOG),
        Route("POST", "/v1/audit/verification/stop", auditing.stop_verification, audit.VerifyProgress,
              action=a.VERIFY_LOG),
        Route("GET", "/v1/audit/verification", auditing.verification, audit.VerifyProgress, action=a.VERIFY_LOG),
        Route("GET", "/v1/audit/head", auditing.head, audit.Head, query=("after", "wait_ms")),
        Route("POST", f"{entry}/receipt", auditing.receipt, msg.ReceiptView, action=a.ISSUE_RECEIPT),
        Route("GET", f"{entry}/receipt.{{form}}", auditing.receipt_file, BYTES, action=a.ISSUE_RECEIPT),
    )  # fmt: skip
