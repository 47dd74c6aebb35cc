"""The guide says what the code does: every finding, every key, every environment, every clause."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from hsm_console.ceremony import ballot, lint, script
from hsm_console.domain.messages.ceremony import StepKind
from hsm_console.policy import clauses, environment

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "ceremonies.md").read_text(encoding="utf-8")


def test_every_finding_of_the_linter_is_explained() -> None:
    source = Path(lint.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'name="([a-z-]+)"', source)) | {
        n for n, _ in re.findall(r': \("(no-[a-z-]+)", "(.*)"\)', source)
    }
    names |= set(re.findall(r'\(StepKind\.\w+, "([a-z-]+)"', source))
    assert len(names) > 35
    section = GUIDE[GUIDE.index("### What the linter finds") : GUIDE.index("## Environments")]
    assert {name for name in names if f"`{name}`" not in section} == set()


def test_every_key_of_a_script_is_explained() -> None:
    section = GUIDE[GUIDE.index("## Write a script") : GUIDE.index("### What the linter finds")]
    tables = (script.Script, script.Step, script.Quorum, script.Parameter, script.KeyWish, script.CertificateWish)
    for table in tables:
        for field in msgspec.structs.fields(table):
            assert re.search(rf"[`\[.]{field.name}[`\].]", section), field.name
    assert all(f"`{kind.value}`" in section for kind in StepKind)


def test_the_statement_is_explained_member_by_member() -> None:
    source = Path(ballot.__file__).read_text(encoding="utf-8")
    body = source[source.index("    body |= {") : source.index("shown = [")]
    members = re.findall(r'"([a-z_0-9]+)":', body)
    assert len(members) > 8
    assert all(f"`{member}`" in GUIDE for member in members)


def test_environments_and_scripts_are_listed() -> None:
    assert all(f"`{name}`" in GUIDE for name in (*environment.texts(), *script.library()))
    for script_id, text in script.library().items():
        row = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{script_id}`"))
        assert row.endswith(f"| {script.parse(text).minutes} |")


def test_the_clause_page_is_the_table() -> None:
    page = (ROOT / "docs" / "clauses.md").read_text(encoding="utf-8")
    table = clauses.table()
    for clause in table.clauses:
        assert f"| {clause.id} | {clause.title} | {table.sources(clause)} |" in page
    assert "originals must be consulted" in page
