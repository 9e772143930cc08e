"""What all sections of a configuration have in common."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo

from connectors.duration import Duration
from hub.egress import Egress
from hub.self_description import is_time_zone

Secret = Annotated[SecretStr, Field(min_length=1)]


class Section(BaseModel):
    """A part of the configuration; a key it does not have is a mistake."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        arbitrary_types_allowed=True,
    )


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model in the order in which they are shown: how a part leaves comes after what it is."""
    shared = Egress.model_fields if issubclass(model, Egress) else {}
    own = {name: field for name, field in model.model_fields.items() if name not in shared}
    return own | {name: model.model_fields[name] for name in shared}


def form(pattern: str, words: str) -> AfterValidator:
    """Text of a form that a complaint names in words."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(f"expected {words}")
        return text

    return AfterValidator(check)


def one_of(names: Iterable[str]) -> str:
    """Names as a sentence has them: with `and` before the last."""
    *names, last = names
    return f"{', '.join(names)} and {last}" if names else last


Positive = Annotated[Duration, Field(gt=0)]
NotNegative = Annotated[Duration, Field(ge=0)]

Name = Annotated[
    str, form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "a name of letters, digits, '.', '_' and '-', 100 characters at most")
]
"""Of a source or a hub: it becomes a metric label, and a hub's a path segment."""

HubName = Annotated[Name, AfterValidator(str.lower)]
"""Names of hubs compare without case, as in a URL's path: from here on each is in lower case."""


def time_zone(name: str) -> str:
    """The name of a time zone. Raises: ValueError."""
    if not is_time_zone(name):
        raise ValueError("not a time zone; write a name such as Europe/Zurich or UTC")
    return name
