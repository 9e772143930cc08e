"""A schema registry is asked once for each schema, over real connections; its outages stop no schema that is known."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.admin.listener import Listener
from bridge.config.models.listeners import Listen
from bridge.schemas.client import LookupFailedError, LookupResult, RegistryAwayError, RegistryRefusedError, look
from bridge.schemas.registry import ASK_EVERY, MAX_REFERENCES, SchemaRegistries, SchemaRegistry
from bridge.schemas.settings import RegistrySettings
from sandbox.schema_registry import Reference, SchemaRegistryService
from sandbox.tls import Authority
from tests.bridge.examples import complaints, read
from tests.hub.api.serving import serving as serving_tls
from tests.ports import free_ports

ORDER = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]}


class Bench:
    """A registry at `url`, and what asks it. `now` is the clock."""

    def __init__(self, url: str, service: SchemaRegistryService, *, more: str = "", **settings: Any) -> None:
        self.service = service
        self.results: list[LookupResult] = []
        self.now = 0.0
        self.settings = RegistrySettings.model_validate({"url": [url, more] if more else url, **settings})
        self.registry = SchemaRegistry(self.settings, on_lookup=self.results.append, clock=lambda: self.now)

    async def found(self, id: int) -> bool:
        """Whether the schema is there, after all the time that a lookup may wait for."""
        self.now += ASK_EVERY
        await self.registry.fetch([id])
        return self.registry.get(id) is not None


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    listener = Listener(app, Listen("127.0.0.1", 0))
    await listener.open()
    try:
        yield f"http://127.0.0.1:{listener.address.port}"
    finally:
        await listener.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    service = SchemaRegistryService()
    async with serving(service) as url:
        yield Bench(url, service)


async def test_a_schema_is_asked_for_once_and_stays_through_an_outage(bench: Bench) -> None:
    id = bench.service.register("orders-value", ORDER)
    assert await bench.found(id)
    bench.service.is_away = True
    assert await bench.found(id)
    assert bench.service.requests == [("GET", f"/schemas/ids/{id}")]
    assert bench.results == [LookupResult.FOUND]
    assert len(bench.registry) == 1


async def test_an_id_that_is_not_known_is_asked_for_every_few_seconds_until_it_is_there(bench: Bench) -> None:
    assert not await bench.found(7)
    assert "has no schema 7 yet" in bench.registry.why_missing(7)
    await asyncio.gather(*(bench.registry.fetch([7]) for _ in range(20)))
    assert len(bench.service.requests) == 1
    bench.service.register("orders-value", ORDER, id=7)
    assert await bench.found(7)
    assert bench.results == [LookupResult.UNKNOWN, LookupResult.FOUND]


async def test_one_id_that_is_not_known_keeps_no_other_from_being_found(bench: Bench) -> None:
    id = bench.service.register("orders-value", ORDER)
    await bench.registry.fetch([99, id])
    assert bench.registry.get(id) is not None
    assert bench.registry.get(99) is None


async def test_what_a_schema_refers_to_comes_with_it_what_is_referred_to_first(bench: Bench) -> None:
    service = bench.service
    service.register("money", {"type": "enum", "name": "Money", "symbols": ["CHF"]})
    service.register("line/item", ORDER, references=[Reference("Money", "money", 1)])
    both = [Reference("Line", "line/item", 1), Reference("Money", "money", 1)]
    id = service.register("orders-value", {**ORDER, "name": "Whole"}, references=both)
    assert await bench.found(id)
    schema = bench.registry.get(id)
    assert schema is not None
    assert [name for name, _ in schema.references] == ["Money", "Line"]
    assert ("GET", "/subjects/line%2Fitem/versions/1?deleted=true") in service.requests
    assert len(service.requests) == 3


async def test_a_reference_that_is_not_there_yet_is_waited_for_as_an_id_is(bench: Bench) -> None:
    bench.service.register("money", {"type": "enum", "name": "Money", "symbols": ["CHF"]})
    id = bench.service.register("orders-value", ORDER, references=[Reference("Money", "money", 1)])
    bench.service.faults = [(404, 40403), (404, 40402)]
    assert not await bench.found(id)
    assert not await bench.found(id)  # the second fault: the schema, and not what it refers to
    assert bench.results == [LookupResult.UNKNOWN] * 2
    assert await bench.found(id)


async def test_too_many_references_are_a_defect_of_the_schema_and_no_more_are_asked_for(bench: Bench) -> None:
    many = []
    for number in range(MAX_REFERENCES + 1):
        bench.service.register(f"s{number}", {"type": "enum", "name": f"E{number}", "symbols": ["A"]})
        many.append(Reference(f"E{number}", f"s{number}", 1))
    id = bench.service.register("orders-value", ORDER, references=many)
    assert await bench.found(id)
    schema = bench.registry.get(id)
    assert schema is not None
    assert "refers to more than 100 others" in schema.defect
    assert bench.results == [LookupResult.UNUSABLE]
    assert len(bench.service.requests) == 1 + MAX_REFERENCES


@pytest.mark.parametrize(
    "fault, result, said",
    [
        ((401, 401), LookupResult.REFUSED, "HTTP 401, it refuses the credentials: look at registry.auth"),
        ((403, 40301), LookupResult.REFUSED, "HTTP 403, it does not let us read schema 1: look at registry.auth"),
        ((404, 404), LookupResult.UNREACHABLE, "HTTP 404, and no schema 1: see whether registry.url is right"),
        ((500, 50001), LookupResult.UNREACHABLE, "HTTP 500, and no schema 1"),
        ((429, 42901), LookupResult.UNREACHABLE, "HTTP 429, and no schema 1"),
    ],
)
async def test_what_the_registry_answers_is_told_apart_and_asked_for_again(
    bench: Bench, fault: tuple[int, int], result: LookupResult, said: str
) -> None:
    id = bench.service.register("orders-value", ORDER)
    bench.service.faults = [fault]
    assert not await bench.found(id)
    assert said in bench.registry.why_missing(id)
    assert await bench.found(id)
    assert bench.results == [result, LookupResult.FOUND]


@pytest.mark.parametrize(
    "body, said",
    [
        (b"<html>", "HTTP 200, and no schema 7"),
        (b"[]", "answers with no schema"),
        (b'{"schema": 7}', "answers with no schema"),
        (b'{"schema": "1", "references": [{"name": "x"}]}', "references that name no subject and version"),
        (b'"' + b"x" * 3_000_000, "an answer of more than"),
    ],
)
async def test_an_answer_that_is_no_registrys_is_named_and_bounded(body: bytes, said: str) -> None:
    async def other(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async with serving(other) as url:
        bench = Bench(url, SchemaRegistryService())
        assert not await bench.found(7)
        assert said in bench.registry.why_missing(7)


async def test_of_several_instances_the_next_is_asked_and_without_one_each_is_named() -> None:
    (free,) = free_ports(1)
    service = SchemaRegistryService()
    id = service.register("orders-value", ORDER)
    away = f"http://127.0.0.1:{free}"
    async with serving(service) as url:
        bench = Bench(away, service, more=url)
        assert await bench.found(id)
        service.is_away = True
        assert not await bench.found(8)
        said = bench.registry.why_missing(8)
        assert away in said
        assert f"{url}: HTTP 503" in said


async def test_an_id_that_stays_unknown_is_given_up_where_the_settings_say_when(bench: Bench) -> None:
    patient = Bench(bench.settings.url[0], bench.service, give_up_after="1m")
    bench.service.is_away = True
    assert not await patient.found(7)
    patient.now += 3600
    assert not patient.registry.is_given_up(7), "an outage says nothing of the id"
    bench.service.is_away = False
    assert not await patient.found(7)
    patient.now += 59
    assert not patient.registry.is_given_up(7)
    patient.now += 1
    assert patient.registry.is_given_up(7)
    assert not bench.registry.is_given_up(7)


@pytest.mark.parametrize(
    "auth, lets_in",
    [
        ({"basic": {"username": "bridge", "password": "right"}}, True),
        ({"bearer": "token"}, True),
        ({"basic": {"username": "bridge", "password": "wrong"}}, False),
        ({"bearer": "other"}, False),
        (None, False),
    ],
)
async def test_credentials_are_shown_over_tls_to_who_is_trusted(
    auth: dict[str, Any] | None, lets_in: bool, tmp_path: Path
) -> None:
    service = SchemaRegistryService(users={"bridge": "right"}, tokens=["token"])
    authority = Authority(tmp_path)
    async with serving_tls(authority, service) as port:
        url = f"https://localhost:{port}"
        bench = Bench(url, service, auth=auth, tls={"ca_file": str(authority.ca_file)})
        if lets_in:
            await look(bench.settings, [])
            assert service.requests == [("GET", "/schemas/types")]
        else:
            with pytest.raises(RegistryRefusedError, match="HTTP 401"):
                await look(bench.settings, [])
        with pytest.raises(RegistryAwayError, match="CERTIFICATE_VERIFY_FAILED"):
            await look(Bench(url, service, auth=auth).settings, [])


async def test_a_registry_that_never_answers_is_given_up_in_time() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as url:
        with pytest.raises(LookupFailedError, match=r"no answer within 0\.2 s"):
            await look(RegistrySettings.model_validate({"url": url, "timeout": "200ms"}), [])


def test_a_registry_stays_with_what_it_knows_while_its_settings_do() -> None:
    registries = SchemaRegistries()
    settings = [RegistrySettings.model_validate({"url": url}) for url in ("http://a", "http://a", "http://b")]
    first, same, other = (registries.of("orders", each) for each in settings)
    assert first is same
    assert other is not first
    assert registries.of("orders", None) is None
    assert registries.sizes == {}


# The configuration

SOURCE = "sources:\n  orders:\n    kafka: {{ bootstrap: ['k:9092'], topics: [orders] }}\n    decode: {}\n"


def test_bridge_egress_holds_for_a_registry(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    egress = f"bridge: {{ egress: {{ proxy: 'http://proxy:3128', ca_file: {authority.ca_file} }} }}\n"
    settings = read(tmp_path, egress + SOURCE.format("{ format: avro, registry: { url: 'https://r/path/' } }"))
    registry = settings.sources["orders"].decode.registry
    assert registry is not None
    assert registry.url == ("https://r/path",)
    assert registry.proxy_for("r") is not None
    assert registry.tls is not None
    assert str(registry.tls.ca_file) == str(authority.ca_file)


@pytest.mark.parametrize(
    "decode, said",
    [
        ("{ format: avro }", "avro needs registry"),
        ("{ key: avro }", "key needs registry"),
        ("{ format: xml, registry: { url: 'http://r' } }", "registry is for format: avro, json and debezium"),
        ("{ format: json, split: data, registry: { url: 'http://r' } }", "split is not for bodies with a schema"),
        ("{ format: avro, registry: { url: 'https://u:p@r' } }", "write user and password at registry.auth.basic"),
        ("{ format: avro, registry: { url: 'ftp://r' } }", "not a URL of a registry"),
        ("{ format: avro, registry: { url: 'http://r', auth: {} } }", "write either bearer or basic"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(decode: str, said: str, tmp_path: Path) -> None:
    assert any(said in complaint for complaint in complaints(tmp_path, "version: 1\n" + SOURCE.format(decode)))


def test_only_messages_with_keys_have_their_keys_read(tmp_path: Path) -> None:
    text = (
        "version: 1\nsources:\n  s:\n    http: { path: /s }\n    decode: { key: json, registry: { url: 'http://r' } }\n"
    )
    assert any("messages of HTTP have no key" in complaint for complaint in complaints(tmp_path, text))
