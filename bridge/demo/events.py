"""What the line-of-business system posts: the same four events first, then others like them for as long as one looks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEvent:
    """One request to an HTTP source. `id` is what the configuration makes the event's identity."""

    id: str
    source: str
    content_type: str
    body: str


def joined(employee: str) -> SampleEvent:
    """Somebody joined: a line of plain text from the HR system."""
    return SampleEvent(
        id=f"{employee}/joined",
        source="hr",
        content_type="text/plain",
        body=f"Employee Id '{employee}' has joined.",
    )


def debit(posting: str, *, customer: str, amount: str, merchant: str) -> SampleEvent:
    """A card was used: JSON from the bank's core system."""
    body = f"""{{
  "postingId": "{posting}", "kind": "debit", "customerId": "{customer}", "accountId": "CH560483501234567{customer}",
  "currency": "CHF", "amount": {amount}, "alertFrom": 500, "merchant": {{"name": "{merchant}"}},
  "bookedAt": "{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
}}"""
    return SampleEvent(id=posting, source="core-banking", content_type="application/json", body=body)


def approval(request: str, *, requester: str, amount: str, cost_center: str) -> SampleEvent:
    """A budget needs Maria's approval: XML from the finance system."""
    body = f"""<?xml version="1.0" encoding="UTF-8"?>
<ApprovalRequest>
  <RequestNo>{request}</RequestNo><State>Requested</State>
  <RequesterName>{requester}</RequesterName><ApproverId>maria</ApproverId>
  <CostCenter>{cost_center}</CostCenter><Amount>{amount}</Amount>
</ApprovalRequest>"""
    return SampleEvent(id=f"{request}/Requested", source="budget", content_type="application/xml", body=body)


def unreadable() -> SampleEvent:
    """Not what the HR system promised: it ends as a dead letter, and the next event gets its turn."""
    return SampleEvent(id="", source="hr", content_type="text/plain", body="Employee Id 'unknown' has joined?")


def first_events() -> list[SampleEvent]:
    """The four that the demo is judged by: who has to see them is in `expected.py`."""
    return [
        joined("12345"),
        debit("p-1001", customer="4711", amount="720.55", merchant="Alpine Sports"),
        debit("p-1002", customer="4711", amount="240.00", merchant="Corner Bakery"),
        approval("BR-2041", requester="Ben Frei", amount="18500.00", cost_center="Marketing"),
    ]


def later_events() -> Iterator[SampleEvent]:
    """Others like them, without end."""
    merchants = cycle(["Lakeside Hotel", "City Airlines", "Old Town Books"])
    for number in count(1):
        yield joined(f"{12345 + number}")
        yield debit(
            f"p-{1001 + 2 * number}", customer="4712", amount=f"{510 + 35 * (number % 20)}", merchant=next(merchants)
        )
        yield approval(
            f"BR-{2041 + number}", requester="Anna Keller", amount=f"{number % 9 + 1}200.00", cost_center="IT"
        )
        yield unreadable()
        yield debit(f"p-{1002 + 2 * number}", customer="4711", amount="18.90", merchant="Corner Bakery")
