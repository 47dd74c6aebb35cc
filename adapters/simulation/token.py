"""The simulated token as an `Hsm`: PINs, objects and their rules. Every key it makes is marked as a simulation."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters import problems
from adapters.mechanisms import fits
from adapters.simulation import algorithms, vault
from adapters.simulation.shown import attributes_of, infos
from adapters.simulation.store import Kind, Object, Store, Stored, TokenRecord, damaged
from hsm_console.domain.errors import DeviceError
from hsm_console.domain.keys import (
    Algorithm,
    DeviceInfo,
    KeyAttributes,
    KeyInfo,
    KeySpec,
    SignMechanism,
    Usage,
)
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import AesGcm, Binding, DataObject, Hsm, unsupported

TRIES = 10
REMARK = "This is a simulation: keys are files on this machine. It protects nothing."
_TAG_BYTES = 16
_IV_BYTES = 12


class SimulatedToken(Hsm):
    """One simulated token in one directory. See the port for what each call means."""

    def __init__(self, binding: Binding, store: Store) -> None:
        self._binding = binding
        self._store = store
        self._master = b""
        self._keys: dict[Path, Any] = {}

    def describe(self) -> DeviceInfo:
        if not self._store.exists and not self._binding.serial:
            return self._info(None)
        return self._info(self._token())

    def initialise_token(self, label: str, so_pin: Secret, user_pin: Secret) -> DeviceInfo:
        problems.check_pin(so_pin)
        problems.check_pin(user_pin)
        problems.check_token_label(label, self._binding.token_label)
        self._store.create()
        with self._store.locked():
            if self._store.exists:
                raise problems.token_initialised(self._store.token().label)
            self._store.write_token(
                TokenRecord(
                    format=1,
                    simulation=True,
                    label=label,
                    serial=f"SIM{secrets.token_hex(6).upper()}",
                    so=vault.record(so_pin, b"", "so"),
                    user=vault.record(user_pin, vault.master_key(), "user"),
                )
            )
        return self._info(self._store.token())

    def log_in(self, pin: Secret) -> None:
        if self._master:
            raise problems.already_logged_in()
        problems.check_pin(pin)
        self._master = self._open_user(pin)

    def log_out(self) -> None:
        self._master = b""
        self._keys.clear()

    def change_pin(self, old: Secret, new: Secret) -> None:
        problems.check_pin(old)
        problems.check_pin(new)
        master = self._open_user(old)
        with self._store.locked():
            token = self._token()
            self._store.write_token(msgspec.structs.replace(token, user=vault.record(new, master, "user")))

    def generate(self, spec: KeySpec) -> KeyInfo:
        self._require_login()
        problems.check_spec(spec)
        if spec.algorithm not in algorithms.ALGORITHMS:
            raise problems.algorithm_unsupported(spec.algorithm)
        with self._store.locked():
            self._require_free(spec)
            key = algorithms.new_private(spec.algorithm) if spec.algorithm.is_pair else algorithms.new_secret()
            return self._keep(spec, key, local=True)

    def find(self, *, object_id: bytes = b"", label: str = "") -> tuple[KeyInfo, ...]:
        self._require_login()
        keys = [stored.item for stored in self._store.objects() if stored.item.kind is not Kind.DATA]
        wanted = dict.fromkeys(
            item.object_id
            for item in keys
            if (not object_id or item.object_id == object_id) and (not label or item.label == label)
        )
        return tuple(info for each in wanted for info in infos([item for item in keys if item.object_id == each]))

    def attributes(self, object_id: bytes) -> KeyAttributes:
        self._require_login()
        return attributes_of(self._usable(object_id).item)

    def sign(self, object_id: bytes, mechanism: SignMechanism, data: bytes) -> bytes:
        stored = self._usable(object_id, Usage.SIGN, "sign")
        self._require_fit(stored.item, mechanism)
        return algorithms.sign(self._key(stored), mechanism, data)

    def verify(self, object_id: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
        stored = self._usable(object_id, Usage.SIGN, "verify")
        self._require_fit(stored.item, mechanism)
        key = self._key(stored)
        try:
            algorithms.verify(key if isinstance(key, bytes) else key.public_key(), mechanism, data, signature)
        except InvalidSignature as wrong:
            raise problems.signature_invalid() from wrong

    def encrypt(self, object_id: bytes, plaintext: bytes, aad: bytes = b"") -> AesGcm:
        key = self._aes(object_id, Usage.ENCRYPT, "encrypt")
        iv = secrets.token_bytes(_IV_BYTES)
        sealed = AESGCM(key).encrypt(iv, plaintext, aad)
        return AesGcm(iv=iv, ciphertext=sealed[:-_TAG_BYTES], tag=sealed[-_TAG_BYTES:])

    def decrypt(self, object_id: bytes, message: AesGcm, aad: bytes = b"") -> bytes:
        key = self._aes(object_id, Usage.ENCRYPT, "decrypt")
        try:
            return AESGCM(key).decrypt(message.iv, message.ciphertext + message.tag, aad)
        except (InvalidTag, ValueError) as wrong:
            raise problems.ciphertext_invalid() from wrong

    def wrap(self, wrapping_id: bytes, object_id: bytes) -> bytes:
        wrapping = self._aes(wrapping_id, Usage.WRAP, "wrap keys")
        target = self._usable(object_id)
        if not target.item.extractable:
            raise problems.not_extractable()
        key = self._key(target)
        return keywrap.aes_key_wrap_with_padding(
            wrapping, key if isinstance(key, bytes) else algorithms.private_der(key)
        )

    def unwrap(self, wrapping_id: bytes, wrapped: bytes, spec: KeySpec) -> KeyInfo:
        wrapping = self._aes(wrapping_id, Usage.WRAP, "unwrap keys")
        problems.check_spec(spec)
        try:
            plain = keywrap.aes_key_unwrap_with_padding(wrapping, wrapped)
            key = algorithms.load_private(plain) if spec.algorithm.is_pair else plain
        except (keywrap.InvalidUnwrap, ValueError) as wrong:
            raise problems.ciphertext_invalid() from wrong
        held = algorithms.algorithm_of(key) if spec.algorithm.is_pair else spec.algorithm
        if held is not spec.algorithm or (isinstance(key, bytes) and len(key) != algorithms.SECRET_BYTES):
            raise problems.ciphertext_invalid()
        with self._store.locked():
            self._require_free(spec)
            return self._keep(spec, key, local=False)

    def derive(self, object_id: bytes, peer_public_point: bytes, length: int) -> bytes:
        stored = self._usable(object_id, Usage.DERIVE, "agree on secrets")
        algorithm = Algorithm(stored.item.algorithm)
        if not (algorithm.is_ec or algorithm.is_kem):
            raise unsupported("derive", algorithm.value)
        try:
            shared = algorithms.agree(self._key(stored), peer_public_point)
        except ValueError as wrong:
            raise problems.refused(
                "point-unusable", "The other side's public value does not fit this key.", "Ask for it again."
            ) from wrong
        problems.check_length(length, most=len(shared))
        return shared[:length]

    def agree(self, object_id: bytes, peer_public_point: bytes, spec: KeySpec, kdf_info: bytes = b"") -> KeyInfo:
        problems.check_spec(spec)
        stored = self._usable(object_id, Usage.DERIVE, "agree on keys")
        if stored.item.algorithm != Algorithm.EC_P256 or spec.algorithm is not Algorithm.AES_256:
            raise unsupported("agree", f"{spec.algorithm.value} from {stored.item.algorithm}")
        shared = algorithms.kdf(self.derive(object_id, peer_public_point, algorithms.SECRET_BYTES), kdf_info)
        with self._store.locked():
            self._require_free(spec)
            return self._keep(spec, shared, local=False)

    def oaep_decrypt(self, object_id: bytes, ciphertext: bytes, digest: str) -> bytes:
        stored = self._usable(object_id, Usage.ENCRYPT, "decrypt")
        if not Algorithm(stored.item.algorithm).is_rsa or digest not in algorithms.OAEP:
            raise unsupported("oaep_decrypt", f"{digest} with {stored.item.algorithm}")
        try:
            return algorithms.oaep_decrypt(self._key(stored), ciphertext, digest)
        except ValueError as wrong:
            raise problems.ciphertext_invalid() from wrong

    def decapsulate(self, object_id: bytes, ciphertext: bytes) -> bytes:
        stored = self._usable(object_id, Usage.DERIVE, "open what was encapsulated")
        if not Algorithm(stored.item.algorithm).is_kem:
            raise unsupported("decapsulate", stored.item.algorithm)
        try:
            return algorithms.agree(self._key(stored), ciphertext)
        except ValueError as wrong:
            raise problems.ciphertext_invalid() from wrong

    def random(self, length: int) -> bytes:
        problems.check_length(length, most=problems.RANDOM_BYTES)
        self._token()
        return secrets.token_bytes(length)

    def destroy(self, object_id: bytes) -> int:
        self._require_login()
        with self._store.locked():
            doomed = self._objects(object_id)
            if not doomed:
                raise problems.object_missing(object_id)
            for stored in doomed:
                self._keys.pop(stored.path, None)
                self._store.remove(stored)
        return len(doomed)

    def write_data(self, item: DataObject) -> None:
        self._require_login()
        problems.check_data(item.value)
        with self._store.locked():
            older = self._data(item.application, item.label)
            self._store.add(Object(kind=Kind.DATA, application=item.application, label=item.label, value=item.value))
            for stored in older:
                self._store.remove(stored)

    def read_data(self, application: str, label: str) -> tuple[DataObject, ...]:
        self._token()
        found = self._data(application, label)
        return tuple(DataObject(application=application, label=label, value=stored.item.value) for stored in found)

    def delete_data(self, application: str, label: str) -> int:
        self._require_login()
        with self._store.locked():
            doomed = self._data(application, label)
            for stored in doomed:
                self._store.remove(stored)
        return len(doomed)

    def close(self) -> None:
        self.log_out()

    def _token(self) -> TokenRecord:
        """The token this binding means. Raises token-missing, token-wrong-serial."""
        token = self._store.token()
        if token.label != self._binding.token_label:
            raise problems.token_absent(self._binding.token_label, self._binding.serial, (token.label,))
        if self._binding.serial and token.serial != self._binding.serial:
            raise problems.wrong_serial(token.label, self._binding.serial, (token.serial,))
        return token

    def _info(self, token: TokenRecord | None) -> DeviceInfo:
        failures = token.failures if token else 0
        return DeviceInfo(
            adapter="simulation",
            vendor="HSM Console",
            model="Simulation",
            serial=token.serial if token else "",
            label=token.label if token else "",
            firmware="1",
            simulated=True,
            initialised=token is not None,
            mechanisms=("ECDH1_DERIVE", *sorted(mechanism.value for mechanism in algorithms.SIGN_MECHANISMS)),
            algorithms=algorithms.ALGORITHMS,
            sign_mechanisms=algorithms.SIGN_MECHANISMS,
            oaep=algorithms.OAEP,
            limits={"pin_tries": TRIES, "pin_min": problems.PIN_BYTES[0], "pin_max": problems.PIN_BYTES[1]},
            user_pin_low=0 < failures < TRIES,
            user_pin_final_try=failures == TRIES - 1,
            user_pin_locked=failures >= TRIES,
            remarks=(REMARK,),
        )

    def _open_user(self, pin: Secret) -> bytes:
        """The master key. A try is counted on disk before it is made, so that a crash cannot save one."""
        self._token()
        with self._store.locked():
            token = self._token()
            if token.failures >= TRIES:
                raise problems.pin_locked()
            self._store.write_token(msgspec.structs.replace(token, failures=token.failures + 1))
            try:
                master = vault.open_record(token.user, pin, "user")
            except vault.WrongPin as wrong:
                raise problems.pin_incorrect(left=TRIES - token.failures - 1) from wrong
            self._store.write_token(msgspec.structs.replace(token, failures=0))
            return master

    def _require_login(self) -> None:
        self._token()
        if not self._master:
            raise problems.not_logged_in()

    def _require_free(self, spec: KeySpec) -> None:
        for stored in self._store.objects():
            if stored.item.kind is Kind.DATA:
                continue
            if stored.item.object_id == spec.object_id:
                raise problems.label_taken(f"A key with the id {spec.object_id.hex()}")
            if stored.item.label == spec.label:
                raise problems.label_taken(f"A key with the label “{spec.label}”")

    @staticmethod
    def _require_fit(item: Object, mechanism: SignMechanism) -> None:
        if not fits(Algorithm(item.algorithm), mechanism):
            raise problems.mechanism_unsupported(mechanism, Algorithm(item.algorithm))

    def _objects(self, object_id: bytes, *, anew: bool = True) -> tuple[Stored, ...]:
        return tuple(
            stored
            for stored in self._store.objects(anew=anew)
            if stored.item.kind is not Kind.DATA and stored.item.object_id == object_id
        )

    def _private(self, object_id: bytes, *, anew: bool) -> list[Stored]:
        return [held for held in self._objects(object_id, anew=anew) if held.item.kind is not Kind.PUBLIC]

    def _data(self, application: str, label: str) -> tuple[Stored, ...]:
        return tuple(
            stored
            for stored in self._store.objects()
            if stored.item.kind is Kind.DATA and (stored.item.application, stored.item.label) == (application, label)
        )

    def _usable(self, object_id: bytes, usage: Usage | None = None, act: str = "") -> Stored:
        """The one private or secret object with this id. Raises object-missing, object-ambiguous, key-not-permitted."""
        self._require_login()
        found = self._private(object_id, anew=False) or self._private(object_id, anew=True)
        if not found:
            raise problems.object_missing(object_id)
        if len(found) > 1:
            raise problems.object_ambiguous(object_id, len(found))
        if usage is not None and usage not in found[0].item.usages:
            raise problems.not_permitted(act)
        return found[0]

    def _aes(self, object_id: bytes, usage: Usage, act: str) -> bytes:
        stored = self._usable(object_id, usage, act)
        if stored.item.algorithm != Algorithm.AES_256:
            raise problems.not_permitted(act)
        key: bytes = self._key(stored)
        return key

    def _key(self, stored: Stored) -> Any:
        """The key object, unsealed once per login. Raises `object-damaged`."""
        if stored.path not in self._keys:
            item = stored.item
            try:
                value = vault.unseal(self._master, item.nonce, item.header(), item.value)
            except InvalidTag as wrong:
                raise damaged(stored.path) from wrong
            self._keys[stored.path] = value if item.kind is Kind.SECRET else algorithms.load_private(value)
        return self._keys[stored.path]

    def _keep(self, spec: KeySpec, key: Any, *, local: bool) -> KeyInfo:
        """Store a new key. The public half first: what a crash leaves behind is then harmless."""
        base = Object(
            kind=Kind.SECRET,
            object_id=spec.object_id,
            label=spec.label,
            algorithm=spec.algorithm.value,
            usages=spec.usages,
            extractable=spec.extractable,
            always_sensitive=local,
            never_extractable=local and not spec.extractable,
            local=local,
        )
        halves = []
        try:
            if spec.algorithm.is_pair:
                public = msgspec.structs.replace(base, kind=Kind.PUBLIC, value=algorithms.spki_der(key))
                halves.append(self._store.add(public))
            halves.append(self._store.add(self._sealed(base, key)))
        except DeviceError:
            for stored in halves:  # a full disk leaves no half pair behind
                self._store.remove(stored)
            raise
        return infos([stored.item for stored in halves])[0]

    def _sealed(self, base: Object, key: Any) -> Object:
        item = msgspec.structs.replace(base, kind=Kind.SECRET if isinstance(key, bytes) else Kind.PRIVATE)
        value = key if isinstance(key, bytes) else algorithms.private_der(key)
        nonce, sealed = vault.seal(self._master, item.header(), value)
        return msgspec.structs.replace(item, nonce=nonce, value=sealed)
