"""The admin listener: who may ask for what, and what is counted."""

import base64
import hmac
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bridge.admin.health import Part
from bridge.admin.server import RequestMetrics, admin_app, health_routes
from bridge.config.models.admin_auth import AdminAuth
from bridge.config.models.listeners import Listen
from bridge.observe.metrics import Metrics

ANY_PORT = Listen("127.0.0.1", 0)
TOKEN = "s3cret-ü"


class Admin:
    """An admin application and what it was built from."""

    def __init__(self, *, token: str | None = None, ready: bool = True) -> None:
        self.metrics = Metrics(version="1", sources=["orders"], rules=[], hubs=["app"])
        self.ready = ready
        self.scrapes = 0
        self.app = admin_app(
            [Route("/", _hello), Route("/boom", _boom)],
            [Route("/in/orders", _hello, methods=["POST"])],
            health_routes(self.metrics, health=self._health, before_scrape=self._before_scrape),
            metrics=self.metrics,
            auth=None if token is None else AdminAuth.model_validate({"bearer": token}),
        )

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A client at that address."""
        return client_of(self.app, address)

    def requests(self, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value("pushbridge_http_requests_total", labels)

    def _health(self) -> list[Part]:
        store = Part(kind="store", ok=self.ready, state="ok" if self.ready else "failing", required=True)
        source = Part(kind="source", name="orders", ok=False, state="connecting", detail="refused")
        return [store, source, Part(kind="push service", name="app/fcmv1")]

    async def _before_scrape(self) -> None:
        self.scrapes += 1


def client_of(app: ASGIApp, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 50_000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def _boom(request: Request) -> Response:
    raise ZeroDivisionError("canary")


async def test_liveness_only_says_that_the_loop_turns() -> None:
    async with Admin(ready=False).client() as client:
        answer = await client.get("/livez")
    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize("ready, status, store", [(True, 200, "ok"), (False, 503, "failing")])
async def test_readiness_has_a_line_for_each_part_and_is_that_of_the_process(
    ready: bool, status: int, store: str
) -> None:
    async with Admin(ready=ready).client() as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (status, f"store: {store}\nsource orders: connecting: refused\n")


PARTS = {
    "store": (200, "store: ok\n"),
    "sources": (503, "source orders: connecting: refused\n"),
    "sources/orders": (503, "source orders: connecting: refused\n"),
    "push-services/app/fcm": (200, "push service app/fcmv1: ok\n"),
    "push-services/app/fcmv1": (200, "push service app/fcmv1: ok\n"),
    "push-services/app/apns": (404, "no push service of that name; there are app/fcmv1\n"),
    "relays": (200, "none\n"),
    "relays/orders": (404, "no relay of that name; there are none\n"),
    "sources/nosuch": (404, "no source of that name; there are orders\n"),
    "nosuch": (404, None),
    "": (404, None),
}


@pytest.mark.parametrize("path, told", PARTS.items(), ids=PARTS)
async def test_each_part_can_be_asked_by_itself_from_anywhere(path: str, told: tuple[int, str | None]) -> None:
    status, text = told
    async with Admin().client("10.0.0.7") as client:
        answer = await client.get(f"http://localhost/readyz/{path}")
    assert answer.status_code == status
    assert text is None or answer.text == text


async def test_a_scrape_is_what_prometheus_reads_with_gauges_asked_for_just_before() -> None:
    admin = Admin()
    async with admin.client() as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "pushbridge_ingest_messages" in {family.name for family in text_string_to_metric_families(answer.text)}
    assert admin.scrapes == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_without_a_token_whoever_comes_from_this_machine_may_administer(address: str) -> None:
    async with Admin().client(address) as client:
        assert (await client.get("/")).text == "hello"


@pytest.mark.parametrize("path", ["/", "/metrics", "/nowhere", "/livez/", "//livez", "/livez%0A", "/in/orders/"])
@pytest.mark.parametrize("address", ["10.0.0.7", "::ffff:10.0.0.7", "127.0.0.1.example.com"])
async def test_without_a_token_whoever_comes_from_elsewhere_gets_no_further_than_health(
    path: str, address: str
) -> None:
    async with Admin().client(address) as client:
        refused = await client.get(f"http://localhost{path}")
        assert refused.status_code == 403
        assert "listeners.admin.auth" in refused.text
        assert [(await client.get(open_path)).status_code for open_path in ("/livez", "/readyz")] == [200, 200]


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


SHOWN = {
    "nothing": ("", False),
    "the token": (f"Bearer {TOKEN}", True),
    "the scheme in small letters": (f"bearer {TOKEN}", True),
    "another token": ("Bearer other", False),
    "the beginning of it": (f"Bearer {TOKEN[:-1]}", False),
    "more than it": (f"Bearer {TOKEN}x", False),
    "no token": ("Bearer ", False),
    "no scheme": (TOKEN, False),
    "another scheme": (f"Digest {TOKEN}", False),
    "as the password of anybody": (basic("whoever", TOKEN), True),
    "as a name": (basic(TOKEN, ""), False),
    "not base64": ("Basic ***", False),
}


@pytest.mark.parametrize("shown, may", SHOWN.values(), ids=SHOWN)
async def test_with_a_token_only_who_shows_it_may_administer(shown: str, may: bool) -> None:
    async with Admin(token=TOKEN).client("127.0.0.1") as client:
        answer = await client.get("/", headers={b"authorization": shown.encode()} if shown else {})
    assert answer.status_code == (200 if may else 401)
    assert TOKEN not in answer.text
    if not may:
        assert [text.split()[0] for text in answer.headers.get_list("www-authenticate")] == ["Bearer", "Basic"]


async def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def noting(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return real(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    async with Admin(token="right").client() as client:
        await client.get("/", headers={"authorization": "Bearer wrong"})
    assert compared == [(b"wrong", b"right")]


async def test_http_sources_are_open_by_their_own_rules() -> None:
    for admin in (Admin(token=TOKEN), Admin()):
        async with admin.client("203.0.113.9") as client:
            assert (await client.post("/in/orders")).text == "hello"


async def test_requests_are_counted_by_the_pattern_of_their_route_and_never_by_a_strangers_path() -> None:
    admin = Admin()
    async with admin.client() as client:
        for path in ("/", "/livez", "/in/orders", "/secret/4711", "/secret/4712", "/metrics/x"):
            await client.get(path)
        await client.request("BREW", "/livez")
    assert admin.requests(route="/", method="GET", code="200") == 1
    assert admin.requests(route="/livez", method="GET", code="200") == 1
    assert admin.requests(route="/in/orders", method="GET", code="405") == 1
    assert admin.requests(route="_other", method="GET", code="404") == 3
    assert admin.requests(route="/livez", method="_other", code="405") == 1
    count = admin.metrics.registry.get_sample_value(
        "pushbridge_http_request_duration_seconds_count", {"route": "_other"}
    )
    assert count == 3
    assert admin.metrics.registry.get_sample_value("pushbridge_http_requests_in_flight") == 0


async def test_a_refused_and_a_crashed_request_are_counted_too() -> None:
    admin = Admin()
    async with admin.client("10.0.0.7") as stranger, admin.client() as client:
        await stranger.get("/metrics")
        crashed = await client.get("/boom")
    assert crashed.status_code == 500
    assert "canary" not in crashed.text
    assert admin.requests(route="/metrics", method="GET", code="403") == 1
    assert admin.requests(route="/boom", method="GET", code="500") == 1


HUB_PATHS = {
    "/app/installations/phone-4711": "/{hub}/installations/{id}",
    "/app/Messages/": "/{hub}/messages",
    "/app/messages/0123-1/x": "/{hub}/messages/{id}",
    "/app/registrations": "/{hub}/registrations",
    "/app/nothing/4711": "_other",
    "/app": "_other",
    "/": "_other",
}


@pytest.mark.parametrize("path, route", HUB_PATHS.items())
async def test_paths_of_the_hub_api_are_counted_without_hub_and_id(path: str, route: str) -> None:
    admin = Admin()

    async with client_of(RequestMetrics(PlainTextResponse("ok"), admin.metrics, ())) as client:
        await client.get(path)
    assert admin.requests(route=route, method="GET", code="200") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8080"},
        {"host": "[::1"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
    ],
    ids=str,
)
async def test_a_site_that_a_browser_of_this_machine_shows_may_not_administer(headers: dict[str, str]) -> None:
    async with Admin().client() as client:
        answer = await client.get("/", headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
    ],
)
async def test_what_a_browser_asks_for_another_site_is_refused_but_for_a_link(
    headers: dict[str, str], status: int
) -> None:
    async with Admin().client() as client:
        assert (await client.get("/", headers=headers)).status_code == status


async def test_our_own_page_may() -> None:
    async with Admin().client() as client:
        answer = await client.get("/", headers={"origin": "http://localhost"})
    assert answer.status_code == 200
