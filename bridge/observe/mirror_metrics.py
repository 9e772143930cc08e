"""What is counted of hubs that mirror another one, and of what is brought over from others."""

from collections.abc import Mapping

from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, gauge, values_of
from bridge.observe.telemetry import Takes
from hub.facts import (
    CannotMove,
    Compared,
    DeviceMirrored,
    DevicesImported,
    ImportAnswer,
    MirrorAnswer,
    MirrorFailed,
    MirrorListed,
    MirrorWork,
    MirrorWrite,
    SendCompared,
)
from hub.store.contracts.mirrors import MirrorBacklog, MirrorState

_KNOWN = (Compared.EQUAL, Compared.NEWER, Compared.DIFFERENT)
"""What came of sends whose numbers are known on both sides."""


class MirrorMetrics(MetricTable):
    """By hub: of those that mirror another one, and of all into which another one's devices are imported."""

    _compared = counter(
        "mirror_sends",
        "Notifications that the remote of a mirrored hub took, by how its pushes compare with who is registered here.",
        hub=Named.MIRRORS,
        outcome=values_of(Compared),
    )
    _pushes = counter(
        "mirror_pushes",
        "Pushes of the notifications that were compared, as the remote hub tells them and as they would have been here.",
        hub=Named.MIRRORS,
        kind=("here", "remote"),
    )
    _writes = counter(
        "mirror_writes",
        "Devices that were written here and then at the remote hub, by what came of it.",
        hub=Named.MIRRORS,
        outcome=values_of(MirrorWrite),
    )
    _listed = counter(
        "mirror_listed",
        "Devices that the remote hub listed other than they were known, by what became of them here.",
        hub=Named.MIRRORS,
        outcome=values_of(MirrorAnswer),
    )
    _lists = counter(
        "mirror_lists", "Lists of the remote hub that were read to their end and taken.", hub=Named.MIRRORS
    )
    _failures = counter(
        "mirror_failures",
        "Times that writing at the remote hub, or listing it, failed and was put off.",
        hub=Named.MIRRORS,
        operation=values_of(MirrorWork),
    )
    _waiting = gauge("mirror_waiting_devices", "Devices that wait to be written at the remote hub.", hub=Named.MIRRORS)
    _refused = gauge(
        "mirror_refused_devices", "Devices among those that wait which the remote hub has refused.", hub=Named.MIRRORS
    )
    _oldest = gauge(
        "mirror_oldest_waiting_timestamp_seconds",
        "Since when the device waits that was the first to be written at the remote hub; 0: none waits.",
        hub=Named.MIRRORS,
    )
    _listed_at = gauge(
        "mirror_listed_timestamp_seconds",
        "When the last list of the remote hub that was read to its end was taken; 0: never.",
        hub=Named.MIRRORS,
    )
    _list_every = gauge(
        "mirror_list_every_seconds", "How often the remote hub is to be listed, as configured.", hub=Named.MIRRORS
    )

    _imported = counter(
        "import_devices",
        "Devices of another hub that an import offered, by what became of them; offered again, they count again.",
        hub=Named.HUBS,
        outcome=values_of(ImportAnswer),
    )
    _cannot_move = counter(
        "import_refused_devices",
        "Devices that an import cannot move, by why.",
        hub=Named.HUBS,
        reason=values_of(CannotMove),
    )
    _found = gauge("import_found_devices", "Devices that the last import has to take in all.", hub=Named.HUBS)

    def __init__(self, metrics: MetricSet) -> None:
        super().__init__(metrics)
        self.takes: Takes = {
            DevicesImported: self._devices_imported,
            SendCompared: self._send_compared,
            DeviceMirrored: self._device_mirrored,
            MirrorListed: self._mirror_listed,
            MirrorFailed: self._mirror_failed,
        }

    def set_states(
        self, states: Mapping[str, tuple[MirrorState, MirrorBacklog]], list_every: Mapping[str, float]
    ) -> None:
        """As the store has them when it is scraped, by hub."""
        for hub, (state, backlog) in states.items():
            self._waiting.labels(hub).set(backlog.waiting)
            self._refused.labels(hub).set(backlog.refused)
            self._oldest.labels(hub).set(backlog.since or 0.0)
            self._listed_at.labels(hub).set(state.listed_at)
            self._list_every.labels(hub).set(list_every[hub])

    def _send_compared(self, fact: SendCompared) -> None:
        hub = fact.notification.hub
        self._compared.labels(hub, fact.result.value).inc()
        if fact.result in _KNOWN:
            self._pushes.labels(hub, "here").inc(sum(fact.here.values()))
            self._pushes.labels(hub, "remote").inc(sum(fact.there.values()))

    def _device_mirrored(self, fact: DeviceMirrored) -> None:
        self._writes.labels(fact.hub, fact.outcome.value).inc()

    def _mirror_listed(self, fact: MirrorListed) -> None:
        self._lists.labels(fact.hub).inc()
        for answer, count in fact.answers.items():
            self._listed.labels(fact.hub, answer.value).inc(count)

    def _devices_imported(self, fact: DevicesImported) -> None:
        for answer, count in fact.answers.items():
            self._imported.labels(fact.hub, answer.value).inc(count)
        for reason, count in fact.refused.items():
            self._cannot_move.labels(fact.hub, reason.value).inc(count)
        if fact.found is not None:
            self._found.labels(fact.hub).set(fact.found)

    def _mirror_failed(self, fact: MirrorFailed) -> None:
        self._failures.labels(fact.hub, fact.work.value).inc()
