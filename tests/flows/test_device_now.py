"""The page of the module shows what the token says now, not what it said at the start."""

from __future__ import annotations

from typing import Any

import pytest

from hsm_console.client import device
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.secret import Secret


def test_flags_of_the_pin_count_with_each_refusal(house: Any) -> None:
    ada = house.be("ada")
    before = device.state(ada).device
    assert before is not None
    assert not before.user_pin_low
    with pytest.raises(ConsoleError) as refused:
        device.unlock(ada, Secret("certainly-wrong-1"))
    assert refused.value.problem.code == "pin-incorrect"
    after = device.state(ada).device
    assert after is not None
    assert after.user_pin_low


def test_a_token_that_is_gone_and_comes_back(house: Any) -> None:
    ada = house.be("ada")
    store = house.workspace / "token"
    store.rename(house.workspace / "elsewhere")
    gone = device.state(ada)
    assert gone.problem is not None
    assert gone.problem.code == "token-missing"
    (house.workspace / "elsewhere").rename(store)
    assert device.state(ada).problem is None
