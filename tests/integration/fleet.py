"""Daemons that share one PostgreSQL database, a queue of RabbitMQ and one of Service Bus, and what becomes of events while
they die.

`make chaos` runs it for long; `test_fleet.py` runs a short one. The witnesses stand outside: the stand-ins' journal for
what was pushed, the database for what was accepted and who owns which queue, the brokers for what was settled.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from sandbox.servicebus import QueueSettings
from sandbox.services import PushServices
from tests.brokers import queues, servicebus
from tests.brokers import rabbitmq as brokers
from tests.brokers.postgres import PASSWORD, USER, Postgres, native
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.servicebus import ServiceBusQueue
from tests.integration.daemon import Daemon, hubs, register_phone

DAEMONS = 4
ROOM = 1_000_000
"""Notifications that may wait."""
PROGRESS = 120.0
"""Seconds without a new push after which the fleet counts as stuck."""
ADMIN_TOKEN = "only-for-these-tests"
OWNERSHIP = 10.0
"""Seconds in which a queue of a killed daemon has to have a new owner."""
MEETING = 5.0
"""Seconds in which a daemon that works is met within a transaction."""
WRITING = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL"
LOCKED = QueueSettings(lock_duration=8_000)
"""Locks of Service Bus run out while a daemon is stopped; the tenth delivery of a message is its last, as in Azure."""
LONG = 60.0
"""Seconds for which one daemon is stopped."""
BUSY = 2
"""By how much a machine that does other work may be slower."""
IN_FLIGHT = 400
"""Pushes that a daemon has under way at most."""


@dataclass(slots=True)
class Damage:
    """What was done, and how long the queues of each killed daemon had no live owner, in seconds."""

    kills: int = 0
    stops: int = 0
    stops_within: int = 0
    """Stops within a transaction that writes."""
    crashes: int = 0
    new_owner: list[float] = field(default_factory=list)


class Fleet:
    """`async with Fleet.started(...) as fleet`."""

    def __init__(
        self,
        directory: Path,
        postgres: Postgres,
        rabbitmq: RabbitMq,
        parcels: ServiceBusQueue,
        services: PushServices,
        daemons: int,
    ) -> None:
        self.postgres = postgres
        self.rabbitmq = rabbitmq
        self.parcels = parcels
        self.services = services
        self.database = postgres.create()
        self.queue = f"test.fleet.{uuid4().hex[:8]}"
        self.damage = Damage()
        (directory / "password").write_text(f"{PASSWORD}\n")
        self.daemons = [self._daemon(directory, number) for number in range(daemons)]
        self._published = 0

    def _daemon(self, directory: Path, number: int) -> Daemon:
        own = directory / f"daemon-{number}"
        own.mkdir()
        url = f"postgresql://{USER}@127.0.0.1:{self.postgres.port}/{self.database}"
        store = {"url": url, "password_file": str(directory / "password"), "max_pending": ROOM}
        queue = {"name": self.queue, "create_if_missing": {}}
        config = {
            "version": 1,
            "bridge": {
                "http": {"admin_token": ADMIN_TOKEN},
                "store": store,
                "shutdown": {"delay": 0.0},
                "log": {"level": "warning"},
            },
            "delivery": {"max_in_flight": IN_FLIGHT},
            "sources": {
                "orders": {"rabbitmq": {"url": self.rabbitmq.url, "queue": queue}},
                "parcels": {"servicebus": self.parcels.source},
            },
            "rules": [{"name": "order", "push": {"to": "team:all", "with": {"text": "order {{ data.number }}"}}}],
            "hubs": _with_apns_alone(hubs(self.services)),
        }
        return Daemon(own, config, preloaded=True)

    @classmethod
    @asynccontextmanager
    async def started(
        cls,
        directory: Path,
        postgres: Postgres,
        rabbitmq: RabbitMq,
        services: PushServices,
        *,
        daemons: int = DAEMONS,
        prepare: Callable[["Fleet"], Awaitable[None]] | None = None,
        tree: Path | None = None,
    ) -> AsyncIterator["Fleet"]:
        """`prepare` has the database to itself, before any daemon runs; the daemons are of the program in `tree`."""
        async with AsyncExitStack() as stack:
            parcels = await stack.enter_async_context(servicebus.opened("parcels", LOCKED))
            fleet = cls(directory, postgres, rabbitmq, parcels, services, daemons)
            if prepare is not None:
                await prepare(fleet)
            for daemon in fleet.daemons:
                daemon.tree = tree
                await stack.enter_async_context(daemon)
            await fleet.daemons[0].start()
            await asyncio.gather(*(daemon.start() for daemon in fleet.daemons[1:]))
            await register_phone(fleet.daemons[-1], services)
            yield fleet

    async def publish(self, count: int) -> None:
        """The next events: half of them to RabbitMQ, half to Service Bus, at once."""
        await self.publish_numbers(self._next(count))

    async def publish_numbers(self, numbers: range) -> None:
        """Events by their numbers, which may have been published before."""
        half = len(numbers) // 2
        await asyncio.gather(
            self._publish_to_rabbitmq(numbers[:half], self.queue),
            self.parcels.put([(orjson.dumps({"number": number}), f"parcel-{number}") for number in numbers[half:]]),
        )

    async def publish_to(self, queue: str, count: int) -> None:
        """To a queue of RabbitMQ alone."""
        await self._publish_to_rabbitmq(self._next(count), queue)

    def _next(self, count: int) -> range:
        first, self._published = self._published, self._published + count
        return range(first, first + count)

    async def _publish_to_rabbitmq(self, numbers: range, queue: str) -> None:
        messages = ((orjson.dumps({"number": number}), {"message_id": f"order-{number}"}) for number in numbers)
        await asyncio.to_thread(queues.put, self.rabbitmq.url, queue, messages)

    async def status(self, daemon: Daemon) -> dict[str, Any]:
        """What the admin API says of the process."""
        async with self.admin(daemon) as client:
            found: dict[str, Any] = (await client.get("/api/v1/status")).raise_for_status().json()
            return found

    @staticmethod
    def admin(daemon: Daemon) -> httpx.AsyncClient:
        """A client of the daemon's admin API."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        return httpx.AsyncClient(base_url=daemon.url, headers=headers, verify=False, timeout=60)

    # What is seen

    def pushed(self) -> Counter[str]:
        """How often each push was sent, by its id."""
        return Counter(entry.push_id for entry in self.services.journal)

    async def until_pushed(self, count: int) -> None:
        """Return when so many events have been pushed."""
        seen, seen_at = 0, time.monotonic()
        while (now := len({entry.push_id for entry in self.services.journal})) < count:
            if now > seen:
                seen, seen_at = now, time.monotonic()
            assert time.monotonic() - seen_at < PROGRESS, f"stuck at {now} of {count}: {self.said()}"
            await asyncio.sleep(0.1)

    def accepted(self) -> Sequence[tuple[str, int, int]]:
        """(state, notifications, events) of all that was accepted."""
        found: Sequence[tuple[str, int, int]] = self.postgres.run(
            "SELECT state, count(*), count(DISTINCT event_id) FROM notification GROUP BY state", database=self.database
        )
        return found

    async def until_completed(self, count: int) -> None:
        """Return when so many notifications are, and no other; a last record may come after its push."""
        deadline = time.monotonic() + PROGRESS
        while (found := await asyncio.to_thread(self.accepted)) != [("Completed", count, count)]:
            assert time.monotonic() < deadline, f"{found}: {self.said()}"
            await asyncio.sleep(0.2)

    async def until_settled(self) -> None:
        """Return when both brokers have nothing left."""
        await self.parcels.until_settled(seconds=PROGRESS)
        left = await asyncio.to_thread(queues.count, self.rabbitmq.url, self.queue, expected=0)
        assert left == 0, f"{left} messages wait in RabbitMQ"

    def owners(self) -> Counter[str]:
        """How many queues each process owns."""
        rows = self.postgres.run("SELECT owner, count(*) FROM queue GROUP BY owner", database=self.database)
        return Counter(dict(rows))

    def said(self) -> str:
        """What a reader of a failure wants to know: where everything is, and the last that each daemon logged."""
        ((letters,),) = self.postgres.run("SELECT count(*) FROM dead_letter", database=self.database)
        lines = [f"accepted {self.accepted()}, {letters} dead letters, owners {self.owners()}, {self.parcels.state()}"]
        lines.append(f"waiting in RabbitMQ {queues.count(self.rabbitmq.url, self.queue)}")
        for number, daemon in enumerate(self.daemons):
            with httpx.Client(timeout=10) as client, suppress(httpx.TransportError):
                lines.append(f"daemon {number}: {client.get(f'{daemon.url}/readyz').text}")
            lines += [f"daemon {number}: {line}" for line in daemon.log()[-5:]]
        return "\n".join(lines)

    # What is done

    def owner_of(self, daemon: Daemon) -> str:
        """The name under which a daemon owns queues; it holds the number of its process."""
        return next((owner for owner in self.owners() if f" {daemon.pid} " in f" {owner} "), "")

    async def until_shared(self, *daemons: Daemon) -> None:
        """Return when each of these owns queues."""
        deadline = time.monotonic() + PROGRESS
        while not all([await asyncio.to_thread(self.owner_of, daemon) for daemon in daemons]):
            assert time.monotonic() < deadline, f"{self.owners()}: {self.said()}"
            await asyncio.sleep(0.2)

    async def until_all_owned(self, daemon: Daemon) -> dict[str, Any]:
        """What a daemon says of the store, once it sees an owner for each queue."""
        deadline = time.monotonic() + PROGRESS
        while (store := (await self.status(daemon))["store"])["unowned"]:
            assert time.monotonic() < deadline, store
            await asyncio.sleep(0.2)
        found: dict[str, Any] = store
        return found

    async def kill(self, daemon: Daemon) -> None:
        """With SIGKILL; its queues have other owners in time."""
        owner = await asyncio.to_thread(self.owner_of, daemon)
        await daemon.kill()
        self.damage.kills += 1
        began = time.monotonic()
        while owner and (await asyncio.to_thread(self.owners))[owner]:
            assert time.monotonic() - began < PROGRESS, f"{self.owners()}: {self.said()}"
            await asyncio.sleep(0.1)
        if owner:
            self.damage.new_owner.append(time.monotonic() - began)

    async def stop(self, daemon: Daemon, seconds: float) -> None:
        """For longer than its ownership lasts, and within a transaction where one is met soon."""
        self.damage.stops += 1
        owner = await asyncio.to_thread(self.owner_of, daemon)
        deadline = time.monotonic() + MEETING
        while True:
            daemon.pause()
            is_within = await asyncio.to_thread(self._is_writing, owner)
            if is_within or time.monotonic() > deadline:
                break
            daemon.resume()
            await asyncio.sleep(0.003)
        self.damage.stops_within += is_within
        await asyncio.sleep(seconds)
        daemon.resume()

    def _is_writing(self, owner: str) -> bool:
        """Whether a process has begun to write and not committed; the database ends that 2 seconds after its last word."""
        rows = self.postgres.run(f"{WRITING} AND application_name = '{owner}'", database=self.database)
        return bool(rows)

    async def crash_database(self, seconds: float = 0.0, *, hard: bool = False) -> None:
        """It is away for so many seconds; `hard` is SIGKILL for all its processes, else it ends as by `-m immediate`."""
        self.damage.crashes += 1
        await asyncio.to_thread(self.postgres.kill_hard if hard else self.postgres.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.postgres.start)

    async def harm(self, what: str, rng: random.Random) -> None:
        """One thing that goes wrong, and is over."""
        daemon = rng.choice(self.daemons)
        if what == "kill":
            await self.kill(daemon)
            await daemon.start()
        elif what == "stop":
            await self.stop(daemon, rng.uniform(9.0, 20.0))
        else:
            await self.crash_database(rng.choice((0.0, 0.0, 12.0)), hard=rng.random() < 0.5)
        await asyncio.gather(*(each.until_ready() for each in self.daemons))

    def most_repeated(self) -> int:
        """Pushes that may have been sent twice: for each thing that went wrong, what was under way at each daemon that it
        met, and what was answered and not yet recorded."""
        met = self.damage.kills + self.damage.stops + self.damage.crashes * len(self.daemons)
        return met * 2 * IN_FLIGHT


def _with_apns_alone(found: Mapping[str, Any]) -> dict[str, Any]:
    """The version before may not know the newest push services."""
    return {name: {**hub, "platforms": {"apns": hub["platforms"]["apns"]}} for name, hub in found.items()}


@contextmanager
def servers() -> Iterator[tuple[Postgres, RabbitMq]]:
    with native() as postgres, brokers.native() as rabbitmq:
        yield postgres, rabbitmq


async def chaos(events: int, kills: int, seed: int, directory: Path) -> str:
    """What was seen; the daemons' files are in the directory. Raises: AssertionError: a promise was broken."""
    rng = random.Random(seed)
    with servers() as (postgres, rabbitmq):
        async with (
            PushServices(directory) as services,
            Fleet.started(directory, postgres, rabbitmq, services) as fleet,
        ):
            began = time.monotonic()
            harms = ["kill"] * kills + rng.choices(("stop", "database"), k=kills * 2 // 3)
            rng.shuffle(harms)
            each = events // (len(harms) + 2)
            await fleet.publish(each)
            await fleet.stop(rng.choice(fleet.daemons), LONG)
            for what in harms:
                await fleet.publish(each)
                await fleet.harm(what, rng)
            await fleet.publish(events - each * (len(harms) + 1))
            await fleet.until_pushed(events)
            await fleet.until_completed(events)
            await fleet.until_settled()
            repeated = fleet.pushed().total() - events
            assert repeated <= fleet.most_repeated(), repeated
            assert fleet.damage.stops_within, "no stop met a transaction"
            waits = sorted(fleet.damage.new_owner)
            assert all(seconds <= OWNERSHIP for seconds in waits[: len(waits) // 2 + 1]), waits
            assert all(seconds <= BUSY * OWNERSHIP for seconds in waits), waits
            return (
                f"seed {seed}: {events} events in {time.monotonic() - began:.0f} s, {fleet.damage}: 0 lost, 0 accepted"
                f" twice, {repeated} pushes repeated under their first id, {fleet.parcels.delivered_again()} messages of"
                " Service Bus delivered again"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="an empty one, where what daemons wrote stays")
    chosen = parser.parse_args()
    print(f"--seed={chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        directory = chosen.keep or Path(folder)
        print(asyncio.run(chaos(chosen.events, chosen.kills, chosen.seed, directory)))


if __name__ == "__main__":
    main()
