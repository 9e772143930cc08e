"""A daemon whose configuration changes again and again while events flow: none is lost, none is pushed twice.

`make chaos` reloads 200 times; `test_reloads.py` does so for a minute. A configuration changes by a signal, by
`pushbridge reload`, and by itself as its files change, in a directory and as Kubernetes mounts one; some are broken in
between. The witnesses stand outside: what was published, what the stand-ins got, the connections that a relay saw.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from bridge.config.watch import fingerprint
from sandbox.journal import Entry
from sandbox.services import PushServices
from tests.brokers import queues, rabbitmq
from tests.brokers.kafka import Kafka, native
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.relay import Passing, Relay
from tests.brokers.topics import create_topic, produce
from tests.integration.daemon import Daemon, hubs, register_phone

PATIENCE = 60.0
"""Seconds without what is waited for, after which the daemon counts as stuck."""

_BATCH, _EVERY = 60, 0.4
"""Messages that each broker gets at a time, and seconds between two times."""

_SIDE = "side.yaml"

BROKEN: Mapping[str, str] = {
    "no YAML": "rules:\n\t- name: tab\n",
    "an unknown key": "rules:\n  - { name: broken, pusch: {} }\n",
    "an audience cut off": "rules:\n  - { name: broken, push: { to: 'team:x ||', with: { text: a } } }\n",
    "a rule that is there already": "rules:\n  - { name: event, push: { to: everyone, with: { text: a } } }\n",
    "a secret that is not there": "sinks: { s: { http: { url: 'https://x.example/${file:/nowhere/at/all}' } } }\n",
    "a bomb": "rules: &a [&b [x, x, x, x, x, x, x, x, x], &c [*b, *b, *b, *b, *b], *c, *c]\nbomb: [*a, *a, *a, *a]\n",
}
"""What a file may hold that is refused, whatever stands beside it."""


class PlainDirectory:
    """Files that are written where they stand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def write(self, files: Mapping[str, str]) -> None:
        """Have these files and no others."""
        for file in self.path.iterdir():
            if file.name not in files:
                file.unlink()
        for name, text in files.items():
            (self.path / name).write_text(text)


class MountedDirectory:
    """Files as Kubernetes mounts them: links into a directory that is exchanged as a whole by swapping a link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._versions = itertools.count()

    def write(self, files: Mapping[str, str]) -> None:
        """Have these files and no others, all at once but for the names that come and go."""
        version = self.path / f"..{next(self._versions)}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
        data, swapped = self.path / "..data", self.path / "..data_tmp"
        before = data.resolve() if data.exists() else None
        swapped.symlink_to(version.name)
        swapped.replace(data)
        for name in files:
            if not (link := self.path / name).is_symlink():
                link.symlink_to(Path("..data") / name)
        for link in self.path.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()
        if before is not None:
            shutil.rmtree(before)


class CountingRelay(Relay):
    """A relay that counts connections."""

    opened = 0

    def _passing(self) -> tuple[Passing, Passing]:
        self.opened += 1
        return super()._passing()


@dataclass(slots=True)
class Witness:
    """What happened: reloads by what brought them about, those refused, and how often each event was pushed."""

    applied: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    published: set[str] = field(default_factory=set)
    pushed: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        median = sorted(self.seconds)[len(self.seconds) // 2]
        ways = ", ".join(f"{count} by {way}" for way, count in sorted(self.applied.items()))
        return (
            f"{self.applied.total()} reloads ({ways}) and {self.refused.total()} refused,"
            f" {len(self.published)} events pushed once each; a reload took {median:.2f} s"
        )


class World:
    """The daemon, what feeds it, and its configuration."""

    def __init__(self, daemon: Daemon, directory: PlainDirectory | MountedDirectory, base: str, seed: int) -> None:
        self.daemon = daemon
        self.directory = directory
        self.witness = Witness()
        self._base = base
        self._chance = random.Random(seed)
        self._revision = 0
        self._has_side = False
        self._read = 0
        self._lines: list[dict[str, Any]] = []

    def files(self) -> dict[str, str]:
        """The present configuration; `side.yaml` has a source and a rule of its own."""
        rules = [
            {
                "name": "event",
                "source": [*json.loads(self._base)["sources"]],
                "push": {"to": "team:all", "with": {"text": "{{ data.id }} at " + str(self._revision)}},
            },
            *(
                {"name": f"no-{number}", "match": {"data": {"shop": f"s{number}"}}, "stop": True}
                for number in range(300)
            ),
        ]
        files = {"base.yaml": self._base, "rules.yaml": json.dumps({"rules": rules})}
        if self._has_side:
            source = {"http": {"path": "/in/side"}, "map": {"id": "{{ data.id }}", "type": "side"}}
            rule = {
                "name": "side",
                "source": "side",
                "push": {"to": "team:all", "with": {"text": "{{ data.id }} at side"}},
            }
            files[_SIDE] = json.dumps({"sources": {"side": source}, "rules": [rule]})
        return files

    async def change(self) -> None:
        """Change something, bring the change about in one of the ways, and return when it is in force."""
        self._revision += 1
        if self._chance.random() < 0.4:
            self._has_side = not self._has_side
        if self._chance.random() < 0.3:
            base = json.loads(self._base)
            [hub] = base["hubs"].values()
            # Another hub, whose senders are replaced.
            hub["limits"] = {"max_tags_per_expression": 20 + self._revision % 30}
            self._base = json.dumps(base)
        self.directory.write(self.files())
        way, began = self._chance.choice(["signal", "command", "watching", "signal"]), time.monotonic()
        hash_ = fingerprint(self.directory.path)
        ended = await self._bring_about(way)
        assert ended in (None, 0), f"pushbridge reload ended with {ended}"
        line = await self._logged("configuration applied", hash_)
        assert not {*line["stopped"], *line["started"]} - {"side"}, f"a source that did not change was stopped: {line}"
        self.witness.applied[way] += 1
        if way != "watching":
            self.witness.seconds.append(time.monotonic() - began)

    async def break_it(self) -> None:
        """Have a file that is refused, which is named, and then none."""
        kind = self._chance.choice(list(BROKEN))
        self.directory.write({**self.files(), "wrong.yaml": BROKEN[kind]})
        ended = await self._bring_about(self._chance.choice(["signal", "command", "watching"]))
        assert ended in (None, 1), f"pushbridge reload took {kind}: it ended with {ended}"
        line = await self._logged("configuration refused")
        assert any("wrong.yaml:" in problem for problem in line["problems"]), (kind, line["problems"][:3])
        self.witness.refused[kind] += 1

    async def _bring_about(self, way: str) -> int | None:
        if way == "signal":
            os.kill(self.daemon.pid, signal.SIGHUP)
        if way != "command":
            return None
        command = [sys.executable, "-m", "bridge", "reload", "--url", self.daemon.url]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait()

    async def _logged(self, event: str, hash_: str | None = None) -> dict[str, Any]:
        """The next line of the log that says so, of those that were not looked at yet."""
        since = time.monotonic()
        while time.monotonic() - since < PATIENCE:
            with self.daemon.output_file.open("rb") as output:
                output.seek(self._read)
                new = output.read()
            whole = new.rpartition(b"\n")[0]
            self._read += len(whole) + 1 if whole else 0
            self._lines += [orjson.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
            while self._lines:
                line = self._lines.pop(0)
                if line["event"] == event and hash_ in (None, line.get("config_hash")):
                    return line
            await asyncio.sleep(0.02)
        raise AssertionError(f"no line {event!r} {hash_ or ''}: {self.daemon.errors()}")

    async def feed_rabbitmq(self, url: str, queue: str) -> None:
        """Publish until cancelled; what is under way then is published."""
        for number in itertools.count():
            ids = [f"r-{number}-{each}" for each in range(_BATCH)]
            messages = [(orjson.dumps({"id": id}), {"message_id": id}) for id in ids]
            await asyncio.shield(asyncio.to_thread(queues.put, url, queue, messages))
            self.witness.published.update(ids)
            await asyncio.sleep(_EVERY)

    async def feed_kafka(self, kafka: Kafka, topic: str) -> None:
        """Produce until cancelled."""
        for number in itertools.count():
            ids = [f"k-{number}-{each}" for each in range(_BATCH)]
            await produce(kafka, topic, {orjson.dumps({"id": id}): each % 2 for each, id in enumerate(ids)})
            self.witness.published.update(ids)
            await asyncio.sleep(_EVERY)

    async def feed_http(self) -> None:
        """Post until cancelled; the source is there or not."""
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=PATIENCE) as client:
            for number in itertools.count():
                answer = await client.post(f"{self.daemon.url}/in/side", json={"id": f"h-{number}"})
                assert answer.status_code in (202, 404, 503), answer.text
                if answer.status_code == httpx.codes.ACCEPTED:
                    self.witness.published.add(f"h-{number}")
                await asyncio.sleep(0.02)

    def pushed(self, entry: Entry) -> None:
        """Count a push of an event."""
        if entry.accepted:
            text: str = orjson.loads(entry.payload)["aps"]["alert"]
            self.witness.pushed[text.partition(" at ")[0]] += 1


async def run(
    directory: Path, broker: RabbitMq, *, reloads: int, is_mounted: bool, kafka: Kafka | None = None, seed: int = 1
) -> Witness:
    """Reload so often under load; what was seen, once all that was published has been pushed."""
    async with _opened(directory, broker, is_mounted=is_mounted, kafka=kafka, seed=seed) as (world, relay, feeding):
        connected = relay.opened
        for number in range(reloads):
            if number % 5 == 3:
                await world.break_it()
            await world.change()
            assert all(not task.done() for task in feeding), [task.exception() for task in feeding if task.done()]
        for task in feeding:
            task.cancel()
        await asyncio.gather(*feeding, return_exceptions=True)
        await asyncio.sleep(2 * _EVERY)
        witness = world.witness
        since = time.monotonic()
        while missing := witness.published - witness.pushed.keys():
            assert time.monotonic() - since < PATIENCE, f"{len(missing)} were lost: {sorted(missing)[:5]}"
            await asyncio.sleep(0.1)
        assert await world.daemon.terminate() == 0, world.daemon.errors()
        twice = [id for id, count in witness.pushed.items() if count > 1]
        assert not twice, f"{len(twice)} were pushed twice: {twice[:5]}"
        assert relay.opened == connected, f"the source connected {relay.opened - connected} times more"
        states = [line for line in world.daemon.log() if line["event"] == "source" and line["source"] == "kafka"]
        assert kafka is None or {line["state"] for line in states} <= {"connecting", "running", "stopped"}, states
        return witness


@asynccontextmanager
async def _opened(
    directory: Path, broker: RabbitMq, *, is_mounted: bool, kafka: Kafka | None, seed: int
) -> AsyncIterator[tuple[World, CountingRelay, Sequence["asyncio.Task[None]"]]]:
    queue, topic = f"test.reloads.{uuid4().hex[:8]}", f"reloads-{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(PushServices(directory))
        relay = await stack.enter_async_context(CountingRelay(broker.port))
        url = f"amqp://guest:guest@127.0.0.1:{relay.port}/%2F"
        sources: dict[str, Any] = {
            "rabbit": {"rabbitmq": {"url": url, "queue": {"name": queue, "create_if_missing": {}}}},
        }
        if kafka is not None:
            await create_topic(kafka, topic, partitions=2)
            settings = {"bootstrap": [kafka.bootstrap], "topics": [topic], "group": topic, "start": "earliest"}
            sources["kafka"] = {"kafka": settings, "map": {"id": "{{ data.id }}", "type": "k"}}
        bridge = {"store": {"url": f"sqlite:///{directory / 'pushbridge.db'}"}, "shutdown": {"delay": 0.0}}
        daemon = await stack.enter_async_context(
            Daemon(directory, {"bridge": bridge, "sources": sources, "hubs": hubs(services)}, preloaded=True)
        )
        layout = MountedDirectory if is_mounted else PlainDirectory
        configured = layout(directory / "configuration")
        world = World(daemon, configured, daemon.config_file.read_text(), seed)
        daemon.config_file = configured.path
        configured.write(world.files())
        await daemon.start()
        await register_phone(daemon, services)
        services.journal.subscribe(world.pushed)
        feeds = [world.feed_rabbitmq(broker.url, queue), world.feed_http()]
        if kafka is not None:
            feeds.append(world.feed_kafka(kafka, topic))
        feeding = [asyncio.create_task(feed) for feed in feeds]
        try:
            yield world, relay, feeding
        finally:
            for task in feeding:
                task.cancel()
            with suppress(Exception):
                await asyncio.to_thread(queues.delete, broker.url, queue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with rabbitmq.native() as broker, native() as kafka:
        for is_mounted in (False, True):
            with tempfile.TemporaryDirectory() as directory:
                witness = asyncio.run(
                    run(
                        Path(directory),
                        broker,
                        reloads=asked.reloads // 2,
                        is_mounted=is_mounted,
                        kafka=kafka,
                        seed=asked.seed + is_mounted,
                    )
                )
            print(f"{'mounted' if is_mounted else 'plain'} directory: {witness} (seed {asked.seed})", flush=True)


if __name__ == "__main__":
    main()
