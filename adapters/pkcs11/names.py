"""Whether an id or a label is free in a token, without searching all of a large one for each new key.

A search compares every object where the module has no index: in a SoftHSM token of ten thousand pairs that takes most
of a second, twice for each key. Once searches are found to be slow, the names are read once and kept up to date with
what is made here. What another program makes meanwhile is seen at the next reading, two minutes later at the most; a
name that is found taken is searched for again before anybody is refused.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from pkcs11 import Attribute

from adapters import problems
from adapters.pkcs11 import listing, objects
from adapters.pkcs11.raw import RawModule
from hsm_console.domain.keys import KeySpec

SLOW_S = 0.05
KEPT_S, MOST_S = 30.0, 120.0
_ASKED = (Attribute.ID, Attribute.LABEL)


class Names:
    """Of one token, for all its lanes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[bytes] = set()
        self._labels: set[str] = set()
        self._until = 0.0
        self._slow = False

    def require_free(self, raw: RawModule, session: Any, mapper: Any, spec: KeySpec) -> None:
        """Raises DeviceError `label-taken`."""
        if self._slow and self._free(raw, session, mapper, spec):
            return
        began = time.monotonic()
        if objects.taken(session, Attribute.ID, spec.object_id):
            raise problems.label_taken(f"A key with the id {spec.object_id.hex()}")
        if objects.taken(session, Attribute.LABEL, spec.label):
            raise problems.label_taken(f"A key with the label “{spec.label}”")
        self._slow = time.monotonic() - began > 2 * SLOW_S

    def made(self, spec: KeySpec) -> None:
        """A key was made here under these names."""
        with self._lock:
            self._ids.add(spec.object_id)
            self._labels.add(spec.label)

    def _free(self, raw: RawModule, session: Any, mapper: Any, spec: KeySpec) -> bool:
        """By what was read; False when it has to be searched for."""
        with self._lock:
            if time.monotonic() >= self._until and not self._read(raw, session, mapper):
                return False
            return spec.object_id not in self._ids and spec.label not in self._labels

    def _read(self, raw: RawModule, session: Any, mapper: Any) -> bool:
        began = time.monotonic()
        try:
            found = listing.values(raw, session.handle, mapper, _ASKED, most=objects.MOST_OBJECTS)
        except listing.Unlisted:
            self._slow = False
            return False
        self._ids = {bytes(values.get(Attribute.ID) or b"") for values in found}
        self._labels = {str(values.get(Attribute.LABEL) or "") for values in found}
        now = time.monotonic()
        self._until = now + min(MOST_S, max(KEPT_S, 20 * (now - began)))  # reading is to be a small part of the work
        return True
