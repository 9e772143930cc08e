"""What the events of a configured source can be, as far as its settings say: what `check` holds rules against."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bridge.config.models.sources import SourceSettings
from rules.advice.reach import Produced
from rules.render import Text, compile_text

META: Mapping[str, str] = {"headers": "The headers of the message by their names, whose case does not matter."}
"""Names under `meta` that the messages of all connectors have; those of one connector are in its entry."""

RECORD_META: Mapping[str, str] = {
    "record": "The number of the record in its body, from 1 on, where decode.split is set."
}
"""Names under `meta` that records of a body have."""


def produced_by(name: str, plain: Any, context: Mapping[str, Any]) -> Produced:
    """What the source called `name` makes; nothing is known of one that has mistakes."""
    try:
        source = SourceSettings.model_validate(plain, context=dict(context))
    except ValidationError:
        return Produced()
    format_ = source.decode_settings.format
    attributes = {key: text for key in ("type", "source", "subject") if (text := getattr(source.map, key)) is not None}
    if format_ in ("cloudevents", "debezium"):
        return Produced(attributes=attributes)
    unmapped: Mapping[str, Text] = {
        "type": compile_text(name),
        "source": compile_text(f"/{name}"),
        "subject": compile_text(""),
    }
    field_word, fields_by = _FIELDS.get(format_, ("group", "pattern"))
    return Produced(
        fields=_fields(source),
        field_word=field_word,
        fields_by=fields_by,
        is_text=format_ == "text" and source.decode.pattern is None,
        meta=frozenset({*source.connector.meta, *META, *(RECORD_META if source.decode.split else ())}),
        attributes={**unmapped, **attributes},
    )


_FIELDS = {"csv": ("column", "columns"), "fixed_width": ("field", "fields")}
"""What a field of data is called in a format whose settings name them, and that setting; else a group of a pattern."""


def _fields(source: SourceSettings) -> frozenset[str] | None:
    """The fields of the data at its top; None where any may be there."""
    decode = source.decode
    match source.decode_settings.format:
        case "text" if decode.pattern is not None:
            return frozenset(re.compile(decode.pattern).groupindex)
        case "csv" if decode.columns:
            return frozenset(decode.columns)
        case "fixed_width":
            return frozenset(decode.fields)
    return None
