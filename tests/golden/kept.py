"""What a log goes through in its life besides being written: sealed values, redaction, segments, pruning, further keys.

Beside forge.py, for the same logs. The keys here are for tests only and are public by being here.
`python tests/golden/kept.py` writes tests/golden/kept anew. Salts and the segment's file key are random: it is another
log each time, so do it only when the format changes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyrage import x25519

from hsm_console.audit import seal, segment
from hsm_console.audit.checkpoint import cosign
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
    log.heads.set_beside((PostQuantum(),))


def rules_that_seal(forge: ModuleType, classes: tuple[str, ...] = CLASSES) -> e.Draft:
    """The policy of a house that seals these classes."""
    settings = {"log.confidential": ", ".join(classes)}
    event = e.PolicyInForce(environment="rehearsal", production=False, policy_sha256=forge.SHA, settings=settings)
    return forge.draft(event, critical=True)


def begin_sealing(forge: ModuleType, log: AuditLog) -> None:
    """Names, free text, digests and file names are sealed from here on, since policy says so."""
    log.append([rules_that_seal(forge)])
    log.append([forge.draft(e.SealKeyInForce(key_id="33" * 16, spki=base64.b64encode(SPKI).decode()))])
    sealer = seal.Sealer(forge.CHAIN_UID, CLASSES)
    change_data_key(forge, log, sealer)
    log.sealer = sealer


def change_data_key(forge: ModuleType, log: AuditLog, sealer: seal.Sealer) -> None:
    key = seal.new_data_key()
    recipient = seal.Recipient("33" * 16, SPKI, seal.Scheme.ECDH_P384)
    wrapped = base64.b64encode(seal.wrap(key, forge.CHAIN_UID, recipient)).decode()
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


def prune(
    forge: ModuleType,
    log: AuditLog,
    made: list[e.LogRotated],
    first: int = 2,
    sealing: tuple[str, ...] | None = None,
) -> None:
    """Entries from `first` on that these segments hold. `made`: every segment so far, in order. sealing: what policy
    sealed there; by default everything, once there was a key."""
    below = made[-1].last + 1
    files = tuple(
        e.SegmentFile(segment=s.segment, first=s.first, last=s.last, file=s.file, sha256=s.sha256) for s in made
    )
    with contextlib.closing(sqlite3.connect(log.path)) as conn:
        keys = conn.execute("SELECT count(*) FROM entry_row WHERE kind = 'data-key-made' AND seq < ?", (below,))
        sealed = CLASSES if keys.fetchone()[0] else ()
    event = e.LogPruned(
        order_id="o-2",
        first=first,
        below=below,
        fingerprint=log.read(below - 1).fingerprint,
        segments=files,
        sealing=sealed if sealing is None else sealing,
    )
    log.append([forge.draft(event, forge.GRACE)])


# -- the golden log of all this ------------------------------------------------------------------------------------

GOLDEN = Path(__file__).parent / "kept"
WITNESS = "witness.example.org/w1"
_WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(b"golden witness, for tests only!!")


def witness_vkey() -> Vkey:
    return Vkey(WITNESS, _WITNESS_KEY.public_key().public_bytes_raw())


def make(forge: ModuleType, folder: Path) -> dict[str, object]:
    """A log of about 290 entries with one segment, pruned; sealed and erased values; two signatures and a witness."""
    clock = forge.FixedClock()
    log = forge.new_log(folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.checkpoint()
    sign_beside(log)
    log.append([forge.unlocked()])
    begin_sealing(forge, log)
    log.append([forge.view(number) for number in range(262 - log.size)])
    log.append([pause(forge, "lunch"), pause(forge, "a visitor")])
    change_data_key(forge, log, log.sealer)
    log.append([pause(forge, "tea")])
    redact(forge, log, rows(log.path)[-2:])
    head = log.checkpoint()
    note = cosign(head, clock.time_ms // 1000, witness_vkey(), _WITNESS_KEY.sign)
    size, root = head.split("\n")[1:3]
    signed = e.HeadCosigned(
        witness=WITNESS,
        key=witness_vkey().text,
        size=int(size),
        root=base64.b64decode(root).hex(),
        signed_ms=clock.time_ms,
        note=head + note,
    )
    log.append([forge.draft(signed)])
    prune(forge, log, [rotate(forge, log, 0)])
    log.append([forge.stop()])
    log.checkpoint()
    found = {
        "vkey": forge.Signer().vkey().text,
        "ml_dsa_44": PostQuantum().vkey(forge.ORIGIN).text,
        "witness": witness_vkey().text,
        "cosigned": head + note,
        "size": log.size,
        "root": log.root().hex(),
        "checkpoint": log.last_checkpoint,
        "pruned": [2, SEGMENT],
        "sealed": sum(seq >= SEGMENT for _, seq in rows(log.path)),
        "auditor": str(AUDITOR),
    }
    log.close()
    return found


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parent))
    import forge

    with tempfile.TemporaryDirectory() as name:
        found = make(forge, Path(name))
        shutil.rmtree(GOLDEN, ignore_errors=True)
        (GOLDEN / "segments").mkdir(parents=True)
        for item in ("audit.db", f"segments/{segment.name_of(0)}"):
            shutil.copyfile(Path(name) / item, GOLDEN / item)
        (GOLDEN / "kept.json").write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
