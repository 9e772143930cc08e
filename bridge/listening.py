"""The listeners of the process, each before an application that is exchanged while it serves."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from starlette.types import ASGIApp

from bridge import descriptors
from bridge.admin.auth_guard import AuthGuard
from bridge.admin.connections import limits_of
from bridge.admin.health import Part, listener_parts
from bridge.admin.listener import Listener, SwappableApp
from bridge.admin.server import OPEN_PATHS, PROBES_PATHS
from bridge.config.models.document import Settings
from bridge.logger import structlog
from bridge.observe.facts import ConnectionRefused, Limit, ProcessObserver
from bridge.observe.process_metrics import LISTENERS, ProcessMetrics

_SHARES: Mapping[str, int] = {"admin": 3, "probes": 1, "intake": 3, "hub_api": 6}
"""Of the open files that connections may take, by listener; most are for the hub API, which all phones reach."""

_IN_ORDER = ("probes", "hub_api", "admin", "intake")
"""As they open: probes hear of the process first and last."""

_ALWAYS = {"admin": OPEN_PATHS, "probes": PROBES_PATHS}
"""Paths that are answered over the limit of connections too."""

_log = structlog.get_logger("pushbridge")


class Listeners:
    """The configured listeners, in the order in which they open; the hub API only where a hub has phones or is kept here.

    Until `serve` names its application, a listener answers each request with 503. `crashed` is called for defects of ours.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: ProcessMetrics,
        observer: ProcessObserver,
        crashed: Callable[[str, Exception], None],
    ) -> None:
        self._metrics = metrics
        self._observer = observer
        self._apps = {name: SwappableApp(crashed=crashed) for name in LISTENERS}
        self._guards = {
            name: AuthGuard(app, name, observer=observer, holds_back=name != "hub_api")
            for name, app in self._apps.items()
            if name != "probes"
        }
        self._by_name = self._build(settings)
        configured = settings.listeners.by_name()
        metrics.set_certificates({name: tls.expires_at for name in self._by_name if (tls := configured[name].tls)})

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Listener | None:
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> Listener:
        return self._by_name[name]

    @property
    def parts(self) -> list[Part]:
        """How each fares, and whether many credentials were wrong."""
        return listener_parts(self, {name: guard.trouble for name, guard in self._guards.items()})

    def authority_of(self, name: str) -> str | None:
        """Host and port, None where no such listener is configured."""
        listener = self._by_name.get(name)
        return None if listener is None else listener.authority

    def serve(self, name: str, app: ASGIApp) -> None:
        """Answer by another application from now on; requests under way finish with the one they began with."""
        self._apps[name].app = app

    def renewal(self, settings: Settings) -> Callable[[], None]:
        """Read the certificates of another configuration, and return what takes them into use for new connections.

        A certificate for a listener that began without TLS waits for a start. Raises: OSError, ssl.SSLError.
        """
        secured = {
            name: configured.tls
            for name, configured in settings.listeners.by_name().items()
            if configured.tls is not None and name in self and self[name].tls is not None
        }
        contexts = {name: tls.server_context() for name, tls in secured.items()}
        expiries = {name: tls.expires_at for name, tls in secured.items()}

        def renew() -> None:
            for name, context in contexts.items():
                self[name].exchange_tls(context)
            self._metrics.set_certificates(expiries)

        return renew

    def warn_of_lowered_limits(self, settings: Settings) -> None:
        """Say which listeners the limit of open files leaves fewer connections than their settings do."""
        for name, configured in settings.listeners.by_name().items():
            listener = self.get(name)
            if listener is not None and listener.admission.limits.total < configured.connections.max:
                _log.warning(
                    "fewer connections than configured: the limit of open files is too low",
                    listener=name,
                    configured=configured.connections.max,
                    allowed=listener.admission.limits.total,
                    open_files=descriptors.limit(),
                )

    def _build(self, settings: Settings) -> dict[str, Listener]:
        configured = settings.listeners.by_name()
        total = sum(_SHARES[name] for name in configured)
        has_api = any(hub.is_kept_here or hub.registration is not None for hub in settings.hubs.values())
        return {
            name: Listener(
                self._guards.get(name, self._apps[name]),
                listener.address,
                tls=listener.tls,
                name=name,
                limits=limits_of(
                    listener.connections, allowed=descriptors.share(descriptors.limit(), _SHARES[name] / total)
                ),
                always=_ALWAYS.get(name, frozenset()),
                on_refused=partial(self._connection_refused, name),
            )
            for name in _IN_ORDER
            if (listener := configured.get(name)) is not None and (name != "hub_api" or has_api)
        }

    def _connection_refused(self, listener: str, limit: Limit) -> None:
        self._observer.observe(ConnectionRefused(listener=listener, limit=limit))
