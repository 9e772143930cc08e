"""Plain text bodies, taken apart by a pattern."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

from bridge.counts import how_many
from bridge.decode.base import DecodeSettings, ValueType
from bridge.decode.charset import text_of
from bridge.decode.pattern import PatternTimeoutError, compile_pattern
from bridge.decode.types import TypedText
from bridge.errors import EventError, Reason

MAX_MATCHED = 64 * 1024
"""The longest text a pattern is tried on, in characters."""


class TextReader:
    """Reads a text, stripped of white space around it, into the named groups of a pattern that matches all of it.

    Groups that took no part in the match are left out. What a group means is said by `types`, by its name. Without a
    pattern, the data is the text. `encoding` is that of bodies which do not say theirs.
    """

    def __init__(
        self,
        *,
        pattern: str | None,
        types: Mapping[str, ValueType] | None = None,
        encoding: str | None = None,
        timezone: tzinfo = UTC,
    ) -> None:
        """Raises: ValueError: not a pattern."""
        self._full_match = None if pattern is None else compile_pattern(pattern)
        self._types = {name: TypedText(kind, timezone) for name, kind in (types or {}).items()}
        self._encoding = encoding

    def __call__(self, body: bytes, content_type: str | None) -> Any:
        """Raises: EventError."""
        text = text_of(body, content_type, self._encoding).strip()
        if self._full_match is None:
            return text
        if len(text) > MAX_MATCHED:
            raise EventError(
                Reason.TOO_LARGE, f"the text has {len(text)} characters, a pattern is tried on at most {MAX_MATCHED}"
            )
        try:
            groups = self._full_match(text)
        except PatternTimeoutError:
            raise EventError(
                Reason.DECODE, f"the source's pattern takes too long on this text of {how_many(len(text), 'character')}"
            ) from None
        if groups is None:
            size = how_many(len(text), "character")
            raise EventError(Reason.DECODE, f"the text of {size} does not match the source's pattern")
        found = {name: value for name, value in groups.items() if value is not None}
        return found | {name: read(name, found[name]) for name, read in self._types.items() if name in found}


def reader(settings: DecodeSettings) -> TextReader:
    """For `decode.format: text`. Raises: ValueError: not a pattern."""
    return TextReader(
        pattern=settings.pattern, types=settings.types, encoding=settings.encoding, timezone=settings.timezone
    )
