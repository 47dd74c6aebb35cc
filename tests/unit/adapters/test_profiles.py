"""Vendor profiles: every one is read strictly, belongs to an entry point, and says what it does not know."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import msgspec
import pytest

from adapters.pkcs11 import module
from adapters.pkcs11.profile import Profile, load
from hsm_console.hsm import registry
from hsm_console.hsm.port import Binding

NAMES = sorted(path.name.removesuffix(".toml") for path in resources.files("resources").joinpath("vendors").iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_profile_reads_and_has_an_adapter(name: str) -> None:
    profile = load(name)
    assert profile.id in registry.adapters()
    assert registry.load(profile.id)
    assert profile.untested is (name != "softhsm")
    assert all(Path(place).is_absolute() for place in profile.modules)
    assert profile.gcm in ("caller", "token")
    assert profile.login.builder in ("plain", "user-password", "key-id-password", "none")


def test_every_adapter_is_a_profile_or_the_simulation() -> None:
    assert {load(name).id for name in NAMES} | {"simulation"} == set(registry.adapters())


def test_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode('id = "x"\ntitle = "x"\nvendor = "x"\nmodul = []', type=Profile)


def test_environment_is_set_from_options_before_loading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KMS_PKCS11_CONFIG", raising=False)
    monkeypatch.chdir("/")
    module.prepare(load("kmsp11"), Binding(adapter="kmsp11", token_label="t", options={"configuration": "/c.yaml"}))
    assert module.os.environ["KMS_PKCS11_CONFIG"] == "/c.yaml"
    monkeypatch.delenv("KMS_PKCS11_CONFIG")
    module.prepare(load("kmsp11"), Binding(adapter="kmsp11", token_label="t"))
    assert "KMS_PKCS11_CONFIG" not in module.os.environ
    azure = Binding(adapter="azure-cloud-hsm", token_label="t", options={"configuration": str(tmp_path)})
    module.prepare(load("azure_cloud_hsm"), azure)
    assert Path.cwd() == tmp_path
