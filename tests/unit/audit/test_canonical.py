import json

import pytest
import rfc8785

from hsm_console.audit import canonical
from hsm_console.domain.errors import InputError

REFUSED = {
    "a float": {"a": 1.5},
    "a whole float": {"a": 1.0},
    "2^53": {"a": 1 << 53},
    "-2^53": {"a": -(1 << 53)},
    "a key that is not ASCII": {"ä": 1},
    "text that is not NFC": {"a": "u\u0308"},
    "a line break": {"a": "x\ny"},
    "a tab": {"a": "x\ty"},
    "NUL": {"a": "\x00"},
    "DEL": {"a": "\x7f"},
    "a C1 control": {"a": "\x9b"},
    "a right-to-left override": {"a": "\u202e"},
    "an isolate": {"a": "\u2066"},
    "a direction mark": {"a": "\u200f"},
    "a line separator": {"a": "\u2028"},
    "half a surrogate": {"a": "\ud800"},
    "no character": {"a": "\uffff"},
    "bytes": {"a": b"x"},
    "a set": {"a": {1}},
    "too long": {"a": "x" * canonical.MAX_BYTES},
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_what_encoders_might_disagree_about_is_refused(value):
    with pytest.raises(InputError, match="CANON refused") as caught:
        canonical.encode(value)
    assert caught.value.problem.code == "canon-refused"
    assert caught.value.problem.exit_code == 2


def test_endless_nesting_is_refused_and_does_not_overflow_the_stack():
    value: object = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(InputError, match="nested"):
        canonical.encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":NaN}',
        b"\xff",
        b"",
        b"[" * 100_000,
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data):
    with pytest.raises(InputError, match="CANON refused"):
        canonical.check(data)


def test_the_longest_entry_is_accepted_and_one_byte_more_is_not():
    canonical.encode("x" * (canonical.MAX_BYTES - 2))
    with pytest.raises(InputError):
        canonical.encode("x" * (canonical.MAX_BYTES - 1))


def test_known_bytes():
    value = {"z": [1, -7, None, True], "a": 'Türing “x” \\ "', "B": {"b": 0, "a": "😀"}}
    data = canonical.encode(value)
    assert data == '{"B":{"a":"😀","b":0},"a":"Türing “x” \\\\ \\"","z":[1,-7,null,true]}'.encode()
    assert data == rfc8785.dumps(value)
    canonical.check(data)
    assert json.loads(data) == value
