"""Vendor profiles: every one is read strictly, belongs to an entry point, and says what it does not know."""

from __future__ import annotations

import string
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import astuple
from pkcs11 import Attribute, KeyType, Mechanism

from adapters.pkcs11 import aes, module
from adapters.pkcs11.profile import Profile, load
from hsm_console.domain.errors import InputError
from hsm_console.hsm import registry, vendors
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import DEADLINES

NAMES = vendors.names()


@pytest.mark.parametrize("name", NAMES)
def test_profile_reads_and_has_an_adapter(name: str) -> None:
    profile = load(name)
    assert profile.id in registry.adapters()
    assert registry.load(registry.place(profile.id))
    assert profile.untested is (name != "softhsm")
    assert all(Path(place).is_absolute() for place in profile.modules)
    assert profile.gcm in aes.RULES
    assert set(profile.deadlines) <= set(DEADLINES)
    for role in (profile.login, *profile.roles.values()):
        names = {part for _, part, _, _ in string.Formatter().parse(role.format) if part}
        assert names <= {"pin", *profile.options}
        assert set(role.patterns) | set(role.defaults) <= names
    assert profile.audit_hint
    assert profile.cluster_hint
    for need in profile.needs:
        assert need.kind in ("file", "process", "group", "environment")


def test_variables_of_any_module_are_set_from_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KRYOPTIC_CONF", raising=False)
    chosen = Binding(adapter="pkcs11", token_label="t", options={"env.KRYOPTIC_CONF": "/token.conf"})
    module.prepare(load("pkcs11"), chosen)
    assert module.os.environ["KRYOPTIC_CONF"] == "/token.conf"
    monkeypatch.delenv("KRYOPTIC_CONF")
    for name in ("LD_PRELOAD", "PYTHONPATH", "lower", "WITH SPACE", ""):
        with pytest.raises(InputError) as caught:
            module.prepare(load("pkcs11"), Binding(adapter="pkcs11", token_label="t", options={f"env.{name}": "x"}))
        assert caught.value.problem.code == "option-unusable"
        assert name not in module.os.environ or module.os.environ[name] != "x"


def test_vendors_numbers_have_standard_names() -> None:
    for name in NAMES:
        profile = load(name)
        assert all(each in Mechanism.__members__ for each in profile.mechanisms)
        assert all(each in KeyType.__members__ for each in profile.key_types)
        assert all(each in Attribute.__members__ for group in astuple(profile.strip) for each in group)
        assert set(profile.gcm_mechanisms) <= set(aes.RULES)


def test_profile_that_extends_another_is_that_one_but_for_what_it_says() -> None:
    luna, azure = load("luna"), load("azure_dedicated_hsm")
    assert (azure.id, azure.mechanisms, azure.roles) == ("azure-dedicated-hsm", luna.mechanisms, luna.roles)
    assert azure.remarks != luna.remarks


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
