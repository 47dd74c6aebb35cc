"""Templates with wrong types are refused in Python; the binding would crash the process."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass

from adapters.pkcs11.templates import TolerantMapper, capabilities, check, guarded, public
from hsm_console.domain.errors import InputError
from hsm_console.domain.keys import Algorithm, KeySpec, Usage

SPEC = KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=b"\x01")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (Attribute.LABEL, 5),
        (Attribute.LABEL, b"bytes"),
        (Attribute.LABEL, "\ud800"),
        (Attribute.ID, "abc"),
        (Attribute.ID, bytearray(b"x")),
        (Attribute.ID, 16),
        (Attribute.ID, None),
        (Attribute.TOKEN, 1),
        (Attribute.SENSITIVE, "yes"),
        (Attribute.SENSITIVE, None),
        (Attribute.VALUE_LEN, -1),
        (Attribute.VALUE_LEN, "32"),
        (Attribute.VALUE_LEN, 2**70),
        (Attribute.START_DATE, "2026-01-01"),
        (Attribute.START_DATE, datetime.date(2026, 1, 1)),
        (Attribute.EC_PARAMS, 7),
        (Attribute.ALLOWED_MECHANISMS, b"x"),
        (Attribute.WRAP_TEMPLATE, {}),
        (0x80000001, b"vendor"),
    ],
)
def test_wrong_value_is_refused_and_named(attribute: Any, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        check(TolerantMapper(), {attribute: value})
    assert caught.value.problem.code == "template-unusable"
    assert "not asked" in caught.value.problem.what


def test_right_values_pass_unchanged() -> None:
    template = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.ID: b"\x01",
        Attribute.LABEL: "k",
        Attribute.VALUE_LEN: 32,
        **guarded(SPEC, modifiable=False),
    }
    assert check(TolerantMapper(), template) is template


def test_private_keys_are_always_guarded_in_so_many_words() -> None:
    template = guarded(SPEC, modifiable=None)
    assert template == {
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
    }
    assert guarded(SPEC, modifiable=False)[Attribute.MODIFIABLE] is False
    assert public(modifiable=None)[Attribute.PRIVATE] is False


def test_usages_are_only_what_was_asked_for() -> None:
    assert capabilities((Usage.SIGN,)) == MechanismFlag.SIGN | MechanismFlag.VERIFY
    assert capabilities((Usage.DERIVE,)) == MechanismFlag.DERIVE
    assert capabilities(()) == 0


def test_foreign_objects_can_be_read() -> None:
    mapper = TolerantMapper()
    assert mapper.unpack_attributes(Attribute.LABEL, b"caf\xe9") == "caf\ufffd"
    assert mapper.unpack_attributes(Attribute.KEY_TYPE, (0x4B).to_bytes(8, "little")) == 0x4B
    assert mapper.unpack_attributes(Attribute.CLASS, (0x80000001).to_bytes(8, "little")) == 0x80000001
    assert mapper.unpack_attributes(Attribute.KEY_TYPE, (3).to_bytes(8, "little")) is KeyType.EC
