"""What is told of the objects in the store: whole keys, halves of pairs, attributes read back."""

from __future__ import annotations

from adapters.simulation.store import Kind, Object
from hsm_console.domain.keys import Algorithm, KeyAttributes, KeyInfo


def infos(held: list[Object]) -> tuple[KeyInfo, ...]:
    """What `find` tells of one id's objects: a whole key, a half of a pair, or several keys that share the id."""
    private = [item for item in held if item.kind is Kind.PRIVATE]
    public = [item for item in held if item.kind is Kind.PUBLIC]
    infos = [_info_of(item, spki=b"", whole=True) for item in held if item.kind is Kind.SECRET]
    for index in range(max(len(private), len(public))):
        whole = index < len(private) and index < len(public)
        item = private[index] if index < len(private) else public[index]
        infos.append(_info_of(item, spki=public[index].value if whole else b"", whole=whole))
    return tuple(infos)


def _info_of(item: Object, *, spki: bytes, whole: bool) -> KeyInfo:
    return KeyInfo(
        object_id=item.object_id,
        label=item.label,
        algorithm=Algorithm(item.algorithm),
        spki=spki,
        attributes=attributes_of(item) if whole else KeyAttributes(),
    )


def attributes_of(item: Object) -> KeyAttributes:
    return KeyAttributes(
        token=True,
        private=True,
        sensitive=True,
        always_sensitive=item.always_sensitive,
        extractable=item.extractable,
        never_extractable=item.never_extractable,
        local=item.local,
        modifiable=False,
        usages=item.usages,
    )
