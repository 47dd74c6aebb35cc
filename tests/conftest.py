"""What several folders of tests share: the forge of logs with fixed keys and clocks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_FORGE = Path(__file__).parent / "golden" / "forge.py"


@pytest.fixture(scope="session")
def forge() -> ModuleType:
    """tests/golden/forge.py, loaded once: it is a program too, and tests are no package."""
    if "golden_forge" not in sys.modules:
        spec = importlib.util.spec_from_file_location("golden_forge", _FORGE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["golden_forge"] = module
        spec.loader.exec_module(module)
    return sys.modules["golden_forge"]
