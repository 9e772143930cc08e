"""`push.level`: an audience picks the levels of a topic that are at or below the amount of an event.

A user chose from which amount on to hear of a topic. `topic:debits` in the audience of a rule with a level then stands for
the levels of `debits` up to the amount; below the lowest of them it stands for no phone. Where that leaves no phone at all,
the rule does not match the event.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from hub.errors import TagError
from hub.notification import Audience
from hub.tags import And, MaxTags, Not, Or, Tag, TagExpression, parse
from hub.topics import Levels, level_of, level_text, topic_of, topic_tag
from rules.audience import AudienceExpression, AudienceTemplate, Constant, Junction, Negation
from rules.conditions import Condition
from rules.errors import RenderError
from rules.event import Event
from rules.explain import FailedCondition, Place
from rules.render import Text


@dataclass(frozen=True, slots=True)
class LevelPick:
    """The amount, and the topics with levels that the audience names."""

    amount: Text
    topics: Mapping[str, Levels]

    def pick(self, audience: Audience, event: Event) -> Audience | None:
        """The audience for the event's amount; None: no phone hears of so little. Raises: RenderError."""
        if not isinstance(audience, Tag | Not | And | Or):
            return audience
        return _picked(audience, self._amount_of(event), self.topics)

    def is_heard(self, audience: Audience, event: Event) -> bool:
        """Whether any level is at or below the amount; an amount that cannot be read is a failure of the rule, later."""
        try:
            return self.pick(audience, event) is not None
        except RenderError:
            return True

    def explain_unheard(self, event: Event, key: str) -> FailedCondition:
        """Why nobody hears of an event; `key` is the path of the push."""
        names = [placeholder.text for placeholder in self.amount.placeholders] or ["level"]
        seen = dict.fromkeys(names, self._amount_of(event))
        return FailedCondition(place=self._place(key), wanted=self.wanted, seen=seen)

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """Why there is no amount; None where there is one."""
        if (failed := self.amount.explain(event, f"{key}.level")) is not None:
            return failed
        try:
            self._amount_of(event)
        except RenderError as error:
            return FailedCondition(place=self._place(key), wanted=str(self.amount), seen={}, error=str(error))
        return None

    def condition(self, audience: AudienceTemplate, key: str) -> Condition:
        """What tests of rules can cover."""
        place = self._place(key)
        return Condition(
            place=place,
            wanted=self.wanted,
            test=lambda event: self.is_heard(audience.fill(event), event),
            choice=place.key,
        )

    @property
    def wanted(self) -> str:
        """The least that a topic's users can choose, in words."""
        return " or ".join(f"level >= {level_text(levels[0])} of topic:{name}" for name, levels in self.topics.items())

    def _place(self, key: str) -> Place:
        return Place(f"{key}.level", self.amount.mark)

    def _amount_of(self, event: Event) -> Decimal:
        """Raises: RenderError."""
        amount = level_of(self.amount.render(event))
        if amount is None:
            raise RenderError("level is no amount: a number is needed, zero or more, of up to 15 digits")
        return amount


def _picked(expression: TagExpression, amount: Decimal, topics: Mapping[str, Levels]) -> TagExpression | None:
    """None for nobody."""
    match expression:
        case Tag(name):
            topic = topic_of(name, topics)
            return expression if topic is None else _levels_up_to(topic, amount, topics[topic])
        case Not(operand):
            return expression if (inner := _picked(operand, amount, topics)) is None else Not(inner)
        case And(operands):
            parts = [_picked(operand, amount, topics) for operand in operands]
            some = tuple(part for part in parts if part is not None)
            return And(some) if len(some) == len(parts) else None
        case Or(operands):
            found = (_picked(operand, amount, topics) for operand in operands)
            left = tuple(part for part in found if part is not None)
            return None if not left else left[0] if len(left) == 1 else Or(left)


def _levels_up_to(topic: str, amount: Decimal, levels: Levels) -> TagExpression | None:
    tags = tuple(Tag(topic_tag(topic, level)) for level in levels if level <= amount)
    return None if not tags else tags[0] if len(tags) == 1 else Or(tags)


# As rules load


def levelled_topics(template: AudienceTemplate, topics: Mapping[str, Levels]) -> list[str]:
    """The topics with levels that an audience names, of those of its hub, in order."""
    if not isinstance(template, AudienceExpression):
        return []
    levelled = {name: levels for name, levels in topics.items() if levels}
    named = (topic_of(tag, levelled) for tag, _ in _tags(_sample(template)))
    return list(dict.fromkeys(name for name in named if name is not None))


def negated_topic(template: AudienceTemplate, topics: Mapping[str, Levels]) -> str | None:
    """One of these topics behind a `!`, where an amount has no meaning."""
    if not isinstance(template, AudienceExpression):
        return None
    found = (topic_of(tag, topics) for tag, is_negated in _tags(_sample(template)) if is_negated)
    return next((name for name in found if name is not None), None)


def too_many_tags(template: AudienceTemplate, topics: Mapping[str, Levels], max_tags: MaxTags) -> str:
    """What is wrong with an audience of all levels; empty where it is not too large."""
    if not isinstance(template, AudienceExpression):
        return ""
    highest = max(levels[-1] for levels in topics.values())
    picked = _picked(_sample(template), highest, topics)
    try:
        parse(str(picked), max_tags=max_tags)
    except TagError as error:
        return f"with a tag for each level: {error}"
    return ""


def _sample(template: AudienceExpression) -> TagExpression:
    """The audience with a word in the place of each tag that has placeholders."""
    match template:
        case Constant(expression):
            return expression
        case Negation(operand):
            return Not(_sample(operand))
        case Junction(join, operands):
            return join(tuple(map(_sample, operands)))
    return Tag("x")


def _tags(expression: TagExpression, is_negated: bool = False) -> Iterator[tuple[str, bool]]:
    match expression:
        case Tag(name):
            yield name, is_negated
        case Not(operand):
            yield from _tags(operand, True)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _tags(operand, is_negated)
