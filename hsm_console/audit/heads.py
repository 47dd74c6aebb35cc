"""When checkpoints are signed, and that nothing is signed which does not continue what was signed (AUDIT 4)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hsm_console.audit.checkpoint import (
    Checkpoint,
    CheckpointSigner,
    cosign,
    parse_note,
    sign_note,
    signer_key,
    verify_note,
)
from hsm_console.audit.cose import RootSignature, protected_header, signature_of, to_be_signed
from hsm_console.audit.store import ROOT_SIGNATURE_TABLE
from hsm_console.audit.tiles import Edge
from hsm_console.audit.tree import Nodes, consistency_proof, verify_consistency
from hsm_console.audit.vkey import ECDSA
from hsm_console.domain.clock import Clock
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem

EVERY_ENTRIES = 256
EVERY_MS = 60_000


class Heads:
    """The newest signed head of a log and the policy for the next one. Thread-safe."""

    def __init__(
        self,
        clock: Clock,
        edge: Callable[[], Edge],
        nodes: Callable[[], Nodes],
        keep: Callable[..., None],
    ) -> None:
        self._clock = clock
        self._edge = edge
        self._nodes = nodes
        self._keep = keep
        self._signer: CheckpointSigner | None = None
        self._beside: tuple[CheckpointSigner, ...] = ()
        self._origin = ""
        self._signing = threading.Lock()
        self._last: Checkpoint | None = None
        self._waiting_since_ms: int | None = None
        self._root_signature: tuple[int, RootSignature] | None = None
        self._uncertain = 0
        self.note = ""
        self.fault: Problem | None = None

    @property
    def size(self) -> int:
        return self._last.size if self._last else 0

    def load(self, note: tuple[str, str]) -> None:
        """(origin, newest note): what the file holds at open."""
        self._origin, self.note = note
        self._last = parse_note(self.note).checkpoint if self.note else None
        if self._edge().size > self.size and self._waiting_since_ms is None:
            self._waiting_since_ms = self._clock.now().boottime_ms

    def set_signer(self, signer: CheckpointSigner | None) -> None:
        """Take the log key. Raises VerificationFailed foreign or bad-signature when it did not sign the last head."""
        if signer is not None and self.note:
            verify_note(self.note, signer_key(self._origin, signer))
        self._signer = signer

    def set_beside(self, signers: tuple[CheckpointSigner, ...]) -> None:
        """Further keys of the log (ML-DSA-44): each gives every checkpoint from now on one more line."""
        self._beside = signers

    def sign(self) -> str:
        """The note over the present tree. See `AuditLog.checkpoint`."""
        with self._signing:
            signer, edge = self._signer, self._edge()
            if self._last is not None and self._last.size == edge.size:
                return self.note
            if signer is None:
                raise _locked()
            head = Checkpoint(self._origin, edge.size, edge.root())
            self._prove(head)
            seconds = self._clock.now().time_ms // 1000
            note = sign_note(head, seconds, signer_key(self._origin, signer), self._asked(signer))
            for other in self._beside:
                note += cosign(note, seconds, signer_key(self._origin, other), other.sign)
            self._keep(("INSERT OR IGNORE INTO checkpoint VALUES (?, ?)", (head.size, note)))
            self._last, self.note, self.fault = head, note, None
            self._waiting_since_ms = self._clock.now().boottime_ms if self._edge().size > head.size else None
            return note

    def signed_root(self) -> tuple[Checkpoint, int, str, RootSignature | None]:
        """The newest head, when it was signed, its note, and the COSE signature over its root for receipts.

        The signature is None while the key is locked, unless it was made before. One signature serves all
        receipts of a head. Raises EnvironmentFault log-key-locked when nothing was ever signed.
        """
        with self._signing:
            if self._last is None:
                raise _locked()
            if self._root_signature is None or self._root_signature[0] != self._last.size:
                self._root_signature = self._sign_root(self._last)
            signature = self._root_signature[1] if self._root_signature else None
            return self._last, self._seconds(), self.note, signature

    def _sign_root(self, head: Checkpoint) -> tuple[int, RootSignature] | None:
        if self._signer is None:
            return None
        vkey = signer_key(self._origin, self._signer)
        seconds = self._seconds()
        protected = protected_header(vkey, seconds, head.size)
        signature = self._asked(self._signer)(to_be_signed(protected, head.root))
        row = (head.size, vkey.key_id.hex(), seconds)
        self._keep((ROOT_SIGNATURE_TABLE, ()), ("INSERT INTO root_signature(size, key, seconds) VALUES (?, ?, ?)", row))
        return head.size, RootSignature(protected, signature_of(vkey, signature))

    def _asked(self, signer: CheckpointSigner) -> Callable[[bytes], bytes]:
        """The signer's call; one that fails may have been carried out all the same, and is counted."""

        def sign(message: bytes) -> bytes:
            try:
                return signer.sign(message)
            except BaseException:
                self._uncertain += 1
                raise

        return sign

    def take_uncertain(self) -> tuple[int, bool]:
        """(how many calls failed since this was asked before, and may have been carried out all the same; whether a
        signature is being made now)."""
        found, self._uncertain = self._uncertain, 0
        return found, self._signing.locked()

    def _seconds(self) -> int:
        """When the newest note was signed: the time in its own signature line; now, when that does not say (0x02)."""
        line = next(line for line in parse_note(self.note).lines if line.name == self._origin)
        if self._signer is not None and signer_key(self._origin, self._signer).kind == ECDSA:
            return self._clock.now().time_ms // 1000
        return int.from_bytes(line.blob[:8], "big")

    def _prove(self, head: Checkpoint) -> None:
        """Refuse to sign a tree that does not continue the last signed one."""
        last = self._last
        if last is not None:
            path = consistency_proof(self._nodes(), last.size, head.size)
            verify_consistency(last.size, head.size, last.root, head.root, path)

    def after_append(self, size: int, *, critical: bool) -> None:
        """A critical event, or 256 entries without a signature: sign now. Never raises."""
        if self._waiting_since_ms is None:
            self._waiting_since_ms = self._clock.now().boottime_ms
        if self._signer is None:
            return
        if critical:
            if self.size < size:
                self._try()
        elif size - self.size >= EVERY_ENTRIES and not self._signing.locked():
            self._try()

    def tick(self) -> None:
        """An entry that waits for 60 s is signed. Never raises."""
        waiting = self._waiting_since_ms
        if self._signer is None or waiting is None or self._signing.locked():
            return
        if self._clock.now().boottime_ms - waiting >= EVERY_MS and self._edge().size > self.size:
            self._try()

    def _try(self) -> None:
        try:
            self.sign()
        except ConsoleError as fault:
            self.fault = fault.problem


def _locked() -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="log-key-locked",
            what="The log cannot be signed now: its key is in the token, and the token is locked.",
            todo="Unlock the device. What is recorded until then is chained and will be signed first.",
        )
    )
