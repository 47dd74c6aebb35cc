"""Many keys are read page by page: each one once, and a part of a name finds the few that are meant."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hsm_console.client import keys, orders
from hsm_console.client.session import Session
from hsm_console.domain import events as ev
from hsm_console.domain.messages.orders import OrderState

Helpers = dict[str, Callable[..., Any]]
COUNT = 12


def made(house: Any, ada: Session) -> None:
    given = {"algorithm": "ec-p256", "label": "web {nn}", "count": str(COUNT)}
    order = orders.open_order(ada, "generate-keys", given)
    with house.stepped_up("claude") as claude:
        orders.decide(claude, order.id, ev.Decision.APPROVE)
    orders.run(ada, order.id)
    end = time.monotonic() + 60
    while orders.show(ada, order.id).state is not OrderState.DONE:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_pages_show_each_key_once_and_in_order(house: Any, helpers: Helpers, monkeypatch: Any) -> None:
    ada = house.admin()
    made(house, ada)
    whole = keys.listed(ada)
    assert len(whole) > COUNT, "the console's own keys stand there too, all from one entry of the log"
    for size in (1, 2, 5, len(whole)):
        monkeypatch.setattr(keys, "PAGE", size)
        assert keys.listed(ada) == whole
    assert [key.label for key in keys.listed(ada, "WEB 0")] == [f"web {n:02}" for n in range(9, 0, -1)]
    third = keys.page(ada, text="web", after=keys.page(ada, text="web", limit=4)[-1].object_id, limit=2)
    assert [key.label for key in third] == ["web 08", "web 07"]
    (one,) = keys.page(ada, text=whole[0].object_id[:20])
    assert one == whole[0]
    assert keys.page(ada, text=whole[1].fingerprint[:30]) == [whole[1]]
    assert keys.page(ada, text="no such key") == []
    assert keys.page(ada, after="00" * 16) == [], "after a key that is not there comes nothing"
    for limit in (-1, 1001):
        assert helpers["refusal"](lambda limit=limit: keys.page(ada, limit=limit)) == "query-refused"
