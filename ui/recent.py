"""Workspaces that were opened on this machine: their folders, nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from PySide6.QtCore import QStandardPaths

from hsm_console.domain import places

KEPT = 8


def _file() -> Path:
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppConfigLocation)
    return Path(folder) / "recent.json"


def known() -> list[str]:
    """Newest first; those that are still there."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(found, list):
        return []
    return [name for name in found if isinstance(name, str) and can_be_opened(Path(name))]


def can_be_opened(folder: Path) -> bool:
    """A workspace of this machine, or a folder that stands for one on another machine."""
    return any((folder / name).is_file() for name in (places.WORKSPACE, places.ELSEWHERE))


def remember(directory: str) -> None:
    """A list that cannot be written is no reason to stop anybody."""
    names = [directory, *(name for name in known() if name != directory)][:KEPT]
    try:
        _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _file().write_text(json.dumps(names), encoding="utf-8")
    except OSError:
        return
