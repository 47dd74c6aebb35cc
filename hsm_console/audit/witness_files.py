"""Cosigned heads, requests for them and root sheets as files and pictures: text, PNG, PDF; one code or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from hsm_console.audit import receipt_files, tiles
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.source import Source, open_source
from hsm_console.audit.tree import Nodes, consistency_proof, leaf_hash
from hsm_console.audit.vkey import parse_vkey
from hsm_console.audit.witness import Request, Trusted
from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, Problem
from hsm_console.domain.reading import read_whole
from hsm_console.paper import frames, qr

ONE_CODE = 1100
"""UTF-8 bytes that go into one code of checkpoint text; more goes into frames."""


def read(path: Path) -> str:
    """The text that a file holds. Raises InputError receipt-file-unreadable, VerificationFailed frames-…"""
    found = receipt_files.text_or_codes(path)
    if isinstance(found, str):
        lines = [line.strip("\r\n") for line in found.splitlines()]
        if lines and all(line.startswith(frames.PREFIX) for line in lines if line):
            return of_codes([line for line in lines if line])
        return found
    return of_codes(found)


def of_codes(codes: Sequence[str]) -> str:
    """The text of scanned codes: frames, or one code that holds all of it. Raises VerificationFailed frames-…"""
    framed = [code for code in codes if code.startswith(frames.PREFIX)]
    if framed:
        return frames.decode(framed).decode("utf-8", "replace")
    noted = [code for code in codes if "\n" in code]
    if len(noted) != 1:
        return frames.decode(codes)[:0].decode()  # raises: nothing of ours was found
    return noted[0]


def codes_for(text: str) -> tuple[str, ...]:
    """What QR codes say for this text: itself where one code is enough, else frames."""
    data = text.encode()
    return (text,) if len(data) <= ONE_CODE else frames.encode(data)


def request(log: Path, since: int = 0) -> Request:
    """The newest signed head of a log on the disk, with a consistency proof from `since`. Read without a gateway.

    Raises EnvironmentFault log-missing, log-damaged; InputError nothing-signed; VerificationFailed note-unreadable.
    """
    with open_source(log) as source:
        notes = list(source.checkpoints())
        if not notes:
            raise _nothing_signed(log)
        note = notes[-1][1]
        head = parse_note(note).checkpoint
        if not 0 < since < head.size:
            return Request(note)
        return Request(note, since, consistency_proof(_nodes(source, head.size), since, head.size))


def _nodes(source: Source, size: int) -> Nodes:
    """The tree of the first `size` entries, through full tiles and the last bodies."""
    full = [size >> tiles.HEIGHT * (level + 1) for level in range(8) if size >> tiles.HEIGHT * (level + 1)]
    start = full[0] * tiles.WIDTH if full else 0
    leaves = [leaf_hash(body or b"") for seq, _, body in source.entries(start) if seq < size]

    def fetch(level: int, n: int) -> bytes:
        return source.tile(level, n) or bytes(tiles.TILE_BYTES)  # a missing tile gives a proof that fails

    return tiles.nodes(tiles.load_edge(leaves, full, fetch), fetch)


def pictures(codes: Sequence[str]) -> tuple[bytes, ...]:
    """A PNG of each code, read back before it is returned."""
    return tuple(qr.png(code) for code in codes)


def trusted(given: Sequence[str]) -> Trusted:
    """Whose cosignatures count: vkeys as text or file, certificates of people, authorities (PEM or DER files).

    Raises InputError witness-key-unreadable, vkey-unreadable.
    """
    keys, people, authorities = [], [], []
    for item in given:
        path = Path(item)
        data = _bytes(path) if "+" not in item or path.is_file() else item.encode()
        certificate = _certificate(data)
        if certificate is None:
            keys += [parse_vkey(line) for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
        elif _is_authority(certificate):
            authorities.append(certificate)
        else:
            people.append(certificate)
    return Trusted(tuple(keys), tuple(people), tuple(authorities))


def _nothing_signed(log: Path) -> InputError:
    return InputError(
        Problem(
            code="nothing-signed",
            what=f"Nothing in {log} is signed yet, so there is no head to show to a witness.",
            todo="Unlock the device; the head is signed then.",
            exit_code=ExitCode.USAGE,
        )
    )


def _certificate(data: bytes) -> x509.Certificate | None:
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data) if data[:1] == b"\x30" else None
    except ValueError:
        return None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _bytes(path: Path) -> bytes:
    try:
        return read_whole(path, 64 * 1024)
    except OSError as fault:
        raise InputError(
            Problem(
                code="witness-key-unreadable",
                what=f"The witness's key {path} cannot be read: {fault.strerror}.",
                todo="Give a file with the vkey or the certificate, or the vkey's text.",
                exit_code=ExitCode.USAGE,
            )
        ) from fault


def word_of(error: ConsoleError) -> tuple[str, str]:
    """(word, text) for a verifier's list of findings."""
    word, separator, text = error.problem.what.partition(": ")
    return (word, text.rstrip(".")) if separator else ("BAD-SIGNATURE", error.problem.what.rstrip("."))
