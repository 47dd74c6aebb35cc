"""An `Hsm` that hands every call on to another: what a layer over a device starts from."""

from __future__ import annotations

from collections.abc import Mapping

from hsm_console.domain.keys import DeviceInfo, KeyAttributes, KeyInfo, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import AesGcm, DataObject, Hsm


class Relay(Hsm):
    """Every call as it is. See the port for what each means."""

    def __init__(self, device: Hsm) -> None:
        self._device = device

    @property
    def deadlines(self) -> Mapping[str, float]:
        return self._device.deadlines

    def describe(self) -> DeviceInfo:
        return self._device.describe()

    def initialise_token(self, label: str, so_pin: Secret, user_pin: Secret) -> DeviceInfo:
        return self._device.initialise_token(label, so_pin, user_pin)

    def log_in(self, pin: Secret) -> None:
        self._device.log_in(pin)

    def log_out(self) -> None:
        self._device.log_out()

    def change_pin(self, old: Secret, new: Secret) -> None:
        self._device.change_pin(old, new)

    def generate(self, spec: KeySpec) -> KeyInfo:
        return self._device.generate(spec)

    def find(self, *, object_id: bytes = b"", label: str = "") -> tuple[KeyInfo, ...]:
        return self._device.find(object_id=object_id, label=label)

    def attributes(self, object_id: bytes) -> KeyAttributes:
        return self._device.attributes(object_id)

    def sign(self, object_id: bytes, mechanism: SignMechanism, data: bytes) -> bytes:
        return self._device.sign(object_id, mechanism, data)

    def verify(self, object_id: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
        self._device.verify(object_id, mechanism, data, signature)

    def encrypt(self, object_id: bytes, plaintext: bytes, aad: bytes = b"") -> AesGcm:
        return self._device.encrypt(object_id, plaintext, aad)

    def decrypt(self, object_id: bytes, message: AesGcm, aad: bytes = b"") -> bytes:
        return self._device.decrypt(object_id, message, aad)

    def wrap(self, wrapping_id: bytes, object_id: bytes) -> bytes:
        return self._device.wrap(wrapping_id, object_id)

    def unwrap(self, wrapping_id: bytes, wrapped: bytes, spec: KeySpec) -> KeyInfo:
        return self._device.unwrap(wrapping_id, wrapped, spec)

    def derive(self, object_id: bytes, peer_public_point: bytes, length: int) -> bytes:
        return self._device.derive(object_id, peer_public_point, length)

    def agree(self, object_id: bytes, peer_public_point: bytes, spec: KeySpec, kdf_info: bytes = b"") -> KeyInfo:
        return self._device.agree(object_id, peer_public_point, spec, kdf_info)

    def oaep_decrypt(self, object_id: bytes, ciphertext: bytes, digest: str) -> bytes:
        return self._device.oaep_decrypt(object_id, ciphertext, digest)

    def decapsulate(self, object_id: bytes, ciphertext: bytes) -> bytes:
        return self._device.decapsulate(object_id, ciphertext)

    def random(self, length: int) -> bytes:
        return self._device.random(length)

    def destroy(self, object_id: bytes) -> int:
        return self._device.destroy(object_id)

    def write_data(self, item: DataObject) -> None:
        self._device.write_data(item)

    def read_data(self, application: str, label: str) -> tuple[DataObject, ...]:
        return self._device.read_data(application, label)

    def delete_data(self, application: str, label: str) -> int:
        return self._device.delete_data(application, label)

    def attest(self, object_id: bytes) -> bytes:
        return self._device.attest(object_id)

    def native_log(self, after: int) -> tuple[dict[str, str], ...]:
        return self._device.native_log(after)

    def close(self) -> None:
        self._device.close()
