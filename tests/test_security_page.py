"""docs/security.md names tests: each one is there, so a claim does not outlive what it rests on."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NAMED = re.findall(r"`((?:\w+/)*\w+\.(?:py|yaml))(?:::(\w+))?`", (TESTS.parent / "docs/security.md").read_text("utf-8"))


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize("file, function", sorted(set(NAMED)))
def test_a_test_that_the_page_names_is_there(file: str, function: str) -> None:
    place = TESTS / file if (TESTS / file).exists() else TESTS.parent / file
    assert place.exists()
    assert not function or f"def {function}(" in place.read_text("utf-8")
