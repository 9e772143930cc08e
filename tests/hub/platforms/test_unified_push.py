"""UnifiedPush through ntfy: an app's endpoint at a server of one's own, and ntfy's forms of what it answers.

ntfy takes a Web Push message at `/upTOPIC?up=1`, hands the bytes to the app, and answers with the message in its
own JSON (ntfy, "Publishing": UnifiedPush).
"""

from pathlib import Path

import orjson
import pytest

from hub.outcome import OutcomeName, Reaction
from hub.platforms.webpush.sender import WebPushSender
from hub.platforms.webpush.settings import WebPushSettings
from sandbox.exchange import Answer, Exchange
from sandbox.services import PushServices
from sandbox.subscriptions import decrypted, keys_of
from tests.hub.platforms.lanes import Lane
from tests.hub.platforms.test_webpush_sending import PAYLOAD, lane_to, origins, push_to

TOPIC = "/upAbCdEf0123456?up=1"
LIMITED = "limit reached: too many requests; increase your limits with a paid plan, see https://ntfy.sh"
NO_APP = "cannot publish to UnifiedPush topic without previously active subscriber"
ERRORS = [
    ({"code": 50701, "http": 507, "error": NO_APP}, Reaction.RETRY, OutcomeName.PNS_UNAVAILABLE),
    ({"code": 42901, "http": 429, "error": LIMITED}, Reaction.THROTTLED, OutcomeName.THROTTLED),
    ({"code": 41303, "http": 413, "error": "too large"}, Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_SIZE),
    ({"code": 40301, "http": 403, "error": "forbidden"}, Reaction.CONFIG, OutcomeName.WRONG_TOKEN),
    ({"code": 50001, "http": 500, "error": "internal server error"}, Reaction.RETRY, OutcomeName.PNS_SERVER_ERROR),
]  # fmt: skip


def only_to(lane: Lane, *hosts: str) -> Lane:
    """The same lane, held to a list of endpoints."""
    sender = lane.sender
    assert isinstance(sender, WebPushSender)
    given = {**sender._settings.model_dump(), "allowed_endpoints": hosts}
    sender._settings = WebPushSettings.model_validate(given)
    return lane


async def test_an_app_reads_what_its_own_ntfy_was_sent_and_a_server_that_is_not_listed_is_sent_nothing(
    services: PushServices, tmp_path: Path
) -> None:
    taken: list[Exchange] = []

    def ntfy(exchange: Exchange) -> None:
        taken.append(exchange)
        message = {"id": "hwQ2YpKdmg", "time": 1772618400, "event": "message", "topic": exchange.path[1:17]}
        exchange.answer(
            Answer(status=200, headers=(("content-type", "application/json"),), body=(orjson.dumps(message),))
        )

    (directory := tmp_path / "ca").mkdir()
    async with origins(services, directory, ntfy) as (port,), lane_to(services, directory) as lane:
        (result,) = await only_to(lane, "127.0.0.1").send([push_to(port, TOPIC)])
        assert (result.reaction, result.outcome) == (Reaction.DELIVERED, OutcomeName.SUCCESS)
        assert [(each.method, each.path) for each in taken] == [("POST", TOPIC)]
        headers = taken[0].headers
        assert headers["content-encoding"] == "aes128gcm"
        assert headers["authorization"].startswith("vapid t=")
        assert headers["ttl"].isdecimal()
        message = orjson.loads(decrypted(taken[0].body, keys_of("anna")))
        assert message["notification"].items() >= orjson.loads(PAYLOAD).items()

        (refused,) = await only_to(lane, "ntfy.bank.example").send([push_to(port, TOPIC)])
        assert (refused.reaction, refused.outcome) == (Reaction.DROP, OutcomeName.BAD_CHANNEL)
        assert "allowed_endpoints" in refused.reason
        assert len(taken) == 1


@pytest.mark.parametrize(("said", "reaction", "outcome"), ERRORS)
async def test_each_error_of_ntfy_is_an_outcome_in_its_words_and_the_app_stays_registered(
    services: PushServices, tmp_path: Path, said: dict[str, object], reaction: Reaction, outcome: OutcomeName
) -> None:
    answers = [Answer(status=int(str(said["http"])), body=(orjson.dumps(said),)), Answer(status=200, body=(b"{}",))]

    def ntfy(exchange: Exchange) -> None:
        exchange.answer(answers.pop(0))

    (directory := tmp_path / "ca").mkdir()
    async with origins(services, directory, ntfy) as (port,), lane_to(services, directory) as lane:
        (result,) = await lane.send([push_to(port, TOPIC)])
        assert (result.reaction, result.outcome) == (reaction, outcome)
        assert result.reason == said["error"]
        assert not result.lane_wide
        (after,) = await lane.send([push_to(port, TOPIC)])
        assert after.reaction is Reaction.DELIVERED
