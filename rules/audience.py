"""`to`: who a notification is for. Parsed as rules load; at run time values fill placeholders inside of tags, nothing else.

An operator can therefore come from the configuration only. A value that is not tag-safe is refused before it is part of
anything.
"""

import re
from collections.abc import Callable
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
from rules.errors import ExpressionError, UnsafeTagError
from rules.event import Event
from rules.expressions import split
from rules.render import Piece, compile_text, renderer
from rules.text import text_of

AudienceFor = Callable[[Event], Audience]
"""The audience for an event. Raises: UnsafeTagError; RenderError, as any text with placeholders."""


def everyone(event: Event) -> Audience:
    """All registrations of the hub, for every event."""
    return EVERYONE


def compile_user(text: str) -> AudienceFor:
    """All installations of a user. Raises: ExpressionError."""
    return _service_tag(text, user_tag)


def compile_installation(text: str) -> AudienceFor:
    """One installation. Raises: ExpressionError."""
    return _service_tag(text, installation_tag)


@lru_cache(maxsize=4096)
def compile_tags(text: str, max_tags: MaxTags) -> AudienceFor:
    """A tag expression whose tags may have placeholders. Raises: ExpressionError, with the column in `text`."""
    template = _TagTemplate(text)
    try:
        expression = parse(template.text, max_tags=max_tags)
    except TagError as error:
        column = template.column(error.column)
        hint = _literal_cure(text, column) if str(error).startswith(("expected", "only")) else ""
        raise ExpressionError(template.shown(str(error)), column=column, hint=hint) from error
    return _filled(expression, template)


def _service_tag(text: str, tag_for: Callable[[str], str]) -> AudienceFor:
    id_text = compile_text(text)
    if id_text.constant is not None:
        if not is_service_tag_value(id_text.constant):
            reason = unsafe_reason(id_text.constant, in_service_tag=True)
            hint = placeholder_cure(id_text.constant) or f"this one {reason}"
            raise ExpressionError("an id is letters, digits and - _ @ # . : =", hint=hint)
        constant = Tag(tag_for(id_text.constant))
        return lambda event: constant
    render = id_text.render

    def audience(event: Event) -> Audience:
        value = render(event)
        if not is_service_tag_value(value):
            raise UnsafeTagError(f"{text} {_with_cure(value, in_service_tag=True)}")
        return Tag(tag_for(value))

    return audience


class _TagTemplate:
    """A tag expression with a word in place of each placeholder, so that the parser of the hub can read it."""

    def __init__(self, text: str) -> None:
        word = "hole"
        while word in text:
            word += "_"
        self.expressions = compile_text(text).placeholders
        self.pattern = re.compile(rf"{word}(\d+)\.")
        self.text = ""
        self._starts: list[tuple[int, int]] = []
        placeholders = 0
        for offset, piece, is_placeholder in split(text):
            self._starts.append((len(self.text), offset - len("{{") if is_placeholder else offset))
            if is_placeholder:
                self.text += f"{word}{placeholders}."
                placeholders += 1
            else:
                self.text += piece

    def column(self, column: int) -> int:
        """The column in the text as written."""
        start, offset = max((start for start in self._starts if start[0] < column), default=(0, 0))
        return offset + column - start

    def shown(self, message: str) -> str:
        """A message of the parser without our words."""
        return self.pattern.sub("{{…}}", message)


def _filled(expression: TagExpression, template: _TagTemplate) -> Callable[[Event], TagExpression]:
    """What fills the placeholders of an expression; parts without placeholders are made once."""
    if template.pattern.search(str(expression)) is None:
        return lambda event: expression
    match expression:
        case Tag(name):
            return _filled_tag(name, template)
        case Not(operand):
            fill = _filled(operand, template)
            return lambda event: Not(fill(event))
        case And(operands) | Or(operands):
            join, fills = type(expression), [_filled(operand, template) for operand in operands]
            return lambda event: join(tuple([fill(event) for fill in fills]))


def _filled_tag(name: str, template: _TagTemplate) -> Callable[[Event], TagExpression]:
    literals = template.pattern.split(name)
    expressions = [template.expressions[int(number)] for number in literals[1::2]]
    pieces: list[Piece] = [literals[0]]
    for expression, literal in zip(expressions, literals[2::2], strict=True):
        pieces += [expression, literal]
    shown = " and ".join(expression.text for expression in expressions)
    spell = _safe_id if name.startswith("$") else _safe_part
    render = renderer(tuple(pieces), spell)

    def fill(event: Event) -> TagExpression:
        tag = render(event)
        if len(tag) > MAX_TAG_LENGTH:
            raise UnsafeTagError(f"the tag with {shown} has {len(tag)} characters, {MAX_TAG_LENGTH} are allowed")
        return Tag(tag)

    return fill


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
