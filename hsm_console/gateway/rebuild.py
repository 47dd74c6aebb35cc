"""`python -m hsm_console.gateway.rebuild WORKSPACE`: fold the log anew, compare, and put right what differs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hsm_console.audit.projection import rebuild
from hsm_console.domain.errors import ConsoleError, ExitCode
from hsm_console.gateway import projections
from hsm_console.gateway.workspace import Home, WorkspaceLock


def main() -> int:
    """One line for each table: identical or replaced."""
    home = Home(Path(sys.argv[1]))
    as_json = "--json" in sys.argv[2:]
    try:
        home.load()
        lock = WorkspaceLock(home.directory)
        try:
            found = rebuild(home.log, projections.projections())
        finally:
            lock.release()
    except ConsoleError as error:
        sys.stderr.write(error.problem.in_words() + "\n")
        return int(error.problem.exit_code)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.writelines(f"{name}: {word}\n" for name, word in found.items())
    return ExitCode.OK if set(found.values()) == {"identical"} else ExitCode.VERIFICATION


if __name__ == "__main__":
    raise SystemExit(main())
