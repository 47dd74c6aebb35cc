"""What several folders of tests share: the order of a run, the forge of logs with fixed keys and clocks."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from hsm_console.domain.messages.setup import FoundingSpec

# How quick a machine is says nothing about what is right: a busy one would fail properties that hold.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
_GOLDEN = Path(__file__).parent / "golden"
_START_SECONDS = 0.05  # of an interpreter that does nothing, on two idle cores
# Folders whose files take long, each by itself; the others are quick and fill up the end of a run on several processes.
_LONG_FIRST = ("ui", "e2e", "faults", "flows", "attacks", "vendors", "contract", "property")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long folders first; within a folder as collected. The screen goes before all: Qt polishes every widget that is
    left anywhere anew at each change of theme, and the gallery makes many."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, bool]:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    place = _LONG_FIRST.index(folder) if folder in _LONG_FIRST else len(_LONG_FIRST)
    return place, item.path.name != "test_gallery.py"


def _loaded(name: str, folder: Path = _GOLDEN) -> ModuleType:
    """tests/golden/NAME.py, loaded once: they are programs too, and tests are no package."""
    known = f"{folder.name}_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        spec.loader.exec_module(module)
    return sys.modules[known]


def _slowness() -> float:
    """How many times longer than on a machine with nothing else to do an interpreter takes to start now; at least 1."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
    return max(1.0, (time.monotonic() - began) / _START_SECONDS)


@pytest.fixture(scope="session")
def in_time() -> Callable[[float, float], None]:
    """Asserts that what took `took` seconds was done within `limit`. A machine that is busy right now gets as many
    times longer as the start of an interpreter takes longer on it in the same moment."""

    def judged(took: float, limit: float) -> None:
        if took >= limit:
            slow = max(_slowness() for _ in range(3))
            assert took < limit * slow, f"{took:.2f} s, {limit} s allowed on a machine {slow:.1f} times slowed down"

    return judged


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[FoundingSpec], Path]:
    """A workspace in the specification's folder, founded as it says; those founded alike in this run are copies."""
    founding = _loaded("founding", Path(__file__).parent)
    return functools.partial(founding.found, shelf=founding.shelf(tmp_path_factory))


@pytest.fixture(scope="session")
def forge() -> ModuleType:
    """Makes logs with fixed keys and clocks."""
    return _loaded("forge")


@pytest.fixture(scope="session")
def kept() -> ModuleType:
    """What such logs go through: sealing, redaction, segments, pruning."""
    return _loaded("kept")
