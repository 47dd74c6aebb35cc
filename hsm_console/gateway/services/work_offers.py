"""What can be made and what one key may do: answers for a page that offers nothing it would refuse."""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import re

from hsm_console.domain import keyuse
from hsm_console.domain.keys import Algorithm, Custody, DeviceInfo, Usage
from hsm_console.domain.keyuse import Act
from hsm_console.domain.messages import work as msg
from hsm_console.gateway.app import Call, not_found
from hsm_console.gateway.core import Core
from hsm_console.gateway.services import work_keys

WRAPPED = "wrapped"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TITLES = {
    Algorithm.RSA_2048: "RSA, 2048 bits",
    Algorithm.RSA_3072: "RSA, 3072 bits",
    Algorithm.RSA_4096: "RSA, 4096 bits",
    Algorithm.EC_P256: "Elliptic curve P-256",
    Algorithm.EC_P384: "Elliptic curve P-384",
    Algorithm.EC_P521: "Elliptic curve P-521",
    Algorithm.ED25519: "Ed25519",
    Algorithm.AES_256: "AES, 256 bits (secret)",
    Algorithm.HMAC_SHA256: "HMAC with SHA-256 (secret)",
}


class Offers:
    """Handlers that only look."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def offers(self, call: Call) -> list[msg.KeyOffer]:
        """What kinds of keys can be made now"""
        self._core.device.hsm()  # raises `device-locked`
        info = self._core.device.info
        if info is None:
            return []
        made = [(name, Custody.DEVICE) for name in info.algorithms]
        made += [(name, Custody.SOFTWARE_WRAPPED) for name in info.software_algorithms]
        return [_offer(name, custody, info) for name, custody in made if _usages(name, info)]

    def detail(self, call: Call) -> msg.KeyDetail:
        """What may be done with one key, and why not the rest"""
        key = work_keys.find(self._core, call.params["id"])
        refused = {act.value: reason for act in Act if (reason := self._why_not(key, act))}
        row = key.row
        return msg.KeyDetail(
            key_id=row.object_id,
            label=row.label,
            algorithm=key.algorithm,
            usages=row.attributes.usages,
            acts=tuple(act.value for act in Act if act.value not in refused),
            why_not=refused,
            mechanisms=keyuse.mechanisms(key.algorithm) if Usage.SIGN in row.attributes.usages else (),
            custody=row.custody,
            custody_words=row.custody.meaning,
            purpose=row.purpose,
            state=row.state,
        )

    def _why_not(self, key: work_keys.Held, act: Act) -> str:
        """For a page: with the device's own limits, where it was asked already."""
        reason, info = work_keys.why_not(key, act), self._core.device.info
        if not reason and info is not None and key.algorithm.is_rsa and act in (Act.ENCRYPT, Act.DECRYPT):
            return "" if info.oaep else "The device does not decrypt RSA-OAEP."
        return reason

    def wrapped(self, call: Call) -> msg.WrappedKey:
        """A key that left the device under a wrapping key"""
        name = call.params["sha256"]
        path = self._core.home.directory / WRAPPED / f"{name}.bin"
        if not _SHA256.fullmatch(name) or not path.is_file():
            raise not_found(f"No wrapped key with the SHA-256 “{name[:64]}” was left in this workspace.")
        return msg.WrappedKey(sha256=name, data=path.read_bytes())


def title(algorithm: Algorithm) -> str:
    """What people call it."""
    return _TITLES.get(algorithm, algorithm.value.upper())


def _offer(algorithm: Algorithm, custody: Custody, info: DeviceInfo) -> msg.KeyOffer:
    fitting = keyuse.mechanisms(algorithm)
    return msg.KeyOffer(
        algorithm=algorithm,
        title=title(algorithm),
        usages=_usages(algorithm, info),
        mechanisms=tuple(name for name in fitting if name in info.sign_mechanisms),
        custody=custody,
        note=custody.meaning if custody is Custody.SOFTWARE_WRAPPED else "",
    )


def _usages(algorithm: Algorithm, info: DeviceInfo) -> tuple[Usage, ...]:
    """What the device lets such a key be used for: no RSA key for decryption where there is no OAEP, and so on."""
    found = keyuse.usages(algorithm)
    if algorithm.is_rsa and not info.oaep:
        found = tuple(usage for usage in found if usage is not Usage.ENCRYPT)
    if algorithm.is_ec and info.adapter != "simulation" and "ECDH1_DERIVE" not in info.mechanisms:
        found = tuple(usage for usage in found if usage is not Usage.DERIVE)
    return found
