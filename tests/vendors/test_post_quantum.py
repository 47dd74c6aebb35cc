"""Post-quantum keys that a device makes itself, by PKCS #11 v3.2, over a module that offers them.

The module's objects live as long as its process; sums are done by another process than the one that checks here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.crypto.pq import providers, spki
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, Custody, KeyInfo, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, Unsupported
from hsm_console.hsm.worker import HsmClient

pytestmark = pytest.mark.softhsm
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
USER_PIN = "user-pin-1357"
FAST = (Algorithm.ML_DSA_44, Algorithm.ML_DSA_65, Algorithm.ML_DSA_87, Algorithm.SLH_DSA_SHA2_128F,
        Algorithm.SLH_DSA_SHAKE_128F)  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Binding, dict[str, str]]:
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    folder = tmp_path_factory.mktemp("pq")
    library = folder / "pq.so"
    source = Path(__file__).with_name("pq.c")
    subprocess.run(["gcc", "-std=gnu17", "-shared", "-fPIC", "-O1", "-w", "-o", library, source, "-ldl"], check=True)
    (folder / "store").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'store'}\nobjectstore.backend = file\n")
    environment = {
        "SOFTHSM2_CONF": str(configuration),
        "PQ_MODULE": str(MODULE),
        "PQ_PYTHON": sys.executable,
        "PQ_HELPER": str(Path(__file__).with_name("pq_helper.py")),
    }
    binding = Binding(adapter="pkcs11", token_label="quantum", options={"module": str(library)})
    with HsmClient(binding, environment=environment) as client:
        client.initialise_token("quantum", Secret("so-pin-2468"), Secret(USER_PIN))
    return binding, environment


@pytest.fixture(scope="module")
def token(house: tuple[Binding, dict[str, str]]) -> Iterator[HsmClient]:
    binding, environment = house
    with HsmClient(binding, environment=environment) as client:
        client.log_in(Secret(USER_PIN))
        yield client


def make(client: HsmClient, algorithm: Algorithm, *usages: Usage) -> KeyInfo:
    number = list(Algorithm).index(algorithm) + 1
    object_id = number.to_bytes(16, "big")
    return client.generate(
        KeySpec(algorithm=algorithm, label=f"pq-{number}", object_id=object_id, usages=usages or (Usage.SIGN,))
    )


def refused(call: Any, family: type[ConsoleError] = ConsoleError) -> str:
    with pytest.raises(family) as caught:
        call()
    return caught.value.problem.code


def test_everything_of_the_three_standards_is_offered_as_the_devices_own(token: HsmClient) -> None:
    info = token.describe()
    wanted = {each for each in Algorithm if each.is_post_quantum}
    assert wanted <= set(info.algorithms)
    assert not wanted & set(info.software_algorithms)
    assert {SignMechanism.ML_DSA, SignMechanism.SLH_DSA} <= set(info.sign_mechanisms)
    assert {"ML_DSA", "SLH_DSA", "SLH_DSA_KEY_PAIR_GEN", "ML_KEM"} <= set(info.mechanisms)


@pytest.mark.parametrize("algorithm", FAST)
def test_signatures_of_the_device_verify_elsewhere(token: HsmClient, algorithm: Algorithm) -> None:
    key = make(token, algorithm)
    assert key.algorithm is algorithm
    assert key.custody is Custody.DEVICE
    shown = key.attributes
    assert (shown.token, shown.private, shown.sensitive, shown.extractable, shown.local) == (
        True,
        True,
        True,
        False,
        True,
    )
    mechanism = SignMechanism.SLH_DSA if algorithm.is_slh_dsa else SignMechanism.ML_DSA
    signature = token.sign(key.object_id, mechanism, b"message")
    public = spki.decode(key.spki)[1]
    checker = providers.PYTHON if algorithm.is_slh_dsa else providers.RUST
    checker.verify(algorithm, public, b"message", signature)
    with pytest.raises(ValueError, match="does not verify"):
        checker.verify(algorithm, public, b"messagE", signature)
    token.verify(key.object_id, mechanism, b"message", signature)
    assert refused(lambda: token.verify(key.object_id, mechanism, b"messagE", signature)) == "signature-invalid"
    other = SignMechanism.ML_DSA if algorithm.is_slh_dsa else SignMechanism.SLH_DSA
    assert refused(lambda: token.sign(key.object_id, other, b"x"), Unsupported) == "unsupported"
    assert token.find(object_id=key.object_id) == (key,)
    assert token.destroy(key.object_id) == 2


@pytest.mark.parametrize("algorithm", [Algorithm.ML_KEM_768, Algorithm.ML_KEM_1024])
def test_what_is_encapsulated_for_the_device_is_opened_by_it(token: HsmClient, algorithm: Algorithm) -> None:
    key = make(token, algorithm, Usage.DERIVE)
    assert key.attributes.usages == (Usage.DERIVE,)
    secret, ciphertext = load_der_public_key(key.spki).encapsulate()  # type: ignore[union-attr]
    before = len(token.find())
    assert token.decapsulate(key.object_id, ciphertext) == secret
    assert len(token.find()) == before
    assert token.destroy(key.object_id) == 2


def test_ml_kem_is_not_offered_without_the_calls_of_version_3_2(house: tuple[Binding, dict[str, str]]) -> None:
    binding, environment = house
    with HsmClient(binding, environment={**environment, "PQ_OLD": "1"}) as client:
        info = client.describe()
        assert not any(each.is_kem for each in info.algorithms)
        assert Algorithm.ML_DSA_65 in info.algorithms
        assert Algorithm.ML_KEM_768 in info.software_algorithms
