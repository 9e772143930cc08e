"""The OpenAPI 3.1 document of the API, made from its operations."""

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bridge.admin.api.operation import PREFIX, Model, Operation
from bridge.admin.api.problems import MEDIA_TYPE, Problem

ACTOR_HEADER = "Pushbridge-Actor"

_DESCRIPTION = (
    "Times are RFC 3339 in UTC. A list comes in parts: `next` is the `cursor` of the part that follows, null at the end. "
    "Reading needs a token where one is configured, and else a connection from this machine; a change needs a token of the "
    "role operator or admin. Mistakes are problem details of RFC 9457."
)
_PROBLEMS = {
    400: "what was sent has a mistake, which `detail` names",
    401: "the token is missing or wrong",
    403: "not from here, or the role of who asks is too little",
    413: "the body is too large",
    429: "too many notifications wait: come again after Retry-After",
    503: "the store cannot do it now: come again after Retry-After",
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document as JSON types."""
    models = {
        **{model: "serialization" for operation in operations for model in (operation.answer, Problem)},
        **{operation.body: "validation" for operation in operations if operation.body is not None},
    }
    inputs: list[tuple[type[Model], JsonSchemaMode]] = [
        (model, "serialization" if mode == "serialization" else "validation") for model, mode in models.items()
    ]
    _, schemas = models_json_schema(inputs, ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pushbridge admin API", "version": version("pushbridge"), "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"adminToken": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"adminToken": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    problems = _PROBLEMS | ({404: operation.missing} if operation.missing else {})
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {
            str(operation.status): {
                "description": operation.summary,
                "content": {"application/json": {"schema": _reference(operation.answer)}},
            },
            **{
                str(status): {
                    "description": words,
                    "content": {MEDIA_TYPE: {"schema": _reference(Problem)}},
                }
                for status, words in sorted(problems.items())
                if operation.is_change or status not in (413, 429)
            },
        },
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _reference(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name, schema in operation.query.model_json_schema().get("properties", {}).items():
        yield {"name": name, "in": "query", "schema": {key: value for key, value in schema.items() if key != "title"}}
    if operation.is_change:
        text = "Who makes the change, for the audit row"
        text += "." if operation.needs_name else "; `admin` when it is missing."
        schema = {"type": "string", "maxLength": 100}
        yield {
            "name": ACTOR_HEADER,
            "in": "header",
            "required": operation.needs_name,
            "description": text,
            "schema": schema,
        }


def _reference(model: type[Model]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
