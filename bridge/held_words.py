"""Texts of the configuration as the hub asks for them when it sends (`hub/content/held.py`)."""

from collections.abc import Mapping
from typing import cast

from hub.content.held import HeldWords
from hub.fallback import Fallback
from hub.platforms.shown import Shown
from rules.content.texts import ContentTexts, Group
from rules.errors import ExpressionError, RenderError


def held_words(document: bytes) -> HeldWords:
    """The text that a document of the store says. Raises: ValueError: the document is of another program."""
    try:
        return _HeldWords(ContentTexts.of(document))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a text held here cannot be read: {type(error).__name__}") from error


class _HeldWords:
    def __init__(self, texts: ContentTexts) -> None:
        self._texts = texts
        self.group = texts.group

    def fallback_for(self, group: object, shown: Shown) -> Fallback | None:
        return self._texts.fallback_for(cast("Group", group), shown)

    def warm(self, group: object) -> None:
        try:
            self._texts.warm(cast("Group", group))
        except ExpressionError as error:
            raise ValueError(str(error)) from error

    def shown(self, properties: Mapping[str, str], group: object) -> Shown:
        try:
            return self._texts.shown(properties, cast("Group", group))
        except (RenderError, ExpressionError) as error:
            raise ValueError(str(error)) from error
