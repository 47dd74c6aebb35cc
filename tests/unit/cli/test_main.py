"""The command itself: verbs imported when used, exit codes that scripts rely on, failures in four things."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_console.cli import main
from hsm_console.domain.errors import ExitCode

ROOT = Path(__file__).parents[3]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    kept.pop("QT_QPA_PLATFORM", None)
    return subprocess.run(
        [sys.executable, "-m", "hsm_console", *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("arguments", [(), ("demo",)])
def test_without_a_screen_it_says_so(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "There is no screen" in done.stderr
    assert "What to do:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("demo", "--adapter", "card"), ("workspace",), ("rebuild",)])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == ExitCode.USAGE
    assert "usage:" in done.stderr


@pytest.mark.parametrize("verb", list(main.VERBS))
def test_every_verb_explains_itself(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0
    assert verb in done.stdout


def test_a_failure_as_json_for_programs(tmp_path: Path) -> None:
    done = run("workspace", "list", str(tmp_path), "--credential", "ada", "--secrets", "-", "--json")
    assert done.returncode == ExitCode.USAGE
    assert json.loads(done.stdout)["code"]
    assert "What to do:" in done.stderr


def test_nothing_heavy_is_imported_before_a_verb_needs_it() -> None:
    """The terminal answers at once: a word of help must not load certificates, SQLite or Qt."""
    code = (
        "import sys; import hsm_console.cli.main; "
        "heavy = ('cryptography', 'sqlite3', 'PySide6', 'pkcs11', 'reportlab', 'asn1crypto'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("hsm-console ")


def test_secrets_cannot_be_arguments() -> None:
    """No verb takes a PIN or a passphrase on the command line, where every user of the machine could read it."""
    for verb in main.VERBS:
        text = run(verb, "--help").stdout.lower()
        for word in ("--pin", "--passphrase", "--password", "--so-pin"):
            assert word not in text
    for what in ("init", "enrol", "revoke", "renew", "list"):
        text = run("workspace", what, "--help").stdout.lower()
        assert "--pin" not in text
        assert "--passphrase" not in text
