"""Installations made again from the registrations that derived from them, as exports and lists of a hub have them.

The wire contract's section 6.7 read backwards. A list of registrations may have those of an installation in any order and
in several parts, so what is made of the first part is gone on with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hub.errors import InvalidRequestError
from hub.installation import Installation, Registration, SecondaryTile, Template
from hub.registry.documents import MAX_TAGS, document_of, installation_from_document
from hub.tags import tag_key


def rebuilt(
    installation_id: str,
    registrations: Sequence[Registration],
    *,
    known: Installation | None = None,
    max_tags: int = MAX_TAGS,
) -> Installation:
    """The installation that these derive from, on top of what is `known` of it.

    Each has its tags without the service tags but `$UserId:{id}`, which is the user's id from then on. A native one brings
    what all have in common; a template one, whose tags hold the installation's, may come before it.

    Raises: InvalidRequestError, and its children for tags and templates: it would be none that a client may put.
    """
    made = _Made(installation_id, known)
    for each in sorted(registrations, key=_order):
        made.add(each)
    document = document_of(made.installation, whole=True)
    etag = 0 if known is None else known.etag
    return replace(installation_from_document(installation_id, document, max_tags=max_tags), etag=etag)


def _order(registration: Registration) -> int:
    """Those first that say which push channel is whose."""
    if registration.template is not None:
        return 2
    return 0 if registration.secondary_tile is None else 1


class _Made:
    """An installation that grows."""

    def __init__(self, id: str, known: Installation | None) -> None:
        self._id = id
        self._known = known

    @property
    def installation(self) -> Installation:
        if self._known is None:
            raise InvalidRequestError(f"nothing is said of installation {self._id[:60]!r}")
        return self._known

    def add(self, registration: Registration) -> None:
        user_id, tags = _user_and_tags(registration.tags)
        known = self._known or Installation(
            id=self._id, platform=registration.platform, push_channel=registration.push_channel, user_id=user_id
        )
        if known.platform is not registration.platform:
            raise InvalidRequestError(
                f"installation {self._id[:60]!r} is of {known.platform.value}, and this registration of it of"
                f" {registration.platform.value}"
            )
        if registration.template is not None:
            self._known = _with_template(known, registration, tags)
        elif registration.secondary_tile is not None:
            self._known = _with_tile(known, registration, tags)
        else:
            self._known = replace(
                known,
                push_channel=registration.push_channel,
                user_id=user_id,
                tags=tags,
                templates=_without_tags(known.templates, tags),
                push_variables=registration.push_variables,
                expires_at=registration.expires_at,
            )


def _user_and_tags(tags: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    users = [tag[len("$UserId:{") : -1] for tag in tags if tag_key(tag).startswith("$userid:{")]
    return (users[0] if users else None), tuple(tag for tag in tags if not tag_key(tag).startswith("$userid:{"))


def _with_tile(known: Installation, registration: Registration, tags: tuple[str, ...]) -> Installation:
    assert registration.secondary_tile is not None
    before = known.secondary_tiles.get(registration.secondary_tile)
    tile = SecondaryTile(
        push_channel=registration.push_channel,
        tags=tags,
        templates={} if before is None else _without_tags(before.templates, tags),
    )
    return replace(known, secondary_tiles={**known.secondary_tiles, registration.secondary_tile: tile})


def _with_template(known: Installation, registration: Registration, tags: tuple[str, ...]) -> Installation:
    """To the installation, or to the tile whose push channel it has."""
    name, template = registration.template_name or "", registration.template
    assert template is not None
    template = replace(template, tags=tuple(tag for tag in tags if tag_key(tag) != tag_key(name)))
    if registration.push_channel == known.push_channel:
        return replace(known, templates={**known.templates, **_without_tags({name: template}, known.tags)})
    for id, tile in known.secondary_tiles.items():
        if registration.push_channel == tile.push_channel:
            grown = replace(tile, templates={**tile.templates, **_without_tags({name: template}, tile.tags)})
            return replace(known, secondary_tiles={**known.secondary_tiles, id: grown})
    raise InvalidRequestError(
        f"template {name[:60]!r} has another push channel than its installation {known.id[:60]!r} and that one's tiles"
    )


def _without_tags(templates: Mapping[str, Template], tags: Sequence[str]) -> dict[str, Template]:
    """Of a template's tags those that its push channel's registrations do not have in common."""
    common = {tag_key(tag) for tag in tags}
    return {
        name: replace(template, tags=tuple(tag for tag in template.tags if tag_key(tag) not in common))
        for name, template in templates.items()
    }
