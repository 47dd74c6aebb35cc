"""Random octets: two sources mixed, and a source that died is found before it harms anybody."""

from __future__ import annotations

import secrets

import pytest
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from hsm_console.crypto import health, mixing
from hsm_console.domain.errors import EnvironmentFault

ONE, OTHER = bytes(range(128)), bytes(range(64, 192))


def test_extraction_against_a_second_implementation() -> None:
    """HKDF-Extract of `cryptography` over the XOR of both, block by block."""
    one, other = secrets.token_bytes(256), secrets.token_bytes(256)
    both = bytes(a ^ b for a, b in zip(one, other, strict=True))
    salts = [b"hsm-console/mixed-random/v2" + number.to_bytes(4, "big") for number in range(2)]
    theirs = b"".join(
        HKDF.extract(SHA512(), salt, both[128 * number : 128 * number + 128]) for number, salt in enumerate(salts)
    )
    assert mixing.mix(one, other, 128) == theirs
    assert mixing.mix(one, other, 65) == theirs[:65]


def test_lengths() -> None:
    for length, needed in ((1, 128), (64, 128), (65, 256), (4096, 8192)):
        assert mixing.octets_needed(length) == needed
        assert len(mixing.with_system(secrets.token_bytes(needed), length)) == length
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="at least one"):
            mixing.octets_needed(wrong)
    with pytest.raises(ValueError, match="128 octets of each"):
        mixing.mix(ONE, OTHER[:-1], 32)
    with pytest.raises(ValueError, match="256 octets of each"):
        mixing.mix(ONE, OTHER, 65)


@given(st.integers(0, 127), st.integers(1, 255))
def test_one_octet_of_either_source_changes_everything(position: int, change: int) -> None:
    base = mixing.mix(ONE, OTHER, 64)
    for first in (True, False):
        changed = bytearray(ONE if first else OTHER)
        changed[position] ^= change
        mixed = mixing.mix(bytes(changed), OTHER, 64) if first else mixing.mix(ONE, bytes(changed), 64)
        assert sum(a == b for a, b in zip(base, mixed, strict=True)) < 16


def test_one_dead_source_takes_nothing_away() -> None:
    """With zeros in place of the token's octets the system's still decide, and the other way round."""
    assert mixing.with_system(bytes(128), 32) != mixing.with_system(bytes(128), 32)
    assert mixing.mix(ONE, bytes(128), 32) != mixing.mix(OTHER, bytes(128), 32)


def test_sources_that_copy_each_other_are_refused() -> None:
    with pytest.raises(EnvironmentFault, match="random-source-stuck"):
        mixing.mix(ONE, ONE, 32)


def test_cutoffs_are_those_of_the_standard() -> None:
    """SP 800-90B 4.4.1: H = 6, alpha = 2^-40 gives 8; 4.4.2: the tail at the cutoff is below alpha, one less is not."""
    assert health.repetition_cutoff() == 8
    cutoff = health.proportion_cutoff()
    from fractions import Fraction
    from math import comb

    chance = Fraction(1, 64)

    def tail(least: int) -> Fraction:
        return sum((comb(512, k) * chance**k * (1 - chance) ** (512 - k) for k in range(least, 513)), start=Fraction(0))

    assert tail(cutoff) <= Fraction(1, 2**40) < tail(cutoff - 1)


def test_a_sound_source_passes() -> None:
    sound = health.Health("token")
    sound.start(secrets.token_bytes(1024))
    for _ in range(20):
        sound.require(secrets.token_bytes(10_000))
    assert sound.started


@pytest.mark.parametrize("octets", [bytes(1024), secrets.token_bytes(600) + b"\x07" * 8 + secrets.token_bytes(600)])
def test_a_stuck_source_is_named(octets: bytes) -> None:
    stuck = health.Health("token")
    with pytest.raises(EnvironmentFault, match="random-source-stuck") as caught:
        stuck.start(octets)
    assert "“token”" in caught.value.problem.what
    assert not stuck.started


def test_a_run_is_seen_over_the_seam_of_two_draws() -> None:
    seam = health.Health("token")
    seam.require(bytes(range(1, 251)) + b"\x07" * 4)
    with pytest.raises(EnvironmentFault, match="8 times in a row"):
        seam.require(b"\x07" * 4)


def test_an_octet_that_comes_too_often_is_seen_without_a_run() -> None:
    """Every third octet is the same: no run, but a proportion that no sound source shows."""
    biased = health.Health("token")
    octets = b"".join(b"\x2a" + bytes([n % 250 + 1, (7 * n) % 250 + 1]) for n in range(400))
    with pytest.raises(EnvironmentFault, match="random-source-stuck") as caught:
        biased.require(octets)
    assert "among" in caught.value.problem.details["why"]


def test_the_start_is_tested_on_enough_octets_and_again_after_a_fault() -> None:
    source = health.Health("token")
    with pytest.raises(ValueError, match="1024"):
        source.start(secrets.token_bytes(1023))
    source.start(secrets.token_bytes(1024))
    with pytest.raises(EnvironmentFault):
        source.require(bytes(64))
    assert not source.started
