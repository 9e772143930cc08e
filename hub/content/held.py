"""Texts held here while they are sent: made ready once, and filled once for all who get the same."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from hub.content.fitting import payload_of
from hub.content.templates import Rendered
from hub.fallback import Fallback
from hub.notification import HeldText, Notification, Platform, TemplateContent
from hub.phone_report import ReportPolicies
from hub.platforms.shown import Shown
from hub.target import Target

_TEXTS_KEPT = 1024
"""Texts that stay ready: a hub of many texts has hundreds."""

_FILLED_KEPT = 4096
"""Payloads that are kept for the further pages of their broadcasts, by language and, where a time is written, by zone."""

_SLICE = 0.002
"""Seconds of reading a language after which others get their turn."""


class HeldWords(Protocol):
    """A text held here, ready to be filled."""

    def group(self, locale: str, time_zone: str) -> Hashable:
        """What a phone of this language and zone, each empty where it says none, has in common with those that get the
        same."""

    def shown(self, properties: Mapping[str, str], group: Any) -> Shown:
        """What phones of a group read. Raises: ValueError: the properties do not fill the text."""

    def fallback_for(self, group: Any, shown: Shown) -> Fallback | None:
        """Why a group reads in another language than its own what it is shown; None where it does not."""

    def warm(self, group: Any) -> None:
        """Have what a group reads in memory, which takes some milliseconds the first time. Raises: ValueError."""


Filled = tuple[Rendered, Fallback | None]
"""A payload, and why it is in another language than that of its phones."""

Renderer = Callable[[bytes], HeldWords]
"""Makes a text of its document. Raises: ValueError: the document is of another program."""


def no_renderer(document: bytes) -> HeldWords:
    """Where no rules name texts. Raises: ValueError."""
    raise ValueError("no text is held here")


class TextStore(Protocol):
    """What is asked of the store."""

    async def held_texts(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        """The documents of texts held here. Raises: StoreError."""


class HeldTexts:
    """The texts of notifications; `policies` may change while it works."""

    def __init__(self, store: TextStore, renderer: Renderer, policies: ReportPolicies) -> None:
        self._store = store
        self._renderer = renderer
        self._policies = policies
        self._words: OrderedDict[int, HeldWords | None] = OrderedDict()
        self._filled: OrderedDict[tuple[str, Platform, Hashable], Filled | None] = OrderedDict()

    async def prepare(self, notifications: Sequence[Notification], targets: Sequence[Target]) -> None:
        """Have the texts of these notifications at hand, in the languages of these targets. Raises: StoreError."""
        named = {text.id: text for each in notifications if (text := text_of(each)) is not None}
        missing = [text for id, text in named.items() if id not in self._words]
        for id in named.keys() & self._words.keys():
            self._words.move_to_end(id)
        unknown = [text.id for text in missing if not text.document]
        stored = await self._store.held_texts(unknown) if unknown else {}
        for text in missing:
            document = text.document or stored.get(text.id)
            try:
                self._words[text.id] = None if document is None else self._renderer(document)
            except ValueError:
                self._words[text.id] = None
        if named:
            phones = [each for each in targets if each.template is None]
            await self._warm([words for id in named if (words := self._words[id]) is not None], phones)

    async def _warm(self, texts: Sequence[HeldWords], phones: Sequence[Target]) -> None:
        """Others get their turn between two languages: CLDR's data of one take milliseconds to read."""
        for words in texts:
            group_of = words.group
            for group in {_group(group_of, each) for each in phones}:
                turn_ends_at = time.perf_counter() + _SLICE
                with suppress(ValueError):  # said of the pushes themselves
                    words.warm(group)
                if time.perf_counter() > turn_ends_at:
                    await asyncio.sleep(0)

    def trim(self) -> None:
        """Forget texts not used for long; call when no pushes are being made."""
        while len(self._words) > _TEXTS_KEPT:
            self._words.popitem(last=False)

    def grouping(self, notification: Notification) -> Callable[[Target], Hashable]:
        """Says of a target what it has in common with others that get the same of the text; None where there is none."""
        text = text_of(notification)
        words = None if text is None else self._words.get(text.id)
        return _nothing if words is None else partial(_group, words.group)

    def shown(self, notification: Notification, target: Target) -> Shown | None:
        """What the text says to a target; None where it gets something else, or nothing."""
        words = self._words_for(notification, target)
        return None if words is None else _shown(words, notification, words.group(target.locale, target.time_zone))

    def rendered(self, notification: Notification, platform: Platform, group: Hashable) -> Filled | None:
        """What phones of a group get of a text, and why it is in another language than theirs; None where nothing fills
        it. Raises: FilledTooLargeError."""
        text = text_of(notification)
        words = None if text is None else self._words.get(text.id)
        shown = None if words is None else _shown(words, notification, group)
        if words is None or shown is None:
            return None
        policy = self._policies.get(notification.hub)
        own = {policy.payload_key: notification.id} if policy is not None and policy.payload_key else {}
        return Rendered(*payload_of(shown, platform, own)), words.fallback_for(group, shown)

    def rendered_for_many(self, notification: Notification, platform: Platform, group: Hashable) -> Filled | None:
        """As `rendered`, for the pages of a broadcast, which share it. Raises: FilledTooLargeError."""
        key = (notification.id, platform, group)
        if key not in self._filled:
            self._filled[key] = self.rendered(notification, platform, group)
            if len(self._filled) > _FILLED_KEPT:
                self._filled.popitem(last=False)
        return self._filled[key]

    def _words_for(self, notification: Notification, target: Target) -> HeldWords | None:
        text = text_of(notification) if target.template is None else None
        return None if text is None else self._words.get(text.id)


def _group(group_of: Callable[[str, str], Hashable], target: Target) -> Hashable:
    """By what was checked when it was written, for most phones: a broadcast asks a million times."""
    if target.push_variables:
        return group_of(target.locale, target.time_zone)
    return group_of(target.own_locale or "", target.own_time_zone or "")


def _nothing(target: Target) -> None:
    return None


def text_of(notification: Notification) -> HeldText | None:
    """The text held here that a notification names."""
    content = notification.content
    return content.text if isinstance(content, TemplateContent) else None


def _shown(words: HeldWords, notification: Notification, group: Hashable) -> Shown | None:
    content = notification.content
    assert isinstance(content, TemplateContent)
    try:
        return words.shown(content.properties, group)
    except ValueError:
        return None
