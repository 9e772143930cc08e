"""The audience of each piece of work: of a page the registrations that it names, of a notification those that match now.

What the guard of a hub leaves out is in no audience, whoever asks for one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pyroaring import BitMap

from hub.content.held import text_of
from hub.delivery.window import SHORT
from hub.guards import Guards, guarded, only_to
from hub.installation import Registration
from hub.notification import Everyone, Notification, Platform
from hub.outcome import Unreached
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import PAGE_SIZE, Audience, Work
from hub.tags import TagExpression, is_direct, matches, tag_key
from hub.target import Target, TargetColumns


class Registrations(Protocol):
    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        """Who each reaches now, in order. Raises: StoreError."""

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        """The live registrations among `ordinals`, by ordinal. Raises: StoreError."""

    async def target_columns(self, hub: str, ordinals: BitMap) -> TargetColumns:
        """As `targets`, with no object for each. Raises: StoreError."""

    async def registrations_of(
        self, hub: str, channels: Sequence[tuple[Platform, str]], *, after: str = "", limit: int
    ) -> ListPage[Registration]:
        """The live registrations of these push channels. Raises: StoreError."""


async def find_audiences(registrations: Registrations, work: Sequence[Work], guards: Guards) -> list[Audience]:
    """The audience of each piece, in order. Raises: StoreError."""
    fresh = [piece for piece in work if piece.ordinals is None]
    found = iter(
        await guarded_audiences(registrations, [piece.notification for piece in fresh], guards) if fresh else ()
    )
    pages = [(piece, _open(piece, piece.ordinals)) for piece in work if piece.ordinals is not None]
    if len(work) == len(pages) == 1 and _is_columnar(*pages[0], guards):
        columns = await registrations.target_columns(work[0].notification.hub, pages[0][1])
        if _are_meant(work[0], columns):
            return [Audience(targets=columns)]
    targets = iter(await _targets(registrations, pages) if pages else ())
    audiences = [next(found) if piece.ordinals is None else _still_meant(piece, next(targets)) for piece in work]
    if guards and pages:
        audiences = [
            audience if piece.ordinals is None else await _page_within(registrations, piece, audience, guards)
            for piece, audience in zip(work, audiences, strict=True)
        ]
    return audiences


async def guarded_audiences(
    registrations: Registrations, notifications: Sequence[Notification], guards: Guards
) -> Sequence[Audience]:
    """Who each reaches now, within what the guard of its hub allows, in order. Raises: StoreError."""
    if not guards:
        return await registrations.audiences(notifications)
    asked = [guarded(notification, guards) for notification in notifications]
    audiences = list(await registrations.audiences(asked))
    for index, notification in enumerate(notifications):
        expression = only_to(notification, guards)
        if expression is None:
            continue
        if is_direct(notification.audience):
            audiences[index] = await _split(registrations, notification.hub, audiences[index], expression)
        elif not audiences[index].size:
            audiences[index] = await _why_nobody(registrations, notification, audiences[index])
    return audiences


async def counted_and_sampled(
    registrations: Registrations, hub: str, audience: Audience, *, most: int
) -> tuple[Mapping[Platform, int], Sequence[Target]]:
    """How many registrations of each platform an audience has, and some of them: all of a small one, of a large one `most`
    of each platform. Raises: StoreError."""
    if not audience.pages:
        return Counter(target.platform for target in audience.targets), audience.targets
    counts: Counter[Platform] = Counter()
    sample: list[Target] = []
    for platform, ordinals in audience.pages:
        if platform not in counts:
            sample += await registrations.targets(hub, ordinals[:most])
        counts[platform] += len(ordinals)
    return counts, sample


async def channels_within(
    registrations: Registrations, hub: str, channels: Sequence[tuple[Platform, str]], expression: TagExpression
) -> set[tuple[Platform, str]]:
    """Those push channels of which a registration matches the expression. Raises: StoreError."""
    within: set[tuple[Platform, str]] = set()
    after = ""
    while channels:
        found = await registrations.registrations_of(hub, channels, after=after, limit=PAGE_SIZE)
        within |= {(each.platform, each.push_channel) for each in found.items if _carries(each.tags, expression)}
        if not found.next:
            break
        after = found.next
    return within


def _carries(tags: Sequence[str], expression: TagExpression) -> bool:
    return matches(expression, frozenset(map(tag_key, tags)))


async def _split(registrations: Registrations, hub: str, audience: Audience, expression: TagExpression) -> Audience:
    """The push channels of a direct send: those that may be reached, and the others."""
    channels = [(target.platform, target.push_channel) for target in audience.targets]
    within = await channels_within(registrations, hub, channels, expression)
    allowed = [each for each in audience.targets if (each.platform, each.push_channel) in within]
    excluded = [each for each in audience.targets if (each.platform, each.push_channel) not in within]
    return replace(audience, targets=allowed, excluded=excluded)


async def _why_nobody(registrations: Registrations, notification: Notification, nobody: Audience) -> Audience:
    """Whether an audience is empty because of the guard alone, and how many registrations that leaves out."""
    (all_,) = await registrations.audiences([notification])
    return replace(nobody, unreached=Unreached.ONLY_TO, passed_over=all_.size) if all_.size else nobody


async def _page_within(registrations: Registrations, page: Work, audience: Audience, guards: Guards) -> Audience:
    """A page may have been made before its hub got the guard, or in another environment whose store was copied."""
    notification = page.notification
    expression = only_to(notification, guards)
    if expression is None:
        return audience
    if is_direct(notification.audience):
        return replace(await _split(registrations, notification.hub, audience, expression), excluded=())
    return Audience(targets=[target for target in audience.targets if _carries(target.tags(), expression)])


def _open(page: Work, ordinals: BitMap) -> BitMap:
    wanted = ordinals[page.done :] if page.done else ordinals
    return wanted | page.again if page.again else wanted


async def _targets(registrations: Registrations, pages: Sequence[tuple[Work, BitMap]]) -> list[Sequence[Target]]:
    """The registrations of each page, by one read a hub: after an outage there are hundreds of pages with a phone each."""
    by_hub: dict[str, list[BitMap]] = {}
    for page, wanted in pages:
        by_hub.setdefault(page.notification.hub, []).append(wanted)
    read = {hub: await registrations.targets(hub, BitMap.union(*each)) for hub, each in by_hub.items()}
    if len(pages) == 1:
        return list(read.values())
    known = {hub: {target.ordinal: target for target in targets} for hub, targets in read.items()}
    return [
        [of_hub[ordinal] for ordinal in wanted if ordinal in of_hub]
        for of_hub, wanted in ((known[page.notification.hub], wanted) for page, wanted in pages)
    ]


def _is_columnar(page: Work, wanted: BitMap, guards: Guards) -> bool:
    """Whether a page is large, and nothing of its registrations is asked but where their pushes go."""
    notification = page.notification
    return (
        len(wanted) > SHORT
        and notification.quiet is None
        and text_of(notification) is None
        and only_to(notification, guards) is None
    )


def _since(page: Work) -> float:
    """Registrations from this time of the store on are looked at again: of a page that is tried again, all."""
    return 0.0 if page.attempt else page.accepted_at


def _are_meant(page: Work, columns: TargetColumns) -> bool:
    """Whether none of a page has to be looked at again, as `_still_meant` does."""
    return isinstance(page.notification.audience, Everyone) or columns.latest < _since(page)


def _still_meant(page: Work, targets: Sequence[Target]) -> Audience:
    """The targets of a page without those that were put again since it was made, and that its audience no longer includes.

    A phone may have been signed out, or be another user's by now: what was meant for the one is not for the other.
    """
    audience = page.notification.audience
    if isinstance(audience, Everyone):
        return Audience(targets=targets)
    since = _since(page)
    return Audience(
        targets=[target for target in targets if target.registered_at < since or _carries(target.tags(), audience)]
    )
