"""The APNs stand-in over real HTTP/2: what it takes, what it refuses, and what it remembers of a connection."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.apns import Apns
from sandbox.journal import Journal
from sandbox.provider_token import ProviderKey
from sandbox.services import PushServices
from sandbox.tls import Authority
from tests.sandbox.clients import PATIENCE, Http2Client, provider_token, settled
from tests.sandbox.conftest import MovableClock

UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"
BODY = b'{"aps":{"alert":"hello"}}'


@pytest.fixture
async def client(services: PushServices) -> AsyncIterator[Http2Client]:
    async with await Http2Client.connect(services.apns.port, services.ca_file) as connected:
        yield connected


@pytest.fixture
def token(services: PushServices) -> str:
    handle = services.make_handle("apns", 1)
    services.apns.register(handle)
    return handle


@pytest.fixture
def headers(services: PushServices, clock: MovableClock) -> dict[str, str]:
    credential = services.apns_credential
    return {
        "authorization": f"bearer {provider_token(credential, clock.now)}",
        "apns-topic": credential.topic,
        "apns-push-type": "alert",
        "apns-id": UUID,
    }


async def test_a_good_push_is_answered_with_its_id_and_no_body(
    services: PushServices, client: Http2Client, token: str, headers: dict[str, str]
) -> None:
    response = await client.post(f"/3/device/{token.lower()}", headers, BODY)
    assert (response.status, response.headers, response.pieces) == (200, {"apns-id": UUID}, [])
    [entry] = services.journal
    assert (entry.service, entry.handle, entry.push_id, entry.payload) == ("apns", token, UUID, BODY)
    assert entry.headers["apns-push-type"] == "alert"
    assert "authorization" not in entry.headers


async def test_a_push_without_an_id_gets_one(client: Http2Client, token: str, headers: dict[str, str]) -> None:
    del headers["apns-id"]
    response = await client.post(f"/3/device/{token}", headers, BODY)
    assert len(response.headers["apns-id"]) == len(UUID)


Changes = dict[str, str | None]

REFUSED: list[tuple[str, Changes, int, str]] = [
    ("an upper-case id", {"apns-id": UUID.upper()}, 400, "BadMessageId"),
    ("an id that is none", {"apns-id": "7"}, 400, "BadMessageId"),
    ("no topic", {"apns-topic": None}, 400, "MissingTopic"),
    ("a long collapse id", {"apns-collapse-id": "x" * 65}, 400, "BadCollapseId"),
    ("an expiration in words", {"apns-expiration": "tomorrow"}, 400, "BadExpirationDate"),
    ("a priority of its own", {"apns-priority": "7"}, 400, "BadPriority"),
    ("a background push that is urgent", {"apns-push-type": "background", "apns-priority": "10"}, 400, "BadPriority"),
    ("an unknown push type", {"apns-push-type": "loud"}, 400, "InvalidPushType"),
    ("a topic without its suffix", {"apns-push-type": "voip"}, 400, "BadTopic"),
    ("a suffix of another push type", {"apns-topic": "com.example.pushbridge.voip"}, 400, "BadTopic"),
    ("a topic of somebody else", {"apns-topic": "com.example.other"}, 400, "TopicDisallowed"),
    ("no token", {"authorization": None}, 403, "MissingProviderToken"),
    ("a token that is none", {"authorization": "bearer x.y.z"}, 403, "InvalidProviderToken"),
]


@pytest.mark.parametrize(("changes", "status", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_wrong_headers_are_refused(
    services: PushServices,
    client: Http2Client,
    token: str,
    headers: dict[str, str],
    changes: Changes,
    status: int,
    reason: str,
) -> None:
    changed = {name: value for name, value in {**headers, **changes}.items() if value is not None}
    response = await client.post(f"/3/device/{token}", changed, BODY)
    assert (response.status, response.json) == (status, {"reason": reason})
    assert services.journal.counts() == {("apns", status, reason): 1}


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/3/device/", 400, "MissingDeviceToken"),
        ("/3/device/" + "AB" * 32, 400, "BadDeviceToken"),
        ("/3/device/nonsense", 400, "BadDeviceToken"),
        ("/4/device/x", 404, "BadPath"),
    ],
)
async def test_wrong_paths_are_refused(
    client: Http2Client, headers: dict[str, str], path: str, status: int, reason: str
) -> None:
    response = await client.post(path, headers, BODY)
    assert (response.status, response.json["reason"]) == (status, reason)


async def test_only_post_is_a_method(client: Http2Client, token: str, headers: dict[str, str]) -> None:
    response = await client.post(f"/3/device/{token}", headers, method="GET")
    assert (response.status, response.json["reason"]) == (405, "MethodNotAllowed")


async def test_a_header_that_comes_twice_is_refused(client: Http2Client, token: str, headers: dict[str, str]) -> None:
    response = await client.post(f"/3/device/{token}", [*headers.items(), ("apns-topic", "another")], BODY)
    assert response.json == {"reason": "DuplicateHeaders"}


@pytest.mark.parametrize(
    ("push_type", "suffix", "size", "status"),
    [
        ("alert", "", 0, 400),
        ("alert", "", 4096, 200),
        ("alert", "", 4097, 413),
        ("voip", ".voip", 5120, 200),
        ("voip", ".voip", 5121, 413),
        ("alert", "", 60_000, 413),
    ],
)
async def test_payloads_have_to_have_the_right_size(
    client: Http2Client, token: str, headers: dict[str, str], push_type: str, suffix: str, size: int, status: int
) -> None:
    headers |= {"apns-push-type": push_type, "apns-topic": headers["apns-topic"] + suffix}
    response = await client.post(f"/3/device/{token}", headers, b"x" * size)
    assert response.status == status


async def test_a_dead_token_says_since_when(
    services: PushServices, client: Http2Client, token: str, headers: dict[str, str]
) -> None:
    services.apns.unregister(token, since=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC))
    response = await client.post(f"/3/device/{token}", headers, BODY)
    assert (response.status, response.json) == (410, {"reason": "Unregistered", "timestamp": 1767323045678})


async def test_a_device_takes_pushes_for_its_own_app_only(
    services: PushServices, client: Http2Client, token: str, headers: dict[str, str]
) -> None:
    services.apns.register(token, topic="com.example.other")
    response = await client.post(f"/3/device/{token}", headers, BODY)
    assert response.json == {"reason": "DeviceTokenNotForTopic"}


async def test_well_formed_tokens_of_nobody_are_taken_for_load(
    services: PushServices, client: Http2Client, headers: dict[str, str]
) -> None:
    services.apns.accept_unknown = True
    path = f"/3/device/{services.make_handle('apns', 99)}"
    assert (await client.post(path, headers, BODY)).status == 200
    assert (await client.post(path[:-1], headers, BODY)).json == {"reason": "BadDeviceToken"}


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(minutes=59), None),
        (timedelta(minutes=61), "ExpiredProviderToken"),
        (timedelta(minutes=-5), "InvalidProviderToken"),
    ],
)
async def test_a_provider_token_is_good_for_an_hour(
    services: PushServices,
    client: Http2Client,
    token: str,
    headers: dict[str, str],
    clock: MovableClock,
    age: timedelta,
    reason: str | None,
) -> None:
    headers["authorization"] = f"bearer {provider_token(services.apns_credential, clock.now - age)}"
    response = await client.post(f"/3/device/{token}", headers, BODY)
    assert (response.json["reason"] if response.pieces else None) == reason


async def test_a_token_that_was_good_grows_old(
    client: Http2Client, token: str, headers: dict[str, str], clock: MovableClock
) -> None:
    assert (await client.post(f"/3/device/{token}", headers, BODY)).status == 200
    clock.advance(minutes=61)
    assert (await client.post(f"/3/device/{token}", headers, BODY)).json == {"reason": "ExpiredProviderToken"}


@pytest.mark.parametrize("claims", [{"iss": "OTHERTEAM1"}, {"iat": "yesterday"}, {"iat": None}, {"iat": 10**18}])
async def test_wrong_claims_are_refused(
    services: PushServices,
    client: Http2Client,
    token: str,
    headers: dict[str, str],
    clock: MovableClock,
    claims: dict[str, object],
) -> None:
    credential = services.apns_credential
    claims = {"iss": credential.team_id, "iat": int(clock.now.timestamp())} | claims
    text = jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        credential.key_file.read_text(),
        algorithm="ES256",
        headers={"kid": credential.key_id},
    )
    response = await client.post(f"/3/device/{token}", headers | {"authorization": f"bearer {text}"}, BODY)
    assert response.json == {"reason": "InvalidProviderToken"}


async def test_another_token_has_to_wait_twenty_minutes_and_the_old_one_stays_good(
    services: PushServices, client: Http2Client, token: str, headers: dict[str, str], clock: MovableClock
) -> None:
    path = f"/3/device/{token}"
    assert (await client.post(path, headers, BODY)).status == 200
    clock.advance(minutes=19)
    renewed = headers | {"authorization": f"bearer {provider_token(services.apns_credential, clock.now)}"}
    response = await client.post(path, renewed, BODY)
    assert (response.status, response.json) == (429, {"reason": "TooManyProviderTokenUpdates"})
    assert (await client.post(path, headers, BODY)).status == 200
    clock.advance(minutes=1)
    assert (await client.post(path, renewed, BODY)).status == 200


async def test_a_connection_belongs_to_one_team_one_key_and_one_environment(
    tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> None:
    private = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("FIRST", "SECOND", "THEIRS", "SANDBOX")}
    keys = {
        name: ProviderKey(
            team_id="THEIRTEAM" if name == "THEIRS" else "OURTEAM",
            public_key=key.public_key(),
            environment="development" if name == "SANDBOX" else "production",
        )
        for name, key in private.items()
    }
    authority = Authority(tmp_path_factory.mktemp("ca"))
    context = authority.server_context(Apns.versions)
    apns = Apns(journal=Journal(), context=context, keys=keys, topics=["a"], accept_unknown=True, clock=clock)
    await apns.start()
    async with await Http2Client.connect(apns.port, authority.ca_file) as client:
        reasons = []
        for name in ("SANDBOX", "FIRST", "SECOND", "THEIRS", "FIRST"):
            claims = {"iss": keys[name].team_id, "iat": int(clock.now.timestamp())}
            text = jwt.encode(claims, private[name], algorithm="ES256", headers={"kid": name})
            headers = {"authorization": f"bearer {text}", "apns-topic": "a"}
            response = await client.post("/3/device/" + "AB" * 32, headers, BODY)
            reasons.append(response.json["reason"] if response.pieces else "")
            clock.advance(minutes=1)
    await apns.stop()
    # the last one is the first token minted anew: same key, but too soon
    assert reasons == [
        "BadEnvironmentKeyIdInToken",
        "",
        "UnrelatedKeyIdInToken",
        "InvalidProviderToken",
        "TooManyProviderTokenUpdates",
    ]


async def test_a_connection_has_one_stream_until_its_token_is_known_to_be_good(
    services: PushServices, client: Http2Client, token: str, headers: dict[str, str]
) -> None:
    services.apns.faults.hold()
    path = f"/3/device/{token}"
    without = {name: value for name, value in headers.items() if name != "authorization"}
    assert (await client.post(path, without, BODY)).status == 403
    assert client.limit == 1
    first, second = client.open(path, headers, BODY), client.open(path, headers, BODY)
    assert (await second).reset == 7  # REFUSED_STREAM: never looked at
    assert len(services.journal.accepted()) == 1
    await settled(client, 1000)
    third = client.open(path, headers, BODY)
    await services.journal.wait_for(count=2)
    services.apns.faults.release()
    assert [(await first).status, (await third).status] == [200, 200]


async def test_errors_slow_a_connection_down_and_a_success_speeds_it_up_again(
    services: PushServices, client: Http2Client, token: str, headers: dict[str, str]
) -> None:
    services.apns.slow_after_errors = True
    path = f"/3/device/{token}"
    assert (await client.post(path, headers, BODY)).status == 200
    await settled(client, 1000)
    assert (await client.post(path, headers)).status == 400
    await settled(client, 1)
    assert (await client.post(path, headers, BODY)).status == 200
    await settled(client, 1000)


async def test_too_many_bad_tokens_in_a_row_end_the_connection(
    services: PushServices, client: Http2Client, token: str, headers: dict[str, str]
) -> None:
    for number in range(99):
        response = await client.post(f"/3/device/{services.make_handle('apns', 1000 + number)}", headers, BODY)
        assert response.json == {"reason": "BadDeviceToken"}
    assert (await client.post(f"/3/device/{token}", headers, BODY)).status == 200
    for number in range(100):
        client.open(f"/3/device/{services.make_handle('apns', 2000 + number)}", headers, BODY)
        await services.journal.wait_for(lambda entry: entry.status == 400, count=100 + number)
    async with asyncio.timeout(PATIENCE):
        await client.told_to_go.wait()
    assert client.goaway is not None
    assert client.goaway.additional_data == b'{"reason": "BadDeviceToken"}'


async def test_http2_is_spoken_with_prior_knowledge_too(
    services: PushServices, token: str, headers: dict[str, str]
) -> None:
    async with await Http2Client.connect(services.apns.port, services.ca_file, alpn=()) as client:
        assert (await client.post(f"/3/device/{token}", headers, BODY)).status == 200


async def test_the_sandbox_environment_adds_an_id_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> None:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    apns = Apns(
        journal=Journal(),
        context=authority.server_context(Apns.versions),
        keys={},
        topics=[],
        environment="development",
        clock=clock,
    )
    await apns.start()
    async with await Http2Client.connect(apns.port, authority.ca_file) as client:
        response = await client.post("/3/device/x", {})
    await apns.stop()
    assert len(response.headers["apns-unique-id"]) == len(UUID)
