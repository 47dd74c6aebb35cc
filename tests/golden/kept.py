"""What a log goes through in its life besides being written: sealed values, redaction, segments, pruning, further keys.

Beside forge.py, for the same logs. The keys here are for tests only and are public by being here.
"""

from __future__ import annotations

import base64
import contextlib
import sqlite3
from pathlib import Path
from types import ModuleType

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyrage import x25519

from hsm_console.audit import seal, segment
from hsm_console.audit.log import AuditLog
from hsm_console.audit.sealable import CLASSES
from hsm_console.audit.vkey import ML_DSA_44, Vkey
from hsm_console.domain import events as e

AUDITOR = x25519.Identity.from_str("AGE-SECRET-KEY-1TPGQJ2A9FMYZRZHQAKP5D0RD9SGJ9EXTLEGDTR7GGVYXUEUK7PUQVDAQKD")
SEGMENT = 256
_SEAL_KEY = ec.derive_private_key(0x600DC0DE, ec.SECP384R1())
SPKI = _SEAL_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class PostQuantum:
    """A second key of the log, for a line of type 0x06 on every checkpoint."""

    kind = ML_DSA_44

    def __init__(self) -> None:
        self._key = MLDSA44PrivateKey.from_seed_bytes(b"golden ml-dsa key, for tests ...")
        self.public_key_bytes = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def vkey(self, origin: str) -> Vkey:
        return Vkey(origin, self.public_key_bytes, ML_DSA_44)


def sign_beside(log: AuditLog) -> None:
    """Every checkpoint from now on carries a line of ML-DSA-44 too."""
    log._heads.set_beside((PostQuantum(),))


def begin_sealing(forge: ModuleType, log: AuditLog) -> None:
    """Names, free text, digests and file names are sealed from here on."""
    log.append([forge.draft(e.SealKeyInForce(key_id="33" * 16, spki=base64.b64encode(SPKI).decode()))])
    sealer = seal.Sealer(forge.CHAIN_UID, CLASSES)
    change_data_key(forge, log, sealer)
    log.sealer = sealer


def change_data_key(forge: ModuleType, log: AuditLog, sealer: seal.Sealer) -> None:
    key = seal.new_data_key()
    wrapped = base64.b64encode(seal.wrap(key, forge.CHAIN_UID, SPKI)).decode()
    log.append([forge.draft(e.DataKeyMade(data_key=key.uid, recipient="33" * 16, wrapped=wrapped))])
    sealer.use(key)


def pause(forge: ModuleType, why: str) -> e.Draft:
    """An event with a value that is sealed, by a person whose name is sealed."""
    return forge.draft(e.CeremonyPaused(ceremony_id="c-1", why=why), forge.GRACE)


def rows(database: Path) -> list[tuple[str, int]]:
    """(digest, entry) of every sealed value that is still here, in order."""
    with contextlib.closing(sqlite3.connect(database)) as conn:
        return conn.execute("SELECT digest, seq FROM disclosure ORDER BY seq, digest").fetchall()


def redact(forge: ModuleType, log: AuditLog, chosen: list[tuple[str, int]]) -> None:
    erased = tuple(e.Erased(entry=entry, digest=digest) for digest, entry in chosen)
    log.append([forge.draft(e.DisclosuresErased(order_id="o-1", erased=erased, why="asked for"), forge.GRACE)])


def rotate(forge: ModuleType, log: AuditLog, number: int) -> e.LogRotated:
    """Segment `number` of 256 entries beside the log. The log is signed far enough."""
    made = segment.write(log.path, log.path.parent / "segments", number, str(AUDITOR.to_public()), entries=SEGMENT)
    log.append([forge.draft(made, forge.GRACE)])
    return made


def prune(forge: ModuleType, log: AuditLog, made: list[e.LogRotated], first: int = 2) -> None:
    """Entries from `first` on that these segments hold. `made`: every segment so far, in order."""
    below = made[-1].last + 1
    files = tuple(
        e.SegmentFile(segment=s.segment, first=s.first, last=s.last, file=s.file, sha256=s.sha256) for s in made
    )
    event = e.LogPruned(
        order_id="o-2", first=first, below=below, fingerprint=log.read(below - 1).fingerprint, segments=files
    )
    log.append([forge.draft(event, forge.GRACE)])
