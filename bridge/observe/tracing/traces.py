"""Facts to spans: the way of an event from receipt to the push service's answer, as one trace.

Below what the sender of an event did come `receive`, and in it `decode`, `route` and `accept`; below `receive`, perhaps
much later and in another process, `claim`, `render` and `send`. What is done for several at once, a transaction or a
request of many pushes, has a trace of its own, which links to all of theirs.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bridge.config.models.document import Settings
from bridge.config.models.tracing import Tracing
from bridge.observe.facts import (
    REMOTE,
    EventOutcome,
    EventsStored,
    InFlightEvent,
    MessagesGivenUp,
    RelayChanged,
    SpansSent,
    TracingFact,
)
from bridge.observe.telemetry import Takes
from bridge.observe.tracing.export import Sent, SpanExport
from bridge.observe.tracing.spans import EventTrace, Kind, Span, Value, child_of
from hub.facts import (
    NotificationHeld,
    NotificationsSilenced,
    NotificationUnreached,
    PageAnswered,
    PushesDeferred,
    RemoteAnswered,
    SendAccepted,
    TracedPushes,
)
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName
from hub.trace_context import NO_TRACE, TraceContext, is_sampled, trace_from

_MAX_SENDS = 10_000
"""Sends of the API that are being accepted, at most; of more the spans begin when they are accepted."""

_CLOSING = 3.0
"""Seconds that spans which wait have when the process ends."""

_MAX_TEXT = 200
_FAILED = (EventOutcome.DEAD_LETTER, EventOutcome.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A send of the API while it is being accepted."""

    parent: TraceContext
    start: float


class Traces:
    """Takes facts, and hands spans to the collector that `bridge.tracing` names; without one it does nothing.

    `report` hears what became of spans. Called on the event loop alone.
    """

    def __init__(
        self,
        *,
        version: str,
        instance: str,
        report: Callable[[TracingFact], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resource = {"service.version": version, "service.instance.id": instance}
        self._report = report
        self._clock = clock
        self._settings = Tracing()
        self._ratio = 0.0
        self._systems: Mapping[str, str] = {}
        self._export: SpanExport | None = None
        self._trouble = ""
        self._sends: OrderedDict[str, _Begun] = OrderedDict()
        self._closing: set[asyncio.Future[None]] = set()
        self.takes: Takes = {
            EventsStored: self._events_stored,
            MessagesGivenUp: self._given_up,
            SendAccepted: self._send_accepted,
            PageAnswered: self._page_answered,
            RemoteAnswered: self._remote_answered,
            NotificationUnreached: self._unreached,
            NotificationHeld: self._held,
            NotificationsSilenced: self._silenced,
            PushesDeferred: self._deferred,
        }

    @property
    def is_on(self) -> bool:
        """Whether spans are made."""
        return self._export is not None

    def apply(self, settings: Settings) -> None:
        """Go by another configuration; spans that wait for the collector of the one before have a little time."""
        self._systems = {name: source.connector.key for name, source in settings.sources.items()}
        tracing = settings.bridge.tracing
        resource = {"service.name": settings.bridge.name, "pushbridge.revision": settings.bridge.revision}
        if tracing == self._settings and resource.items() <= self._resource.items():
            return
        self._settings, self._ratio = tracing, tracing.ratio
        self._resource |= resource
        before, self._export = self._export, None
        if tracing.endpoint:
            loop = asyncio.get_running_loop()
            self._export = SpanExport(
                tracing,
                dict(self._resource),
                report=lambda sent: _unless_closed(loop, self._sent, sent),
            )
        if before is not None:
            closing = asyncio.ensure_future(asyncio.to_thread(before.close, _CLOSING))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Send what waits, within a few seconds. No more spans are taken."""
        export, self._export = self._export, None
        if export is not None:
            await asyncio.to_thread(export.close, _CLOSING)

    # Where a trace begins, or goes on

    def received(self, headers: Mapping[str, object]) -> EventTrace:
        """Of a message that is taken in hand now."""
        parent = trace_from(headers)
        return EventTrace(parent=parent, context=child_of(parent, ratio=self._ratio), received=self._clock())

    def decoded(self, event: EventTrace, parent: TraceContext) -> TraceContext:
        """Our place in the trace that its event names, which may be another than that of its message."""
        if parent.trace != event.parent.trace:
            event.parent, event.context = parent, child_of(parent, ratio=self._ratio)
        event.decoded = self._clock()
        return event.context

    def routed(self, event: EventTrace) -> None:
        event.routed = self._clock()

    def accepting(self, batch: Sequence[InFlightEvent]) -> None:
        """These are about to be stored together, in one transaction."""
        now = self._clock()
        sampled = [each.span for each in batch if each.span is not None and is_sampled(each.span.context.trace)]
        shared = child_of(NO_TRACE, ratio=1.0).trace if len(sampled) > 1 else ""
        for span in sampled:
            span.accepting, span.batch, span.together = now, shared, len(batch)

    def stored(self, batch: Sequence[InFlightEvent]) -> None:
        """They are stored."""
        now = self._clock()
        sampled = [each.span for each in batch if each.span is not None and each.span.accepting]
        for span in sampled:
            span.stored = now
        if len(sampled) > 1 and (first := sampled[0]).batch:
            source = batch[0].message.source
            self._put(
                [
                    Span(
                        name=f"accept {source}",
                        kind=Kind.INTERNAL,
                        context=TraceContext(first.batch),
                        parent="",
                        start=first.accepting,
                        end=now,
                        attributes={"pushbridge.source": source, "messaging.batch.message_count": len(batch)},
                        links=[span.context.trace for span in sampled],
                    )
                ]
            )

    def of_send(self, headers: Mapping[str, str]) -> TraceContext:
        """Our place in the trace of a request that asks for a send; that of the request where no spans are made."""
        parent = trace_from(headers)
        if self._export is None:
            return parent
        context = child_of(parent, ratio=self._ratio)
        self._sends[context.trace] = _Begun(parent=parent, start=self._clock())
        if len(self._sends) > _MAX_SENDS:
            self._sends.popitem(last=False)
        return context

    # Facts

    def _events_stored(self, fact: EventsStored) -> None:
        if self._export is not None:
            self._events(fact.events, given_up=False)

    def _given_up(self, fact: MessagesGivenUp) -> None:
        if self._export is not None:
            self._events(fact.events, given_up=True)

    def _events(self, events: Sequence[InFlightEvent], *, given_up: bool) -> None:
        now = self._clock()
        spans: list[Span] = []
        for event in events:
            if event.span is not None and is_sampled(event.span.context.trace):
                spans += self._of_event(event, event.span, now, given_up=given_up)
        self._put(spans)

    def _of_event(self, event: InFlightEvent, span: EventTrace, now: float, *, given_up: bool) -> Iterable[Span]:
        source = event.message.source
        outcome = "given_up" if given_up else event.outcome.value
        trouble = "the broker took it back before it was stored" if given_up else ""
        if event.outcome in _FAILED and not given_up:
            trouble = f"{'' if event.reason is None else event.reason.value}: {event.detail}"[:_MAX_TEXT]
        attributes: dict[str, Value] = {
            "messaging.system": self._systems.get(source, ""),
            "messaging.operation.type": "process",
            "messaging.message.id": (event.message.id or "")[:_MAX_TEXT],
            "messaging.message.body.size": len(event.message.body),
            "pushbridge.source": source,
            "pushbridge.event_id": event.event_id[:_MAX_TEXT],
            "pushbridge.outcome": outcome,
            "pushbridge.deliveries": event.message.delivery_count,
        }
        if event.decision.matched:
            attributes["pushbridge.rules"] = list(event.decision.matched[:50])
        if event.event is not None:
            attributes["pushbridge.event_type"] = event.event.type[:_MAX_TEXT]
        context = span.context
        yield Span(
            name=f"receive {source}",
            kind=Kind.CONSUMER,
            context=context,
            parent=span.parent.trace,
            start=span.received,
            end=span.stored or now,
            attributes=attributes,
            trouble=trouble,
        )
        steps = (
            ("decode", span.received, span.decoded or span.routed),
            ("route", span.decoded, span.routed),
            ("accept", span.accepting, span.stored),
        )
        for name, start, end in steps:
            if start and end:
                links = [span.batch] if name == "accept" and span.batch else ()
                together = {"messaging.batch.message_count": span.together} if links else {}
                yield _below(context, name, Kind.INTERNAL, start, end, together, links=links)

    def _send_accepted(self, fact: SendAccepted) -> None:
        notification = fact.notification
        begun = self._sends.pop(notification.trace, None)
        if self._export is None or not is_sampled(notification.trace) or begun is None:
            return
        self._put(
            [
                Span(
                    name=f"accept send {notification.hub}",
                    kind=Kind.SERVER,
                    context=TraceContext(notification.trace, notification.tracestate),
                    parent=begun.parent.trace,
                    start=begun.start,
                    end=self._clock(),
                    attributes=_about(notification),
                )
            ]
        )

    def _page_answered(self, fact: PageAnswered) -> None:
        if self._export is None or not fact.pushes:
            return
        shared = child_of(NO_TRACE, ratio=1.0) if fact.together > 1 else NO_TRACE
        spans = [span for pushes in fact.pushes for span in _of_pushes(pushes, fact.platform, shared.trace)]
        if shared.trace:
            name = f"send {fact.platform.value}"
            attributes: dict[str, Value] = {
                "pushbridge.hub": fact.hub,
                "pushbridge.platform": fact.platform.value,
                "messaging.batch.message_count": fact.together,
            }
            spans.append(
                Span(
                    name=f"{name} together",
                    kind=Kind.INTERNAL,
                    context=shared,
                    parent="",
                    start=fact.pushes[0].sent_at,
                    end=fact.pushes[0].answered_at,
                    attributes=attributes | _counted(fact.outcomes),
                    links=[span.context.trace for span in spans if span.name == name],
                )
            )
        self._put(spans)

    def _remote_answered(self, fact: RemoteAnswered) -> None:
        now, attributes = self._clock(), {"pushbridge.platform": REMOTE, **_counted({fact.outcome: 1})}
        self._at(
            fact.notification,
            f"send {REMOTE}",
            Kind.CLIENT,
            now - fact.seconds,
            attributes,
            trouble="" if fact.outcome is OutcomeName.SUCCESS else fact.reason[:_MAX_TEXT] or fact.outcome.value,
        )

    def _unreached(self, fact: NotificationUnreached) -> None:
        self._at(fact.notification, "no device reached", attributes={"pushbridge.reason": fact.why.value})

    def _held(self, fact: NotificationHeld) -> None:
        self._at(fact.notification, "held for an approval", attributes={"pushbridge.registrations": fact.count})

    def _silenced(self, fact: NotificationsSilenced) -> None:
        for notification, silence in fact.silenced:
            attributes = {"pushbridge.silence": silence.id, "pushbridge.action": silence.action.value}
            self._at(notification, "silenced", attributes=attributes)

    def _deferred(self, fact: PushesDeferred) -> None:
        platform = REMOTE if fact.platform is None else fact.platform.value
        self._at(
            fact.notification,
            "deferred",
            attributes={"pushbridge.platform": platform, "pushbridge.reason": fact.reason[:_MAX_TEXT]},
        )

    def _at(
        self,
        notification: Notification,
        name: str,
        kind: Kind = Kind.INTERNAL,
        start: float | None = None,
        attributes: Mapping[str, Value] | None = None,
        *,
        trouble: str = "",
    ) -> None:
        """A span below the notification that ends now, and without `start` begins now too."""
        if self._export is None or not is_sampled(notification.trace):
            return
        now = self._clock()
        above = TraceContext(notification.trace, notification.tracestate)
        said = {**_about(notification), **(attributes or {})}
        self._put([_below(above, name, kind, now if start is None else start, now, said, trouble=trouble)])

    def _put(self, spans: Sequence[Span]) -> None:
        if self._export is not None and spans:
            self._export.put(spans)

    def _sent(self, sent: Sent) -> None:
        """A change of the collector's trouble is one line of the log, however many spans it costs."""
        self._report(SpansSent(counts=sent.counts))
        if bool(sent.trouble) != bool(self._trouble):
            self._report(RelayChanged(kind="tracing", name=self._settings.endpoint, trouble=sent.trouble))
        self._trouble = sent.trouble


def _unless_closed(loop: asyncio.AbstractEventLoop, call: Callable[[Sent], None], sent: Sent) -> None:
    with suppress(RuntimeError):  # the process has ended
        loop.call_soon_threadsafe(call, sent)


def _below(
    above: TraceContext,
    name: str,
    kind: Kind,
    start: float,
    end: float,
    attributes: Mapping[str, Value],
    *,
    links: Sequence[str] = (),
    trouble: str = "",
) -> Span:
    return Span(
        name=name,
        kind=kind,
        context=child_of(above, ratio=1.0),
        parent=above.trace,
        start=start,
        end=end,
        attributes=attributes,
        links=links,
        trouble=trouble,
    )


def _of_pushes(pushes: TracedPushes, platform: Platform, shared: str) -> Iterable[Span]:
    """How pushes of a notification were taken, rendered and answered; `shared` is the request of all, empty for none."""
    notification = pushes.notification
    above = TraceContext(notification.trace, notification.tracestate)
    about = _about(notification) | {"pushbridge.platform": platform.value, "pushbridge.attempt": pushes.attempt}
    if pushes.page:
        about["pushbridge.page"] = pushes.page
    if pushes.taken_at:
        waited: dict[str, Value] = {"pushbridge.waited_seconds": max(0.0, pushes.taken_at - pushes.due_at)}
        yield _below(above, "claim", Kind.INTERNAL, pushes.taken_at, pushes.planned_at, about | waited)
        yield _below(above, "render", Kind.INTERNAL, pushes.planned_at, pushes.sent_at, about)
    yield _below(
        above,
        f"send {platform.value}",
        Kind.CLIENT,
        pushes.sent_at,
        pushes.answered_at,
        {**about, **_counted(pushes.outcomes), "pushbridge.reason": pushes.reason[:_MAX_TEXT]},
        links=[shared] if shared else (),
        trouble=_trouble(pushes),
    )


def _about(notification: Notification) -> dict[str, Value]:
    return {
        "pushbridge.hub": notification.hub,
        "pushbridge.notification_id": notification.id,
        "pushbridge.source": notification.source,
        "pushbridge.event_id": notification.event_id[:_MAX_TEXT],
        "pushbridge.rule": notification.rule,
    }


def _counted(outcomes: Mapping[OutcomeName, int]) -> dict[str, Value]:
    return {f"pushbridge.outcome.{outcome.value}": count for outcome, count in outcomes.items()}


def _trouble(pushes: TracedPushes) -> str:
    """A send that reached a phone went well, though others failed."""
    if OutcomeName.SUCCESS in pushes.outcomes or not pushes.outcomes:
        return ""
    return pushes.reason[:_MAX_TEXT] or next(iter(pushes.outcomes)).value
