import json
import typing
from pathlib import Path

import msgspec
import pytest

from hsm_console.audit import canonical, kinds, ocsf, words
from hsm_console.domain import events
from hsm_console.domain.clock import Instant
from hsm_console.domain.errors import InputError, VerificationFailed

EVERY = typing.get_args(events.AnyEvent)
NOW = Instant(1_790_000_000_123, "boot-1", 42)
UID = "01920000-0000-7000-8000-000000000001"


def encode(forge, event, actor=None, **fields):
    around = ocsf.Surroundings(chain_uid=forge.CHAIN_UID, device=forge.DEVICE, script_sha256=forge.SHA)
    draft = events.Draft(event=event, actor=actor, **fields)
    return ocsf.encode(draft, 7, "ee" * 32, NOW, UID, around)


def test_every_event_has_a_row_a_sentence_and_a_sample(forge):
    assert set(kinds.KINDS) == set(EVERY)
    assert set(words.SENTENCES) == set(EVERY)
    assert {type(event) for event in forge.samples()} == set(EVERY)


def test_every_event_comes_back_as_it_went_in(forge):
    for event in forge.samples():
        for actor in (None, forge.ALICE):
            body = encode(forge, event, actor, correlation="c", src="unix")
            canonical.check(body)
            recorded = ocsf.decode(body)
            assert recorded.event == event
            assert recorded.actor == actor
            assert (recorded.seq, recorded.uid, recorded.correlation, recorded.time_ms) == (7, UID, "c", NOW.time_ms)


def test_every_entry_has_what_pci_dss_10_2_2_asks_for(forge):
    for event in forge.samples():
        entry = json.loads(encode(forge, event, forge.ALICE, src="127.0.0.1:5000"))
        assert entry["actor"]["user"]["uid"] == "a.turing"
        assert entry["actor"]["session"]["uid"] == "s-1"
        assert entry["certificate"]["fingerprints"][0]["value"] == "ab" * 32
        assert entry["type_uid"] == entry["class_uid"] * 100 + entry["activity_id"]
        assert entry["category_uid"] == entry["class_uid"] // 1000
        assert entry["time"] == NOW.time_ms
        assert entry["device"]["boot_uid"] == "boot-1"
        assert entry["hsm_console"]["boottime_ms"] == 42
        assert entry["device"]["hw_info"] == {"bios_ver": "1.0", "serial_number": "SIM0001"}
        assert entry["src_endpoint"] == {"name": "127.0.0.1:5000"}
        assert entry["status_id"] in (1, 2, 99)
        assert entry["metadata"]["profiles"] == ["host", "record_integrity"]
        assert entry["attestation"]["prev_event"]["fingerprint"]["value"] == "ee" * 32
        assert entry["attestation"]["chain_uid"] == forge.CHAIN_UID
        assert "fingerprint" not in entry["attestation"]  # an entry cannot carry its own hash


def test_a_key_is_named_by_its_pkcs11_uri_and_a_failure_by_its_ckr(forge):
    entry = json.loads(encode(forge, forge.success(3).event, forge.ALICE))
    uri = entry["resources"][0]["uid"]
    assert uri == "pkcs11:token=rehearsal;serial=SIM0001;object=root;id=" + "%11" * 16
    failed = next(event for event in forge.samples() if isinstance(event, events.OperationFailed))
    entry = json.loads(encode(forge, failed, forge.ALICE))
    assert (entry["status_id"], entry["status_code"]) == (2, "CKR_DEVICE_ERROR")


def test_a_ceremony_step_says_which_ceremony_script_phase_and_kind(forge):
    done = next(event for event in forge.samples() if isinstance(event, events.StepDone))
    assert json.loads(encode(forge, done))["ceremony"] == {
        "id": "c-1",
        "kind": "presence",
        "phase": "opening",
        "script_sha256": forge.SHA,
        "step": "generate",
    }


def test_text_with_line_breaks_is_written_as_lines(forge):
    opened = next(event for event in forge.samples() if isinstance(event, events.CeremonyOpened))
    entry = json.loads(encode(forge, opened))
    assert entry["hsm_console"]["event"]["script"] == {"lines": opened.script.split("\n")}


def test_a_forged_line_in_a_name_cannot_be_written(forge):
    event = msgspec.structs.replace(forge.samples()[10], certificate_serial="x\r\ny")
    with pytest.raises(InputError, match="CANON refused"):
        encode(forge, event)


def test_sentences_are_plain_and_whole(forge):
    for event in forge.samples():
        text = words.summary(event, forge.ALICE)
        assert text.endswith(".")
        assert not text.endswith("..")
        assert "\n" not in text
        assert "_" not in text
        assert len(text) < 300


def test_an_entry_explained_says_when_and_who(forge):
    lines = ocsf.explain(ocsf.decode(encode(forge, forge.success(3).event, forge.ALICE)))
    assert lines[0] == "The token generated the key “root”."
    assert lines[1] == "When: 2026-09-21 14:13:20.123 UTC by this workstation's clock."
    assert lines[2] == "Who: Alan Türing (a.turing), acting as custodian."


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"metadata":1}'])
def test_what_is_no_entry_is_said_to_be_none(body):
    with pytest.raises(VerificationFailed, match="entry-unreadable"):
        ocsf.decode(body)


# -- the published schema ------------------------------------------------------------------------------------

SCHEMA = json.loads((Path(__file__).parents[2] / "golden" / "ocsf-1.9.json").read_text())
OURS = {
    "attestation",  # one chain, one authority: an object where the profile record_integrity allows a list of them
    "certificate",  # of the class 3002 only; who acted is known by it in every class
    "ceremony",  # extension: which ceremony and step
    "hsm_console",  # extension: the event itself
    "resources",  # not in every class: keys that a log began with, data of an export
    "src_endpoint",  # not in findings: who asked to be told is no evidence
}
LEFT_OUT = {
    ("certificate", "issuer"),  # the fingerprint names the certificate, the roster and the enrolment describe it
    ("certificate", "serial_number"),
    ("prev_event", "uid"),  # the sequence number finds the entry before
}


def departures(value, table, where):
    """Members that the schema does not have, or that it asks for and that are missing."""
    for name, item in value.items():
        row = table.get(name)
        if row is None:
            if where or name not in OURS:
                yield f"{where}.{name} is not in the schema"
            row = {"object": {"resources": "resource_details"}.get(name, name)} if not where else {}
        if "enum" in row and str(item) not in row["enum"]:
            yield f"{where}.{name} = {item} is no number of the schema"
        objects = SCHEMA["objects"].get(row.get("object", ""))
        for part in item if isinstance(item, list) else [item]:
            if isinstance(part, dict) and objects is not None:
                yield from departures(part, objects, row["object"])
    for name, row in table.items():
        if row.get("required") and name not in value and (where, name) not in LEFT_OUT:
            yield f"{where}.{name} is required"


def entries(forge):
    for event in forge.samples():
        for actor in (None, forge.ALICE):
            yield event, json.loads(encode(forge, event, actor, src="unix"))


def test_every_member_of_every_entry_is_one_of_ocsf_1_9(forge):
    found = {}
    for event, entry in entries(forge):
        for text in departures(entry, SCHEMA["classes"][str(entry["class_uid"])], ""):
            found.setdefault(text, type(event).__name__)
    assert found == {}


def test_captions_are_those_of_their_numbers(forge):
    for event, entry in entries(forge):
        table = SCHEMA["classes"][str(entry["class_uid"])]
        assert entry["severity"] == table["severity_id"]["enum"][str(entry["severity_id"])]
        assert entry["status"] == table["status_id"]["enum"][str(entry["status_id"])]
        if entry["activity_id"] != 99:
            assert entry["activity_name"] == table["activity_id"]["enum"][str(entry["activity_id"])], type(event)
        assert entry["class_name"] == CLASS_NAMES[entry["class_uid"]]


CLASS_NAMES = {
    1008: "Event Log Activity",
    2004: "Detection Finding",
    3002: "Authentication",
    3004: "Entity Management",
    3007: "User Management",
    6003: "API Activity",
}


def test_the_check_of_the_schema_sees_what_does_not_belong(forge):
    entry = json.loads(encode(forge, forge.success(3).event, forge.ALICE))
    table = SCHEMA["classes"]["6003"]
    entry["device"]["colour"] = "red"
    entry["wrong"] = 1
    entry["status_id"] = 77
    del entry["api"]
    assert set(departures(entry, table, "")) == {
        "device.colour is not in the schema",
        ".wrong is not in the schema",
        ".status_id = 77 is no number of the schema",
        ".api is required",
    }
