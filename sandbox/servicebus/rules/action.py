"""What a rule does to the messages it lets through: `SET name = value; REMOVE name`.

Standard behind it: Microsoft, "Subscription Rule SQL Action Syntax".
"""

from collections.abc import Mapping
from typing import Any

from sandbox.servicebus.rules.sql import Parser, Value


def parse_action(text: str, parameters: Mapping[str, Any]) -> list[tuple[str, Value | None]]:
    """The steps in order: a property and its new value, or None for one that is removed.

    Raises: FilterError.
    """
    parser = Parser(text, parameters)
    steps: list[tuple[str, Value | None]] = []
    while not steps or not parser.at_end():
        if parser.takes("REMOVE"):
            steps.append((parser.name(), None))
        else:
            parser.expect("SET")
            name = parser.name()
            parser.expect("=")
            steps.append((name, parser.value()))
        if not parser.takes(";"):
            parser.expect_end()
    return steps
