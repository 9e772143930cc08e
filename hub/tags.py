"""Tags and tag expressions (Notification Hubs, "Routing and tag expressions").

A tag is up to 120 letters, digits and `_ @ # . : -`, compared without case. Two service tags are set by the hub itself:
`$InstallationId:{id}` and `$UserId:{id}`, where the braces are part of the tag, and the word before the id is ASCII. A
third, `$Direct:{id}`, stands for the push channels that a direct send names itself.
Phones cannot set a service tag; their ids are compared letter by letter. An expression joins tags:

    expression := and ( '||' and )*
    and        := unary ( '&&' unary )*
    unary      := '!' unary | '(' expression ')' | tag
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import NoReturn

from hub.errors import TagError
from hub.frozen import frozen_dataclass

MAX_TAG_LENGTH = 120
MAX_NESTING = 32
"""How deep `!` and parentheses may go: deeper text is no longer an audience that was meant."""

_TAG = re.compile(r"[\w@#.:-]+")
_SERVICE_TAG = re.compile(r"\$(?P<kind>(?ai:InstallationId|UserId|Direct)):(?P<brace>\{?)(?P<value>[\w@#.:=-]*)")
"""The kind is ASCII without case: Unicode's rules would take `ſ` for `s`, and `İ` for `i`."""

_DIRECT = "$Direct:{"
_INSTALLATION = "$installationid:{"
_SPACE = re.compile(r"\s*")
_KINDS = {"installationid": "InstallationId", "userid": "UserId", "direct": "Direct"}


@frozen_dataclass(frozen=True, slots=True)
class Tag:
    """Registrations that carry the tag; `name` keeps its case, comparing goes through `tag_key`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Not:
    """Registrations that `operand` does not match."""

    operand: "TagExpression"

    def __str__(self) -> str:
        return f"!{_grouped(self.operand, And | Or)}"


@dataclass(frozen=True, slots=True)
class And:
    """Registrations that all operands match; there are two or more."""

    operands: tuple["TagExpression", ...]

    def __str__(self) -> str:
        return " && ".join(_grouped(operand, And | Or) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Or:
    """Registrations that any operand matches; there are two or more."""

    operands: tuple["TagExpression", ...]

    def __str__(self) -> str:
        return " || ".join(_grouped(operand, Or) for operand in self.operands)


TagExpression = Tag | Not | And | Or
"""What `parse` makes; `str` of it is canonical text that parses back to the same tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxTags:
    """How many tags an expression may name, repetitions counted; as the service documents it unless set."""

    only_or: int = 20
    only_and: int = 10
    mixed: int = 6


def parse(text: str, *, max_tags: MaxTags = MaxTags()) -> TagExpression:
    """The expression that `text` stands for; `!` binds tighter than `&&`, and `&&` tighter than `||`.

    `$UserId:ann` is taken for `$UserId:{ann}`, as one SDK's manual spells it.

    Raises: TagError: not an expression, or too many tags, with the column.
    """
    parser = _Parser(text)
    expression = parser.expression(depth=0)
    parser.expect_end()
    limit, kind = _limit_for(expression, max_tags)
    if len(parser.tag_columns) > limit:
        raise TagError(
            f"{len(parser.tag_columns)} tags are too many: {kind} may have up to {limit}",
            column=parser.tag_columns[limit],
        )
    return expression


def matches(expression: TagExpression, tags: frozenset[str]) -> bool:
    """Whether a registration with these tags is meant; `tags` are keys as `tag_key` makes them."""
    match expression:
        case Tag(name):
            return tag_key(name) in tags
        case Not(operand):
            return not matches(operand, tags)
        case And(operands):
            return all(matches(operand, tags) for operand in operands)
        case Or(operands):
            return any(matches(operand, tags) for operand in operands)


def tag_keys(expression: TagExpression) -> Iterator[str]:
    """The keys of all tags that an expression names."""
    match expression:
        case Tag(name):
            yield tag_key(name)
        case Not(operand):
            yield from tag_keys(operand)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from tag_keys(operand)


def tag_key(name: str) -> str:
    """What tags are compared by: Unicode's full case folding, so that `ΟΔΟΣ` and `οδος` are one tag.

    A service tag addresses one user or one phone, so its id is compared letter by letter: `straße` and `STRASSE`, or `k`
    and the Kelvin sign, are two ids.
    """
    if name.isascii():
        return name.lower()
    return "".join([_lower(character) for character in name]) if name.startswith("$") else name.casefold()


def _lower(character: str) -> str:
    """The small letter of a pair; a letter whose small one belongs to another capital, as the Kelvin sign's, stays."""
    lower = character.lower()
    return lower if lower.upper() == character else character


def is_tag_safe(text: str) -> bool:
    """Whether `text` can be, or become part of, an ordinary tag: no operator, space, brace or `$` in it."""
    return len(text) <= MAX_TAG_LENGTH and _TAG.fullmatch(text) is not None


def is_service_tag_value(text: str) -> bool:
    """Whether `text` can stand between the braces of a service tag: as `is_tag_safe`, and `=` too."""
    return is_tag_safe(text.replace("=", "_"))


def unsafe_reason(text: str, *, in_service_tag: bool = False) -> str:
    """Why `text` cannot be, or become part of, a tag (or an id): is empty, is too long, or the first character that is
    not allowed. One character is named, never the text, which may be secret. Empty for a text that can.
    """
    if is_tag_safe(text):  # as nearly always: one look at the whole
        return ""
    if not text:
        return "is empty"
    if len(text) > MAX_TAG_LENGTH:
        return f"has {len(text)} characters, {MAX_TAG_LENGTH} are allowed"
    strange = next((c for c in text if not _TAG.fullmatch(c) and not (in_service_tag and c == "=")), None)
    if strange is None:
        return ""
    return f"holds {_shown(strange)}, which {'an id' if in_service_tag else 'a tag'} may not hold"


def _shown(character: str) -> str:
    if character == " ":
        return "a space"
    return repr(character) if character.isascii() else ascii(character)


def user_tag(user_id: str) -> str:
    """The tag on every registration of a user; for an expression, ask `is_service_tag_value` before."""
    return f"$UserId:{{{user_id}}}"


def installation_tag(installation_id: str) -> str:
    """The tag on every registration of an installation; for an expression, ask `is_service_tag_value` before."""
    return f"$InstallationId:{{{installation_id}}}"


def installation_in(key: str) -> str | None:
    """The key of the id in the key of an `installation_tag`; None for the key of another tag."""
    return key[len(_INSTALLATION) : -1] if key.startswith(_INSTALLATION) else None


def direct_tag(notification_id: str) -> str:
    """The tag of the push channels that the direct send of this id is for."""
    return f"{_DIRECT}{notification_id}}}"


def is_direct(expression: object) -> bool:
    """Whether an audience is the push channels of a direct send."""
    return isinstance(expression, Tag) and expression.name.startswith(_DIRECT)


def valid_tag(text: str) -> bool:
    """Whether a registration may carry `text`: an ordinary tag, or a service tag with its braces."""
    if not text.startswith("$"):
        return is_tag_safe(text)
    service = _SERVICE_TAG.match(text)
    return service is not None and text[service.end() :] == "}" and _is_service_tag(service)


def _is_service_tag(service: re.Match[str]) -> bool:
    return service["brace"] == "{" and is_service_tag_value(service["value"])


def _grouped(expression: TagExpression, kinds: type | UnionType) -> str:
    return f"({expression})" if isinstance(expression, kinds) else str(expression)


def _limit_for(expression: TagExpression, max_tags: MaxTags) -> tuple[int, str]:
    kinds = _operators(expression)
    if kinds <= {Or}:
        return max_tags.only_or, "an expression of || alone"
    if Or not in kinds:
        return max_tags.only_and, "an expression without ||"
    return max_tags.mixed, "an expression that mixes operators"


def _operators(expression: TagExpression) -> set[type]:
    match expression:
        case Tag():
            return set()
        case Not(operand):
            return {Not} | _operators(operand)
        case And(operands) | Or(operands):
            return set[type]().union({type(expression)}, *map(_operators, operands))


class _Parser:
    """Recursive descent over `text`; `tag_columns` holds the column of each tag met."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.tag_columns: list[int] = []

    def expression(self, *, depth: int) -> TagExpression:
        operands = [self._and(depth)]
        while self._take("||"):
            operands.append(self._and(depth))
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def expect_end(self) -> None:
        if self._rest():
            self._fail(f"expected && or || before {self._found()}")

    def _and(self, depth: int) -> TagExpression:
        operands = [self._unary(depth)]
        while self._take("&&"):
            operands.append(self._unary(depth))
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _unary(self, depth: int) -> TagExpression:
        if depth > MAX_NESTING:
            self._fail(f"nested deeper than {MAX_NESTING} levels")
        if self._take("!"):
            return Not(self._unary(depth + 1))
        if self._take("("):
            opened_at = self._at
            inner = self.expression(depth=depth + 1)
            if not self._take(")"):
                if self._rest():
                    self._fail(f"expected &&, || or ) before {self._found()}")
                self._fail("this parenthesis is never closed", at=opened_at - 1)
            return inner
        return self._tag()

    def _tag(self) -> Tag:
        if not self._rest():
            self._fail("expected a tag, found the end" if self._text.strip() else "the tag expression is empty")
        start = self._at
        self.tag_columns.append(start + 1)
        if self._text[start] == "$":
            return self._service_tag()
        tag = _TAG.match(self._text, start)
        if tag is None:
            self._fail(f"expected a tag, found {self._found()}; tags are letters, digits and _ @ # . : -")
        self._check_length(tag[0])
        self._at = tag.end()
        return Tag(tag[0])

    def _service_tag(self) -> Tag:
        service = _SERVICE_TAG.match(self._text, self._at)
        if service is None:
            self._fail("only $InstallationId:{…} and $UserId:{…} begin with $")
        if not service["value"]:
            self._fail("expected an id of letters, digits and - _ @ # . : =", at=service.end())
        self._check_length(service["value"])
        self._at = service.end()
        if service["brace"]:
            if not self._text.startswith("}", self._at):
                self._fail("expected } after an id of letters, digits and - _ @ # . : =")
            self._at += 1
        return Tag(f"${_KINDS[service['kind'].lower()]}:{{{service['value']}}}")

    def _check_length(self, text: str) -> None:
        if len(text) > MAX_TAG_LENGTH:
            self._fail(f"a tag of {len(text)} characters is too long, {MAX_TAG_LENGTH} are allowed")

    def _take(self, token: str) -> bool:
        self._skip_space()
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _rest(self) -> bool:
        self._skip_space()
        return self._at < len(self._text)

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        if space is not None:
            self._at = space.end()

    def _found(self) -> str:
        word = _TAG.match(self._text, self._at)
        return repr(word[0][:40] if word else self._text[self._at])

    def _fail(self, message: str, *, at: int | None = None) -> NoReturn:
        raise TagError(message, column=(self._at if at is None else at) + 1)
