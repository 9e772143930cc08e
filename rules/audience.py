"""`to`: who a notification is for. Parsed as rules load; at run time values fill placeholders inside of tags, nothing else.

An operator can therefore come from the configuration only. A value that is not tag-safe is refused before it is part of
anything.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hub.errors import TagError
from hub.notification import EVERYONE, Audience
from hub.tags import (
    MAX_TAG_LENGTH,
    And,
    MaxTags,
    Not,
    Or,
    Tag,
    TagExpression,
    installation_tag,
    is_service_tag_value,
    parse,
    unsafe_reason,
    user_tag,
)
from rules.advice.foreign import placeholder_cure
from rules.errors import ExpressionError, RenderError, UnsafeTagError
from rules.event import Event
from rules.explain import FailedCondition
from rules.expressions import Expression, Unmet
from rules.grammar import split
from rules.render import Piece, Spell, Text, compile_text, renderer, unfilled_by
from rules.text import text_of


@dataclass(frozen=True, slots=True)
class AudienceExpression:
    """An audience whose tags may have placeholders; two are equal when they say the same."""

    fill: Callable[[Event], TagExpression] = field(init=False, compare=False, repr=False)
    """The tags for an event. Raises: UnsafeTagError; RenderError, as any text with placeholders."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", self.compiled())

    def __str__(self) -> str:
        raise NotImplementedError

    def compiled(self) -> Callable[[Event], TagExpression]:
        """What `fill` is."""
        raise NotImplementedError

    def unfilled(self, event: Event) -> "UnfilledTag | None":
        """The first tag that an event cannot fill."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class UnfilledTag:
    """A tag that an event cannot fill, the placeholder because of which it is so, and why."""

    tag: AudienceExpression
    placeholder: Expression
    unmet: Unmet


@dataclass(frozen=True, slots=True)
class Constant(AudienceExpression):
    """An expression without placeholders, made once."""

    expression: TagExpression

    def __str__(self) -> str:
        return str(self.expression)

    def compiled(self) -> Callable[[Event], TagExpression]:
        expression = self.expression
        return lambda event: expression

    def unfilled(self, event: Event) -> UnfilledTag | None:
        return None


@dataclass(frozen=True, slots=True)
class TagText(AudienceExpression):
    """A tag with placeholders: what fills one has to be tag-safe by itself. `pieces` are literals and expressions."""

    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        """As an author writes it: without the braces of a service tag, which a placeholder has anyway."""
        first, *others = (piece if isinstance(piece, str) else f"{{{{ {piece.text} }}}}" for piece in self.pieces)
        if not first.startswith("$"):
            return "".join((first, *others))
        return "".join((first.replace("{", "", 1), *others)).removesuffix("}")

    def compiled(self) -> Callable[[Event], Tag]:
        render = renderer(self.pieces, self._spell)
        shown = " and ".join(placeholder.text for placeholder in _placeholders(self.pieces))

        def fill(event: Event) -> Tag:
            tag = render(event)
            if len(tag) > MAX_TAG_LENGTH:
                raise UnsafeTagError(f"the tag with {shown} has {len(tag)} characters, {MAX_TAG_LENGTH} are allowed")
            return Tag(tag)

        return fill

    def unfilled(self, event: Event) -> UnfilledTag | None:
        return _unfilled(self, _placeholders(self.pieces), self._spell, event)

    @property
    def _spell(self) -> Spell:
        is_service_tag = isinstance(self.pieces[0], str) and self.pieces[0].startswith("$")
        return _safe_id if is_service_tag else _safe_part


@dataclass(frozen=True, slots=True)
class ServiceTag(AudienceExpression):
    """The service tag around an id that has placeholders; the id has to be safe as a whole."""

    id_text: Text
    tag_for: Callable[[str], str]

    def __str__(self) -> str:
        return str(self.id_text)

    def compiled(self) -> Callable[[Event], Tag]:
        render, tag_for, shown = self.id_text.render, self.tag_for, str(self.id_text)

        def fill(event: Event) -> Tag:
            value = render(event)
            if not is_service_tag_value(value):
                raise UnsafeTagError(f"{shown} {_with_cure(value, in_service_tag=True)}")
            return Tag(tag_for(value))

        return fill

    def unfilled(self, event: Event) -> UnfilledTag | None:
        return _unfilled(self, self.id_text.placeholders, text_of, event)


@dataclass(frozen=True, slots=True)
class Negation(AudienceExpression):
    """All registrations that an audience does not have."""

    operand: AudienceExpression

    def __str__(self) -> str:
        return f"!({self.operand})" if isinstance(self.operand, Junction) else f"!{self.operand}"

    def compiled(self) -> Callable[[Event], Not]:
        fill = self.operand.fill
        return lambda event: Not(fill(event))

    def unfilled(self, event: Event) -> UnfilledTag | None:
        return self.operand.unfilled(event)


@dataclass(frozen=True, slots=True)
class Junction(AudienceExpression):
    """Audiences joined by `&&` or by `||`."""

    join: type[And] | type[Or]
    operands: tuple[AudienceExpression, ...]

    def __str__(self) -> str:
        return (" && " if self.join is And else " || ").join(
            f"({operand})" if isinstance(operand, Junction) else str(operand) for operand in self.operands
        )

    def compiled(self) -> Callable[[Event], And | Or]:
        join, fills = self.join, [operand.fill for operand in self.operands]
        return lambda event: join(tuple([fill(event) for fill in fills]))

    def unfilled(self, event: Event) -> UnfilledTag | None:
        return next((tag for operand in self.operands if (tag := operand.unfilled(event)) is not None), None)


@dataclass(frozen=True, slots=True)
class ToEveryone:
    """All registrations of the hub, whatever the event."""

    def fill(self, event: Event) -> Audience:
        """Everyone."""
        return EVERYONE

    def unfilled(self, event: Event) -> UnfilledTag | None:
        """None: there is nothing to fill."""
        return None


AudienceTemplate = AudienceExpression | ToEveryone
everyone = ToEveryone()


@dataclass(frozen=True, slots=True)
class PushAudience:
    """A rule's `to`. `written` is its text before `${…}` was filled in, which may have been a secret."""

    template: AudienceTemplate
    written: Text
    fill: Callable[[Event], Audience] = field(init=False, compare=False, repr=False)
    """The audience for an event. Raises: UnsafeTagError, RenderError."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", self.template.fill)

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """The first tag that an event cannot fill, None if it fills all; `key` is the path of this `to`."""
        unfilled = self.template.unfilled(event)
        if unfilled is None:
            return None
        tag, written, unmet = str(unfilled.tag), str(self.written), unfilled.unmet
        if self.written.covers:
            unmet = unfilled.placeholder.covered(unmet, written)
        wanted = tag if tag in written else written
        place = self.written.place_of(unfilled.placeholder, unmet.offset, key)
        return FailedCondition(place=place, wanted=wanted, seen=unmet.seen, error=unmet.error)


def _placeholders(pieces: tuple[Piece, ...]) -> tuple[Expression, ...]:
    return tuple(piece for piece in pieces if not isinstance(piece, str))


def _unfilled(
    tag: AudienceExpression, placeholders: tuple[Expression, ...], spell: Spell, event: Event
) -> UnfilledTag | None:
    try:
        tag.fill(event)
    except RenderError as failure:
        for placeholder in placeholders:
            if (unmet := unfilled_by(placeholder, event, spell)) is not None:
                return UnfilledTag(tag, placeholder, unmet)
        return UnfilledTag(tag, placeholders[0], placeholders[0].refused(event, failure))  # it is the whole tag
    return None


def compile_user(text: str) -> AudienceExpression:
    """All installations of a user. Raises: ExpressionError."""
    return _service_tag(text, user_tag)


def compile_installation(text: str) -> AudienceExpression:
    """One installation. Raises: ExpressionError."""
    return _service_tag(text, installation_tag)


@lru_cache(maxsize=4096)
def compile_tags(text: str, max_tags: MaxTags) -> AudienceExpression:
    """A tag expression whose tags may have placeholders. Raises: ExpressionError, with the column in `text`."""
    template = _TagTemplate(text)
    try:
        expression = parse(template.text, max_tags=max_tags)
    except TagError as error:
        column = template.column(error.column)
        hint = _literal_cure(text, column) if str(error).startswith(("expected", "only")) else ""
        raise ExpressionError(template.shown(str(error)), column=column, hint=hint) from error
    return _template(expression, template)


def _service_tag(text: str, tag_for: Callable[[str], str]) -> AudienceExpression:
    id_text = compile_text(text)
    if id_text.constant is None:
        return ServiceTag(id_text, tag_for)
    if not is_service_tag_value(id_text.constant):
        reason = unsafe_reason(id_text.constant, in_service_tag=True)
        hint = placeholder_cure(id_text.constant) or f"this one {reason}"
        raise ExpressionError("an id is letters, digits and - _ @ # . : =", hint=hint)
    return Constant(Tag(tag_for(id_text.constant)))


class _TagTemplate:
    """A tag expression with a word in place of each placeholder, so that the parser of the hub can read it."""

    def __init__(self, text: str) -> None:
        word = "slot"
        while word in text:
            word += "_"
        self.expressions = compile_text(text).placeholders
        self.pattern = re.compile(rf"{word}(\d+)\.")
        self.text = ""
        self._starts: list[tuple[int, int]] = []
        count = 0
        for offset, piece, is_placeholder in split(text):
            self._starts.append((len(self.text), offset - len("{{") if is_placeholder else offset))
            if is_placeholder:
                self.text += f"{word}{count}."
                count += 1
            else:
                self.text += piece

    def column(self, column: int) -> int:
        """The column in the text as written."""
        start, offset = max((start for start in self._starts if start[0] < column), default=(0, 0))
        return offset + column - start

    def shown(self, message: str) -> str:
        """A message of the parser without our words."""
        return self.pattern.sub("{{…}}", message)


def _template(expression: TagExpression, parsed: _TagTemplate) -> AudienceExpression:
    """The expression with its placeholders back in."""
    if parsed.pattern.search(str(expression)) is None:
        return Constant(expression)
    match expression:
        case Tag(name):
            literals = parsed.pattern.split(name)
            pieces: list[Piece] = [literals[0]]
            for number, literal in zip(literals[1::2], literals[2::2], strict=True):
                pieces += [parsed.expressions[int(number)], literal]
            return TagText(tuple(pieces))
        case Not(operand):
            return Negation(_template(operand, parsed))
        case And(operands) | Or(operands):
            return Junction(type(expression), tuple(_template(operand, parsed) for operand in operands))


def _safe_part(value: Any) -> str:
    text = text_of(value)
    if reason := _with_cure(text):
        raise UnsafeTagError(reason)
    return text


def _safe_id(value: Any) -> str:
    text = text_of(value)
    if reason := _with_cure(text, in_service_tag=True):
        raise UnsafeTagError(reason)
    return text


def _with_cure(text: str, *, in_service_tag: bool = False) -> str:
    """Why a value cannot be part of a tag, and what to do about it; empty for one that can."""
    reason = unsafe_reason(text, in_service_tag=in_service_tag)
    if reason == "is empty":
        return f"{reason}: default gives it a value"
    if not reason.startswith("holds "):
        return reason
    strange = next(c for c in text if unsafe_reason(c, in_service_tag=in_service_tag))
    shown = repr(strange) if strange.isprintable() else ascii(strange)
    return f"{reason}: | replace({shown}, '-') makes it one, in the tags of the phones too"


def _literal_cure(text: str, column: int) -> str:
    """What was likely meant where a tag expression cannot be read on."""
    if column > len(text):
        return ""
    at = text[column - 1 : column]
    if foreign := placeholder_cure(text):
        return foreign
    if at in "/+*%,;=?\\~'\"" and at:
        return f"a tag may not hold {at}: write - or : in its place, in the tags of the phones too"
    if re.search(r"\b(and|or|not)\b|(?<!&)&(?!&)|(?<!\|)\|(?!\|)", text, re.IGNORECASE):
        return "write && for and, || for or, ! for not"
    if re.match(r"\w", at) and text[: column - 1].endswith(" "):
        return "a tag has no spaces; two tags are joined by && or ||"
    return ""
