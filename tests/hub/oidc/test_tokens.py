"""Bearer tokens: which are good, and what becomes of keys that rotate."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jwt
import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.oidc import keys as oidc_keys
from hub.oidc.errors import Flaw, ProviderError, TokenError
from hub.oidc.keys import ASK_EVERY, RENEW_AFTER, ProviderKeys, keys_address, usable_keys
from hub.oidc.settings import USUAL, OidcSettings
from hub.oidc.tokens import MAX_TOKEN, TokenCheck
from tests.fakes.provider import AUDIENCE, Provider, rsa_key

NOW = 1_800_000_000.0


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider().serving() as provider:
        yield provider


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def check(provider: Provider, clock: Clock) -> TokenCheck:
    return TokenCheck(OidcSettings(issuer=provider.issuer, audience=(AUDIENCE,)), now=lambda: NOW, clock=clock)


async def flaw_of(check: TokenCheck, token: str) -> Flaw:
    with pytest.raises(TokenError) as caught:
        await check.claims(f"Bearer {token}")
    assert token not in str(caught.value)
    return caught.value.flaw


async def test_a_good_token_says_what_it_says(provider: Provider, check: TokenCheck) -> None:
    provider.add_ec("ec-1")
    for token in (
        provider.token("ann", now=NOW, customer_id=4711),
        provider.token("ann", now=NOW, customer_id=4711, algorithm="PS256"),
        provider.token("ann", now=NOW, customer_id=4711, algorithm="ES256", key_id="ec-1"),
        provider.token("ann", now=NOW, customer_id=4711, aud=["another", AUDIENCE]),
    ):
        claims = await check.claims(f"bearer {token}")
        assert (claims["sub"], claims["customer_id"]) == ("ann", 4711)


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"aud": "another-app"}, Flaw.AUDIENCE),
        ({"aud": ["another-app", 7]}, Flaw.AUDIENCE),
        ({"aud": None}, Flaw.AUDIENCE),
        ({"iss": "https://login.evil.example"}, Flaw.ISSUER),
        ({"exp": NOW - 61}, Flaw.EXPIRED),
        ({"exp": None}, Flaw.CLAIMS),
        ({"nbf": NOW + 61}, Flaw.NOT_YET),
        ({"iat": NOW + 61}, Flaw.NOT_YET),
        ({"key_id": "rsa-1", "headers": {"kid": "unknown"}}, Flaw.KEY),
        ({"headers": {"crit": ["exp"]}}, Flaw.KEY),
        ({"algorithm": "RS512"}, Flaw.ALGORITHM),
        ({"key": rsa_key(9)}, Flaw.SIGNATURE),
    ],
)
async def test_a_token_that_is_not_good_is_refused(
    provider: Provider, check: TokenCheck, changes: dict[str, Any], flaw: Flaw
) -> None:
    assert await flaw_of(check, provider.token("ann", now=NOW, **changes)) is flaw


async def test_the_clocks_may_differ_a_little(provider: Provider, check: TokenCheck) -> None:
    await check.claims(f"Bearer {provider.token('ann', now=NOW, exp=NOW - 59)}")
    await check.claims(f"Bearer {provider.token('ann', now=NOW, nbf=NOW + 59)}")


async def test_none_and_the_public_key_as_a_secret_are_no_signatures(provider: Provider, check: TokenCheck) -> None:
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "boss", "exp": NOW + 300}
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": "rsa-1"})
    assert await flaw_of(check, unsigned) is Flaw.ALGORITHM
    public = provider.keys["rsa-1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name in ("HS256", "none", "nOnE", "RS256"):
        forged = hmac_token(claims, public, name)
        assert await flaw_of(check, forged) is (Flaw.SIGNATURE if name == "RS256" else Flaw.ALGORITHM)


def hmac_token(claims: dict[str, Any], secret: bytes, algorithm: str) -> str:
    """Signed with HMAC, whatever its header says."""
    import hashlib
    import hmac

    header = orjson.dumps({"alg": algorithm, "kid": "rsa-1", "typ": "JWT"})
    parts = [base64.urlsafe_b64encode(each).rstrip(b"=") for each in (header, orjson.dumps(claims))]
    signature = hmac.digest(secret, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b", "Bearer a.b.c", "Bearer ..",
                                   "Bearer é.é.é", f"Bearer {'a' * MAX_TOKEN}.b.c"])  # fmt: skip
async def test_what_is_no_token_is_refused_without_a_request(
    provider: Provider, check: TokenCheck, given: str | None
) -> None:
    with pytest.raises(TokenError):
        await check.claims(given)
    assert provider.asked == 0


async def test_a_new_key_is_good_without_a_restart_and_a_withdrawn_one_no_longer(
    provider: Provider, check: TokenCheck, clock: Clock
) -> None:
    await check.claims(f"Bearer {provider.token('ann', now=NOW)}")
    old = provider.token("ann", now=NOW)
    provider.add_rsa("rsa-2", 2)
    new = provider.token("ann", now=NOW, key_id="rsa-2")
    clock.seconds += ASK_EVERY
    await check.claims(f"Bearer {new}")
    await check.claims(f"Bearer {old}")
    del provider.keys["rsa-1"]
    clock.seconds += RENEW_AFTER
    await check.claims(f"Bearer {new}")
    assert await flaw_of(check, old) is Flaw.KEY


async def test_names_of_keys_that_are_invented_make_the_provider_no_work(
    provider: Provider, check: TokenCheck, clock: Clock
) -> None:
    good = provider.token("ann", now=NOW)
    for number in range(20):
        assert await flaw_of(check, provider.token("ann", now=NOW, headers={"kid": f"k{number}"})) is Flaw.KEY
        await check.claims(f"Bearer {good}")
    assert provider.asked == 1
    clock.seconds += ASK_EVERY
    assert await flaw_of(check, provider.token("ann", now=NOW, headers={"kid": "k"})) is Flaw.KEY
    assert provider.asked == 2


async def test_tokens_that_come_while_the_keys_are_fetched_wait_for_them(provider: Provider, check: TokenCheck) -> None:
    token = f"Bearer {provider.token('ann', now=NOW)}"
    await asyncio.gather(*(check.claims(token) for _ in range(10)))
    assert provider.asked == 1


async def test_known_keys_are_good_while_the_provider_is_away(
    provider: Provider, check: TokenCheck, clock: Clock
) -> None:
    token = f"Bearer {provider.token('ann', now=NOW)}"
    provider.fails = True
    with pytest.raises(ProviderError, match="503"):
        await check.claims(token)
    provider.fails = False
    clock.seconds += ASK_EVERY
    await check.claims(token)
    provider.fails = True
    clock.seconds += 2 * RENEW_AFTER
    await check.claims(token)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"alg": ["RS256"]},
        {"crv": [1], "kty": "EC"},
        {"kty": {}},
        {"use": 5},
        {"n": "AQ", "e": "AQ"},
        {"e": "AA"},
        {"n": "%%%"},
        {"n": 5},
        {"n": None},
        {"d": 5},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
    ],
)
def test_a_key_that_makes_no_sense_spoils_no_other(spoilt: dict[str, Any]) -> None:
    (good,) = Provider().key_set()["keys"]
    assert list(usable_keys({"keys": [good | {"kid": "spoilt"} | spoilt, good]}, USUAL)) == ["rsa-1"]


async def test_a_provider_that_hangs_while_keys_are_renewed_delays_no_token_of_a_known_key(
    provider: Provider, check: TokenCheck, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = f"Bearer {provider.token('ann', now=NOW)}"
    await check.claims(token)
    clock.seconds += RENEW_AFTER
    asked, answers = asyncio.Event(), asyncio.Event()
    documents = ProviderKeys._documents

    async def hang(keys: ProviderKeys) -> Mapping[str, Any]:
        asked.set()
        await answers.wait()
        return await documents(keys)

    monkeypatch.setattr(ProviderKeys, "_documents", hang)
    monkeypatch.setattr(oidc_keys, "_RENEWAL_PATIENCE", 0.05)
    for _ in range(3):
        await check.claims(token)
        clock.seconds += ASK_EVERY
    assert asked.is_set()
    provider.add_rsa("rsa-2", 2)
    new = asyncio.create_task(check.claims(f"Bearer {provider.token('bob', key_id='rsa-2', now=NOW)}"))
    before = provider.asked
    answers.set()
    assert (await new)["sub"] == "bob"
    assert provider.asked == before + 1


async def test_who_leaves_while_the_keys_are_fetched_takes_them_from_nobody(
    provider: Provider, check: TokenCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()
    documents = ProviderKeys._documents

    async def hang(keys: ProviderKeys) -> Mapping[str, Any]:
        asked.set()
        await answers.wait()
        return await documents(keys)

    monkeypatch.setattr(ProviderKeys, "_documents", hang)
    token = f"Bearer {provider.token('ann', now=NOW)}"
    leaving = asyncio.create_task(check.claims(token))
    await asked.wait()
    leaving.cancel()
    staying = asyncio.create_task(check.claims(token))
    answers.set()
    assert (await staying)["sub"] == "ann"


def test_only_keys_that_can_be_trusted_are_used() -> None:
    provider = Provider()
    (good,) = provider.key_set()["keys"]
    short = Provider()
    short.keys["rsa-1"] = rsa.generate_private_key(public_exponent=65_537, key_size=1024)
    (weak,) = short.key_set()["keys"]
    given = [
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "hs", "alg": "HS256"},
        {"kid": "oct", "kty": "oct", "k": "c2VjcmV0"},
        {**weak, "kid": "weak"},
        {"kid": "broken", "kty": "RSA", "n": "!", "e": "AQAB"},
        {"kid": 7, "kty": "RSA"},
        "text",
        good,
    ]
    assert set(usable_keys({"keys": given}, USUAL)) == {"rsa-1"}
    with pytest.raises(ProviderError):
        usable_keys({"keys": "none"}, USUAL)


def test_a_provider_cannot_point_to_another_issuer_or_to_keys_in_clear() -> None:
    issuer = "https://login.acme.example"
    assert keys_address({"issuer": issuer, "jwks_uri": "https://keys.acme.example/1"}, issuer)
    for document in ({"issuer": "https://evil.example", "jwks_uri": "https://keys.acme.example"},
                     {"issuer": issuer, "jwks_uri": "http://keys.acme.example"}, {"issuer": issuer}):  # fmt: skip
        with pytest.raises(ProviderError):
            keys_address(document, issuer)


@pytest.mark.parametrize("changes", [{"issuer": "http://login.acme.example"}, {"algorithms": ["HS256"]},
                                     {"algorithms": ["none"]}, {"audience": []}, {"clock_skew": 3600}])  # fmt: skip
def test_settings_that_would_trust_too_much_are_refused(changes: dict[str, Any]) -> None:
    usual = {"issuer": "https://login.acme.example", "audience": AUDIENCE}
    assert OidcSettings.model_validate(usual)
    with pytest.raises(ValueError):
        OidcSettings.model_validate(usual | changes)
