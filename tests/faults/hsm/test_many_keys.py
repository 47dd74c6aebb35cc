"""A token with many keys: it is read in few calls, and a name is found free without searching all of it each time.

Each test runs in a process of its own, as a worker does: a PKCS#11 module is loaded once and has one configuration.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.softhsm
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
_BEGIN = """
import os, sys
from adapters.pkcs11 import listing, names, objects, softhsm
from hsm_console.domain.errors import DeviceError
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, DataObject

token = softhsm.create(Binding(adapter="softhsm", token_label="many", directory=sys.argv[1]))
token.initialise_token("many", Secret("so-pin-2468"), Secret("user-pin-1357"))
token.log_in(Secret("user-pin-1357"))
session, raw = token.sessions.work(), token.module.raw

def spec(label, algorithm=Algorithm.EC_P256, usage=Usage.SIGN):
    return KeySpec(algorithm=algorithm, label=label, object_id=os.urandom(16), usages=(usage,))

def refused(label):
    try:
        token.generate(spec(label))
    except DeviceError as error:
        return error.problem.code
    return ""
"""


def in_process(folder: Path, script: str) -> None:
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    command = [sys.executable, "-c", _BEGIN + textwrap.dedent(script), str(folder)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


def test_the_quick_reading_shows_what_the_slow_one_shows(tmp_path: Path) -> None:
    in_process(
        tmp_path,
        """
        for algorithm, usage in ((Algorithm.EC_P384, Usage.SIGN), (Algorithm.RSA_2048, Usage.ENCRYPT),
                                 (Algorithm.ED25519, Usage.SIGN), (Algorithm.AES_256, Usage.WRAP),
                                 (Algorithm.HMAC_SHA256, Usage.SIGN), (Algorithm.EC_P256, Usage.DERIVE)):
            token.generate(spec(algorithm.value, algorithm, usage))
        token.write_data(DataObject(application="a", label="b", value=b"no key"))
        half = spec("half")
        token.generate(half)
        next(f for f in objects.search(session, object_id=half.object_id) if "PUBLIC" in f.kind.name).handle.destroy()
        quick = objects.infos(objects.everything(raw, session, token.sessions.mapper))
        slow = objects.infos(objects.search(session))
        assert sorted(quick, key=repr) == sorted(slow, key=repr)
        assert len(quick) == 7 and [key.label for key in quick if key.attributes.token is None] == ["half"]
        assert {key.attributes.extractable for key in quick if key.label != "half"} == {False}
        """,
    )


def test_a_module_that_answers_otherwise_is_read_in_the_slow_way(tmp_path: Path) -> None:
    in_process(
        tmp_path,
        """
        token.generate(spec("one"))
        whole = token.find()
        for odd in (0x05, 0x54, 0x150):  # CKR_GENERAL_ERROR, CKR_FUNCTION_NOT_SUPPORTED, CKR_BUFFER_TOO_SMALL
            raw.attribute_values = lambda *_: odd
            assert token.find() == whole
        raw.attribute_values = lambda *_: 0x12  # every answer missing, and the lengths as they were
        assert token.find() == whole
        """,
    )


def test_names_are_read_once_where_searching_is_slow_and_stay_true(tmp_path: Path) -> None:
    in_process(
        tmp_path,
        """
        names.SLOW_S = -1.0  # as it would be in a large token
        searches = []
        taken = objects.taken
        objects.taken = lambda *given: searches.append(given[1]) or taken(*given)
        token.generate(spec("first"))
        assert len(searches) == 2
        for number in range(3):
            token.generate(spec(f"more-{number}"))
        assert len(searches) == 2, "the names are known by now"
        for label in ("first", "more-1"):
            assert refused(label) == "label-taken"
        gone = spec("gone")
        token.generate(gone)
        token.destroy(gone.object_id)
        assert refused("gone") == "", "a name that is known and not there any more is free"
        assert refused("gone") == "label-taken"
        """,
    )


def test_names_that_another_program_made_are_seen_at_the_next_reading(tmp_path: Path) -> None:
    in_process(
        tmp_path,
        """
        from pkcs11 import KeyType
        names.SLOW_S = -1.0
        token.generate(spec("first"))
        session.generate_key(KeyType.AES, 256, id=b"x", label="theirs", store=True)
        assert refused("theirs") == "label-taken", "before the first reading"
        session.generate_key(KeyType.AES, 256, id=b"y", label="later", store=True)
        token.sessions.login.names._until = 0.0
        assert refused("later") == "label-taken"
        """,
    )
