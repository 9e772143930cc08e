"""What the way to a push service costs: latency that is added, connections, a page that has to be quick, other services.

    python -m benchmarks --only wire
    python -m benchmarks.wire JSON

A broadcast of the daemon is measured with the service near and behind a relay that adds 50 ms, by turns. The rest is of
the transport alone, in a process of its own.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import daemon, figures
from benchmarks.delaying import delayed
from benchmarks.nginx import FastPushService
from benchmarks.pinning import on_the_measured_core
from benchmarks.senders import PAGE, PAYLOAD, TOKEN, TOPIC, others_of, pages_of, posting
from hub.egress import Egress
from hub.platforms.apns.sender import requests_for
from hub.platforms.apns.sender import verdict as apns_verdict
from hub.platforms.fcm import sender as fcm
from hub.push import PushGroup, PushPage
from hub.requests import RequestGroup
from hub.store.sqlite.store import SqliteStore
from hub.tls import Tls
from hub.transport.client import Transport

ROUND_TRIP = 0.05
"""Seconds that are added."""
CONNECTIONS = (1, 4, 16)
BESIDE = ("FCM / APNs", *(f"{name} / FCM" for name in ("Huawei", "ADM", "Xiaomi")))
"""Services whose pushes are to cost no more than a tenth more than another's."""
ROUNDS = 5
_TOKENS = 500
_DEADLINE = 60.0
_MESSAGE = b'{"message":{"notification":{"title":"Deposit","body":"You received 1,234.56 EUR from Contoso"}}}'


def measure(directory: Path, service: FastPushService, *, phones: int, pushes: int) -> figures.Figures:
    """Medians of the rounds, and how much of the rate is left with the latency: of each round, the median of it."""
    with delayed(int(service.url.rpartition(":")[2]), seconds=ROUND_TRIP) as port:
        far = f"https://127.0.0.1:{port}"
        return {
            **_broadcasts(directory, service, far, phones),
            **_transport({"near": service.url, "far": far, "ca_file": str(service.ca_file), "pushes": pushes}),
        }


def _broadcasts(directory: Path, service: FastPushService, far: str, phones: int) -> Mapping[str, float]:
    added = f"{ROUND_TRIP * 1000:g} ms"
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with ExitStack() as stack:
        daemons = {}
        for name, endpoint in (("0 ms", service.url), (added, far)):
            own = directory / name.replace(" ", "")
            own.mkdir()
            config = daemon.configuration(own, apns_endpoint=endpoint, ca_file=service.ca_file)
            asyncio.run(figures.register(SqliteStore(own / "bench.db"), phones))
            daemons[name] = stack.enter_context(daemon.running(config))
        for each in daemons.values():
            _broadcast(each, phones)  # connections, caches
        for _ in range(ROUNDS):
            for name, each in daemons.items():
                seen[name].append(_broadcast(each, phones))
    rates = {
        f"broadcast, {name} added, pushes/{unit}": statistics.median(rate[which] for rate in each)
        for name, each in seen.items()
        for which, unit in enumerate(("s", "CPU-s"))
    }
    kept = [late[0] / near[0] for near, late in zip(seen["0 ms"], seen[added], strict=True)]
    return {**rates, f"broadcast, {added} / 0 ms, pushes/s": statistics.median(kept)}


def _broadcast(running: daemon.Daemon, phones: int) -> tuple[float, float]:
    """Pushes a second, and a second of CPU."""
    before = running.cpu_seconds
    sent = running.broadcast({"title": "Bench", "body": "round 1"})
    figures.await_(partial(running.is_completed, sent), pause=0.5)  # seldom: asking is work for the measured core too
    return phones / running.took(sent), phones / (running.cpu_seconds - before)


def _transport(asked: Mapping[str, Any]) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.wire", json.dumps(asked)],
        check=True,
        stdout=subprocess.PIPE,
        preexec_fn=on_the_measured_core,
    )
    seen: Mapping[str, list[float]] = json.loads(done.stdout)
    return {name: statistics.median(values) for name, values in seen.items()}


async def _measure(asked: Mapping[str, Any]) -> Mapping[str, list[float]]:
    egress = Egress(tls=Tls(ca_file=Path(asked["ca_file"])))
    seen: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for connections in CONNECTIONS:
            transport = Transport(egress, connections=connections)
            await _post(transport, asked["near"], 2 * PAGE)  # opens them
            before = time.process_time()
            await _post(transport, asked["near"], asked["pushes"])
            seen[f"{connections} connections, pushes/CPU-s"].append(asked["pushes"] / (time.process_time() - before))
            await transport.close()
        transport = Transport(egress)
        for name in ("new connections", "open ones"):
            began = time.perf_counter()
            await _post_tokens(transport, asked["far"])
            seen[f"{_TOKENS} FCM tokens, {ROUND_TRIP * 1000:g} ms added, {name}, s"].append(time.perf_counter() - began)
        for name, ratio in (await _beside_fcm(transport, asked["near"], asked["pushes"])).items():
            seen[name].append(ratio)
        await transport.close()
    return seen


async def _beside_fcm(transport: Transport, origin: str, pushes: int) -> Mapping[str, float]:
    """How many pushes a second of CPU each service makes of FCM's, and FCM of APNs', page by page by turns."""
    apns = (PAYLOAD, lambda page: requests_for(page, origin=origin, topic=TOPIC, token=TOKEN), apns_verdict)
    turns = {"APNs": apns, **others_of(origin)}
    ways = {name: (payload, posting(transport, make, verdict)) for name, (payload, make, verdict) in turns.items()}
    spent = dict.fromkeys(ways, 0.0)
    for number, page in enumerate(pages_of(PushGroup(payload=b""), pushes)):
        for name, (payload, send) in ways.items():
            mine = PushPage(page.push_channels, page.ids, [(PushGroup(payload=payload), len(page))])
            before = time.process_time()
            await send(mine)
            if number:  # the first opens connections
                spent[name] += time.process_time() - before
    beside = {f"{name} / FCM, pushes/CPU-s": spent["FCM"] / spent[name] for name in ways if name not in ("APNs", "FCM")}
    return {"FCM / APNs, pushes/CPU-s": spent["APNs"] / spent["FCM"], **beside}


async def _post(transport: Transport, origin: str, pushes: int) -> None:
    """Pages of APNs, all under way together."""
    pages = list(pages_of(PushGroup(payload=PAYLOAD), pushes))
    posts = [
        transport.post(_groups(requests_for(page, origin=origin, topic=TOPIC, token=TOKEN)), deadline=_DEADLINE)
        for page in pages
    ]
    _check([answers.plain for answers in await asyncio.gather(*posts)], [len(page) for page in pages])


async def _post_tokens(transport: Transport, origin: str) -> None:
    (page,) = pages_of(PushGroup(payload=_MESSAGE), _TOKENS)
    path = "/v1/projects/p/messages:send"
    requests = fcm.requests_for(page, origin=origin, path=path, token=TOKEN, now=datetime.now(UTC))
    answers = await transport.post(_groups(requests), deadline=_DEADLINE)
    _check([answers.plain], [_TOKENS])


def _check(answered: list[int], asked: list[int]) -> None:
    if answered != asked:
        raise SystemExit(f"of {sum(asked)} pushes {sum(answered)} were taken")


def _groups(requests: Any) -> list[RequestGroup]:
    groups = list(requests)
    assert all(isinstance(group, RequestGroup) for group in groups)
    return groups


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_measure(json.loads(sys.argv[1])))))
