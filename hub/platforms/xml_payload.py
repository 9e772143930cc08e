"""XML as a payload."""

from typing import Any

from hub.errors import TemplateError


def xml_root(body: str) -> str:
    """The local name of the root element of well-formed XML in UTF-8. Raises: TemplateError."""
    return local_name(parsed(body))


def local_name(element: Any) -> str:
    """The name of an element (lxml) without its namespace."""
    from lxml import etree

    return etree.QName(element).localname


def parsed(body: str) -> Any:
    """The root element (lxml) of well-formed XML in UTF-8. Raises: TemplateError."""
    from lxml import etree  # 6 MB, for a configuration with payloads of XML

    # Without a document type there are no entities to expand; the words may not even be in a comment.
    if "<!DOCTYPE" in body:
        raise TemplateError("body: a document type is not allowed", where="body")
    try:
        root = etree.fromstring(body.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise TemplateError(f"body: it is no XML: {error}", where="body") from error
    encoding = root.getroottree().docinfo.encoding
    if encoding and encoding.lower() != "utf-8":
        raise TemplateError(f"body: it is sent as UTF-8 and says {encoding}", where="body")
    return root
