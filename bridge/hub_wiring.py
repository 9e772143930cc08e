"""The hub of the process from its configuration: how it is built, and how a reload exchanges single hubs in it."""

from collections.abc import Callable
from functools import partial

from bridge.config.models.document import Settings
from bridge.config.unstored import handed_over_at_once
from bridge.held_words import held_words
from bridge.mirrors import Mirrors
from bridge.observe.telemetry import Telemetry
from bridge.senders import remotes_of, senders_of
from bridge.stores import DaemonStore
from bridge.wiring import guards_of, rates_of, report_policies_of
from hub.acceptance import ConfigurationVersion
from hub.delivery.retry import RetryPolicy
from hub.engine import Hub
from hub.notification import Notification
from hub.origin import Origin
from hub.precedence import Precedence
from hub.store.health import HealthTiming


class HubWiring:
    """Builds the hub once, and its clients of push services and remote hubs as often as their settings change.

    `settings` and `config_hash` return those of the configuration that is in force.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        config_hash: Callable[[], str],
        mirrors: Mirrors,
        observer: Telemetry,
        precedence: Precedence,
    ) -> None:
        self._settings = settings
        self._config_hash = config_hash
        self._mirrors = mirrors
        self._observer = observer
        self._precedence = precedence

    def build(self, store: DaemonStore, *, timing: HealthTiming) -> Hub:
        """The hub of the process, with all configured hubs in it; nothing is opened."""
        settings = self._settings()
        local = {name: hub for name, hub in settings.hubs.items() if hub.is_kept_here}
        retry = settings.delivery.retry
        hub = Hub(
            store,
            senders_of(local),
            hubs=list(local),
            remotes=remotes_of(settings.hubs, on_sent=self._mirrors.sent, origin_of=self._origin_of),
            at_once=handed_over_at_once(settings.hubs),
            guards=guards_of(settings.hubs),
            rates=rates_of(settings),
            reports=report_policies_of(settings.hubs),
            observer=self._observer,
            policy=RetryPolicy(base=retry.backoff.base, cap=retry.backoff.cap, max_age=retry.max_age),
            max_pending=settings.bridge.store.max_pending,
            max_in_flight=settings.delivery.max_in_flight,
            health_timing=timing,
            precedence=self._precedence,
            renderer=held_words,
        )
        self._mirrors.apply(settings.hubs, hub.store)
        return hub

    def exchange(self, hub: Hub, settings: Settings) -> Callable[[], None]:
        """Clients for the hubs that are new or differ, and the exchange; those gone or replaced finish what they have."""
        before = self._settings().hubs
        changed = {name: each for name, each in settings.hubs.items() if before.get(name) != each}
        gone = [name for name in before if name in changed or name not in settings.hubs]
        local = {name: each for name, each in changed.items() if each.is_kept_here}
        replace = partial(
            hub.replace_hubs,
            gone=gone,
            hubs=list(local),
            senders=senders_of(local),
            remotes=remotes_of(changed, on_sent=self._mirrors.sent, origin_of=self._origin_of),
            at_once=handed_over_at_once(changed),
            guards=guards_of(changed),
            reports=report_policies_of(changed),
        )

        def exchange() -> None:
            self._mirrors.apply(settings.hubs, hub.store)
            replace()

        return exchange

    def _origin_of(self, notification: Notification) -> Origin | None:
        """What a remote hub is told of a notification's event, with the configuration in force at the hand-over."""
        if not notification.event_id or not notification.rule:
            return None
        bridge = self._settings().bridge
        return Origin(
            source=f"{bridge.name}/{notification.source}",
            event_id=notification.event_id,
            rule=notification.rule,
            configuration=ConfigurationVersion(revision=bridge.revision, hash=self._config_hash()),
        )
