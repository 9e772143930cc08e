"""Imports a package without a part that only serves what a daemon never does: code that is loaded stays in its memory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def standing_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """Give `module` to all that import `name` in the block; with None such an import fails, as of a missing package.

    After the block an import of `name` gets the real module. A module that was imported before the block stays: nothing is
    saved then.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = module  # type: ignore[assignment]  # None is what Python takes for "cannot be imported"
    try:
        yield
    finally:
        del sys.modules[name]
