"""What a hub offers to phones: topics, templates by platform, and what the claims of a user's token come to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hub.installation import Installation, Template
from hub.notification import Platform
from hub.phone import SignIn, Topics
from hub.registry.documents import installation_from_document
from hub.self_description import LOCALE
from hub.topics import Levels, level_in_force, topic_tag

Claims = Mapping[str, Any]

TEMPLATE = "push"
"""What the one template of a phone is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whose token it is: the user's id, the tags and the push variables that the token's claims come to."""

    id: str
    tags: tuple[str, ...]
    push_variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformTemplate:
    """The template of a platform, and what replaces it for phones of some languages, by lower-case language tag."""

    template: Template
    locales: Mapping[str, Template] = field(default_factory=dict)

    def of(self, locale: str) -> Template:
        """For a language tag: its own template, else that of the language alone, else the one for all."""
        wanted = locale.lower().replace("_", "-")
        while wanted:
            if wanted in self.locales:
                return self.locales[wanted]
            wanted = wanted.rpartition("-")[0]
        return self.template


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """`user_of` says whose a token is, or raises `RefusedError`. `ttl` is in seconds."""

    user_of: Callable[[Claims], User]
    topics: Mapping[str, Levels] = field(default_factory=dict)
    templates: Mapping[Platform, PlatformTemplate] = field(default_factory=dict)
    ttl: float
    max_phones: int
    max_tags: int = 60


def installation_of(offer: Offer, installation_id: str, sign_in: SignIn, topics: Topics) -> Installation:
    """What the engine is to have of a phone, without its end. Raises: InvalidRequestError."""
    template = offer.templates.get(sign_in.platform)
    document: dict[str, Any] = {
        "platform": sign_in.platform.value,
        "pushChannel": sign_in.push_channel,
        "userId": sign_in.user_id,
        "tags": [*sign_in.tags, *topic_tags(offer.topics, topics)],
        "pushVariables": dict(sign_in.push_variables),
    }
    if template is not None:
        chosen = template.of(sign_in.push_variables.get(LOCALE, ""))
        document["templates"] = {
            TEMPLATE: {"body": chosen.body, "headers": dict(chosen.headers), "expiry": chosen.expiry}
        }
    return installation_from_document(installation_id, document, max_tags=offer.max_tags)


def topic_tags(offered: Mapping[str, Levels], topics: Topics) -> Sequence[str]:
    """Of the topics that are still offered."""
    tags: list[str] = []
    for name, level in sorted(topics.items()):
        if name not in offered:
            continue
        tags.append(topic_tag(name))
        if levels := offered[name]:
            tags.append(topic_tag(name, level_in_force(Decimal(level or 0), levels)))
    return tags
