"""How a value of an event is spelled as text."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hub.exact_json import dumps, plain
from rules.errors import RenderError
from rules.event import Opaque


def text_of(value: Any) -> str:
    """Numbers in plain decimals with the digits they have, booleans, lists and objects as JSON, bytes in base64.

    Raises: RenderError: null has no text (`default` gives it one), and neither has what JSON cannot hold.
    """
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (int, float, Decimal)):
        try:
            return plain(value)
        except ValueError as error:
            raise RenderError(str(error)) from None
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping | list | tuple):
        return json_of(value).decode()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if value is None:
        raise RenderError("is null")
    if isinstance(value, Opaque):
        raise RenderError(f"is {value.kind}, which is not read")
    return str(value)


def json_of(value: Any) -> bytes:
    """Compact JSON; its numbers are plain decimals with every digit. Raises: RenderError."""
    try:
        return dumps(value, _json_like)
    except TypeError as error:  # an integer beyond 64 bits, half a surrogate pair, too deep
        raise RenderError("cannot be written as JSON") from error
    except ValueError as error:
        raise RenderError(str(error)) from error


def rfc3339(time: datetime) -> str:
    """An aware time in UTC, with `Z` (RFC 3339); texts of whole seconds compare like the times they stand for."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _json_like(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else text_of(value)
