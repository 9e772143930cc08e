"""The JSON Schema of a file of tests, for the YAML language server of an editor."""

from typing import Any

from bridge.config.schema import schema_of
from bridge.trial.suite.models import Expected, ExpectedFollowUp, ExpectedPush, ExpectedUnopened, Step, SuiteFile

_ONE_OR_MORE = (
    (SuiteFile, "config"),
    (Step, "opened"),
    (Expected, "dead_letter"),
    (ExpectedPush, "report_to"),
    (ExpectedFollowUp, "report_to"),
    (ExpectedUnopened, "report_to"),
)


def tests_schema() -> dict[str, Any]:
    """As that of the configuration: it says what the shape of a file can say, and `pushbridge test` says the rest."""
    schema = schema_of(SuiteFile, "pushbridge tests of rules")
    for model, key in _ONE_OR_MORE:
        definition = schema if model is SuiteFile else schema["$defs"][f"{model.__module__}.{model.__name__}"]
        _or_single(definition["properties"][key])
    return schema


def _or_single(schema: dict[str, Any]) -> None:
    """Have one thing stand for a list of it."""
    (listed, *others) = schema["anyOf"]
    schema["anyOf"] = [listed, listed["items"], *others]
