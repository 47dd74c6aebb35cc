"""`hsm-console gateway --workspace DIR [--listen ADDR]`: become the gateway's process."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from hsm_console.client import spawn


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `gateway`."""
    parser = subparsers.add_parser("gateway", help="run the gateway of a workspace")
    parser.add_argument("--workspace", type=Path, required=True, metavar="DIR")
    parser.add_argument("--listen", default="", metavar="ADDR", help="unix:/path or host:port")


def run(args: argparse.Namespace) -> int:
    """Replaces this process, so that a service manager sees and signals the gateway itself."""
    arguments = ["--workspace", str(args.workspace)]
    if args.listen:
        arguments += ["--listen", args.listen]
    sys.stdout.flush()
    command = spawn.python_command("hsm_console.gateway", *arguments)
    os.execve(command[0], command, {**os.environ, **spawn.environment()})  # noqa: S606 - no shell
