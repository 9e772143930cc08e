"""Pushes are rendered once for all who get the same, and each as its own template and platform say."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.content.identifying import with_data
from hub.content.rendering import RenderedPushes, Rendering
from hub.fallback import Fallback
from hub.notification import HeldText, NativeContent, Notification, Platform, Priority, TemplateContent
from hub.outcome import OutcomeName
from hub.phone_report import ReportPolicy
from hub.platforms.shown import Shown
from hub.push import SendResult
from hub.target import StoredTemplate, Target, TargetColumns, TargetKind
from tests.fakes.pushes import Push, pushes_of
from tests.hub.examples import notification

ALERT = '{"aps":{"alert":"$(title)"}}'
MESSAGE = '{"message":{"notification":{"title":"$(title)"}}}'
NAMED = '{"message":{"notification":{"title":"$(title)","body":"$(name)"}}}'


class Templates:
    """The part of a store that rendering asks: templates by number, and what was asked for."""

    def __init__(self, **templates: StoredTemplate) -> None:
        self._templates = {int(number[1:]): template for number, template in templates.items()}
        self.asked: list[list[int]] = []

    async def held_texts(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        return {}

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]:
        self.asked.append(list(ids))
        return {number: self._templates[number] for number in ids if number in self._templates}


def template(body: str, headers: Mapping[str, str] | None = None, expiry: str | None = None) -> StoredTemplate:
    return StoredTemplate(body=body, headers=headers or {}, expiry=expiry)


def target(
    ordinal: int,
    number: int | None = 1,
    *,
    platform: Platform = Platform.FCM,
    push_variables: Mapping[str, str] | None = None,
) -> Target:
    return Target(ordinal, platform, f"token {ordinal}", number, push_variables, 0.0)


async def results(templates: Templates, given: Notification, *targets: Target) -> list[Push | SendResult]:
    made = Rendering(templates)
    await made.prepare(targets)
    rendered = made.pages(given, targets)
    found = by_ordinal([rendered])
    return [found[target.ordinal] for target in targets]


async def pushes(templates: Templates, given: Notification, *targets: Target) -> list[Push]:
    made = await results(templates, given, *targets)
    return [push for push in made if isinstance(push, Push)]


def payload(push: Push) -> bytes:
    return push.payload


def headers(push: Push) -> Mapping[str, str]:
    return push.headers


async def test_phones_that_get_the_same_share_one_payload_and_headers() -> None:
    first, second = await pushes(Templates(t1=template(MESSAGE)), notification(), target(1), target(2))
    assert payload(first) == b'{"message":{"notification":{"title":"hello"}}}'
    assert payload(first) is payload(second)
    assert headers(first) is headers(second)
    assert [push.push_channel for push in (first, second) if push] == ["token 1", "token 2"]


async def test_a_phones_push_variables_fill_what_the_notification_does_not() -> None:
    made = await pushes(
        Templates(t1=template(NAMED)),
        notification(),
        target(1, push_variables={"Name": "Ann"}),
        target(2),
        target(3, push_variables={"name": "Bob", "title": "ignored"}),
        target(4, push_variables={"color": "red"}),
        target(5),
    )
    bodies = [payload(push).split(b'"body":')[1] for push in made]
    assert bodies == [b'"Ann"}}}', b'""}}}', b'"Bob"}}}', b'""}}}', b'""}}}']
    assert payload(made[1]) is payload(made[3]) is payload(made[4])
    assert all(b'"title":"hello"' in payload(push) for push in made)


async def test_one_text_registered_for_two_platforms_is_filled_as_each_needs() -> None:
    unwrapped = '{"data":{"title":"$(title)"}}'
    apple, google = await pushes(
        Templates(t1=template(unwrapped)), notification(), target(1, platform=Platform.APNS), target(2)
    )
    assert payload(apple) == b'{"data":{"title":"hello"}}'
    assert payload(google).startswith(b'{"message":')


async def test_the_id_of_a_push_is_a_uuid_the_same_on_every_try_and_unique_for_each_registration() -> None:
    given = notification(id="0123456789abcdef0123456789abcdef")
    once = await pushes(Templates(t1=template(MESSAGE)), given, target(1), target(2), target(2**40))
    again = await pushes(Templates(t1=template(MESSAGE)), given, target(2**40), target(1))
    ids = [push.id for push in once if push]
    assert ids == [
        "01234567-89ab-cdef-0123-000000000001",
        "01234567-89ab-cdef-0123-000000000002",
        "01234567-89ab-cdef-0123-010000000000",
    ]
    assert [push.id for push in again if push] == [ids[2], ids[0]]


async def test_pushes_that_share_a_payload_share_a_collapse_id_and_no_others_do() -> None:
    """Else a repeated push would not replace itself, or one notification another, or one template of a phone the other."""
    templates = Templates(t1=template(MESSAGE), t2=template(MESSAGE), t3=template(NAMED))
    targets = [
        *(target(1, 1), target(2, 1), target(3, 2)),
        *(target(4, 3), target(5, 3, push_variables={"name": "Ann"}), target(6, 3, push_variables={"name": "Bob"})),
    ]
    one, other = notification(), notification()
    once = [push.collapse_id for push in await pushes(templates, one, *targets) if push]
    again = [push.collapse_id for push in await pushes(templates, one, *reversed(targets)) if push]
    assert again[::-1] == once
    assert once[0] is once[1]
    assert len(set(once)) == 5
    assert not set(once) & {push.collapse_id for push in await pushes(templates, other, *targets) if push}
    content = NativeContent(platform=Platform.FCM, payload=b"{}")
    natives = [await pushes(templates, replace(each, content=content), target(1, None)) for each in (one, one, other)]
    first, repeated, another = [push.collapse_id for (push,) in natives if push]
    assert first == repeated != another


async def test_a_broadcast_of_many_pages_tells_once_of_a_property_that_a_template_lacks() -> None:
    told: list[tuple[str, Platform, list[str]]] = []
    made = Rendering(
        Templates(t1=template(NAMED), t2=template(MESSAGE)),
        on_missing=lambda notification, platform, names: told.append((notification.id, platform, sorted(names))),
    )
    phones = [
        target(1),
        target(2, push_variables={"other": "x"}),
        target(3, push_variables={"name": "Ann"}),
        target(4, 2),
    ]
    await made.prepare(phones)
    one, other = notification(), notification()
    for given in (one, one, other, one):
        made.pages(given, phones)
    assert told == [(one.id, Platform.FCM, ["name"]), (other.id, Platform.FCM, ["name"])]


def columns(*targets: Target) -> TargetColumns:
    """The same, as a page has them."""
    kinds = [TargetKind(each.platform, each.template, each.push_variables) for each in targets]
    parts = [
        TargetColumns([each.ordinal], [each.push_channel], [kind]) for each, kind in zip(targets, kinds, strict=True)
    ]
    return TargetColumns.joined(parts)


@pytest.mark.parametrize("length", [1, 2, 100])
async def test_columns_are_rendered_as_their_targets_are(length: int) -> None:
    phones = [
        *(target(1, 1), target(2, 2), target(3, 1), target(4, 4), target(5, 3)),
        *(target(6, 3, push_variables={"other": "x"}), target(7, 3, push_variables={"name": "Ann"})),
    ]
    made = Rendering(Templates(t1=template(MESSAGE), t2=template(MESSAGE), t3=template(NAMED)))
    given = notification(content=TemplateContent(properties={"title": "hello", "name": "you"}))
    await made.prepare(columns(*phones))
    expected = by_ordinal([made.pages(given, phones)])
    assert len(expected) == len(phones)
    assert by_ordinal(made.in_pieces(given, columns(*phones), length)) == expected


async def test_pieces_of_columns_of_one_kind_are_rendered_once() -> None:
    given = notification()
    made = Rendering(Templates(t1=template(MESSAGE)))
    phones = TargetColumns([1, 2, 3], ["a", "b", "c"], [TargetKind(Platform.FCM, 1, None)])
    await made.prepare(phones)
    pieces = [each.pages[Platform.FCM] for each in made.in_pieces(given, phones, 2)]
    assert [each.page.push_channels for each in pieces] == [["a", "b"], ["c"]]
    assert [[target.push_channel for target in each.targets] for each in pieces] == [["a", "b"], ["c"]]
    assert pieces[0].page.groups[0][0] is pieces[1].page.groups[0][0]
    assert by_ordinal(made.in_pieces(given, phones, 2)) == by_ordinal([made.pages(given, list(phones))])


@pytest.mark.parametrize("nobody", [TargetColumns((), (), ()), TargetColumns.joined([])], ids=["no hub", "no rows"])
def test_a_page_whose_phones_are_all_gone_has_no_pushes(nobody: TargetColumns) -> None:
    made = Rendering(Templates()).pages(notification(), nobody)
    assert (made.pages, made.unsendable) == ({}, [])


@pytest.mark.parametrize("ordinal", [0, 1, 2**32 - 1])
async def test_an_id_ends_with_the_ordinal(ordinal: int) -> None:
    given = notification()
    made = Rendering(Templates(t1=template(MESSAGE)))
    phones = [target(ordinal), target(77)]
    await made.prepare(phones)
    ids = made.pages(given, phones).pages[Platform.FCM].page.ids
    assert ids == [str(uuid.UUID(f"{given.id[:20]}{each:012x}")) for each in (ordinal, 77)]


def by_ordinal(rendered: Sequence[RenderedPushes]) -> dict[int, Push | SendResult]:
    found: dict[int, Push | SendResult] = {}
    for some in rendered:
        found |= {target.ordinal: result for target, result in some.unsendable}
        for each in some.pages.values():
            found |= {target.ordinal: push for target, push in zip(each.targets, pushes_of(each.page), strict=True)}
    return found


async def test_a_native_payload_goes_as_it_is_with_its_headers() -> None:
    content = NativeContent(platform=Platform.WNS, payload=b"<toast/>", headers={"X-WNS-Type": "wns/toast"})
    given = notification(
        content=content,
        priority=Priority.NORMAL,
        collapse_key="score",
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    templates = Templates()
    (push,) = await pushes(templates, given, target(1, None, platform=Platform.WNS))
    assert (push.payload, push.headers) == (b"<toast/>", {"X-WNS-Type": "wns/toast"})
    assert (push.priority, push.collapse_key, push.expires_at) == (
        Priority.NORMAL,
        "score",
        datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert templates.asked == []


@pytest.mark.parametrize(
    "stored",
    [None, template("no json"), template('{"message":{"notification":{"title":"$(title"}}}')],
    ids=["gone", "no JSON", "no expression"],
)
async def test_a_template_that_is_not_valid_any_more_makes_no_push_and_the_others_do(
    stored: StoredTemplate | None,
) -> None:
    templates = Templates(t2=template(MESSAGE), **({} if stored is None else {"t1": stored}))
    broken, whole = await results(templates, notification(), target(1, 1), target(2, 2))
    assert isinstance(broken, SendResult)
    assert broken.outcome is OutcomeName.INVALID_NOTIFICATION_FORMAT
    assert isinstance(whole, Push)


def json_template(*values: str) -> StoredTemplate:
    return template(json.dumps({"message": {"data": {f"k{n}": value for n, value in enumerate(values)}}}))


GROWING = {
    "one place": (json_template("$(t)"), "x" * 20_000),
    "many places": (json_template(*["$(t)"] * 400), "x" * 100),
    "one expression": (json_template("{" + "+".join(["$(t)"] * 400) + "}"), "x" * 100),
    "percent encoding": (json_template("%(t)"), "é" * 6_000),
    "a length that is none": (json_template("$(t, 99999)"), "x" * 20_000),
    "letters that JSON escapes": (json_template(*["$(t)"] * 400), "\x01" * 10),
    "a header": (template(ALERT, {"apns-thread-id": "$(t)"}), "x" * 20_000),
}


@pytest.mark.parametrize("stored, value", GROWING.values(), ids=GROWING)
async def test_a_template_that_comes_to_more_than_any_service_takes_makes_no_push_and_the_others_do(
    stored: StoredTemplate, value: str
) -> None:
    given = notification(content=TemplateContent(properties={"t": value, "title": "t"}))
    platform = Platform.APNS if stored.headers else Platform.FCM
    templates = Templates(t1=stored, t2=template(MESSAGE))
    large, whole = await results(templates, given, target(1, 1, platform=platform), target(2, 2))
    assert isinstance(large, SendResult)
    assert large.outcome is OutcomeName.INVALID_NOTIFICATION_SIZE
    assert isinstance(whole, Push)


@pytest.mark.parametrize(
    "expiry, expiration",
    [
        ("0", "0"),
        ("2030-01-01T00:00:00Z", "1893456000"),
        ("$(until)", "1893456000"),
    ],
)
async def test_apples_expiry_becomes_the_header_it_wants(expiry: str, expiration: str) -> None:
    given = notification(content=TemplateContent(properties={"title": "t", "until": "2030-01-01T00:00:00Z"}))
    (push,) = await pushes(Templates(t1=template(ALERT, expiry=expiry)), given, target(1, platform=Platform.APNS))
    assert headers(push) == {"apns-expiration": expiration}


@pytest.mark.parametrize("until", ["tomorrow", "²", "", "12:00"])
async def test_an_expiry_that_comes_to_no_date_is_left_out(until: str) -> None:
    given = notification(content=TemplateContent(properties={"title": "t", "until": until}))
    templates = Templates(t1=template(ALERT, {"apns-priority": "5"}, "$(until)"))
    (push,) = await pushes(templates, given, target(1, platform=Platform.APNS))
    assert headers(push) == {"apns-priority": "5"}


async def test_templates_with_the_same_expiry_keep_their_own_headers() -> None:
    templates = Templates(
        t1=template(ALERT, {"apns-push-type": "alert"}, "0"), t2=template(ALERT, {"apns-push-type": "background"}, "0")
    )
    made = await pushes(
        templates,
        notification(),
        target(1, 1, platform=Platform.APNS),
        target(2, 2, platform=Platform.APNS),
        target(3, 1, platform=Platform.APNS),
    )
    assert [headers(push)["apns-push-type"] for push in made] == ["alert", "background", "alert"]
    assert {headers(push)["apns-expiration"] for push in made} == {"0"}
    assert headers(made[0]) is headers(made[2])


async def test_an_expiry_from_a_push_variable_is_each_phones_own() -> None:
    templates = Templates(t1=template(ALERT, expiry="$(until)"))
    made = await pushes(
        templates,
        notification(),
        target(1, platform=Platform.APNS, push_variables={"until": "2030-01-01T00:00:00Z"}),
        target(2, platform=Platform.APNS, push_variables={"until": "0"}),
        target(3, platform=Platform.APNS),
    )
    assert [headers(push).get("apns-expiration") for push in made] == ["1893456000", "0", None]


async def test_a_template_is_asked_for_once_and_forgotten_when_others_were_used_since() -> None:
    templates = Templates(t1=template(MESSAGE), t2=template(MESSAGE), t3=template(MESSAGE))
    made = Rendering(templates, templates_kept=2)
    for number in (1, 2, 1, 3, 1):
        await made.prepare([target(number, number)])
    assert templates.asked == [[1], [2], [3]]
    made.trim()
    await made.prepare([target(1, 1), target(2, 2), target(3, 3)])
    assert templates.asked[3:] == [[2]]


@pytest.mark.parametrize(
    ("platform", "body", "expected"),
    [
        (Platform.FCM, MESSAGE, {"message": {"notification": {"title": "Hi"}, "data": {"pushId": "ID"}}}),
        (
            Platform.FCM,
            '{"message":{"data":{"pushId":"mine","n":"1"}}}',
            {"message": {"data": {"pushId": "mine", "n": "1"}}},
        ),
        (Platform.APNS, ALERT, {"aps": {"alert": "Hi"}, "pushId": "ID"}),
        (
            Platform.APNS,
            '{"aps":{"badge":"#(n)"},"mine":"$(pushId)"}',
            {"aps": {"badge": 7}, "mine": "ID", "pushId": "ID"},
        ),
    ],
)
async def test_a_payload_names_its_notification_under_the_key_that_the_hub_has_for_it(
    platform: Platform, body: str, expected: Mapping[str, object]
) -> None:
    given = notification(content=TemplateContent(properties={"title": "Hi", "n": "7"}))
    rendering = Rendering(
        Templates(n1=template(body)), policies={given.hub: ReportPolicy(payload_key="pushId"), "other": ReportPolicy()}
    )
    targets = [target(1, platform=platform), target(2, platform=platform)]
    await rendering.prepare(targets)
    page = rendering.pages(given, targets).pages[platform].page
    (payload,) = {push.payload for push in pushes_of(page)}  # shared by both
    assert json.loads(payload) == json.loads(json.dumps(expected).replace('"ID"', f'"{given.id}"'))


@pytest.mark.parametrize(
    ("platform", "payload", "expected"),
    [
        (Platform.APNS, b'{"aps":{},"n":12345678901234567890123}', b'{"aps":{},"n":12345678901234567890123,"k":"v"}'),
        (Platform.APNS, b"[1]", b"[1]"),
        (Platform.APNS, b"no JSON", b"no JSON"),
        (Platform.FCM, b'{"message":"odd"}', b'{"message":"odd"}'),
        (Platform.WNS, b"<toast/>", b"<toast/>"),
        (Platform.WNS, b'{"raw":1}', b'{"raw":1}'),
    ],
)
def test_data_goes_into_json_objects_and_leaves_the_rest_as_it_was_written(
    platform: Platform, payload: bytes, expected: bytes
) -> None:
    assert with_data(payload, platform, {"k": "v"}) == expected


class Words:
    """A text held here: what it says, and what was asked of it."""

    def __init__(self) -> None:
        self.filled: list[tuple[str, str]] = []

    def group(self, locale: str, time_zone: str) -> tuple[str, str]:
        return locale or "en", time_zone

    def fallback_for(self, group: tuple[str, str], shown: Shown) -> Fallback | None:
        return Fallback.NO_TEXT if group[0] == "fr" else None

    def warm(self, group: tuple[str, str]) -> None:
        pass

    def shown(self, properties: Mapping[str, str], group: tuple[str, str]) -> Shown:
        if "title" not in properties:
            raise ValueError("title is missing")
        self.filled.append(group)
        return Shown(title=f"{group[0]}: {properties['title']}", body="b")


TEXT = HeldText.of("news", b"{}")


def worded(**properties: str) -> Notification:
    return notification(content=TemplateContent(properties=properties, text=TEXT))


def speaking(ordinal: int, locale: str, *, number: int | None = None, channel: str = "") -> Target:
    platform = Platform.APNS if channel else Platform.FCM
    return Target(ordinal, platform, channel or f"token {ordinal}", number, None, 0.0, locale)


async def held(words: Words, given: Notification, targets: Sequence[Target], *, pages: int = 1) -> RenderedPushes:
    made = Rendering(Templates(t1=template(MESSAGE)), renderer=lambda _: words)
    await made.prepare(targets, [given])
    return [made.pages(given, targets) for _ in range(pages)][-1]


async def test_a_text_is_filled_once_for_each_language_of_a_page_and_once_for_all_pages_of_a_broadcast() -> None:
    words = Words()
    phones = [speaking(ordinal, ("de", "fr", "")[ordinal % 3]) for ordinal in range(300)]
    made = await held(words, worded(title="hi"), phones, pages=5)
    assert sorted(words.filled) == [("de", ""), ("en", ""), ("fr", "")]
    page = made.pages[Platform.FCM].page
    assert [count for _, count in page.groups] == [100, 100, 100]
    titles = [json.loads(group.payload)["message"]["notification"]["title"] for group, _ in page.groups]
    assert titles == ["de: hi", "fr: hi", "en: hi"]


@pytest.mark.parametrize("count", [3, 300])
async def test_how_many_phones_read_another_language_than_their_own_is_told_with_each_page(count: int) -> None:
    told: list[tuple[str, Fallback, int]] = []
    made = Rendering(
        Templates(), renderer=lambda _: Words(), on_fallback=lambda given, *said: told.append((given.id, *said))
    )
    phones = [speaking(ordinal, ("de", "fr", "")[ordinal % 3]) for ordinal in range(count)]
    given = worded(title="hi")
    await made.prepare(phones, [given])
    for _ in range(2):
        made.pages(given, phones)
    assert told == [(given.id, Fallback.NO_TEXT, count // 3)] * 2


async def test_templates_of_the_same_audience_are_filled_as_ever() -> None:
    made = await held(Words(), worded(title="hi"), [speaking(1, "de"), speaking(2, "de", number=1)])
    page = made.pages[Platform.FCM].page
    titles = [json.loads(group.payload)["message"]["notification"]["title"] for group, _ in page.groups]
    assert titles == ["de: hi", "hi"]


async def test_a_broadcast_channel_shows_no_text() -> None:
    made = await held(Words(), worded(title="hi"), [speaking(1, "de", channel="channel:dGVzdA==")])
    assert made.pages == {}
    ((_, result),) = made.unsendable
    assert (result.outcome, result.reason) == (OutcomeName.SKIPPED, "a broadcast channel shows no text held here")


async def test_a_text_that_cannot_be_filled_or_read_ends_its_pushes_and_no_others() -> None:
    targets = [speaking(1, "de"), speaking(2, "de", number=1)]
    unfilled = await held(Words(), worded(), targets)
    assert [result.outcome for _, result in unfilled.unsendable] == [OutcomeName.INVALID_NOTIFICATION_FORMAT]
    assert len(unfilled.pages[Platform.FCM].targets) == 1
    unknown = Rendering(Templates(t1=template(MESSAGE)))
    await unknown.prepare(targets, [worded(title="hi")])
    assert len(unknown.pages(worded(title="hi"), targets).unsendable) == 1
