"""A caller that knows nothing of vendors: plain python-pkcs11, run in a process of its own against the shim.

    python naive.py MODULE LABEL PIN RULE…      prints {rule: what the module answered} as JSON

One function per rule does what a program written for SoftHSM would do. `OK` means that nothing stopped it.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from collections.abc import Callable
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from adapters.pkcs11.errors import ckr_of
from adapters.pkcs11.numbers import member
from adapters.pkcs11.raw import CkrError, RawModule
from hsm_console.domain.secret import Secret

A = Attribute
RULES: dict[str, Callable[[Any], object]] = {}
SIGN = MechanismFlag.SIGN | MechanismFlag.VERIFY
GUARDED = {A.TOKEN: True, A.PRIVATE: True, A.SENSITIVE: True, A.MODIFIABLE: False}
SHOWN = {A.TOKEN: True, A.PRIVATE: True, A.MODIFIABLE: False}


class Caller:
    """A logged-in session, opened when it is first wanted, and keys that keep the other rules."""

    def __init__(self, path: str, label: str, pin: str) -> None:
        self.path = path
        self.library = pkcs11.lib(path)
        self.token = self.library.get_token(token_label=label)
        self.pin = pin
        self._session: Any = None
        self._number = 0

    @property
    def session(self) -> Any:
        if self._session is None:
            self._session = self.token.open(rw=True, user_pin=self.pin)
        return self._session

    def log_in(self, pin: str, user_type: int | None = None) -> None:
        self.logout()
        self._session = self.token.open(
            rw=True, user_pin=pin, **({} if user_type is None else {"user_type": user_type})
        )

    def logout(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def name(self) -> dict[str, Any]:
        self._number += 1
        return {"id": b"naive" + bytes([self._number]), "label": f"naive-{self._number}"}

    def pair(self, **more: Any) -> Any:
        curve = {A.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        given: dict[str, Any] = {
            **self.name(),
            "store": True,
            "capabilities": SIGN,
            "public_template": SHOWN,
            "private_template": GUARDED,
            **more,
        }
        given["public_template"] = {**given["public_template"], **curve}
        return self.session.generate_keypair(KeyType.EC, mechanism=Mechanism.EC_KEY_PAIR_GEN, **given)

    def aes(self, flags: Any = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT, **more: Any) -> Any:
        given = {"store": True, "template": {**GUARDED, A.EXTRACTABLE: False}, **self.name(), **more}
        return self.session.generate_key(KeyType.AES, 256, capabilities=flags, **given)


def rule(name: str) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    def keep(function: Callable[[Any], object]) -> Callable[[Any], object]:
        RULES[name] = function
        return function

    return keep


@rule("ro-refused")
def _read_only(c: Caller) -> object:
    return c.token.open()


@rule("sessions")
def _many_sessions(c: Caller) -> object:
    opened: list[Any] = []
    try:
        for _ in range(8):
            opened.append(c.token.open(rw=True))
    finally:
        for each in opened:
            each.close()
    return opened


@rule("iv-readback")
@rule("iv-late")
@rule("iv-append16")
def _own_iv(c: Caller) -> object:
    return c.aes().encrypt(b"x", mechanism=_gcm(c), mechanism_param=_gcm_param(b"\x01" * 12))


@rule("iv-prepend")
def _iv_for_a_mechanism_that_makes_its_own(c: Caller) -> object:
    mechanism = member(Mechanism, 0x80001087, "CLOUDHSM_AES_GCM")
    return c.aes().encrypt(b"x", mechanism=mechanism, mechanism_param=_gcm_param(b"\x01" * 12))


def _gcm(c: Caller) -> Any:
    """The mechanism by the number it has in this module."""
    offered = {int(each) for each in c.token.slot.get_mechanisms()}
    return Mechanism.AES_GCM if 0x1087 in offered else member(Mechanism, 0x8001E101, "CLOUDKMS_AES_GCM")


_HELD: list[Any] = []


def _gcm_param(iv: bytes) -> Any:
    _HELD.append(ctypes.create_string_buffer(iv, len(iv)))
    return struct.pack("PLLPLL", ctypes.addressof(_HELD[-1]), len(iv), 8 * len(iv), 0, 0, 128)


@rule("no-gcm")
def _gcm_anyhow(c: Caller) -> object:
    return c.aes().encrypt(b"x", mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(b"\x01" * 12))


@rule("vendor-numbers")
def _standard_ed25519(c: Caller) -> object:
    made = {A.EC_PARAMS: bytes.fromhex("06032b6570"), **SHOWN}
    return c.session.generate_keypair(
        KeyType.EC_EDWARDS, store=True, mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, capabilities=SIGN, **c.name(),
        public_template=made, private_template=GUARDED,
    )  # fmt: skip


@rule("private-true")
def _public_half_for_everybody(c: Caller) -> object:
    return c.pair(public_template={A.TOKEN: True})


@rule("sensitive-private")
@rule("sensitive")
def _key_that_shows_itself(c: Caller) -> object:
    return c.pair(private_template={**GUARDED, A.SENSITIVE: False})


@rule("attribute-unknown")
def _every_attribute(c: Caller) -> object:
    return c.pair()[1][A.ALWAYS_AUTHENTICATE]


@rule("id-unique")
def _same_id_twice(c: Caller) -> object:
    return [c.pair(id=b"same") for _ in range(2)]


@rule("id-short")
def _long_id(c: Caller) -> object:
    return c.pair(id=b"\x01" * 63)


@rule("one-purpose")
def _all_usages(c: Caller) -> object:
    return c.session.generate_keypair(KeyType.RSA, 2048, store=True, **c.name())


@rule("modifiable-refused")
def _modifiable(c: Caller) -> object:
    return c.pair(private_template={**GUARDED, A.MODIFIABLE: True})


@rule("token-only")
def _session_key(c: Caller) -> object:
    return c.aes(store=False, template={**GUARDED, A.TOKEN: False})


@rule("kms-template")
def _usual_template(c: Caller) -> object:
    return c.pair()


@rule("kms-template-as-documented")
def _documented_template(c: Caller) -> object:
    """What Google's manual says: an empty public template, and a label and an algorithm (P-256 with SHA-256 is 12)."""
    name, number = ctypes.create_string_buffer(b"as-documented"), ctypes.c_ulong(12)
    template = (_Attribute * 2)(
        (A.LABEL, ctypes.cast(name, ctypes.c_void_p), 13),
        (0x8001E101, ctypes.cast(ctypes.byref(number), ctypes.c_void_p), 8),
    )
    mechanism = (ctypes.c_ulong * 3)(0x1040, 0, 0)
    handles = (ctypes.c_ulong * 2)()
    listed = RawModule(c.path)._list
    generate = ctypes.CFUNCTYPE(ctypes.c_ulong)(listed.contents.functions[59])  # C_GenerateKeyPair
    session = ctypes.c_ulong(c.session.handle)
    none, two = ctypes.c_ulong(0), ctypes.c_ulong(2)
    first, second = ctypes.byref(handles), ctypes.byref(handles, 8)
    RawModule._check("C_GenerateKeyPair", generate(session, mechanism, None, none, template, two, first, second))
    made = list(c.session.get_objects({A.LABEL: "as-documented"}))
    assert len(made) == 2
    return made


class _Attribute(ctypes.Structure):
    _fields_ = (("type", ctypes.c_ulong), ("pValue", ctypes.c_void_p), ("ulValueLen", ctypes.c_ulong))


@rule("no-set")
def _new_label(c: Caller) -> object:
    c.pair(private_template={**GUARDED, A.MODIFIABLE: True})[1][A.LABEL] = "other"
    return None


@rule("no-copy")
def _copy(c: Caller) -> object:
    return c.pair()[1].copy({A.LABEL: "copy"})


@rule("no-create")
@rule("no-data")
def _data(c: Caller) -> object:
    return c.session.create_object({A.CLASS: ObjectClass.DATA, A.TOKEN: True, A.PRIVATE: True, A.VALUE: b"x"})


@rule("no-init")
def _initialise(c: Caller) -> object:
    return RawModule(c.path).init_token(c.token.slot.slot_id, Secret("so-pin-2468"), "vendor")


@rule("no-set-pin")
def _new_pin(c: Caller) -> object:
    return c.session.set_pin(c.pin, c.pin)


@rule("no-seed")
def _seed(c: Caller) -> object:
    return c.session.seed_random(b"seed")


@rule("no-digest")
def _digest(c: Caller) -> object:
    return c.session.digest(b"x", mechanism=Mechanism.SHA256)


@rule("random-8-1024")
def _few_bytes(c: Caller) -> object:
    return c.session.generate_random(32)


@rule("no-verify")
def _verify(c: Caller) -> object:
    public, private = _pair_of_anybody(c)
    return public.verify(b"x" * 32, private.sign(b"x" * 32, mechanism=Mechanism.ECDSA), mechanism=Mechanism.ECDSA)


def _pair_of_anybody(c: Caller) -> Any:
    c.log_in(c.pin, 0)
    return c.pair()


@rule("no-wrap")
def _wrap(c: Caller) -> object:
    both = MechanismFlag.WRAP | MechanismFlag.UNWRAP
    target = c.aes(template={**GUARDED, A.EXTRACTABLE: True})
    return c.aes(both).wrap_key(target, mechanism=Mechanism.AES_KEY_WRAP)


@rule("no-derive")
def _derive(c: Caller) -> object:
    public, private = c.pair(capabilities=MechanismFlag.DERIVE)
    return private.derive_key(
        KeyType.AES, 256, mechanism=Mechanism.ECDH1_DERIVE, mechanism_param=(pkcs11.KDF.NULL, None, public[A.EC_POINT])
    )


@rule("no-login")
@rule("pin-colon")
@rule("pin-colon-expired")
@rule("pin-key-id")
def _plain_pin(c: Caller) -> object:
    return c.log_in("user-pin-1357")


@rule("any-pin")
def _security_officer(c: Caller) -> object:
    with RawModule(c.path).session(c.token.slot.slot_id) as session:
        return RawModule(c.path).login(session, Secret("so-pin-2468"), user=0)


@rule("any-pin-proves-nothing")
def _login_as_proof(c: Caller) -> object:
    return c.log_in("anything at all")


@rule("so-generates")
def _user_makes_keys(c: Caller) -> object:
    return c.pair()


@rule("user-limited")
def _limited_user_makes_keys(c: Caller) -> object:
    c.log_in(c.pin, 0x80000001)
    return c.pair()


@rule("user-named")
def _name_left_out(c: Caller) -> object:
    return c.log_in(c.pin, 0x83)


@rule("pin-lock")
def _guess(c: Caller) -> object:
    for guess in ("first-guess", "second-guess"):
        try:
            c.log_in(guess)
        except pkcs11.PinIncorrect:
            continue
    return c.log_in("third-guess")


@rule("no-finalize")
def _finalize(c: Caller) -> object:
    return c.library.finalize()


def main(path: str, label: str, pin: str, *wanted: str) -> None:
    caller = Caller(path, label, pin)
    answers = {}
    for name in wanted:
        try:
            RULES[name](caller)
            answers[name] = "OK"
        except (pkcs11.PKCS11Error, CkrError) as error:
            answers[name] = ckr_of(error)
        caller.logout()
    sys.stdout.write(json.dumps(answers))
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
