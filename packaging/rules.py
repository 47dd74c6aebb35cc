"""Rules of the house that no linter knows: file lengths, secrets of the trade, words that must not leave.

Run by `make check` from the project's root; prints each breach and exits 1 when there is one.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

LINES = 400
BUILT = ("build", "dist")
# Module `random` is no source for anything that guards a key; bidi and zero-width characters hide what code does.
BANNED = {
    r"^\s*(import random|from random import)": "the module `random` is not for this project; use `secrets`",
    r"[\u200b-\u200f\u202a-\u202e\u2066-\u2069]": "a bidirectional or zero-width character",
    r"\bpkcs11\.unload\(": "pkcs11.unload leaves raw pointers behind; end the worker instead",
    r"QMessageBox\.(question|information|warning|critical)\(": "a modal static; pages ask, boxes do not",
    r"\.processEvents\(": "processEvents re-enters the event loop; use a background call",
}


def sources(root: Path) -> list[Path]:
    """Every Python file but of hidden folders and of what was built. A copy without git is checked as well."""
    found = []
    for folder, inside, names in os.walk(root):
        inside[:] = [name for name in inside if not name.startswith(".") and name not in BUILT]
        found += [Path(folder, name) for name in names if name.endswith(".py")]
    return sorted(found)


def main() -> int:
    breaches = []
    for path in sources(Path()):
        if path == Path(__file__).relative_to(Path.cwd()):
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        if path.parts[0] != "tests" and len(lines) > LINES:
            breaches.append(f"{path}: {len(lines)} lines; is there a wall missing?")
        if path.parts[0] != "tests":
            breaches += [
                f"{path}:{number}: {why}"
                for number, line in enumerate(lines, 1)
                for pattern, why in BANNED.items()
                if re.search(pattern, line)
            ]
    for breach in breaches:
        sys.stdout.write(breach + "\n")
    return 1 if breaches else 0


if __name__ == "__main__":
    raise SystemExit(main())
