"""Encrypting and decrypting: envelopes in published forms, opened by the device's key.

Pairs get CMS (RFC 5083), secret keys get JWE (RFC 7516); see `crypto/envelope`. Encrypting for a pair takes only its
public part, so the device is not asked; it is announced and recorded all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsm_console.crypto.envelope import cms, jwe
from hsm_console.domain import events as ev
from hsm_console.domain.errors import DeviceError, ExitCode, Problem, VerificationFailed
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.keyuse import Act
from hsm_console.domain.messages import work as msg
from hsm_console.gateway.app import Call
from hsm_console.gateway.core import Core
from hsm_console.gateway.device import Device
from hsm_console.gateway.services import work_keys
from hsm_console.gateway.services.recorded import perform
from hsm_console.gateway.services.work_keys import MESSAGE_BYTES, SEALED_BYTES, Held, unusable
from hsm_console.hsm.port import AesGcm, unsupported

AAD_BYTES = 4 * 1024
CMS, JWE = "cms", "jwe"


@dataclass(frozen=True)
class _Key:
    """The private or secret part of one key, in the device: what an envelope asks of it."""

    device: Device
    object_id: bytes

    def encrypt(self, plaintext: bytes, aad: bytes) -> AesGcm:
        sealed: AesGcm = self.device.run("encrypt", self.object_id, plaintext, aad)
        return sealed

    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes:
        message = AesGcm(iv=iv, ciphertext=ciphertext, tag=tag)
        plain: bytes = self.device.run("decrypt", self.object_id, message, aad)
        return plain

    def oaep_decrypt(self, ciphertext: bytes, digest: str) -> bytes:
        plain: bytes = self.device.run("oaep_decrypt", self.object_id, ciphertext, digest)
        return plain

    def derive(self, point: bytes, length: int) -> bytes:
        shared: bytes = self.device.run("derive", self.object_id, point, length)
        return shared

    def decapsulate(self, ciphertext: bytes) -> bytes:
        shared: bytes = self.device.run("decapsulate", self.object_id, ciphertext)
        return shared


class Envelopes:
    """Handlers of /v1/work/encrypt and /v1/work/decrypt."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def encrypt(self, call: Call) -> msg.EncryptReply:
        """Encrypt for a key of this workspace"""
        wish: msg.EncryptRequest = call.body
        core = self._core
        work_keys.require_size(wish.data, SEALED_BYTES, "The message")
        _require_aad(wish.aad)
        key = work_keys.require(core, call.session, wish.key_id, Act.ENCRYPT)
        on_device, oaep = not key.algorithm.is_pair, ""
        if on_device:
            core.device.require_open()
        elif key.algorithm.is_rsa:
            oaep = self._oaep()

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, tuple[bytes, str]]:
            envelope, method = self._sealed(key, wish, oaep)
            return work_keys.outcome(announced, key, output=envelope), (envelope, method)

        intent = work_keys.intent(Operation.ENCRYPT, key, wish.data, wish.name)
        recorded, (envelope, method) = perform(core, call.session, intent, act, on_device=on_device)
        return msg.EncryptReply(
            envelope=envelope,
            entry=recorded.seq,
            time_ms=recorded.time_ms,
            format=JWE if on_device else CMS,
            method=method,
        )

    def _oaep(self) -> str:
        """The best hash that the device opens RSA-OAEP with: nothing is encrypted that could not be opened again."""
        info = self._core.device.info
        if info is None or not info.oaep:
            raise unsupported("RSA-OAEP", "the device was not asked yet" if info is None else "")
        return info.oaep[0]

    def _sealed(self, key: Held, wish: msg.EncryptRequest, oaep: str) -> tuple[bytes, str]:
        if not key.algorithm.is_pair:
            return jwe.seal(key.row.object_id, wish.data, wish.aad, _Key(self._core.device, key.object_id))
        envelope = cms.seal(key.algorithm, key.spki, wish.data, wish.aad, oaep=oaep)
        if key.algorithm.is_rsa:
            return envelope, f"AES-256-GCM, its key encrypted with RSA-OAEP and {oaep.upper()} (CMS)"
        if key.algorithm.is_ec:
            return envelope, "AES-256-GCM, its key wrapped under an agreed one: ECDH and X9.63 (CMS)"
        return envelope, f"AES-256-GCM, its key wrapped under an encapsulated one: {key.algorithm.value.upper()} (CMS)"

    def decrypt(self, call: Call) -> msg.DecryptReply:
        """Open an envelope with a key of the device"""
        wish: msg.DecryptRequest = call.body
        core = self._core
        work_keys.require_size(wish.envelope, MESSAGE_BYTES + 2 * 1024 * 1024, "The envelope")
        _require_aad(wish.aad)
        key = work_keys.require(core, call.session, wish.key_id, Act.DECRYPT)
        try:
            found = cms.parse(wish.envelope) if key.algorithm.is_pair else jwe.parse(wish.envelope)
        except cms.Unreadable as broken:
            raise _unreadable(str(broken)) from broken
        core.device.require_open()

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, bytes]:
            data = self._opened(key, found, wish.aad)
            return work_keys.outcome(announced, key), data  # no digest of what was secret stands in the log

        intent = work_keys.intent(Operation.DECRYPT, key, wish.envelope, wish.name)
        recorded, data = perform(core, call.session, intent, act)
        return msg.DecryptReply(data=data, entry=recorded.seq, time_ms=recorded.time_ms)

    def _opened(self, key: Held, found: cms.Envelope | tuple[jwe.Jwe, jwe.Header], aad: bytes) -> bytes:
        own = _Key(self._core.device, key.object_id)
        try:
            if isinstance(found, cms.Envelope):
                return cms.open_sealed(found, key.algorithm, key.spki, aad, own)
            return jwe.open_sealed(*found, key.row.object_id, aad, own)
        except cms.NotOpened as wrong:
            raise _invalid(str(wrong)) from wrong
        except cms.Unreadable as broken:
            raise _unreadable(str(broken)) from broken
        except DeviceError as error:
            if error.problem.code in ("ciphertext-invalid", "point-unusable"):
                raise _invalid("the device could not open it with this key") from error
            raise


def _require_aad(aad: bytes) -> None:
    if len(aad) > AAD_BYTES:
        raise unusable("aad-too-long", f"What is bound has at most {AAD_BYTES} octets.", "Bind a digest of it instead.")


def _invalid(why: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="ciphertext-invalid",
            what=f"The envelope cannot be opened: {why}.",
            key_state="The key is unchanged. Nothing of the content was given out.",
            todo="Check that this is the right key and that the bound text is the same; else ask for the file again.",
            contact="whoever sent the file",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _unreadable(why: str) -> Exception:
    return unusable(
        "envelope-unreadable",
        f"The file is no envelope that this console can open: {why}.",
        "Choose a file that `encrypt` made (CMS or JWE), or ask the sender for one of these forms.",
    )
