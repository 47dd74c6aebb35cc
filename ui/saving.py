"""Writing a copy that somebody asked for, away from the screen's thread."""

from __future__ import annotations

from pathlib import Path

from hsm_console.domain.errors import EnvironmentFault, Problem
from ui.texts import tr


def write(path: Path, data: bytes) -> Path:
    """Raises EnvironmentFault `file-not-written`."""
    try:
        path.write_bytes(data)
    except OSError as error:
        problem = Problem(
            code="file-not-written",
            what=tr("The file could not be written."),
            todo=tr("Choose another place, for example a medium that is not full, and save it again."),
            details={"path": str(path), "error": str(error)},
        )
        raise EnvironmentFault(problem) from error
    return path
