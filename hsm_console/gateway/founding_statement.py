"""The founding statement, durable before anything is made: what is to be founded, without secrets (ADR 0003)."""

from __future__ import annotations

import re

import msgspec
import rfc8785

from hsm_console import __version__
from hsm_console.domain.clock import SystemClock
from hsm_console.domain.ids import uuid7
from hsm_console.domain.messages.setup import FoundingSpec
from hsm_console.policy import environment as environments


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The founding statement: what is to be founded, without secrets. Its canonical bytes stand in entry 0."""

    format: int
    chain_uid: str
    origin: str
    name: str
    environment: str
    adapter: str
    token_label: str
    options: dict[str, str]
    people: list[dict[str, str]]
    created_ms: int
    software_version: str

    def encode(self) -> bytes:
        return rfc8785.dumps(msgspec.to_builtins(self))

    def describes(self, spec: FoundingSpec) -> bool:
        """Whether this statement was made for the same wish."""
        mine = (self.name, self.environment, self.adapter, self.token_label, self.options, self.people)
        wish = (spec.name, spec.environment, spec.adapter, spec.token_label, spec.options, _people(spec))
        return mine == wish


def _people(spec: FoundingSpec) -> list[dict[str, str]]:
    """Names are left out where the rules seal them: the statement stands in entry 0, in clear."""
    sealed = "names" in environments.load(spec.environment).log.confidential
    return [
        {"uid": f.person.uid, "roles": " ".join(role.value for role in f.roles)}
        | ({} if sealed else {"name": f.person.name})
        for f in spec.people
    ]


def new_statement(spec: FoundingSpec) -> Statement:
    chain_uid = uuid7()
    slug = re.sub(r"[^a-z0-9]+", "-", spec.name.lower()).strip("-")[:40] or "workspace"
    return Statement(
        format=1,
        chain_uid=chain_uid,
        origin=f"hsm-console/{slug}/{chain_uid[-12:]}",
        name=spec.name,
        environment=spec.environment,
        adapter=spec.adapter,
        token_label=spec.token_label,
        options=dict(spec.options),
        people=_people(spec),
        created_ms=SystemClock().now().time_ms,
        software_version=__version__,
    )


class OtherSecrets(Exception):
    """An unfinished founding was begun with another PIN or passphrase."""
