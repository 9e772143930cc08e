"""The audience of each piece of work: of a page the registrations that it names, of a notification those that match now."""

from collections.abc import Sequence
from typing import Protocol

from pyroaring import BitMap

from hub.notification import Everyone, Notification
from hub.store.contracts.outbox import Audience, Work
from hub.tags import matches, tag_key
from hub.target import Target


class Registrations(Protocol):
    async def audiences(self, notifications: Sequence[Notification]) -> Sequence[Audience]:
        """Who each reaches now, in order. Raises: StoreError."""

    async def targets(self, hub: str, ordinals: BitMap) -> Sequence[Target]:
        """The live registrations among `ordinals`, by ordinal. Raises: StoreError."""


async def find_audiences(registrations: Registrations, work: Sequence[Work]) -> list[Audience]:
    """The audience of each piece, in order. Raises: StoreError."""
    fresh = [piece for piece in work if piece.ordinals is None]
    found = iter(await registrations.audiences([piece.notification for piece in fresh]) if fresh else ())
    pages = [(piece, _open(piece, piece.ordinals)) for piece in work if piece.ordinals is not None]
    targets = iter(await _targets(registrations, pages) if pages else ())
    return [next(found) if piece.ordinals is None else _still_meant(piece, next(targets)) for piece in work]


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


def _still_meant(page: Work, targets: Sequence[Target]) -> Audience:
    return Audience(targets=[target for target in targets if _is_still_meant(page, target)])


def _is_still_meant(page: Work, target: Target) -> bool:
    """Whether the audience of a page still includes a registration that was put again since the audience was found.

    A phone may have been signed out, or be another user's by now: what was meant for the one is not for the other.
    """
    audience = page.notification.audience
    if isinstance(audience, Everyone) or not (page.attempt or target.registered_at >= page.accepted_at):
        return True
    return matches(audience, frozenset(map(tag_key, target.tags())))
