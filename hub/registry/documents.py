"""Installation documents: JSON to `Installation` and back, and the registrations derived from one.

Notification Hubs REST API, "Create or overwrite an installation". Property names compare without case, unknown
properties and nulls are passed over, because the SDKs differ in both.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from hub.content.templates import compile_template
from hub.dates import format_date, parse_date
from hub.errors import InvalidRequestError, TagError, TemplateError
from hub.installation import MAX_ID_LENGTH, Installation, SecondaryTile, Template
from hub.notification import Platform
from hub.platforms.table import platforms, traits_of
from hub.self_description import LOCALE, TIME_ZONE, checked_locale, checked_time_zone
from hub.tags import MAX_TAG_LENGTH, is_service_tag_value, tag_key, user_tag, valid_tag

MAX_TAGS = 60
MAX_TAG_BYTES = 8000
"""All tags of one list together, in UTF-8: the service's own bound, whatever the number of tags."""

MAX_TEMPLATE_NAME = 200
_MOST_REMEMBERED = 2048
"""Characters of a template's body that is remembered as good: those that are kept take half a megabyte at most."""

MAX_TILES = 60
MAX_TILE_ID = 64
"""Characters; Windows takes no longer id of a tile."""

_NEVER = "9999-12-31T23:59:59.9999999Z"
_LAST_YEAR = 9999
_HUB_S_OWN = ("$", "%")
"""How tags begin that no phone sets: service tags, and the index's own keys (`hub/store/decide/audience.py`)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def installation_from_document(id: str, document: Mapping[str, Any], *, max_tags: int = MAX_TAGS) -> Installation:
    """The installation that a client put under `id`, checked: tags, templates and push channel are fit to be used.

    Raises: InvalidRequestError, and its children for tags and templates.
    """
    given = _folded(document)
    check_installation_id(id)
    if given.get("installationid", id) != id:
        raise InvalidRequestError(
            f"installationId {_found(given['installationid'])} is not the id in the path, {id[:60]!r}"
        )
    platform = _platform(_text(given, "platform"))
    user_id = _optional_text(given, "userId")
    if user_id is not None and not is_service_tag_value(user_id):
        raise InvalidRequestError(
            f"userId {user_id[:60]!r} has {len(user_id)} characters; up to {MAX_TAG_LENGTH} are allowed, of letters,"
            " digits and -_@#.:="
        )
    own = _own_service_tag(given, user_id)
    tags = _tags(given, "tags", own, max_tags)
    expires_at = parse_date(given["expirationtime"]) if _optional_text(given, "expirationTime") else None
    return Installation(
        id=id,
        platform=platform,
        push_channel=_push_channel(given, platform),
        user_id=user_id,
        tags=tags,
        templates=_templates(_object(given, "templates"), platform, own, max_tags),
        push_variables=_texts(_object(given, "pushVariables"), "pushVariables"),
        secondary_tiles=_tiles(_object(given, "secondaryTiles"), platform, own, max_tags),
        locale=checked_locale(locale) if (locale := _optional_text(given, LOCALE)) else "",
        time_zone=checked_time_zone(zone) if (zone := _optional_text(given, TIME_ZONE)) else "",
        expires_at=None if expires_at is None or expires_at.year == _LAST_YEAR else expires_at,
    )


def check_installation_id(id: str) -> None:
    """Any text that a URL can hold in UTF-8, up to MAX_ID_LENGTH characters. Raises: InvalidRequestError."""
    if not id:
        raise InvalidRequestError("the path names no installation: its id is empty")
    if len(id) > MAX_ID_LENGTH:
        raise InvalidRequestError(
            f"an installation's id of {len(id)} characters is too long, {MAX_ID_LENGTH} are allowed"
        )
    if "\ufffd" in id:
        # The server puts it in place of what it cannot decode, so several ids would be one.
        raise InvalidRequestError("the installation's id in the path is not UTF-8")


def _push_channel(given: Mapping[str, Any], platform: Platform) -> str:
    """A browser's may be an object, or the text of one."""
    value = given.get("pushchannel")
    text = orjson.dumps(value).decode() if isinstance(value, Mapping) else _text(given, "pushChannel")
    return traits_of(platform).push_channel(text)


def registration_tags(tags: Sequence[str], *, max_tags: int = MAX_TAGS) -> tuple[str, ...]:
    """Tags of a registration that a client makes alone, checked; one may name its user. Raises: TagError."""
    given = {"tags": list(tags)}
    return _tags(given, "Tags", _own_service_tag(given, None), max_tags)


def document_of(installation: Installation, *, whole: bool = False) -> dict[str, Any]:
    """The document as the service answers it: its order, empty members left out, and service tags unless it is `whole`."""
    document = {
        "installationId": installation.id,
        "pushChannel": _shown_channel(installation),
        "pushChannelExpired": installation.push_channel_expired,
        "platform": installation.platform.value,
        "expirationTime": format_date(installation.expires_at) if installation.expires_at else _NEVER,
        "userId": installation.user_id,
        "tags": [tag for tag in installation.tags if whole or not tag.startswith("$")],
        "pushVariables": dict(installation.push_variables),
        LOCALE: installation.locale,
        TIME_ZONE: installation.time_zone,
        "templates": _template_documents(installation.templates),
        "secondaryTiles": {id: _tile_document(tile, whole) for id, tile in installation.secondary_tiles.items()},
    }
    return {name: value for name, value in document.items() if value or value is False}


def _tile_document(tile: SecondaryTile, whole: bool) -> dict[str, Any]:
    document = {
        "pushChannel": tile.push_channel,
        "pushChannelExpired": tile.push_channel_expired,
        "tags": [tag for tag in tile.tags if whole or not tag.startswith("$")],
        "templates": _template_documents(tile.templates),
    }
    return {name: value for name, value in document.items() if value or value is False}


def _template_documents(templates: Mapping[str, Template]) -> dict[str, Any]:
    return {name: _template_document(name, template) for name, template in templates.items()}


def _shown_channel(installation: Installation) -> Any:
    """A text, but an object for a browser."""
    is_object = installation.push_channel.startswith("{")
    return orjson.loads(installation.push_channel) if is_object else installation.push_channel


def _platform(text: str) -> Platform:
    name = text.lower()
    for each in platforms():
        if name == each.platform.value or name in each.other_names:
            return each.platform
    supported = ", ".join(name for each in platforms() for name in (each.platform.value, *each.other_names))
    raise InvalidRequestError(f"unknown platform {text[:60]!r}; supported are {supported}")


def _templates(given: Mapping[str, Any], platform: Platform, own: str | None, max_tags: int) -> dict[str, Template]:
    templates = {}
    for name, document in given.items():
        where = f"templates.{name[:60]}"
        _check_template_name(name, where)
        if not isinstance(document, Mapping):
            raise TemplateError(f"{where}: expected an object with a body", where=where)
        try:
            templates[name] = _template(name, _folded(document), own, max_tags)
            _check_template(templates[name], platform)
        except TagError as error:
            raise TagError(f"{where}: {error}") from error
        except TemplateError as error:
            raise TemplateError(f"{where}: {error}", where=f"{where}: {error.where}") from error
        except InvalidRequestError as error:
            raise TemplateError(f"{where}: {error}", where=where) from error
    return templates


def _check_template(template: Template, platform: Platform) -> None:
    """Raises: as `compile_template`."""
    if len(template.body) > _MOST_REMEMBERED:
        compile_template(template, platform)
    else:
        _check_shape(template.body, tuple(template.headers.items()), template.expiry, platform)


@lru_cache(maxsize=256)
def _check_shape(body: str, headers: tuple[tuple[str, str], ...], expiry: str | None, platform: Platform) -> None:
    """Phones of one app register the same templates, and to compile one is a tenth of a request. A bad one is not kept."""
    compile_template(Template(body=body, headers=dict(headers), expiry=expiry), platform)


def _tiles(given: Mapping[str, Any], platform: Platform, own: str | None, max_tags: int) -> dict[str, SecondaryTile]:
    if given and not traits_of(platform).has_tiles:
        names = ", ".join(each.platform.value for each in platforms() if each.has_tiles)
        raise InvalidRequestError(f"secondaryTiles: {platform.value} has none, they are for {names}")
    if len(given) > MAX_TILES:
        raise InvalidRequestError(f"secondaryTiles: {len(given)} are too many, {MAX_TILES} are allowed")
    tiles = {}
    for id, document in given.items():
        where = f"secondaryTiles.{id[:MAX_TILE_ID]}"
        check_tile_id(id, where)
        if not isinstance(document, Mapping):
            raise InvalidRequestError(f"{where}: expected an object with a pushChannel")
        try:
            tiles[id] = _tile(_folded(document), platform, own, max_tags)
        except TagError as error:
            raise TagError(f"{where}.{error}") from error
        except TemplateError as error:
            raise TemplateError(f"{where}.{error}", where=f"{where}.{error.where}") from error
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{where}: {error}") from error
    return tiles


def check_tile_id(id: str, where: str) -> None:
    """Raises: InvalidRequestError."""
    if not id or len(id) > MAX_TILE_ID or _CONTROL.search(id):
        raise InvalidRequestError(
            f"{where}: a tile's id of {len(id)} characters; it has 1 to {MAX_TILE_ID}, and no control characters"
        )


def _tile(given: Mapping[str, Any], platform: Platform, own: str | None, max_tags: int) -> SecondaryTile:
    return SecondaryTile(
        push_channel=_push_channel(given, platform),
        tags=_tags(given, "tags", own, max_tags),
        templates=_templates(_object(given, "templates"), platform, own, max_tags),
    )


def _check_template_name(name: str, where: str) -> None:
    """A template's name becomes a tag without the alphabet of tags; it must be none of those that only the hub sets."""
    if not name or len(name) > MAX_TEMPLATE_NAME:
        raise TemplateError(
            f"{where}: a template's name of {len(name)} characters; it has 1 to {MAX_TEMPLATE_NAME}", where=where
        )
    if name.lstrip()[:1] in _HUB_S_OWN or _CONTROL.search(name):
        raise TemplateError(
            f"{where}: a template's name becomes a tag, and tags that begin with $ or % are set by the hub; a name has no"
            " control characters either",
            where=where,
        )


def _template(name: str, given: Mapping[str, Any], service_tag: str | None, max_tags: int) -> Template:
    # The name, which `document_of` adds, comes back when a client sends what it has read; it need not be a valid tag.
    own = [tag for tag in _list(given, "tags") if not isinstance(tag, str) or tag_key(tag) != tag_key(name)]
    return Template(
        body=_text(given, "body"),
        headers=_texts(_object(given, "headers"), "headers"),
        expiry=_optional_text(given, "expiry"),
        tags=_tags({"tags": own}, "tags", service_tag, max_tags),
    )


def _template_document(name: str, template: Template) -> dict[str, Any]:
    document = {
        "body": template.body,
        "headers": dict(template.headers),
        "expiry": template.expiry,
        "tags": list(_distinct([*template.tags, name])),
    }
    return {key: value for key, value in document.items() if value}


def _tags(given: Mapping[str, Any], name: str, service_tag: str | None, max_tags: int) -> tuple[str, ...]:
    texts = [_checked_text(tag, name).strip() for tag in _list(given, name)]
    tags = _distinct(text for text in texts if text)
    for tag in tags:
        _check_service_tag(tag, service_tag, name)
    invalid = [tag for tag in tags if not valid_tag(tag)]
    if invalid:
        shown = ", ".join(_shown(tag) for tag in invalid[:5])
        raise TagError(f"{name}: not allowed: {shown}; a tag is up to {MAX_TAG_LENGTH} letters, digits and _ @ # . : -")
    if len(tags) > max_tags:
        raise TagError(f"{name}: {len(tags)} tags are too many, {max_tags} are allowed")
    if sum(len(tag.encode()) for tag in tags) > MAX_TAG_BYTES:
        raise TagError(f"{name}: all tags together may have {MAX_TAG_BYTES} bytes")
    return tags


def _own_service_tag(given: Mapping[str, Any], user_id: str | None) -> str | None:
    """The one service tag that may stand in a list of tags: that of the installation's own user.

    A document without a userId may name its user by such a tag among its own tags, as SDKs do for registrations. It may
    claim any user anyway (the wire contract trusts whoever has the right Listen), so this is no more.
    """
    if user_id is not None:
        return user_tag(user_id)
    return next(
        (tag.strip() for tag in _list(given, "tags") if isinstance(tag, str) and _names_user(tag.strip())), None
    )


def _check_service_tag(tag: str, own: str | None, name: str) -> None:
    """A phone with the service tag of another phone or user would receive what is meant for that one alone."""
    if not tag.startswith("$") or (own is not None and tag_key(tag) == tag_key(own)):
        return
    if _names_user(tag):
        raise TagError(f"{name}: {_shown(tag)} names another user than userId does")
    raise TagError(f"{name}: {_shown(tag)} begins with $, and such a tag is set by the hub alone")


def _names_user(tag: str) -> bool:
    return tag_key(tag).startswith("$userid:")


def _shown(tag: str) -> str:
    return repr(tag) if len(tag) <= MAX_TAG_LENGTH else f"{tag[:60]!r}… of {len(tag)} characters"


def _distinct(tags: Iterable[str]) -> tuple[str, ...]:
    """Without repetitions that differ in case only; the first spelling stays."""
    by_key: dict[str, str] = {}
    for tag in tags:
        by_key.setdefault(tag_key(tag), tag)
    return tuple(by_key.values())


def _folded(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in document.items() if value is not None}


def _text(given: Mapping[str, Any], name: str) -> str:
    text = _optional_text(given, name)
    if text is None:
        raise InvalidRequestError(f"{name} is missing")
    return text


def _optional_text(given: Mapping[str, Any], name: str) -> str | None:
    return _checked_text(given.get(name.lower(), ""), name) or None


def _checked_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name}: expected a text, found {_found(value)}")
    return value


def _list(given: Mapping[str, Any], name: str) -> list[Any]:
    value = given.get(name.lower(), [])
    if not isinstance(value, list):
        raise InvalidRequestError(f"{name}: expected a list of texts, found {_found(value)}")
    return value


def _object(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = given.get(name.lower(), {})
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{name}: expected an object, found {_found(value)}")
    return value


def _texts(given: Mapping[str, Any], name: str) -> dict[str, str]:
    return {key: _checked_text(value, f"{name}.{key[:60]}") for key, value in given.items() if value is not None}


def _found(value: Any) -> str:
    """A value for a complaint; of what may be nested, since even its text cannot always be made, the kind alone."""
    match value:
        case list():
            return f"a list of {len(value)}"
        case Mapping():
            return f"an object of {len(value)}"
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case _:
            return repr(value)[:60]
