"""Huawei and Xiaomi take many push channels in a request: who of them is bad gets its own verdict, and nobody else."""

import math
from collections import Counter
from collections.abc import Sequence

import orjson
import pytest

from hub.outcome import OutcomeName, Reaction
from hub.platforms.batches import SEPARATOR, send_in_batches
from hub.platforms.huawei import sender as huawei
from hub.platforms.xiaomi import sender as xiaomi
from hub.push import PageVerdict, PushGroup, PushPage, SendResult
from sandbox.services import PushServices
from tests.hub.platforms.lanes import lane_of

UNCLEAR = SendResult(reaction=Reaction.GONE, outcome=OutcomeName.BAD_CHANNEL, only=frozenset())
DEAD = frozenset({"phone-3", "phone-6"})


def page(count: int) -> PushPage:
    made = PushPage()
    made.add(PushGroup(payload=b"{}"), [f"phone-{number}" for number in range(count)], list(map(str, range(count))))
    return made


class Service:
    """It refuses a request with a dead push channel in it, and does not say which; it counts requests."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []

    async def send(self, some: PushPage, seconds: float) -> PageVerdict:
        exceptions = {}
        for position, joined in enumerate(some.push_channels):
            channels = joined.split(SEPARATOR)
            self.requests.append(channels)
            if DEAD & set(channels):
                exceptions[position] = UNCLEAR
        return PageVerdict(delivered=len(some) - len(exceptions), exceptions=exceptions)


async def test_a_refusal_that_names_nobody_is_asked_of_halves_until_it_is_clear() -> None:
    service = Service()
    verdict = await send_in_batches(page(16), service.send, most=16, deadline=60.0)
    assert set(verdict.exceptions) == {3, 6}
    assert verdict.delivered == 14
    taken = Counter(channel for each in service.requests if not DEAD & set(each) for channel in each)
    assert set(taken.values()) == {1}, "nobody was sent to twice"
    assert len(service.requests) <= 2 * len(DEAD) * math.log2(16) + 1


async def test_what_is_named_alone_is_refused() -> None:
    async def send(some: PushPage, seconds: float) -> PageVerdict:
        named = SendResult(reaction=Reaction.GONE, outcome=OutcomeName.BAD_CHANNEL, only=frozenset({"phone-1"}))
        return PageVerdict(exceptions=dict.fromkeys(range(len(some)), named))

    verdict = await send_in_batches(page(5), send, most=2, deadline=60.0)
    assert list(verdict.exceptions) == [1, 2, 3, 4], "where it is not among the named, each phone is asked for alone"


async def test_neighbours_with_other_payloads_are_other_requests() -> None:
    service = Service()
    mixed = page(2)
    mixed.add(PushGroup(payload=b"[]"), ["phone-7", "phone-8"], ["7", "8"])
    await send_in_batches(mixed, service.send, most=1000, deadline=60.0)
    assert service.requests == [["phone-0", "phone-1"], ["phone-7", "phone-8"]]


@pytest.mark.parametrize("name", ["huawei", "xiaomi"])
@pytest.mark.parametrize("dead", [(), (0,), (7, 299), tuple(range(300))])
async def test_phones_that_share_a_payload_cost_a_request_and_the_dead_are_known(
    services: PushServices, name: str, dead: Sequence[int]
) -> None:
    lane = lane_of(name, services)
    pushes = lane.pushes(300)
    for number in dead:
        lane.service.unregister(pushes[number].push_channel)
    results = await lane.send(pushes)
    gone = [number for number, result in enumerate(results) if result.reaction is Reaction.GONE]
    assert gone == list(dead)
    assert len({entry.push_id for entry in services.journal}) == 1, "one request"
    assert all(result.suspect is (len(dead) == 300) for result in results if result.reaction is Reaction.GONE)
    assert not any(push.push_channel in result.reason for push in pushes for result in results)
    await lane.sender.close()


def test_answers_about_some_name_them_or_nobody() -> None:
    some = huawei.verdict(200, {}, orjson.dumps({"code": "80100000", "msg": '{"illegal_tokens":["a","b"]}'}))
    assert some.only == frozenset({"a", "b"})
    assert not some.suspect
    for words in ("no JSON", "{}", '{"illegal_tokens":7}', 7, None):
        assert huawei.verdict(200, {}, orjson.dumps({"code": "80100000", "msg": words})).only == frozenset()
    assert huawei.verdict(400, {}, orjson.dumps({"code": "80300010", "msg": "too many"})).only == frozenset()
    assert huawei.verdict(400, {}, orjson.dumps({"code": "80300007"})).only is None
    assert xiaomi.verdict(200, {}, b'{"code":0,"data":{"id":"x","bad_regids":"a,b"}}').only == frozenset({"a", "b"})
    members: list[object] = [{"bad_regids": ""}, {"bad_regids": 7}, [], None]
    for data in members:
        assert xiaomi.verdict(200, {}, orjson.dumps({"code": 0, "data": data})).is_plain
