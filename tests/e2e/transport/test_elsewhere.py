"""A screen and a command line in front of a gateway that they know by address only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_console.client import elsewhere, setup
from hsm_console.client.session import log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError, InputError
from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret

ROOT = Path(__file__).parents[3]
PASSPHRASE = "harbour violin copper meadow"
DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("far") / "house"
    people = (("ada", Role.ADMINISTRATOR), ("grace", Role.CUSTODIAN))
    setup.run(
        FoundingSpec(
            directory=str(folder), name="Far away", adapter="simulation", environment="development-simulation",
            token_label="far", so_pin="13579-demo", pin="24680-demo", kdf_iterations=2048,
            people=tuple(Founder(person=Person(uid=u, name=u), roles=(r,), passphrase=PASSPHRASE) for u, r in people),
        )
    )  # fmt: skip
    return folder


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(ConsoleError) as caught:
        act()
    problem = caught.value.problem
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))
    return problem.code


@pytest.mark.parametrize(
    ("listen", "digest", "code"),
    [
        ("nonsense", DIGEST, "address-unusable"),
        ("host:0", DIGEST, "address-unusable"),
        ("host:65536", DIGEST, "address-unusable"),
        ("unix:/tmp/x", DIGEST, "address-unusable"),
        ("host:8443", "ab", "digest-unusable"),
        ("host:8443", "", "digest-unusable"),
        ("host:8443", "zz" * 32, "digest-unusable"),
    ],
)
def test_what_cannot_be_connected_to(founded: Path, tmp_path: Path, listen: str, digest: str, code: str) -> None:
    folder = tmp_path / "here"
    assert code_of(lambda: elsewhere.connect(folder, listen, founded / "authority.pem", digest)) == code
    assert not folder.exists()


def test_a_workspace_is_not_turned_into_a_connection(founded: Path, tmp_path: Path) -> None:
    authority = founded / "authority.pem"
    assert code_of(lambda: elsewhere.connect(founded, "host:1", authority, DIGEST)) == "workspace-exists"
    assert not (founded / "gateway.toml").exists()
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(InputError, match="certificate-unreadable"):
        elsewhere.connect(tmp_path / "here", "host:1", tmp_path / "no.pem", DIGEST)


@pytest.mark.parametrize("text", ["", "listen = 3\n", 'listen = "x"\ngateway_sha256 = "y"\n', "[[[", 'other = "x"\n'])
def test_a_damaged_connection_is_told(founded: Path, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "here"
    elsewhere.connect(folder, "host:8443", founded / "authority.pem", DIGEST)
    (folder / "gateway.toml").write_text(text)
    assert code_of(lambda: elsewhere.address(folder)) == "connection-unreadable"


def test_the_command_line_logs_in_at_a_gateway_elsewhere(founded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    with GatewayProcess(founded, listen="127.0.0.1:0") as gateway:
        digest = gateway.address.gateway_sha256.upper()
        printed = " ".join(digest[i : i + 4] for i in range(0, 64, 4))  # as it stands on paper
        run = [sys.executable, "-m", "hsm_console", "workspace"]
        made = [*run, "connect", str(folder), "--gateway", gateway.ready.listen, "--sha256", printed, "--json"]
        done = subprocess.run(
            [*made, "--authority", str(founded / "authority.pem")], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)["sha256"] == digest.lower()
        credential = str(founded / "credentials" / "ada.p12")
        listed = subprocess.run(
            [*run, "list", str(folder), "--credential", credential, "--secrets", "-", "--json"],
            cwd=ROOT, input=json.dumps({"passphrase": PASSPHRASE}), capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert [row["person"]["uid"] for row in json.loads(listed.stdout)] == ["ada", "grace"]
    assert not elsewhere.answers(gateway.ready.listen)
    assert sorted(path.name for path in folder.iterdir()) == ["authority.pem", "credentials", "gateway.toml"]


def test_another_certificate_of_the_same_authority_is_refused(founded: Path, tmp_path: Path) -> None:
    with GatewayProcess(founded, listen="127.0.0.1:0") as gateway:
        assert elsewhere.answers(gateway.ready.listen)
        far = elsewhere.connect(tmp_path / "here", gateway.ready.listen, founded / "authority.pem", DIGEST)
        credential = founded / "credentials" / "ada.p12"
        assert code_of(lambda: log_in(far, credential, Secret(PASSPHRASE))) == "gateway-impostor"
