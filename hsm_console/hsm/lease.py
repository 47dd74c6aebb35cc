"""While a step of a ceremony works on a device, nobody else's call comes between its calls. A lease runs out."""

from __future__ import annotations

import time

from hsm_console.domain.errors import DeviceError, Problem

SECONDS = 300.0  # more than the longest call of a ceremony, an RSA pair on a small device


class Lease:
    """Held by the thread that took it. what: for people who wait."""

    __slots__ = ("ended", "holder", "until", "what")

    def __init__(self, holder: int, what: str, seconds: float) -> None:
        self.holder = holder
        self.what = what
        self.until = time.monotonic() + seconds
        self.ended = False

    @property
    def in_force(self) -> bool:
        return not self.ended and time.monotonic() < self.until

    def require(self) -> None:
        """Raises DeviceError `lease-expired`: something of others may have come between by now."""
        if not self.in_force:
            raise DeviceError(
                Problem(
                    code="lease-expired",
                    what=f"“{self.what}” took longer than the device was reserved for; others were let in.",
                    key_state="The last call was not made. What was made before it stands in the log.",
                    todo="Look at the log and at the list of keys, then do the step again.",
                    contact="the administrator of the HSM",
                )
            )
