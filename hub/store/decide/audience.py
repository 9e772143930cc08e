"""Which registrations an expression means, decided from sets; pure.

Two ways to find an audience. Where the expression can only match members of a few small tags (`customer:7 && news`), those
are fetched and tried one by one. Else roaring bitmaps of whole tags are joined, which is quick at any size but costs
reading them.
"""

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from itertools import pairwise

from pyroaring import BitMap

from hub.notification import Audience, Content, Everyone, NativeContent, Platform
from hub.outcome import Unreached
from hub.tags import And, Not, Or, Tag, TagExpression, tag_key


def driving_tags(expression: TagExpression) -> frozenset[str] | None:
    """Keys of the fewest tags whose members include every match; None when a registration can match by what it lacks."""
    match expression:
        case Tag(name):
            return frozenset([tag_key(name)])
        case Not():
            return None
        case And(operands):
            drivers = [driver for operand in operands if (driver := driving_tags(operand)) is not None]
            return min(drivers, key=_cost, default=None)
        case Or(operands):
            union: frozenset[str] = frozenset()
            for operand in operands:
                driver = driving_tags(operand)
                if driver is None:
                    return None
                union |= driver
            return union


def _cost(driver: frozenset[str]) -> tuple[int, int]:
    """Few tags before many; among equals a service tag, which one user or one phone carries."""
    return len(driver), sum(not key.startswith("$") for key in driver)


def matching(audience: Audience, members: Callable[[str], BitMap], everyone: BitMap) -> BitMap:
    """Those of `everyone` that the audience means; `members` gives the ordinals that carry a tag key."""
    return everyone if isinstance(audience, Everyone) else _evaluate(audience, members, everyone)


def _evaluate(expression: TagExpression, members: Callable[[str], BitMap], everyone: BitMap) -> BitMap:
    match expression:
        case Tag(name):
            return everyone & members(tag_key(name))
        case Not(operand):
            return everyone - _evaluate(operand, members, everyone)
        case And(operands):
            result = everyone
            for operand in operands:
                result = _evaluate(operand, members, result)
            return result
        case Or(operands):
            return BitMap.union(*(_evaluate(operand, members, everyone) for operand in operands))


def kind_key(kind: str, platform: Platform) -> str:
    """The index keeps kinds as tags that no tag can collide with: neither tags nor template names begin with `%`."""
    return f"%{kind}:{platform.value}"


def platforms_for(
    content: Content, platforms: frozenset[Platform] | None, known: Collection[Platform]
) -> Collection[Platform]:
    """Those of the known whose registrations receive this content: natives of one, or templates of all named."""
    if isinstance(content, NativeContent):
        return (content.platform,)
    return known if platforms is None else [platform for platform in known if platform in platforms]


Kind = tuple[Platform, bool]
"""A platform, and whether its registration has a template."""


def why_nobody(content: Content, platforms: frozenset[Platform] | None, live: Collection[Kind]) -> Unreached:
    """Why none of the live registrations that match an audience, by their kinds, receives this content."""
    if isinstance(content, NativeContent):
        is_near = any(platform is content.platform for platform, _ in live)
        return Unreached.NO_NATIVE if is_near else Unreached.OTHER_PLATFORM
    is_near = any(platforms is None or platform in platforms for platform, _ in live)
    return Unreached.NO_TEMPLATE if is_near else Unreached.OTHER_PLATFORM


def passed_over(live: Mapping[Kind, int], meant: Container[Platform]) -> int:
    """How many phones the live registrations are of, those of platforms that are meant if there are any: each phone has a
    native registration, but for those that a client made alone."""
    near = {kind: count for kind, count in live.items() if kind[0] in meant} or live
    natives = sum(count for (_, is_template), count in near.items() if not is_template)
    return natives or sum(near.values())


def wanted_tags(expression: TagExpression) -> Iterator[str]:
    """Keys of the tags that an expression asks for, those it asks to be absent left out."""
    match expression:
        case Tag(name):
            yield tag_key(name)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from wanted_tags(operand)
        case Not():
            return


def pages_of(ordinals: BitMap, size: int) -> list[BitMap]:
    """`ordinals` cut into runs of up to `size`, in order."""
    if not ordinals:
        return []
    starts = ordinals.to_array()[::size]  # a slice of a bitmap is built number by number, a join with a range is not
    starts.append(ordinals.max() + 1)
    return [ordinals & BitMap(range(first, end)) for first, end in pairwise(starts)]
