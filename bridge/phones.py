"""The registration services of the hubs that have one: from the configuration to what phones call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from bridge.config.models.hubs import HubSettings
from bridge.config.models.registration import OidcAuth, Registration
from bridge.senders import remote_settings_of
from hub.engine import Hub
from hub.facts import PhonesUnwritten
from hub.observer import Observer
from hub.phone import PhoneOutcome
from hub.registration.errors import EngineError, RefusedError
from hub.registration.offer import Claims, Offer, PlatformTemplate, User
from hub.registration.writing import Writing, WrittenHub
from hub.tags import is_service_tag_value, is_tag_safe
from rules.errors import RenderError
from rules.render import Text

if TYPE_CHECKING:
    from hub.oidc.tokens import TokenCheck
    from hub.registration.engine import Engine
    from hub.registration.service import PhoneService


@dataclass(frozen=True, slots=True)
class _Token:
    """What texts of a registration are filled from."""

    claims: Claims


class PhoneServices:
    """One for each hub with `registration`, local or remote. Building them connects to nothing."""

    def __init__(self, hub: Hub, *, observer: Observer) -> None:
        self._hub = hub
        self._observer = observer
        self._settings: dict[str, HubSettings] = {}
        self.services: dict[str, PhoneService] = {}
        self._checks: list[tuple[OidcAuth, TokenCheck]] = []
        self._leaving: list[Engine] = []
        self._writing = Writing(hub.store, self._written, failed=self._failed)

    def apply(self, hubs: Mapping[str, HubSettings]) -> None:
        """Serve these from now on. What stays as it was keeps its keys and its connections."""
        wanted = {name: hub for name, hub in hubs.items() if hub.registration is not None}
        for name in [name for name, hub in self._settings.items() if wanted.get(name) != hub]:
            self._leaving.append(self.services.pop(name).engine)
        for name, hub in wanted.items():
            if name not in self.services:
                self.services[name] = self._service(name, hub)
        self._settings = wanted

    def app(self, otherwise: ASGIApp) -> ASGIApp:
        """What phones call; `otherwise` gets the rest."""
        if not self.services:
            return otherwise
        from hub.registration.app import HubPhones, PhonesApp

        phones = {}
        for name, service in self.services.items():
            registration = self._settings[name].registration
            assert registration is not None
            phones[name] = HubPhones(path=registration.path, check=self._check(registration.auth.oidc), service=service)
        return PhonesApp(phones, otherwise, observer=self._observer)

    async def run(self) -> None:
        """Write, until cancelled, what requests have left."""
        await self._writing.run()

    async def close(self) -> None:
        for engine in (*self._leaving, *(service.engine for service in self.services.values())):
            await engine.close()
        self._leaving.clear()

    def _service(self, name: str, hub: HubSettings) -> "PhoneService":
        """Its parts are imported here: a process without any has none of them in its memory."""
        from hub.registration.service import PhoneService

        assert hub.registration is not None
        return PhoneService(
            name,
            offer_of(hub.registration),
            self._hub.store,
            self._engine(name, hub),
            reporting=self._hub,
            now=self._hub.store.now,
        )

    def _engine(self, name: str, hub: HubSettings) -> "Engine":
        if hub.remote is None or hub.is_kept_here:  # what is mirrored is written there from here
            from hub.registration.engine import LocalEngine

            return LocalEngine(name, self._hub)
        from hub.registration.remote import RemoteEngine

        return RemoteEngine(remote_settings_of(name, hub.remote))

    def _check(self, oidc: OidcAuth) -> "TokenCheck":
        """One for each provider, which has its keys."""
        from hub.oidc.tokens import TokenCheck

        for settings, check in self._checks:
            if settings == oidc:
                return check
        self._checks.append((oidc, check := TokenCheck(oidc)))
        return check

    def _written(self) -> Mapping[str, WrittenHub]:
        return {name: WrittenHub(offer=service.offer, engine=service.engine) for name, service in self.services.items()}

    def _failed(self, hub: str, error: Exception) -> None:
        cause = error.cause if isinstance(error, EngineError) else str(error)
        self._observer.observe(PhonesUnwritten(hub=hub, cause=cause))


def offer_of(registration: Registration) -> Offer:
    """What a hub offers to phones."""

    def user_of(claims: Claims) -> User:
        token = _Token(claims)
        user = _filled(registration.user, token, what="user")
        if not is_service_tag_value(user):
            raise _refused("user: it has to be letters, digits and _ @ # . : - =, 120 at most")
        tags = tuple(dict.fromkeys(_filled(text, token, what="tag") for text in registration.tags))
        if not all(map(is_tag_safe, tags)):
            raise _refused("tag: it has to be letters, digits and _ @ # . : -, 120 at most")
        variables = {
            name: _filled(text, token, what=f"variable {name}") for name, text in registration.push_variables.items()
        }
        return User(id=user, tags=tags, push_variables=variables)

    return Offer(
        user_of=user_of,
        topics=registration.amounts,
        templates={
            platform: PlatformTemplate(template=given.template, locales=given.by_locale)
            for platform, given in registration.templates.by_platform.items()
        },
        ttl=registration.ttl,
        max_phones=registration.max_phones,
    )


def _filled(text: Text, token: Any, *, what: str) -> str:
    try:
        return text.render(token)
    except RenderError as error:  # it names the claim that is missing, and no value
        raise _refused(f"{what}: {error}") from error


def _refused(detail: str) -> RefusedError:
    return RefusedError(PhoneOutcome.UNAUTHORIZED, f"claims: the token's claims make no {detail}")
