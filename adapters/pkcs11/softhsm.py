"""SoftHSM 2: a real PKCS#11 module whose keys lie in files. Every workspace has a store of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from adapters.pkcs11.module import Module
from adapters.pkcs11.profile import Profile, load
from adapters.pkcs11.session import Login
from adapters.pkcs11.token import Pkcs11Token
from adapters.problems import refused, store_refused
from hsm_console.domain.errors import DeviceError
from hsm_console.hsm.port import Binding, Hsm

_CONFIGURATION = """directories.tokendir = {store}
objectstore.backend = file
log.level = ERROR
slots.removable = false
"""
_OBJECT_BYTES = 64 * 1024
"""More than one object's file takes: with less room than this, a write that failed failed for want of it."""


class SoftHsmToken(Pkcs11Token):
    """SoftHSM answers CKR_FUNCTION_FAILED to whatever its files refuse; the disk itself says whether it was full."""

    def __init__(
        self,
        binding: Binding,
        profile: Profile,
        store: Path,
        module: Module | None = None,
        login: Login | None = None,
    ) -> None:
        super().__init__(binding, profile, module, login)
        self._store = store

    def _view(self) -> SoftHsmToken:
        return SoftHsmToken(self.sessions.binding, self.profile, self._store, self.module, self.sessions.login)

    @contextlib.contextmanager
    def _told(self, method: str, object_id: bytes = b"") -> Iterator[None]:
        try:
            with super()._told(method, object_id):
                yield
        except DeviceError as error:
            problem = error.problem
            if problem.code != "device-failed" or not _is_full(self._store):
                raise
            raise DeviceError(
                replace(
                    problem,
                    code="device-full",
                    what="The token has no room left: the disk under it is full.",
                    todo="Make room on the disk that holds the workspace, then try again.",
                    contact="the administrator of this workstation",
                    details={**problem.details, "path": str(self._store)},
                )
            ) from error


def _is_full(store: Path) -> bool:
    with contextlib.suppress(OSError):
        disk = os.statvfs(store)
        return disk.f_bavail * disk.f_frsize < _OBJECT_BYTES
    return False


def create(binding: Binding) -> Hsm:
    """The token in `directory/softhsm`. Raises InputError `binding-incomplete`, EnvironmentFault `module-missing`.

    The configuration is written anew at every start, with the folder's present place: a workspace may be moved.
    """
    if not binding.directory:
        raise refused("binding-incomplete", "SoftHSM needs a folder.", "Name the workspace's token folder.")
    store = Path(binding.directory).absolute() / "softhsm"
    try:
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise store_refused(error, store) from error
    descriptor = os.memfd_create("softhsm2.conf")
    os.write(descriptor, _CONFIGURATION.format(store=store).encode())
    os.environ["SOFTHSM2_CONF"] = f"/proc/self/fd/{descriptor}"
    return SoftHsmToken(binding, load("softhsm"), store)
