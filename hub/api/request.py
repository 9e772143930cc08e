"""What all operations read from a request, as leniently as the service does."""

import re
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from starlette.requests import Request

from hub.characters import without_mark
from hub.errors import InvalidRequestError, PayloadTooLargeError
from hub.exact_json import loads

MAX_BODY = 64 * 1024
"""Bytes (Notification Hubs, "Quotas")."""

NEWEST_VERSION = "2020-06"

_MAX_DISCARDED = 16 * 1024 * 1024
_VERSION = re.compile(r"\d{4}-\d{2}(?:-\d{2})?(?:-preview)?")
_ONLY_VERSION = re.compile(rb"api-version=(\d{4}-\d{2}(?:-\d{2})?(?:-preview)?)")


async def read_body(request: Request, *, most: int = MAX_BODY) -> bytes:
    """The body, up to `most` bytes. Raises: PayloadTooLargeError."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most:
            chunks.append(chunk)
        elif size > _MAX_DISCARDED:
            break  # until here it is read to its end, because a client still sending would not hear the answer
    if size > most:
        raise PayloadTooLargeError(f"The body has more than {most} bytes")
    return b"".join(chunks)


def json_object(body: bytes) -> dict[str, Any]:
    """The object that a body is, behind a byte order mark or none; its numbers keep their digits.

    Raises: InvalidRequestError.
    """
    document = _json(body)
    if not isinstance(document, dict):
        raise InvalidRequestError("The body has to be a JSON object")
    return document


def json_list(body: bytes) -> list[Any]:
    """As `json_object`, of a list."""
    document = _json(body)
    if not isinstance(document, list):
        raise InvalidRequestError("The body has to be a JSON list")
    return document


def _json(body: bytes) -> Any:
    try:
        return loads(without_mark(body))
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"The body is no JSON: {error}") from error


def header(request: Request, name: str) -> str:
    """A header's text, empty when it is missing; UTF-8 where it is that, else Latin-1.

    Raises: InvalidRequestError: it is there twice, and a proxy may have read the other one.
    """
    texts = request.headers.getlist(name)
    if len(texts) > 1:
        raise InvalidRequestError(f"The header {name} is there {len(texts)} times")
    text = texts[0] if texts else ""
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


def has_flag(request: Request, name: str) -> bool:
    """Whether the query has the flag, with a value or without; `false` turns it off."""
    return _query(request).get(name, "false").lower() != "false"


def query_value(request: Request, name: str) -> str:
    """A value of the query, by its name in lower case; empty when it is missing."""
    return _query(request).get(name, "")


def hostname(request: Request) -> str:
    """The host the client called, without port; empty when the header makes no sense."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def url_of(request: Request, *path: str, scheme: str = "https") -> str:
    """The absolute URL of something in the same hub; always https, because every SDK insists on it."""
    segments = "/".join(quote(segment, safe="") for segment in (request.path_params["hub"], *path))
    return f"{scheme}://{request.headers.get('host', 'localhost')}/{segments}?api-version={_api_version(request)}"


def _api_version(request: Request) -> str:
    if only := _ONLY_VERSION.fullmatch(request.scope["query_string"]):  # as nearly always
        return str(only[1], "ascii")
    version = _query(request).get("api-version", "")
    return version if _VERSION.fullmatch(version) else NEWEST_VERSION


def _query(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.query_params.multi_items()}
