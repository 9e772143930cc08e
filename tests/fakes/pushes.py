"""Pushes one by one, as tests read and write them; between engine and sender they are columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hub.notification import Priority
from hub.push import DELIVERED, PageVerdict, PushGroup, PushPage, SendResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One position of a page."""

    id: str
    push_channel: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    priority: Priority = Priority.HIGH
    expires_at: datetime | None = None
    collapse_key: str | None = None
    collapse_id: str = ""

    @property
    def group(self) -> PushGroup:
        return PushGroup(
            payload=self.payload,
            headers=self.headers,
            priority=self.priority,
            expires_at=self.expires_at,
            collapse_key=self.collapse_key,
            collapse_id=self.collapse_id,
        )


def page_of(pushes: Sequence[Push]) -> PushPage:
    """A page of these, in order; neighbours that are alike share a group."""
    page = PushPage()
    first = 0
    for position in range(1, len(pushes) + 1):
        if position == len(pushes) or pushes[position].group != pushes[first].group:
            run = pushes[first:position]
            page.add(run[0].group, [push.push_channel for push in run], [push.id for push in run])
            first = position
    return page


def pushes_of(page: PushPage) -> list[Push]:
    """The pushes of a page, in order; those of a group share its payload and headers."""
    return [
        Push(
            id=page.ids[position],
            push_channel=page.push_channels[position],
            payload=group.payload,
            headers=group.headers,
            priority=group.priority,
            expires_at=group.expires_at,
            collapse_key=group.collapse_key,
            collapse_id=group.collapse_id,
        )
        for group, run in page.runs()
        for position in run
    ]


def results_of(verdict: PageVerdict) -> list[SendResult]:
    """One result a push, in order."""
    assert list(verdict.exceptions) == sorted(verdict.exceptions)
    return [verdict.exceptions.get(position, DELIVERED) for position in range(len(verdict))]
