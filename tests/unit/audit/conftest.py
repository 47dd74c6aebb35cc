"""Logs with fixed keys and clocks, from tests/golden/forge.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_FORGE = next(folder for folder in Path(__file__).parents if folder.name == "tests") / "golden" / "forge.py"


def _load() -> ModuleType:
    if "golden_forge" not in sys.modules:
        spec = importlib.util.spec_from_file_location("golden_forge", _FORGE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["golden_forge"] = module
        spec.loader.exec_module(module)
    return sys.modules["golden_forge"]


@pytest.fixture(scope="session")
def forge() -> ModuleType:
    return _load()
