"""One sample event as its system sends it: which format it has, what it holds, and how to take a text apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import regex

from bridge.decode import decoder_for
from bridge.decode.base import DecodeSettings
from bridge.decode.registered import schema_id
from bridge.errors import EventError
from connectors.base import Message

_NOT_ELEMENTS = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]")
_VALUE = regex.compile(r"'([^']+)'|\"([^\"]+)\"|(?<![\w.])(?=\w*\d)(\w[\w.:-]*\w|\w)")
"""In a text: what is quoted, or a word with a digit in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A body that was read. `decode` is the section of that name; `type` is that of a CloudEvent, else empty."""

    format: str
    decode: Mapping[str, Any]
    data: Any
    type: str


def read_sample(body: bytes) -> Sample:
    """Raises: ValueError: the body has no format that can be seen, or is none of its kind; in words for its sender."""
    format_ = format_of(body)
    decode: dict[str, Any] = {"format": format_}
    if format_ == "xml" and (root := _ROOT.search(_NOT_ELEMENTS.sub(b"", body))):
        decode["root"] = root[1].decode()
    if format_ == "text":
        decode["pattern"] = pattern_of(body.decode("utf-8-sig"))
    settings = DecodeSettings(format=format_, pattern=decode.get("pattern"))
    content_type = "application/cloudevents+json" if format_ == "cloudevents" else None
    try:
        decoded = decoder_for(settings)(Message(source="sample", body=body, content_type=content_type))
    except EventError as error:
        raise ValueError(error.detail) from error
    return Sample(format=format_, decode=decode, data=decoded.data, type=decoded.type or "")


def format_of(body: bytes) -> str:
    """`json`, `cloudevents`, `xml` or `text`. Raises: ValueError: it is none of them."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise ValueError("the sample is empty")
    if (id := schema_id(body)) is not None:
        raise ValueError(
            f"the sample names schema {id} of a registry: give its data as JSON, and write decode: {{ format: avro, "
            "registry: { url: ... } } into what comes of it"
        )
    if start[:1] in (b"{", b"["):
        try:
            content = orjson.loads(start)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the sample begins as JSON does, and is none: {error}") from error
        if isinstance(content, list):
            raise ValueError("the sample is a list: an event is one object; take one of them")
        return "cloudevents" if {"specversion", "type", "source", "id"} <= content.keys() else "json"
    if start[:1] == b"<":
        return "xml"
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ValueError("the sample is neither JSON, XML nor text in UTF-8") from error
    return "text"


def pattern_of(text: str) -> str:
    """A pattern that matches all of a text: a named group for each word with a digit and each quoted value of it, and
    one for its last word. Runs of white space may be of any length, as columns have them. It is read as the daemon reads
    it, by `regex`, whose words and blanks are not quite those of `re`.
    """
    text = text.strip()
    pieces: list[str] = []
    end = 0
    names: dict[str, int] = {}
    for match in _VALUE.finditer(text):
        pieces.append(_fixed(text[end : match.start()]))
        quote = match[0][0] if match[0][0] in "'\"" else ""
        inner = match[1] or match[2] or match[3]
        kind = r"\d+" if regex.fullmatch(r"\d+", inner) else (f"[^{quote}]+" if quote else r"[\w.:-]+")
        pieces.append(f"{quote}(?P<{_group(text[: match.start()], names)}>{kind}){quote}")
        end = match.end()
    rest = text[end:]
    if last := regex.search(r"(\w+)(\W*)$", rest):
        pieces.append(f"{_fixed(rest[: last.start()])}(?P<{_group('what', names)}>.+?){_fixed(last[2])}")
    else:
        pieces.append(_fixed(rest))
    return "".join(pieces)


def _fixed(text: str) -> str:
    """Text that stays; a single blank is left as it is, for the reader's sake."""
    blanks_and_words: list[str] = regex.split(r"(\s+)", text)
    return "".join(
        part if part == " " else r"\s+" if regex.fullmatch(r"\s+", part) else re.escape(part)
        for part in blanks_and_words
    )


def _group(before: str, names: dict[str, int]) -> str:
    """A name for a value by the word before it: of `Employee Id '1'` it is `id`."""
    words = re.findall(r"[A-Za-z]+", before)
    name = words[-1].lower() if words else "value"
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}{names[name]}"
