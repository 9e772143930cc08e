"""What a sender over HTTP is told of its events, and what is kept of those that failed: once, or not at all."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from structlog.testing import capture_logs

from bridge.app import Daemon, Timing
from bridge.errors import Reason
from connectors.base import Message
from hub.errors import StoreError
from hub.store.health import HealthTiming
from tests.bridge.examples import read

CONFIG = """
listeners: { admin: { address: "127.0.0.1:0" }, hub_api: { address: "127.0.0.1:0" } }
hubs: { app: {} }
sources:
  plain: { http: { path: /in/plain }, map: { id: "{{ data.id }}" }, decode: { max_body: 1KiB } }
  strict: { http: { path: /in/strict }, map: { id: "{{ data.id }}" }, on_no_match: dead_letter }
  lenient: { http: { path: /in/lenient }, map: { id: "{{ data.id }}" }, decode: { on_error: ack } }
  cloud: { http: { path: /in/cloud, format: cloudevents } }
rules:
  - { name: paid, match: { data: { kind: paid } }, push: { to: "customer:{{ data.to }}", with: { text: hi } } }
  - { name: amount, match: { data: { kind: paid } }, push: { to: "team:sales", with: { text: "{{ data.amount }}" } } }
  - { name: quiet, match: { data: { kind: quiet } }, stop: true }
"""
CLOUD = {"content-type": "application/cloudevents+json"}
CLOUD_BATCH = {"content-type": "application/cloudevents-batch+json"}
GRID = {"content-type": "application/json", "aeg-event-type": "Notification"}


def paid(id: str, to: str = "4711", **more: Any) -> dict[str, Any]:
    return {"id": id, "kind": "paid", "to": to, "amount": 5, **more}


def event(id: str, **changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/shop", "type": "t", "data": paid(id), **changes}


def grid(id: str, **changes: Any) -> dict[str, Any]:
    plain = {"id": id, "subject": "s", "eventType": "t", "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "1"}
    return {**plain, "topic": "/shop", "data": paid(id), **changes}


def taken(id: str, *rules: str) -> dict[str, Any]:
    notifications = [{"id": "*", "rule": rule} for rule in rules]
    return {"id": id, "outcome": "accepted", "rules": list(rules), "notifications": notifications}


def failed(rule: str, reason: str) -> dict[str, str]:
    return {"rule": rule, "reason": reason, "detail": "*"}


UNSAFE, MISSING = failed("paid", "tag_unsafe"), failed("amount", "render")
PART_FAILED = {**taken("1", "amount"), "rules": ["paid", "amount"], "failures": [UNSAFE]}
ALL_FAILED = {"id": "1", "outcome": "dead_letter", "reason": "tag_unsafe", "detail": "*"}
TOO_LARGE = {"detail": "the body is over the limit of 1024 bytes"}
REJECTED = {"outcome": "rejected", "detail": "*"}
LOST = {"outcome": "dead_letter", "reason": "decode", "detail": "*"}
DUPLICATE = {"id": "1", "outcome": "duplicate"}

ANSWERS: dict[str, tuple[str, Mapping[str, str], Any, int, Any, int, Any, int]] = {
    # path, headers, body; status, answer, dead letters; answer to the same once more, dead letters then
    "accepted": ("plain", {}, paid("1"), 202, taken("1", "paid", "amount"), 0, DUPLICATE, 0),
    "a rule that only stops": ("plain", {}, {"id": "1", "kind": "quiet"}, 202, taken("1", "quiet") | {"notifications": []},
        0, taken("1", "quiet") | {"notifications": []}, 0),
    "no rule": ("plain", {}, {"id": "1"}, 202, {"id": "1", "outcome": "no_rule"}, 0,
        {"id": "1", "outcome": "no_rule"}, 0),
    "no rule, which is a mistake": ("strict", {}, {"id": "1"}, 202,
        {"id": "1", "outcome": "dead_letter", "reason": "no_match", "detail": "*"}, 1, DUPLICATE, 1),
    "one rule of two fails": ("plain", {}, paid("1", to="a b"), 202, PART_FAILED, 1, DUPLICATE, 1),
    "every rule fails": ("plain", {}, paid("1", to="a b", amount=None), 202,
        {**ALL_FAILED, "failures": [UNSAFE, MISSING]}, 2, DUPLICATE, 2),
    "every rule fails, and undecodable ones are acknowledged": ("lenient", {}, paid("1", to="a b", amount=None), 202,
        {**ALL_FAILED, "failures": [UNSAFE, MISSING]}, 2, DUPLICATE, 2),
    "undecodable": ("plain", {}, b"{", 400, {**REJECTED, "reason": "decode"}, 0, {**REJECTED, "reason": "decode"}, 0),
    "undecodable, acknowledged": ("lenient", {}, b"{", 400, {**REJECTED, "reason": "decode"}, 0,
        {**REJECTED, "reason": "decode"}, 0),
    "unmappable": ("plain", {}, {"kind": "paid"}, 400, {**REJECTED, "reason": "map"}, 0, {**REJECTED, "reason": "map"}, 0),
    "over the source's limit": ("plain", {}, {"id": "x" * 2000}, 413, TOO_LARGE, 0, TOO_LARGE, 0),
    "an id of the sender": ("plain", {"idempotency-key": "k"}, paid("1"), 202, taken("1", "paid", "amount"), 0,
        DUPLICATE, 0),
    "a cloud event": ("cloud", CLOUD, event("1"), 202, taken("1", "paid", "amount"), 0, DUPLICATE, 0),
    "no cloud event": ("cloud", CLOUD, {"id": "1"}, 400, {**REJECTED, "reason": "decode"}, 0,
        {**REJECTED, "reason": "decode"}, 0),
    "a batch": ("cloud", CLOUD_BATCH, [event("1"), event("2"), event("1")], 202,
        [taken("1", "paid", "amount"), taken("2", "paid", "amount"), DUPLICATE], 0,
        [DUPLICATE, {"id": "2", "outcome": "duplicate"}, DUPLICATE], 0),
    "a batch of nothing": ("cloud", CLOUD_BATCH, [], 202, [], 0, [], 0),
    "a batch with one that cannot be read": ("cloud", CLOUD_BATCH, [event("1"), {"id": "bad"}], 202,
        [taken("1", "paid", "amount"), {"id": "bad", **LOST}], 1,
        [DUPLICATE, {"id": "bad", "outcome": "duplicate"}], 1),
    "a batch of which none can be read": ("cloud", CLOUD_BATCH, [{"id": "bad"}, {"id": "worse"}], 202,
        [{"id": "bad", **LOST}, {"id": "worse", **LOST}], 2,
        [{"id": "bad", "outcome": "duplicate"}, {"id": "worse", "outcome": "duplicate"}], 2),
    "a batch with a rule that fails": ("cloud", CLOUD_BATCH, [event("1", data=paid("1", to="a b")), event("2")], 202,
        [PART_FAILED, taken("2", "paid", "amount")], 1,
        [DUPLICATE, {"id": "2", "outcome": "duplicate"}], 1),
    "a batch of one that cannot be read": ("cloud", CLOUD_BATCH, [{"id": "bad"}], 202,
        [{"id": "bad", **LOST}], 1, [{"id": "bad", "outcome": "duplicate"}], 1),
    "what is no batch": ("cloud", CLOUD_BATCH, b"[{", 202, [LOST], 1, [{"outcome": "duplicate"}], 1),
    "an Event Grid delivery": ("cloud", GRID, [grid("1")], 202, [taken("1", "paid", "amount")], 0,
        [DUPLICATE], 0),
    "an Event Grid delivery that cannot be read": ("cloud", GRID, [grid("1", eventTime="yesterday")], 202,
        [{"id": "1", **LOST}], 1, [DUPLICATE], 1),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "path, headers, body, status, answer, letters, again, letters_then", ANSWERS.values(), ids=ANSWERS
)
async def test_an_answer_says_what_became_of_each_event_and_a_repetition_keeps_nothing_more(
    tmp_path: Path,
    path: str,
    headers: Mapping[str, str],
    body: Any,
    status: int,
    answer: Any,
    letters: int,
    again: Any,
    letters_then: int,
) -> None:
    async with posted_to(tmp_path) as bench:
        for expected, kept in ((answer, letters), (again, letters_then)):
            response = await bench.post(path, body, headers)
            assert response.status_code == status
            content = response.json()
            said = content["results"] if isinstance(expected, list) else content
            assert masked(said, expected) == expected
            assert bench.letters() == kept


async def test_the_notifications_that_are_named_are_those_of_the_store(tmp_path: Path) -> None:
    async with posted_to(tmp_path) as bench:
        answer = (await bench.post("plain", paid("1"), {})).json()
        details = [await bench.daemon.hub.details("app", each["id"]) for each in answer["notifications"]]
    assert [each.tags for each in details] == ["customer:4711", "team:sales"]


async def test_what_is_refused_is_a_warning_with_the_reason_and_counted_as_rejected(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with posted_to(tmp_path) as bench:
            await bench.post("plain", b"{", {"idempotency-key": "k"})
            scrape = (await bench.client.get("/metrics")).text
    (line,) = [line for line in lines if line.get("event_id") == "k"]
    assert (line["event"], line["log_level"], line["reason"]) == ("event refused", "warning", "decode")
    assert line["end"] == "rejected"
    assert 'pushbridge_ingest_messages_total{outcome="rejected",source="plain"} 1.0' in scrape


async def test_a_defect_of_ours_is_kept_once_and_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(message: Message) -> Any:
        raise ZeroDivisionError("canary")

    async with posted_to(tmp_path) as bench:
        route = bench.daemon.pipeline._routes["plain"]
        monkeypatch.setattr(type(route), "decode", property(lambda _: crash), raising=False)
        answers = [await bench.post("plain", paid("1"), {}) for _ in range(2)]
        letters = bench.letters()
    assert [(each.status_code, each.json()["outcome"]) for each in answers] == [
        (202, "dead_letter"),
        (202, "duplicate"),
    ]
    assert answers[0].json()["reason"] == Reason.CRASH.value
    assert letters == 1


# A store that fails

QUICK = HealthTiming(stale=0.1, look_every=0.02)
FAILURES = ["accept", "record", "backlog", "take", "postpone", "expand", "audiences", "forget_ended", "templates"]


@pytest.mark.parametrize("method", FAILURES)
async def test_a_store_that_fails_in_anything_is_told_and_requests_are_refused_at_once_until_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    with capture_logs() as lines:
        async with posted_to(tmp_path, QUICK) as bench:
            with monkeypatch.context() as patched:

                async def fail(*_: object, **__: object) -> None:
                    raise StoreError("disk full")

                for failing in (method, "probe"):
                    patched.setattr(bench.daemon.store, failing, fail)
                with pytest.raises(StoreError):
                    await getattr(bench.daemon.hub.store, method)()
                waits = asyncio.get_running_loop().time()
                answers = [await bench.client.post("/in/plain", json=paid(f"{number}")) for number in range(3)]
                waited = asyncio.get_running_loop().time() - waits
                whole, store, source = [
                    await bench.client.get(path) for path in ("/readyz", "/readyz/store", "/readyz/sources/plain")
                ]
            await bench.until_ready()
            assert (await bench.post("plain", paid("0"), {})).json()["outcome"] == "accepted"
    assert [answer.status_code for answer in answers] == [503] * 3
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    assert "disk full" not in answers[0].text, "what the store says is for the operator"
    assert waited < 15, "they hung"
    assert (whole.status_code, store.status_code, source.status_code) == (503, 503, 200)
    assert store.text.startswith("store: failing: ")
    assert ": disk full (since 20" in store.text
    said = [line["event"] for line in lines if "store" in line["event"]]
    assert said == ["store failed", "store works again"]


@pytest.mark.slow
async def test_requests_that_wait_as_the_store_begins_to_fail_are_answered_soon_and_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with posted_to(tmp_path, QUICK) as bench:
        with monkeypatch.context() as patched:

            async def fail(*_: object, **__: object) -> None:
                raise StoreError("disk full")

            for failing in ("accept", "probe"):
                patched.setattr(bench.daemon.store, failing, fail)
            async with asyncio.timeout(15):
                answers = await asyncio.gather(
                    *(bench.client.post("/in/plain", json=paid(f"{number}")) for number in range(20)),
                    bench.client.post("/in/cloud", json=[event("b1"), event("b2")], headers=CLOUD_BATCH),
                )
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["retry-after"] for answer in answers} == {"5"}
        await bench.until_ready()
        assert bench.notifications() == 0, "the senders have them, and repeat them"
        assert (await bench.post("plain", paid("0"), {})).json()["outcome"] == "accepted"


async def test_a_store_that_hangs_is_told_and_who_waits_is_answered(tmp_path: Path) -> None:
    async with posted_to(tmp_path, HealthTiming(stalled=0.2)) as bench:
        async with writing_elsewhere(bench.database):  # for longer than another program should
            async with asyncio.timeout(15):
                answer = await bench.client.post("/in/plain", json=paid("1"))
            line = (await bench.client.get("/readyz/store")).text
        assert answer.status_code == 503
        assert ": no answer for 0.2 s (since 20" in line
        await bench.until_ready()
        assert (await bench.post("plain", paid("1"), {})).status_code == 202


class Bench:
    def __init__(self, daemon: Daemon, client: httpx.AsyncClient) -> None:
        self.daemon = daemon
        self.client = client
        self.database = daemon.settings.store_path

    async def post(self, path: str, body: Any, headers: Mapping[str, str]) -> httpx.Response:
        given: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.client.post(f"/in/{path}", headers=headers, **given)

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while (await self.client.get("/readyz")).status_code != httpx.codes.OK:
                await asyncio.sleep(0.02)

    def letters(self) -> int:
        return self._count("dead_letter")

    def notifications(self) -> int:
        return self._count("notification")

    def _count(self, table: str) -> int:
        # With the library of the store: another one in this process would take the store's locks from it.
        with closing(apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        assert isinstance(count, int)
        return count


@asynccontextmanager
async def writing_elsewhere(database: Path) -> AsyncIterator[None]:
    """Another program has the database to itself."""
    script = "import sqlite3, sys; other = sqlite3.connect(sys.argv[1], isolation_level=None);"
    script += " other.execute('BEGIN IMMEDIATE'); print('begun', flush=True); sys.stdin.read()"
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(database), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdin is not None
    assert program.stdout is not None
    await program.stdout.readline()
    try:
        yield
    finally:
        program.stdin.close()
        await program.wait()


@asynccontextmanager
async def posted_to(directory: Path, timing: HealthTiming = HealthTiming()) -> AsyncIterator[Bench]:
    daemon = Daemon(read(directory, CONFIG), timing=Timing(store=timing))
    async with daemon.running():
        url = "http://{}:{}".format(*daemon.admin.address)
        async with httpx.AsyncClient(verify=False, base_url=url, trust_env=False, timeout=60) as client:
            bench = Bench(daemon, client)
            await bench.until_ready()
            yield bench


def masked(said: Any, expected: Any) -> Any:
    """What was said, with `*` where that is expected: of texts for people and of ids only that they are there."""
    if expected == "*" and isinstance(said, str) and said:
        return "*"
    if isinstance(said, dict) and isinstance(expected, dict):
        return {key: masked(value, expected.get(key)) for key, value in said.items()}
    if isinstance(said, list) and isinstance(expected, list) and len(said) == len(expected):
        return [masked(*pair) for pair in zip(said, expected, strict=True)]
    return said
