"""What the events of a configured source can be, as far as its settings say: what `check` holds rules against."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bridge.config.models import SourceSettings
from rules.advice.reach import Produced
from rules.render import Text, compile_text

META: Mapping[str, str] = {"headers": "The headers of the message by their names, whose case does not matter."}
"""Names under `meta` that the messages of all connectors have; those of one connector are in its entry."""


def produced_by(name: str, plain: Any, context: Mapping[str, Any]) -> Produced:
    """What the source called `name` makes; nothing is known of one that has mistakes."""
    try:
        source = SourceSettings.model_validate(plain, context=dict(context))
    except ValidationError:
        return Produced()
    format_ = source.decode_settings.format
    attributes = {key: text for key in ("type", "source", "subject") if (text := getattr(source.map, key)) is not None}
    if format_ == "cloudevents":
        return Produced(attributes=attributes)
    unmapped: Mapping[str, Text] = {
        "type": compile_text(name),
        "source": compile_text(f"/{name}"),
        "subject": compile_text(""),
    }
    pattern = source.decode.pattern
    is_text = format_ == "text"
    return Produced(
        fields=frozenset(re.compile(pattern).groupindex) if is_text and pattern is not None else None,
        is_text=is_text and pattern is None,
        meta=frozenset({*source.connector.meta, *META}),
        attributes={**unmapped, **attributes},
    )
