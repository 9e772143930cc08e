"""The examples of the rule language's manual load."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

import rules
from hub.notification import Platform
from rules.filters import FILTERS
from rules.models import OPERATORS
from rules.scope import HubScope, Scope
from tests.rules.support import load

README = (Path(rules.__file__).parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
SCOPE = Scope(
    sources=frozenset({"core-banking"}),
    hubs={"app": HubScope(platforms=frozenset(Platform.declared()), topics={"withdrawals": [Decimal(100)]})},
    default_hub="app",
)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads(example: str, tmp_path: Path) -> None:
    compiled, problems = load(example, tmp_path, SCOPE)
    assert problems == []
    assert compiled.rules


@pytest.mark.parametrize("word", [*sorted(OPERATORS), *FILTERS])
def test_every_word_of_the_language_is_in_the_manual(word: str) -> None:
    assert re.search(rf"\b{word}\b", README)
