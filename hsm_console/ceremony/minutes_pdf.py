"""The minutes on paper, from the minutes as data: nothing is printed that the data does not say.

Every page carries the SHA-256 of the data file beside it; a simulated ceremony carries its watermark on every page.
"""

from __future__ import annotations

import json
from typing import Any

from hsm_console.ceremony.minutes import digest
from hsm_console.ceremony.sheet import Row, Sheet, grouped
from hsm_console.domain.keys import Grade

_OUTCOME = {"completed": "Completed", "abandoned": "Ended before its last step"}
_VERDICT = {"reached": "The quorum approved.", "declined": "The quorum did not approve.", "open": "Not decided."}


def write(minutes: bytes, *, size: str = "A4") -> bytes:
    """The PDF of canonical minutes (see `minutes.build`). The same minutes give the same bytes."""
    body = json.loads(minutes)
    sha256 = digest(minutes)
    ceremony = body["ceremony"]
    sheet = Sheet(
        f"Minutes: {ceremony['title']}",
        subtitle=f"{body['workspace']} \u00b7 {ceremony['opened']} \u00b7 ceremony {ceremony['id']}",
        simulated=ceremony["simulated"],
        size=size,
        footer=f"minutes.json sha256 {sha256}",
    )
    for part in (_summary, _key, _steps, _decisions, _deviations, _sign_offs, _evidence, _clauses, _how_to_check):
        part(sheet, body)
    _ink(sheet, body, sha256)
    return sheet.build()


def _summary(sheet: Sheet, body: dict[str, Any]) -> None:
    ceremony, script = body["ceremony"], body["script"]
    sheet.fields(
        [
            ("Outcome", f"{_OUTCOME[ceremony['outcome']]}. {ceremony['closing']}"),
            ("Purpose", ceremony["purpose"]),
            ("Environment", ceremony["environment"]),
            ("Opened", f"{ceremony['opened']} by {ceremony['opened_by']['name']}"),
            ("Script", f"{script['id']}, version {script['version']}"),
            ("Quorum", ceremony["quorum"]),
            *((name.capitalize(), value) for name, value in body["parameters"].items()),
        ]
    )
    sheet.heading("Present")
    sheet.table(
        ("Role", "Name", "Handle"), [(s["role"], s["name"], s["uid"]) for s in body["seats"]], (0.25, 0.5, 0.25)
    )
    sheet.digest("Digest of the script that was followed", script["sha256"])


def _key(sheet: Sheet, body: dict[str, Any]) -> None:
    key = body["key"]
    sheet.heading("The key")
    if key is None:
        sheet.text("No key was made.")
        return
    sheet.fields(
        [
            ("Name in the module", key["label"]),
            ("Kind", f"{key['algorithm']}, for: {', '.join(key['usages'])}"),
            ("Object id", key["object_id"]),
            *([("Module", body["device"])] if body["device"] else []),
            ("Made", f"{key['time']}, log entry {key['entry']}{_recovered(key)}"),
            ("Grade of evidence", f"{key['grade']}. {Grade(key['grade']).meaning}"),
            ("What this does not prove", key["does_not_prove"]),
            ("Properties", ", ".join(f"{name}: {value}" for name, value in key["attributes"].items())),
        ]
    )
    sheet.digest("Fingerprint (SHA-256 of the public key, SubjectPublicKeyInfo)", key["fingerprint"])
    _certificate(sheet, body["certificate"])
    for document in body["documents"]:
        sheet.fields(
            [
                ("Signed with it", f"{document['name']}, {document['time']}, log entry {document['entry']}"),
                ("Its SHA-256", document["sha256"]),
                ("Signature", f"{document['mechanism']}, in minutes.json and beside the document"),
            ]
        )


def _certificate(sheet: Sheet, certificate: dict[str, Any] | None) -> None:
    if certificate is None:
        return
    rows = [("Certificate, SHA-256", certificate["sha256"])]
    if "subject" in certificate:
        rows = [
            ("Certificate", f"{certificate['subject']}, issued by {certificate['issuer']}"),
            ("Serial, valid", f"{certificate['serial']}, {certificate['not_before']} to {certificate['not_after']}"),
            *rows,
        ]
    sheet.fields(rows)


def _recovered(key: dict[str, Any]) -> str:
    return "; found in the module after an interruption" if key["recovered"] else ""


def _steps(sheet: Sheet, body: dict[str, Any]) -> None:
    sheet.heading("What was said and done", needs_mm=55)
    rows = [_row(step) for step in body["steps"]]
    sheet.steps(("Step", "What", "Time (UTC), by, entry"), rows, (0.06, 0.72, 0.22))


def _row(step: dict[str, Any]) -> Row:
    facts = step.get("facts", {})
    right = (
        (step["time"][11:19], step["name"] or "the quorum", f"entry {step['entry']}") if step["done"] else ("not done",)
    )
    return Row(
        number=str(step["number"]),
        title=step["title"],
        said=step["say"],
        notes=[f"{name}: {value}" for name, value in facts.items()],
        warnings=[
            f"\u2717 {miss['time'][11:19]} {miss['name']}: {miss['facts'].get('why', '')} (entry {miss['entry']})"
            for miss in step["misses"]
        ],
        right=right,
    )


def _decisions(sheet: Sheet, body: dict[str, Any]) -> None:
    sheet.heading("Decisions of the quorum")
    rows = []
    for decision in body["decisions"]:
        about = (
            decision["subject"] if decision["attempt"] == 1 else f"{decision['subject']}, attempt {decision['attempt']}"
        )
        for vote in decision["votes"]:
            said = vote["decision"] + (f": {vote['because']}" if vote["because"] else "")
            rows.append((about, vote["name"], said, f"{vote['time'][11:19]}, entry {vote['entry']}"))
        rows.append((about, "", _VERDICT[decision["verdict"]], ""))
    if not rows:
        sheet.text("Nothing was put to the quorum.")
        return
    sheet.table(("About", "Who", "Decision", "Time (UTC)"), rows, (0.22, 0.24, 0.3, 0.24))
    sheet.text(
        "Each was signed with the person's own certificate; statement and signature are in minutes.json.", small=True
    )


def _deviations(sheet: Sheet, body: dict[str, Any]) -> None:
    sheet.heading("Deviations and interruptions")
    failed = [op for op in body["operations"] if op["ended"] != "succeeded"]
    for item in body["deviations"]:
        sheet.fields(
            [
                (item["id"].capitalize(), f"{item['time']}, recorded by {item['name']}, entry {item['entry']}"),
                ("Expected", item["expected"]),
                ("Happened", item["happened"]),
                ("Decided", f"{item['decided']} ({item['verdict']})"),
            ]
        )
    for item in body["pauses"]:
        sheet.fields([("Pause", f"{item['time']} to {item['until'] or 'the end'}: {item['why']} ({item['name']})")])
    for item in failed:
        ended = f"{item['operation']}, attempt {item['attempt']}, ended as “{item['ended']}”. {item['text']}"
        sheet.fields([("Operation", f"{ended} (entries {item['intent_entry']}, {item['ending_entry']})")])
    if not (body["deviations"] or body["pauses"] or failed):
        sheet.text("None. The script was followed without interruption.")


def _sign_offs(sheet: Sheet, body: dict[str, Any]) -> None:
    sheet.heading("Sign-off")
    rows = []
    for item in body["sign_offs"]:
        said = "I agree: the script was followed." if item["agrees"] else f"I do not agree, because: {item['because']}"
        rows.append((item["role"], item["name"], said, f"{item['time'][11:19]}, entry {item['entry']}"))
    if rows:
        sheet.table(("Role", "Name", "Signed statement", "Time (UTC)"), rows, (0.16, 0.22, 0.4, 0.22))
    else:
        sheet.text("Nobody has signed off.")


def _evidence(sheet: Sheet, body: dict[str, Any]) -> None:
    log = body["log"]
    sheet.heading("The record")
    sheet.fields(
        [
            ("Log", log["origin"]),
            ("Signed head", f"{log['size']} entries, root {log['root']}"),
            (
                "This ceremony",
                f"entries {log['first_entry']} to {log['last_entry']}, {len(log['entries'])} of them its own",
            ),
            ("Receipts taken", ", ".join(f"entry {r['index']} ({r['medium']})" for r in body["receipts"]) or "none"),
        ]
    )
    if log["note"]:
        sheet.text("Checkpoint (C2SP signed note)", small=True)
        sheet.mono(log["note"].strip().split("\n"), size=6.5)


def _clauses(sheet: Sheet, body: dict[str, Any]) -> None:
    sheet.heading("What was asked for, and where it stands")
    rows = []
    for clause in body["clauses"]:
        if clause["state"] == "not in this script":
            continue
        entries = ", ".join(str(entry) for entry in clause["entries"])
        rows.append((clause["id"], clause["title"], clause["state"], ", ".join(clause["steps"]), entries))
    sheet.table(("Clause", "What", "State", "Steps", "Entries"), rows, (0.08, 0.38, 0.14, 0.22, 0.18))
    absent = [clause["id"] for clause in body["clauses"] if clause["state"] == "not in this script"]
    if absent:
        sheet.text(f"Not part of this script: {', '.join(absent)}.", small=True)
    sheet.text("These are summaries; minutes.json names the standards they come from. The originals count.", small=True)


def _signature_check(mechanism: str) -> str:
    """The openssl command that checks a document's signature with the public key."""
    family, _, name = mechanism.rpartition("-")
    pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest " if family == "rsa-pss" else ""
    if family in ("ecdsa", "rsa-pss", "rsa-pkcs1"):
        return f"openssl dgst -{name} {pss}-verify keys/KEY.pem -signature documents/DOCUMENT.sig DOCUMENT"
    newer = "   # OpenSSL 3.5 or later" if mechanism in ("ml-dsa", "slh-dsa") else ""
    return (
        "openssl pkeyutl -verify -pubin -inkey keys/KEY.pem -rawin -in DOCUMENT -sigfile documents/DOCUMENT.sig" + newer
    )


def _how_to_check(sheet: Sheet, body: dict[str, Any]) -> None:
    sheet.heading("How to check this without trusting us", needs_mm=50)
    lines = ["sha256sum minutes.json", "hsm-console audit verify WORKSPACE --vkey log.vkey"]
    sheet.text(
        "In the folder evidence/CEREMONY of the workspace, or a copy of it, with authority.pem and log.vkey of the "
        "workspace copied into it; words in capitals stand for names. "
        "The first must give the digest at the foot of this page. Each of the others must say OK, or successful."
    )
    lines += [
        "openssl cms -verify -binary -inform DER -in statements/NNNN-WHO.p7s -content statements/NNNN-WHO.json \\",
        "    -CAfile authority.pem -purpose any",
    ]
    if body["certificate"] is not None:
        lines.append("openssl verify -CAfile authority.pem certificates/KEY.pem")
    lines += sorted({_signature_check(document["mechanism"]) for document in body["documents"]})
    sheet.mono(lines, size=7)


def _ink(sheet: Sheet, body: dict[str, Any], sha256: str) -> None:
    sheet.heading("In ink", needs_mm=60)
    sheet.text(
        "These minutes are complete. The data file they were printed from has this SHA-256; the log holds it too:"
    )
    sheet.mono((grouped(sha256),))
    seen: dict[str, str] = {}
    took_part = {item["uid"] for item in body["sign_offs"]}
    for item in (*body["sign_offs"], *body["seats"]):
        if item["role"] != "custodian" or item["uid"] in took_part:
            seen.setdefault(item["uid"], f"{item['name']}, {item['role']}")
    sheet.signatures(tuple(seen.values()))
