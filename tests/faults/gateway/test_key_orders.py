"""Keys by order: many at once, stopped and gone on with; destroyed, let out and taken in; what a crash leaves."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.projection import rebuild
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import device, keys, orders, work
from hsm_console.client.session import Session
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain import events as ev
from hsm_console.domain.errors import DeviceError, Problem
from hsm_console.domain.events import Decision
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Custody, SignMechanism
from hsm_console.domain.messages import work as msg
from hsm_console.domain.messages.orders import OrderState, OrderView
from hsm_console.domain.secret import Secret
from hsm_console.gateway import projections

ROOT = Path(__file__).parents[3]
Helpers = dict[str, Callable[..., Any]]


def until(session: Session, order: OrderView, *states: OrderState, seconds: float = 30) -> OrderView:
    end = time.monotonic() + seconds
    while order.state not in states:
        assert time.monotonic() < end, order
        time.sleep(0.01)
        order = orders.show(session, order.id)
    return order


def ready(house: Any, ada: Session, action: str, **given: str) -> OrderView:
    order = orders.open_order(ada, action, given)
    with house.stepped_up("claude") as claude:
        return orders.decide(claude, order.id, Decision.APPROVE)


def done(house: Any, ada: Session, action: str, **given: str) -> OrderView:
    order = orders.run(ada, ready(house, ada, action, **given).id)
    return until(ada, order, OrderState.DONE, OrderState.FAILED)


def make(house: Any, ada: Session, **given: str) -> OrderView:
    order = done(house, ada, msg.GENERATE_KEYS, **({"algorithm": "ec-p256", "label": "web {nn}"} | given))
    assert order.state is OrderState.DONE, order.problem
    return order


def labels(session: Session) -> list[str]:
    return sorted(key.label for key in keys.listed(session) if not key.label.startswith(("authority", "log ", "seal")))


def key_id(session: Session, label: str) -> str:
    return next(key.object_id for key in keys.listed(session) if key.label == label)


def events(gateway: Any) -> list[Any]:
    return [gateway.core.log.read(seq).event for seq in range(gateway.core.log.size)]


def batch_of(gateway: Any) -> list[tuple[int, Any]]:
    """Intents of GENERATE with their sequence numbers."""
    found = [(seq, gateway.core.log.read(seq).event) for seq in range(gateway.core.log.size)]
    return [(s, e) for s, e in found if isinstance(e, ev.OperationIntended) and e.operation is ev.Operation.GENERATE]


# -- attacks ------------------------------------------------------------------------------------------------------


def test_nobody_makes_or_destroys_a_key_alone(spied: Any, helpers: Helpers) -> None:
    _, spy, house = spied
    ada = house.admin()
    spy.calls.clear()
    order = orders.open_order(ada, msg.GENERATE_KEYS, {"algorithm": "ec-p256", "label": "k"})
    assert (order.state, order.needed) == (OrderState.OPEN, 1)
    assert helpers["refusal"](lambda: orders.run(ada, order.id)) == "order-not-ready"
    assert helpers["refusal"](lambda: orders.decide(ada, order.id, Decision.APPROVE)) == "self-approval"
    hedy = house.be("hedy")
    wish = {"algorithm": "ec-p256", "label": "k"}
    assert helpers["refusal"](lambda: orders.open_order(hedy, msg.GENERATE_KEYS, wish)) == "role-refused"
    assert "generate" not in spy.calls


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"algorithm": "rot13"}, "order-parameters"),
        ({"algorithm": "other"}, "order-parameters"),
        ({"count": "0"}, "order-parameters"),
        ({"count": "1001"}, "order-parameters"),
        ({"count": "-1"}, "order-parameters"),
        ({"count": "ten"}, "order-parameters"),
        ({"label": "the same", "count": "2"}, "order-parameters"),
        ({"label": ""}, "order-parameters"),
        ({"label": " leading"}, "order-parameters"),
        ({"label": "Schlüssel"}, "order-parameters"),
        ({"label": "x" * 65}, "order-parameters"),
        ({"label": "x" * 61 + "{n}", "count": "1000"}, "order-parameters"),
        ({"usages": "encrypt"}, "order-parameters"),
        ({"usages": "sign,derive"}, "order-parameters"),
        ({"extractable": "perhaps"}, "order-parameters"),
        ({"algorithm": "slh-dsa-sha2-128f", "extractable": "yes"}, "order-parameters"),
        ({"colour": "green"}, "order-parameters"),
    ],
)
def test_what_cannot_be_is_told_before_anybody_is_asked(
    spied: Any, helpers: Helpers, given: dict[str, str], code: str
) -> None:
    gateway, _, house = spied
    ada = house.admin()
    wish = {"algorithm": "ec-p256", "label": "k"} | given
    assert helpers["refusal"](lambda: orders.open_order(ada, msg.GENERATE_KEYS, wish)) == code
    assert not any(isinstance(e, ev.OrderOpened) for e in events(gateway))


def test_a_name_is_given_once(spied: Any, helpers: Helpers) -> None:
    _, _, house = spied
    ada = house.admin()
    make(house, ada, label="web {n}", count="2")
    wish = {"algorithm": "ec-p256", "label": "web 2"}
    assert helpers["refusal"](lambda: orders.open_order(ada, msg.GENERATE_KEYS, wish)) == "label-taken"


def test_the_console_s_own_keys_are_neither_destroyed_nor_let_out(spied: Any, helpers: Helpers) -> None:
    _, spy, house = spied
    ada = house.admin()
    make(house, ada, algorithm="aes-256", label="wrapper", usages="wrap")
    under = key_id(ada, "wrapper")
    own = [key.object_id for key in keys.listed(ada) if key.label.startswith(("authority", "log ", "seal"))]
    assert len(own) == 3
    for reserved in own:
        refusal = helpers["refusal"]
        assert refusal(lambda r=reserved: orders.open_order(ada, msg.DESTROY_KEY, {"key": r})) == "key-reserved"
        wish = {"key": reserved, "under": under}
        assert refusal(lambda w=wish: orders.open_order(ada, msg.WRAP_KEY, w)) == "key-reserved"
        wish = {"key": under, "under": reserved}
        assert refusal(lambda w=wish: orders.open_order(ada, msg.WRAP_KEY, w)) == "key-reserved"
    assert "destroy" not in spy.calls
    assert "wrap" not in spy.calls


def test_a_key_that_never_leaves_is_not_let_out(spied: Any, helpers: Helpers) -> None:
    _, spy, house = spied
    ada = house.admin()
    make(house, ada, algorithm="aes-256", label="wrapper", usages="wrap")
    make(house, ada, algorithm="aes-256", label="stays", usages="encrypt")
    make(house, ada, algorithm="aes-256", label="leaves", usages="encrypt", extractable="yes")
    under, stays, leaves = (key_id(ada, label) for label in ("wrapper", "stays", "leaves"))
    refusal = helpers["refusal"]
    assert refusal(lambda: orders.open_order(ada, msg.WRAP_KEY, {"key": stays, "under": under})) == "not-extractable"
    assert refusal(lambda: orders.open_order(ada, msg.WRAP_KEY, {"key": leaves, "under": stays})) == "usage-refused"
    assert refusal(lambda: orders.open_order(ada, msg.WRAP_KEY, {"key": under, "under": under})) == "wrap-itself"
    assert "wrap" not in spy.calls


def test_no_key_is_made_when_the_log_cannot_be_written(
    spied: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    order = ready(house, ada, msg.GENERATE_KEYS, algorithm="ec-p256", label="k {n}", count="5")
    real = gateway.core.log.append

    def failing(drafts: Any, **more: Any) -> Any:
        if any(isinstance(draft.event, ev.OperationSucceeded) and draft.event.index == 1 for draft in drafts):
            raise DeviceError(Problem(code="disk-full", what="No space is left.", todo="Make room."))
        return real(drafts, **more)

    monkeypatch.setattr(gateway.core.log, "append", failing)
    spy.calls.clear()
    until(ada, orders.run(ada, order.id), OrderState.STOPPED)
    assert spy.calls.count("generate") == 2  # the one whose record failed was the last
    monkeypatch.undo()
    assert labels(ada) == ["k 1"]
    until(ada, orders.run(ada, order.id), OrderState.DONE)
    assert labels(ada) == ["k 1", "k 2", "k 3", "k 4", "k 5"]
    assert spy.calls.count("generate") == 5


# -- batches ------------------------------------------------------------------------------------------------------


def test_many_keys_have_one_intent_and_a_record_each(spied: Any, one_key_each: Any) -> None:
    gateway, _, house = spied
    ada = house.admin()
    order = make(house, ada, count="12")
    assert order.result == {"made": "12 of 12", "first": "web 01", "last": "web 12"}
    assert (order.done, order.total) in ((0, 0), (12, 12))
    assert labels(ada) == [f"web {n:02}" for n in range(1, 13)]
    ((seq, intent),) = batch_of(gateway)
    assert (intent.count, intent.first) == (12, 1)
    made = [e for e in events(gateway) if isinstance(e, ev.OperationSucceeded) and e.intent == seq]
    assert [each.index for each in made] == list(range(12))
    assert [each.last for each in made] == [False] * 11 + [True]
    fingerprint = bytes.fromhex(gateway.core.log.read(seq).fingerprint)
    assert [each.key_id for each in made] == [object_id(fingerprint, index).hex() for index in range(12)]
    with gateway.core.reading() as conn:
        assert projections.open_intents(conn) == ()


def test_a_batch_is_stopped_and_goes_on_where_it_was(spied: Any) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    order = ready(house, ada, msg.GENERATE_KEYS, algorithm="ec-p256", label="web {n}", count="6")
    go: list[int] = []
    spy.calls.clear()

    def halt() -> None:
        go.append(1)
        if len(go) < 3:
            spy.after["generate"] = halt
        else:
            orders.stop(ada, order.id)

    spy.after["generate"] = halt
    order = until(ada, orders.run(ada, order.id), OrderState.STOPPED)
    assert order.result["made"] == "3 of 6"
    assert labels(ada) == ["web 1", "web 2", "web 3"]
    order = until(ada, orders.run(ada, order.id), OrderState.DONE)
    assert order.result["made"] == "6 of 6"
    assert spy.calls.count("generate") == 6
    assert labels(ada) == [f"web {n}" for n in range(1, 7)]
    assert [(e.count, e.first) for _, e in batch_of(gateway)] == [(6, 1), (3, 4)]
    ended = [e for e in events(gateway) if isinstance(e, ev.OperationInterrupted)]
    assert [e.found for e in ended] == ["stopped"]


def killed_unheard(spy: Any) -> None:
    """The key is made, and the worker ends before anybody has heard of it."""
    spy.real.kill()
    spy.real.describe()  # raises `device-crashed` in the place of the answer


def test_a_worker_killed_in_mid_batch_costs_no_key_and_doubles_none(spied: Any) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    order = ready(house, ada, msg.GENERATE_KEYS, algorithm="ec-p256", label="web {n}", count="5")
    seen: list[int] = []

    def later() -> None:
        seen.append(1)
        if len(seen) < 3:
            spy.after["generate"] = later
        else:
            killed_unheard(spy)

    spy.after["generate"] = later
    order = until(ada, orders.run(ada, order.id), OrderState.STOPPED)
    assert device.state(ada).unlocked is False
    order = until(ada, orders.run(ada, order.id), OrderState.STOPPED, OrderState.FAILED)
    assert order.state is OrderState.STOPPED, "a locked device is no end of an order that has begun"
    assert order.may_run
    house.admin()
    recovered = [e for e in events(gateway) if isinstance(e, ev.OperationSucceeded) and e.recovered]
    assert [e.label for e in recovered] == ["web 3"]
    order = until(ada, orders.run(ada, order.id), OrderState.DONE)
    assert labels(ada) == [f"web {n}" for n in range(1, 6)]
    assert spy.calls.count("generate") == 5
    assert [(e.count, e.first) for _, e in batch_of(gateway)] == [(5, 1), (2, 4)]


def test_half_a_pair_is_destroyed_on_the_record_before_it_goes_on(spied: Any) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    order = ready(house, ada, msg.GENERATE_KEYS, algorithm="ec-p256", label="web {n}", count="3")
    store = house.workspace / "token" / "simulation"
    before: set[Path] = set()

    def second() -> None:
        spy.after["generate"] = halve
        before.update(p for p in store.rglob("*") if p.is_file())

    def halve() -> None:
        new = [p for p in store.rglob("*") if p.is_file() and p not in before]
        private = max(new, key=lambda p: p.stat().st_mtime_ns)
        private.unlink()
        killed_unheard(spy)

    spy.after["generate"] = second
    order = until(ada, orders.run(ada, order.id), OrderState.STOPPED)
    house.admin()
    ended = [e for e in events(gateway) if isinstance(e, ev.OperationInterrupted)]
    assert [e.found for e in ended] == ["partial"]
    order = until(ada, orders.run(ada, order.id), OrderState.DONE, OrderState.FAILED)
    assert order.state is OrderState.DONE, order.problem
    destroyed = [e for e in events(gateway) if isinstance(e, ev.OperationSucceeded) and e.operation.value == "destroy"]
    assert [e.label for e in destroyed] == ["web 2"]
    assert labels(ada) == ["web 1", "web 2", "web 3"]


def test_a_device_that_is_full_stops_the_batch_and_says_why(spied: Any) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    order = ready(house, ada, msg.GENERATE_KEYS, algorithm="ec-p256", label="web {n}", count="3")

    def full() -> None:
        raise DeviceError(Problem(code="device-full", what="The device is full.", todo="Make room."))

    def second() -> None:
        spy.before["generate"] = full

    spy.after["generate"] = second
    order = until(ada, orders.run(ada, order.id), OrderState.STOPPED, OrderState.FAILED)
    assert order.state is OrderState.STOPPED
    assert order.result["because"] == "The device is full."
    failed = [e for e in events(gateway) if isinstance(e, ev.OperationFailed)]
    assert [e.code for e in failed] == ["device-full"]
    order = until(ada, orders.run(ada, order.id), OrderState.DONE)
    assert labels(ada) == ["web 1", "web 2", "web 3"]
    spy.before["generate"] = full
    order = done(house, ada, msg.GENERATE_KEYS, algorithm="ec-p256", label="one")
    assert order.problem is not None
    assert (order.state, order.problem.code) == (OrderState.FAILED, "device-full")


@pytest.mark.parametrize("adapter", ["simulation", pytest.param("softhsm", marks=pytest.mark.softhsm)])
def test_a_gateway_killed_in_mid_batch_goes_on_after_its_start(
    adapter: str, flows: Any, tmp_path: Path, found: Any, workspace: Path
) -> None:
    """kill -9 of the whole gateway; then nothing is made twice, nothing is lost, and the log verifies."""
    if adapter == "softhsm":
        import msgspec

        workspace = found(msgspec.structs.replace(flows.spec(tmp_path / "soft"), adapter="softhsm"))
    import contextlib

    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(workspace))
        house = flows.House(workspace, gateway, stack)
        ada = house.admin()
        order = ready(house, ada, msg.GENERATE_KEYS, algorithm="ec-p256", label="web {nnn}", count="40")
        order = orders.run(ada, order.id)
        while order.done < 5:
            assert order.state is OrderState.RUNNING
            time.sleep(0.01)
            order = orders.show(ada, order.id)
        os.kill(gateway.pid, signal.SIGKILL)
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(workspace))
        house = flows.House(workspace, gateway, stack)
        ada = house.admin()
        order = orders.show(ada, order.id)
        assert order.state is OrderState.INTERRUPTED
        before = len(labels(ada))
        assert 5 <= before < 40
        order = until(ada, orders.run(ada, order.id), OrderState.DONE, OrderState.FAILED, seconds=60)
        assert order.state is OrderState.DONE, order.problem
        assert labels(ada) == [f"web {n:03}" for n in range(1, 41)]
        name = key_id(ada, "web 040")
        assert work.sign(ada, name, SignMechanism.ECDSA_SHA256, b"m").verified_by
        device.lock(ada)
    from hsm_console.gateway.workspace import Home
    from hsm_console.hsm.worker import HsmClient

    home = Home(workspace)
    with HsmClient(home.binding(home.load())) as hsm:
        hsm.log_in(Secret(flows.PIN))
        found = [key.label for key in hsm.find() if key.label.startswith("web ")]
    assert sorted(found) == [f"web {n:03}" for n in range(1, 41)]
    found = verify_workspace(workspace / "audit.db", parse_vkey((workspace / "log.vkey").read_text())).findings
    assert [finding.word.value for finding in found] == []
    assert set(rebuild(workspace / "audit.db", projections.projections()).values()) == {"identical"}
    stranger = [sys.executable, "docs/verify.py", workspace / "audit.db", workspace / "log.vkey"]
    assert subprocess.run(stranger, cwd=ROOT, capture_output=True, check=False).returncode == 0


# -- the other three ----------------------------------------------------------------------------------------------


def test_a_destroyed_key_is_gone_and_its_signatures_still_verify(spied: Any, helpers: Helpers) -> None:
    _, spy, house = spied
    ada = house.admin()
    make(house, ada, label="goes")
    name = key_id(ada, "goes")
    signature = work.sign(ada, name, SignMechanism.ECDSA_SHA256, b"m").signature
    order = done(house, ada, msg.DESTROY_KEY, key=name)
    assert order.state is OrderState.DONE, order.problem
    assert spy.calls.count("destroy") == 1
    refusal = helpers["refusal"]
    assert refusal(lambda: work.sign(ada, name, SignMechanism.ECDSA_SHA256, b"m")) == "key-destroyed"
    assert refusal(lambda: orders.open_order(ada, msg.DESTROY_KEY, {"key": name})) == "key-destroyed"
    wish = msg.VerifyRequest(mechanism=SignMechanism.ECDSA_SHA256, data=b"m", signature=signature, key_id=name)
    assert work.verify(ada, wish).label == "goes"
    assert work.detail(ada, name).acts == ("verify",)


def test_a_software_key_is_labelled_as_such_everywhere(spied: Any) -> None:
    gateway, _, house = spied
    ada = house.admin()
    order = make(house, ada, algorithm="slh-dsa-sha2-128f", label="slow")
    assert "as software keys" in order.summary  # it is what the custodians signed
    assert "never leaving the module" in make(house, ada, label="quick").summary
    name = key_id(ada, "slow")
    detail = work.detail(ada, name)
    assert detail.custody is Custody.SOFTWARE_WRAPPED
    assert "software key" in detail.custody_words
    made = next(e for e in events(gateway) if isinstance(e, ev.OperationSucceeded) and e.key_id == name)
    assert made.custody is Custody.SOFTWARE_WRAPPED
    assert work.sign(ada, name, SignMechanism.SLH_DSA, b"m").custody is Custody.SOFTWARE_WRAPPED
    done(house, ada, msg.DESTROY_KEY, key=name)
    assert gateway.core.device.hsm().read_data("hsm-console software key", f"{name}/0") == ()


@pytest.mark.parametrize(("algorithm", "usage"), [("aes-256", "encrypt"), ("ec-p256", "sign"), ("rsa-2048", "encrypt"),
                                                  ("ec-p384", "derive"), ("hmac-sha256", "sign")])  # fmt: skip
def test_a_key_leaves_and_comes_back(spied: Any, helpers: Helpers, algorithm: str, usage: str) -> None:
    _, _, house = spied
    ada = house.admin()
    make(house, ada, algorithm="aes-256", label="wrapper", usages="wrap")
    make(house, ada, algorithm=algorithm, label="travels", usages=usage, extractable="yes")
    under, name = key_id(ada, "wrapper"), key_id(ada, "travels")
    secret = work.encrypt(ada, name, b"m").envelope if usage == "encrypt" else b""
    out = done(house, ada, msg.WRAP_KEY, key=name, under=under)
    assert out.state is OrderState.DONE, out.problem
    data = work.wrapped(ada, out.result["sha256"])
    assert len(data) >= 40
    done(house, ada, msg.DESTROY_KEY, key=name)
    given = {"under": under, "algorithm": algorithm, "label": "back", "usages": usage}
    back = done(house, ada, msg.UNWRAP_KEY, sha256=out.result["sha256"], **given)
    assert back.state is OrderState.DONE, back.problem
    again = key_id(ada, "back")
    assert again == back.result["key"] != name
    if usage == "sign":
        assert work.sign(ada, again, work.detail(ada, again).mechanisms[0], b"m").verified_by
    elif algorithm == "aes-256":  # an envelope names its key by the id, which is a new one now
        assert helpers["refusal"](lambda: work.decrypt(ada, again, secret)) == "ciphertext-invalid"
        assert work.decrypt(ada, again, work.encrypt(ada, again, b"m").envelope).data == b"m"
    elif usage == "encrypt":
        assert work.decrypt(ada, again, secret).data == b"m"
    taken = given | {"label": "third", "wrapped": base64.b64encode(data).decode()}
    assert done(house, ada, msg.UNWRAP_KEY, **taken).state is OrderState.DONE


def test_a_wrapped_key_that_was_changed_does_not_come_in(spied: Any, helpers: Helpers) -> None:
    _, _, house = spied
    ada = house.admin()
    make(house, ada, algorithm="aes-256", label="wrapper", usages="wrap")
    make(house, ada, algorithm="aes-256", label="travels", usages="encrypt", extractable="yes")
    under = key_id(ada, "wrapper")
    out = done(house, ada, msg.WRAP_KEY, key=key_id(ada, "travels"), under=under)
    data = bytearray(work.wrapped(ada, out.result["sha256"]))
    data[7] ^= 1
    given = {"under": under, "algorithm": "aes-256", "label": "back", "usages": "encrypt"}
    text = base64.b64encode(bytes(data)).decode()
    order = done(house, ada, msg.UNWRAP_KEY, wrapped=text, **given)
    assert order.problem is not None
    assert (order.state, order.problem.code) == (OrderState.FAILED, "ciphertext-invalid")
    assert "back" not in labels(ada)
    refusal = helpers["refusal"]
    for wrong in (
        {"wrapped": text, "sha256": out.result["sha256"]}, {"sha256": "0" * 64}, {"sha256": "../../log.vkey"},
        {"wrapped": "!"}, {},
    ):  # fmt: skip
        code = refusal(lambda w=wrong: orders.open_order(ada, msg.UNWRAP_KEY, given | w))
        assert code in ("wrapped-missing", "order-parameters")
    pair = given | {"algorithm": "ec-p256", "usages": "sign", "wrapped": text}
    assert refusal(lambda: orders.open_order(ada, msg.UNWRAP_KEY, pair)) == "public-half-missing"
    assert refusal(lambda: work.wrapped(ada, "../log.vkey")) in ("not-found", "route-unknown")


def test_a_pair_whose_halves_differ_is_taken_out_again(spied: Any) -> None:
    """Somebody exchanged the note beside the wrapped key: the private half is another key's."""
    gateway, _, house = spied
    ada = house.admin()
    make(house, ada, algorithm="aes-256", label="wrapper", usages="wrap")
    make(house, ada, label="pair {n}", count="2", extractable="yes")
    under, one, two = (key_id(ada, label) for label in ("wrapper", "pair 1", "pair 2"))
    out = done(house, ada, msg.WRAP_KEY, key=one, under=under)
    note = house.workspace / "wrapped" / f"{out.result['sha256']}.json"
    note.write_text(f'{{"key_id":"{two}"}}')
    given = {"under": under, "algorithm": "ec-p256", "label": "back", "usages": "sign"}
    order = done(house, ada, msg.UNWRAP_KEY, sha256=out.result["sha256"], **given)
    assert order.problem is not None
    assert (order.state, order.problem.code) == (OrderState.FAILED, "halves-differ")
    assert "back" not in labels(ada)
    assert gateway.core.device.hsm().find(label="back") == ()
