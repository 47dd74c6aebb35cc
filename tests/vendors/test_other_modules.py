"""A module that nobody wrote a profile for: NSS, by the generic adapter, with text at its start and its own ways."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.domain.errors import EnvironmentFault
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
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


def test_module_that_wants_text_at_its_start_is_told_of_it(nss: Binding) -> None:
    bare = Binding(adapter="pkcs11", token_label=LABEL, options={"module": nss.options["module"]})
    with pytest.raises(EnvironmentFault) as caught:
        HsmClient(bare)
    assert caught.value.problem.code == "module-unusable"
    assert "“reserved”" in caught.value.problem.todo
