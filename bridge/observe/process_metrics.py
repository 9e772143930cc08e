"""What is counted of the process: its configuration, its listeners and their requests."""

import time
from collections.abc import Callable, Mapping

from prometheus_client import Info

from bridge.observe.facts import (
    AuthFailed,
    AuthReason,
    AuthScheme,
    ConfigurationApplied,
    ConfigurationRefused,
    ConnectionRefused,
    Limit,
    LoopHeld,
    LoopTurned,
    PlaygroundOutcome,
    PlaygroundTried,
    StagePassed,
    Started,
    WrongCredentialsHeldBack,
)
from bridge.observe.loop_holds import LoopHold
from bridge.observe.metric_set import REQUEST_SECONDS, MetricSet, values_of
from bridge.observe.stages import HeartbeatStage
from bridge.observe.telemetry import Takes

LISTENERS = ("admin", "probes", "intake", "hub_api")
"""By the keys of their settings: the label `listener`."""


_SECRETS = {
    AuthScheme.NONE: (AuthReason.MISSING,),
    AuthScheme.BASIC: (AuthReason.INVALID, AuthReason.RIGHTS),
    AuthScheme.BEARER: (AuthReason.INVALID, AuthReason.RIGHTS),
    AuthScheme.SIGNATURE: (AuthReason.INVALID,),
    AuthScheme.SAS: (AuthReason.INVALID,),
    AuthScheme.OTHER: (AuthReason.INVALID,),
}
_SIGNED = (AuthReason.INVALID, AuthReason.EXPIRED, AuthReason.AUDIENCE, AuthReason.RIGHTS)
AUTH_FAILURES = {
    "admin": {
        **_SECRETS,
        AuthScheme.BASIC: _SIGNED,
        AuthScheme.BEARER: _SIGNED,
        AuthScheme.PROXY: (AuthReason.INVALID, AuthReason.RIGHTS),
    },
    "intake": _SECRETS,
    "hub_api": {
        AuthScheme.NONE: (AuthReason.MISSING,),
        AuthScheme.SAS: (AuthReason.MISSING, *_SIGNED),
        AuthScheme.BEARER: (AuthReason.MISSING, *_SIGNED),
        AuthScheme.BASIC: (AuthReason.INVALID, AuthReason.MISSING),
        AuthScheme.OTHER: (AuthReason.INVALID, AuthReason.MISSING),
    },
}
"""What a listener can refuse: an HTTP source may be on the admin listener, and probes ask for nothing."""

_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)


class ProcessMetrics:
    """The requests are counted by who answers them."""

    def __init__(self, metrics: MetricSet, *, version: str, clock: Callable[[], float] = time.time) -> None:
        counter, gauge, histogram = metrics.counter, metrics.gauge, metrics.histogram
        self._version = version
        self._clock = clock
        self._build = Info(
            "pushbridge_build", "What runs: version, revision and configuration.", registry=metrics.registry
        )
        self._build.info({"version": version, "revision": "", "config_hash": ""})
        self._config_ok = gauge("config_last_reload_successful", "1 if the last configuration read was valid.")
        self._config_at = gauge(
            "config_last_reload_success_timestamp_seconds", "When a valid configuration was read last."
        )
        self.http_requests = counter(
            "http_requests", "Requests answered, by route, method and status.", route=(), method=(), code=()
        )
        self.http_seconds = histogram(
            "http_request_duration_seconds", "Time to answer a request.", REQUEST_SECONDS, route=()
        )
        self.http_in_flight = gauge("http_requests_in_flight", "Requests being answered.")
        self._certificate_expiry = gauge(
            "listener_certificate_expiry_timestamp_seconds",
            "When the certificate that a listener serves is good no longer, 0 without TLS.",
            listener=LISTENERS,
        )
        self._connections_refused = counter(
            "http_connections_refused",
            "Connections over a limit of a listener: answered 503, or closed.",
            listener=LISTENERS,
            limit=values_of(Limit),
        )
        self._heartbeat = gauge(
            "heartbeat_last_seen_timestamp_seconds",
            "When the daemon's heartbeat last passed a stage of its work.",
            stage=values_of(HeartbeatStage),
        )
        self._heartbeat_every = gauge("heartbeat_every_seconds", "Seconds between two heartbeats.")
        self._loop_lag = histogram(
            "event_loop_lag_seconds",
            "How much later than asked the event loop turned, 20 times a second.",
            _LAG_SECONDS,
        )
        self._loop_lag.labels()
        self._loop_held = counter(
            "event_loop_held_seconds",
            "Seconds for which the event loop was held for longer than bridge.watchdog.loop_held_after at a time.",
            cause=values_of(LoopHold),
        )
        self._auth_failures = counter(
            "auth_failures",
            "Requests that were refused by their credentials: 401, and 403 where these are good and allow too little.",
            listener=(),
            scheme=(),
            reason=(),
        )
        for listener, schemes in AUTH_FAILURES.items():
            for scheme, reasons in schemes.items():
                for reason in reasons:
                    self._auth_failures.labels(listener, scheme.value, reason.value)
        self._held_back = counter(
            "auth_held_back",
            "Requests that were answered 429 without a look, as their client had shown too many wrong secrets.",
            listener=("admin", "intake"),
        )
        self._playground = counter(
            "playground_tries",
            "Events that were tried on a draft of the rules in the playground; those that are `stopped` came to a limit.",
            outcome=values_of(PlaygroundOutcome),
        )
        self.takes: Takes = {
            PlaygroundTried: self._playground_tried,
            AuthFailed: self._auth_failed,
            WrongCredentialsHeldBack: self._wrong_credentials_held_back,
            StagePassed: self._stage_passed,
            LoopTurned: self._loop_turned,
            LoopHeld: self._loop_was_held,
            ConnectionRefused: self._connection_refused,
            Started: self._in_force,
            ConfigurationApplied: self._in_force,
            ConfigurationRefused: self._configuration_refused,
        }

    def set_certificates(self, expires_at: Mapping[str, float]) -> None:
        """Of the listeners with TLS, in seconds since 1970 UTC."""
        for name in LISTENERS:
            self._certificate_expiry.labels(name).set(expires_at.get(name, 0.0))

    def set_heartbeat(self, every: float) -> None:
        """How many seconds are between two heartbeats."""
        self._heartbeat_every.set(every)

    def _stage_passed(self, fact: StagePassed) -> None:
        self._heartbeat.labels(fact.stage.value).set(self._clock())

    def _loop_turned(self, fact: LoopTurned) -> None:
        self._loop_lag.observe((), fact.seconds)

    def _loop_was_held(self, fact: LoopHeld) -> None:
        self._loop_held.labels(fact.cause.value).inc(fact.seconds)

    def _auth_failed(self, fact: AuthFailed) -> None:
        self._auth_failures.labels(fact.listener, fact.scheme.value, fact.reason.value).inc()

    def _wrong_credentials_held_back(self, fact: WrongCredentialsHeldBack) -> None:
        self._held_back.labels(fact.listener).inc()

    def _playground_tried(self, fact: PlaygroundTried) -> None:
        self._playground.labels(fact.outcome.value).inc()

    def _connection_refused(self, fact: ConnectionRefused) -> None:
        self._connections_refused.labels(fact.listener, fact.limit.value).inc()

    def _in_force(self, fact: Started | ConfigurationApplied) -> None:
        self._build.info({"version": self._version, "revision": fact.revision, "config_hash": fact.config_hash})
        self._config_ok.set(1)
        self._config_at.set_to_current_time()

    def _configuration_refused(self, fact: ConfigurationRefused) -> None:
        self._config_ok.set(0)
