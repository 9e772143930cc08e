"""The body of a batch direct send: a notification and its devices (RFC 2046, as SDKs of the wire contract write it)."""

import re
from dataclasses import dataclass

import orjson

from hub.errors import InvalidRequestError

MAX_DEVICES = 1000

_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)
_NAME = re.compile(rb"""name\s*=\s*"?([A-Za-z]+)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The payload as it is, and the handles."""

    payload: bytes
    content_type: str
    devices: list[str]


def read_batch(body: bytes, content_type: str) -> Batch:
    """Parts in either order. Raises: InvalidRequestError."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise InvalidRequestError("The Content-Type of a batch has to be multipart/mixed with a boundary")
    parts = dict(_part(text) for text in _parts(body, (found[1] or found[2]).encode()))
    try:
        payload, devices = parts["notification"], parts["devices"]
    except KeyError as error:
        raise InvalidRequestError(f"The batch has no part named {error.args[0]}") from error
    return Batch(payload=payload[1], content_type=payload[0], devices=_devices(devices[1]))


def _parts(body: bytes, boundary: bytes) -> list[bytes]:
    """Between the delimiters; the last one need not end its line."""
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    return [part for part in parts if not part.startswith(b"--")]


def _part(text: bytes) -> tuple[str, tuple[str, bytes]]:
    """(name, (content type, content))"""
    head, separator, content = text.partition(b"\r\n\r\n")
    name, content_type = "", ""
    for line in head.split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition" and (named := _NAME.search(value)):
            name = named[1].decode().lower()
        elif field.strip().lower() == b"content-type":
            content_type = value.strip().decode("latin-1")
    if not separator:
        raise InvalidRequestError("A part of the batch has no empty line behind its headers")
    return name, (content_type, content)


def _devices(text: bytes) -> list[str]:
    try:
        devices = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            devices = orjson.loads(text.replace(b"'", b'"'))  # as the manual's example has it
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError(f"The part devices is no JSON: {error}") from error
    if not isinstance(devices, list) or not devices or not all(isinstance(each, str) and each for each in devices):
        raise InvalidRequestError("The part devices has to be a JSON list of handles")
    if len(devices) > MAX_DEVICES:
        raise InvalidRequestError(f"{len(devices)} devices are too many, {MAX_DEVICES} are allowed")
    return devices
