"""`hubs.NAME.registration`: what phones call with their user's token, and what that token gives them."""

from collections.abc import Mapping
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from bridge.config.section import Section, form
from connectors.duration import Duration
from hub.content.templates import compile_template
from hub.errors import InvalidRequestError
from hub.installation import Template
from hub.notification import Platform
from hub.oidc.settings import LONGEST_SKEW, OidcSettings
from hub.platforms.table import services
from hub.registry.documents import MAX_TAGS
from hub.tags import is_tag_safe
from hub.topics import MAX_LEVELS, TOPIC_NAME, level_of
from rules.errors import ExpressionError
from rules.expression_tree import Names
from rules.render import Text, compile_text

CLAIM_NAMES: Final[Names] = {"claims": attrgetter("claims")}
"""What the texts of a registration may use."""

MAX_TOPICS: Final = 50
_WIRE_API: Final = frozenset(
    [
        "feedbackcontainer",
        "installations",
        "jobs",
        "messages",
        "registrationids",
        "registrations",
        "reports",
        "schedulednotifications",
        "tags",
    ]
)


def _claims_text(value: object) -> Text:
    if not isinstance(value, str | int | float):
        raise ValueError("expected a text")
    try:
        return compile_text(str(value), CLAIM_NAMES)
    except ExpressionError as error:
        raise ValueError(f"{error} ({error.hint})" if error.hint else str(error)) from None


def _tag_text(value: object) -> Text:
    text = _claims_text(value)
    for piece in text.pieces:
        if isinstance(piece, str) and not is_tag_safe(piece):
            raise ValueError("a tag has letters, digits and _ @ # . : -; what stands in {{ }} comes from the token")
    if text.constant is None and not isinstance(text.pieces[0], str):
        raise ValueError("begin the tag with a word of your own, such as customer:, or a user could become any tag")
    if str(text).casefold().startswith("topic:"):
        raise ValueError("tags that begin with topic: are those of topics")
    return text


ClaimsText = Annotated[Text, BeforeValidator(_claims_text)]
TagText = Annotated[Text, BeforeValidator(_tag_text)]


def _path(path: str) -> str:
    if path.removeprefix("/") in _WIRE_API:
        raise ValueError("this path is one of the wire API")
    return path


class OidcAuth(Section, OidcSettings):
    """A provider of OpenID Connect whose tokens are good; its keys are fetched, and fetched again when they change."""

    clock_skew: Annotated[Duration, Field(ge=0, le=LONGEST_SKEW)] = 60.0
    """How far the provider's clock may be from this one's, ten minutes at most."""


class RegistrationAuth(Section):
    """Whose tokens phones show."""

    oidc: OidcAuth
    """The provider that signs them."""


def _levels(levels: tuple[float, ...]) -> tuple[float, ...]:
    if not all(level_of(level) is not None for level in levels):
        raise ValueError("a level is a number, zero or more, of up to 15 digits")
    if list(levels) != sorted(set(levels)):
        raise ValueError("write the levels from the lowest to the highest, each once")
    return levels


class Topic(Section):
    """What a user may switch on and off: a tag `topic:NAME`."""

    levels: Annotated[tuple[float, ...], Field(max_length=MAX_LEVELS), AfterValidator(_levels)] = ()
    """Amounts of which a user chooses the one from which on to hear; push.level of a rule picks by them."""

    @property
    def amounts(self) -> tuple[Decimal, ...]:
        """The levels as exact numbers."""
        return tuple(amount for each in self.levels if (amount := level_of(each)) is not None)


class RegistrationTemplate(Section):
    """The template that phones of a platform get."""

    body: Annotated[str, Field(min_length=1)]
    """JSON or XML, with $(property) where a value goes."""
    headers: Mapping[str, str] = Field(default_factory=dict)
    """Headers for the push service."""
    locales: Mapping[
        Annotated[str, form(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,4}", "a language tag such as de or de-CH")], str
    ] = Field(default_factory=dict)
    """Bodies in the place of body for phones of a language, such as de or de-CH; the language alone serves its regions."""

    @property
    def template(self) -> Template:
        """For phones of any other language."""
        return Template(body=self.body, headers=self.headers)

    @property
    def by_locale(self) -> Mapping[str, Template]:
        """By lower-case language tag."""
        return {
            locale.lower().replace("_", "-"): Template(body=body, headers=self.headers)
            for locale, body in self.locales.items()
        }


def _from_text(value: object) -> object:
    return {"body": value} if isinstance(value, str) else value


class _Compiles:
    """Tries the templates of a platform as phones would register them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def __call__(self, given: RegistrationTemplate) -> RegistrationTemplate:
        for template in (given.template, *given.by_locale.values()):
            try:
                compile_template(template, self._platform)
            except InvalidRequestError as error:
                raise ValueError(str(error)) from None
        return given


class _Templates(Section):
    """The template of each platform, chosen as a phone registers; a phone of another one gets native payloads alone."""

    @property
    def by_platform(self) -> Mapping[Platform, RegistrationTemplate]:
        """Those that are written."""
        found = {each.platform: getattr(self, each.name) for each in services()}
        return {platform: template for platform, template in found.items() if template is not None}


if TYPE_CHECKING:
    RegistrationTemplates = _Templates
else:  # a key for each push service of the table
    RegistrationTemplates = create_model(
        "RegistrationTemplates",
        __base__=_Templates,
        __doc__=_Templates.__doc__,
        **{
            each.name: (
                Annotated[RegistrationTemplate, BeforeValidator(_from_text), AfterValidator(_Compiles(each.platform))]
                | None,
                Field(
                    default=None,
                    description=f"The template of phones with {each.title}: its body, or body, headers and locales.",
                ),
            )
            for each in services()
        },
    )

TopicName = Annotated[
    str, form(TOPIC_NAME.pattern, "a name of letters, digits, '.', '_' and '-', 64 characters at most")
]


class Registration(Section):
    """What phones call below the hub: they register, subscribe and sign off with their user's token, and need no key.

    Tags come from the token and from topics, never from the phone.
    """

    path: Annotated[str, form(r"/[a-z][a-z0-9_-]{0,40}", "a path such as /register"), AfterValidator(_path)] = (
        "/register"
    )
    """Where phones call, below the hub's name at listeners.hub_api: /HUB/register."""
    auth: RegistrationAuth
    """Whose tokens phones show."""
    user: ClaimsText = compile_text("{{ claims.sub }}", CLAIM_NAMES)
    """Who the user is, of the token's claims: letters, digits and _ @ # . : - =."""
    tags: tuple[TagText, ...] = ()
    """The tags of a user's phones, of the token's claims, such as customer:{{ claims.customer_id }}."""
    push_variables: Mapping[
        Annotated[str, form(r"[A-Za-z0-9_]{1,64}", "a name of letters, digits and _")], ClaimsText
    ] = Field(default_factory=dict)
    """What templates can say of the user, of the token's claims; a phone cannot set these."""
    topics: Annotated[Mapping[TopicName, Topic], Field(max_length=MAX_TOPICS)] = Field(default_factory=dict)
    """What a user may switch on and off on each phone, by name."""
    templates: RegistrationTemplates = RegistrationTemplates()
    """The template of each platform."""
    ttl: Annotated[Duration, Field(ge=86_400)] = 90 * 86_400.0
    """How long a registration is good after the phone was last put, a day at least; after that it gets 410."""
    max_phones: int = Field(default=20, ge=1, le=1000)
    """On how many phones one user can be signed in."""

    @model_validator(mode="after")
    def _check_tags(self) -> Self:
        folded = [name.casefold() for name in self.topics]
        if twice := sorted({name for name in folded if folded.count(name) > 1}):
            raise ValueError(f"tags compare without case: two topics are called {twice[0]}")
        most = len(self.tags) + sum(2 if topic.levels else 1 for topic in self.topics.values())
        if most > MAX_TAGS:
            raise ValueError(f"a phone with all topics would have {most} tags, {MAX_TAGS} are allowed")
        return self

    @property
    def amounts(self) -> Mapping[str, tuple[Decimal, ...]]:
        """The levels of each topic."""
        return {name: topic.amounts for name, topic in self.topics.items()}
