"""What every kind of HSM must offer. Adapters implement `Hsm`; it runs inside a killable worker process.

The gateway never sees an adapter: it holds a `hsm_console.hsm.worker.HsmClient`, which offers the same calls
over a pipe with a deadline each. All values cross that pipe as msgspec structs of the domain.

Unsupported is a typed answer: `describe` lists algorithms and mechanisms found by probing; a call outside that
list raises `Unsupported` before anything native is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import msgspec

from hsm_console.domain.errors import DeviceError
from hsm_console.domain.keys import DeviceInfo, KeyAttributes, KeyInfo, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret


class Unsupported(DeviceError):
    """The device does not offer this; found by probing, told before anything was tried."""


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """Where a token is (CEREMONY 2): never in a script. Resolved by label and serial, not by slot number.

    adapter: entry-point name; directory: the workspace's token folder (simulation and SoftHSM keep their store
    there); serial: empty until the token is initialised; options: module path and the like.
    """

    adapter: str
    token_label: str
    directory: str = ""
    serial: str = ""
    options: dict[str, str] = {}


class DataObject(msgspec.Struct, frozen=True, kw_only=True):
    """A CKO_DATA object: application and label identify it, value is at most 4 KiB."""

    application: str
    label: str
    value: bytes


class AesGcm(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `encrypt`: the IV that was used (whoever chose it), ciphertext, 16-byte tag."""

    iv: bytes
    ciphertext: bytes
    tag: bytes


class Hsm(ABC):
    """One token of one device. Not thread-safe: the worker calls it from one thread (see `Parallel` for more).

    Every failure is a `DeviceError` (or `EnvironmentFault` when module or token are missing) whose Problem tells
    the four things; `details['ckr']` names the PKCS#11 return value where there is one. Codes that callers rely
    on: module-missing, token-missing, token-wrong-serial, pin-incorrect, pin-locked, not-logged-in, device-full,
    label-taken, object-missing, object-ambiguous, device-removed, read-only, unsupported, device-failed.
    """

    @property
    def deadlines(self) -> Mapping[str, float]:
        """Seconds by kind of call (`hsm_console.hsm.worker.DEADLINES`) where this kind of device needs its own."""
        return {}

    @abstractmethod
    def describe(self) -> DeviceInfo:
        """What the token is and can do. Needs no login. Raises token-missing, token-wrong-serial."""

    @abstractmethod
    def initialise_token(self, label: str, so_pin: Secret, user_pin: Secret) -> DeviceInfo:
        """C_InitToken + C_InitPIN on an uninitialised token. Raises label-taken when it is initialised already."""

    @abstractmethod
    def log_in(self, pin: Secret) -> None:
        """One login session per token. Never retried by anyone. Raises pin-incorrect, pin-locked."""

    @abstractmethod
    def log_out(self) -> None:
        """Forget the PIN's effect; private keys are unreachable afterwards. Harmless when not logged in."""

    @abstractmethod
    def change_pin(self, old: Secret, new: Secret) -> None: ...

    @abstractmethod
    def generate(self, spec: KeySpec) -> KeyInfo:
        """Make one key (pair) and read its attributes back. Never retried.

        Raises label-taken when an object with this label or id exists, device-full, unsupported.
        """

    @abstractmethod
    def find(self, *, object_id: bytes = b"", label: str = "") -> tuple[KeyInfo, ...]:
        """Keys with this id and/or label; all keys when neither is given. Half a pair counts as a key whose
        `attributes.token` is None and whose spki is empty (private half missing or public half missing)."""

    @abstractmethod
    def attributes(self, object_id: bytes) -> KeyAttributes:
        """Read back from the private or secret object now. Raises object-missing, object-ambiguous."""

    @abstractmethod
    def sign(self, object_id: bytes, mechanism: SignMechanism, data: bytes) -> bytes:
        """Sign the whole message `data`. ECDSA comes back as DER Ecdsa-Sig-Value, Ed25519 as 64 bytes."""

    @abstractmethod
    def verify(self, object_id: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
        """Verify in the token. Raises DeviceError `signature-invalid`; returns nothing."""

    @abstractmethod
    def encrypt(self, object_id: bytes, plaintext: bytes, aad: bytes = b"") -> AesGcm: ...

    @abstractmethod
    def decrypt(self, object_id: bytes, message: AesGcm, aad: bytes = b"") -> bytes:
        """Raises DeviceError `ciphertext-invalid`."""

    @abstractmethod
    def wrap(self, wrapping_id: bytes, object_id: bytes) -> bytes:
        """AES-KWP (RFC 5649) of the object under a wrapping key. Refused for non-extractable keys."""

    @abstractmethod
    def unwrap(self, wrapping_id: bytes, wrapped: bytes, spec: KeySpec) -> KeyInfo:
        """The key into the token. A pair needs `spec.spki`; whether both halves fit is for the caller to try."""

    @abstractmethod
    def derive(self, object_id: bytes, peer_public_point: bytes, length: int) -> bytes:
        """ECDH (X9.63 uncompressed point of the peer); `length` bytes of the raw shared secret."""

    def agree(self, object_id: bytes, peer_public_point: bytes, spec: KeySpec, kdf_info: bytes = b"") -> KeyInfo:
        """ECDH of a P-256 key into an AES-256 key in the token. Neither the secret nor the key leaves it.

        kdf_info: the key is derived from the secret and this text by the KDF of ANSI X9.63 with SHA-256; without it the
        secret itself, all 32 octets of it, is the key. Two devices that do this with each other's public point and the
        same text hold the same key. Never retried. Raises Unsupported, also for a KDF alone; then nothing was made.
        """
        del peer_public_point, spec, kdf_info
        raise unsupported("agree", f"key {object_id.hex()}")

    def oaep_decrypt(self, object_id: bytes, ciphertext: bytes, digest: str) -> bytes:
        """RSA-OAEP (RFC 8017 7.1) without label; digest: `sha256` or `sha1`, for hash and mask alike.

        `DeviceInfo.oaep` tells what the device offers. Raises DeviceError `ciphertext-invalid`, Unsupported.
        """
        del ciphertext
        raise unsupported("oaep_decrypt", f"{digest} with key {object_id.hex()}")

    def decapsulate(self, object_id: bytes, ciphertext: bytes) -> bytes:
        """The 32 octets that an ML-KEM ciphertext (FIPS 203) carries. A wrong one gives other octets, no error."""
        del ciphertext
        raise unsupported("decapsulate", f"key {object_id.hex()}")

    @abstractmethod
    def random(self, length: int) -> bytes: ...

    @abstractmethod
    def destroy(self, object_id: bytes) -> int:
        """Destroy all objects with this id; how many there were. Never retried."""

    @abstractmethod
    def write_data(self, item: DataObject) -> None:
        """Create the new object first, then destroy older ones of the same application and label (AUDIT 5.1)."""

    @abstractmethod
    def read_data(self, application: str, label: str) -> tuple[DataObject, ...]: ...

    @abstractmethod
    def delete_data(self, application: str, label: str) -> int: ...

    def attest(self, object_id: bytes) -> bytes:
        """The vendor's attestation of a key, in the vendor's own format. Raises Unsupported by default."""
        raise unsupported("attest", f"key {object_id.hex()}")

    def native_log(self, after: int) -> tuple[dict[str, str], ...]:
        """Records of the device's own audit log with a number higher than `after`, in order. Unsupported by default.

        Members: index (the device's own number, without gaps), operation (as docs/detection.md names them), result
        (`ok` or what the device answered); where the device tells them key_id (hex CKA_ID; of the key that WRAP and
        UNWRAP move) and time_ms.
        """
        raise unsupported("native_log", f"after entry {after}")

    @abstractmethod
    def close(self) -> None:
        """Give everything back. Never raises."""


class Parallel(ABC):
    """Of an `Hsm` whose device answers several calls at the same time."""

    @abstractmethod
    def lanes(self) -> tuple[Hsm, ...]:
        """Further views of the same token, one for each thread more. They share the first one's login; logging in
        and out, PINs and initialising are asked of the first one, while no view is in use."""


AdapterFactory = Callable[[Binding], Hsm]
"""What an entry point in group `hsm_console.adapters` names. Called inside the worker, after its environment is set."""


def unsupported(what: str, detail: str = "") -> Unsupported:
    """A ready `Unsupported` for a call this device does not offer."""
    from hsm_console.domain.errors import Problem

    return Unsupported(
        Problem(
            code="unsupported",
            what=f"This device does not offer “{what}”.",
            todo="Choose another algorithm or another device; `hsm-console adapter probe` lists what this one offers.",
            details={"detail": detail} if detail else {},
        )
    )
