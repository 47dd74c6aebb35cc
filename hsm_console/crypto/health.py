"""Continuous health tests of a source of random octets: NIST SP 800-90B 4.4, on the raw source, before any mixing.

They find a source that died: one octet for ever (repetition count) or far too often (adaptive proportion). They do not
prove that a source is good. The cutoffs assume six bits of entropy an octet, where a sound source has nearly eight,
and stop a sound one once in 2^40 octets or windows.
"""

from __future__ import annotations

import math

from hsm_console.domain.errors import EnvironmentFault, Problem

ENTROPY_BITS = 6  # H of the standard, an octet
ALPHA_BITS = 40  # a false alarm is as likely as 2^-40
WINDOW = 512  # for sources that are not binary
START_OCTETS = 1024  # 4.3, item 4: at least 1,024 consecutive samples at the start


def repetition_cutoff() -> int:
    """4.4.1: C = 1 + ceil(-log2(alpha) / H)."""
    return 1 + math.ceil(ALPHA_BITS / ENTROPY_BITS)


def proportion_cutoff() -> int:
    """4.4.2: C = 1 + critbinom(W, 2^-H, 1 - alpha): the smallest count that a sound source nearly never reaches."""
    chance, tail = 2.0**-ENTROPY_BITS, 0.0
    for count in range(WINDOW, 0, -1):
        tail += math.comb(WINDOW, count) * chance**count * (1 - chance) ** (WINDOW - count)
        if tail > 2.0**-ALPHA_BITS:
            return 1 + count
    return WINDOW  # not reached with these constants


class Health:
    """Both tests over everything that one source ever gave in this run. Not thread-safe. name: for people."""

    def __init__(self, name: str) -> None:
        self.started = False
        self.passed = 0  # octets in a row without a failure, the start-up test included
        self._name = name
        self._last = -1
        self._run = 0
        self._first = -1  # the octet that this window counts
        self._seen = 0
        self._same = 0
        self._most_run = repetition_cutoff()
        self._most_same = proportion_cutoff()

    def start(self, octets: bytes) -> None:
        """The start-up test; these octets are not used for anything else. Raises ValueError when they are too few."""
        if len(octets) < START_OCTETS:
            raise ValueError(f"the start-up test takes {START_OCTETS} octets or more")
        self.require(octets)
        self.started = True

    def require(self, octets: bytes) -> None:
        """Raises EnvironmentFault `random-source-stuck`; the start-up test is due again then."""
        for octet in octets:
            self._repetition(octet)
            self._proportion(octet)
        self.passed += len(octets)

    def _repetition(self, octet: int) -> None:
        self._run = self._run + 1 if octet == self._last else 1
        self._last = octet
        if self._run >= self._most_run:
            raise self._stuck(f"it gave the same octet {self._run} times in a row")

    def _proportion(self, octet: int) -> None:
        if self._seen == 0:
            self._first, self._same = octet, 0
        self._same += octet == self._first
        self._seen = (self._seen + 1) % WINDOW
        if self._same >= self._most_same:
            raise self._stuck(f"one octet came {self._same} times among {self._seen or WINDOW}")

    def _stuck(self, why: str) -> EnvironmentFault:
        self.started, self.passed, self._last, self._run, self._seen = False, 0, -1, 0, 0
        return EnvironmentFault(
            Problem(
                code="random-source-stuck",
                what=f"The random number generator “{self._name}” is not working: {why}.",
                todo="Do not make any key. Have the device examined.",
                contact="the maker of the device",
                details={"source": self._name, "why": why},
            )
        )
