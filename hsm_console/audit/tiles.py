"""The stored tree in tiles of 256 hashes (C2SP tlog-tiles): only full tiles are stored, the right edge is kept here.

An `Edge` is never changed once it is shared: the writer works on a copy and replaces it after the commit, so a
signer or a proof builder may go on with the edge it took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hsm_console.audit.tree import HASH_BYTES, Nodes, fold_peaks, perfect_root

WIDTH = 256
HEIGHT = 8  # 2^8 hashes in a tile
TILE_BYTES = WIDTH * HASH_BYTES
FetchTile = Callable[[int, int], bytes]
"""(level, n) → the 8,192 bytes of a full tile."""


class Edge:
    """The unfinished tiles at the right edge, one list of hashes for each level; `size` leaves in all."""

    __slots__ = ("levels", "size")

    def __init__(self, size: int = 0, levels: list[list[bytes]] | None = None) -> None:
        self.size = size
        self.levels = levels if levels is not None else [[]]

    def copy(self) -> Edge:
        return Edge(self.size, [list(level) for level in self.levels])

    def push(self, leaf: bytes) -> Sequence[tuple[int, int, bytes]]:
        """Add a leaf hash; (level, n, data) of each tile that became full."""
        self.size += 1
        self.levels[0].append(leaf)
        return () if self.size & 255 else self.rolled()

    def rolled(self) -> list[tuple[int, int, bytes]]:
        full, covered = [], WIDTH
        for level in range(len(self.levels)):
            hashes = self.levels[level]
            if len(hashes) < WIDTH:
                break
            full.append((level, self.size // covered - 1, b"".join(hashes)))
            if level + 1 == len(self.levels):
                self.levels.append([])
            self.levels[level + 1].append(perfect_root(hashes))
            self.levels[level] = []
            covered *= WIDTH
        return full

    def peaks(self) -> Iterator[bytes]:
        """Roots of the tree's perfect subtrees, left to right."""
        for hashes in reversed(self.levels):
            start = 0
            for bit in reversed(range(HEIGHT)):
                if len(hashes) >> bit & 1:
                    yield perfect_root(hashes[start : start + (1 << bit)])
                    start += 1 << bit

    def root(self) -> bytes:
        return fold_peaks(self.peaks())


def split(data: bytes) -> list[bytes]:
    """The hashes of a tile's bytes."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def nodes(edge: Edge, fetch: FetchTile) -> Nodes:
    """Access to every perfect subtree of the stored tree, through full tiles and the edge."""
    known: dict[tuple[int, int], list[bytes]] = {}

    def tile(level: int, n: int) -> list[bytes]:
        if (level, n) not in known:
            full = edge.size >> HEIGHT * (level + 1)
            known[level, n] = edge.levels[level] if n == full else split(fetch(level, n))
        return known[level, n]

    def node(height: int, index: int) -> bytes:
        level, within = divmod(height, HEIGHT)
        per_tile = HEIGHT - within
        start = (index & (1 << per_tile) - 1) << within
        return perfect_root(tile(level, index >> per_tile)[start : start + (1 << within)])

    return node


def load_edge(leaves: list[bytes], full: list[int], fetch: FetchTile) -> Edge:
    """Recompute the edge at open: full[L] tiles are stored at level L, `leaves` are the hashes behind them."""
    levels = [leaves]
    size = full[0] * WIDTH + len(leaves) if full else len(leaves)
    for level, count in enumerate(full):
        above = full[level + 1] if level + 1 < len(full) else 0
        first = above * WIDTH
        levels.append([perfect_root(split(fetch(level, n))) for n in range(first, count)])
    while len(levels) > 1 and not levels[-1]:
        levels.pop()
    return Edge(size, levels)
