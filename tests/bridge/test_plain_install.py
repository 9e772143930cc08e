"""A plain install brings whatever any module of ours imports: what only tests and extras bring is not there."""

import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions

import pytest

pytestmark = pytest.mark.processes

PACKAGES = ("bridge", "connectors", "rules", "hub", "sandbox")

IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

packages, absent = sys.argv[1].split(","), set(sys.argv[2].split(","))
sys.meta_path.insert(0, Absent())
for package in packages:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def brought_by(name: str, known: set[str]) -> None:
    """Add to `known` the distribution and all that it needs without extras, on whichever platform."""
    if normal(name) in known:
        return
    known.add(normal(name))
    for requirement in distribution(name).requires or ():
        needed = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert needed is not None
        if "extra ==" not in requirement and normal(needed[0]) in INSTALLED:
            brought_by(needed[0], known)


MODULES = packages_distributions()
INSTALLED = {normal(name) for names in MODULES.values() for name in names}


def test_every_module_is_importable_with_what_a_plain_install_brings() -> None:
    plain: set[str] = set()
    brought_by("pushbridge", plain)
    absent = [module for module, names in MODULES.items() if plain.isdisjoint(map(normal, names))]
    assert {"pytest", "mypy", "hypothesis"} <= set(absent)
    command = [sys.executable, "-c", IMPORT_ALL, ",".join(PACKAGES), ",".join(absent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
