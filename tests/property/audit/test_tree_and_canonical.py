"""Properties of canonical bytes and of RFC 6962 proofs, against independent encoders and brute force."""

import hashlib
import json
import unicodedata

import msgspec
import pytest
import rfc8785
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hsm_console.audit import canonical, tree
from hsm_console.audit.tiles import Edge, load_edge, nodes
from hsm_console.crypto import base45
from hsm_console.domain.errors import InputError, VerificationFailed

text = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co", "Zl", "Zp")), max_size=40).map(
    lambda value: unicodedata.normalize("NFC", value)
)
keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=10)
integers = st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
values = st.recursive(
    st.none() | st.booleans() | integers | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=30,
)


@given(values)
def test_canonical_bytes_are_those_of_the_reference_encoder(value):
    try:
        data = canonical.encode(value)
    except InputError:
        assume(False)
    assert data == rfc8785.dumps(value)
    canonical.check(data)


@given(st.text(max_size=20))
def test_any_text_is_either_written_safely_or_refused(value):
    try:
        data = canonical.encode({"a": value})
    except InputError:
        return
    shown = data.decode()
    assert unicodedata.is_normalized("NFC", shown)
    assert not any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in shown)
    assert not any(unicodedata.bidirectional(sign) in ("RLO", "LRO", "RLE", "LRE", "PDF") for sign in shown)


class Said(msgspec.Struct, tag_field="kind", tag="said"):
    """The shape of an event: texts, numbers, facts by name."""

    text: str = ""
    number: int = 0
    facts: dict[str, object] = {}


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.text(max_size=20),
    st.integers(-(2**62), 2**62) | st.floats(allow_nan=False),
    st.dictionaries(st.text(max_size=5), anything, max_size=4),
)
@example("", 1.5, {})
@example("", 2**53, {})
@example("", -(10**16), {"a": [1e300]})
@example("\x7f", 0, {})
@example(":1.5", 0, {"\u2066": 1})
@example("e\u0301", 0, {"a": {"b": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}})
def test_a_struct_that_is_taken_whole_is_what_looking_at_each_member_gives(text, number, facts):
    said = Said(text, number, facts)
    part = canonical.struct_part(said)
    if part is not None:
        assert bytes(part) == canonical.encode(msgspec.to_builtins(said))
        assert canonical.encode({"event": part}) == canonical.encode({"event": msgspec.to_builtins(said)})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1.5, 2**53, -(2**53)])
def test_a_number_outside_the_profile_is_looked_at(number):
    """The encoder writes null for what is no number: taken whole it would stand in the log as nothing."""
    assert canonical.struct_part(Said("", number)) is None
    with pytest.raises(InputError, match="CANON refused"):
        canonical.encode(msgspec.to_builtins(Said("", number)))


def test_an_ordinary_event_is_taken_whole():
    assert canonical.struct_part(Said("Sign the root key", 7, {"label": "root-2026", "done": True})) is not None


@given(st.binary(max_size=300))
def test_whatever_is_accepted_as_canonical_is_what_we_would_write(data):
    try:
        canonical.check(data)
    except InputError:
        return
    assert canonical.encode(json.loads(data)) == data


def leaves(count):
    return [tree.leaf_hash(bytes([number % 256, number // 256])) for number in range(count)]


def naive_root(hashes):
    """RFC 6962 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return tree.node_hash(naive_root(hashes[:k]), naive_root(hashes[k:]))


@pytest.mark.parametrize("count", [*range(70), 127, 128, 129, 255, 256, 257, 1000])
def test_roots_are_those_of_the_definition(count):
    assert tree.root_of(leaves(count)) == naive_root(leaves(count))


def test_every_proof_of_small_trees_and_no_other():
    for size in range(1, 18):
        hashes = leaves(size)
        root, access = naive_root(hashes), tree.nodes_of(hashes)
        for index in range(size):
            path = tree.inclusion_proof(access, index, size)
            tree.verify_inclusion(hashes[index], index, size, path, root)
            for other in range(size + 2):
                if other != index:
                    with pytest.raises(VerificationFailed):
                        tree.verify_inclusion(hashes[index], other, size, path, root)
        for old in range(1, size + 1):
            path = tree.consistency_proof(access, old, size)
            tree.verify_consistency(old, size, naive_root(hashes[:old]), root, path)


def refuses(call, *arguments):
    with pytest.raises(VerificationFailed) as caught:
        call(*arguments)
    assert caught.value.problem.code == "bad-proof"


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (2, 3), (3, 7), (6, 7), (8, 13)])
def test_every_bit_of_an_inclusion_proof_counts(index, size):
    hashes = leaves(size)
    root = naive_root(hashes)
    path = tree.inclusion_proof(tree.nodes_of(hashes), index, size)
    for place, item in enumerate(path):
        for bit in range(256):
            changed = bytearray(item)
            changed[bit // 8] ^= 1 << bit % 8
            refuses(
                tree.verify_inclusion,
                hashes[index],
                index,
                size,
                (*path[:place], bytes(changed), *path[place + 1 :]),
                root,
            )
    refuses(tree.verify_inclusion, hashes[index], index, size, (*path, bytes(32)), root)
    refuses(tree.verify_inclusion, hashes[index], index, size, (bytes(32), *path), root)
    refuses(tree.verify_inclusion, hashes[index], -1, size, path, root)
    if path:
        refuses(tree.verify_inclusion, hashes[index], index, size, path[:-1], root)
        refuses(tree.verify_inclusion, hashes[index], index, size, path[1:], root)
        refuses(tree.verify_inclusion, hashes[index], index, size, (path[0][:31], *path[1:]), root)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 3), (3, 7), (4, 7), (6, 8), (7, 13), (8, 13)])
def test_every_bit_of_a_consistency_proof_counts(old, new):
    hashes = leaves(new)
    first, second = naive_root(hashes[:old]), naive_root(hashes)
    path = tree.consistency_proof(tree.nodes_of(hashes), old, new)
    for place, item in enumerate(path):
        for bit in range(256):
            changed = bytearray(item)
            changed[bit // 8] ^= 1 << bit % 8
            wrong = (*path[:place], bytes(changed), *path[place + 1 :])
            refuses(tree.verify_consistency, old, new, first, second, wrong)
    refuses(tree.verify_consistency, old, new, second, first, path)
    refuses(tree.verify_consistency, old, new, first, second, (*path, bytes(32)))
    refuses(tree.verify_consistency, old, new, first, second, path[:-1])
    refuses(tree.verify_consistency, old - 1, new, first, second, path)
    refuses(tree.verify_consistency, new, old, first, second, path)
    refuses(tree.verify_consistency, old, old, first, second, ())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70_000), st.data())
def test_the_stored_tree_proves_like_the_tree_in_memory(size, data):
    """Tiles and edge, at sizes where they roll over; hashes are cheap stand-ins."""
    size = data.draw(st.sampled_from([size, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537]))
    index = data.draw(st.integers(0, size - 1))
    edge, stored = EDGES.upto(size)
    access = nodes(edge, lambda level, n: stored[level, n])
    root = edge.root()
    path = tree.inclusion_proof(access, index, size)
    tree.verify_inclusion(EDGES.leaf(index), index, size, path, root)
    old = data.draw(st.integers(1, size))
    tree.verify_consistency(old, size, tree.subtree(access, 0, old), root, tree.consistency_proof(access, old, size))
    counts = [size >> 8 * (level + 1) for level in range(3) if size >> 8 * (level + 1)]
    tail = [EDGES.leaf(number) for number in range(size - size % 256, size)]
    again = load_edge(tail, counts, lambda level, n: stored[level, n])
    assert (again.size, again.root()) == (size, root)


class _Edges:
    """Edges of growing trees, remembered, because 70,000 leaves a thousand times take too long."""

    def __init__(self):
        self._tiles = {}
        self._known = {0: Edge()}

    @staticmethod
    def leaf(number):
        return hashlib.sha256(number.to_bytes(4, "big")).digest()

    def upto(self, size):
        if size not in self._known:
            near = max(known for known in self._known if known <= size)
            edge = self._known[near].copy()
            for number in range(near, size):
                for level, n, tile in edge.push(self.leaf(number)):
                    self._tiles[level, n] = tile
            self._known[size] = edge
        return self._known[size], self._tiles


EDGES = _Edges()


@given(st.binary(max_size=400))
def test_base45_comes_back(data):
    encoded = base45.encode(data)
    assert base45.decode(encoded) == data
    assert set(encoded) <= set(base45.ALPHABET)


def test_base45_vectors_of_rfc_9285():
    assert base45.encode(b"AB") == "BB8"
    assert base45.encode(b"Hello!!") == "%69 VD92EX0"
    assert base45.encode(b"base-45") == "UJCLQE7W581"
    assert base45.decode("QED8WEX0") == b"ietf!"


@given(st.text(max_size=12))
def test_base45_takes_nothing_twice(value):
    try:
        data = base45.decode(value)
    except InputError:
        return
    assert base45.encode(data) == value
