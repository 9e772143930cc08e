"""Atom (RFC 4287) around descriptions: entries, feeds, errors."""

from collections.abc import Iterable
from datetime import UTC, datetime

from lxml import etree

from sandbox.servicebus.descriptions import NAMESPACE, parse_xml
from sandbox.servicebus.errors import InvalidEntityError

ATOM = "http://www.w3.org/2005/Atom"


def entry(url: str, title: str, description: etree._Element) -> etree._Element:
    """An entry that holds a description; `url` is its own address."""
    root = _root("entry")
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    for name, text in (("id", url), ("title", title), ("published", now), ("updated", now)):
        _add(root, name, text)
    _add(root, "link").attrib.update({"rel": "self", "href": url})
    content = _add(root, "content")
    content.set("type", "application/xml")
    content.append(description)
    return root


def feed(url: str, entries: Iterable[etree._Element], *, next_url: str | None) -> etree._Element:
    """A list; `next_url` is where it goes on."""
    root = _root("feed")
    _add(root, "id", url)
    _add(root, "link").attrib.update({"rel": "self", "href": url})
    if next_url is not None:
        _add(root, "link").attrib.update({"rel": "next", "href": next_url})
    root.extend(entries)
    return root


def error(status: int, detail: str) -> etree._Element:
    """What is said when there is nothing else to say."""
    root = etree.Element("Error")
    etree.SubElement(root, "Code").text = str(status)
    etree.SubElement(root, "Detail").text = detail
    return root


def namespace_info() -> etree._Element:
    """The description of the namespace itself."""
    root = etree.Element(f"{{{NAMESPACE}}}NamespaceInfo")
    for name, text in (
        ("CreatedTime", "2020-01-01T00:00:00Z"),
        ("MessagingSKU", "Standard"),
        ("ModifiedTime", "2020-01-01T00:00:00Z"),
        ("Name", "pushbridge-sandbox"),
        ("NamespaceType", "Messaging"),
    ):
        etree.SubElement(root, f"{{{NAMESPACE}}}{name}").text = text
    return root


def description_in(body: bytes) -> etree._Element:
    """The description in an entry.

    Raises: InvalidEntityError: there is none.
    """
    content = parse_xml(body).find(f"{{{ATOM}}}content")
    if content is None or len(content) == 0:
        raise InvalidEntityError("an Atom entry with a description in its content is expected")
    return content[0]


def _root(name: str) -> etree._Element:
    return etree.Element(f"{{{ATOM}}}{name}")


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    child = etree.SubElement(parent, f"{{{ATOM}}}{name}")
    child.text = text
    return child
