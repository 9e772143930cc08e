"""Provider tokens: the same everywhere at the same time, and never too new or too old for Apple."""

import random
from collections import defaultdict
from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from hub.platforms.apns.token import ProviderToken
from sandbox.provider_token import ProviderKey, ProviderTokens, TokenHistory
from tests.hub.platforms.keys import p256_key, pem_of, rsa_key

NOON = 1_800_000_000 - 1_800_000_000 % 2100 + 30  # the first moment of a bucket, by a clock that may be 30 s ahead


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make(clock: Clock) -> ProviderToken:
    return ProviderToken(key=pem_of(p256_key()), key_id="KEY4567890", team_id="TEAM567890", clock=clock)


def issued_at(token: str) -> int:
    return int(jwt.decode(token, options={"verify_signature": False})["iat"])


def test_a_token_is_a_jwt_that_apple_verifies() -> None:
    token = make(Clock()).current()
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY4567890"}
    claims = jwt.decode(token, p256_key().public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM567890", "iat": NOON - 30}


def test_replicas_and_restarts_make_the_same_token() -> None:
    assert len({make(Clock(NOON + seconds)).current() for seconds in (0, 1, 1000, 2099)}) == 1


@given(st.integers(min_value=1_700_000_000, max_value=2_000_000_000))
def test_a_token_is_never_from_the_future_and_never_an_hour_old(now: int) -> None:
    assert 30 <= now - issued_at(make(Clock(now)).current()) < 36 * 60


def test_eight_replicas_that_restart_fifty_times_each_are_never_refused_for_too_many_tokens() -> None:
    """The service counts the tokens of the team over all connections. Clocks of the replicas differ by up to 20 seconds.

    A process has connections of their own for each token (`TokenConnections`); a restart loses them and all that it knew.
    """
    clock, chance = Clock(NOON + 60), random.Random(1)
    key = ProviderKey(team_id="TEAM567890", public_key=p256_key().public_key())
    apns = ProviderTokens(
        {"KEY4567890": key}, environment="production", clock=lambda: datetime.fromtimestamp(clock.now, UTC)
    )
    apns.counts_teams = True
    clocks = [Clock() for _ in range(8)]
    replicas = [make(each) for each in clocks]
    skews = [chance.uniform(-20, 20) for _ in clocks]
    sent = set()
    for _ in range(50):
        for number in range(8):
            replicas[number] = make(clocks[number])
            connections: defaultdict[str, TokenHistory] = defaultdict(TokenHistory)
            for _ in range(3):
                clock.now += chance.uniform(0, 30)
                clocks[number].now = clock.now + skews[number]
                sent.add(token := replicas[number].current())
                apns.admit(f"bearer {token}", connections[token])
    assert len(sent) in (int((clock.now - NOON) // 2100) + 1, int((clock.now - NOON) // 2100) + 2)


def test_the_next_token_comes_after_35_minutes() -> None:
    clock = Clock()
    tokens = make(clock)
    first = tokens.current()
    clock.now += 2099
    assert tokens.current() == first
    clock.now += 1
    assert issued_at(tokens.current()) - issued_at(first) == 2100


def test_a_refused_update_falls_back_to_the_token_before_until_that_is_55_minutes_old() -> None:
    clock = Clock()
    tokens = make(clock)
    before = tokens.current()
    clock.now += 2100
    after = tokens.current()
    tokens.refuse_update(after)
    assert tokens.current() == before
    clock.now = NOON + 55 * 60 - 1
    assert tokens.current() == before
    clock.now += 1
    assert tokens.current() == after


def test_a_restarted_process_falls_back_to_a_token_that_it_never_sent() -> None:
    earlier, later = make(Clock(NOON)).current(), make(Clock(NOON + 2100))
    later.refuse_update(later.current())
    assert later.current() == earlier


def test_a_fallback_that_expired_is_given_up() -> None:
    clock = Clock(NOON + 2100)
    tokens = make(clock)
    newest = tokens.current()
    tokens.refuse_update(newest)
    tokens.expire(tokens.current())
    assert tokens.current() == newest


def test_a_refusal_of_a_token_that_is_not_in_use_changes_nothing() -> None:
    tokens = make(Clock())
    current = tokens.current()
    tokens.refuse_update("another")
    assert tokens.current() == current


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("", "no PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no PEM"),
        (pem_of(rsa_key()), "no P-256"),
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "no P-256"),
    ],
)
def test_an_unusable_key_is_refused_with_what_to_do(pem: str, words: str) -> None:
    with pytest.raises(ValueError, match=rf"{words}.*\.p8 file"):
        ProviderToken(key=pem, key_id="K", team_id="T")
