"""`hubs`: the notification hubs, one for each mobile app."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from bridge.config.models.credentials import Remote
from bridge.config.models.registration import Registration
from bridge.config.section import Name, Section, form, time_zone
from connectors.auth import Secrets, one_or_more
from connectors.duration import Duration
from hub.api.access import OidcAccess
from hub.errors import TagError
from hub.guards import AudienceGuard
from hub.jobs.settings import JobSettings
from hub.notification import Platform
from hub.phone_report import USUAL_RATE, ReportPolicy
from hub.platforms.settings import PlatformSettings
from hub.platforms.table import services
from hub.rate import Rate
from hub.tags import MaxTags, parse
from rules.content.locales import is_locale


class HubLimits(Section):
    """Limits of a hub. `max_tags_per_expression` replaces the wire contract's 20, 10 and 6 by one number."""

    max_tags_per_expression: int | None = Field(default=None, ge=1, le=1000)
    """One limit of tags in an expression, for the wire contract's 20, 10 and 6."""
    registration_ttl: Annotated[Duration, Field(ge=86_400)] | None = None
    """How long a single registration lives after its last write, a day at least; installations say their own."""
    confirm_above: int | None = Field(default=None, ge=1)
    """A send to more registrations than this needs a confirmation by who sends; one of a rule is held for approval."""

    @property
    def max_tags(self) -> MaxTags:
        """The limits for each kind of expression."""
        limit = self.max_tags_per_expression
        return MaxTags() if limit is None else MaxTags(only_or=limit, only_and=limit, mixed=limit)


def _tag_expression(text: str) -> str:
    try:
        return str(parse(text, max_tags=_UNLIMITED))
    except TagError as error:
        raise ValueError(f"column {error.column}: {error}") from error


_UNLIMITED = MaxTags(only_or=1000, only_and=1000, mixed=1000)
OnlyTo = Annotated[str, AfterValidator(_tag_expression)]
"""A tag expression in its canonical spelling."""


class AccessPolicySettings(Section):
    """A shared access policy of the wire API."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """What clients give as SharedAccessKeyName."""
    rights: Annotated[frozenset[Literal["Listen", "Send", "Manage"]], Field(min_length=1)]
    """What a holder of the key may do: Listen registers, Send notifies, Manage does all."""
    key: Secrets
    """The secret that signs tokens, or a list of which each is good: clients change over one after the other."""


class HubAuth(Section):
    """Who may use the wire API of a hub, and for what."""

    sas: tuple[AccessPolicySettings, ...] = ()
    """Shared access policies, by whose keys clients sign."""
    oidc: OidcAccess | None = None
    """A provider of OpenID Connect, such as Entra ID, whose bearer tokens are good beside signatures."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [policy.name for policy in self.sas]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two policies of sas are called {twice[0]}")
        return self


class _Platforms(Section):
    """Credentials for the push services; a platform without is not sent to."""

    @property
    def settings(self) -> Mapping[Platform, PlatformSettings]:
        """By platform, for those that have credentials."""
        given = {each.platform: getattr(self, each.name) for each in services()}
        return {platform: settings for platform, settings in given.items() if settings is not None}

    @property
    def configured(self) -> frozenset[Platform]:
        """The platforms that have credentials."""
        return frozenset(self.settings)


if TYPE_CHECKING:
    Platforms = _Platforms
else:  # a key for each push service of the table
    Platforms = create_model(
        "Platforms",
        __base__=_Platforms,
        __doc__=_Platforms.__doc__,
        **{
            each.name: (
                each.settings | None,
                Field(
                    default=None,
                    description=f"Credentials for {each.title}; without them none of its phones is sent to."
                    + (f" {each.retired}." if each.retired else ""),
                ),
            )
            for each in services()
        },
    )


PayloadKey = Annotated[str, form(r"[A-Za-z][A-Za-z0-9_]{0,39}", "a letter, then letters, digits and _, 40 at most")]
TagPrefix = Annotated[str, form(r"[A-Za-z0-9_@#.:-]{1,40}", "letters, digits and _ @ # . : -, 40 at most")]
TagValue = Annotated[
    str, form(r"[A-Za-z0-9_@#.-]{1,40}", "letters, digits and _ @ # . -, 40 at most"), AfterValidator(str.lower)
]


class ReportsByTag(Section):
    """A tag of phones by whose values their reports are counted, such as country:."""

    prefix: TagPrefix
    """What the tag begins with, its colon included."""
    values: Annotated[tuple[TagValue, ...], Field(min_length=1, max_length=50)]
    """The values that are told apart, without case; phones with another one count as _other, those without as _none."""


class ReportsSettings(Section):
    """How reports of apps are taken: that a push was received, opened, or acted on."""

    payload_key: PayloadKey | None = None
    """The key under which each JSON payload names its push; the app's report repeats what stands there."""
    accept_for: Annotated[Duration, Field(ge=60, le=30 * 86_400)] = 7 * 86_400.0
    """How long after a notification was accepted, or its scheduled time, phones may report on it: 30 days at most."""
    by_tag: ReportsByTag | None = None
    """A tag by which reports are counted too."""
    rate: Rate = USUAL_RATE
    """Requests with reports that are good by the hub's key, of all its phones together; more are answered with 429."""

    @property
    def policy(self) -> ReportPolicy:
        """How the engine takes reports of phones."""
        return ReportPolicy(
            accept_for=self.accept_for,
            tag_prefix="" if self.by_tag is None else self.by_tag.prefix,
            tag_values=() if self.by_tag is None else self.by_tag.values,
            payload_key=self.payload_key or "",
            rate=self.rate,
        )


_LIST_EVERY = 900.0


def _locale(text: str) -> str:
    if text and not is_locale(text):
        raise ValueError("no language of CLDR, such as de or de-CH")
    return text.replace("_", "-")


LocaleName = Annotated[str, AfterValidator(_locale)]


class HubSettings(Section):
    """One notification hub: one mobile app. The only hub of a configuration is the default one.

    With `remote`, another service registers its phones and pushes to them; rules and the durable outbox are here.
    """

    default: bool = False
    """Rules that name no hub push through this one."""
    limits: HubLimits = HubLimits()
    """Limits of what senders may ask for."""
    only_to: OnlyTo | None = None
    """An expression of tags, joined by AND to every audience: so a test environment reaches its testers alone."""
    auth: HubAuth = HubAuth()
    """Who may use the wire API, and for what."""
    platforms: Platforms = Platforms()
    """Credentials for the push services that its phones use."""
    timezone: Annotated[str, AfterValidator(time_zone)] | None = None
    """The time zone of phones that say none; without it `bridge.timezone`."""
    report_to: Annotated[tuple[Name, ...], BeforeValidator(one_or_more)] = ()
    """The sinks that are told what became of sends through the wire API, and which of its devices are gone."""
    reports: ReportsSettings = ReportsSettings()
    """How reports of its apps are taken: that a push was received, opened, or acted on."""
    jobs: JobSettings = JobSettings()
    """Where import and export jobs of the wire API may read and write."""
    locale: LocaleName = ""
    """The language of phones that say none; without it, each content's fallback."""
    remote: Remote | None = None
    """Its phones are registered and pushed to by another hub over REST."""
    mirror: Literal["local", "remote"] | None = None
    """During a move: `local` sends by `remote` and compares with who is registered here, `remote` is the cut-over."""
    list_every: Annotated[Duration, Field(ge=10, le=86_400)] = _LIST_EVERY
    """While the hub is mirrored: how often the registrations of `remote` are listed again."""
    rate: Rate | None = None
    """How many pushes of this hub go out in a second, and how many at once; what is over it waits in the store. Daemons of
    a fleet share it."""
    registration: Registration | None = None
    """What phones call with their user's token; without it they register over the wire API, with a key."""

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.mirror is not None and self.remote is None:
            raise ValueError("mirror: there is no remote to compare with: write remote, or take mirror away too")
        if self.mirror is None and self.list_every != _LIST_EVERY:
            raise ValueError("list_every: only a hub that is mirrored is listed: write mirror, or take it away")
        if self.mirror is not None and self.remote is not None and self.remote.durability == "remote":
            raise ValueError("remote.durability: remote keeps nothing here that mirror could compare: leave it out")
        if self.is_remote and not self.is_mirrored and (self.auth.sas or self.auth.oidc or self.platforms.configured):
            raise ValueError("a remote hub has its auth and its platforms where it is")
        if self.is_remote and not self.is_mirrored and self.reports != ReportsSettings():
            raise ValueError("reports: apps report where the pushes of a remote hub are made, not here")
        if self.is_remote and self.rate is not None:
            raise ValueError("rate: pushes of a remote hub are made there: give it a rate where it is")
        if self.is_remote and self.limits.confirm_above is not None:
            raise ValueError("limits.confirm_above: who is registered at a remote hub is known there alone")
        return self

    @property
    def is_remote(self) -> bool:
        """Whether another hub pushes to its phones; after the cut-over `remote` is there for the way back alone."""
        return self.remote is not None and self.mirror != "remote"

    @property
    def is_mirrored(self) -> bool:
        """Whether another hub pushes, and who is registered here is only counted."""
        return self.mirror == "local"

    @property
    def is_kept_here(self) -> bool:
        """Whether its registrations are kept here, be it to compare with them."""
        return not self.is_remote or self.is_mirrored

    @property
    def guard(self) -> AudienceGuard:
        """What its audiences are held to."""
        expression = None if self.only_to is None else parse(self.only_to, max_tags=_UNLIMITED)
        return AudienceGuard(only_to=expression, confirm_above=self.limits.confirm_above)
