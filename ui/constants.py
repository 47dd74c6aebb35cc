"""Keeps True, False and None alive in interpreters that still count the references to them.

Measured with PySide6 6.12 on CPython 3.11: each `Signal.emit` from Python takes one reference to True too many away.
After some thousand signals, half an hour of looking at the log's head, the interpreter ends the process with
“deallocating True or False”. From CPython 3.12 on these objects are immortal (PEP 683); here they become so.
"""

from __future__ import annotations

import ctypes
import sys

_SPARE = 1 << 40  # as many signals as this application can never emit
_REFCOUNT_IS_FIRST = sys.implementation.name == "cpython" and not hasattr(sys, "getobjects")  # not with Py_TRACE_REFS


def make_immortal() -> None:
    """Give the constants references that nobody can use up. Harmless when repeated, and nothing from 3.12 on."""
    if sys.version_info >= (3, 12) or not _REFCOUNT_IS_FIRST:
        return
    for constant in (True, False, None):
        if sys.getrefcount(constant) < _SPARE // 2:
            ctypes.c_ssize_t.from_address(id(constant)).value += _SPARE  # PyObject.ob_refcnt
