"""PGP words against published examples and against the slips that people make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_console.crypto import words
from hsm_console.domain.errors import InputError

# The PGP fingerprint of the word list's own published example.
FINGERPRINT = bytes.fromhex("E58294F2E9A227486E8B061B31CC528FD7FA3F19")
SPOKEN = (
    "topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa "
    "afflict bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless"
)


def test_published_example() -> None:
    assert " ".join(words.encode(FINGERPRINT)) == SPOKEN
    assert words.decode(SPOKEN) == FINGERPRINT


def test_every_byte_has_its_own_word_in_both_columns() -> None:
    column = {w.lower() for value in range(256) for w in words.encode(bytes([value, value]))}
    assert len(column) == 512


@given(st.binary(max_size=64))
def test_round_trip_in_any_case(data: bytes) -> None:
    spoken = words.encode(data)
    assert words.decode(" ".join(spoken).upper()) == data
    assert words.decode(spoken) == data


@pytest.mark.parametrize(
    ("heard", "position", "hint"),
    [
        ("Istanbul Pluto", "Word 1", "left out"),
        ("topmost topmost Istanbul", "Word 2", "repeated"),
        ("topmost Instanbul", "Word 2", "misspelt"),
    ],
)
def test_a_slip_is_located(heard: str, position: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        words.decode(heard)
    assert caught.value.problem.code == "word-unknown"
    assert position in caught.value.problem.what
    assert hint in caught.value.problem.what
