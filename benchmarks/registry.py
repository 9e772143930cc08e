"""The registry without HTTP: single puts, a bulk import, bytes of file, three tags to the first page, opening.

    python -m benchmarks.registry [REGISTRATIONS]

Half of the registrations are native, half of a template. Per installation: 1 tag of its own, 2 of 50 values, 7 of 1,000.
Figures are per second of CPU of the process. It runs in a tree with the first store too, by turns:
the store is the one that the tree has.
"""

import asyncio
import hashlib
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub.platforms.table  # noqa: F401 - declares the platforms
from hub.installation import Installation, Template
from hub.notification import Notification, Platform, TemplateContent
from hub.tags import parse

HUB = "main"
TEMPLATE = Template(body='{"message":{"notification":{"title":"$(title)","body":"$(body)"}}}')
APPLE = Template(body='{"aps":{"alert":{"title":"$(title)","body":"$(body)"}}}')
MICROSOFT = Template(body="<toast><visual><text>$(title)</text></visual></toast>", headers={"X-WNS-Type": "wns/toast"})
BATCH = 1000
EXPRESSIONS = {
    "1 member": "customer:77 && half:1 && group:77",
    "1,000 members": "thousand:1 && half:1 && !customer:5",
    "500,000 members": "half:1 && !customer:5 && !thousand:1",
}


def phone(number: int, choice: random.Random) -> Installation:
    kind = choice.random()
    digest = hashlib.sha512(str(number).encode()).hexdigest()
    if kind < 0.6:
        platform, channel, template = Platform.FCM, (digest[:22] + ":APA91b" + digest * 2)[:163], TEMPLATE
    elif kind < 0.95:
        platform, channel, template = Platform.APNS, digest[:64].upper(), APPLE
    else:
        platform, template = Platform.WNS, MICROSOFT
        channel = f"https://db5p.notify.windows.com/?token={digest[:120]}"
    tags = [f"customer:{number}"]
    tags += [f"region:{value}" for value in choice.sample(range(50), 2)]
    tags += [f"group:{value}" for value in choice.sample(range(1000), 7)]
    # Beyond the mix: what the expressions ask for.
    if number % 2:
        tags.append("half:1")
    if number < 500:
        tags.append("thousand:1")
    return Installation(
        id=str(uuid.UUID(int=choice.getrandbits(128), version=4)),
        platform=platform,
        push_channel=channel,
        tags=tuple(tags),
        templates={"greeting": template},
    )


def phones(first: int, count: int) -> Iterator[Installation]:
    choice = random.Random(first)
    return (phone(number, choice) for number in range(first, first + count))


async def open_store(path: Path) -> tuple[Any, Any]:
    """(registry, what to close)"""
    try:
        from hub.store.registry.registry import SqlRegistry
        from hub.store.sqlite.database import SqliteDatabase
    except ImportError:
        from hub.store.sqlite import SqliteStore  # type: ignore[attr-defined]

        store = SqliteStore(path)
        await store.open()
        return store, store
    database = SqliteDatabase(path)
    await database.open()
    return SqlRegistry(database, now=time.time), database


async def load(store: Any, registrations: int) -> float:
    """Registrations a CPU-second, over the last tenth."""
    put = getattr(store, "import_installations", store.put_installations)
    installations = registrations // 2
    spent, counted = 0.0, 0
    for start in range(0, installations, BATCH):
        batch = list(phones(start, min(BATCH, installations - start)))
        began = time.process_time()
        await put(HUB, batch)
        while hasattr(store, "fold") and await store.fold():
            pass
        if start >= installations * 0.9:
            spent += time.process_time() - began
            counted += 2 * len(batch)
    return counted / spent


async def single_puts(store: Any, first: int, count: int = 10_000) -> float:
    """Documents a CPU-second, each with a call of its own, 64 at a time."""
    given = list(phones(first, count))
    waiting = iter(given)

    async def one_after_another() -> None:
        for each in waiting:
            await store.put_installations(HUB, [each])

    began = time.process_time()
    await asyncio.gather(*(one_after_another() for _ in range(64)))
    return count / (time.process_time() - began)


async def first_page(store: Any, expression: str) -> float:
    """Milliseconds until the registrations of the first page are there."""
    sent = Notification(id="0" * 32, hub=HUB, audience=parse(expression), content=TemplateContent(properties={}))
    began = time.perf_counter()
    (audience,) = await store.audiences([sent])
    if audience.pages:
        await store.targets(HUB, audience.pages[0][1])
    return (time.perf_counter() - began) * 1000


async def main(registrations: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("PUSHBRIDGE_BENCH_DIR")) as directory:
        path = Path(directory) / "hub.db"
        store, opened = await open_store(path)
        print(f"import, at the end of {registrations:,}: {await load(store, registrations):,.0f} registrations/CPU-s")
        await opened.close()
        print(f"file: {path.stat().st_size / registrations:,.0f} bytes a registration")
        began = time.perf_counter()
        store, opened = await open_store(path)
        print(f"open: {time.perf_counter() - began:.2f} s")
        for name, expression in EXPRESSIONS.items():
            cold = await first_page(store, expression)
            warm = min([await first_page(store, expression) for _ in range(5)])
            print(f"three tags, {name}: {cold:.1f} ms at first, {warm:.1f} ms warm")
        print(f"single puts: {await single_puts(store, registrations):,.0f} documents/CPU-s")
        await opened.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
