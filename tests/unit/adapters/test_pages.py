"""The page of every vendor says what its profile says: places, options, variables, roles, and that nobody tried it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.pkcs11.profile import load
from hsm_console.hsm import drivers, vendors

DOCS = Path(__file__).parents[3] / "docs"
TRIED = ("softhsm", "pkcs11")


@pytest.mark.parametrize("name", [name for name in vendors.names() if name not in TRIED])
def test_page_says_what_the_profile_says(name: str) -> None:
    profile = load(name)
    page = (DOCS / "vendors" / f"{profile.id}.md").read_text(encoding="utf-8")
    assert profile.untested == ("**untested on hardware**" in page)
    wanted = [*profile.modules, *profile.options, *profile.environment, *profile.roles, drivers.variable(profile.id)]
    wanted += [need.name for need in profile.needs]
    wanted += [profile.audit_hint, profile.cluster_hint, f"adapter doctor {profile.id}"]
    wanted += [f"0x{value:08X}" for value in (*profile.mechanisms.values(), *profile.key_types.values())]
    if profile.attestation:
        wanted += [profile.attestation.command, profile.attestation.verify]
    if name == "azure_dedicated_hsm":  # that page points at Luna's for what is the same
        wanted = [each for each in wanted if not each.startswith("0x")]
    assert [each for each in wanted if each not in page] == []


def test_table_of_adapters_names_each() -> None:
    table = (DOCS / "adapters.md").read_text(encoding="utf-8")
    for name, profile in vendors.by_id().items():
        assert f"`{name}`" in table
        if profile.get("untested", True) and name not in TRIED:
            assert f"](vendors/{name}.md)" in table
