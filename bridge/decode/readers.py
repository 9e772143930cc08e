"""Which reader belongs to which format of a body."""

from typing import Literal

from bridge.decode.base import DecodeSettings, Reader


def reader_for(kind: Literal["json", "xml", "text"], settings: DecodeSettings) -> Reader:
    """The reader for bodies of that kind; its module, and so its library, is imported here and not before."""
    if kind == "json":
        from bridge.decode.json import JsonReader, read_json

        return read_json if settings.encoding is None else JsonReader(encoding=settings.encoding)
    if kind == "xml":
        from bridge.decode.xml import XmlReader

        return XmlReader(
            root=settings.root,
            types=settings.types,
            lists=settings.lists,
            encoding=settings.encoding,
            timezone=settings.timezone,
        )
    from bridge.decode.text import TextReader

    return TextReader(
        pattern=settings.pattern, types=settings.types, encoding=settings.encoding, timezone=settings.timezone
    )
