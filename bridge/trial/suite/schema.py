"""The JSON Schema of a file of tests, for the YAML language server of an editor."""

from typing import Any

from bridge.config.schema import schema_of
from bridge.trial.suite.models import Expected, SuiteFile


def tests_schema() -> dict[str, Any]:
    """As that of the configuration: it says what the shape of a file can say, and `pushbridge test` says the rest."""
    schema = schema_of(SuiteFile, "pushbridge tests of rules")
    expected = schema["$defs"][f"{Expected.__module__}.{Expected.__name__}"]
    for properties, key in ((schema["properties"], "config"), (expected["properties"], "dead_letter")):
        _or_single(properties[key])
    return schema


def _or_single(schema: dict[str, Any]) -> None:
    """Have one thing stand for a list of it."""
    (listed, *others) = schema["anyOf"]
    schema["anyOf"] = [listed, listed["items"], *others]
