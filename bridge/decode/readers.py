"""The formats of bodies that there are: a line each, and a file beside this one."""

from collections.abc import Collection
from importlib import import_module

from bridge.decode.base import DecodeSettings, Reader

_MODULES = {
    "json": "bridge.decode.json",
    "xml": "bridge.decode.xml",
    "text": "bridge.decode.text",
    "csv": "bridge.decode.csv",
    "fixed_width": "bridge.decode.fixed_width",
    "avro": "bridge.decode.registered",
}
"""By the word in `decode.format`, the module whose `reader(settings)` makes a reader; it raises ValueError only."""

_ENVELOPES = ("cloudevents", "debezium")
"""Formats that carry data of another one, and attributes beside: a decoder of their own reads the whole message."""


def register(name: str, module: str) -> None:
    """Add a format; before `bridge.config` is imported, which makes a choice of those that are there.

    Raises: ValueError: there is one of that name.
    """
    if name in formats():
        raise ValueError(f"there is a format {name} already")
    _MODULES[name] = module


def formats() -> Collection[str]:
    """What `decode.format` may say."""
    return (*_MODULES, *_ENVELOPES)


def reader_for(name: str, settings: DecodeSettings) -> Reader:
    """The reader of a format; its module, and so its library, is imported here and not before."""
    reader: Reader = import_module(_MODULES[name]).reader(settings)
    return reader
