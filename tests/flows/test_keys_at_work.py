"""Keys made by order and used, over a real gateway, on the simulation and on SoftHSM."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_console.client import device, keys, orders, work
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Decision
from hsm_console.domain.keys import Algorithm, Custody, SignMechanism
from hsm_console.domain.messages import work as msg
from hsm_console.domain.messages.orders import OrderState

A, M = Algorithm, SignMechanism
SIGNING = (A.RSA_2048, A.EC_P256, A.EC_P384, A.EC_P521, A.ED25519, A.HMAC_SHA256, A.ML_DSA_44, A.ML_DSA_87,
           A.SLH_DSA_SHA2_128F)  # fmt: skip
ENVELOPES = ((A.RSA_2048, "encrypt"), (A.EC_P256, "derive"), (A.EC_P384, "derive"), (A.AES_256, "encrypt"),
             (A.ML_KEM_768, "derive"), (A.ML_KEM_1024, "derive"))  # fmt: skip


@pytest.fixture(scope="module", params=["simulation", pytest.param("softhsm", marks=pytest.mark.softhsm)])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, found: Any) -> Iterator[Any]:
    """(house, ada): a workspace on this kind of token, unlocked, for all tests of the module."""
    flows = request.module.flows_of(request)
    workspace: Path = tmp_path_factory.mktemp("work") / "house"
    found(msgspec.structs.replace(flows.spec(workspace), adapter=request.param))
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(workspace))
        house = flows.House(workspace, gateway, stack)
        yield house, house.admin()


def flows_of(request: pytest.FixtureRequest) -> Any:
    """The conftest of this folder, as the module that pytest loaded."""
    folder = Path(__file__).parent
    return next(p for p in request.config.pluginmanager.get_plugins()
                if getattr(p, "__file__", "") == str(folder / "conftest.py"))  # fmt: skip


def make(home: Any, algorithm: Algorithm, usage: str, label: str) -> str:
    house, ada = home
    wish = {"algorithm": algorithm.value, "label": label, "usages": usage}
    order = orders.open_order(ada, msg.GENERATE_KEYS, wish)
    with house.stepped_up("claude") as claude:
        orders.decide(claude, order.id, Decision.APPROVE)
    order = orders.run(ada, order.id)
    end = time.monotonic() + 120
    while order.state is OrderState.RUNNING:
        assert time.monotonic() < end
        time.sleep(0.02)
        order = orders.show(ada, order.id)
    assert order.state is OrderState.DONE, order.problem
    return next(key.object_id for key in keys.listed(ada) if key.label == label)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(ConsoleError) as caught:
        act()
    return caught.value.problem.code


@pytest.mark.parametrize("algorithm", SIGNING)
def test_it_signs_and_others_verify(home: Any, algorithm: Algorithm) -> None:
    _, ada = home
    key = make(home, algorithm, "sign", f"signs {algorithm.value}")
    detail = work.detail(ada, key)
    for mechanism in detail.mechanisms:
        reply = work.sign(ada, key, mechanism, b"the contract")
        wish = msg.VerifyRequest(mechanism=mechanism, data=b"the contract", signature=reply.signature, key_id=key)
        assert work.verify(ada, wish).label == detail.label
        wrong = msgspec.structs.replace(wish, data=b"the contracT")
        assert code(lambda w=wrong: work.verify(ada, w)) == "signature-invalid"
        assert (reply.custody is Custody.SOFTWARE_WRAPPED) == (detail.custody is Custody.SOFTWARE_WRAPPED)


@pytest.mark.parametrize(("algorithm", "usage"), ENVELOPES)
def test_it_opens_what_was_sealed_for_it(home: Any, algorithm: Algorithm, usage: str) -> None:
    _, ada = home
    key = make(home, algorithm, usage, f"opens {algorithm.value}")
    for data, aad in ((b"for her eyes", b""), (bytes(20_000), b"case 7")):
        sealed = work.encrypt(ada, key, data, aad)
        assert work.decrypt(ada, key, sealed.envelope, aad).data == data
        assert code(lambda s=sealed: work.decrypt(ada, key, s.envelope, b"case 8")) == "ciphertext-invalid"


def test_two_sides_agree(home: Any) -> None:
    _, ada = home
    one, other = make(home, A.EC_P384, "derive", "one side"), ec.generate_private_key(ec.SECP384R1())
    pem = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    wish = msg.DeriveRequest(key_id=one, peer_spki_pem=pem, info=b"session")
    assert work.derive(ada, wish).secret == work.derive(ada, wish).secret != bytes(32)


def test_random_octets_and_offers(home: Any) -> None:
    _, ada = home
    assert len({work.random(ada, 32).data for _ in range(5)}) == 5
    offered = {offer.algorithm: offer.custody for offer in work.offers(ada)}
    assert set(SIGNING) | {A.ML_KEM_768, A.AES_256} <= set(offered)
    assert offered[A.SLH_DSA_SHA2_128F] is Custody.SOFTWARE_WRAPPED
    info = device.state(ada).device
    assert info is not None
    assert offered[A.ML_DSA_44] is (Custody.DEVICE if info.adapter == "simulation" else Custody.SOFTWARE_WRAPPED)
