"""Registrations as descriptions in Atom entries (Notification Hubs REST API, "Create a registration").

What each platform's elements are called stands in its `Traits.descriptions`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from hub.api.wire.atom import DESCRIPTION_NAMESPACES, Described, cdata
from hub.characters import escape_xml, fits_xml
from hub.content.templates import compile_template
from hub.dates import parse_date
from hub.errors import InvalidRequestError
from hub.installation import Registration, Template
from hub.platforms.table import platforms, traits_of
from hub.platforms.traits import Description, Traits
from hub.registry.documents import MAX_TAGS, MAX_TEMPLATE_NAME, check_tile_id, registration_tags
from hub.tags import tag_key

_NEVER = "9999-12-31T23:59:59.999Z"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PRIORITY = "apns-priority"
_INSTALLATION = re.compile(r"(?:^|,)\s*\$InstallationId:\{(?P<id>.+?)\}\s*(?:,|$)", re.IGNORECASE)
"""An id may hold commas and braces."""
_LAST_YEAR = 9999


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of description: a platform, one of its spellings, native or with a template."""

    traits: Traits
    description: Description
    is_template: bool

    @property
    def element(self) -> str:
        return f"{self.description.name}{'Template' if self.is_template else ''}RegistrationDescription"


def kinds() -> Mapping[str, Kind]:
    """All kinds by the name of their element."""
    found = [
        Kind(traits, description, is_template)
        for traits in platforms()
        for description in traits.descriptions
        for is_template in (False, True)
    ]
    return {kind.element: kind for kind in found}


class UnknownDescriptionError(InvalidRequestError):
    """A description of a registration that is none of the wire contract's."""


def kind_of(registration: Registration) -> Kind | None:
    """How a registration is spelled when it is read; None: the wire contract does not know its platform."""
    traits = traits_of(registration.platform)
    if not traits.descriptions:
        return None
    return Kind(traits, traits.descriptions[0], registration.template is not None)


def check_registration_id(id: str) -> None:
    """Raises: InvalidRequestError."""
    if not _ID.fullmatch(id):
        raise InvalidRequestError("A registration id has 1 to 128 letters, digits, - and _")


def registration_from(
    described: Described,
    registration_id: str,
    *,
    max_tags: int = MAX_TAGS,
    expires_at: datetime | None = None,
    may_derive: bool = False,
) -> tuple[Registration, Kind]:
    """The registration that a client describes, checked as an installation is, and the kind that it was written as.

    `may_derive`: it may carry the tag of the installation that it derives from. Then it has that one's id and expiry, and
    its tags are without that tag and without the name of its template.

    Raises: InvalidRequestError, and its children for tags and templates.
    """
    kind = kinds().get(described.name)
    if kind is None:
        raise UnknownDescriptionError(f"Unknown description {described.name[:60]!r}; known are {', '.join(kinds())}")
    handles = [described.text(name) for name in kind.description.handles]
    missing = [name for name, text in zip(kind.description.handles, handles, strict=True) if not text]
    if missing:
        raise InvalidRequestError(f"{described.name} lacks {', '.join(missing)}")
    template = _template(described, kind) if kind.is_template else None
    tags = described.text("Tags").split(",")
    installation_id = installation_of(described) if may_derive else None
    if installation_id is not None:
        tags = _tags_of_derived(described, kind)
        max_tags *= 2  # those of the installation and those of the template, which are looked at apart
        expires_at = _expiry_of_derived(described.text("ExpirationTime"))
    registration = Registration(
        registration_id=registration_id,
        platform=kind.traits.platform,
        push_channel=kind.traits.joined_handles(handles),
        tags=registration_tags(tags, max_tags=max_tags),
        template_name=None if template is None else _template_name(described),
        template=template,
        push_variables=_push_variables(described.text("PushVariables")),
        installation_id=installation_id,
        secondary_tile=_secondary_tile(described, kind),
        expires_at=expires_at,
    )
    return registration, kind


def installation_of(described: Described) -> str | None:
    """The installation that a described registration derives from."""
    found = _INSTALLATION.search(described.text("Tags"))
    return None if found is None else found["id"]


def _tags_of_derived(described: Described, kind: Kind) -> list[str]:
    """Those that a client would have put. The name of a template is the last tag, and may hold a comma."""
    text = _INSTALLATION.sub(",", described.text("Tags"))
    name = described.text("TemplateName") if kind.is_template else ""
    if name and f",{text}".lower().endswith(f",{name}".lower()):
        text = text[: -len(name)]
    return [tag for tag in text.split(",") if not name or tag_key(tag.strip()) != tag_key(name)]


def _expiry_of_derived(text: str) -> datetime | None:
    moment = parse_date(text) if text else None
    return None if moment is None or moment.year == _LAST_YEAR else moment


def _secondary_tile(described: Described, kind: Kind) -> str | None:
    name = described.text(kind.description.tile) if kind.description.tile and not kind.is_template else ""
    if name:
        check_tile_id(name, kind.description.tile)
    return name or None


def _template_name(described: Described) -> str:
    name = described.text("TemplateName")
    if len(name) > MAX_TEMPLATE_NAME:
        raise InvalidRequestError(f"TemplateName: up to {MAX_TEMPLATE_NAME} characters are allowed")
    return name


def _template(described: Described, kind: Kind) -> Template:
    body = described.text("BodyTemplate")
    if not body:
        raise InvalidRequestError(f"{described.name} lacks BodyTemplate")
    headers = _headers(described, kind)
    priority = described.text("Priority")
    if priority and "Priority" in kind.description.template:
        headers.setdefault(_PRIORITY, priority)
    if "MessageType" in kind.description.template and described.text("MessageType"):
        headers.setdefault("X-Baidu-Message-Type", described.text("MessageType"))
    template = Template(body=body, headers=headers, expiry=described.text("Expiry") or None)
    compile_template(template, kind.traits.platform)
    derived = kind.traits.template_body(body, headers).headers
    return Template(body=body, headers={**headers, **derived}, expiry=template.expiry)


def _headers(described: Described, kind: Kind) -> dict[str, str]:
    name = next((each for each in kind.description.template if each.endswith("Headers")), "")
    element = described.members.get(name)
    headers = {}
    for item in () if element is None else element.iterchildren("*"):
        key, value = item.findtext("{*}Header"), item.findtext("{*}Value")
        if key and value is not None:
            headers[key.strip()] = value.strip()
    return headers


def _push_variables(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"PushVariables: no JSON: {error}") from error
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise InvalidRequestError("PushVariables: expected a JSON object of texts")
    return given


def description_xml(registration: Registration, kind: Kind, *, in_cdata: bool = True, is_put: bool = False) -> str:
    """The description, its members in the data contract's order, empty ones left out; a body in CDATA, or escaped.

    As a client puts it, it is without what a hub gives: ETag, id and end.
    """
    variables = registration.push_variables
    given = [
        ("ETag", str(registration.etag)),
        ("ExpirationTime", _expiration(registration.expires_at)),
        ("RegistrationId", escape_xml(registration.registration_id)),
    ]
    members = [
        *(() if is_put else given),
        ("Tags", escape_xml(",".join(registration.tags))),
        ("PushVariables", escape_xml(orjson.dumps(dict(variables)).decode()) if variables else ""),
        *zip(
            kind.description.handles,
            map(escape_xml, kind.traits.split_handles(registration.push_channel)),
            strict=True,
        ),
    ]
    if registration.secondary_tile is not None and kind.description.tile and not kind.is_template:
        members.append((kind.description.tile, escape_xml(registration.secondary_tile)))
    texts = [f"<{name}>{text}</{name}>" for name, text in members if text]
    texts += _template_members(registration, kind, in_cdata) if registration.template is not None else ()
    return f"<{kind.element} {DESCRIPTION_NAMESPACES}>{''.join(texts)}</{kind.element}>"


def _expiration(expires_at: datetime | None) -> str:
    """Three decimals, which one SDK insists on."""
    return (
        _NEVER if expires_at is None else f"{expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{expires_at:%f}"[:-3] + "Z"
    )


def _template_members(registration: Registration, kind: Kind, in_cdata: bool) -> Iterator[str]:
    template = registration.template
    assert template is not None
    for name in kind.description.template:
        if name == "BodyTemplate":
            body = cdata(template.body) if in_cdata and fits_xml(template.body) else escape_xml(template.body)
            yield f"<BodyTemplate>{body}</BodyTemplate>"
        elif name == "Expiry":
            expiry = template.expiry
            yield '<Expiry i:nil="true"/>' if expiry is None else f"<Expiry>{escape_xml(expiry)}</Expiry>"
        elif name == "TemplateName" and registration.template_name:
            yield f"<TemplateName>{escape_xml(registration.template_name)}</TemplateName>"
        elif name.endswith("Headers") and (template.headers or name == "ApnsHeaders"):
            yield _headers_xml(name, template.headers)


def _headers_xml(name: str, headers: Mapping[str, str]) -> str:
    item = name.removesuffix("s")
    items = [
        f"<{item}><Header>{escape_xml(key)}</Header><Value>{escape_xml(value)}</Value></{item}>"
        for key, value in headers.items()
    ]
    return f"<{name}>{''.join(items)}</{name}>" if items else f"<{name}/>"
