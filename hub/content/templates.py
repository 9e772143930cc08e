"""Templates: compiled when registered, filled for every send (Notification Hubs, "Templates").

Filling is done for every send, so all that can be is decided when compiling.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from hub.characters import CONTROLS
from hub.content.bodies import Piece, Slot, json_pieces, raw_pieces, xml_pieces
from hub.content.expressions import MAX_FILLED, Expression, parse_value
from hub.dates import parse_date
from hub.errors import FilledTooLargeError, InvalidRequestError, TemplateError
from hub.frozen import frozen_dataclass
from hub.installation import Template
from hub.notification import Platform
from hub.platforms.table import services, traits_of
from hub.platforms.traits import PayloadKind, Traits, template_error

MAX_BODY = 16 * 1024
"""Bytes of a template's body: three times what the most generous service takes, for expressions are longer than values."""

MAX_TERMS = 500
"""Properties and quoted texts in one template; each is looked up for every send."""

_NONE: frozenset[str] = frozenset()

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")

_PIECES: Mapping[PayloadKind, Callable[[str], list[Piece]]] = {
    PayloadKind.JSON: json_pieces,
    PayloadKind.XML: xml_pieces,
    PayloadKind.RAW: raw_pieces,
}


@frozen_dataclass(frozen=True, slots=True)
class Rendered:
    """A filled template: the payload for the push service, its headers, and Apple's expiry (a date or `0`).

    `missing` are the properties, in lower case, that were to be filled in and are nowhere; each is empty.
    """

    payload: bytes
    headers: Mapping[str, str]
    expiry: str | None = None
    missing: frozenset[str] = frozenset()


class CompiledTemplate:
    """A template ready to be filled; made by `compile_template`.

    `names` are the properties it uses, in lower case. Registrations whose push variables share no name with them are
    filled alike, so one `render` serves them all.
    """

    __slots__ = ("_constant_headers", "_expiry", "_headers", "_literal_size", "_literals", "_needed", "_slots", "names")

    def __init__(
        self, pieces: Sequence[Piece], headers: Mapping[str, str | Expression], expiry: str | Expression | None
    ) -> None:
        self._literals = [piece if isinstance(piece, bytes) else b"" for piece in pieces]
        self._literal_size = sum(map(len, self._literals))
        self._slots = [(number, piece) for number, piece in enumerate(pieces) if isinstance(piece, Slot)]
        self._headers = headers
        self._constant_headers = {name: value for name, value in headers.items() if isinstance(value, str)}
        self._expiry = expiry
        expressions = [piece.expression for piece in pieces if isinstance(piece, Slot)]
        expressions += [value for value in (*headers.values(), expiry) if isinstance(value, Expression)]
        self.names: frozenset[str] = frozenset().union(*(expression.names for expression in expressions))
        self._needed: frozenset[str] = frozenset().union(*(expression.needed for expression in expressions))

    def render(self, properties: Mapping[str, str], push_variables: Mapping[str, str]) -> Rendered:
        """Fill in the message's properties, else the phone's push variables, else defaults; names compare without case.

        A property that is missing is empty, as in the service: the message is sent all the same.

        Raises: FilledTooLargeError: the payload has more than MAX_FILLED bytes, which no service takes.
        """
        values = {name.lower(): value for name, value in properties.items()}
        if push_variables:
            values = {name.lower(): value for name, value in push_variables.items()} | values
        payload = self._filled_payload(values)
        expiry = self._expiry.evaluate(values) if isinstance(self._expiry, Expression) else self._expiry
        missing = _NONE if self._needed <= values.keys() else self._needed - values.keys()
        return Rendered(payload, self._filled_headers(values), expiry, missing)

    def _filled_payload(self, values: Mapping[str, str]) -> bytes:
        filled, size = self._literals.copy(), self._literal_size
        for number, slot in self._slots:
            filled[number] = value = slot.encode(slot.expression.evaluate(values))
            size += len(value)
            if size > MAX_FILLED:
                break
        if size > MAX_FILLED:
            raise FilledTooLargeError
        return b"".join(filled)

    def _filled_headers(self, values: Mapping[str, str]) -> Mapping[str, str]:
        # Pushes of one template share this object when they can: senders keep work for it.
        if len(self._constant_headers) == len(self._headers):
            return self._constant_headers
        return {
            name: value if isinstance(value, str) else CONTROLS.sub(" ", value.evaluate(values))
            for name, value in self._headers.items()
        }


def compile_template(template: Template, platform: Platform) -> CompiledTemplate:
    """Check a template as the service does when it is registered, and make it ready to be filled.

    What a body and its headers have to be is for the traits of the platform to say.

    Raises: TemplateError.
    """
    size = len(template.body.encode())
    if size > MAX_BODY:
        raise TemplateError(f"body: it has {size} bytes, {MAX_BODY} are allowed", where="body")
    traits = traits_of(platform)
    headers = _compile_headers(template.headers, traits)
    try:
        checked = traits.template_body(template.body, headers)
    except InvalidRequestError as error:
        raise template_error(error) from error
    headers.update(checked.headers)
    pieces = _PIECES[checked.kind](checked.text)
    expressions = [piece.expression for piece in pieces if isinstance(piece, Slot)]
    terms = sum(len(expression.terms) for expression in expressions)
    if terms > MAX_TERMS:
        raise TemplateError(
            f"body: its expressions have {terms} properties and quoted texts, {MAX_TERMS} are allowed", where="body"
        )
    return CompiledTemplate(pieces, headers, _compile_expiry(template.expiry, traits))


def _compile_headers(headers: Mapping[str, str], traits: Traits) -> dict[str, str | Expression]:
    name_of_platform = traits.platform.value
    compiled: dict[str, str | Expression] = {}
    for name, text in headers.items():
        where = f"header {name[:60]}"
        if not traits.headers:
            raise TemplateError(f"{where}: templates for {name_of_platform} have no headers", where=where)
        if not traits.takes_header(name) or not _HEADER_NAME.fullmatch(name):
            raise TemplateError(f"{where}: headers for {name_of_platform} {traits.header_words}", where=where)
        if CONTROLS.search(text):
            raise TemplateError(f"{where}: a header has no control characters", where=where)
        compiled[name] = parse_value(text, where=where)
    return compiled


def _compile_expiry(text: str | None, traits: Traits) -> str | Expression | None:
    if text is None:
        return None
    if not traits.expiry_header:
        names = ", ".join(each.platform.value for each in services() if each.expiry_header)
        raise TemplateError(f"expiry: only templates for {names} have one", where="expiry")
    expiry = parse_value(text, where="expiry")
    if isinstance(expiry, str) and expiry != "0":
        try:
            parse_date(expiry)
        except InvalidRequestError as error:
            raise TemplateError(f"expiry: {error}", where="expiry") from error
    return expiry
