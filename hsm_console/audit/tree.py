"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs, and their verification.

Verification raises `VerificationFailed` with code `bad-proof`; nothing here returns a bool. `Nodes` is how the
proof builders reach the hashes of a stored tree: `nodes(height, index)` is the hash of the perfect subtree over
leaves [index * 2^height, (index + 1) * 2^height).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NoReturn

from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed

Nodes = Callable[[int, int], bytes]
HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """RFC 6962 2.1: SHA-256(0x00 ‖ body)."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 2.1: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over 2^k hashes."""
    level = list(hashes)
    while len(level) > 1:
        pairs = iter(level)
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return level[0]


def fold_peaks(peaks: Iterable[bytes]) -> bytes:
    """Root of a tree from the roots of its perfect subtrees, left to right."""
    root: bytes | None = None
    for peak in reversed(list(peaks)):
        root = peak if root is None else node_hash(peak, root)
    return EMPTY_ROOT if root is None else root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes held in memory (tests, small trees, receipts)."""
    return subtree(nodes_of(leaves), 0, len(leaves)) if leaves else EMPTY_ROOT


def nodes_of(leaves: Sequence[bytes]) -> Nodes:
    """Access to the perfect subtrees over leaf hashes held in memory."""

    def node(height: int, index: int) -> bytes:
        return perfect_root(leaves[index << height : (index + 1) << height])

    return node


def subtree(nodes: Nodes, start: int, stop: int) -> bytes:
    """MTH(D[start:stop]) of RFC 6962 2.1; start must be a multiple of the power of two ≥ stop - start."""
    peaks = []
    while start < stop:
        height = (stop - start).bit_length() - 1
        peaks.append(nodes(height, start >> height))
        start += 1 << height
    return fold_peaks(peaks)


def inclusion_proof(nodes: Nodes, index: int, size: int) -> tuple[bytes, ...]:
    """PATH(index, D[size]) of RFC 6962 2.1.1, leaf's sibling first. Raises ValueError when index ≥ size."""
    if not 0 <= index < size:
        raise ValueError(f"entry {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(subtree(nodes, middle, stop))
            stop = middle
        else:
            path.append(subtree(nodes, start, middle))
            start = middle
    return tuple(reversed(path))


def consistency_proof(nodes: Nodes, old: int, new: int) -> tuple[bytes, ...]:
    """PROOF(old, D[new]) of RFC 6962 2.1.2. Raises ValueError unless 0 < old ≤ new."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    path: list[bytes] = []
    start, stop, complete = 0, new, True
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(subtree(nodes, middle, stop))
            stop = middle
        else:
            path.append(subtree(nodes, start, middle))
            start, complete = middle, False
    if not complete:
        path.append(subtree(nodes, start, stop))
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 2.1.3.2. Raises VerificationFailed `bad-proof`."""
    if root_from_inclusion(leaf, index, size, path) != root:
        _bad(f"the proof for entry {index} does not lead to the root of size {size}")


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that this proof leads to (RFC 9162 2.1.3.2). Raises `bad-proof` when its shape is wrong."""
    if not 0 <= index < size:
        _bad(f"entry {index} is not in a tree of {size}")
    fn, sn, result = index, size - 1, leaf
    for sibling in path:
        if len(sibling) != HASH_BYTES or sn == 0:
            _bad("the proof is longer than the tree is high")
        if fn & 1 or fn == sn:
            result = node_hash(sibling, result)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = node_hash(result, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        _bad("the proof is shorter than the tree is high")
    return result


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162 2.1.4.2: the tree of size `old` is a prefix of that of size `new`. Raises `bad-proof`."""
    if not 0 < old <= new:
        _bad(f"sizes {old} and {new} do not follow each other")
    if old == new:
        if path or old_root != new_root:
            _bad(f"two different roots at size {old}")
        return
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not hashes or any(len(item) != HASH_BYTES for item in hashes):
        _bad("the consistency proof is empty or malformed")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = hashes[0]
    for item in hashes[1:]:
        if sn == 0:
            _bad("the consistency proof is too long")
        if fn & 1 or fn == sn:
            first, second = node_hash(item, first), node_hash(item, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, item)
        fn, sn = fn >> 1, sn >> 1
    if sn or first != old_root or second != new_root:
        _bad(f"the tree of size {new} does not continue the tree of size {old}")


def _split(count: int) -> int:
    """Largest power of two below count (RFC 6962 2.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _bad(why: str) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code="bad-proof",
            what=f"BAD-PROOF: {why}.",
            todo="Do not rely on this proof. Keep it as it is and compare it with another copy of the log.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
