"""Installation documents: JSON to `Installation` and back, and the registrations derived from one.

Notification Hubs REST API, "Create or overwrite an installation". Property names compare without case, unknown
properties and nulls are passed over, because the SDKs differ in both.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hub.dates import format_date, parse_date
from hub.errors import InvalidRequestError, TagError, TemplateError
from hub.installation import Installation, Registration, Template
from hub.notification import Platform
from hub.tags import MAX_TAG_LENGTH, installation_tag, is_service_tag_value, tag_key, user_tag, valid_tag
from hub.templates import compile_template

MAX_TAGS = 60
MAX_TAG_BYTES = 8000
"""All tags of one list together, in UTF-8: the service's own bound, whatever the number of tags."""

_MAX_TEMPLATE_NAME = 200
_NEVER = "9999-12-31T23:59:59.9999999Z"
_LAST_YEAR = 9999
_APNS_TOKEN = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_PLATFORMS = {
    "apns": Platform.APNS,
    "fcmv1": Platform.FCM,
    # Google's legacy API is gone; its tokens are FCM v1's tokens.
    "gcm": Platform.FCM,
    "fcm": Platform.FCM,
    "wns": Platform.WNS,
}
_NOT_YET = frozenset({"mpns", "adm", "baidu", "browser", "xiaomi"})


def installation_from_document(id: str, document: Mapping[str, Any], *, max_tags: int = MAX_TAGS) -> Installation:
    """The installation that a client put under `id`, checked: tags, templates and push channel are fit to be used.

    Raises: InvalidRequestError, and its children for tags and templates.
    """
    given = _folded(document)
    if given.get("installationid", id) != id:
        raise InvalidRequestError(f"installationId {given['installationid']!r} is not the id in the path, {id!r}")
    if given.get("secondarytiles"):
        raise InvalidRequestError("secondaryTiles are not supported yet")
    platform = _platform(_text(given, "platform"))
    user_id = _optional_text(given, "userId")
    if user_id is not None and not is_service_tag_value(user_id):
        raise InvalidRequestError(
            f"userId {user_id[:60]!r} may have up to {MAX_TAG_LENGTH} letters, digits and -_@#.:="
        )
    expires_at = parse_date(given["expirationtime"]) if _optional_text(given, "expirationTime") else None
    return Installation(
        id=id,
        platform=platform,
        push_channel=canonical_push_channel(platform, _text(given, "pushChannel")),
        user_id=user_id,
        tags=_installation_tags(given, user_id, max_tags),
        templates=_templates(_object(given, "templates"), platform, max_tags),
        push_variables=_texts(_object(given, "pushVariables"), "pushVariables"),
        expires_at=None if expires_at is None or expires_at.year == _LAST_YEAR else expires_at,
    )


def document_of(installation: Installation) -> dict[str, Any]:
    """The document as the service answers it: its order, empty members left out, no service tags."""
    document = {
        "installationId": installation.id,
        "pushChannel": installation.push_channel,
        "pushChannelExpired": installation.push_channel_expired,
        "platform": installation.platform.value,
        "expirationTime": format_date(installation.expires_at) if installation.expires_at else _NEVER,
        "userId": installation.user_id,
        "tags": [tag for tag in installation.tags if not tag.startswith("$")],
        "pushVariables": dict(installation.push_variables),
        "templates": {name: _template_document(name, template) for name, template in installation.templates.items()},
    }
    return {name: value for name, value in document.items() if value or value is False}


def registrations_of(installation: Installation) -> list[Registration]:
    """One native registration and one for each template; `registration_id` is left empty for the store to fill."""
    tags = [installation_tag(installation.id)]
    if installation.user_id:
        tags.append(user_tag(installation.user_id))
    native = Registration(
        registration_id="",
        platform=installation.platform,
        push_channel=installation.push_channel,
        tags=_distinct([*tags, *installation.tags]),
        push_variables=installation.push_variables,
        installation_id=installation.id,
        expires_at=installation.expires_at,
    )
    return [
        native,
        *(
            replace(
                native,
                tags=_distinct([*native.tags, *template.tags, name]),
                template_name=name,
                template=template,
            )
            for name, template in installation.templates.items()
        ),
    ]


def canonical_push_channel(platform: Platform, text: str) -> str:
    """The handle as it is stored and compared: APNs tokens in upper-case hex, WNS a URL, FCM as it came.

    Raises: InvalidRequestError.
    """
    match platform:
        case Platform.APNS:
            if not _APNS_TOKEN.fullmatch(text):
                raise InvalidRequestError("pushChannel: an APNs device token is an even number of hex digits")
            return text.upper()
        case Platform.WNS:
            if not text.lower().startswith("https://"):
                raise InvalidRequestError("pushChannel: a WNS channel is an https:// URL")
        case Platform.FCM:
            pass
    return text


def _platform(text: str) -> Platform:
    name = text.lower()
    if name in _NOT_YET:
        raise InvalidRequestError(f"platform {name} is not supported yet; supported are {', '.join(_PLATFORMS)}")
    if name not in _PLATFORMS:
        raise InvalidRequestError(f"unknown platform {text[:60]!r}; supported are {', '.join(_PLATFORMS)}")
    return _PLATFORMS[name]


def _installation_tags(given: Mapping[str, Any], user_id: str | None, max_tags: int) -> tuple[str, ...]:
    tags = _tags(given, "tags", max_tags)
    for tag in tags:
        key = tag_key(tag)
        # Whoever could take another installation's tag would receive what is meant for that phone alone.
        if key.startswith("$installationid:"):
            raise TagError(f"tags: {tag!r} is set by the hub, from the installation's id")
        if key.startswith("$userid:") and user_id is not None and key != tag_key(user_tag(user_id)):
            raise TagError(f"tags: {tag!r} names another user than userId does")
    return tags


def _templates(given: Mapping[str, Any], platform: Platform, max_tags: int) -> dict[str, Template]:
    templates = {}
    for name, document in given.items():
        where = f"templates.{name[:60]}"
        if not name or len(name) > _MAX_TEMPLATE_NAME:
            raise TemplateError(f"{where}: a template's name has 1 to {_MAX_TEMPLATE_NAME} characters", where=where)
        if not isinstance(document, Mapping):
            raise TemplateError(f"{where}: expected an object with a body", where=where)
        try:
            templates[name] = _template(name, _folded(document), max_tags)
            compile_template(templates[name], platform)
        except TagError as error:
            raise TagError(f"{where}: {error}") from error
        except TemplateError as error:
            raise TemplateError(f"{where}: {error}", where=f"{where}: {error.where}") from error
        except InvalidRequestError as error:
            raise TemplateError(f"{where}: {error}", where=where) from error
    return templates


def _template(name: str, given: Mapping[str, Any], max_tags: int) -> Template:
    # The name, which `document_of` adds, comes back when a client sends what it has read; it need not be a valid tag.
    own = [tag for tag in _list(given, "tags") if not isinstance(tag, str) or tag_key(tag) != tag_key(name)]
    return Template(
        body=_text(given, "body"),
        headers=_texts(_object(given, "headers"), "headers"),
        expiry=_optional_text(given, "expiry"),
        tags=_tags({"tags": own}, "tags", max_tags),
    )


def _template_document(name: str, template: Template) -> dict[str, Any]:
    document = {
        "body": template.body,
        "headers": dict(template.headers),
        "expiry": template.expiry,
        "tags": list(_distinct([*template.tags, name])),
    }
    return {key: value for key, value in document.items() if value}


def _tags(given: Mapping[str, Any], name: str, max_tags: int) -> tuple[str, ...]:
    texts = [_checked_text(tag, name).strip() for tag in _list(given, name)]
    tags = _distinct(text for text in texts if text)
    invalid = [tag for tag in tags if not valid_tag(tag)]
    if invalid:
        shown = ", ".join(repr(tag[:60]) for tag in invalid[:5])
        raise TagError(f"{name}: not allowed: {shown}; a tag is up to {MAX_TAG_LENGTH} letters, digits and _ @ # . : -")
    if len(tags) > max_tags:
        raise TagError(f"{name}: {len(tags)} tags are too many, {max_tags} are allowed")
    if sum(len(tag.encode()) for tag in tags) > MAX_TAG_BYTES:
        raise TagError(f"{name}: all tags together may have {MAX_TAG_BYTES} bytes")
    return tags


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
        raise InvalidRequestError(f"{name}: expected a text, found {value!r:.60}")
    return value


def _list(given: Mapping[str, Any], name: str) -> list[Any]:
    value = given.get(name.lower(), [])
    if not isinstance(value, list):
        raise InvalidRequestError(f"{name}: expected a list of texts, found {value!r:.60}")
    return value


def _object(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = given.get(name.lower(), {})
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{name}: expected an object, found {value!r:.60}")
    return value


def _texts(given: Mapping[str, Any], name: str) -> dict[str, str]:
    return {key: _checked_text(value, f"{name}.{key[:60]}") for key, value in given.items() if value is not None}
