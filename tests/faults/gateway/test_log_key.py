"""The key that signs the log is gone, or another one lies in its place: the token is not used, and the log says why."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hsm_console.client import audit, device
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, KeySpec, Usage
from hsm_console.domain.secret import Secret
from hsm_console.gateway.workspace import Home
from hsm_console.hsm.worker import HsmClient


def destroyed(hsm: HsmClient, key: Any) -> None:
    hsm.destroy(key.object_id)


def replaced(hsm: HsmClient, key: Any) -> None:
    hsm.destroy(key.object_id)
    hsm.generate(KeySpec(algorithm=Algorithm.ED25519, label=key.label, object_id=key.object_id, usages=(Usage.SIGN,)))


@pytest.mark.parametrize(
    ("spoil", "code"), [(destroyed, "log-key-lost"), (replaced, "log-key-foreign")], ids=["lost", "replaced"]
)
def test_a_token_that_cannot_sign_this_log_is_not_used(
    workspace: Path, flows: ModuleType, both_verify: Any, spoil: Callable[[HsmClient, Any], None], code: str
) -> None:
    home = Home(workspace)
    with HsmClient(home.binding(home.load())) as hsm:
        hsm.log_in(Secret(flows.PIN))
        spoil(hsm, next(key for key in hsm.find() if key.label.startswith("log ")))
    with contextlib.ExitStack() as stack:
        house = flows.House(workspace, stack.enter_context(GatewayProcess(workspace)), stack)
        ada = house.be("ada")
        with pytest.raises(ConsoleError) as refused:
            device.unlock(ada, Secret(flows.PIN))
        problem = refused.value.problem
        assert problem.code == code
        assert problem.key_state
        assert problem.todo
        assert problem.contact
        assert not device.state(ada).unlocked
        refusals = audit.entries(ada, limit=50, kind="device-unlock-refused").rows
        assert len(refusals) == 1
    both_verify(workspace)
