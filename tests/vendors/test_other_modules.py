"""Modules that nobody wrote rules for: NSS, a TPM, and p11-kit between the console and a token."""

from __future__ import annotations

import base64
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.audit import seal
from hsm_console.domain.errors import DeviceError, EnvironmentFault, VerificationFailed
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.gateway import seal_keys
from hsm_console.gateway.services import second
from hsm_console.hsm import health
from hsm_console.hsm.keys import default_mechanism
from hsm_console.hsm.port import Binding, DataObject, Unsupported
from hsm_console.hsm.worker import HsmClient

PLACES = (Path("/usr/lib/x86_64-linux-gnu/libsoftokn3.so"), Path("/usr/lib64/libsoftokn3.so"),
          Path("/usr/lib/aarch64-linux-gnu/libsoftokn3.so"))  # fmt: skip
MODULE = next((place for place in PLACES if place.exists()), None)
LABEL, PIN = "NSS Certificate DB", "pass-word-1"
FIRST_PIN = """
import sys
from adapters.pkcs11.raw import RawModule
from hsm_console.domain.secret import Secret
raw = RawModule(sys.argv[1], reserved=sys.argv[2].encode())
raw.initialize()
with raw.session(2) as session:
    raw.login(session, Secret(""), user=0)
    raw.init_pin(session, Secret(sys.argv[3]))
    raw.logout(session)
"""


@pytest.fixture
def nss(tmp_path: Path) -> Binding:
    if MODULE is None:
        pytest.skip("NSS is not installed")
    start = f"configdir='sql:{tmp_path}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
    subprocess.run([sys.executable, "-c", FIRST_PIN, str(MODULE), start, PIN], check=True, capture_output=True)
    return Binding(adapter="pkcs11", token_label=LABEL, options={"module": str(MODULE), "reserved": start})


def test_module_without_a_profile_makes_and_uses_keys(nss: Binding) -> None:
    with HsmClient(nss) as client:
        info = client.describe()
        assert info.simulated
        assert any("NSS keeps keys in files" in remark for remark in info.remarks)
        client.log_in(Secret(PIN))
        key = client.generate(KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=b"\x01" * 16))
        signature = client.sign(key.object_id, SignMechanism.ECDSA_SHA256, b"x")
        load_der_public_key(key.spki).verify(signature, b"x", ec.ECDSA(hashes.SHA256()))  # type: ignore[union-attr,call-arg]
        aes = KeySpec(algorithm=Algorithm.AES_256, label="a", object_id=b"\x02" * 16, usages=(Usage.ENCRYPT,))
        client.generate(aes)
        message = client.encrypt(aes.object_id, b"secret", b"aad")  # NSS tells too small a size when it is asked first
        assert client.decrypt(aes.object_id, message, b"aad") == b"secret"
        assert {info.label for info in client.find()} == {"k", "a"}
        assert client.destroy(key.object_id) == 2


def test_key_that_is_agreed_on_by_the_devices_own_kdf(nss: Binding) -> None:
    """CKD_SHA256_KDF in a module, X9.63's KDF in software: the same key."""
    spec = KeySpec(algorithm=Algorithm.EC_P256, label="pair", object_id=b"\x01" * 16, usages=(Usage.DERIVE,))
    wanted = KeySpec(algorithm=Algorithm.AES_256, label="made", object_id=b"\x02" * 16, usages=(Usage.ENCRYPT,))
    with HsmClient(nss) as client:
        client.log_in(Secret(PIN))
        public = load_der_public_key(client.generate(spec).spki)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        mine = ec.generate_private_key(ec.SECP256R1())
        point = mine.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        client.agree(spec.object_id, point, wanted, b"entry 7")
        message = client.encrypt(wanted.object_id, b"text", b"aad")
    key = X963KDF(hashes.SHA256(), 32, b"entry 7").derive(mine.exchange(ec.ECDH(), public))
    assert AESGCM(key).decrypt(message.iv, message.ciphertext + message.tag, b"aad") == b"text"


def test_module_that_wants_text_at_its_start_is_told_of_it(nss: Binding) -> None:
    bare = Binding(adapter="pkcs11", token_label=LABEL, options={"module": nss.options["module"]})
    with pytest.raises(EnvironmentFault) as caught:
        HsmClient(bare)
    assert caught.value.problem.code == "module-unusable"
    assert "“reserved”" in caught.value.problem.todo


def _real() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_modules", Path(__file__).with_name("real.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


real = _real()


@pytest.fixture(params=[*real.KINDS])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HsmClient]:
    """A token behind one of these modules, initialised and locked."""
    with (
        real.KINDS[request.param](tmp_path) as (adapter, options),
        HsmClient(Binding(adapter=adapter, token_label=real.LABEL, options=options)) as client,
    ):
        if not client.describe().initialised:
            client.initialise_token(real.LABEL, Secret(real.SO_PIN), Secret(real.PIN))
        yield client


def test_module_does_what_it_offers(other: HsmClient) -> None:
    with pytest.raises(DeviceError) as caught:
        other.log_in(Secret("not-the-pin-1"))
    assert caught.value.problem.code == "pin-incorrect"
    other.log_in(Secret(real.PIN))
    info = other.describe()
    assert info.simulated
    for number, algorithm in enumerate(info.algorithms, 1):
        if not algorithm.is_pair or algorithm in (Algorithm.RSA_3072, Algorithm.RSA_4096):
            continue
        key = other.generate(KeySpec(algorithm=algorithm, label=f"k{number}", object_id=bytes([number]) * 16))
        assert (key.attributes.sensitive, key.attributes.extractable) == (True, False)
        wanted = default_mechanism(algorithm)
        mechanism = SignMechanism.RSA_PKCS1_SHA256 if wanted not in info.sign_mechanisms else wanted
        signature = other.sign(key.object_id, mechanism, b"message")
        second.verify(key.spki, mechanism, b"message", signature)
        assert other.find(object_id=key.object_id) == (key,)
        assert other.destroy(key.object_id) == 2
    other.write_data(DataObject(application="hsm-console", label="head", value=b"x" * 300))
    assert [item.value for item in other.read_data("hsm-console", "head")] == [b"x" * 300]
    assert other.find() == ()


def test_module_holds_a_key_that_data_keys_are_wrapped_for(other: HsmClient) -> None:
    other.log_in(Secret(real.PIN))
    info = other.describe()
    plan = seal_keys.plan_for(info)
    made = other.generate(plan.spec("seal", b"\x07" * 16))
    recipient = seal_keys.recipient_of(other, made)
    key, event = seal_keys.data_key("chain", recipient, "tried")
    holder = seal_keys.holder(other, made.object_id)
    wrapped = base64.b64decode(event.wrapped)
    assert seal.unwrap(key.uid, wrapped, "chain", recipient.spki, holder).raw == key.raw
    with pytest.raises(VerificationFailed) as broken:
        seal.unwrap(key.uid, wrapped, "another chain", recipient.spki, holder)
    assert broken.value.problem.code == "sealed-broken"
    if "ECDH1_DERIVE" not in info.mechanisms:
        with pytest.raises(Unsupported):  # and no key that could do nothing is made
            other.generate(
                KeySpec(algorithm=Algorithm.EC_P384, label="d", object_id=b"\x08" * 16, usages=(Usage.DERIVE,))
            )
        assert not other.find(object_id=b"\x08" * 16)


SAME_LIST = """
import ctypes, sys
from pathlib import Path
from adapters.pkcs11.module import Module
from adapters.pkcs11.profile import load
from adapters.pkcs11.raw import function_list_of
module = Module(Path(sys.argv[1]), load("pkcs11"))
one, other = module.raw._list.contents, function_list_of(module.library).contents
assert ctypes.addressof(one) == ctypes.addressof(other)
"""


@pytest.mark.parametrize("name", ["/usr/lib/softhsm/libsofthsm2.so", "p11-kit-proxy.so"])
def test_all_calls_go_to_one_list_of_functions(name: str) -> None:
    """p11-kit gives every asker a list with logins of its own."""
    (module,) = real.needs(name)
    subprocess.run([sys.executable, "-c", SAME_LIST, module], check=True, capture_output=True)


def test_module_without_keys_and_without_a_pin_is_well_all_the_same() -> None:
    """p11-kit's list of trusted certificates: write-protected, no log-in, no random numbers."""
    (module,) = real.needs("p11-kit-trust.so")
    with HsmClient(Binding(adapter="pkcs11", token_label="System Trust", options={"module": module})) as client:
        assert client.describe().algorithms == ()
        with pytest.raises(Unsupported):
            client.random(32)
        status = health.examined(client, health.Status(health=health.Health.DOWN, logged_in=False, waiting=0))
        assert (status.failures, status.problem) == (0, None)
        with pytest.raises(DeviceError) as caught:
            client.log_in(Secret("some-pin-0000"))
        assert caught.value.problem.code == "read-only"
