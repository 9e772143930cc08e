"""The stand-ins of ADM, Xiaomi, Huawei, Baidu and MPNS refuse what the services refuse."""

import hashlib
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from sandbox.adm import checksum
from sandbox.services import PushServices
from tests.sandbox.conftest import MovableClock


def handle(services: PushServices, name: str, number: int = 1) -> str:
    made = services.make_handle(name, number)
    services.by_platform[name].register(made)
    return made


async def bearer(http: httpx.AsyncClient, url: str, **form: str) -> str:
    answer = await http.post(url, data={"grant_type": "client_credentials", **form})
    assert answer.status_code == 200, answer.text
    return f"Bearer {answer.json()['access_token']}"


class Sent:
    """Sends to one service as it has to be, but for what a test changes."""

    def __init__(self, services: PushServices, http: httpx.AsyncClient) -> None:
        self._services = services
        self._http = http
        self._settings = services.vendors.settings()

    async def adm(self, *, headers: dict[str, str] | None = None, path: str = "", **body: Any) -> httpx.Response:
        adm, own = self._services.vendors.adm, self._settings["adm"]
        token = await bearer(
            self._http,
            adm.token_url,
            scope="messaging:push",
            client_id=own["client_id"],
            client_secret=own["client_secret"],
        )
        given = {
            "Authorization": token,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "X-Amzn-Type-Version": "com.amazon.device.messaging.ADMMessage@1.0",
            "X-Amzn-Accept-Type": "com.amazon.device.messaging.ADMSendResult@1.0",
        }
        url = f"{adm.url}/messaging/registrations/{path or quote(handle(self._services, 'adm'))}/messages"
        return await self._http.post(url, json={"data": {"a": "b"}, **body}, headers=given | (headers or {}))

    async def xiaomi(self, *, authorization: str = "", **fields: Any) -> httpx.Response:
        own = self._settings["xiaomi"]
        form = {
            "registration_id": handle(self._services, "xiaomi"),
            "restricted_package_name": own["package_name"],
            "title": "t",
            "description": "d",
        }
        return await self._http.post(
            f"{own['endpoint']}/v3/message/regid",
            data={name: value for name, value in (form | fields).items() if value is not None},
            headers={"Authorization": authorization or f"key={own['app_secret']}"},
        )

    async def huawei(self, *, headers: dict[str, str] | None = None, path: str = "", **message: Any) -> httpx.Response:
        own = self._settings["huawei"]
        token = await bearer(self._http, own["token_url"], client_id=own["app_id"], client_secret=own["client_secret"])
        body = {"message": {"data": "x", "token": [handle(self._services, "huawei")], **message}}
        return await self._http.post(
            own["endpoint"] + (path or f"/v1/{own['app_id']}/messages:send"),
            json=body,
            headers={"Authorization": token, **(headers or {})},
        )

    async def baidu(self, *, headers: dict[str, str] | None = None, sign: str = "", **fields: str) -> httpx.Response:
        own = self._settings["baidu"]
        url = f"{own['endpoint']}/rest/3.0/push/single_device"
        form = {
            "apikey": own["api_key"],
            "channel_id": handle(self._services, "baidu").partition("-")[2],
            "device_type": "3",
            "msg": '{"title":"t"}',
            "msg_type": "1",
            "timestamp": str(int(self._services.vendors.baidu._clock().timestamp())),
        } | fields
        text = f"POST{url}{''.join(f'{name}={form[name]}' for name in sorted(form))}{own['secret_key']}"
        # Of what stands in it, PHP's `urlencode` leaves letters, digits and -_. as they are, and makes a space a plus.
        signed = hashlib.md5(quote(text, safe=" ").replace("~", "%7E").replace(" ", "+").encode()).hexdigest()
        user_agent = {"User-Agent": "BCCS_SDK/3.0 (Linux) Python"} | (headers or {})
        return await self._http.post(url, data=form | {"sign": sign or signed}, headers=user_agent)

    async def mpns(self, *, body: bytes = b"<a/>", **headers: str) -> httpx.Response:
        given = {"content-type": "text/xml", "x-windowsphone-target": "toast", "x-notificationclass": "2"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._http.post(handle(self._services, "mpns"), content=body, headers=given | named)


@pytest.fixture
def sent(services: PushServices, http: httpx.AsyncClient) -> Sent:
    return Sent(services, http)


@pytest.mark.parametrize("name", ["adm", "xiaomi", "huawei", "baidu", "mpns"])
async def test_a_push_as_it_has_to_be_is_taken(services: PushServices, sent: Sent, name: str) -> None:
    answer = await getattr(sent, name)()
    assert answer.status_code == 200, answer.text
    (entry,) = services.journal.accepted()
    assert (entry.service, entry.handle) == (name, handle(services, name))


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"headers": {"Authorization": "Bearer x"}}, 401, "AccessTokenExpired"),
        ({"headers": {"X-Amzn-Type-Version": "1"}}, 400, "InvalidType"),
        ({"path": "a-registration-id-that-nobody-has"}, 400, "InvalidRegistrationId"),
        ({"data": {"a": 1}}, 400, "InvalidData"),
        ({"data": None}, 400, "InvalidData"),
        ({"to": "x"}, 400, "InvalidData"),
        ({"data": {"a": "x" * 6140}}, 413, "MessageTooLarge"),
        ({"consolidationKey": "k" * 65}, 400, "InvalidConsolidationKey"),
        ({"expiresAfter": 59}, 400, "InvalidExpiration"),
        ({"expiresAfter": 31 * 86_400 + 1}, 400, "InvalidExpiration"),
        ({"md5": "x"}, 400, "InvalidChecksum"),
    ],
)
async def test_adm_refuses(
    services: PushServices, sent: Sent, changes: dict[str, Any], status: int, reason: str
) -> None:
    answer = await sent.adm(**changes)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert not services.journal.accepted()


async def test_adm_takes_a_right_checksum_and_names_the_id_that_a_phone_has_now(
    services: PushServices, sent: Sent
) -> None:
    assert (await sent.adm(md5=checksum({"a": "b"}))).status_code == 200
    old = services.make_handle("adm", 7)
    services.vendors.adm.rename(old, "new-registration-id")
    answer = await sent.adm(path=quote(old))
    assert answer.json() == {"registrationID": "new-registration-id"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"authorization": "key=wrong"}, 21301),
        ({"restricted_package_name": "com.other"}, 22000),
        ({"description": None}, 10017),
        ({"pass_through": "1"}, 10017),
        ({"pass_through": "2"}, 10016),
        ({"time_to_live": "1209600001"}, 10016),
        ({"notify_id": str(2**31)}, 10016),
        ({"description": "x" * 4096}, 10018),
        ({"registration_id": "a-registration-id-that-nobody-has"}, 20301),
    ],
)
async def test_xiaomi_refuses_with_a_code(
    services: PushServices, sent: Sent, changes: dict[str, Any], code: int
) -> None:
    answer = await sent.xiaomi(**changes)
    assert (answer.status_code, answer.json()["code"], answer.json()["result"]) == (200, code, "error")
    assert not services.journal.accepted()


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"headers": {"Authorization": "Bearer x"}}, 401, "80200003"),
        ({"path": "/v1/2/messages:send"}, 404, None),
        ({"token": []}, 400, "80100003"),
        ({"token": "x"}, 400, "80100003"),
        ({"token": ["x"] * 1001}, 400, "80300010"),
        ({"token": ["a-token-that-nobody-has"]}, 400, "80300007"),
        ({"data": {"a": "b"}}, 400, "80100003"),
        ({"notification": {"title": "t"}}, 400, "80100003"),
        ({"strange": 1}, 400, "80100003"),
        ({"data": "x" * 4096}, 400, "80300008"),
    ],
)
async def test_huawei_refuses_with_a_code(
    services: PushServices, sent: Sent, changes: dict[str, Any], status: int, code: str | None
) -> None:
    answer = await sent.huawei(**changes)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert not services.journal.accepted()


async def test_huawei_takes_a_request_for_its_good_tokens_and_names_the_others(
    services: PushServices, sent: Sent
) -> None:
    good = [handle(services, "huawei", number) for number in (5, 6)]
    answer = await sent.huawei(token=[good[0], "bad", good[1]])
    assert answer.json()["code"] == "80100000"
    assert orjson.loads(answer.json()["msg"]) == {"success": 2, "failure": 1, "illegal_tokens": ["bad"]}
    assert sorted(entry.handle for entry in services.journal.accepted()) == sorted(good)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"sign": "x"}, 403, 30603),
        ({"apikey": "other"}, 403, 30603),
        ({"timestamp": "1000000000"}, 403, 30607),
        ({"msg": "no JSON"}, 400, 30602),
        ({"msg_type": "7"}, 400, 30602),
        ({"headers": {"User-Agent": "curl"}}, 400, 30602),
        ({"channel_id": "1234567890123"}, 400, 30608),
    ],
)
async def test_baidu_refuses_with_a_code(
    services: PushServices, sent: Sent, changes: dict[str, Any], status: int, code: int
) -> None:
    answer = await sent.baidu(**changes)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert not services.journal.accepted()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"content_type": "application/json"}, 400),
        ({"x_notificationclass": "1"}, 400),
        ({"body": b""}, 400),
        ({"body": b"x" * 3073}, 413),
    ],
)
async def test_mpns_refuses(services: PushServices, sent: Sent, changes: dict[str, Any], status: int) -> None:
    assert (await sent.mpns(**changes)).status_code == status
    assert not services.journal.accepted()


async def test_tokens_of_adm_and_huawei_end_after_an_hour_and_are_for_who_knows_the_secret(
    services: PushServices, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    for url in (services.vendors.adm.token_url, services.vendors.huawei.token_url):
        form = {"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "x"}
        assert (await http.post(url, data=form)).json()["error"] == "unauthorized_client"
    own = services.vendors.settings()["huawei"]
    token = await bearer(http, own["token_url"], client_id=own["app_id"], client_secret=own["client_secret"])
    assert services.vendors.huawei.tokens.owner(token) == own["app_id"]
    clock.advance(hours=1)
    assert services.vendors.huawei.tokens.owner(token) is None
