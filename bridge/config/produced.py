"""What the events of a configured source can be, as far as its settings say: what `check` holds rules against."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bridge.config.models import SourceSettings
from rules.advice.reach import Produced
from rules.render import Text, compile_text

AMQP_META = frozenset(
    "content_type content_encoding delivery_mode priority correlation_id reply_to expiration message_id timestamp type"  # noqa: SIM905 - a table
    " user_id app_id cluster_id exchange routing_key headers".split()
)
SERVICEBUS_META = frozenset(
    "message_id to subject reply_to correlation_id content_type content_encoding reply_to_group_id session_id"  # noqa: SIM905 - a table
    " sequence_number enqueued_sequence_number partition_key dead_letter_source enqueued_time time_to_live"
    " dead_letter_reason dead_letter_error_description headers".split()
)
HTTP_META = frozenset({"path", "content_type", "message_id", "headers"})


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
        meta=_meta_of(source),
        attributes={**unmapped, **attributes},
    )


def _meta_of(source: SourceSettings) -> frozenset[str]:
    if source.amqp is not None:
        return AMQP_META
    return HTTP_META if source.http is not None else SERVICEBUS_META
