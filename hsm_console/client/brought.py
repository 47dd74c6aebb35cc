"""A file that somebody brought to be handed in."""

from __future__ import annotations

from pathlib import Path

from hsm_console.domain.errors import EnvironmentFault, Problem


def brought(path: Path) -> bytes:
    """What is in it. Raises EnvironmentFault `file-unreadable`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnvironmentFault(
            Problem(
                code="file-unreadable",
                what=f"{path.name} cannot be read: {error.strerror}.",
                todo="Check the medium and the permissions, then choose it again.",
            )
        ) from error
