"""Google's own library as a second sender to our stand-in of FCM, and its bodies beside ours."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from hub.notification import Priority
from hub.outcome import Reaction
from hub.platforms.fcm.sender import FcmSender
from sandbox.journal import Entry
from sandbox.services import PushServices
from tests.hub.platforms.lanes import Lane, fcm_settings
from tests.integration.opinions.running import LIBRARIES, run

KINDS = ("usual", "silent", "android", "apns", "webpush")


async def by_firebase(services: PushServices, *tokens: str) -> dict[str, Any]:
    assert LIBRARIES.exists(), "firebase-admin is not installed: run make .venv/opinions/.installed"
    credential = services.fcm_credential
    program = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("firebase_messages.py"))]
    program += [credential.endpoint, str(credential.service_account_file), *tokens]
    return dict(
        json.loads(
            await run(program, PYTHONPATH=str(LIBRARIES), REQUESTS_CA_BUNDLE=str(services.ca_file), NO_PROXY="*")
        )
    )


def message_of(entry: Entry) -> dict[str, Any]:
    return dict(orjson.loads(entry.payload)["message"])


async def test_the_stand_in_takes_each_message_that_googles_library_can_write(services: PushServices) -> None:
    token = services.make_handle("fcmv1", 1)
    services.fcm.register(token)
    answer = await by_firebase(services, token)
    assert answer["said"] == {token: dict.fromkeys(KINDS, "")}
    taken = services.journal.accepted()
    assert [message_of(entry) for entry in taken] == [{"token": token, **answer["bodies"][kind]} for kind in KINDS]


async def test_googles_library_names_what_the_stand_in_refuses(services: PushServices) -> None:
    dead, foreign = (services.make_handle("fcmv1", number) for number in (1, 2))
    services.fcm.register(dead)
    services.fcm.unregister(dead)
    services.fcm.register_elsewhere(foreign)
    answer = await by_firebase(services, dead, foreign, "short")
    assert {name: set(said.values()) for name, said in answer["said"].items()} == {
        dead: {"UnregisteredError"},
        foreign: {"SenderIdMismatchError"},
        "short": {"InvalidArgumentError"},
    }
    assert services.journal.accepted() == []


async def test_our_sender_writes_what_googles_library_writes(services: PushServices) -> None:
    """From hints alone for a usual message; and what a body says of its own goes through as it is."""
    token = services.make_handle("fcmv1", 1)
    services.fcm.register(token)
    theirs = (await by_firebase(services, token))["bodies"]
    lane = Lane(services, FcmSender(fcm_settings(services)))
    expires_at = datetime.now(UTC) + timedelta(hours=6, seconds=0.9)
    hinted = {"message": {name: theirs["usual"][name] for name in ("notification", "data")}}
    try:
        for number, body in enumerate([hinted, *({"message": theirs[kind]} for kind in KINDS)]):
            priority = Priority.NORMAL if body["message"] is theirs["silent"] else Priority.HIGH
            push = replace(lane.push(number), push_channel=token, payload=orjson.dumps(body), priority=priority)
            if body is hinted:
                push = replace(push, expires_at=expires_at, collapse_key="balance")
            (result,) = await lane.send([push])
            assert result.reaction is Reaction.DELIVERED, result
    finally:
        await lane.sender.close()
    by_hints, *as_given = (message_of(entry) for entry in services.journal.accepted()[len(KINDS) :])
    assert by_hints.pop("token") == token
    assert by_hints["android"].pop("notification") == {"tag": "balance"}  # ours: a push sent again replaces itself
    assert by_hints == theirs["usual"]
    for kind, ours in zip(KINDS, as_given, strict=True):
        wanted = {"token": token, **theirs[kind]}
        if kind in ("apns", "webpush"):
            wanted["android"] = {"priority": "high"}  # ours: the rule's priority, for the phones that this leaves out
        assert ours == wanted, kind
