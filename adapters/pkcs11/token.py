"""A token behind a PKCS#11 module, as an `Hsm`. What differs between vendors stands in their profiles."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pkcs11 import Attribute, Mechanism, ObjectClass

from adapters import problems
from adapters.pkcs11 import aes, capabilities, encoding, encryption, generation, objects, signing
from adapters.pkcs11.errors import told
from adapters.pkcs11.module import Module, load
from adapters.pkcs11.numbers import Numbers
from adapters.pkcs11.profile import Profile
from adapters.pkcs11.roles import may_not_generate
from adapters.pkcs11.session import Login, Sessions, lanes_of
from adapters.pkcs11.templates import check
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, DeviceInfo, KeyAttributes, KeyInfo, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import AesGcm, Binding, DataObject, Hsm, Parallel, unsupported

_TELLING = 8  # so many equal bytes are no chance
# The last one: a call that failed half way left its operation in the session.
_SESSION_GONE = ("CKR_SESSION_HANDLE_INVALID", "CKR_SESSION_CLOSED", "CKR_OPERATION_ACTIVE")
# After these some modules still hold the operation that failed: the next call would be refused for it.
_UNCLEAN = ("CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_DEVICE_ERROR")


class Pkcs11Token(Hsm, Parallel):
    """One token of one module. See the port for what each call means. login: another view's, to share it."""

    def __init__(
        self, binding: Binding, profile: Profile, module: Module | None = None, login: Login | None = None
    ) -> None:
        self.profile = profile
        self.module = module or load(profile, binding)
        self.sessions = Sessions(self.module, profile, binding, login)
        self._iv = aes.rule_of(binding, profile)
        self.numbers = Numbers(profile, self._iv)
        self._offered: set[Any] | None = None
        self._keys: dict[bytes, objects.Found] = {}
        self._epoch = 0

    @property
    def deadlines(self) -> Mapping[str, float]:
        return self.profile.deadlines

    def lanes(self) -> tuple[Hsm, ...]:
        binding = self.sessions.binding
        wanted = lanes_of(binding, self.profile)
        return tuple(self._view() for _ in range(wanted - 1))

    def _view(self) -> Pkcs11Token:
        """Another view of the same token and login; of the same kind where a subclass tells things its own way."""
        return Pkcs11Token(self.sessions.binding, self.profile, self.module, self.sessions.login)

    def describe(self) -> DeviceInfo:
        with self._told("describe"):
            try:
                token = self.sessions.token()
            except ConsoleError as missing:
                blank = self.sessions.blank() if missing.problem.code == "token-missing" else None
                if blank is None:
                    raise
                token = blank
            offered = self._mechanisms(token)
            role, version_3_2 = self.sessions.role, self.module.raw.version_3_2
            return capabilities.describe(token, offered, self.profile, role, self.numbers, version_3_2=version_3_2)

    def initialise_token(self, label: str, so_pin: Secret, user_pin: Secret) -> DeviceInfo:
        if not self.profile.can_initialise:
            raise unsupported("initialise_token", "use the vendor's tool")
        problems.check_pin(so_pin)
        problems.check_pin(user_pin)
        problems.check_token_label(label, self.sessions.label)
        self.sessions.initialise(label, so_pin, user_pin)
        self._offered = None
        return self.describe()

    def log_in(self, pin: Secret) -> None:
        self.sessions.log_in(pin)

    def log_out(self) -> None:
        self._keys.clear()
        self.sessions.log_out()

    def change_pin(self, old: Secret, new: Secret) -> None:
        if not self.profile.can_set_pin:
            raise unsupported("change_pin", "use the vendor's tool")
        problems.check_pin(old)
        problems.check_pin(new)
        self.sessions.change_pin(old, new)

    def generate(self, spec: KeySpec) -> KeyInfo:
        session = self.sessions.require_login()
        problems.check_spec(spec, self.profile.id_bytes)
        self._require_maker("generate")
        with self._told("generate"):
            if not self.profile.can_generate or spec.algorithm not in self._algorithms():
                raise problems.algorithm_unsupported(spec.algorithm)
            if spec.algorithm.is_ec and Usage.DERIVE in spec.usages:
                self._require(self._derives(), "derive")
            self._require_free(session, spec)
            made = generation.generate(session, self.sessions.mapper, self.profile, self.numbers, spec)
            self.sessions.login.names.made(spec)
            return objects.as_made(spec, made)

    def find(self, *, object_id: bytes = b"", label: str = "") -> tuple[KeyInfo, ...]:
        session = self.sessions.require_login()
        with self._told("find"):
            if not object_id and not label:
                return objects.infos(objects.everything(self.module.raw, session, self.sessions.mapper))
            found = objects.search(session, object_id=object_id, label=label)
            if label:  # the other half may carry another label
                found = [
                    each
                    for i in dict.fromkeys(f.object_id for f in found)
                    for each in objects.all_of(session, i, found)
                ]
            return objects.infos(found)

    def attributes(self, object_id: bytes) -> KeyAttributes:
        self._keys.pop(object_id, None)
        with self._told("attributes"):
            return objects.attributes(self._key(object_id).handle)

    def sign(self, object_id: bytes, mechanism: SignMechanism, data: bytes) -> bytes:
        with self._told("sign", object_id):
            key = self._usable(object_id, "sign", "sign")
            native, parameter, message = self._signing(key.algorithm, mechanism, data)
            signature: bytes = key.handle.sign(message, mechanism=native, mechanism_param=parameter)
        if not encoding.signature_fits(key.algorithm, signature):
            raise problems.answer_unusable("sign", f"a signature of {len(signature)} bytes")
        return encoding.ecdsa_to_der(signature) if key.algorithm.is_ec else signature

    def verify(self, object_id: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
        session = self.sessions.require_login()
        if not self.profile.verifies:
            raise unsupported("verify", "the console verifies with the public key")
        with self._told("verify", object_id):
            key = self._verifier(session, object_id)
            native, parameter, message = self._signing(key.algorithm, mechanism, data)
            try:
                raw = encoding.ecdsa_from_der(signature, key.algorithm) if key.algorithm.is_ec else signature
            except ValueError as wrong:
                raise problems.signature_invalid() from wrong
            if not key.handle.verify(message, raw, mechanism=native, mechanism_param=parameter):
                raise problems.signature_invalid()

    def encrypt(self, object_id: bytes, plaintext: bytes, aad: bytes = b"") -> AesGcm:
        with self._told("encrypt", object_id):
            key = self._aes(object_id, "encrypt", "encrypt")
            self._require_gcm()
            if self.profile.gcm_bytes:
                problems.check_length(len(plaintext), most=self.profile.gcm_bytes)
            return aes.encrypt(self.module.raw, key.handle, self._iv, self.numbers, plaintext, aad)

    def decrypt(self, object_id: bytes, message: AesGcm, aad: bytes = b"") -> bytes:
        with self._told("decrypt", object_id):
            key = self._aes(object_id, "decrypt", "decrypt")
            self._require_gcm()
            return aes.decrypt(self.module.raw, key.handle, self._iv, self.numbers, message, aad)

    def wrap(self, wrapping_id: bytes, object_id: bytes) -> bytes:
        self._require(self.profile.wraps, "wrap")
        with self._told("wrap", object_id):
            wrapping = self._aes(wrapping_id, "wrap_key", "wrap keys")
            target = self._key(object_id)
            if objects.attributes(target.handle).extractable is False:
                raise problems.not_extractable()
            return aes.wrap(wrapping.handle, target.handle, self._mechanisms())

    def unwrap(self, wrapping_id: bytes, wrapped: bytes, spec: KeySpec) -> KeyInfo:
        session = self.sessions.require_login()
        problems.check_spec(spec, self.profile.id_bytes)
        self._require(self.profile.wraps, "unwrap")
        self._require_maker("unwrap")
        with self._told("unwrap", wrapping_id):
            wrapping = self._aes(wrapping_id, "unwrap_key", "unwrap keys")
            self._require_free(session, spec)
            mapper, offered = self.sessions.mapper, self._mechanisms()
            return objects.as_made(
                spec, aes.unwrap(session, wrapping.handle, mapper, self.profile, wrapped, spec, offered)
            )

    def derive(self, object_id: bytes, peer_public_point: bytes, length: int) -> bytes:
        self._require(self.profile.derives, "derive")
        with self._told("derive", object_id):
            key = self._usable(object_id, "derive_key", "agree on secrets")
            if not key.algorithm.is_ec or not self._derives() or self.profile.token_objects_only:
                raise unsupported("derive", key.algorithm.value)
            shared = generation.derive(key, self.sessions.mapper, peer_public_point)
        problems.check_length(length, most=len(shared))
        return shared[:length]

    def agree(self, object_id: bytes, peer_public_point: bytes, spec: KeySpec, kdf_info: bytes = b"") -> KeyInfo:
        session = self.sessions.require_login()
        problems.check_spec(spec)
        with self._told("agree", object_id):
            key = self._usable(object_id, "derive_key", "agree on keys")
            if key.algorithm is not Algorithm.EC_P256 or spec.algorithm is not Algorithm.AES_256:
                raise unsupported("agree", f"{spec.algorithm.value} from {key.algorithm.value}")
            self._require_free(session, spec)
            return objects.as_made(
                spec, [generation.agree(key, self.sessions.mapper, self.profile, peer_public_point, spec, kdf_info)]
            )

    def oaep_decrypt(self, object_id: bytes, ciphertext: bytes, digest: str) -> bytes:
        if digest not in capabilities.oaep(self._mechanisms(), self.profile):
            raise unsupported("oaep_decrypt", digest)
        with self._told("decrypt", object_id):
            key = self._usable(object_id, "decrypt", "decrypt")
            if not key.algorithm.is_rsa:
                raise problems.not_permitted("decrypt")
            return encryption.oaep_decrypt(key.handle, ciphertext, digest)

    def decapsulate(self, object_id: bytes, ciphertext: bytes) -> bytes:
        with self._told("decapsulate", object_id):
            key = self._usable(object_id, "decapsulate_key", "open what was encapsulated")
            if Mechanism.ML_KEM not in self._mechanisms() or self.profile.token_objects_only:
                raise unsupported("decapsulate", key.algorithm.value)
            return encryption.decapsulate(key.handle, self.sessions.mapper, ciphertext)

    def random(self, length: int) -> bytes:
        least, most = self.profile.random_bytes
        problems.check_length(length, most=most)
        with self._told("random"):
            wanted = max(length, least, _TELLING)
            before = os.urandom(wanted)
            drawn = self.module.raw.random(self.sessions.work().handle, wanted, before)
        if drawn == before or not any(drawn):
            raise problems.answer_unusable("random", "no random bytes were written")
        return drawn[:length]

    def destroy(self, object_id: bytes) -> int:
        session = self.sessions.require_login()
        self._require_maker("destroy")
        with self._told("destroy"):
            doomed = objects.search(session, object_id=object_id)
            if not doomed:
                raise problems.object_missing(object_id)
            self._keys.pop(object_id, None)
            for each in doomed:
                each.handle.destroy()
            self.sessions.login.epoch += 1  # other lanes forget their handles
        return len(doomed)

    def write_data(self, item: DataObject) -> None:
        session = self.sessions.require_login()
        self._require(self.profile.data_objects, "data objects")
        problems.check_data(item.value)
        template = {
            Attribute.CLASS: ObjectClass.DATA,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: self.profile.data_private,
            Attribute.APPLICATION: item.application,
            Attribute.LABEL: item.label,
            Attribute.VALUE: item.value,
        }
        with self._told("write_data"):
            older = objects.data(session, item.application, item.label)
            session.create_object(check(self.sessions.mapper, template))
            for handle in older:
                handle.destroy()

    def read_data(self, application: str, label: str) -> tuple[DataObject, ...]:
        self._require(self.profile.data_objects, "data objects")
        if self.profile.data_private:
            self.sessions.require_login()
        with self._told("read_data"):
            values = [handle[Attribute.VALUE] for handle in objects.data(self.sessions.work(), application, label)]
        return tuple(DataObject(application=application, label=label, value=bytes(value)) for value in values)

    def delete_data(self, application: str, label: str) -> int:
        session = self.sessions.require_login()
        self._require(self.profile.data_objects, "data objects")
        with self._told("delete_data"):
            doomed = objects.data(session, application, label)
            for handle in doomed:
                handle.destroy()
        return len(doomed)

    def attest(self, object_id: bytes) -> bytes:
        recipe = self.profile.attestation
        if recipe is None:
            raise unsupported("attest", f"key {object_id.hex()}")
        todo = f"The vendor's tool does it: {recipe.command}. Verify it without a network: {recipe.verify}."
        raise problems.ask_the_vendors_tool("an attestation of a key", recipe.proves, todo, object_id=object_id.hex())

    def native_log(self, after: int) -> tuple[dict[str, str], ...]:
        if not self.profile.audit_hint:
            raise unsupported("native_log", f"after entry {after}")
        raise problems.ask_the_vendors_tool("its own log", "", self.profile.audit_hint)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.log_out()
        with contextlib.suppress(Exception):
            self.module.close()

    @contextlib.contextmanager
    def _told(self, method: str, object_id: bytes = b"") -> Iterator[None]:
        """Translate what native code says; forget handles that it no longer knows."""
        try:
            with told(method, self.profile):
                yield
        except ConsoleError as error:
            code, ckr = error.problem.code, error.problem.details.get("ckr", "")
            if code in ("object-missing", "device-removed") or ckr in _SESSION_GONE:
                self._keys.clear()
            if code == "object-missing" and object_id and "object_id" not in error.problem.details:
                raise problems.object_missing(object_id) from error
            if ckr in _UNCLEAN:
                self._keys.clear()
                self.sessions.renew()
            if ckr in _SESSION_GONE and self.sessions.renew():
                raise problems.session_lost(method, ckr) from error
            if code == "device-removed":
                self.sessions.forget()
            raise

    def _mechanisms(self, token: Any = None) -> set[Any]:
        if self._offered is None:
            chosen = self.sessions.token() if token is None else token
            self._offered = self.numbers.standard(chosen.slot.get_mechanisms())
        return self._offered

    def _algorithms(self) -> tuple[Algorithm, ...]:
        slot = self.sessions.token().slot
        role, version_3_2 = self.sessions.role, self.module.raw.version_3_2
        return capabilities.algorithms(slot, self._mechanisms(), self.profile, role, version_3_2=version_3_2)

    def _require_maker(self, act: str) -> None:
        if not self.sessions.role.generates:
            raise may_not_generate(act, self.profile)

    def _derives(self) -> bool:
        return self.profile.derives and Mechanism.ECDH1_DERIVE in self._mechanisms()

    def _require_gcm(self) -> None:
        self._require(Mechanism.AES_GCM in self._mechanisms(), "AES-GCM")

    @staticmethod
    def _require(offered: bool, what: str) -> None:
        if not offered:
            raise unsupported(what)

    def _require_free(self, session: Any, spec: KeySpec) -> None:
        self.sessions.login.names.require_free(self.module.raw, session, self.sessions.mapper, spec)

    def _key(self, object_id: bytes) -> objects.Found:
        """The one private or secret object with this id; remembered until logout."""
        session = self.sessions.require_login()
        if self._epoch != self.sessions.login.epoch:
            self._epoch = self.sessions.login.epoch
            self._keys.clear()
        if object_id not in self._keys:
            kinds = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
            found = objects.search(session, kinds, object_id=object_id)
            if not found:
                raise problems.object_missing(object_id)
            if len(found) > 1:
                raise problems.object_ambiguous(object_id, len(found))
            self._keys[object_id] = found[0]
        return self._keys[object_id]

    def _usable(self, object_id: bytes, method: str, act: str) -> objects.Found:
        """python-pkcs11 gives an object only the methods that its attributes allow."""
        key = self._key(object_id)
        if not hasattr(key.handle, method):
            raise problems.not_permitted(act)
        return key

    def _aes(self, object_id: bytes, method: str, act: str) -> objects.Found:
        key = self._usable(object_id, method, act)
        if key.algorithm is not Algorithm.AES_256:
            raise problems.not_permitted(act)
        return key

    def _verifier(self, session: Any, object_id: bytes) -> objects.Found:
        public = objects.search(session, (ObjectClass.PUBLIC_KEY,), object_id=object_id)
        if len(public) > 1:
            raise problems.object_ambiguous(object_id, len(public))
        if not public:
            return self._usable(object_id, "verify", "verify")
        if not hasattr(public[0].handle, "verify"):
            raise problems.not_permitted("verify")
        return public[0]

    def _signing(self, algorithm: Algorithm, mechanism: SignMechanism, data: bytes) -> tuple[Mechanism, Any, bytes]:
        return signing.prepared(algorithm, mechanism, data, self._mechanisms(), self.numbers)
