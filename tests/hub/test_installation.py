"""Installation documents: what SDKs send, what comes back, which registrations follow, what is refused."""

import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from hub.errors import InvalidRequestError, TagError, TemplateError
from hub.installation import Installation
from hub.notification import Platform
from hub.registry.documents import document_of, installation_from_document
from tests.fakes.browsers import subscription

MINIMAL = {"installationId": "i1", "platform": "apns", "pushChannel": "aabb"}
GREET = {"body": '{"aps":{"alert":"$(m)"}}'}
NEVER = "9999-12-31T23:59:59.9999999Z"


def installation(**members: Any) -> Installation:
    return installation_from_document("i1", MINIMAL | members)


def test_a_whole_document_comes_back_in_the_service_s_order() -> None:
    document = {
        "installationId": "i1",
        "pushChannel": "AABB",
        "pushChannelExpired": False,
        "platform": "apns",
        "expirationTime": "2030-01-01T10:30:00.0000000Z",
        "userId": "ann@x.org",
        "tags": ["News", "lang_en"],
        "pushVariables": {"name": "Ann"},
        "locale": "de-CH",
        "timeZone": "Europe/Zurich",
        "templates": {
            "greet": {
                "body": GREET["body"],
                "headers": {"apns-priority": "5"},
                "expiry": "$(until)",
                "tags": ["polite", "greet"],
            }
        },
    }
    read = document_of(installation_from_document("i1", document))
    assert read == document
    assert list(read) == list(document)
    assert installation_from_document("i1", read) == installation_from_document("i1", document)


def test_empty_members_and_service_tags_are_left_out() -> None:
    assert document_of(installation(tags=["$UserId:{ann}"], templates={}, pushVariables={})) == {
        "installationId": "i1",
        "pushChannel": "AABB",
        "pushChannelExpired": False,
        "platform": "apns",
        "expirationTime": NEVER,
    }


def test_nulls_unknown_members_and_other_spellings_of_names_are_taken_as_the_sdks_send_them() -> None:
    document: dict[str, Any] = {
        "INSTALLATIONID": "i1",
        "Platform": "APNS",
        "pushchannel": "aabb",
        "userID": "ann",
        "expirationTime": None,
        "pushChannelExpired": None,
        "tags": None,
        "templates": {"greet": {"Body": GREET["body"], "Tags": None, "headers": {}, "expiry": None}},
        "secondaryTiles": {},
        "lastActiveOn": "whenever",
    }
    read = installation_from_document("i1", document)
    assert (read.user_id, read.push_channel, read.expires_at) == ("ann", "AABB", None)
    assert read.templates["greet"].headers == {}


@pytest.mark.parametrize(
    ("name", "platform", "channel"),
    [
        ("apns", Platform.APNS, "aabb"),
        ("APNS", Platform.APNS, "AABB"),
        ("fcmV1", Platform.FCM, "token:x"),
        ("FCMV1", Platform.FCM, "token:x"),
        ("GCM", Platform.FCM, "token:x"),
        ("fcm", Platform.FCM, "token:x"),
        ("WNS", Platform.WNS, "https://wns.example/?token=x"),
        ("mpns", Platform("mpns"), "http://live.example/x"),
        ("ADM", Platform("adm"), "token:x"),
        ("baidu", Platform("baidu"), "user-channel"),
        ("xiaomi", Platform("xiaomi"), "token:x"),
        ("Browser", Platform("browser"), subscription("https://e.example/").replace("endpoint", "Endpoint")),
    ],
)
def test_platforms_are_known_by_every_spelling(name: str, platform: Platform, channel: str) -> None:
    assert installation(platform=name, pushChannel=channel).platform is platform


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2030-01-01T10:30:00Z", datetime(2030, 1, 1, 10, 30, tzinfo=UTC)),
        ("2030-01-01T10:30+0000", datetime(2030, 1, 1, 10, 30, tzinfo=UTC)),
        ("2030-01-01T10:30:00.1234567Z", datetime(2030, 1, 1, 10, 30, 0, 123456, tzinfo=UTC)),
        ("2030-01-01T12:30:00+02:00", datetime(2030, 1, 1, 10, 30, tzinfo=UTC)),
        ("2030-01-01T10:30:00", datetime(2030, 1, 1, 10, 30, tzinfo=UTC)),
        ("2030-01-01'T'10:30:00", datetime(2030, 1, 1, 10, 30, tzinfo=UTC)),
        ("Tue Jan 01 2030 10:30:00 GMT+0000 (Coordinated Universal Time)", datetime(2030, 1, 1, 10, 30, tzinfo=UTC)),
        ("01/31/2030 10:30:00", datetime(2030, 1, 31, 10, 30, tzinfo=UTC)),
        (NEVER, None),
        ("9999-12-31T23:59:59.999", None),
        ("", None),
    ],
)
def test_dates_are_read_as_the_sdks_write_them(text: str, instant: datetime | None) -> None:
    assert installation(expirationTime=text).expires_at == instant


def test_tags_are_trimmed_and_repetitions_collapse_without_case() -> None:
    assert installation(tags=["a", " b ", "A", "", "größe"]).tags == ("a", "b", "größe")


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"installationId": "i2"}, "is not the id in the path"),
        ({"platform": None}, "platform is missing"),
        ({"platform": 5}, "platform: expected a text"),
        ({"platform": "nope"}, "unknown platform 'nope'; supported are apns, fcmv1"),
        ({"pushChannel": ""}, "pushChannel is missing"),
        ({"pushChannel": {"endpoint": "x"}}, "hex digits"),
        ({"platform": "browser", "pushChannel": {"endpoint": "x"}}, "endpoint, p256dh and auth"),
        ({"platform": "browser", "pushChannel": "x"}, "a JSON object of endpoint"),
        ({"pushChannel": "xyz"}, "hex"),
        ({"pushChannel": "aab"}, "hex"),
        ({"platform": "wns", "pushChannel": "http://wns.example"}, "https://"),
        ({"userId": "a b"}, "userId 'a b'"),
        ({"userId": "x" * 121}, "has 121 characters"),
        ({"templates": {"": GREET}}, "a template's name of 0 characters"),
        ({"templates": {"x" * 201: GREET}}, "a template's name of 201 characters"),
        ({"templates": {"$InstallationId:{i2}": GREET}}, "set by the hub"),
        ({"templates": {"$userid:{ann}": GREET}, "userId": "ann"}, "set by the hub"),
        ({"templates": {"$Other": GREET}}, "set by the hub"),
        ({"templates": {" $UserId:{bob}": GREET}}, "set by the hub"),
        ({"templates": {"%native:apns": GREET}}, "set by the hub"),
        ({"templates": {"a\0b": GREET}}, "control characters"),
        ({"expirationTime": "soon"}, "no date"),
        ({"expirationTime": 5}, "expirationTime: expected a text"),
        ({"secondaryTiles": {"t": {"pushChannel": "AABB"}}}, "apns has none, they are for wns"),
        ({"pushVariables": {"v": 1}}, "pushVariables.v: expected a text"),
        ({"pushVariables": []}, "pushVariables: expected an object"),
        ({"locale": "german!"}, "locale: 'german!' is no language tag, such as de or de-CH"),
        ({"locale": 7}, "locale: expected a text, found 7"),
        ({"locale": None, "tags": [None]}, "tags: expected a text, found null"),
        ({"locale": True}, "locale: expected a text, found true"),
        ({"timeZone": "Mars/Base"}, "timeZone: 'Mars/Base' is no time zone of IANA, such as Europe/Zurich"),
        ({"timeZone": "../../etc/passwd"}, "timeZone: '../../etc/passwd' is no time zone of IANA"),
        ({"templates": []}, "templates: expected an object"),
    ],
)
def test_a_document_that_cannot_be_used_is_refused_with_the_reason(members: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        installation(**members)


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"tags": "a"}, "expected a list"),
        ({"tags": [1]}, "expected a text"),
        ({"tags": ["ok", "bad tag!"]}, "'bad tag!'"),
        ({"tags": ["x" * 121]}, "121 characters"),
        ({"tags": ["$InstallationId:{i2}"]}, "set by the hub"),
        ({"tags": ["$InstallationId:{i1}"]}, "set by the hub"),
        ({"tags": ["$Other:{x}"]}, "set by the hub"),
        ({"tags": ["$"]}, "set by the hub"),
        ({"tags": ["$İnstallationId:{i2}"]}, "set by the hub"),
        ({"tags": ["$UserId:{ann}", "$UserId:{bob}"]}, "another user"),
        ({"templates": {"t": GREET | {"tags": ["$InstallationId:{i2}"]}}}, "templates.t: .*set by the hub"),
        ({"templates": {"t": GREET | {"tags": ["$UserId:{bob}"]}}}, "templates.t: .*another user"),
        ({"templates": {"t": GREET | {"tags": ["$UserId:{bob}"]}}, "userId": "ann"}, "templates.t: .*another user"),
        ({"templates": {"t": GREET | {"tags": ["$UſerId:{bob}"]}}}, "templates.t: .*set by the hub"),
        ({"tags": ["$UserId:{bob}"], "userId": "ann"}, "another user"),
        ({"tags": [f"t{number}" for number in range(61)]}, "61 tags are too many"),
        ({"tags": [f"{number:0>119}é" for number in range(60)]}, None),
        ({"tags": [f"{number}{'é' * 100}" for number in range(50)]}, "8000 bytes"),
    ],
)
def test_tags_are_checked(members: dict[str, Any], complaint: str | None) -> None:
    if complaint is None:
        assert len(installation(**members).tags) == 60
    else:
        with pytest.raises(InvalidRequestError, match=complaint):
            installation(**members)


@pytest.mark.parametrize(
    ("template", "kind", "complaint"),
    [
        ("text", TemplateError, "templates.greet: expected an object"),
        ({}, TemplateError, "templates.greet: body is missing"),
        ({"body": "no json"}, TemplateError, "templates.greet: body: it is no JSON"),
        ({"body": '{"a":"$5"}'}, TemplateError, "templates.greet: a: "),
        (GREET | {"headers": {"host": "x"}}, TemplateError, "templates.greet: header host"),
        (GREET | {"tags": ["bad tag"]}, TagError, "templates.greet: tags"),
        (GREET | {"expiry": "soon"}, TemplateError, "templates.greet: expiry"),
    ],
)
def test_templates_are_compiled_when_registered(template: Any, kind: type[Exception], complaint: str) -> None:
    with pytest.raises(kind, match=complaint):
        installation(templates={"greet": template})


WNS = {"platform": "wns", "pushChannel": "https://x.notify.windows.com/"}
NESTED: Any = orjson.loads("[" * 1000 + "]" * 1000)
HARD: dict[str, dict[str, Any]] = {
    "a deep platform": {"platform": NESTED},
    "a deep id": {"installationId": NESTED},
    "deep tags": {"tags": [NESTED]},
    "a deep push variable": {"pushVariables": {"v": NESTED}},
    "a deep template": {"templates": {"t": NESTED}},
    "an element with a long name": {
        **WNS,
        "templates": {"t": {"body": f"<{'a' * 49_000}/>", "headers": {"X-WNS-Type": "wns/raw"}}},
    },
    "many texts in deep arrays": {
        "templates": {"t": {"body": '{"a":' + "[" * 900 + ",".join(['"x"'] * 12_000) + "]" * 900 + "}"}}
    },
    "many values in XML": {**WNS, "templates": {"t": {"body": f"<toast>{'<a>$(a)</a>' * 5000}</toast>"}}},
    "a date that opens many times": {"expirationTime": "(" * 60_000},
    "a template's expiry that opens many times": {"templates": {"t": GREET | {"expiry": "(" * 60_000}}},
    "an expression that never ends": {"templates": {"t": {"body": '{"a":"$(a:{' + "\\\\" * 25_000 + '"}'}}},
    "a header with a long name": {"templates": {"t": GREET | {"headers": {"apns-" + "x" * 60_000: "1"}}}},
    "a key that is long": {"templates": {"t": {"body": '{"' + "k" * 60_000 + '":"$5"}'}}},
}


@pytest.mark.parametrize("members", HARD.values(), ids=HARD)
def test_a_document_that_is_hard_to_read_takes_no_time_and_few_words(members: dict[str, Any]) -> None:
    """Whoever may register could else hold up the process; the worst of these took 22 s."""
    started, complaint = time.process_time(), ""
    try:
        installation(**members)
    except InvalidRequestError as error:
        complaint = str(error)
    assert time.process_time() - started < 5
    assert len(complaint) < 1000


def test_the_number_of_tags_allowed_can_be_set() -> None:
    document = MINIMAL | {"tags": ["a", "b"]}
    with pytest.raises(TagError, match="2 tags are too many, 1 are allowed"):
        installation_from_document("i1", document, max_tags=1)
