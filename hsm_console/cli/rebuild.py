"""`hsm-console rebuild WORKSPACE`: make every table anew from the log and compare it with the one in force.

The tables belong to the gateway's room, so a process of that room does it.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from hsm_console.client import spawn


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `rebuild`."""
    parser = subparsers.add_parser("rebuild", help="make the tables of a workspace anew from its log")
    parser.add_argument("workspace", type=Path)
    parser.add_argument(
        "--segments", type=Path, metavar="DIR", help="segments of pruned entries (default: in the folder)"
    )
    parser.add_argument("--identity", type=Path, metavar="FILE", help="age identity that opens them")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """0: every table was identical; 1: at least one was replaced; 3: the log cannot be opened."""
    more = [f"--{name}={getattr(args, name)}" for name in ("segments", "identity") if getattr(args, name)]
    more += ["--json"] if args.json else []
    command = spawn.python_command("hsm_console.gateway.rebuild", str(args.workspace), *more)
    return subprocess.run(command, env=spawn.environment(), check=False).returncode
