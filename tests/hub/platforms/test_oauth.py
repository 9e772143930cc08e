"""Access tokens: one request for all who wait, renewed in time, and failures that say what to do."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.egress import Egress
from hub.outcome import OutcomeName, Reaction
from hub.push import SendResult
from hub.tls import Tls
from hub.transport.answers import retry_after
from hub.transport.oauth import AccessTokens, token_from
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults
from sandbox.server import HttpServer
from sandbox.tls import Authority

OK = b'{"access_token":"abc","expires_in":"3600","token_type":"Bearer"}'

ROWS = [
    (400, b'{"error":"invalid_grant","error_description":"bad"}', "config", "InvalidCredentials"),
    (401, b'{"error":"invalid_client"}', "config", "InvalidCredentials"),
    (403, b"", "config", "InvalidCredentials"),
    (429, b"", "retry", "TokenProviderUnreachable"),
    (500, b"", "retry", "TokenProviderUnreachable"),
    (503, b"<html>", "retry", "TokenProviderUnreachable"),
    (302, b"", "retry", "TokenProviderInterfaceError"),
    (404, b"", "retry", "TokenProviderInterfaceError"),
    (200, b"<html>", "retry", "TokenProviderInterfaceError"),
    (200, b"[]", "retry", "TokenProviderInterfaceError"),
    (200, b'{"access_token":7}', "retry", "TokenProviderInterfaceError"),
    (200, b'{"access_token":"a\\r\\nb: c"}', "retry", "TokenProviderInterfaceError"),
    (200, b'{"access_token":"a","expires_in":"soon"}', "retry", "TokenProviderInterfaceError"),
]


@pytest.mark.parametrize(("status", "body", "reaction", "outcome"), ROWS)
def test_a_refusal_is_ours_to_mend_and_trouble_is_tried_again(
    status: int, body: bytes, reaction: str, outcome: str
) -> None:
    result = token_from(status, {}, body)
    assert isinstance(result, SendResult)
    assert (result.reaction, result.outcome) == (Reaction(reaction), OutcomeName(outcome))
    assert result.lane_wide
    assert f"HTTP {status}" in result.reason


def test_a_refusal_says_the_provider_s_words_and_trouble_when_to_come_back() -> None:
    refusal = token_from(400, {}, b'{"error":"invalid_grant","error_description":"account not found"}')
    assert isinstance(refusal, SendResult)
    assert "invalid_grant: account not found" in refusal.reason
    trouble = token_from(503, {"retry-after": "12"}, b"")
    assert isinstance(trouble, SendResult)
    assert trouble.retry_after == 12


@pytest.mark.parametrize(("body", "lifetime"), [(OK, 3600.0), (b'{"access_token":"abc","expires_in":60}', 60.0)])
def test_a_token_comes_with_its_lifetime(body: bytes, lifetime: float) -> None:
    assert token_from(200, {}, body) == ("abc", lifetime)


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_understood_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, now=NOON) == seconds


@given(st.text() | st.from_regex(r"[A-Za-z]{3}, [0-9]{1,12} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{1,9} [A-Z+0-9-]{1,6}"))
def test_any_retry_after_is_a_time_to_come_or_nothing(value: str) -> None:
    seconds = retry_after({"retry-after": value}, now=NOON)
    assert seconds is None or seconds >= 0


class Provider:
    """Answers token requests; while not `open` the answers are held back."""

    def __init__(self) -> None:
        self.requests: list[Exchange] = []
        self.answers = [Answer(status=200, body=(OK,))]
        self.open = True
        self.held: list[tuple[Exchange, Answer]] = []
        self.url = ""
        self.egress = Egress()

    def serve(self, exchange: Exchange) -> None:
        self.requests.append(exchange)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.open:
            exchange.answer(answer)
        else:
            self.held.append((exchange, answer))

    def release(self) -> None:
        self.open = True
        for exchange, answer in self.held:
            exchange.answer(answer)


@pytest.fixture
async def provider(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    provider = Provider()
    authority = Authority(tmp_path_factory.mktemp("tls"))
    context = authority.server_context(("http/1.1",))
    server = HttpServer(provider.serve, faults=Faults(), context=context, versions=("http/1.1",), max_streams=1)
    await server.start()
    provider.url = f"https://127.0.0.1:{server.port}/token"
    provider.egress = Egress(tls=Tls(ca_file=authority.ca_file))
    yield provider
    await server.stop()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tokens_of(provider: Provider, clock: Clock) -> AccessTokens:
    return AccessTokens(provider.url, lambda: {"grant_type": "test"}, egress=provider.egress, clock=clock)


async def test_all_who_wait_share_one_request(provider: Provider) -> None:
    tokens = tokens_of(provider, Clock())
    provider.open = False
    waiting = [asyncio.ensure_future(tokens.get(deadline=60)) for _ in range(20)]
    while not provider.requests:
        await asyncio.sleep(0)
    provider.release()
    assert set(await asyncio.gather(*waiting)) == {"abc"}
    assert len(provider.requests) == 1
    assert provider.requests[0].body == b"grant_type=test"


async def test_all_who_wait_share_one_failure_and_the_next_asks_again(provider: Provider) -> None:
    provider.answers = [Answer(status=503), Answer(status=200, body=(OK,))]
    tokens = tokens_of(provider, Clock())
    results = await asyncio.gather(*(tokens.get(deadline=60) for _ in range(5)))
    assert len(provider.requests) == 1
    assert {type(result) for result in results} == {SendResult}
    assert await tokens.get(deadline=60) == "abc"


async def test_a_token_is_renewed_five_minutes_early(provider: Provider) -> None:
    clock = Clock()
    tokens = tokens_of(provider, clock)
    await tokens.get(deadline=60)
    clock.now = 3299
    await tokens.get(deadline=60)
    assert len(provider.requests) == 1
    clock.now = 3300
    await tokens.get(deadline=60)
    assert len(provider.requests) == 2


async def test_a_stale_token_is_forgotten_and_a_newer_one_is_not(provider: Provider) -> None:
    provider.answers.append(Answer(status=200, body=(OK.replace(b"abc", b"def"),)))
    tokens = tokens_of(provider, Clock())
    assert await tokens.get(deadline=60) == "abc"
    tokens.forget("abc")
    assert await tokens.get(deadline=60) == "def"
    tokens.forget("abc")
    assert await tokens.get(deadline=60) == "def"
    assert len(provider.requests) == 2


async def test_a_provider_that_does_not_answer_costs_no_more_than_the_deadline(provider: Provider) -> None:
    provider.open = False
    result = await tokens_of(provider, Clock()).get(deadline=0.05)
    provider.release()
    assert isinstance(result, SendResult)
    assert (result.outcome, result.timed_out) == (OutcomeName.TOKEN_PROVIDER_UNREACHABLE, True)


async def test_who_gives_up_waiting_does_not_take_the_token_from_the_others(provider: Provider) -> None:
    provider.open = False
    tokens = tokens_of(provider, Clock())
    first, second = (asyncio.ensure_future(tokens.get(deadline=60)) for _ in range(2))
    while not provider.requests:
        await asyncio.sleep(0)
    first.cancel()
    provider.release()
    assert await second == "abc"


async def test_a_provider_that_cannot_be_reached_or_trusted_is_trouble(provider: Provider) -> None:
    for tokens in (
        AccessTokens("https://127.0.0.1:1/token", dict),
        AccessTokens(provider.url, dict),
        AccessTokens(provider.url, dict, egress=Egress(tls=Tls.model_construct(ca_file=Path("/nowhere/ca.pem")))),
    ):
        result = await tokens.get(deadline=60)
        assert isinstance(result, SendResult)
        assert (result.reaction, result.outcome) == (Reaction.RETRY, OutcomeName.TOKEN_PROVIDER_UNREACHABLE)
        assert not result.timed_out


async def test_pushes_go_on_while_an_assertion_is_signed_and_a_client_made_ready(provider: Provider) -> None:
    may_go_on = threading.Event()

    def sign() -> dict[str, str]:
        assert may_go_on.wait(timeout=60)
        return {"grant_type": "test"}

    waiting = asyncio.ensure_future(AccessTokens(provider.url, sign, egress=provider.egress).get(deadline=60))
    await asyncio.sleep(0)
    assert not waiting.done()
    may_go_on.set()
    assert await waiting == "abc"
