"""One person with a key and a certificate, and an authority; files are made by the tests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_console.domain.people import Person
from hsm_console.pki import csr
from hsm_console.pki.authority import Authority

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000


@dataclass
class Owner:
    authority: Authority
    key: Any
    certificate: x509.Certificate
    now: int = NOW


@pytest.fixture(scope="session")
def owner() -> Owner:
    authority = Authority.found(ec.generate_private_key(ec.SECP384R1()), "Ceremony authority", now_ms=NOW - 10 * DAY)
    key = ec.generate_private_key(ec.SECP384R1())
    person = Person(uid="a.turing", name="Alan Türing")
    return Owner(authority, key, authority.issue_person(person, csr.make(key, "x"), now_ms=NOW, days=30))
