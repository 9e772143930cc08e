"""Every metric of the daemon; names, labels and label values are promises.

All begin with `pushbridge_`, and counters end in `_total` (both are written once, not with each name). Every combination of
labels that can happen exists from the start, so that a zero is seen. Never a label: a handle, a tag, an id, a text of an
error.
"""

from collections.abc import Sequence

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, disable_created_metrics

from bridge.observe.delivery_metrics import DeliveryMetrics
from bridge.observe.follow_up_metrics import FollowUpMetrics
from bridge.observe.intake_metrics import IntakeMetrics, Owners
from bridge.observe.metric_set import MetricSet, Named
from bridge.observe.mirror_metrics import MirrorMetrics
from bridge.observe.phone_metrics import PhoneMetrics
from bridge.observe.process_metrics import ProcessMetrics
from bridge.observe.queue_metrics import QueueMetrics
from bridge.observe.quiet_metrics import QuietMetrics
from bridge.observe.silence_metrics import SilenceMetrics
from bridge.observe.sink_metrics import SinkMetrics
from bridge.observe.source_metrics import SourceMetrics
from bridge.observe.store_metrics import SQLITE, StoreMetrics
from bridge.observe.telemetry import Takes
from bridge.observe.trace_metrics import TraceMetrics
from hub.phone_report import ReportPolicies

_NO_OWNERS = Owners()
_NO_POLICIES: ReportPolicies = {}


class Metrics:
    """What is counted, a part for each subject; building it starts nothing."""

    def __init__(
        self,
        *,
        version: str,
        sources: Sequence[str],
        rules: Sequence[str],
        hubs: Sequence[str],
        remotes: Sequence[str] = (),
        mirrors: Sequence[str] = (),
        registrations: Sequence[str] = (),
        sinks: Sequence[str] = (),
        registries: Sequence[str] = (),
        reports: ReportPolicies = _NO_POLICIES,
        dead_letters: Sequence[tuple[str, str, str]] = (),
        owners: Owners = _NO_OWNERS,
        engine: str = SQLITE,
    ) -> None:
        # A second series for each counter, which no dashboard needs; the function is untyped upstream.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._set = MetricSet("pushbridge_")
        self.registry = self._set.registry
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.intake = IntakeMetrics(self._set)
        self.sources = SourceMetrics(self._set)
        self.queue = QueueMetrics(self._set)
        self.store = StoreMetrics(self._set, engine=engine)
        self.delivery = DeliveryMetrics(self._set)
        self.quiet = QuietMetrics(self._set)
        self.mirrors = MirrorMetrics(self._set)
        self.phones = PhoneMetrics(self._set)
        self.sinks = SinkMetrics(self._set)
        self.follow_ups = FollowUpMetrics(self._set)
        self.silences = SilenceMetrics(self._set)
        self.traces = TraceMetrics(self._set)
        self.process = ProcessMetrics(self._set, version=version)
        self.takes: Takes = {
            **self.intake.takes,
            **self.sources.takes,
            **self.queue.takes,
            **self.store.takes,
            **self.delivery.takes,
            **self.quiet.takes,
            **self.mirrors.takes,
            **self.phones.takes,
            **self.sinks.takes,
            **self.follow_ups.takes,
            **self.silences.takes,
            **self.traces.takes,
            **self.process.takes,
        }
        self.declare(
            sources=sources,
            rules=rules,
            hubs=hubs,
            remotes=remotes,
            mirrors=mirrors,
            registrations=registrations,
            sinks=sinks,
            registries=registries,
            reports=reports,
            dead_letters=dead_letters,
            owners=owners,
        )

    def declare(
        self,
        *,
        sources: Sequence[str],
        rules: Sequence[str],
        hubs: Sequence[str],
        remotes: Sequence[str] = (),
        mirrors: Sequence[str] = (),
        registrations: Sequence[str] = (),
        sinks: Sequence[str] = (),
        registries: Sequence[str] = (),
        reports: ReportPolicies = _NO_POLICIES,
        dead_letters: Sequence[tuple[str, str, str]] = (),
        owners: Owners = _NO_OWNERS,
    ) -> None:
        """Have a zero for all that a configuration names; of what an earlier one named, counts stay and gauges go.

        `remotes` are those of the `hubs` that are remote, `mirrors` those of them that are mirrored here, `registrations`
        those that phones call, and `registries` the sources whose schemas are in a registry. `reports` are how the hubs
        that are kept here take reports of phones. `dead_letters` are the triples of source, rule (empty: none) and reason
        that can happen.
        """
        self._set.declare(
            {
                Named.SOURCES: sources,
                Named.RULES: self.intake.declare_rules(rules),
                Named.HUBS: hubs,
                Named.REMOTES: remotes,
                Named.MIRRORS: mirrors,
                Named.REGISTRATIONS: registrations,
                Named.SINKS: sinks,
                Named.REGISTRIES: registries,
            }
        )
        self.sinks.declare_sinks(tuple(sinks))
        self.phones.declare_reports(reports)
        self.intake.declare_dead_letters(dead_letters)
        self.intake.declare_owners(sources, owners)

    async def exposition(self) -> bytes:
        """A scrape, in slices."""
        return await self._set.exposition()
