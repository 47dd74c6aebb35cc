"""What an entry is about, as OCSF objects: the device with the workstation's boot, keys and data.

They are the same in entry after entry; what comes again is encoded once.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import quote

import msgspec

from hsm_console.audit import canonical
from hsm_console.domain.events import LogCreated
from hsm_console.domain.keys import DeviceInfo


def device(info: DeviceInfo | None, boot_id: str) -> msgspec.Raw:
    """The HSM, and which boot of the workstation it was."""
    return _device(_token(info), boot_id)


def _token(device: DeviceInfo | None) -> tuple[str, ...]:
    """What entries say of the token, as something that can be looked up by."""
    return (device.model, device.label, device.vendor, device.firmware, device.serial) if device is not None else ()


@functools.lru_cache(maxsize=64)
def _device(token: tuple[str, ...], boot_id: str) -> msgspec.Raw:
    """The workstation's boot and the token: the same in entry after entry."""
    value: dict[str, Any] = {"boot_uid": boot_id, "type": "HSM", "type_id": 99}
    if token:
        model, label, vendor, firmware, serial = token
        value |= {"model": model, "name": label, "vendor_name": vendor}
        value["hw_info"] = {"bios_ver": firmware, "serial_number": serial}
    return canonical.part(value)


def resources(event: Any, device: DeviceInfo | None) -> list[dict[str, Any]]:
    """The keys and the data that an event names."""
    found = []
    for key in event.keys if isinstance(event, LogCreated) else ():
        found.append({"name": key.label, "type": "key", "uid": pkcs11_uri(device, key.object_id, key.label)})
    key_id, label = getattr(event, "key_id", ""), getattr(event, "label", "")
    if key_id or label:
        found.append({"name": label or key_id, "type": "key", "uid": pkcs11_uri(device, key_id, label)})
    if getattr(event, "input_sha256", ""):
        found.append({"name": event.input_name or "input", "type": "data", "uid": f"sha256:{event.input_sha256}"})
    return found


def pkcs11_uri(device: DeviceInfo | None, object_id: str, label: str) -> str:
    """RFC 7512 URI of a key: token label and serial, CKA_LABEL, CKA_ID (percent-encoded bytes)."""
    return _uri((device.label, device.serial) if device is not None else (), object_id, label)


@functools.lru_cache(maxsize=1024)
def _uri(token: tuple[str, ...], object_id: str, label: str) -> str:
    path = []
    if token:
        path += [f"token={_escape(token[0])}", f"serial={_escape(token[1])}"]
    if label:
        path.append(f"object={_escape(label)}")
    if object_id:
        path.append("id=" + "".join(f"%{byte:02X}" for byte in bytes.fromhex(object_id)))
    return "pkcs11:" + ";".join(path)


def _escape(text: str) -> str:
    return quote(text, safe="-._~")
