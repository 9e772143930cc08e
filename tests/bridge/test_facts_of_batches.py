"""A fact of a batch tells what a fact for each notification would: in the metrics, in the log, in the latest events."""

from collections.abc import Sequence
from dataclasses import replace

from structlog.testing import capture_logs
from structlog.typing import EventDict

from bridge.observe.fact_log import FactLog
from bridge.observe.facts import EventsStored
from bridge.observe.metrics import Metrics
from bridge.observe.recent import Entry, RecentEvents
from bridge.observe.telemetry import Telemetry
from hub.facts import AudienceFound, AudiencesFound, HubFact, PushesDelivered, PushesEnded, PushesRetried
from hub.notification import EVERYONE, Platform
from hub.outcome import OutcomeName
from tests.bridge.test_metrics import metrics
from tests.bridge.test_recent_events import NOW, passage
from tests.hub.examples import notification

APNS = Platform.APNS
FIRST = notification("customer:1", rule="paid", event_id="1")
TO_ALL = notification(EVERYONE, rule="paid", event_id="2")
EARLY = replace(notification("customer:3", rule="paid", event_id="3"), trace="00-" + 32 * "a" + "-" + 16 * "b" + "-00")
RETRIED = PushesRetried(
    notification=FIRST, platform=APNS, outcomes={OutcomeName.THROTTLED: 1}, reason="TooManyRequests", due_at=1e9
)
STORED = EventsStored(events=[passage("1", FIRST), passage("2", TO_ALL)])
SECONDS = (0.07, 10.0, 0.2)

ONE_BY_ONE: Sequence[HubFact | EventsStored] = [
    STORED,
    *(AudienceFound(notification=each, counts={APNS: 1}) for each in (FIRST, TO_ALL, EARLY)),
    RETRIED,
    *(
        PushesEnded(notification=each, platform=APNS, outcomes={OutcomeName.SUCCESS: 1}, seconds=seconds)
        for each, seconds in zip((FIRST, TO_ALL, EARLY), SECONDS, strict=True)
    ),
    EventsStored(events=[passage("3", EARLY)]),
]
TOGETHER: Sequence[HubFact | EventsStored] = [
    STORED,
    AudiencesFound(found=[(each, {APNS: 1}) for each in (FIRST, TO_ALL, EARLY)]),
    RETRIED,
    PushesDelivered(platform=APNS, pushes=list(zip((FIRST, TO_ALL, EARLY), SECONDS, strict=True))),
    EventsStored(events=[passage("3", EARLY)]),
]


class Told:
    """What the takers make of facts."""

    def __init__(self, facts: Sequence[HubFact | EventsStored]) -> None:
        self.metrics: Metrics = metrics()
        self.recent = RecentEvents(clock=lambda: NOW)
        self.heard: list[Entry] = []
        self.recent.subscribe(self.heard.append)
        telemetry = Telemetry(self.metrics, self.recent, FactLog())
        with capture_logs() as lines:
            for fact in facts:
                telemetry.observe(fact)
        self.lines: list[EventDict] = lines

    def samples(self) -> dict[tuple[str, str], float]:
        return {
            (sample.name, str(sorted(sample.labels.items()))): sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name.startswith(("pushbridge_audience", "pushbridge_end_to_end", "pushbridge_pns"))
        }


def test_a_fact_of_a_batch_says_what_one_for_each_notification_says() -> None:
    single, together = Told(ONE_BY_ONE), Told(TOGETHER)
    assert together.samples() == single.samples()
    assert together.lines == single.lines
    shown = [entry.as_dict() for entry in together.recent.entries()]
    assert shown == [entry.as_dict() for entry in single.recent.entries()]
    assert [each["notifications"][0]["outcomes"] for each in shown] == 3 * [{"apns": {"Success": 1}}]
    assert [entry.id for entry in together.heard] == [entry.id for entry in single.heard]
    assert together.samples()["pushbridge_end_to_end_seconds_bucket", "[('le', '10.0'), ('platform', 'apns')]"] == 3
