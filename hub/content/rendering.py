"""From targets to pushes: templates compiled once, rendered once for all phones that would get the same."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from hub.content.expressions import MAX_FILLED
from hub.content.templates import CompiledTemplate, Rendered, compile_template
from hub.dates import parse_date
from hub.errors import FilledTooLargeError, InvalidRequestError, TemplateError
from hub.installation import Template
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import Push, SendResult
from hub.store.base import StoredTemplate, Target

_COMPILED_KEPT = 4096
_TOLD_KEPT = 4096
"""Pairs of notification and template that are remembered as told of; a broadcast comes in many pages."""

_SLICE = 0.005
"""Seconds of compiling after which others get their turn."""

_GONE = SendResult(
    reaction=Reaction.DROP,
    outcome=OutcomeName.INVALID_NOTIFICATION_FORMAT,
    reason="the template is not valid any more",
)
_TOO_LARGE = SendResult(
    reaction=Reaction.DROP,
    outcome=OutcomeName.INVALID_NOTIFICATION_SIZE,
    reason=f"the template, filled, has more than {MAX_FILLED} bytes",
)

_Key = tuple[int, Platform]


class Templates(Protocol):
    """What rendering asks of the store."""

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]: ...


class Rendering:
    """Makes the pushes of notifications; keeps the templates used last, compiled."""

    def __init__(
        self,
        store: Templates,
        *,
        on_missing: Callable[[Notification, Platform, Collection[str]], None] = lambda *_: None,
    ) -> None:
        """`on_missing` hears, once for each notification and template, of the properties that a template lacks."""
        self._store = store
        self._on_missing = on_missing
        self._told: OrderedDict[tuple[str, _Key], None] = OrderedDict()
        self._compiled: OrderedDict[_Key, CompiledTemplate | None] = OrderedDict()

    async def prepare(self, targets: Sequence[Target]) -> None:
        """Have the templates of these targets at hand. Raises: StoreError."""
        missing: set[_Key] = set()
        for target in targets:
            if target.template is not None:
                key = (target.template, target.platform)
                if key in self._compiled:
                    self._compiled.move_to_end(key)
                else:
                    missing.add(key)
        if not missing:
            return
        stored = await self._store.templates(sorted({template for template, _ in missing}))
        turn_ends_at = time.perf_counter() + _SLICE
        for template, platform in missing:
            self._compiled[template, platform] = _compiled(stored.get(template), platform)
            if time.perf_counter() > turn_ends_at:  # each phone may have brought a template of its own
                await asyncio.sleep(0)
                turn_ends_at = time.perf_counter() + _SLICE

    def trim(self) -> None:
        """Forget templates not used for long; call when no pushes are being made."""
        while len(self._compiled) > _COMPILED_KEPT:
            self._compiled.popitem(last=False)

    def pushes(self, notification: Notification, targets: Sequence[Target]) -> list[Push | SendResult]:
        """A push for each target, in order, or why there is none: its template is gone, or comes to too much.

        The id is a UUID made of the notification's id and the registration's ordinal, so every try has the same. The
        collapse id begins alike and ends with the template's id: a phone shows what each of its templates makes, and
        pushes that share a payload share the collapse id. A payload filled with push variables has the push's id.
        """
        id_ = notification.id
        prefix = f"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-"
        content = notification.content
        native = Rendered(content.payload, content.headers) if isinstance(content, NativeContent) else None
        shared: dict[_Key, Rendered | SendResult] = {}
        collapse_ids: dict[int | None, str] = {None: prefix.rstrip("-")}
        made: list[Push | SendResult] = []
        for target in targets:
            rendered = native or self._rendered(notification, target, shared)
            if isinstance(rendered, SendResult):
                made.append(rendered)
                continue
            push_id = f"{prefix}{target.ordinal:012x}"
            is_own = target.template is not None and rendered is not shared.get((target.template, target.platform))
            collapse_id = push_id if is_own else collapse_ids.get(target.template)
            if collapse_id is None:
                collapse_id = collapse_ids[target.template] = f"{prefix}{target.template:x}"
            made.append(
                Push(
                    id=push_id,
                    push_channel=target.push_channel,
                    payload=rendered.payload,
                    headers=rendered.headers,
                    priority=notification.priority,
                    expires_at=notification.expires_at,
                    collapse_key=notification.collapse_key,
                    collapse_id=collapse_id,
                )
            )
        return made

    def _rendered(
        self, notification: Notification, target: Target, shared: dict[_Key, Rendered | SendResult]
    ) -> Rendered | SendResult:
        assert target.template is not None
        key = (target.template, target.platform)
        ready = shared.get(key)
        if ready is not None and not target.push_variables:
            return ready
        compiled = self._compiled[key]
        if compiled is None:
            return _GONE
        assert not isinstance(notification.content, NativeContent)
        properties = notification.content.properties
        variables = target.push_variables or {}
        if any(name.lower() in compiled.names for name in variables):
            own = _filled(compiled, properties, variables)
            self._tell_missing(notification, key, own)
            return own
        if ready is None:
            ready = shared[key] = _filled(compiled, properties, {})
            self._tell_missing(notification, key, ready)
        return ready

    def _tell_missing(self, notification: Notification, key: _Key, rendered: Rendered | SendResult) -> None:
        told = (notification.id, key)
        if isinstance(rendered, SendResult) or not rendered.missing or told in self._told:
            return
        self._told[told] = None
        if len(self._told) > _TOLD_KEPT:
            self._told.popitem(last=False)
        self._on_missing(notification, key[1], rendered.missing)


def _compiled(stored: StoredTemplate | None, platform: Platform) -> CompiledTemplate | None:
    """None for what is gone from the store, or was registered under laxer rules than today's."""
    if stored is None:
        return None
    try:
        return compile_template(Template(body=stored.body, headers=stored.headers, expiry=stored.expiry), platform)
    except TemplateError:
        return None


def _filled(
    compiled: CompiledTemplate, properties: Mapping[str, str], push_variables: Mapping[str, str]
) -> Rendered | SendResult:
    """The template filled, its expiry among the headers as APNs wants it: seconds since 1970, `0` for "now or never".

    An expression may have come to no date; then the notification's own expiry stands.
    """
    try:
        rendered = compiled.render(properties, push_variables)
    except FilledTooLargeError:
        return _TOO_LARGE
    expiry = rendered.expiry
    if not expiry:
        return rendered
    try:
        seconds = expiry if expiry == "0" else str(int(parse_date(expiry).timestamp()))
    except InvalidRequestError:
        return rendered
    return replace(rendered, headers={**rendered.headers, "apns-expiration": seconds})
