"""Atom (RFC 4287) as the wire contract has it: compact, without prefixes, a description in an entry's content.

.NET reads nothing behind white space, and passes over members that come in another order than its own.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hub.characters import escape_xml, without_mark
from hub.errors import InvalidRequestError

if TYPE_CHECKING:
    from lxml import etree

ENTRY = "application/atom+xml; type=entry; charset=utf-8"
FEED = "application/atom+xml; type=feed; charset=utf-8"
DESCRIPTION_NAMESPACES = (
    'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'
    ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
)

_ATOM = 'xmlns="http://www.w3.org/2005/Atom"'
_METADATA = 'xmlns:a="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"
_LONE_AMPERSAND = re.compile(r"&(?!(?:[A-Za-z]+|#[0-9]+|#x[0-9A-Fa-f]+);)")
_STRAY_END = "</WnsHeaders>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The description in an entry: its name without namespace, and its children that are not nil, by name."""

    name: str
    members: Mapping[str, "etree._Element"]

    def text(self, name: str) -> str:
        """The text of a member, empty when there is none."""
        element = self.members.get(name)
        return "" if element is None else (element.text or "").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing with an address of its own; `etag` None leaves it out."""

    url: str
    title: str
    content: str
    etag: int | None = None


def read_entry(body: bytes, content_type: str = "") -> Described:
    """The description in the content of an entry, of the kind that its element or its `i:type` names.

    Raises: InvalidRequestError: no XML, a document type, or no entry with a content.
    """
    root = _parse(_text_of(body, content_type))
    found = root.find("{*}content")
    description = None if found is None else next(found.iterchildren("*"), None)
    if description is None:
        raise InvalidRequestError("The body has to be an Atom entry with a description in its content")
    return _described(description)


def read_description(text: str) -> Described:
    """A description that stands alone, as the lines of an import file have it. Raises: InvalidRequestError."""
    return _described(_parse(text))


def _described(description: "etree._Element") -> Described:
    from lxml import etree  # the description was read by it

    kind = description.get(f"{_INSTANCE}type") or etree.QName(description).localname
    members = {
        etree.QName(child).localname: child
        for child in description.iterchildren("*")
        if child.get(f"{_INSTANCE}nil") not in ("true", "1")
    }
    return Described(name=kind.rpartition(":")[2], members=members)


def _text_of(body: bytes, content_type: str) -> str:
    try:
        return without_mark(body).decode()
    except UnicodeDecodeError as error:
        if "iso-8859-1" in content_type.lower():
            return body.decode("latin-1")
        raise InvalidRequestError(f"The body is not UTF-8: {error}") from error


def _parse(text: str) -> "etree._Element":
    from lxml import etree  # 6 MB, once a client sends Atom

    if "<!DOCTYPE" in text:  # without a document type there are no entities to expand
        raise InvalidRequestError("The body has a document type, which is not allowed")
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)  # it may name the encoding that the bytes had
    try:
        return _root(text)
    except etree.XMLSyntaxError as error:
        try:
            return _root(_repaired(text))  # a second look, because only broken XML is worth its while
        except etree.XMLSyntaxError:
            raise InvalidRequestError(f"The body is no XML: {error}") from error


def _root(text: str) -> "etree._Element":
    from lxml import etree

    return etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True))


def _repaired(text: str) -> str:
    """What one SDK gets wrong: an ampersand in a URL, and the end of a list of headers that never began."""
    text = _LONE_AMPERSAND.sub("&amp;", text)
    return text if "<WnsHeaders" in text else text.replace(_STRAY_END, "")


def entry_xml(entry: Entry, *, now: datetime) -> str:
    """An entry as a document of its own."""
    return _entry_xml(entry, now, _ATOM)


def feed_xml(title: str, url: str, entries: Iterable[Entry], *, next_url: str | None, now: datetime) -> str:
    """A list; `next_url` is where it goes on."""
    following = "" if next_url is None else f'<link rel="next" href="{escape_xml(next_url)}"/>'
    return (
        f'<feed {_ATOM}><title type="text">{escape_xml(title)}</title><id>{escape_xml(url)}</id>'
        f'<updated>{_moment(now)}</updated><link rel="self" href="{escape_xml(url)}"/>{following}'
        f"{''.join(_entry_xml(entry, now, '') for entry in entries)}</feed>"
    )


def _entry_xml(entry: Entry, now: datetime, namespace: str) -> str:
    etag = "" if entry.etag is None else f' a:etag="W/&quot;{entry.etag}&quot;"'
    names = " ".join(name for name in (namespace, _METADATA) if name)
    url, moment = escape_xml(entry.url), _moment(now)
    return (
        f'<entry{etag} {names}><id>{url}</id><title type="text">{escape_xml(entry.title)}</title>'
        f"<published>{moment}</published><updated>{moment}</updated>"
        f'<link rel="self" href="{url}"/><content type="application/xml">{entry.content}</content></entry>'
    )


def cdata(text: str) -> str:
    """`text` in CDATA sections, cut where it holds the end of one."""
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


def _moment(now: datetime) -> str:
    return f"{now:%Y-%m-%dT%H:%M:%SZ}"
