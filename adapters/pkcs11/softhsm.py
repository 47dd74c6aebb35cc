"""SoftHSM 2: a real PKCS#11 module whose keys lie in files. Every workspace has a store of its own."""

from __future__ import annotations

import os
from pathlib import Path

from adapters.pkcs11.profile import load
from adapters.pkcs11.token import Pkcs11Token
from adapters.problems import refused, store_refused
from hsm_console.hsm.port import Binding, Hsm

_CONFIGURATION = """directories.tokendir = {store}
objectstore.backend = file
log.level = ERROR
slots.removable = false
"""


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
    return Pkcs11Token(binding, load("softhsm"))
