"""Each row of each push service's table of answers, by its stand-in over the wire: the outcome, what becomes of the phone,
and when it is tried again.

The tables stand beside the tests of the verdicts; here each answer passes the transport, the sender's own second try, and
the batches of services that take many phones in a request.
"""

from collections.abc import AsyncIterator, Mapping, Sequence

import orjson
import pytest

from hub.outcome import OutcomeName, Reaction
from sandbox.exchange import Answer, Exchange
from sandbox.services import PushServices
from tests.hub.platforms import test_apns, test_fcm, test_vendors, test_webpush, test_wns
from tests.hub.platforms.lanes import NAMES, Lane, lane_of
from tests.hub.platforms.test_bad_answers import TOKEN_PATHS

Row = tuple[int, Mapping[str, str], bytes, str, str]
"""Status, header fields and body of the answer; the reaction and the outcome that it means."""


def _rows() -> Mapping[str, Sequence[Row]]:
    rows: dict[str, list[Row]] = {
        "apns": [(at, {}, orjson.dumps({"reason": why}), to, name) for at, why, to, name, _ in test_apns.ROWS],
        "fcm": [(at, {}, body, to, name) for at, body, to, name, _ in test_fcm.ROWS],
        "wns": [(at, headers, b"", to, name) for at, headers, to, name, _ in test_wns.ROWS],
        "webpush": list(test_webpush.ROWS),
        "mpns": [(at, {"x-notificationstatus": why}, b"", to, name) for at, why, to, name, _ in test_vendors.MPNS_ROWS],
    }
    for service, at, body, to, name, _ in test_vendors.ROWS:
        rows.setdefault(service, []).append((at, {}, orjson.dumps(body), to, name))
    return rows


ROWS = _rows()


def test_no_push_service_is_without_a_table() -> None:
    assert ROWS.keys() == set(NAMES)


@pytest.fixture(params=NAMES)
async def lane(request: pytest.FixtureRequest, services: PushServices) -> AsyncIterator[Lane]:
    running = lane_of(request.param, services)
    yield running
    await running.sender.close()


class _Scripted:
    """In the place of a stand-in's own answers to pushes; requests for access tokens are answered as always."""

    def __init__(self, lane: Lane) -> None:
        self._server = lane.service._server
        self._as_always = self._server._handle
        self.answer: Answer | None = None
        self._server._handle = self._handle

    def _handle(self, exchange: Exchange) -> None:
        if self.answer is None or exchange.path.endswith(TOKEN_PATHS):
            self._as_always(exchange)
        else:
            exchange.answer(self.answer)


def named(channel: str, body: bytes) -> bytes:
    """A body that names the phone of a push as the bad one, where the table has a phone of no name."""
    return body.replace(b'[\\"t\\"]', orjson.dumps([channel]).replace(b'"', b'\\"'))


@pytest.mark.slow
async def test_each_documented_answer_is_what_the_table_says_and_the_next_push_goes_on(lane: Lane) -> None:
    scripted = _Scripted(lane)
    for number, (status, headers, body, reaction, outcome) in enumerate(ROWS[_name(lane)]):
        push = lane.push(number)
        given = {"retry-after": "7", **headers} if reaction == "throttled" else headers
        scripted.answer = Answer(
            status=status, headers=tuple(given.items()), body=(named(push.push_channel, body),) if body else ()
        )
        (result,) = await lane.send([push])
        row = (status, given, body)
        assert (result.reaction, result.outcome) == (Reaction(reaction), OutcomeName(outcome)), row
        if reaction == "throttled":
            assert result.retry_after is not None, row
            assert 1 <= result.retry_after <= 86_400, row
        scripted.answer = None
        (after,) = await lane.send([lane.push(1000 + number)])
        assert after.reaction is Reaction.DELIVERED, row


def _name(lane: Lane) -> str:
    return {"fcmv1": "fcm", "browser": "webpush"}.get(lane.sender.platform.value, lane.sender.platform.value)
