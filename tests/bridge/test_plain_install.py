"""An install brings what our modules import: a plain one for all but the folders of an extra, which its own brings."""

import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions

import pytest

pytestmark = pytest.mark.processes

PACKAGES = ("bridge", "connectors", "rules", "hub", "sandbox")

OF_EXTRAS = {
    "postgres": "hub.store.postgres",
    "sql-postgresql": "connectors.sql",
    "sql-mysql": "connectors.sql",
    "tracing": "bridge.observe.otlp",
}
"""By extra, the folder whose modules need it, and which nothing imports that does not."""

IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

packages, absent, left_out = (set(argument.split(",")) for argument in sys.argv[1:])
sys.meta_path.insert(0, Absent())
for package in packages:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__") and module.name.rpartition(".")[0] not in left_out:
            importlib.import_module(module.name)
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def brought_by(name: str, known: set[str], *, extra: str = "") -> None:
    """Add to `known` the distribution and all that it needs with an extra, or without, on whichever platform."""
    if normal(name) in known:
        return
    known.add(normal(name))
    for requirement in distribution(name).requires or ():
        needed = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert needed is not None
        of = re.search(r"extra == ['\"]([^'\"]+)", requirement)
        if (of is None or of[1] == extra) and normal(needed[0]) in INSTALLED:
            brought_by(needed[0], known)


MODULES = packages_distributions()
INSTALLED = {normal(name) for names in MODULES.values() for name in names}


@pytest.mark.parametrize("extra", ["", *OF_EXTRAS])
def test_every_module_is_importable_with_what_an_install_brings(extra: str) -> None:
    left_out = {folder for folder in OF_EXTRAS.values() if folder != OF_EXTRAS.get(extra)}
    brought: set[str] = set()
    brought_by("pushbridge", brought, extra=extra)
    absent = [module for module, names in MODULES.items() if brought.isdisjoint(map(normal, names))]
    assert {"pytest", "mypy", "hypothesis"} <= set(absent)
    arguments = [",".join(each) for each in (PACKAGES, absent, left_out)]
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
