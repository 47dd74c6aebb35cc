"""The table of refusals: complete, readable, and true to the numbers of the OpenSSL that is installed."""

from __future__ import annotations

import ctypes
import ctypes.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_console.domain.errors import ExitCode
from hsm_console.gateway.tls import _leaf
from hsm_console.pki import refusals

CLOCK = 1_795_487_195_000  # 2026-11-24 02:26:35 UTC

# Our codes and a word that OpenSSL's own text for the number must contain.
WORDS = {
    "certificate-other-authority": ("issuer certificate", "self-signed", "first certificate", "public key"),
    "certificate-not-authentic": ("signature failure",),
    "certificate-not-yet-valid": ("not yet valid",),
    "certificate-expired": ("has expired",),
    "certificate-revoked": ("revoked",),
    "certificate-wrong-purpose": ("purpose",),
    "certificate-too-weak": ("too weak",),
    "gateway-crl-missing": ("unable to get certificate CRL",),
    "gateway-crl-wrong": ("CRL",),
    "gateway-crl-not-yet-valid": ("CRL is not yet valid",),
    "gateway-crl-stale": ("CRL has expired",),
}


def openssl_words(number: int) -> str:
    library = ctypes.CDLL(ctypes.util.find_library("crypto"))
    library.X509_verify_cert_error_string.restype = ctypes.c_char_p
    return bytes(library.X509_verify_cert_error_string(ctypes.c_long(number))).decode()


@pytest.mark.parametrize(("number", "code"), sorted(refusals.BY_VERIFY_CODE.items()))
def test_the_numbers_mean_what_openssl_says(number: int, code: str) -> None:
    text = openssl_words(number)
    if code == "certificate-not-strict":
        assert not text.startswith("unknown"), text
    else:
        assert any(word in text for word in WORDS[code]), f"{number} is “{text}”, not {code}"


def test_every_code_that_can_be_found_has_its_text() -> None:
    tables = (refusals.BY_VERIFY_CODE, refusals.BY_SSL_REASON, refusals.BY_ALERT, refusals.BY_GATEWAY_CHECK)
    named = {code for table in tables for code in table.values()}  # type: ignore[attr-defined]
    named |= {refusals.code_for(9999, ""), refusals.code_for(0, "SOMETHING_NEW")}
    assert named <= refusals.CODES


@pytest.mark.parametrize("code", sorted(refusals.CODES))
def test_every_text_tells_the_four_things(code: str) -> None:
    problem = refusals.problem(code, clock_ms=CLOCK, message="OpenSSL's {words}")
    words = problem.in_words()
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))
    assert "{clock}" not in words
    assert "{message}" not in words
    assert problem.what.endswith((".", "?")), problem.what
    if "clock" in problem.details:
        assert "2026-11-24 02:26:35 UTC" in problem.what
    dated = ("expired", "not-yet-valid", "stale")
    if code.endswith(dated) and code != "gateway-crl-soon-stale":
        assert problem.details["clock"] == "2026-11-24 02:26:35 UTC"


def test_what_is_policy_and_what_is_environment() -> None:
    assert refusals.problem("not-on-roster", clock_ms=CLOCK).exit_code == ExitCode.POLICY
    assert refusals.problem("gateway-crl-stale", clock_ms=CLOCK).exit_code == ExitCode.ENVIRONMENT


@given(st.binary(max_size=200))
def test_rubbish_in_place_of_a_certificate_message(data: bytes) -> None:
    """What a peer sends before it is known must not raise in OpenSSL's callback."""
    assert isinstance(_leaf(data), bytes)


def test_the_leaf_of_a_certificate_message() -> None:
    entry = (5).to_bytes(3, "big") + b"first" + b"\0\0"
    chain = entry + (6).to_bytes(3, "big") + b"second" + b"\0\0"
    body = b"\0" + len(chain).to_bytes(3, "big") + chain
    assert _leaf(b"\x0b" + len(body).to_bytes(3, "big") + body) == b"first"
    assert _leaf(b"\x0b\x00\x00\x04\x00\x00\x00\x00") == b""
