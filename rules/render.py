"""Text with values in it: `Order {{ data.orderNo }} is on its way`, a frozen tree of literals and expressions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rules.errors import ExpressionError, RenderError
from rules.explain import NOWHERE, FailedCondition, Place
from rules.expression_tree import Names
from rules.expressions import EVENT_NAMES, Expression, Unmet, compile_expression
from rules.grammar import split
from rules.localisation import Localisation
from rules.node import Mark, Node
from rules.text import text_of

MAX_TEXT = 65_536
"""Characters of one text with its values in: the wire contract's limit for a whole notification (64 KiB)."""

Piece = str | Expression

Spell = Callable[[Any], str]
"""How a value becomes part of a text. Raises: RenderError, which goes on where the name of the value ends."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text with placeholders: `pieces` are literals and expressions in turn, and `spell` writes their values.

    Two texts are equal when they say the same. `offsets` are those of the expressions in the text, from 0; `mark` is its
    place, `is_in_line` whether a column in it is one of the file, and `covers` what is shown of it where something was
    filled in that is not to be shown.
    """

    pieces: tuple[Piece, ...]
    spell: Spell = field(default=text_of, repr=False)
    offsets: tuple[int, ...] = field(default=(), compare=False, repr=False)
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)
    is_in_line: bool = field(default=False, compare=False, repr=False)
    covers: str = field(default="", compare=False, repr=False)

    render: Callable[[Any], str] = field(init=False, compare=False, repr=False)
    """Raises: RenderError: a value is missing or null, or the text grew beyond MAX_TEXT; never half a text."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "render", renderer(self.pieces, self.spell))

    def __str__(self) -> str:
        return "".join(piece if isinstance(piece, str) else f"{{{{ {piece.text} }}}}" for piece in self.pieces)

    @property
    def constant(self) -> str | None:
        """The text, when it has no placeholders."""
        return None if self.placeholders else "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def placeholders(self) -> tuple[Expression, ...]:
        """The expressions, in order."""
        return tuple(piece for piece in self.pieces if not isinstance(piece, str))

    def spelled_by(self, spell: Spell) -> "Text":
        """The same text, whose values are written by another function."""
        return Text(self.pieces, spell, self.offsets, self.mark, self.is_in_line, self.covers)

    def placed(self, node: Node) -> "Text":
        """The same text, at the place of a value of the configuration that it was read from."""
        covers = node.written if node.written != node.text else ""
        return Text(self.pieces, self.spell, self.offsets, node.mark, node.in_line, covers)

    def explain(self, event: Any, key: str) -> FailedCondition | None:
        """The first placeholder that an event cannot fill; the text itself, where it grows too long. `key` is its path."""
        try:
            self.render(event)
        except RenderError as failure:
            error = str(failure)
        else:
            return None
        for placeholder in self.placeholders:
            unfilled = unfilled_by(placeholder, event, self.spell)
            if unfilled is not None:
                return self._failed(unfilled, placeholder, key)
        return FailedCondition(place=Place(key, self.mark), wanted=self.covers or str(self), seen={}, error=error)

    def place_of(self, placeholder: Expression, offset: int, key: str) -> Place:
        """The place of what stands at an offset in a placeholder."""
        if not self.is_in_line or self.covers or placeholder not in self.placeholders:
            return Place(key, self.mark)
        return Place(key, self.mark.moved(self.offsets[self.placeholders.index(placeholder)] + offset))

    def _failed(self, unfilled: Unmet, placeholder: Expression, key: str) -> FailedCondition:
        if self.covers:
            unfilled = placeholder.covered(unfilled, self.covers)
        wanted = self.covers or f"{{{{ {placeholder.text} }}}}"
        place = self.place_of(placeholder, unfilled.offset, key)
        return FailedCondition(place=place, wanted=wanted, seen=unfilled.seen, error=unfilled.error)


def compile_text(text: str, names: Names = EVENT_NAMES, *, localisation: Localisation | None = None) -> Text:
    """Compile a text whose `{{ }}` may use `names`, for one reader where there is a `localisation`.

    Raises: ExpressionError, with the column in `text`.
    """
    return _compiled_for_events(text) if names is EVENT_NAMES else _compiled(text, names, localisation)


@lru_cache(maxsize=4096)
def _compiled_for_events(text: str) -> Text:
    """Rules say the same again and again: what they share is made once."""
    return _compiled(text, EVENT_NAMES)


def _compiled(text: str, names: Names, localisation: Localisation | None = None) -> Text:
    pieces: list[Piece] = []
    offsets: list[int] = []
    for offset, piece, is_placeholder in split(text):
        if not is_placeholder:
            pieces.append(piece)
            continue
        offsets.append(offset)
        try:
            pieces.append(compile_expression(piece, names, localisation=localisation))
        except ExpressionError as error:
            raise ExpressionError(str(error), column=offset + error.column, hint=error.hint) from error
    return Text(tuple(pieces), offsets=tuple(offsets))


def unfilled_by(placeholder: Expression, event: Any, spell: Spell) -> Unmet | None:
    """Why an event cannot fill a placeholder; None where it can."""
    try:
        placeholder.evaluate(event)
    except RenderError as error:
        return placeholder.unanswered(event, error)
    try:
        _filler(placeholder, spell)(event)
    except RenderError as error:
        return placeholder.refused(event, error)
    return None


@lru_cache(maxsize=4096)
def renderer(pieces: tuple[Piece, ...], spell: Spell = text_of) -> Callable[[Any], str]:
    """A function that joins the pieces for an event, each value spelled by `spell`."""
    fillers = [piece if isinstance(piece, str) else _filler(piece, spell) for piece in pieces]
    values = [filler for filler in fillers if not isinstance(filler, str)]
    if not values:
        constant = "".join(piece for piece in pieces if isinstance(piece, str))
        return lambda scope: constant
    if len(values) == 1:
        return values[0] if len(fillers) == 1 else _around(values[0], pieces)

    def render(scope: Any) -> str:
        return _bounded("".join([filler if isinstance(filler, str) else filler(scope) for filler in fillers]))

    return render


def _around(fill: Callable[[Any], str], pieces: tuple[Piece, ...]) -> Callable[[Any], str]:
    """A text with one value in it, as most have."""
    at = next(at for at, piece in enumerate(pieces) if not isinstance(piece, str))
    before, after = ("".join(map(str, literals)) for literals in (pieces[:at], pieces[at + 1 :]))
    return lambda scope: _bounded(f"{before}{fill(scope)}{after}")


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise RenderError(f"a text of {len(text)} characters is too long, {MAX_TEXT} are allowed")
    return text


@lru_cache(maxsize=4096)
def _filler(expression: Expression, spell: Spell) -> Callable[[Any], str]:
    evaluate, shown = expression.evaluate, expression.text

    def fill(scope: Any) -> str:
        value = evaluate(scope)
        try:
            text = spell(value)
        except RenderError as error:
            raise type(error)(f"{shown} {error}") from None
        if len(text) > MAX_TEXT:
            raise RenderError(f"{shown} has {len(text)} characters, {MAX_TEXT} are allowed")
        return text

    return fill
