"""Installations at a remote hub: what is asked of it, and what its answers mean."""

import httpx
import orjson
import pytest

from hub.delivery.remote_settings import RemoteSettings
from hub.errors import GoneError, InvalidRequestError
from hub.installation import Installation, Template
from hub.notification import Platform
from hub.registration.errors import EngineError
from hub.registration.remote import RemoteEngine

SETTINGS = RemoteSettings(endpoint="https://acme.example", hub="bank", key_name="Listen", key="canary")
INSTALLATION = Installation(
    id="phone:p/1",
    platform=Platform.FCM,
    push_channel="handle",
    user_id="ann",
    tags=("customer:7",),
    templates={"push": Template(body="{}")},
)


class Remote:
    """Answers what a test says, and keeps what it was asked."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        self.asked: list[httpx.Request] = []
        self.engine = RemoteEngine(SETTINGS, clock=lambda: 1_800_000_000.0)

        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            if not status:
                raise httpx.ConnectError("nothing listens there")
            return httpx.Response(status, content=body)

        self.engine._api._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_a_phone_is_put_as_sdks_put_one() -> None:
    remote = Remote(200)
    await remote.engine.put(INSTALLATION)
    await remote.engine.delete(INSTALLATION.id)
    put, delete = remote.asked
    assert (put.method, delete.method) == ("PUT", "DELETE")
    assert str(put.url) == "https://acme.example/bank/installations/phone%3Ap%2F1?api-version=2020-06"
    assert put.headers["Authorization"].startswith("SharedAccessSignature sr=https%3A%2F%2Facme.example%2Fbank&sig=")
    assert orjson.loads(put.content) == {
        "installationId": "phone:p/1",
        "pushChannel": "handle",
        "platform": Platform.FCM.value,
        "expirationTime": "9999-12-31T23:59:59.9999999Z",
        "userId": "ann",
        "tags": ["customer:7"],
        "templates": {"push": {"body": "{}", "tags": ["push"]}},
    }
    await remote.engine.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(410, GoneError), (400, InvalidRequestError), (401, EngineError), (404, EngineError), (503, EngineError),
     (302, EngineError), (0, EngineError)],
)  # fmt: skip
async def test_an_answer_that_is_no_success_is_read_for_what_it_means(status: int, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await Remote(status, b"<Error><Detail>why not</Detail></Error>").engine.put(INSTALLATION)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 204, 404, 410])
async def test_what_is_not_there_is_deleted(status: int) -> None:
    await Remote(status).engine.delete(INSTALLATION.id)


async def test_a_deletion_that_was_not_done_is_said() -> None:
    with pytest.raises(EngineError):
        await Remote(503).engine.delete(INSTALLATION.id)
