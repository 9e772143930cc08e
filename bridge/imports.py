"""Imports a package without a part that only serves what a daemon never does: code that is loaded stays in its memory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def standing_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """Let what is imported meanwhile find `module` under that name; None has it find that there is none.

    The name is free again afterwards, so that who needs the real module imports it. A module that was imported before
    keeps its name: nothing is saved then.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = module  # type: ignore[assignment]  # None is what Python takes for "cannot be imported"
    try:
        yield
    finally:
        del sys.modules[name]
