"""Wrong credentials are counted by what was wrong, and who guesses is held back without keeping the good ones out."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bridge.admin import auth_guard
from bridge.admin.auth_guard import BURST, SECONDS, AuthGuard
from bridge.admin.health import listener_parts
from bridge.observe.facts import AuthFailed, AuthReason, AuthScheme, WrongCredentialsHeldBack
from bridge.observe.metrics import Metrics
from bridge.observe.process_metrics import AUTH_FAILURES
from connectors.http.auth import AUTHORIZATION, KNOWN
from hub.api.wire.errors import REFUSALS
from tests.fakes.clock import FakeClock

STRANGER, NEIGHBOUR = "203.0.113.7", "198.51.100.1"
GOOD = "Bearer good"


class Bench:
    """A listener whose one good secret is `good`; `seen` is what its application looked at."""

    def __init__(self, *, holds_back: bool = True, listener: str = "admin") -> None:
        self.clock = FakeClock()
        self.facts: list[Any] = []
        self.seen: list[str] = []
        self.good = GOOD
        self.status, self.headers, self.refusal = 401, dict[str, str](), ""
        self.guard = AuthGuard(self._app, listener, observer=self, holds_back=holds_back, clock=self.clock)

    def observe(self, fact: Any) -> None:
        self.facts.append(fact)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        self.seen.append(shown)
        if scope["path"] == "/livez":
            await PlainTextResponse("ok")(scope, receive, send)
            return
        if shown == self.good or b"access_token=good" in scope["query_string"]:
            scope[KNOWN].append(AUTHORIZATION)
            await PlainTextResponse("ok")(scope, receive, send)
            return
        if self.refusal:
            scope[REFUSALS].append(self.refusal)
        await PlainTextResponse("no", self.status, self.headers)(scope, receive, send)

    async def ask(
        self, authorization: str | None = None, *, client: str = STRANGER, query: str = "", path: str = ""
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.guard, client=(client, 1))
        headers = {} if authorization is None else {"authorization": authorization}
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as asking:
            return await asking.get(f"/{path}{query}", headers=headers)

    async def guess(self, times: int, *, client: str = STRANGER, scheme: str = "Bearer") -> list[int]:
        return [(await self.ask(f"{scheme} guess-{number}", client=client)).status_code for number in range(times)]

    @property
    def held_back(self) -> list[WrongCredentialsHeldBack]:
        return [fact for fact in self.facts if isinstance(fact, WrongCredentialsHeldBack)]

    @property
    def failed(self) -> list[tuple[AuthScheme, AuthReason]]:
        return [(fact.scheme, fact.reason) for fact in self.facts if isinstance(fact, AuthFailed)]


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
async def test_who_guesses_is_held_back_and_nothing_that_is_shown_is_looked_at(scheme: str) -> None:
    bench = Bench()
    assert await bench.guess(BURST + 3, scheme=scheme) == [401] * BURST + [429] * 3
    assert len(bench.seen) == BURST
    answer = await bench.ask(f"{scheme} one-more")
    assert 0 < int(answer.headers["retry-after"]) <= SECONDS
    assert [fact.is_news for fact in bench.held_back] == [True, False, False, False], "one line in the log, not four"
    bench.clock.advance(SECONDS)
    assert await bench.guess(2, scheme=scheme) == [401, 429]
    assert await bench.guess(1, client=NEIGHBOUR, scheme=scheme) == [401]


async def test_what_was_good_before_is_heard_from_the_same_address() -> None:
    bench = Bench()
    assert (await bench.ask(GOOD)).status_code == 200
    assert (await bench.ask(query="?access_token=good")).status_code == 200
    await bench.guess(BURST + 1)
    assert (await bench.ask(GOOD)).status_code == 200
    assert (await bench.ask(query="?access_token=good")).status_code == 200
    assert (await bench.ask(query="?access_token=other")).status_code == 429
    assert (await bench.ask("Basic good")).status_code == 429


async def test_a_secret_is_not_good_because_a_page_for_all_was_answered() -> None:
    """Else who guesses would show each guess there before."""
    bench = Bench()
    for number in range(BURST + 2):
        assert (await bench.ask(f"Bearer guess-{number}", path="livez")).status_code == 200
    assert await bench.guess(BURST + 2) == [401] * BURST + [429] * 2


async def test_this_machine_is_never_held_back() -> None:
    bench = Bench()
    for client in ("127.0.0.1", "::1"):
        assert await bench.guess(BURST + 5, client=client) == [401] * (BURST + 5)
    assert len(bench.failed) == 2 * (BURST + 5), "all are counted"


async def test_a_network_of_ipv6_is_one_client() -> None:
    bench = Bench()
    await bench.guess(BURST, client="2001:db8::1")
    assert await bench.guess(1, client="2001:db8::2") == [429]
    assert await bench.guess(1, client="2001:db8:0:1::1") == [401]


async def test_who_shows_nothing_or_has_too_little_a_role_has_guessed_nothing() -> None:
    bench = Bench()
    for _ in range(BURST + 5):
        await bench.ask()
    bench.status = 403
    await bench.guess(BURST + 5)
    bench.status = 401
    assert await bench.guess(1) == [401]
    assert set(bench.failed) == {
        (AuthScheme.NONE, AuthReason.MISSING),
        (AuthScheme.BEARER, AuthReason.RIGHTS),
        (AuthScheme.BEARER, AuthReason.INVALID),
    }


@pytest.mark.parametrize("listener", ["hub_api", "intake"])
async def test_signatures_are_counted_and_never_held_back(listener: str) -> None:
    bench = Bench(holds_back=listener != "hub_api", listener=listener)
    if listener == "intake":
        bench.headers = {"www-authenticate": 'Signature realm="orders"'}
        answers = [(await bench.ask()).status_code for _ in range(BURST + 5)]
        assert set(bench.failed) == {(AuthScheme.SIGNATURE, AuthReason.INVALID)}
    else:
        bench.refusal = "InvalidSignature"
        answers = await bench.guess(BURST + 5, scheme="SharedAccessSignature")
        assert set(bench.failed) == {(AuthScheme.SAS, AuthReason.INVALID)}
    assert answers == [401] * (BURST + 5)


@pytest.mark.parametrize(
    ("refusal", "status", "reason"),
    [
        ("MissingToken", 401, AuthReason.MISSING),
        ("MalformedToken", 401, AuthReason.INVALID),
        ("InvalidSignature", 401, AuthReason.INVALID),
        ("ExpiredToken", 401, AuthReason.EXPIRED),
        ("InvalidAudience", 401, AuthReason.AUDIENCE),
        ("Forbidden", 403, AuthReason.RIGHTS),
        ("not_yet", 401, AuthReason.EXPIRED),
        ("issuer", 401, AuthReason.AUDIENCE),
        ("signature", 401, AuthReason.INVALID),
    ],
)
async def test_what_was_wrong_is_counted_by_its_reason(refusal: str, status: int, reason: AuthReason) -> None:
    bench = Bench(holds_back=False, listener="hub_api")
    bench.refusal, bench.status = refusal, status
    await bench.ask("SharedAccessSignature sr=a")
    assert bench.failed == [(AuthScheme.SAS, reason)]


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_guard, "_MOST_GOOD", 3)
    monkeypatch.setattr(auth_guard, "_MOST_CLIENTS", 5)
    bench = Bench()
    for number in range(20):
        await bench.ask(query=f"?access_token=good-{number}")
        await bench.guess(1, client=f"203.0.113.{number}")
    assert len(bench.guard._good) == 3
    assert len(bench.guard._failures) == 5


async def test_readiness_names_the_address_that_most_wrong_credentials_come_from() -> None:
    bench = Bench()
    await bench.guess(19)
    assert bench.guard.trouble == ""
    await bench.guess(2, client=NEIGHBOUR)
    assert bench.guard.trouble == f"21 requests had wrong credentials in ten minutes, 19 of them from {STRANGER}"
    bench.clock.advance(600)
    assert bench.guard.trouble == ""
    assert listener_parts([], {"admin": "x"}) == []


def _possible() -> Iterator[tuple[str, str, str]]:
    for listener, schemes in AUTH_FAILURES.items():
        for scheme, reasons in schemes.items():
            for reason in reasons:
                yield listener, scheme.value, reason.value


def test_each_failure_that_can_happen_has_a_zero() -> None:
    metrics = Metrics(version="1", sources=[], rules=[], hubs=[])
    for listener, scheme, reason in _possible():
        labels = {"listener": listener, "scheme": scheme, "reason": reason}
        assert metrics.registry.get_sample_value("pushbridge_auth_failures_total", labels) == 0


async def test_who_guesses_the_secret_of_a_proxy_is_held_back_too() -> None:
    bench = Bench()
    transport = httpx.ASGITransport(bench.guard, client=(STRANGER, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        answers = [
            await client.get("/", headers={"pushbridge-proxy-secret": f"guess-{number}", "authorization": "x"})
            for number in range(BURST + 2)
        ]
    assert [answer.status_code for answer in answers] == [401] * BURST + [429] * 2
    assert set(bench.failed) == {(AuthScheme.PROXY, AuthReason.INVALID)}


@pytest.mark.parametrize("flaw", ["expired", "not_yet", "audience", "issuer"])
async def test_a_page_that_was_left_open_beyond_its_token_s_time_holds_nobody_back(flaw: str) -> None:
    bench = Bench()
    bench.refusal = flaw
    assert await bench.guess(BURST + 3) == [401] * (BURST + 3)


async def test_a_secret_is_not_good_because_another_one_beside_it_was() -> None:
    """Else who holds a token would show each guess of the proxy's secret beside it, for as many as there are."""
    bench = Bench()
    transport = httpx.ASGITransport(bench.guard, client=(STRANGER, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:

        async def ask(secret: str, authorization: str) -> int:
            headers = {"pushbridge-proxy-secret": secret, "authorization": authorization}
            return (await client.get("/", headers=headers)).status_code

        assert await ask("mine", GOOD) == 200
        answers = [await ask("mine", f"Bearer guess-{number}") for number in range(BURST + 2)]
    assert answers == [401] * BURST + [429] * 2


async def test_a_secret_that_is_good_no_longer_is_held_back_as_any_other() -> None:
    bench = Bench()
    assert (await bench.ask(GOOD)).status_code == 200
    await bench.guess(BURST)
    bench.good = "Bearer another"
    assert [(await bench.ask(GOOD)).status_code for _ in range(2)] == [401, 429]
