"""Enrolling a person: her key is made in a process of its own, the gateway certifies it, the credential is written."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TypeVar

import msgspec

from hsm_console.client import people, spawn
from hsm_console.client.failures import error_of
from hsm_console.client.session import Session
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.messages.enrolment import Certified, EnrolLine, Wish
from hsm_console.domain.messages.people import Enrol, PersonView
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret

ENROL = "hsm_console.credential.enrol"
ITERATIONS = 1_000_000
_END_SECONDS = 2.0

T = TypeVar("T", Wish, Certified)


def enrol(
    session: Session,
    person: Person,
    roles: tuple[Role, ...],
    *,
    credential: Path,
    passphrase: Secret,
    iterations: int = ITERATIONS,
) -> PersonView:
    """Enrol `person` as an administrator does, and leave her credential file at `credential`.

    The device must be unlocked: the authority signs. Raises the process's Problems (`passphrase-too-weak`,
    `file-exists`, …) before anything is issued, the gateway's, or EnvironmentFault `enrolment-died`.
    """
    process = spawn.start(spawn.python_command(ENROL), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        wish = Wish(
            uid=person.uid,
            name=person.name,
            passphrase=passphrase.reveal(),
            path=str(credential.absolute()),
            iterations=iterations,
        )
        request = _ask(process, wish)
        issued = people.enrol(session, Enrol(person=person, roles=roles, csr=request.csr))
        _ask(process, Certified(certificate=issued.certificate_pem, authority=session.address.authority_pem))
        return issued
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        spawn.stop(process, _END_SECONDS)


def _ask(process: subprocess.Popen[bytes], said: T) -> EnrolLine:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the enrolling process needs its pipes")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(said) + b"\n")
        process.stdin.flush()
    try:
        line = msgspec.json.decode(process.stdout.readline(), type=EnrolLine)
    except msgspec.DecodeError:
        raise EnvironmentFault(
            Problem(
                code="enrolment-died",
                what="The process that makes the person's key ended before it was done.",
                key_state="No credential file was written. Whether a certificate was issued, the list of people tells.",
                todo="Look at the list of people; revoke the certificate if it is there, and enrol anew.",
            )
        ) from None
    if line.problem is not None:
        raise error_of(line.problem)
    return line
