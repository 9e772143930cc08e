"""The registry without HTTP, in a process of its own: imports, single writes, bytes of file, audiences, a broadcast.

    python -m benchmarks.registry REGISTRATIONS [DIRECTORY]

Half of the registrations are native, half of a template. 60% are FCM's, 35% APNs', 5% WNS's. Tags of an installation: 1 of
its own, 2 of 50 values, 7 of 1,000. Rates are per second of CPU of the process. `benchmarks/registry_before.py` measures
0.1.0's store the same way.
"""

import asyncio
import gc
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.installation import Installation, Template
from hub.notification import EVERYONE, Notification, Platform, TemplateContent
from hub.tags import parse

HUB = "main"
TEMPLATE = Template(body='{"message":{"notification":{"title":"$(title)","body":"$(body)"}}}')
APPLE = Template(body='{"aps":{"alert":{"title":"$(title)","body":"$(body)"}}}')
MICROSOFT = Template(body="<toast><visual><text>$(title)</text></visual></toast>", headers={"X-WNS-Type": "wns/toast"})
BATCH = 1000
FOLDED = 20_000
"""Installations between two turns of the housekeeping, which come every few minutes in a daemon."""

EXPRESSIONS = {
    "1 member": "customer:77 && half:1 && group:77",
    "1,000 members": "thousand:1 && half:1 && !customer:5",
    "half": "half:1 && !customer:5 && !thousand:1",
}
"""Three tags each; of the tag that leads there are as many members as the name says."""

AT_ONCE = 64
"""Single writes that wait at the same time: as many phones call."""

Figures = dict[str, float]
OpenStore = Callable[[Path], Awaitable[Any]]


def measure(directory: Path, *, registrations: int, cores: Set[int], before: Path | None = None) -> Mapping[str, float]:
    """The figures of this tree; of 0.1.0's too, by turns, where `before` is a tree of it. Each is the mean of its turns."""
    directory.mkdir(exist_ok=True)
    here = [sys.executable, "-m", "benchmarks.registry", str(registrations)]
    if before is None:
        return run_apart(here, directory, cores)
    before = before.resolve()
    script = Path(__file__).resolve().with_name("registry_before.py")
    there = [str(before / ".venv" / "bin" / "python"), str(script), str(registrations)]
    turns = [(run_apart(there, directory, cores, tree=before), run_apart(here, directory, cores)) for _ in range(2)]
    old, new = (_mean([turn[which] for turn in turns]) for which in (0, 1))
    return new | {f"0.1.0: {name}": value for name, value in old.items()}


def _mean(turns: Sequence[Figures]) -> Figures:
    return {name: sum(turn[name] for turn in turns) / len(turns) for name in turns[0]}


def run_apart(command: Sequence[str], directory: Path, cores: Set[int], *, tree: Path | None = None) -> Figures:
    """The figures that a command prints as JSON, on cores of its own; `directory` is its last argument."""
    environment = os.environ | ({"PYTHONPATH": str(tree)} if tree else {})
    done = subprocess.run(
        [*command, str(directory)],
        check=True,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=tree,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    figures: Figures = json.loads(done.stdout)
    return figures


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


async def load(store: Any, registrations: int) -> float:
    """Registrations a CPU-second, over the last tenth, with what the housekeeping folds."""
    put = getattr(store, "import_installations", store.put_installations)
    installations = registrations // 2
    spent, counted = 0.0, 0
    for start in range(0, installations, BATCH):
        batch = list(phones(start, min(BATCH, installations - start)))
        began = time.process_time()
        await put(HUB, batch)
        while start % FOLDED == 0 and hasattr(store, "fold") and await store.fold():
            pass
        if start + len(batch) > installations * 0.9:
            spent += time.process_time() - began
            counted += 2 * len(batch)
        if start and start % 100_000 == 0:
            print(f"loaded {2 * start:,}", file=sys.stderr, flush=True)
    return counted / spent


async def single_writes(store: Any, first: int, count: int) -> Figures:
    """Documents a CPU-second, each with a call of its own."""
    given = list(phones(first, count))
    moved = [replace(each, tags=(*each.tags[1:], "moved:1")) for each in given]

    async def put(one: Installation) -> None:
        await store.put_installations(HUB, [one])

    async def delete(one: Installation) -> None:
        await store.delete_installation(HUB, one.id)

    return {
        "single writes, new/CPU-s": count / await _singly(put, given),
        "single writes, again/CPU-s": count / await _singly(put, given),
        "single writes, two tags changed/CPU-s": count / await _singly(put, moved),
        "single deletes/CPU-s": count / await _singly(delete, moved),
    }


async def _singly(write: Callable[[Installation], Awaitable[None]], given: Sequence[Installation]) -> float:
    """Seconds of CPU."""
    waiting = iter(given)

    async def one_after_another() -> None:
        for each in waiting:
            await write(each)

    began = time.process_time()
    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return time.process_time() - began


async def first_page(store: Any, expression: str) -> float:
    """Milliseconds until the registrations of the first page are there."""
    sent = Notification(id="0" * 32, hub=HUB, audience=parse(expression), content=TemplateContent(properties={}))
    began = time.perf_counter()
    (audience,) = await store.audiences([sent])
    if audience.pages:
        await store.targets(HUB, audience.pages[0][1])
    return (time.perf_counter() - began) * 1000


async def reads(path: Path, open_store: OpenStore) -> Figures:
    """Opening, and the first page of each expression: at first after a restart, then warm."""
    figures: Figures = {}
    for name, expression in EXPRESSIONS.items():
        began = time.perf_counter()
        store = await open_store(path)
        figures["open, s"] = max(figures.get("open, s", 0.0), time.perf_counter() - began)
        figures[f"three tags, {name}, restarted ms"] = await first_page(store, expression)
        figures[f"three tags, {name}, warm ms"] = min([await first_page(store, expression) for _ in range(5)])
        await store.close()
    return figures


async def measured(registrations: int, directory: Path, open_store: OpenStore) -> Figures:
    """What any store can be asked for."""
    path = directory / "hub.db"
    store = await open_store(path)
    figures = {"registrations": registrations, "import, registrations/CPU-s": await load(store, registrations)}
    await store.close()
    figures["bytes of file a registration"] = path.stat().st_size / registrations
    figures |= await reads(path, open_store)
    store = await open_store(path)
    figures |= await single_writes(store, registrations, max(1000, min(10_000, registrations // 20)))
    await store.close()
    return figures


async def broadcast(path: Path, open_store: OpenStore) -> Figures:
    """MB that a broadcast to all adds to the process at its most, from its audience to its last page, pushes left out."""
    # Here, because 0.1.0 has none of these.
    from hub.acceptance import Ingest
    from hub.outcome import OutcomeName
    from hub.store.contracts.outbox import PageResult
    from hub.work import Lane

    store = await open_store(path)
    sent = Notification(id="1" * 32, hub=HUB, audience=EVERYONE, content=TemplateContent(properties={"title": "x"}))
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    began = time.perf_counter()
    (work,) = (await store.accept([Ingest(source="bench", event_id="e", notifications=[sent])], start=1)).work
    (audience,) = await store.audiences([sent])
    await store.expand(work, audience)
    expanded = time.perf_counter() - began
    pages, reached = len(audience.pages), 0
    del audience
    services = {(HUB, platform): 4 for platform in Platform.declared()}
    while taken := await store.take(Lane.BROADCAST, services):
        results = []
        for page in taken:
            found = await store.targets(HUB, page.ordinals)
            reached += len(found)
            counts = {page.service[1]: {OutcomeName.SUCCESS: len(found)}}
            results.append(PageResult(work=page, counts=counts))
        await store.record(results)
    await store.close()
    return {
        "broadcast, registrations": reached,
        "broadcast, pages": pages,
        "broadcast, s to its pages": expanded,
        "broadcast, MB": _memory("VmHWM") - before,
        "resident at most, MB": _memory("VmHWM"),
    }


def _memory(name: str) -> float:
    found = re.search(rf"{name}:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


async def open_store(path: Path) -> Any:
    import hub.platforms.table  # noqa: F401 - declares the platforms
    from hub.store.sqlite.store import SqliteStore

    store = SqliteStore(path)
    await store.open()
    return store


async def _main(registrations: int, directory: Path) -> Figures:
    figures = await measured(registrations, directory, open_store)
    return figures | await broadcast(directory / "hub.db", open_store)


def run(main: Callable[[int, Path], Any]) -> None:
    """The command line of this file and of the one for the first store: figures as JSON."""
    registrations = int(sys.argv[1])
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # as the daemon does
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as directory:
        print(json.dumps(asyncio.run(main(registrations, Path(directory)))))


if __name__ == "__main__":
    run(_main)
