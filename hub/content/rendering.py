"""From targets to pages of pushes: templates compiled once, rendered once for all phones that would get the same."""

import asyncio
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from hub.content.expressions import MAX_FILLED
from hub.content.held import HeldTexts, Renderer, TextStore, no_renderer, text_of
from hub.content.identifying import with_data
from hub.content.templates import CompiledTemplate, Rendered, compile_template
from hub.dates import parse_date
from hub.errors import FilledTooLargeError, InvalidRequestError, TemplateError
from hub.fallback import Fallback
from hub.installation import Template
from hub.notification import NativeContent, Notification, Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.phone_report import ReportPolicies
from hub.platforms.shown import Shown
from hub.platforms.table import traits_of
from hub.push import PushGroup, PushPage, SendResult
from hub.target import StoredTemplate, Target, TargetColumns

TEMPLATES_KEPT = 4096
_REPORTED_KEPT = 4096
"""Pairs of notification and template that are remembered as reported; a broadcast comes in many pages."""

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

_SOUNDING = SendResult(
    reaction=Reaction.DROP,
    outcome=OutcomeName.INVALID_NOTIFICATION_FORMAT,
    reason="its push service cannot send it without a sound, and its phone was in its quiet hours",
)

_UNREADABLE = SendResult(
    reaction=Reaction.DROP,
    outcome=OutcomeName.INVALID_NOTIFICATION_FORMAT,
    reason="the text held here is not known, or cannot be filled",
)
_BROADCAST = SendResult(
    reaction=Reaction.DROP,
    outcome=OutcomeName.SKIPPED,
    reason="a broadcast channel shows no text held here",
)

_MANY = 100
"""Phones from which on a page is likely one of several."""

_Key = tuple[int, Platform]
_Kind = tuple[int | None, Platform]


@dataclass(slots=True)
class RenderedPage:
    """Pushes of one platform, and by position whom each is for."""

    page: PushPage = field(default_factory=PushPage)
    targets: Sequence[Target] = ()

    def neighbours(self, first: int, behind: int) -> "RenderedPage":
        """Some of pushes that all share a group, as a page of their own."""
        return RenderedPage(self.page.neighbours(first, behind), self.targets[first:behind])


@dataclass(slots=True)
class RenderedPushes:
    """The pushes of a notification by platform, and the targets for which there is none, each with the reason."""

    pages: dict[Platform, RenderedPage] = field(default_factory=dict)
    unsendable: list[tuple[Target, SendResult]] = field(default_factory=list)


class Templates(TextStore, Protocol):
    """What rendering asks of the store."""

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]: ...


class Rendering:
    """Makes the pushes of notifications; keeps the templates used last, compiled."""

    def __init__(
        self,
        store: Templates,
        *,
        on_missing: Callable[[Notification, Platform, Collection[str]], None] = lambda *_: None,
        on_fallback: Callable[[Notification, Fallback, int], None] = lambda *_: None,
        policies: ReportPolicies | None = None,
        renderer: Renderer = no_renderer,
        templates_kept: int = TEMPLATES_KEPT,
    ) -> None:
        """`on_missing` gets, once for each notification and template, the properties that a template lacks.
        `on_fallback` gets how many phones read a text held here in another language than their own, with each try.

        `policies` say which hubs have the id of the notification in their payloads; they may change while it works.
        `renderer` makes the texts held here that notifications name.
        `templates_kept` bounds the compiled templates that `trim` leaves.
        """
        self._store = store
        self._templates_kept = templates_kept
        self._on_missing = on_missing
        self._on_fallback = on_fallback
        self._policies = {} if policies is None else policies
        self._held = HeldTexts(store, renderer, self._policies)
        self._reported: OrderedDict[tuple[str, _Key], None] = OrderedDict()
        self._compiled: OrderedDict[_Key, CompiledTemplate | None] = OrderedDict()

    async def prepare(self, targets: Sequence[Target], notifications: Sequence[Notification] = ()) -> None:
        """Have the templates of these targets at hand, and the texts of these notifications. Raises: StoreError."""
        await self._held.prepare(notifications, targets)
        missing: set[_Key] = set()
        for key in _keys_of(targets):
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
        """Forget templates and texts not used for long; call when no pushes are being made."""
        self._held.trim()
        while len(self._compiled) > self._templates_kept:
            self._compiled.popitem(last=False)

    def group(self, notification: Notification, target: Target) -> Hashable:
        """What a target has in common with those that get the same of a notification, but for its push variables."""
        own = self._held.grouping(notification)(target) if target.template is None else None
        return target.platform, target.template, own

    def shown(self, notification: Notification, target: Target) -> Shown | None:
        """What a text held here says to a target; None where it gets something else, or nothing."""
        return self._held.shown(notification, target)

    def single(self, notification: Notification, target: Target) -> tuple[PushGroup, str] | None:
        """As `pages`, for the only target of a notification: what its push says, and the push's id. None where `pages` has
        more to say: of a text held here, of push variables, of a push that cannot be made."""
        if target.push_variables or (target.template is None and text_of(notification) is not None):
            return None
        rendered = self._rendered(notification, target, {})
        if isinstance(rendered, SendResult):
            return None
        prefix, template = _id_prefix(notification), target.template
        group = PushGroup(
            payload=rendered.payload,
            headers=rendered.headers,
            priority=notification.priority,
            expires_at=notification.expires_at,
            collapse_key=notification.collapse_key,
            collapse_id=prefix.rstrip("-") if template is None else f"{prefix}{template:x}",
        )
        return group, f"{prefix}{target.ordinal:012x}"

    def pages(
        self, notification: Notification, targets: Sequence[Target], *, silent: Container[int] = ()
    ) -> RenderedPushes:
        """A push for each target, grouped by what pushes share; none where a template is gone or comes to too much.

        The id is a UUID made of the notification's id and the registration's ordinal, so every try has the same. The
        collapse id begins alike and ends with the template's id: a phone shows what each of its templates makes, and
        pushes that share a payload share the collapse id. A payload filled with push variables has the push's id. Phones of
        the ordinals in `silent` are to make no sound.
        """
        made = RenderedPushes()
        if isinstance(targets, TargetColumns) and not silent:
            return self._pages_of_columns(notification, targets)
        if text_of(notification) is not None:
            self._add_held(made, notification, [each for each in targets if each.template is None], silent)
            targets = [each for each in targets if each.template is not None]
        if len(targets) == 1 and not targets[0].push_variables:  # the common case of an event
            self._add_alike(made, notification, targets, targets[0].ordinal in silent)
            return made
        alike: dict[tuple[int | None, Platform, bool], list[Target]] = {}
        for target in targets:
            is_silent = target.ordinal in silent
            if target.push_variables and self._has_own_payload(notification, target):
                self._add_own(made, notification, target, is_silent)
                continue
            key = (target.template, target.platform, is_silent)
            mine = alike.get(key)
            if mine is None:
                alike[key] = [target]
            else:
                mine.append(target)
        for (*_, is_silent), members in alike.items():
            self._add_alike(made, notification, members, is_silent)
        return made

    def in_pieces(
        self, notification: Notification, targets: Sequence[Target], length: int, *, silent: Container[int] = ()
    ) -> Sequence[RenderedPushes]:
        """As `pages` of so many neighbours each, in order; what all of them share is made once."""
        starts = range(0, len(targets), length)
        if isinstance(targets, TargetColumns) and targets.which is None and not silent:
            whole = self.pages(notification, targets)
            if not whole.unsendable and all(len(each.page.groups) == 1 for each in whole.pages.values()):
                return [
                    RenderedPushes(
                        {platform: page.neighbours(first, first + length) for platform, page in whole.pages.items()}
                    )
                    for first in starts
                ]
        return [self.pages(notification, targets[first : first + length], silent=silent) for first in starts]

    def _pages_of_columns(self, notification: Notification, targets: TargetColumns) -> RenderedPushes:
        """As `pages`, of registrations for which no text held here is."""
        made = RenderedPushes()
        alike: dict[_Kind, list[TargetColumns]] = {}
        for members in targets.by_kind():
            if members[0].push_variables and self._has_own_payload(notification, members[0]):
                for target in members:
                    self._add_own(made, notification, target, False)
            else:
                alike.setdefault((members.kinds[0].template, members.kinds[0].platform), []).append(members)
        for parts in alike.values():
            self._add_alike(made, notification, TargetColumns.joined(parts), False)
        return made

    def _add_held(
        self, made: RenderedPushes, notification: Notification, targets: Sequence[Target], silent: Container[int]
    ) -> None:
        """Pushes of a text held here: filled once for all phones of a platform that get the same."""
        alike: dict[tuple[Platform, Hashable, bool], list[Target]] = {}
        group_of = self._held.grouping(notification)
        for target in targets:
            key = (target.platform, group_of(target), target.ordinal in silent)
            mine = alike.get(key)
            if mine is None:
                alike[key] = [target]
            else:
                mine.append(target)
        prefix = _id_prefix(notification)
        for (platform, group, is_silent), members in alike.items():
            rendered, fallback = self._held_for(notification, platform, group, is_shared=len(targets) >= _MANY)
            if is_silent:
                rendered = _soundless(rendered, platform)
            is_broadcast = traits_of(platform).is_broadcast
            channels = [each for each in members if is_broadcast(each.push_channel)]
            made.unsendable += [(each, _BROADCAST) for each in channels]
            phones = [each for each in members if not is_broadcast(each.push_channel)] if channels else members
            if phones:
                if fallback is not None:
                    self._on_fallback(notification, fallback, len(phones))
                id_ = prefix.rstrip("-")
                _add(made, notification, phones, rendered, prefix=prefix, collapse_id=id_, is_silent=is_silent)

    def _held_for(
        self, notification: Notification, platform: Platform, group: Hashable, *, is_shared: bool
    ) -> tuple[Rendered | SendResult, Fallback | None]:
        render = self._held.rendered_for_many if is_shared else self._held.rendered
        try:
            return render(notification, platform, group) or (_UNREADABLE, None)
        except FilledTooLargeError:
            return _TOO_LARGE, None

    def _has_own_payload(self, notification: Notification, target: Target) -> bool:
        """Whether a target's push variables fill something of its template."""
        if target.template is None or isinstance(notification.content, NativeContent):
            return False
        compiled = self._compiled[target.template, target.platform]
        return compiled is not None and any(name.lower() in compiled.names for name in target.push_variables or ())

    def _add_own(self, made: RenderedPushes, notification: Notification, target: Target, is_silent: bool) -> None:
        rendered = self._rendered(notification, target, target.push_variables or {})
        if is_silent:
            rendered = _soundless(rendered, target.platform)
        prefix = _id_prefix(notification)
        id_ = f"{prefix}{target.ordinal:012x}"
        _add(made, notification, [target], rendered, prefix=prefix, collapse_id=id_, is_silent=is_silent)

    def _add_alike(
        self, made: RenderedPushes, notification: Notification, targets: Sequence[Target], is_silent: bool
    ) -> None:
        prefix, template = _id_prefix(notification), targets[0].template
        collapse_id = prefix.rstrip("-") if template is None else f"{prefix}{template:x}"
        rendered = self._rendered(notification, targets[0], {})
        if is_silent:
            rendered = _soundless(rendered, targets[0].platform)
        _add(made, notification, targets, rendered, prefix=prefix, collapse_id=collapse_id, is_silent=is_silent)

    def _rendered(
        self, notification: Notification, target: Target, push_variables: Mapping[str, str]
    ) -> Rendered | SendResult:
        policy = self._policies.get(notification.hub)
        if policy is None or not policy.payload_key:
            return self._filled_for(notification, target, push_variables, {})
        own = {policy.payload_key: notification.id}
        rendered = self._filled_for(notification, target, push_variables, own)
        if isinstance(rendered, SendResult):
            return rendered
        return replace(rendered, payload=with_data(rendered.payload, target.platform, own))

    def _filled_for(
        self,
        notification: Notification,
        target: Target,
        push_variables: Mapping[str, str],
        own: Mapping[str, str],
    ) -> Rendered | SendResult:
        """Filled from the notification's properties, and from those of our `own`."""
        content = notification.content
        if isinstance(content, NativeContent):
            return Rendered(content.payload, content.headers)
        assert target.template is not None
        key = (target.template, target.platform)
        compiled = self._compiled[key]
        if compiled is None:
            return _GONE
        properties = {**content.properties, **own} if own else content.properties
        rendered = _filled(compiled, target.platform, properties, push_variables)
        self._report_missing(notification, key, rendered)
        return rendered

    def _report_missing(self, notification: Notification, key: _Key, rendered: Rendered | SendResult) -> None:
        if isinstance(rendered, SendResult) or not rendered.missing:
            return
        pair = (notification.id, key)
        if pair in self._reported:
            return
        self._reported[pair] = None
        if len(self._reported) > _REPORTED_KEPT:
            self._reported.popitem(last=False)
        self._on_missing(notification, key[1], rendered.missing)


def _keys_of(targets: Sequence[Target]) -> set[_Key]:
    """The templates of these, each with a platform that it is compiled for."""
    of = targets.kinds if isinstance(targets, TargetColumns) else targets
    return {(each.template, each.platform) for each in of if each.template is not None}


def _id_prefix(notification: Notification) -> str:
    id_ = notification.id
    return f"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-"


def _ids(prefix: str, ordinals: Sequence[int]) -> Sequence[str]:
    """The prefix and twelve hexadecimal digits for each ordinal, which has 32 bits: of all at once."""
    digits = struct.pack(f">{len(ordinals)}Q", *ordinals).hex("\n", 8)
    return f"\n{digits}".replace("\n0000", f"\n{prefix}").split("\n")[1:]


def _soundless(rendered: Rendered | SendResult, platform: Platform) -> Rendered | SendResult:
    if isinstance(rendered, SendResult):
        return rendered
    made = traits_of(platform).soundless(rendered.headers, rendered.payload)
    return _SOUNDING if made is None else replace(rendered, headers=made.headers, payload=made.payload)


def _add(
    made: RenderedPushes,
    notification: Notification,
    targets: Sequence[Target],
    rendered: Rendered | SendResult,
    *,
    prefix: str,
    collapse_id: str,
    is_silent: bool = False,
) -> None:
    """Put pushes that share what was rendered into the page of their platform; their ids begin with `prefix`."""
    if isinstance(rendered, SendResult):
        made.unsendable += [(target, rendered) for target in targets]
        return
    group = PushGroup(
        payload=rendered.payload,
        headers=rendered.headers,
        priority=Priority.NORMAL if is_silent else notification.priority,
        expires_at=notification.expires_at,
        collapse_key=notification.collapse_key,
        collapse_id=collapse_id,
    )
    mine = made.pages.get(targets[0].platform)
    if mine is None and len(targets) == 1:  # the common case of an event
        (target,) = targets
        page = PushPage([target.push_channel], [f"{prefix}{target.ordinal:012x}"], [(group, 1)])
        made.pages[target.platform] = RenderedPage(page, [target])
        return
    if mine is None:
        mine = made.pages[targets[0].platform] = RenderedPage()
    if isinstance(targets, TargetColumns):
        ordinals, push_channels = targets.ordinals, targets.push_channels
    else:
        ordinals = [target.ordinal for target in targets]
        push_channels = [target.push_channel for target in targets]
    mine.page.add(group, push_channels, _ids(prefix, ordinals))
    if isinstance(targets, TargetColumns) and not mine.targets:
        mine.targets = targets
        return
    if not isinstance(mine.targets, list):
        mine.targets = list(mine.targets)
    mine.targets.extend(targets)


def _compiled(stored: StoredTemplate | None, platform: Platform) -> CompiledTemplate | None:
    """None for what is gone from the store, or was registered under laxer rules than today's."""
    if stored is None:
        return None
    try:
        return compile_template(Template(body=stored.body, headers=stored.headers, expiry=stored.expiry), platform)
    except TemplateError:
        return None


def _filled(
    compiled: CompiledTemplate, platform: Platform, properties: Mapping[str, str], push_variables: Mapping[str, str]
) -> Rendered | SendResult:
    """The template filled, its expiry in the header that its service has for that.

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
    return replace(rendered, headers={**rendered.headers, traits_of(platform).expiry_header: seconds})
