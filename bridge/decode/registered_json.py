"""JSON whose schema is kept in a registry: it is read as JSON is, and held against the schema."""

from typing import Any

import orjson

from bridge.decode.json import read_json
from bridge.decode.schema import Schema
from bridge.schemas.registry import RegisteredSchema

_STEPS, _STEPS_OF_A_BYTE = 10_000, 5
"""Keywords that are looked at in a body, and as many more for each byte: others than the operator write into a registry."""


class RegisteredJson:
    """A schema of the registry, compiled. A `$ref` leads to a schema that the registry names as referred to."""

    def __init__(self, schema: RegisteredSchema) -> None:
        """Raises: ValueError: it is no JSON Schema."""
        others = {name: _loaded(text) for name, text in schema.references}
        self._schema = Schema(_loaded(schema.text), called="it", others=others)

    def read(self, content: bytes) -> Any:
        """Raises: EventError: no JSON, or not of the schema."""
        data = read_json(content)
        self._schema.check(data, steps=_STEPS + _STEPS_OF_A_BYTE * len(content))
        return data


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no JSON Schema: no JSON: {error.msg} at line {error.lineno}") from None
