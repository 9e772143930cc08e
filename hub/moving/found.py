"""What a list of registrations holds: single registrations, and installations that are put together again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from hub.api.wire.atom import read_description
from hub.api.wire.registrations import (
    UnknownDescriptionError,
    check_registration_id,
    installation_of,
    registration_from,
)
from hub.errors import HubError, InvalidRequestError, TagError, TemplateError
from hub.facts import CannotMove
from hub.installation import Installation, Registration
from hub.registry.documents import MAX_TAGS, check_installation_id, document_of, installation_from_document
from hub.registry.rebuilding import rebuilt


@dataclass(frozen=True, slots=True)
class Found:
    """A registration in a list: its id, the installation that it derives from (empty for none), and its description."""

    id: str
    owner: str
    description: str


@dataclass(frozen=True, slots=True)
class Thing:
    """Something to be kept here: an installation, as its document, or a single registration, as its description.

    `said` is that text; `registrations` are those that it comes to.
    """

    key: str
    said: str
    registrations: Sequence[Registration]


def found_in(description: str) -> Found:
    """Raises: InvalidRequestError: it is no description, or has no id."""
    described = read_description(description)
    id = described.text("RegistrationId")
    if not id:
        raise InvalidRequestError(f"{described.name} has no RegistrationId")
    return Found(id, installation_of(described) or "", description)


def read(found: Found, *, max_tags: int = MAX_TAGS) -> Registration:
    """Raises: InvalidRequestError."""
    check_registration_id(found.id)
    registration, _ = registration_from(
        read_description(found.description), found.id, max_tags=max_tags, may_derive=True
    )
    return registration


def thing_of(found: Sequence[Found], *, max_tags: int = MAX_TAGS) -> Thing:
    """A single registration, or all those of one installation. Raises: InvalidRequestError: the hub cannot keep it."""
    registrations = [read(each, max_tags=max_tags) for each in found]
    owner = found[0].owner
    if not owner:
        return Thing(registration_key(found[0].id), found[0].description, registrations)
    check_installation_id(owner)
    installation = rebuilt(owner, registrations, max_tags=max_tags)
    return Thing(installation_key(owner), said_of(installation), registrations)


def registration_key(id: str) -> str:
    return f"r:{id}"


def installation_key(id: str) -> str:
    return f"i:{id}"


def said_of(installation: Installation) -> str:
    """The document as text; two that say the same are the same text."""
    document = document_of(installation.spoken_in_variables, whole=True)
    for name in ("pushChannelExpired",):
        document.pop(name, None)
        for tile in document.get("secondaryTiles", {}).values():
            tile.pop(name, None)
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()


def installation_said(key: str, said: str, *, max_tags: int = MAX_TAGS) -> Installation:
    """Raises: InvalidRequestError."""
    try:
        document: Any = orjson.loads(said)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the document is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRequestError("the document is no JSON object")
    return installation_from_document(key.removeprefix("i:"), document, max_tags=max_tags)


def digest_of(thing: Installation | Registration) -> str:
    """What stands for it at either hub: without its end, which each write renews, its id and the order of its tags."""
    if isinstance(thing, Installation):
        said = orjson.loads(said_of(replace(thing, expires_at=None)))
        return _digest(_sorted_tags(said))
    template = thing.template
    return _digest(
        {
            "platform": thing.platform.value,
            "pushChannel": thing.push_channel,
            "tags": sorted(thing.tags),
            "template": None if template is None else [template.body, dict(template.headers), template.expiry],
            "name": thing.template_name,
            "variables": dict(thing.push_variables),
            "tile": thing.secondary_tile,
        }
    )


def print_of(found: Sequence[Found]) -> str:
    """What stands for registrations as they are listed: another ETag, another print."""
    return _digest(sorted((each.id, each.description) for each in found))


def _digest(said: Any) -> str:
    text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16, usedforsecurity=False).hexdigest()


def _sorted_tags(said: Any) -> Any:
    if not isinstance(said, Mapping):
        return said
    return {name: sorted(value) if name == "tags" else _sorted_tags(value) for name, value in said.items()}


def kind_of_refusal(error: BaseException) -> CannotMove:
    """Of an error that says why no hub can keep something."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TagError):
            return CannotMove.TAG
        if isinstance(cause, TemplateError):
            return CannotMove.TEMPLATE
        if isinstance(cause, UnknownDescriptionError):
            return CannotMove.UNKNOWN
        cause = cause.__cause__
    return CannotMove.INVALID


def why(error: HubError) -> str:
    """In one line."""
    return " ".join(str(error).split()) or type(error).__name__
