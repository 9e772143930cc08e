"""CPU a push through the transport and through senders, beside a plain libcurl loop with the requests of APNs.

    python -m benchmarks.senders [--pushes 4000] [--rounds 30]

The senders of the other services that speak HTTP/2 make their own requests of their own payload, with an access token
that they need not ask for. All take turns in one process on one core, against nginx on another, so that they meet the
same minutes. The best round shows what the code costs, the median what it cost beside other work.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pycurl
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from benchmarks.nginx import FastPushService, fast_push_service
from benchmarks.pinning import MEASURED, OTHERS
from hub.platforms.adm import sender as adm
from hub.platforms.apns.sender import ApnsSender, requests_for
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.fcm import sender as fcm
from hub.platforms.huawei import sender as huawei
from hub.platforms.xiaomi import sender as xiaomi
from hub.platforms.xiaomi.settings import XiaomiSettings
from hub.push import PushGroup, PushPage
from hub.requests import RequestGroup, Requests
from hub.tls import Tls
from hub.transport.client import Transport
from hub.transport.http_send import Verdict, post

PAGE = 1000
PAYLOAD = b'{"aps":{"alert":{"title":"Deposit","body":"You received 1,234.56 EUR from Contoso"},"sound":"default"}}'
TOPIC = "com.example.app"
TOKEN = "e" * 220  # as long as a provider token


class PlainLoop:
    """What one would write with libcurl and nothing else: `perform` in a loop, handles used again."""

    def __init__(self, ca_file: str) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        self._free = [_easy(ca_file) for _ in range(256)]

    async def send(self, groups: Iterable[RequestGroup]) -> None:
        waiting = _each(groups)
        under_way = 0
        sending = True
        while sending or under_way:
            while self._free and (request := next(waiting, None)):
                curl = self._free.pop()
                url, headers, body = request
                curl.setopt(pycurl.URL, url)
                curl.setopt(pycurl.HTTPHEADER, headers)
                curl.setopt(pycurl.POSTFIELDS, body)
                self._multi.add_handle(curl)
                under_way += 1
            sending = not self._free
            self._multi.perform()
            under_way -= self._collect()
            if not self._free:
                self._multi.select(0.1)

    def _collect(self) -> int:
        _, answered, failed = self._multi.info_read(1000)
        assert not failed, failed
        for curl in answered:
            assert curl.getinfo(pycurl.RESPONSE_CODE) == 200
            self._multi.remove_handle(curl)
            self._free.append(curl)
        return len(answered)


def _easy(ca_file: str) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    curl.setopt(pycurl.PIPEWAIT, 1)
    curl.setopt(pycurl.USERAGENT, "")
    curl.setopt(pycurl.CAINFO, ca_file)
    return curl


def _groups(service: FastPushService, page: PushPage) -> Iterator[RequestGroup]:
    for group in requests_for(page, origin=service.url, topic=TOPIC, token=TOKEN):
        assert isinstance(group, RequestGroup)
        yield group


def _each(groups: Iterable[RequestGroup]) -> Iterator[tuple[str, list[bytes], bytes]]:
    """URL, headers and body of each request."""
    for group in groups:
        prefix = group.origin + group.path
        keys = [f"{group.key_name}: {key}".encode() for key in group.keys]
        for number, (tail, id_, body) in enumerate(zip(group.tails, group.ids, group.bodies, strict=False)):
            yield prefix + tail, [*group.headers, *keys[number : number + 1], f"{group.id_name}: {id_}".encode()], body


async def measure(service: FastPushService, *, count: int, rounds: int) -> None:
    """Print microseconds of CPU a push, of each."""
    group = PushGroup(payload=PAYLOAD)
    pages = list(pages_of(group, count))
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ca_file = str(service.ca_file)
    settings = ApnsSettings(
        key=SecretStr(key.decode()),
        key_id="K" * 10,
        team_id="T" * 10,
        topic=TOPIC,
        endpoint=service.url,
        tls=Tls(ca_file=service.ca_file),
    )
    plain, transport, sender = PlainLoop(ca_file), Transport(settings), ApnsSender(settings)
    ways: dict[str, Callable[[PushPage], Awaitable[object]]] = {
        "plain loop": lambda page: plain.send(_groups(service, page)),
        "Transport.post": lambda page: transport.post(_groups(service, page), deadline=10),
        "ApnsSender.send": lambda page: sender.send(page),
    }
    others = {
        name: (list(pages_of(PushGroup(payload=payload), count)), posting(transport, make, verdict))
        for name, (payload, make, verdict) in others_of(service.url).items()
    }
    turns = {way: (pages, send) for way, send in ways.items()} | others
    costs: dict[str, list[float]] = {way: [] for way in turns}
    for _ in range(rounds):
        for way, (mine, send) in turns.items():
            before = time.process_time()
            for page in mine:
                await send(page)
            costs[way].append((time.process_time() - before) / count * 1e6)
    await asyncio.gather(transport.close(), sender.close())
    for way, cost in costs.items():
        print(f"{way:20} best {min(cost):5.1f}  median {statistics.median(cost):5.1f}  µs of CPU a push")


def pages_of(group: PushGroup, count: int) -> Iterator[PushPage]:
    """So many pushes that share a group, in pages of `PAGE` at most."""
    for first in range(0, count, PAGE):
        numbers = range(first, min(first + PAGE, count))
        channels = [f"{number:064X}" for number in numbers]
        ids = [f"00000000-0000-4000-8000-{number:012x}" for number in numbers]
        yield PushPage(channels, ids, [(group, len(numbers))])


def posting(
    transport: Transport, make: Callable[[PushPage], Requests], verdict: Verdict
) -> Callable[[PushPage], Awaitable[object]]:
    return lambda page: post(transport, make(page), verdict, deadline=10)


def others_of(url: str) -> dict[str, tuple[bytes, Callable[[PushPage], Requests], Verdict]]:
    """By service a payload, the requests of a page, and what answers mean."""
    now = datetime.now(UTC)
    message = b'{"message":{"notification":{"title":"Deposit","body":"You received 1,234.56 EUR from Contoso"}}}'
    secret = XiaomiSettings(app_secret=SecretStr(TOKEN), package_name=TOPIC, endpoint=url)
    return {
        "FCM": (
            message,
            lambda page: fcm.requests_for(page, origin=url, path="/v1/projects/p/messages:send", token=TOKEN, now=now),
            fcm.verdict,
        ),
        "Huawei": (
            message,
            lambda page: huawei.requests_for(page, origin=url, path="/v1/1/messages:send", token=TOKEN, now=now),
            huawei.verdict,
        ),
        "ADM": (
            b'{"data":{"title":"Deposit","body":"You received 1,234.56 EUR from Contoso"}}',
            lambda page: adm.requests_for(page, origin=url, token=TOKEN, now=now),
            adm.verdict,
        ),
        "Xiaomi": (
            b'{"title":"Deposit","description":"You received 1,234.56 EUR from Contoso"}',
            lambda page: xiaomi.requests_for(page, secret, token=TOKEN, now=now),
            xiaomi.verdict,
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pushes", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, OTHERS)
    with (
        tempfile.TemporaryDirectory(prefix="pushbridge-bench-") as name,
        fast_push_service(Path(name) / "nginx") as service,
    ):
        os.sched_setaffinity(0, MEASURED)
        uvloop.run(measure(service, count=arguments.pushes, rounds=arguments.rounds))


if __name__ == "__main__":
    main()
