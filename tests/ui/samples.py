"""Sample data for pages: one ceremony at each of its steps, people, keys, entries. Test data only."""

from __future__ import annotations

import base64
import hashlib
import io
import tomllib
from importlib import resources

import qrcode

from hsm_console.domain.errors import Problem
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.keys import Algorithm, DeviceInfo, Grade, KeyAttributes, Usage
from hsm_console.domain.messages.audit import EntryDetail, EntryPage, EntryRow, Finding, VerifyProgress, VerifyReport
from hsm_console.domain.messages.ceremony import (
    ApprovalView,
    CeremonySummary,
    CeremonyView,
    CheckItem,
    KeyView,
    QuorumView,
    ReceiptView,
    ScriptSummary,
    Statement,
    StepKind,
    StepStatus,
    StepView,
)
from hsm_console.domain.messages.people import PersonView
from hsm_console.domain.messages.session import DeviceState, Greeting, Workspace
from hsm_console.domain.people import Person, Role

NOW = 1_795_520_000_000
PEOPLE = {
    "c.babbage": ("Charlotte Babbage", Role.ADMINISTRATOR),
    "a.turing": ("Alan Turing", Role.CUSTODIAN),
    "g.hopper": ("Grace Hopper", Role.CUSTODIAN),
    "e.noether": ("Emmy Noether-Schwarzenberg von der Hohen Warte", Role.CUSTODIAN),
    "a.lovelace": ("Ada Lovelace", Role.EXECUTIVE),
    "w.diffie": ("Wilhelmina Diffie", Role.WITNESS),
    "k.goedel": ("Kurt Gödel", Role.AUDITOR),
}
FINGERPRINT = hashlib.sha256(b"sample").hexdigest()
_WORDS = ("aardvark", "absurd", "adroitness", "accrue", "adviser", "acme", "aftermath", "adrift", "aggregate", "adult",
          "alkali", "afflict", "almighty", "ahead", "amulet", "aimless")  # fmt: skip
WORDS = tuple(_WORDS[int(c, 16)] for c in FINGERPRINT[:32])
PROBLEM = Problem(
    code="certificate-expired",
    what="Your certificate expired on 2026-11-20.",
    todo="Ask the administrator to enrol you again with a new certificate request.",
    details={"verify_code": "10", "not_after": "2026-11-20T09:00:00Z"},
)


def seat(uid: str) -> Seat:
    name, role = PEOPLE[uid]
    return Seat(role=role, uid=uid, name=name)


SEATS = tuple(seat(uid) for uid in PEOPLE if uid != "k.goedel")


def script_data() -> dict:
    text = resources.files("resources").joinpath("ceremonies", "executive-identity-key.toml").read_text()
    return tomllib.loads(text)


def _filled(text: str) -> str:
    values = {
        "label": "ceo-identity-2026",
        "algorithm": "ec-p384",
        "executive": "Ada Lovelace",
        "needed": "2",
        "of": "3",
    }
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def key() -> KeyView:
    return KeyView(
        object_id="a1" * 16, label="ceo-identity-2026", algorithm="ec-p384", fingerprint=FINGERPRINT, words=WORDS,
        spki_pem="-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQ\n-----END PUBLIC KEY-----\n",
        attributes=KeyAttributes(token=True, private=True, sensitive=True, always_sensitive=True, extractable=False,
                                 never_extractable=True, local=True, usages=(Usage.SIGN,)),
        grade=Grade.D, grade_meaning=Grade.D.meaning, does_not_prove=Grade.D.does_not_prove,
        ceremony_id="20261124-executive-identity-key-1f2e3d", created_ms=NOW,
    )  # fmt: skip


def receipt() -> ReceiptView:
    text = "HSM1:" + "6BF+70DS0" * 60
    picture = io.BytesIO()
    qrcode.make(text, error_correction=qrcode.constants.ERROR_CORRECT_M, border=4).save(picture, "PNG")
    return ReceiptView(
        index=41, size=43, title="Receipt: key “ceo-identity-2026” was made", qr_text=text,
        png=base64.b64encode(picture.getvalue()).decode(),
        text=f"Fingerprint {FINGERPRINT[:16]}…, entry 41 of 43. Verify: hsm-console receipt verify FILE --vkey log.vkey",
        files=("receipts/0041-key.pdf", "receipts/0041-key.png", "receipts/0041-key.tlog-proof"),
    )  # fmt: skip


def approval(uid: str, decision: Decision = Decision.APPROVE, because: str = "") -> ApprovalView:
    name, role = PEOPLE[uid]
    return ApprovalView(uid=uid, name=name, role=role, decision=decision, time_ms=NOW, because=because)


PREFLIGHT = (
    CheckItem(name="module", found="Simulation, serial 4F00A1, firmware 1.0"),
    CheckItem(name="free name", found="No key is called “ceo-identity-2026”."),
    CheckItem(name="log", found="Writable; 38 entries, all signed."),
    CheckItem(name="disk", found="812 GB free."),
)
RED = CheckItem(
    name="clock", found="",
    problem=Problem(code="preflight-red", what="The clock is 95 seconds behind the declared source.",
                    todo="Set the workstation's clock, then look again."),
)  # fmt: skip
RED = CheckItem(name="clock", found=RED.problem.what, problem=RED.problem)


def ceremony(
    step_id: str = "", *, status: str = "open", step_status: StepStatus = StepStatus.CURRENT, **more
) -> CeremonyView:
    """The ceremony at the step with this id; empty: after the last one."""
    data = script_data()
    steps, reached, left = [], False, 0
    position = len(data["steps"])
    for n, raw in enumerate(data["steps"]):
        here = raw["id"] == step_id
        reached = reached or here
        state = step_status if here else StepStatus.WAITING if reached else StepStatus.DONE
        if not step_id:
            state = StepStatus.DONE
        if here:
            position = n + 1
        left += raw["minutes"] if state is not StepStatus.DONE else 0
        commit = raw.get("commit", False)
        confirm = {"generate": "generate", "certify": "certify"}.get(raw["kind"], "") if commit else ""
        steps.append(
            StepView(
                id=raw["id"],
                kind=StepKind(raw["kind"]),
                phase=raw["phase"],
                title=raw["title"],
                say=_filled(raw["say"]),
                expect=_filled(raw["expect"]),
                actor=Role(raw["actor"]),
                button=raw["button"],
                commit=commit,
                minutes=raw["minutes"],
                status=state,
                clauses=tuple(raw["clauses"]),
                asks=raw.get("facts", {}),
                done_by="Charlotte Babbage" if state is StepStatus.DONE else "",
                done_ms=NOW,
                confirm=confirm,
                facts={"module": "Simulation"} if state is StepStatus.DONE else {},
            )
        )
    actor = next((s.actor for s in steps if s.id == step_id), Role.ADMINISTRATOR)
    base = {
        "id": "20261124-executive-identity-key-1f2e3d", "revision": 40, "script_id": data["id"],
        "script_version": "1.0", "script_sha256": FINGERPRINT, "script_words": " ".join(WORDS[:16]), "title": data["title"],
        "purpose": data["purpose"], "environment": "Rehearsal", "simulated": True, "status": status, "opened_ms": NOW,
        "opened_by": "Charlotte Babbage", "parameters": {"algorithm": "ec-p384", "label": "ceo-identity-2026"},
        "seats": SEATS, "phases": tuple(data["phases"]), "steps": tuple(steps), "current": step_id, "position": position,
        "minutes_left": left, "next_actors": tuple(s for s in SEATS if s.role is actor), "log_size": 43, "log_root": FINGERPRINT,
        "key": key() if not step_id or position > 8 else None,
    }  # fmt: skip
    if step_id == "compare":
        base["challenge"] = (3, 11, 18, 27)
    if step_id == "authorise":
        base |= {"quorum": QuorumView(needed=2, of=3, attempt=1, approvals=(approval("a.turing"),)), "deciding": "authorise",
                 "next_actors": tuple(seat(u) for u in ("g.hopper", "e.noether")),
                 "approved": ("One key is made: ec-p384, called ceo-identity-2026.", "A certificate is issued for it.")}  # fmt: skip
    if step_id == "generate":
        base["quorum"] = QuorumView(needed=2, of=3, attempt=1, approvals=(approval("a.turing"), approval("g.hopper")))
    if step_id == "receipt":
        base["receipts"] = (receipt(),)
    if step_id == "sign-off":
        base |= {"sign_offs": (approval("a.turing"), approval("g.hopper", Decision.DECLINE, "The clock was read twice.")),
                 "sign_off_due": tuple(seat(u) for u in ("e.noether", "a.lovelace", "w.diffie", "c.babbage"))}  # fmt: skip
    return CeremonyView(**(base | more))


def script() -> ScriptSummary:
    data = script_data()
    return ScriptSummary(
        id=data["id"], version="1.0", title=data["title"], purpose=data["purpose"], sha256=FINGERPRINT,
        words=" ".join(WORDS[:16]), minutes=44, roles=data["roles"], quorum="2 of 3 custodians",
        parameters={"algorithm": ("ec-p384", "rsa-4096", "ed25519"), "label": ()},
        questions={n: p["title"] for n, p in data["parameters"].items()}, examples={"label": "ceo-identity-2026"},
        patterns={"label": data["parameters"]["label"]["pattern"]},
    )  # fmt: skip


WORKSPACE = Workspace(name="Aurora Holding AG, Zürich", chain_uid="c" * 8, origin="aurora/log", environment="Rehearsal",
                      production=False, simulated=True, adapter="simulation")  # fmt: skip


def greeting(uid: str = "c.babbage", **more) -> Greeting:
    name, role = PEOPLE[uid]
    base = {"session_uid": "s1", "person": Person(uid=uid, name=name), "roles": (role,), "nonce": "00",
            "certificate_not_after_ms": NOW + 86_400_000 * 200, "gateway_time_ms": NOW, "gateway_sha256": FINGERPRINT,
            "workspace": WORKSPACE, "device_unlocked": True}  # fmt: skip
    return Greeting(**(base | more))


def people() -> list[PersonView]:
    return [
        PersonView(person=Person(uid=uid, name=name), roles=(role,), serial="0a1b", not_after_ms=NOW + 86_400_000 * 200,
                   revoked=uid == "k.goedel", certificate_pem="")
        for uid, (name, role) in PEOPLE.items()
    ]  # fmt: skip


def summaries() -> list[CeremonySummary]:
    common = {"simulated": True, "opened_ms": NOW, "opened_by": "Charlotte Babbage", "title": "Executive identity key"}
    return [
        CeremonySummary(id="a", status="open", current_title="The custodians decide", position=7, of=13, **common),
        CeremonySummary(id="b", status="completed", position=13, of=13, **common),
    ]


DEVICE = DeviceInfo(adapter="simulation", vendor="HSM Console", model="Simulation", serial="4F00A1", label="rehearsal",
                    firmware="1.0", simulated=True, mechanisms=("CKM_ECDSA", "CKM_EC_KEY_PAIR_GEN"),
                    algorithms=(Algorithm.EC_P384,), limits={"pin_attempts_left": 10})  # fmt: skip
DEVICE_STATE = DeviceState(unlocked=True, device=DEVICE)


def rows(first: int, count: int) -> tuple[EntryRow, ...]:
    """Newest first, from sequence number `first` downwards."""
    told = (
        "Alan Turing approved “The custodians decide”.",
        "The key ceo-identity-2026 was made.",
        "Ada Lovelace logged on.",
    )
    return tuple(
        EntryRow(seq=n, time_ms=NOW - (first - n) * 60_000, kind="logged-on", who="Alan Turing", summary=told[n % 3],
                 status="success" if n % 7 else "failure", signed=n < first - 2)
        for n in range(first, max(first - count, -1), -1)
    )  # fmt: skip


def page(size: int, before: int, limit: int = 256) -> EntryPage:
    return EntryPage(rows=rows(before - 1, limit), size=size, more=before > limit)


def entry() -> EntryDetail:
    return EntryDetail(row=rows(41, 1)[0], body='{"seq":41,"hsm_console":{"kind":"approval-given"}}', fingerprint=FINGERPRINT,
                       leaf=FINGERPRINT, words=("Alan Turing approved.", "The statement is signed with his own certificate."))  # fmt: skip


def report(*findings: Finding) -> VerifyProgress:
    return VerifyProgress(running=False, done=43, of=43, report=VerifyReport(
        line="43 entries: chain, tree and 4 signed heads are consistent." if not findings else "REWRITTEN at entry 12.",
        entries=43, signed=41, unsigned_tail=2, root=FINGERPRINT, findings=findings, anchors=("log.vkey given by the auditor",),
        not_checked=("Receipts: none was given.",), elapsed_ms=420))  # fmt: skip


STATEMENT = Statement(
    canonical='{"ceremony":"20261124-executive-identity-key-1f2e3d","decision":"approve"}',
    lines=(("Ceremony", "Executive identity key"), ("Step", "The custodians decide"), ("Key", "ceo-identity-2026, ec-p384"),
           ("Script", " ".join(WORDS[:8])), ("Decision", "approve or decline, as you choose below")),
)  # fmt: skip
