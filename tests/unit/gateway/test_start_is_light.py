"""What a gateway reads before it listens: people wait for it at every start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
DRAWING = ("reportlab", "PIL", "qrcode", "zxingcpp")


def test_nothing_that_draws_paper_is_imported_before_there_is_something_to_draw() -> None:
    code = (
        f"import sys; import hsm_console.gateway.__main__; "
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & set({DRAWING})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
