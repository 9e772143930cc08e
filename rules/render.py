"""Text with values in it: `Order {{ data.orderNo }} is on its way`, compiled once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rules.errors import ExpressionError, RenderError
from rules.evaluation import Names
from rules.explain import NOWHERE, FailedCondition, Place
from rules.expressions import EVENT_NAMES, Expression, compile_expression, seen_by, split
from rules.node import Mark
from rules.text import text_of

MAX_TEXT = 65_536
"""Characters of one text with its values in: the wire contract's limit for a whole notification (64 KiB)."""

Piece = str | Expression


@dataclass(frozen=True, slots=True)
class Text:
    """A text with placeholders; `pieces` are literals and expressions in turn, `render` fills it for an event."""

    pieces: tuple[Piece, ...]
    render: Callable[[Any], str] = field(compare=False, repr=False)
    """Raises: RenderError: a value is missing or null, or the text grew beyond MAX_TEXT; never half a text."""
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return "".join(piece if isinstance(piece, str) else f"{{{{ {piece.text} }}}}" for piece in self.pieces)

    def explain(self, event: Any, key: str) -> FailedCondition | None:
        """The first placeholder that an event cannot fill; the text itself, where it grows too long. `key` is its path."""
        try:
            self.render(event)
        except RenderError as failure:
            error = str(failure)
        else:
            return None
        placeholder = next(
            (placeholder for placeholder in self.placeholders if not _can_fill(placeholder, event)), None
        )
        wanted = str(self) if placeholder is None else f"{{{{ {placeholder.text} }}}}"
        seen = {} if placeholder is None else seen_by(placeholder.text, event)
        return FailedCondition(place=Place(key, self.mark), wanted=wanted, seen=seen, error=error)

    @property
    def constant(self) -> str | None:
        """The text, when it has no placeholders."""
        return None if self.placeholders else "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def placeholders(self) -> tuple[Expression, ...]:
        """The expressions, in order."""
        return tuple(piece for piece in self.pieces if not isinstance(piece, str))


def compile_text(text: str, names: Names = EVENT_NAMES, mark: Mark = NOWHERE) -> Text:
    """Compile a text, which stands at `mark` and whose `{{ }}` may use `names`.

    Raises: ExpressionError, with the column in `text`.
    """
    pieces, render = _compiled_for_events(text) if names is EVENT_NAMES else _compiled(text, names)
    return Text(pieces, render, mark)


@lru_cache(maxsize=4096)
def _compiled_for_events(text: str) -> tuple[tuple[Piece, ...], Callable[[Any], str]]:
    """Rules say the same again and again: what they share is made once."""
    return _compiled(text, EVENT_NAMES)


def _compiled(text: str, names: Names) -> tuple[tuple[Piece, ...], Callable[[Any], str]]:
    pieces: list[Piece] = []
    for offset, piece, is_placeholder in split(text):
        if not is_placeholder:
            pieces.append(piece)
            continue
        try:
            pieces.append(compile_expression(piece, names))
        except ExpressionError as error:
            raise ExpressionError(str(error), column=offset + error.column, hint=error.hint) from error
    return tuple(pieces), renderer(tuple(pieces))


def _can_fill(placeholder: Expression, event: Any) -> bool:
    try:
        _filler(placeholder, text_of)(event)
    except RenderError:
        return False
    return True


def renderer(pieces: tuple[Piece, ...], spell: Callable[[Any], str] = text_of) -> Callable[[Any], str]:
    """A function that joins the pieces for an event, each value spelled by `spell`."""
    fillers = [piece if isinstance(piece, str) else _filler(piece, spell) for piece in pieces]
    if len(fillers) == 1 and not isinstance(fillers[0], str):
        return fillers[0]
    if all(isinstance(filler, str) for filler in fillers):
        constant = "".join(filler for filler in fillers if isinstance(filler, str))
        return lambda scope: constant

    def render(scope: Any) -> str:
        text = "".join([filler if isinstance(filler, str) else filler(scope) for filler in fillers])
        if len(text) > MAX_TEXT:
            raise RenderError(f"a text of {len(text)} characters is too long, {MAX_TEXT} are allowed")
        return text

    return render


@lru_cache(maxsize=4096)
def _filler(expression: Expression, spell: Callable[[Any], str]) -> Callable[[Any], str]:
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
