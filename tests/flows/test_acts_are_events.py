"""What PCI-DSS 10.2 asks for, walked through the real gateway: whoever comes in, is refused, looks, checks, takes a
copy or prints leaves an entry that says who, in which session, from where, and with which result.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.source import open_source
from hsm_console.client import audit, device, reporting
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret


def entries(workspace: Path) -> list[dict[str, Any]]:
    with open_source(workspace) as source:
        return [json.loads(body or b"{}") for _, _, body in source.entries()]


@pytest.fixture
def new(house: Any) -> Any:
    """The entries since the last look, by kind."""
    seen = [len(entries(house.workspace))]

    def look() -> dict[str, dict[str, Any]]:
        found = entries(house.workspace)[seen[0] :]
        seen[0] += len(found)
        return {item["hsm_console"]["event"]["kind"]: item for item in found}

    return look


def by(entry: dict[str, Any], uid: str) -> dict[str, Any]:
    """The entry, after it was seen to say who did it and from where."""
    assert entry["actor"]["user"]["uid"] == uid
    assert entry["actor"]["session"]["uid"]
    assert len(entry["certificate"]["fingerprints"][0]["value"]) == 64
    assert entry["src_endpoint"]["name"]
    assert entry["device"]["boot_uid"]
    return entry


def refused(act: Any) -> str:
    with pytest.raises(ConsoleError) as caught:
        act()
    return caught.value.problem.code


def waited(session: Any, look: Any) -> Any:
    end = time.monotonic() + 60
    while (state := look(session)).running:
        assert time.monotonic() < end
        time.sleep(0.05)
    return state


def test_coming_in_going_out_and_being_refused(house: Any, new: Any) -> None:
    alan = house.be("alan")
    entry = by(new()["logged-on"], "alan")
    assert (entry["class_uid"], entry["activity_id"], entry["status_id"]) == (3002, 1, 1)
    assert entry["user"]["uid"] == "alan"
    assert refused(lambda: house.be("alan", Role.ADMINISTRATOR)) == "role-not-granted"
    entry = new()["log-on-refused"]
    assert (entry["class_uid"], entry["status_id"], entry["status_code"]) == (3002, 2, "role-not-granted")
    assert entry["user"]["uid"] == "alan"
    alan.close()
    end = time.monotonic() + 20
    while "logged-off" not in (found := new()) and time.monotonic() < end:
        time.sleep(0.05)
    assert by(found["logged-off"], "alan")["activity_id"] == 2


def test_a_wrong_pin_and_a_right_one(house: Any, new: Any) -> None:
    ada = house.be("ada")
    assert refused(lambda: device.unlock(ada, Secret("wrong-pin"))) == "pin-incorrect"
    entry = by(new()["device-unlock-refused"], "ada")
    assert (entry["status_id"], entry["status_code"]) == (2, "CKR_PIN_INCORRECT")
    house.admin()
    assert by(new()["device-unlocked"], "ada")["status_id"] == 1


def test_looking_checking_taking_a_copy_and_printing(house: Any, new: Any) -> None:
    house.admin()
    alan = house.be("alan")
    new()
    audit.entries(alan)
    assert by(new()["log-viewed"], "alan")["activity_name"] == "View"
    audit.start_verification(alan)
    waited(alan, audit.verification)
    entry = by(new()["log-verified"], "alan")
    assert entry["hsm_console"]["event"]["result"].startswith("OK ")
    audit.make_receipt(alan, 3)
    audit.receipt_file(alan, 3, "pdf")
    entry = by(new()["receipt-issued"], "alan")
    assert entry["hsm_console"]["event"]["medium"] == "pdf"
    job = reporting.export(alan, "csv")
    while job.state in ("waiting", "running"):
        time.sleep(0.05)
        job = reporting.job(alan, job.id)
    entry = by(new()["log-exported"], "alan")
    assert (entry["class_uid"], entry["activity_id"], entry["activity_name"]) == (1008, 3, "Export")


def test_what_somebody_may_not_do_is_recorded_as_his(house: Any, new: Any) -> None:
    alan = house.be("alan")
    new()
    assert refused(lambda: device.unlock(alan, Secret("1234"))) == "role-refused"
    entry = by(new()["action-refused"], "alan")
    assert (entry["class_uid"], entry["status_id"]) == (6003, 2)
