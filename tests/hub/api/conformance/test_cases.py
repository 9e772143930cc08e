"""Each conformance case of the wire contract, section 18, has a test by its number, or a reason why it has none here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent

CASES = range(1, 135)

NOT_HERE = {
    134: "tests/integration/sdks: JavaScript, Java and both Python clients run unmodified; .NET is not on the machine",
}
"""Why a case has no test here."""

_NUMBERS = re.compile(r"(\d+)(?:_to_(\d+))?_")


def numbers_in(name: str) -> Iterator[int]:
    """Of `test_1_to_3_10_words`: 1, 2, 3, 10."""
    rest = name.removeprefix("test_")
    while found := _NUMBERS.match(rest):
        yield from range(int(found[1]), int(found[2] or found[1]) + 1)
        rest = rest[found.end() :]


def test_every_case_has_a_test_or_a_reason() -> None:
    tested: set[int] = set()
    for path in HERE.glob("test_*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        functions = [each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        for name in functions:
            if name.startswith("test_"):
                tested.update(numbers_in(name))
    assert tested <= set(CASES)
    assert [case for case in CASES if case not in tested and case not in NOT_HERE] == []
    assert [case for case in NOT_HERE if case in tested] == []
