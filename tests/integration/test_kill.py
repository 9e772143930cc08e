"""The promise of durability, put to the test: a daemon that is killed again and again loses and repeats nothing.

A RabbitMQ queue is drained while the process that drains it dies of SIGKILL at 50 random moments. The witnesses stand
outside: the stand-ins' journal for what was pushed, the database as each dead process left it for what was under way.
"""

import asyncio
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from sandbox.journal import Entry
from sandbox.phones import VirtualPhone
from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.relay import Relay
from tests.integration.daemon import Daemon, hubs

MESSAGES = 9_000
KILLS = 50
IN_FLIGHT = 100
"""Notifications in hand at most (`store.max_pending`): what a kill may repeat. Unless pushes are answered the queue is
not drained, however fast the machine."""

PHONES = ("apns", "fcmv1", "apns", "fcmv1", "apns", "browser", "wns") * 10
"""Platforms of the phones; message n is for phone n modulo their number, and one phone is one push."""

PROGRESS = 60.0
"""Seconds without the push that is waited for, after which the daemon counts as stuck."""

_NUMBER = re.compile(rb"posting number (\d+)\b")


class Identity(Enum):
    """What tells a message that comes again."""

    MESSAGE = "ids set by the publisher"
    BODY = "ids in the body only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What is drawn for one process, in the order in which it happens.

    So many `pushes` are answered; then the broker hears nothing more of the process while `unheard` pushes are answered;
    then, if `held`, at least one is taken and not answered; then it is killed after `delay` seconds.
    """

    pushes: int = 0
    unheard: int = 0
    held: bool = False
    delay: float = 0.0


@dataclass(slots=True)
class Witness:
    """What was seen. `unfinished` counts by event the dead processes that had accepted it and not recorded its end.

    `repeats` and `shown_twice` are by platform: pushes repeated, and repeats that left a second alert on the screen.
    `redelivered` counts the messages that were handed out again after their event had been accepted.
    """

    identity: Identity
    kills: int = 0
    kills_in_flight: int = 0
    unfinished: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    shown_twice: Counter[str] = field(default_factory=Counter)
    redelivered: int = 0

    def __str__(self) -> str:
        return (
            f"{self.identity.value}: {self.kills_in_flight} of {self.kills} kills with pushes in flight,"
            f" {self.unfinished.total()} notifications unfinished at kills, {self.repeats.total()} pushes repeated"
            f" ({_listed(self.repeats)}), {self.shown_twice.total()} of them shown twice ({_listed(self.shown_twice)}),"
            f" {self.redelivered} messages redelivered after acceptance"
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{platform} {counts[platform]}" for platform in sorted(set(PHONES)))


@pytest.mark.timeout(600)  # a minute and a half on two idle cores
async def test_kills_lose_nothing_and_repeat_only_what_was_in_flight(
    rabbitmq: RabbitMq, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ids set by the publisher and with an id in the body only: side by side, as most of it is starting up."""
    seed = int(os.environ.get("PUSHBRIDGE_KILL_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nPUSHBRIDGE_KILL_SEED={seed}")
    async with asyncio.TaskGroup() as group:
        runs = [
            group.create_task(_run(Identity.MESSAGE, rabbitmq, tmp_path / "message", random.Random(seed))),
            group.create_task(_run(Identity.BODY, rabbitmq, tmp_path / "body", random.Random(seed + 1))),
        ]
    with capsys.disabled():
        for run in runs:
            print(run.result())


async def _run(identity: Identity, rabbitmq: RabbitMq, directory: Path, rng: random.Random) -> Witness:
    directory.mkdir()
    witness = Witness(identity)
    queue = f"test.kill.{uuid4().hex[:8]}"
    async with (
        PushServices(directory, journal_file=directory / "journal") as services,
        Relay(rabbitmq.port) as relay,
        Daemon(directory, _configuration(relay.port, queue, services, identity), preloaded=True) as daemon,
    ):
        await daemon.start()  # the queue is there from now on
        phones = [services.add_phone(f"phone-{number}", platform) for number, platform in enumerate(PHONES)]
        await daemon.register(*_installations(phones))
        assert await daemon.terminate() == 0
        await asyncio.to_thread(queues.put, rabbitmq.url, queue, _messages(identity))

        missing = set(range(MESSAGES))
        everything = _emptied(missing, services)
        for life in _lives(rng):
            await daemon.launch()
            await _live(life, services, relay)
            await _kill(daemon, services, relay, witness)
        assert len(missing) > IN_FLIGHT, "the kills were to come while the queue was being drained"

        await daemon.launch()
        await asyncio.wait([everything], timeout=PROGRESS)
        assert not missing, f"{len(missing)} messages were lost: {sorted(missing)[:10]} ..."
        assert await daemon.terminate() == 0
        assert await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=0) == 0

        _count_repeats(phones, witness)
        assert witness.repeats.total() == len(services.journal) - MESSAGES, services.journal.counts()
        witness.redelivered = sum(line.get("end") == "duplicate" for line in daemon.log())
        _assert_accepted_once(daemon)
        _assert_repeats_explained(services, witness)
        assert all(witness.repeats[platform] for platform in PHONES), f"a platform had no repeated push: {witness}"
        assert not witness.shown_twice.total(), witness
        assert witness.kills == KILLS
        assert witness.kills_in_flight >= 40
        assert witness.redelivered, "no redelivery was seen: nothing was tested of what it must not do"
    return witness


def _configuration(port: int, queue: str, services: PushServices, identity: Identity) -> dict[str, Any]:
    url = f"amqp://guest:guest@127.0.0.1:{port}/%2F"
    return {
        "bridge": {"store": {"max_pending": IN_FLIGHT}},
        "sources": {
            "bank": {
                "rabbitmq": {
                    "url": url,
                    "queue": {"name": queue, "create_if_missing": {"delivery_limit": KILLS + 10}},
                    "receive": {"prefetch": 4 * IN_FLIGHT},
                },
                "map": {"id": "{{ data.postingId }}"} if identity is Identity.BODY else {},
            }
        },
        "rules": [
            {
                "name": "posting",
                "source": "bank",
                "push": {"to": "customer:{{ data.customer }}", "with": {"text": "posting number {{ data.number }}"}},
            }
        ],
        "hubs": hubs(services),
    }


def _installations(phones: Sequence[VirtualPhone]) -> list[Mapping[str, Any]]:
    bodies = {
        "apns": '{"aps": {"alert": "$(text)"}}',
        "fcmv1": '{"message": {"notification": {"body": "$(text)"}}}',
        "wns": '<toast><visual><binding template="ToastText01"><text id="1">$(text)</text></binding></visual></toast>',
        "browser": '{"notification": {"title": "Bank", "body": "$(text)"}}',
    }
    return [
        {
            "installationId": phone.name,
            "platform": phone.platform,
            "pushChannel": phone.handle,
            "tags": [f"customer:{number}"],
            "templates": {"text": {"body": bodies[phone.platform]}},
        }
        for number, phone in enumerate(phones)
    ]


def _event_id(number: int) -> str:
    return f"p-{number:05d}"


def _messages(identity: Identity) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
    for number in range(MESSAGES):
        body: dict[str, Any] = {"number": number, "customer": number % len(PHONES)}
        if identity is Identity.MESSAGE:
            yield orjson.dumps(body), {"message_id": _event_id(number)}
        else:
            yield orjson.dumps({**body, "postingId": _event_id(number)}), {}


def _lives(rng: random.Random) -> list[Life]:
    """50 processes in random order.

    Most die with pushes in flight, six of them with messages settled that the broker does not know to be settled; four
    at any moment of their work, three while they start. One push more than are in hand without the broker hearing of
    it was accepted without the broker hearing of it.
    """
    lives = [Life(pushes=rng.randint(1, 200), held=True) for _ in range(37)]
    lives += [Life(pushes=rng.randint(120, 200), unheard=IN_FLIGHT + rng.randint(1, 40), held=True) for _ in range(6)]
    lives += [Life(pushes=rng.randint(1, 200), delay=rng.uniform(0, 0.1)) for _ in range(4)]
    lives += [Life(delay=rng.uniform(0, 0.5)) for _ in range(KILLS - len(lives))]
    rng.shuffle(lives)
    return lives


async def _live(life: Life, services: PushServices, relay: Relay) -> None:
    """Return at the moment of the kill."""
    await _pushes(services, life.pushes)
    if life.unheard:
        relay.stall()
        await _pushes(services, life.unheard)
    if life.held:
        for service in _each(services):
            service.faults.hold()
        await _pushes(services, 1)
    await asyncio.sleep(life.delay)


async def _pushes(services: PushServices, count: int) -> None:
    if count:
        seen = len(services.journal)
        await services.journal.wait_for(lambda entry: entry.seq > seen, count=count, timeout=PROGRESS)


async def _kill(daemon: Daemon, services: PushServices, relay: Relay, witness: Witness) -> None:
    in_flight = sum(service.faults.held for service in _each(services))
    await daemon.kill()
    witness.kills += 1
    witness.kills_in_flight += in_flight > 0
    with daemon.database() as database:
        unfinished = database.execute("SELECT event_id FROM notification WHERE ended_at IS NULL")
        witness.unfinished.update(event_id for (event_id,) in unfinished)
    for service in _each(services):
        service.faults.release()
    await relay.cut()  # what was held back is lost
    relay.flow()


def _each(services: PushServices) -> tuple[Any, ...]:
    return services.apns, services.fcm, services.wns, services.webpush


def _emptied(missing: set[int], services: PushServices) -> "asyncio.Future[None]":
    """Done when the last of the missing messages has been accepted by a push service; each is taken out as it is."""
    done = asyncio.get_running_loop().create_future()

    def take(entry: Entry) -> None:
        if entry.accepted and missing:
            missing.discard(_number(entry))
            if not missing:
                done.set_result(None)

    services.journal.subscribe(take)
    return done


def _number(entry: Entry) -> int:
    found = _NUMBER.search(entry.payload)
    assert found is not None, entry
    return int(found[1])


def _count_repeats(phones: Sequence[VirtualPhone], witness: Witness) -> None:
    """What each phone got more often than once, and what of it a person sees more often than once."""
    for phone in phones:
        received = Counter(one.body for one in phone.received)
        seen = Counter(one.body for one in phone.screen)
        assert seen.keys() == received.keys(), "a notification took another one's place"
        witness.repeats[phone.platform] += received.total() - len(received)
        witness.shown_twice[phone.platform] += seen.total() - len(seen)


def _assert_accepted_once(daemon: Daemon) -> None:
    """In the store every event has one notification, which succeeded, and nothing else came of it."""
    with daemon.database() as database:
        rows = database.execute("SELECT event_id, count(*) FROM notification GROUP BY event_id").fetchall()
        assert dict(rows) == {_event_id(number): 1 for number in range(MESSAGES)}
        states = database.execute("SELECT state, count(*) FROM notification GROUP BY state").fetchall()
        assert states == [("Completed", MESSAGES)]
        assert database.execute("SELECT count(*) FROM dead_letter").fetchone() == (0,)


def _assert_repeats_explained(services: PushServices, witness: Witness) -> None:
    """Every message was pushed; each repeat has the same push id and a kill that had it in hand.

    Counted for each event apart, this is sharper than the sum: a kill repeats at most the pages in flight at it.
    """
    tries: Counter[int] = Counter()
    push_ids: dict[int, set[str]] = defaultdict(set)
    for entry in services.journal:
        assert entry.accepted, entry
        number = _number(entry)
        tries[number] += 1
        push_ids[number].add(entry.push_id)
    assert tries.keys() == set(range(MESSAGES))
    assert {number: ids for number, ids in push_ids.items() if len(ids) > 1} == {}
    assert len(set().union(*push_ids.values())) == MESSAGES
    unexplained = {
        number: (count - 1, witness.unfinished[_event_id(number)])
        for number, count in tries.items()
        if count - 1 > witness.unfinished[_event_id(number)]
    }
    assert unexplained == {}, "repeats, and at how many kills the event was unfinished"
