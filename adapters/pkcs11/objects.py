"""Keys as a token shows them: private, public and secret objects, joined by their CKA_ID."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.exceptions import (
    AttributeSensitive,
    AttributeTypeInvalid,
    FunctionFailed,
    ObjectHandleInvalid,
    PKCS11Error,
)

from adapters import problems
from adapters.pkcs11 import encoding, listing
from adapters.pkcs11.raw import RawModule
from hsm_console.domain.keys import Algorithm, KeyAttributes, KeyInfo, KeySpec, Usage

A = Attribute
MOST_OBJECTS = 500_000
KEY_CLASSES = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY, ObjectClass.PUBLIC_KEY)
_IDENTITY = (A.ID, A.LABEL, A.KEY_TYPE)
_BY_CLASS = {
    ObjectClass.PUBLIC_KEY: (A.MODULUS, A.PUBLIC_EXPONENT, A.EC_PARAMS, A.EC_POINT, A.PARAMETER_SET, A.VALUE),
    ObjectClass.PRIVATE_KEY: (A.MODULUS, A.EC_PARAMS, A.PARAMETER_SET),
    ObjectClass.SECRET_KEY: (A.VALUE_LEN,),
}
_GUARDS: dict[str, Attribute] = {
    "token": A.TOKEN,
    "private": A.PRIVATE,
    "sensitive": A.SENSITIVE,
    "always_sensitive": A.ALWAYS_SENSITIVE,
    "extractable": A.EXTRACTABLE,
    "never_extractable": A.NEVER_EXTRACTABLE,
    "local": A.LOCAL,
    "modifiable": A.MODIFIABLE,
}
_USAGES = {
    Usage.SIGN: (A.SIGN,),
    Usage.ENCRYPT: (A.DECRYPT,),
    Usage.WRAP: (A.WRAP, A.UNWRAP),
    Usage.DERIVE: (A.DERIVE,),
}
_TELLING = (*_GUARDS.values(), *(attribute for group in _USAGES.values() for attribute in group))
_SHOWN: dict[ObjectClass, tuple[Attribute, ...]] = {
    ObjectClass.PUBLIC_KEY: (),
    ObjectClass.PRIVATE_KEY: (*_TELLING, A.DECAPSULATE),
    ObjectClass.SECRET_KEY: _TELLING,
}
"""What `attributes` reads of the object that stands for a key."""


class Found(NamedTuple):
    """One object of a token."""

    kind: ObjectClass
    handle: Any
    values: dict[Attribute, Any]

    @property
    def object_id(self) -> bytes:
        return bytes(self.values.get(A.ID) or b"")

    @property
    def label(self) -> str:
        return str(self.values.get(A.LABEL) or "")

    @property
    def algorithm(self) -> Algorithm:
        return encoding.algorithm_of(self.values)


def read(handle: Any, attributes: Sequence[Attribute]) -> dict[Attribute, Any]:
    """What the object tells of these attributes; the ones it does not know or will not tell are left out.

    One call for all of them; a module that fails the whole call for one unknown attribute is asked one by one.
    """
    with contextlib.suppress(AttributeTypeInvalid, AttributeSensitive, FunctionFailed):
        return dict(handle.get_attributes(list(attributes)))
    values = {}
    for attribute in attributes:
        with contextlib.suppress(AttributeTypeInvalid, AttributeSensitive, FunctionFailed):
            values[attribute] = handle[attribute]
    return values


def finished(session: Any, wanted: dict[Attribute, Any]) -> list[Any]:
    """The objects of a search that is over: a second one, or any other call, may not come in between.

    Raises DeviceError `answer-unusable` when there is no end to them.
    """
    handles = list(itertools.islice(session.get_objects(wanted), MOST_OBJECTS + 1))
    if len(handles) > MOST_OBJECTS:
        raise problems.answer_unusable("find", f"more than {MOST_OBJECTS} objects")
    return handles


def search(
    session: Any, kinds: Sequence[ObjectClass] = KEY_CLASSES, *, object_id: bytes = b"", label: str = ""
) -> list[Found]:
    """All token objects of these classes. The search is finished before anything is read: a second one may not start.

    One search for all classes, and what few objects have comes first in it: a software token compares every object,
    and stops at the first attribute that differs.
    """
    wanted: dict[Attribute, Any] = {}
    if object_id:
        wanted[A.ID] = object_id
    if label:
        wanted[A.LABEL] = label
    if len(kinds) == 1:
        wanted[A.CLASS] = kinds[0]
    wanted[A.TOKEN] = True
    found = []
    for handle in finished(session, wanted):
        with contextlib.suppress(ObjectHandleInvalid):  # another process destroyed it meanwhile
            kind: Any = read(handle, (A.CLASS,)).get(A.CLASS)
            if kind in kinds:
                found.append(of(kind, handle))
    return sorted(found, key=lambda each: kinds.index(each.kind))


def of(kind: ObjectClass, handle: Any) -> Found:
    """An object whose handle is known, with what is needed to show it."""
    return Found(kind, handle, read(handle, (*_IDENTITY, *_BY_CLASS[kind])))


def taken(session: Any, attribute: Attribute, value: Any) -> bool:
    """Whether any key in the token carries this id or label: one search, whatever the class."""
    handles = finished(session, {attribute: value, A.TOKEN: True})
    return any(read(handle, (A.CLASS,)).get(A.CLASS) in KEY_CLASSES for handle in handles)


def everything(raw: RawModule, session: Any, mapper: Any) -> list[Found]:
    """Every key of the token. Raises DeviceError `answer-unusable` when there is no end to them."""
    asked = {kind: (*_IDENTITY, *more, *_SHOWN[kind]) for kind, more in _BY_CLASS.items()}
    try:
        listed = listing.everything(raw, session.handle, mapper, asked, most=MOST_OBJECTS)
    except listing.Unlisted:
        return search(session)
    if len(listed) > MOST_OBJECTS:
        raise problems.answer_unusable("find", f"more than {MOST_OBJECTS} objects")
    return sorted((Found(*each) for each in listed), key=lambda each: KEY_CLASSES.index(each.kind))


def attributes(handle: Any) -> KeyAttributes:
    """Attributes read back now. None where the token does not tell."""
    values = read(handle, [*_TELLING, A.KEY_TYPE])
    usages = tuple(usage for usage, group in _USAGES.items() if any(values.get(attribute) for attribute in group))
    # python-pkcs11 gives that method to every key of a module that does not know CKA_DECAPSULATE
    kem = values.get(A.KEY_TYPE) == KeyType.ML_KEM and hasattr(handle, "decapsulate_key")
    if kem and Usage.DERIVE not in usages:
        usages = (*usages, Usage.DERIVE)
    return KeyAttributes(
        **{name: None if values.get(attr) is None else bool(values[attr]) for name, attr in _GUARDS.items()},
        usages=usages,
    )


def infos(found: Sequence[Found]) -> tuple[KeyInfo, ...]:
    """Keys out of objects: pairs joined by id, half pairs and shared ids as the port describes them."""
    by_id: dict[bytes, list[Found]] = defaultdict(list)
    for each in found:
        by_id[each.object_id].append(each)
    return tuple(info for group in by_id.values() for info in _infos_of(group))


def _infos_of(group: Sequence[Found]) -> list[KeyInfo]:
    private = [each for each in group if each.kind is ObjectClass.PRIVATE_KEY]
    public = [each for each in group if each.kind is ObjectClass.PUBLIC_KEY]
    joined = [_info(each, spki=b"", whole=True) for each in group if each.kind is ObjectClass.SECRET_KEY]
    for index in range(max(len(private), len(public))):
        whole = index < len(private) and index < len(public)
        shown = private[index] if index < len(private) else public[index]
        joined.append(_info(shown, spki=spki(public[index]) if whole else b"", whole=whole, half=public[index:]))
    return joined


def spki(public: Found) -> bytes:
    """SubjectPublicKeyInfo of a public object; empty when it is of a kind the console does not know."""
    with contextlib.suppress(ValueError, KeyError):
        return encoding.spki(public.algorithm, public.values)
    return b""


def _info(each: Found, *, spki: bytes, whole: bool, half: Sequence[Found] = ()) -> KeyInfo:
    algorithm = each.algorithm
    if algorithm is Algorithm.OTHER and half:  # some tokens tell a key's size and curve only of its public half
        algorithm = half[0].algorithm
    read_back = KeyAttributes()
    if whole:
        with contextlib.suppress(PKCS11Error):
            read_back = attributes(each.handle)
    return KeyInfo(object_id=each.object_id, label=each.label, algorithm=algorithm, spki=spki, attributes=read_back)


def data(session: Any, application: str, label: str) -> list[Any]:
    """The data objects of one application and label."""
    wanted = {
        Attribute.CLASS: ObjectClass.DATA,
        Attribute.TOKEN: True,
        Attribute.APPLICATION: application,
        Attribute.LABEL: label,
    }
    return finished(session, wanted)


def as_made(spec: KeySpec, made: list[Found]) -> KeyInfo:
    """The key that was just made, as the token shows it. Raises `key-not-as-made` when that is not what was asked."""
    shown = infos(made)
    if len(shown) != 1 or (spec.algorithm.is_pair and not shown[0].spki) or shown[0].label != spec.label:
        raise problems.not_as_made(spec.object_id, len(shown))
    if shown[0].object_id != spec.object_id or shown[0].algorithm is not spec.algorithm:
        raise problems.not_as_made(spec.object_id, len(shown))
    return shown[0]


def all_of(session: Any, object_id: bytes, found: list[Found]) -> list[Found]:
    """All objects of one id; an object without id stands for itself."""
    if object_id:
        return search(session, object_id=object_id)
    return [each for each in found if not each.object_id]
