"""Packages that are imported without a part of them: who needs the part has it all the same."""

import subprocess
import sys
from types import ModuleType

import pytest

from bridge.imports import standing_in


def test_a_stand_in_is_found_and_its_name_is_free_afterwards() -> None:
    module = ModuleType("a_name_of_no_module")
    with standing_in("a_name_of_no_module", module):
        import a_name_of_no_module  # type: ignore[import-not-found]

        assert a_name_of_no_module is module
    assert "a_name_of_no_module" not in sys.modules


def test_the_name_is_free_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), standing_in("a_name_of_no_module", None):
        import a_name_of_no_module  # noqa: F401
    assert "a_name_of_no_module" not in sys.modules


def test_a_module_that_was_imported_before_keeps_its_name() -> None:
    with standing_in("sys", None):
        assert sys.modules["sys"] is sys
    assert sys.modules["sys"] is sys


@pytest.mark.processes
@pytest.mark.parametrize("first", ["import uvicorn", "pass"])
def test_uvicorn_is_whole_for_who_imports_its_command_line(first: str) -> None:
    program = f"""
{first}
from bridge.web_server import uvicorn
import uvicorn as named, uvicorn.server
assert named is uvicorn and uvicorn.Server is uvicorn.server.Server
from uvicorn.main import main, run, Server
assert callable(main) and callable(run) and Server is uvicorn.Server
"""
    subprocess.run([sys.executable, "-c", program], check=True)
