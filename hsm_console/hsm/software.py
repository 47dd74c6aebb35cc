"""Software keys: for algorithms that a device does not know, kept only encrypted under a key that never leaves it.

Each has an AES-256 key of its own in the device, not extractable, under the same CKA_ID (which derives from the
intent) and with the label `<label> ~<algorithm>`; the private part is sealed with AES-GCM under it and lies in data
objects of the same token. Destroying that AES key destroys the software key for good, whatever copies exist.

To use one, the private part is opened in this process (the killable worker), used, and overwritten as far as Python
allows. That is weaker than a key in a module, and is said so wherever the key is shown (`Custody.SOFTWARE_WRAPPED`).
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from hsm_console.crypto.pq import providers, spki
from hsm_console.crypto.wipe import wipe, wipe_bytes
from hsm_console.domain.errors import ConsoleError, DeviceError, ExitCode, InputError, Problem
from hsm_console.domain.keys import (
    Algorithm,
    Custody,
    DeviceInfo,
    KeyAttributes,
    KeyInfo,
    KeySpec,
    SignMechanism,
    Usage,
)
from hsm_console.hsm.port import AesGcm, DataObject, Hsm, Parallel, Unsupported, unsupported
from hsm_console.hsm.relay import Relay

APPLICATION = "hsm-console software key"
PART_BYTES = 3 * 1024
MARK = " ~"
_TEST = b"hsm-console pairwise consistency test"


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in the token for one software key. Everything but `box` is authenticated with it."""

    algorithm: Algorithm
    label: str
    object_id: bytes
    usages: tuple[Usage, ...]
    spki: bytes
    form: str
    provider: str
    box: AesGcm | None = None

    def header(self) -> bytes:
        return msgspec.msgpack.encode(msgspec.structs.replace(self, box=None))


def over(device: Hsm) -> Hsm:
    """The device with software keys on top; a device that works in parallel stays so."""
    return ParallelWithSoftwareKeys(device) if isinstance(device, Parallel) else WithSoftwareKeys(device)


class WithSoftwareKeys(Relay):
    """An `Hsm` that hands on every call but those that concern software keys."""

    def __init__(self, device: Hsm) -> None:
        super().__init__(device)
        self._known: dict[bytes, Sealed | None] = {}

    def describe(self) -> DeviceInfo:
        info = self._device.describe()
        more = _more(info)
        if not more:
            return info
        mechanisms = {
            SignMechanism.SLH_DSA if name.is_slh_dsa else SignMechanism.ML_DSA for name in more if not name.is_kem
        }
        remark = f"{len(more)} post-quantum kinds of keys are software keys here. {Custody.SOFTWARE_WRAPPED.meaning}"
        return msgspec.structs.replace(
            info,
            software_algorithms=more,
            sign_mechanisms=tuple(m for m in SignMechanism if m in info.sign_mechanisms or m in mechanisms),
            remarks=(*info.remarks, remark),
        )

    def log_out(self) -> None:
        self._known.clear()
        self._device.log_out()

    # -- making and finding ------------------------------------------------------------------------------------

    def generate(self, spec: KeySpec) -> KeyInfo:
        if MARK in spec.label and any(spec.label.endswith(MARK + name.value) for name in Algorithm):
            raise _label_reserved(spec.label)
        if not spec.algorithm.is_post_quantum or spec.algorithm not in _more(self._device.describe()):
            return self._device.generate(spec)
        if spec.extractable or set(spec.usages) != {Usage.DERIVE if spec.algorithm.is_kem else Usage.SIGN}:
            raise unsupported(spec.algorithm.value, "a software key stays where it is and has one purpose")
        if self._device.find(label=spec.label):
            raise _label_taken(spec.label)
        sealing = KeySpec(
            algorithm=Algorithm.AES_256,
            label=f"{spec.label}{MARK}{spec.algorithm.value}",
            object_id=spec.object_id,
            usages=(Usage.ENCRYPT,),
        )
        self._device.generate(sealing)
        try:
            sealed = self._make(spec)
        except BaseException:
            with contextlib.suppress(ConsoleError):  # half a key is of no use; what cannot be removed is found later
                self.destroy(spec.object_id)
            raise
        self._known[spec.object_id] = sealed
        return self._info(sealed)

    def _make(self, spec: KeySpec) -> Sealed:
        provider = providers.maker(spec.algorithm)
        public, private = provider.generate(spec.algorithm)
        try:
            _pairwise(provider, spec.algorithm, public, private)
            bare = Sealed(
                algorithm=spec.algorithm,
                label=spec.label,
                object_id=spec.object_id,
                usages=spec.usages,
                spki=spki.encode(spec.algorithm, public),
                form=provider.form,
                provider=provider.name,
            )
            box = self._device.encrypt(spec.object_id, bytes(private), bare.header())
        finally:
            wipe(private)
        sealed = msgspec.structs.replace(bare, box=box)
        self._write(sealed)
        return sealed

    def _write(self, sealed: Sealed) -> None:
        data = msgspec.msgpack.encode(sealed)
        parts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        for number, part in enumerate(parts):
            label = _part(sealed.object_id, number)
            value = bytes([len(parts)]) + part
            self._device.write_data(DataObject(application=APPLICATION, label=label, value=value))

    def find(self, *, object_id: bytes = b"", label: str = "") -> tuple[KeyInfo, ...]:
        found = self._device.find(object_id=object_id, label=label)
        if label and not object_id:
            marked = (f"{label}{MARK}{name.value}" for name in _more(self._device.describe()))
            found += tuple(key for text in marked for key in self._device.find(label=text))
        return tuple(self._shown(key) for key in found)

    def _shown(self, key: KeyInfo) -> KeyInfo:
        name, mark, kind = key.label.rpartition(MARK)
        if not mark or key.algorithm is not Algorithm.AES_256 or kind not in {each.value for each in Algorithm}:
            return key
        sealed = self._known.get(key.object_id) or self._read(key.object_id)  # “none” may be “not yet”: not remembered
        if sealed is not None:
            return self._info(sealed, key)
        half = KeyAttributes()  # the sealing key alone: made, and then cut off
        return KeyInfo(
            object_id=key.object_id,
            label=name,
            algorithm=Algorithm(kind),
            attributes=half,
            custody=Custody.SOFTWARE_WRAPPED,
        )

    def _info(self, sealed: Sealed, key: KeyInfo | None = None) -> KeyInfo:
        attributes = key.attributes if key else self._device.attributes(sealed.object_id)
        return KeyInfo(
            object_id=sealed.object_id,
            label=sealed.label,
            algorithm=sealed.algorithm,
            spki=sealed.spki,
            attributes=msgspec.structs.replace(attributes, usages=sealed.usages),
            custody=Custody.SOFTWARE_WRAPPED,
        )

    def attributes(self, object_id: bytes) -> KeyAttributes:
        found = self._device.attributes(object_id)
        sealed = self._sealed(object_id)
        return found if sealed is None else msgspec.structs.replace(found, usages=sealed.usages)

    def destroy(self, object_id: bytes) -> int:
        count = self._device.destroy(object_id)
        self._known.pop(object_id, None)
        with contextlib.suppress(Unsupported):
            for number in range(1 << 8):
                if not self._device.delete_data(APPLICATION, _part(object_id, number)):
                    break
        return count

    # -- using -------------------------------------------------------------------------------------------------

    def sign(self, object_id: bytes, mechanism: SignMechanism, data: bytes) -> bytes:
        sealed = self._of(object_id, mechanism)
        if sealed is None:
            return self._device.sign(object_id, mechanism, data)
        with self._opened(sealed) as (provider, private):
            return bytes(provider.sign(sealed.algorithm, private, data))

    def verify(self, object_id: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
        sealed = self._of(object_id, mechanism)
        if sealed is None:
            self._device.verify(object_id, mechanism, data, signature)
            return
        algorithm, public = spki.decode(sealed.spki)
        try:
            providers.checker(algorithm).verify(algorithm, public, data, signature)
        except ValueError as wrong:
            raise _signature_invalid() from wrong

    def decapsulate(self, object_id: bytes, ciphertext: bytes) -> bytes:
        sealed = self._sealed(object_id)
        if sealed is None:
            return self._device.decapsulate(object_id, ciphertext)
        if not sealed.algorithm.is_kem:
            raise _not_permitted("open what was encapsulated")
        with self._opened(sealed) as (provider, private):
            try:
                return bytes(provider.decapsulate(sealed.algorithm, private, ciphertext))
            except Exception as wrong:
                raise _ciphertext_invalid() from wrong

    def encrypt(self, object_id: bytes, plaintext: bytes, aad: bytes = b"") -> AesGcm:
        self._no_sealing_key(object_id, "encrypt")
        return self._device.encrypt(object_id, plaintext, aad)

    def decrypt(self, object_id: bytes, message: AesGcm, aad: bytes = b"") -> bytes:
        self._no_sealing_key(object_id, "decrypt")
        return self._device.decrypt(object_id, message, aad)

    def _no_sealing_key(self, object_id: bytes, act: str) -> None:
        """The key that seals a software key does nothing else, or it would open that one."""
        if self._sealed(object_id) is not None:
            raise _not_permitted(act)

    def _of(self, object_id: bytes, mechanism: SignMechanism) -> Sealed | None:
        if mechanism not in (SignMechanism.ML_DSA, SignMechanism.SLH_DSA):
            return None
        sealed = self._sealed(object_id)
        if sealed is None:
            return None
        fits = (
            sealed.algorithm.is_slh_dsa if mechanism is SignMechanism.SLH_DSA else sealed.algorithm.value[:3] == "ml-"
        )
        if not fits or sealed.algorithm.is_kem:
            raise unsupported(mechanism.value, f"with a key {sealed.algorithm.value}")
        return sealed

    def _sealed(self, object_id: bytes) -> Sealed | None:
        """What the token holds of this software key; None when it is no software key. Ids are never used twice."""
        if object_id not in self._known:
            self._known[object_id] = self._read(object_id)
        return self._known[object_id]

    def _read(self, object_id: bytes) -> Sealed | None:
        data, number, count = b"", 0, 1
        while number < count:
            try:
                found = self._device.read_data(APPLICATION, _part(object_id, number))
            except Unsupported:
                return None
            if not found or not found[-1].value:
                return None
            count, data = found[-1].value[0], data + found[-1].value[1:]
            number += 1
        try:
            return msgspec.msgpack.decode(data, type=Sealed)
        except msgspec.DecodeError as broken:
            raise _damaged(object_id) from broken

    @contextlib.contextmanager
    def _opened(self, sealed: Sealed) -> Any:
        """(provider, private part), overwritten at the end."""
        assert sealed.box is not None  # noqa: S101 - what is stored has one
        plain = self._device.decrypt(sealed.object_id, sealed.box, sealed.header())
        private = bytearray(plain)
        wipe_bytes(plain)
        try:
            yield providers.user(sealed.algorithm, sealed.form), private
        except KeyError as missing:
            raise unsupported(
                sealed.algorithm.value, f"no library here takes a private key of {sealed.provider}"
            ) from missing
        finally:
            wipe(private)


class ParallelWithSoftwareKeys(WithSoftwareKeys, Parallel):
    """The same over a device that answers several calls at a time; each view has its own layer."""

    def lanes(self) -> tuple[Hsm, ...]:
        assert isinstance(self._device, Parallel)  # noqa: S101 - `over` has looked
        return tuple(WithSoftwareKeys(view) for view in self._device.lanes())


def _more(info: DeviceInfo) -> tuple[Algorithm, ...]:
    """Post-quantum kinds that the device does not know, where it can seal (AES-GCM)."""
    if Algorithm.AES_256 not in info.algorithms:
        return ()
    return tuple(
        name for name in Algorithm if name.is_post_quantum and name not in info.algorithms and providers.offered(name)
    )


def _pairwise(provider: Any, algorithm: Algorithm, public: bytes, private: bytearray) -> None:
    """A new pair signs, and another implementation verifies; or it opens what another one encapsulated."""
    try:
        if algorithm.is_kem:
            ciphertext, secret = providers.encapsulate(algorithm, public)
            if provider.decapsulate(algorithm, private, ciphertext) != secret:
                raise ValueError("the secrets differ")
            return
        signature = provider.sign(algorithm, private, _TEST)
        providers.checker(algorithm, provider.name).verify(algorithm, public, _TEST, signature)
    except ValueError as wrong:
        raise DeviceError(
            Problem(
                code="key-not-consistent",
                what=f"The new key pair did not pass its own test with {provider.name}.",
                key_state="The key was thrown away.",
                todo="Do not use this installation until it was examined.",
                details={"detail": str(wrong)},
            )
        ) from wrong


def _part(object_id: bytes, number: int) -> str:
    return f"{object_id.hex()}/{number}"


def _label_reserved(label: str) -> InputError:
    return InputError(
        Problem(
            code="label-unusable",
            what=f"The label “{label}” ends like those that the console gives to keys which seal software keys.",
            todo="Choose another label.",
            exit_code=ExitCode.USAGE,
        )
    )


def _label_taken(label: str) -> DeviceError:
    return DeviceError(
        Problem(
            code="label-taken",
            what=f"A key with the label “{label}” is in the token already.",
            todo="Choose another label.",
            details={"ckr": "CKR_ATTRIBUTE_VALUE_INVALID"},
        )
    )


def _signature_invalid() -> DeviceError:
    return DeviceError(
        Problem(
            code="signature-invalid",
            what="The signature does not belong to this key and these data.",
            todo="Ask whoever sent it. Do not trust the data.",
            details={"ckr": "CKR_SIGNATURE_INVALID"},
        )
    )


def _ciphertext_invalid() -> DeviceError:
    return DeviceError(
        Problem(
            code="ciphertext-invalid",
            what="What was encapsulated does not fit this key.",
            todo="Ask for the message again.",
            details={"ckr": "CKR_ENCRYPTED_DATA_INVALID"},
        )
    )


def _not_permitted(act: str) -> DeviceError:
    return DeviceError(
        Problem(
            code="key-not-permitted",
            what=f"This key was not made to {act}.",
            todo="Choose a key that was made for it.",
            details={"ckr": "CKR_KEY_FUNCTION_NOT_PERMITTED"},
        )
    )


def _damaged(object_id: bytes) -> DeviceError:
    return DeviceError(
        Problem(
            code="object-damaged",
            what=f"What the token stores of the software key {object_id.hex()} cannot be read.",
            key_state="The key cannot be used.",
            todo="Bring the token's content back from its backup.",
        )
    )
