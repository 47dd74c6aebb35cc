"""`python -m hsm_console.gateway.rebuild WORKSPACE`: fold the log anew, compare, and put right what differs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hsm_console.audit.projection import rebuild
from hsm_console.audit.restored import Keys
from hsm_console.audit.retained import FOLDER
from hsm_console.domain.errors import ConsoleError, ExitCode
from hsm_console.gateway import projections
from hsm_console.gateway.workspace import Home, WorkspaceLock


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--segments", type=Path)
    parser.add_argument("--identity", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> int:
    """One line for each table: identical or replaced."""
    args = _arguments()
    home = Home(args.workspace)
    try:
        home.load()
        keys = Keys.read(args.segments or home.directory / FOLDER, args.identity) if args.identity else None
        lock = WorkspaceLock(home.directory)
        try:
            found = rebuild(home.log, projections.projections(), keys)
        finally:
            lock.release()
    except ConsoleError as error:
        sys.stderr.write(error.problem.in_words() + "\n")
        return int(error.problem.exit_code)
    if args.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.writelines(f"{name}: {word}\n" for name, word in found.items())
    return ExitCode.OK if set(found.values()) == {"identical"} else ExitCode.VERIFICATION


if __name__ == "__main__":
    raise SystemExit(main())
