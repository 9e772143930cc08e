"""No module of ours imports itself by way of others, not inside a function and not for type checkers only."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bridge", "connectors", "hub", "rules")


@pytest.mark.slow
def test_modules_import_in_no_circle() -> None:
    assert [sorted(circle) for circle in circles(import_graph(ROOT, PACKAGES))] == []


@pytest.mark.parametrize(
    "back",
    [
        "import hub.a",
        "from hub.a import X",
        "from hub import a",
        "from . import a",
        "from .a import X",
        "def late():\n    from hub.a import X",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hub.a import X",
    ],
)
def test_a_circle_is_found(tmp_path: Path, back: str) -> None:
    write(
        tmp_path, {"hub/__init__.py": "", "hub/a.py": "from hub import b", "hub/b.py": "import hub.c", "hub/c.py": back}
    )
    assert circles(import_graph(tmp_path, ["hub"])) == {frozenset({"hub.a", "hub.b", "hub.c"})}


def test_a_circle_through_the_door_plate_is_found(tmp_path: Path) -> None:
    write(tmp_path, {"hub/__init__.py": "from hub.a import X", "hub/a.py": "from hub import Y"})
    assert circles(import_graph(tmp_path, ["hub"])) == {frozenset({"hub", "hub.a"})}


def test_modules_below_each_other_are_no_circle(tmp_path: Path) -> None:
    write(
        tmp_path, {"hub/__init__.py": "", "hub/a.py": "import hub.b, hub.c", "hub/b.py": "import hub.c", "hub/c.py": ""}
    )
    assert circles(import_graph(tmp_path, ["hub"])) == set()


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)


def import_graph(root: Path, packages: Sequence[str]) -> dict[str, set[str]]:
    """The modules that each module names in its imports, wherever the import stands."""
    files = {_module_name(file.relative_to(root)): file for each in packages for file in (root / each).rglob("*.py")}
    graph = {}
    for name, file in files.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        named = {_module_in(text, files) for text in _imported(ast.parse(file.read_text("utf-8")), package)}
        graph[name] = named - {"", name}
    return graph


def _module_name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                origin = ".".join([*above, *([node.module] if node.module else [])])
                yield from (f"{origin}.{alias.name}" for alias in node.names)


def _module_in(name: str, modules: Mapping[str, Path]) -> str:
    """The module that holds what an import names, empty for a module of others."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def circles(graph: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """The sets of modules that reach each other (strongly connected components, Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_modules: list[str] = []
    found = set()

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        open_modules.append(module)
        for other in graph[module]:
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in open_modules:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            at = open_modules.index(module)
            circle = frozenset(open_modules[at:])
            del open_modules[at:]
            if len(circle) > 1:
                found.add(circle)

    for module in graph:
        if module not in order:
            visit(module)
    return found
