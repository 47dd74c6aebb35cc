"""No room, or no right to write: the device is not called, nothing is lost, and it goes on when there is room."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_console.client import ceremonies, device, setup
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages import ceremony as msg

Helpers = dict[str, Callable[..., Any]]
MIB = 1024 * 1024
ROOT = Path(__file__).parents[3]


def test_a_limit_on_files_stops_the_ceremony_and_not_the_gateway(house: Any, helpers: Helpers) -> None:
    ada = house.admin()
    view = house.until(ada, house.open(ada), "generate")
    generate = msg.Perform(step="generate", revision=view.revision, confirmed="generate")
    pid = house.gateway.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    code = helpers["refusal"](lambda: ceremonies.answer(ada, view.id, generate))
    health = device.health(ada)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert code in ("disk-full", "log-not-writable")
    assert not health.ok
    again = ceremonies.view(ada, view.id)
    assert again.key is None
    assert again.current == "generate"
    done = ceremonies.answer(ada, view.id, msgspec.structs.replace(generate, revision=again.revision))
    assert done.key is not None
    assert device.health(ada).ok


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 320 MB, more than the preflight asks for."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up(small_disk: Path, founded: Path, flows: Any, helpers: Helpers) -> None:
    workspace = small_disk / "house"
    shutil.copytree(founded, workspace)
    import contextlib

    with contextlib.ExitStack() as stack:
        house = flows.House(workspace, stack.enter_context(GatewayProcess(workspace)), stack)
        ada = house.admin()
        view = house.until(ada, house.open(ada), "generate")
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(MIB))
        with contextlib.suppress(OSError), (small_disk / "filler2").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        answer = msg.Perform(step="generate", revision=view.revision, confirmed="generate")
        assert helpers["refusal"](lambda: ceremonies.answer(ada, view.id, answer)) == "disk-full"
        assert ceremonies.view(ada, view.id).key is None
        filler.unlink()
        (small_disk / "filler2").unlink()
        now = ceremonies.view(ada, view.id)
        while now.status == "open":
            now = house.turn(ada, now)
        assert now.status == "completed"


def test_founding_without_room(small_disk: Path, flows: Any) -> None:
    (small_disk / "filler").write_bytes(bytes(300 * MIB))
    with pytest.raises(ConsoleError) as caught:
        setup.run(flows.spec(small_disk / "house"))
    assert caught.value.problem.code == "disk-full"
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def founding_as_nobody(spec: Any) -> Any:
    """Run the founding as another system user; its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "hsm_console.gateway.founding"],
        input=msgspec.json.encode(spec),
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        user=65534 if os.getuid() == 0 else None,
        group=65534 if os.getuid() == 0 else None,
        extra_groups=[] if os.getuid() == 0 else None,
        check=False,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1])


def test_founding_where_nothing_may_be_written(flows: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name)
        closed.chmod(0o555)
        last = founding_as_nobody(flows.spec(closed / "house"))
        closed.chmod(0o755)
        assert list(closed.iterdir()) == []
    assert last["problem"]["code"] == "directory-not-writable"
    assert last["problem"]["exit_code"] == 3
