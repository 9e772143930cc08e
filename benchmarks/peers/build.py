"""Builds the peers, once: programs of Go, each a module, and a Python library beside this environment."""

import shutil
import subprocess
import sys
from pathlib import Path

_SOURCES = Path(__file__).parent / "go"
_BUILT = Path(sys.prefix) / "peers"
AIOAPNS = "aioapns==4.0"


class NotBuiltError(Exception):
    """A peer cannot be had on this machine; the message says why."""


def go_program(name: str) -> Path:
    """The program of a folder of `go/`, built anew where its sources are newer. Raises: NotBuiltError."""
    program = _BUILT / "bin" / name
    newest = max(each.stat().st_mtime for each in (_SOURCES / name).iterdir())
    if program.exists() and program.stat().st_mtime > newest:
        return program
    if shutil.which("go") is None:
        raise NotBuiltError(f"{name} was not run: no go command; install Go 1.22 or newer")
    _run(name, ["go", "build", "-o", str(program), "."], _SOURCES / name)
    return program


def python_library(requirement: str) -> Path:
    """A directory with a library and what it needs, for PYTHONPATH. Raises: NotBuiltError."""
    directory = _BUILT / requirement
    if not (directory / ".installed").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(requirement, [*pip, "--target", str(directory), requirement], _BUILT)
        (directory / ".installed").touch()
    return directory


def _run(name: str, command: list[str], directory: Path) -> None:
    _BUILT.mkdir(exist_ok=True)
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if ended.returncode:
        raise NotBuiltError(f"{name} was not run: {command[0]} could not make it: {ended.stderr.strip()[-300:]}")
