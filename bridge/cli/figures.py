"""What `pushbridge top` shows, from two scrapes of a daemon and its status."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Labels = frozenset[tuple[str, str]]

_REFUSED = ("unauthorized", "bad_request", "invalid_token", "payload_too_large", "throttled")
"""Outcomes of a try by which the push service said no."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples by name and labels, and the seconds of a monotonic clock at which they were read."""

    at: float
    samples: Mapping[str, Mapping[Labels, float]]

    @classmethod
    def of(cls, text: str, *, at: float) -> "Scrape":
        """From the text format of Prometheus."""
        from prometheus_client.parser import text_string_to_metric_families

        samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return cls(at, samples)

    def values(self, name: str, **labels: str) -> Iterable[tuple[Mapping[str, str], float]]:
        """The series of a metric that have these labels."""
        wanted = labels.items()
        for found, value in self.samples.get(name, {}).items():
            if wanted <= set(found):
                yield dict(found), value

    def sum(self, name: str, **labels: str) -> float:
        """Over the series that have these labels."""
        return sum(value for _, value in self.values(name, **labels))


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source: messages taken a second, how many wait at the broker (None: not known), and how the source fares."""

    name: str
    state: str
    rate: float
    waiting: int | None


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A credential of a hub: pushes answered and refused a second, and the state of its breaker.

    `in_flight` are the pushes under way to the service, of all hubs together. `quota` is what the service takes a minute, 0
    where it has refused nothing.
    """

    hub: str
    platform: str
    rate: float
    refused: float
    in_flight: int
    state: str
    quota: float = 0.0


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule: matches and errors a second."""

    name: str
    rate: float
    errors: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One screen: the busiest first, in trouble before all others."""

    sources: Sequence[SourceRow]
    services: Sequence[ServiceRow]
    rules: Sequence[RuleRow]

    @classmethod
    def of(cls, before: Scrape, now: Scrape, status: Mapping[str, Any]) -> "Figures":
        """Rates are those between the two scrapes; a counter that began anew counts from 0."""

        def rate(name: str, **labels: str) -> float:
            then, value = before.sum(name, **labels), now.sum(name, **labels)
            return (value - then if value >= then else value) / max(now.at - before.at, 0.001)

        parts = {(part["kind"], part["name"]): part for part in status["parts"]}
        return cls(_sources(now, parts, rate), _services(now, status, parts, rate), _rules(now, rate))


_Parts = Mapping[tuple[str, str], Mapping[str, Any]]
_Rate = Callable[..., float]


def _sources(now: Scrape, parts: _Parts, rate: _Rate) -> list[SourceRow]:
    rows = []
    for (kind, name), part in parts.items():
        if kind == "source":
            waiting = [value for _, value in now.values("pushbridge_ingest_lag_messages", source=name)]
            rows.append(
                SourceRow(
                    name,
                    part["state"],
                    rate("pushbridge_ingest_messages_total", source=name),
                    int(sum(waiting)) if waiting else None,
                )
            )
    return sorted(rows, key=lambda row: (parts["source", row.name]["ok"], -row.rate, row.name))


def _services(now: Scrape, status: Mapping[str, Any], parts: _Parts, rate: _Rate) -> list[ServiceRow]:
    rows = []
    for hub in status["hubs"]:
        for platform in hub["platforms"]:
            part = parts.get(("push service", f"{hub['name']}/{platform}"), {"state": "ok"})
            labels = {"hub": hub["name"], "platform": platform}
            rows.append(
                ServiceRow(
                    hub["name"],
                    platform,
                    rate("pushbridge_pns_deliveries_total", **labels),
                    sum(rate("pushbridge_pns_deliveries_total", **labels, outcome=outcome) for outcome in _REFUSED),
                    int(now.sum("pushbridge_pns_requests_in_flight", platform=platform)),
                    part["state"],
                    now.sum("pushbridge_pns_quota_messages", platform=platform, credential=hub["name"]),
                )
            )
    return sorted(rows, key=lambda row: (row.state == "ok", -row.rate, row.hub, row.platform))


def _rules(now: Scrape, rate: _Rate) -> list[RuleRow]:
    names = {labels["rule"] for labels, _ in now.values("pushbridge_rule_evaluations_total", outcome="match")}
    rows = [
        RuleRow(
            name,
            rate("pushbridge_rule_evaluations_total", rule=name, outcome="match"),
            rate("pushbridge_rule_evaluations_total", rule=name, outcome="error"),
        )
        for name in names
    ]
    return sorted(rows, key=lambda row: (-row.errors, -row.rate, row.name))
