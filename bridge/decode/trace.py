"""The trace a message belongs to (W3C Trace Context, section 3.2)."""

import re
from collections.abc import Mapping
from typing import Any

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def trace_from(values: Mapping[str, Any]) -> str:
    """The `traceparent` among headers or attributes, or empty when there is none or it is not valid.

    An invalid one is ignored, as the standard asks: a trace is never a reason to refuse an event.
    """
    value = values.get("traceparent")
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else ""
