"""Phones sign in with their user's token, choose topics and levels, and sign off."""

import asyncio
from dataclasses import replace

import pytest

from hub.errors import GoneError, InvalidRequestError
from hub.installation import Installation
from hub.notification import Platform
from hub.phone import Phone, PhoneOperation, PhoneOutcome, Topics
from hub.registration import writing
from hub.registration.errors import EngineError
from hub.registration.offer import User
from hub.registration.service import Asked, PhoneService
from tests.hub.examples import HUB
from tests.hub.registration.calling import DAY, PHONE, Calling, registration

OTHER_PHONE = "11111111-2222-3333-4444-555555555555"


async def test_a_phone_gets_the_tags_of_its_user_s_token_and_the_template_of_its_platform(calling: Calling) -> None:
    answer = await calling.sign_in("ann", locale="de-CH", timeZone="Europe/Zurich", topics={"debits": 500})
    assert answer["topics"] == {"debits": {"level": 500}}
    installation = await calling.hub.get_installation(HUB, f"phone:{PHONE}")
    assert sorted(installation.tags) == ["customer:of-ann", "topic:debits", "topic:debits:500"]
    assert installation.user_id == "ann"
    assert installation.push_variables == {"name": "ann", "locale": "de-CH", "timeZone": "Europe/Zurich"}
    (template,) = installation.templates.values()
    assert "Neu: " in template.body
    assert await calling.pushed("customer:of-ann && topic:debits") == ["handle-1"]
    assert await calling.pushed("$UserId:{ann}") == ["handle-1"]
    assert await calling.pushed("customer:of-bob") == []


async def test_topics_are_switched_on_and_off_and_levels_changed(calling: Calling) -> None:
    id_ = (await calling.sign_in("ann"))["registrationId"]
    for method, path, body, topics in [
        ("PUT", "topics/offers", None, {"offers": {}}),
        ("PUT", "topics/debits", {"level": 1000}, {"offers": {}, "debits": {"level": 1000}}),
        ("PUT", "topics/debits", {"level": 100.0}, {"offers": {}, "debits": {"level": 100}}),
        ("DELETE", "topics/offers", None, {"debits": {"level": 100}}),
        ("DELETE", "topics/offers", None, {"debits": {"level": 100}}),
        ("GET", "", None, {"debits": {"level": 100}}),
    ]:
        response = await calling.call(method, f"/{id_}/{path}".rstrip("/"), "ann", body)
        assert (response.status_code, response.json().get("topics")) == (200, topics), (method, path)
    assert await calling.tags() == ["customer:of-ann", "topic:debits", "topic:debits:100"]
    overview = (await calling.call("GET", "", "ann")).json()
    assert overview["topics"] == {"debits": {"levels": [100, 500, 1000]}, "offers": {}, "security": {}}
    assert [(each["registrationId"], each["topics"]) for each in overview["phones"]] == [
        (id_, {"debits": {"level": 100}})
    ]
    assert (PhoneOperation.UNSUBSCRIBE, PhoneOutcome.UNCHANGED) in calling.outcomes


async def test_sign_off_stops_every_push_and_sign_in_restores_under_the_new_handle(calling: Calling) -> None:
    first = await calling.sign_in("ann", topics={"offers": True, "debits": 500})
    id_ = first["registrationId"]
    assert (await calling.call("DELETE", f"/{id_}", "ann")).status_code == 204
    for audience in ("customer:of-ann", "topic:offers", "$UserId:{ann}", f"$InstallationId:{{phone:{PHONE}}}"):
        assert await calling.pushed(audience) == [], audience
    assert (await calling.call("GET", f"/{id_}", "ann")).status_code == 410
    second = await calling.sign_in("ann", pushChannel="handle-2")
    assert second["topics"] == first["topics"]
    assert second["registrationId"] != id_
    assert await calling.pushed("topic:offers") == ["handle-2"]


async def test_a_sign_off_that_is_repeated_does_not_touch_the_next_sign_in(calling: Calling) -> None:
    id_ = (await calling.sign_in("ann"))["registrationId"]
    assert (await calling.call("DELETE", f"/{id_}", "ann")).status_code == 204
    await calling.sign_in("ann")
    for _ in range(2):
        assert (await calling.call("DELETE", f"/{id_}", "ann")).status_code == 204
    assert await calling.pushed("customer:of-ann") == ["handle-1"]
    assert calling.outcomes[-2:] == [(PhoneOperation.SIGN_OFF, PhoneOutcome.UNCHANGED)] * 2


async def test_a_second_user_of_a_phone_gets_nothing_of_the_first_and_the_first_nothing_of_the_second(
    calling: Calling,
) -> None:
    ann = await calling.sign_in("ann", topics={"debits": 100, "offers": True})
    bob = await calling.sign_in("bob")
    assert bob["topics"] == {}
    assert await calling.tags() == ["customer:of-bob"]
    assert await calling.pushed("customer:of-ann || topic:offers || $UserId:{ann}") == []
    for method, path in [("GET", ""), ("PUT", "/topics/offers"), ("DELETE", "/topics/offers")]:
        assert (await calling.call(method, f"/{ann['registrationId']}{path}", "ann")).status_code == 410
    assert (await calling.call("DELETE", f"/{ann['registrationId']}", "ann")).status_code == 204
    assert await calling.pushed("customer:of-bob") == ["handle-1"]
    await calling.call("PUT", f"/{bob['registrationId']}/topics/security", "bob")
    back = await calling.sign_in("ann")
    assert back["topics"] == ann["topics"]
    assert await calling.pushed("customer:of-bob || topic:security") == []
    assert (await calling.sign_in("bob"))["topics"] == {"security": {}}


async def test_a_registration_id_that_has_expired_is_gone_and_the_next_one_brings_all_back(calling: Calling) -> None:
    first = await calling.sign_in("ann", topics={"offers": True})
    calling.clock.advance(91 * DAY)
    assert await calling.pushed("topic:offers") == []
    path = f"/{first['registrationId']}"
    assert (await calling.call("PUT", path, "ann", registration())).status_code == 410
    assert (await calling.call("PUT", f"{path}/topics/debits", "ann", {"level": 100})).status_code == 410
    second = await calling.sign_in("ann")
    assert second["registrationId"] != first["registrationId"]
    assert second["topics"] == {"offers": {}}
    assert await calling.pushed("topic:offers") == ["handle-1"]


async def test_what_is_put_again_unchanged_is_answered_without_a_write(calling: Calling) -> None:
    answer = await calling.sign_in("ann", locale="de", topics={"offers": True})
    path = f"/{answer['registrationId']}"
    before = {name: calling.store.calls[name] for name in ("put_phone", "phone_written", "put_installations")}
    for method, target, body in [
        ("PUT", path, registration(locale="de")),
        ("PUT", path, registration(locale="de", topics={"offers": True}, phone=PHONE.upper())),
        ("POST", "", registration(locale="de")),
        ("PUT", f"{path}/topics/offers", None),
    ]:
        response = await calling.call(method, target, "ann", body)
        assert response.json() == answer, target
    assert before == {name: calling.store.calls[name] for name in before}
    assert [outcome for _, outcome in calling.outcomes[1:]] == [PhoneOutcome.UNCHANGED] * 4
    for change in ({"locale": "fr"}, {"locale": "de", "pushChannel": "handle-2"}):
        assert (await calling.call("PUT", path, "ann", registration(**change))).status_code == 200
    assert await calling.pushed("topic:offers") == ["handle-2"]
    calling.clock.advance(50 * DAY)
    renewed = await calling.call("PUT", path, "ann", registration(locale="de", pushChannel="handle-2"))
    assert renewed.json()["expiresAt"] > answer["expiresAt"]


async def test_an_unchanged_phone_is_written_again_where_the_hub_has_lost_it(calling: Calling) -> None:
    answer = await calling.sign_in("ann")
    await calling.hub.delete_installation(HUB, f"phone:{PHONE}")
    again = await calling.call("PUT", f"/{answer['registrationId']}", "ann", registration())
    assert again.status_code == 200
    assert await calling.pushed("customer:of-ann") == ["handle-1"]


async def test_an_app_that_was_installed_again_gets_each_push_once(calling: Calling) -> None:
    await calling.sign_in("ann", phone=OTHER_PHONE)
    await calling.sign_in("ann")
    assert await calling.pushed("customer:of-ann") == ["handle-1"]
    await calling.sign_in("bob", phone=OTHER_PHONE)
    assert await calling.pushed("customer:of-ann") == []
    assert await calling.pushed("customer:of-bob") == ["handle-1"]


async def test_of_requests_at_once_for_one_phone_each_is_answered_and_one_state_is_left(calling: Calling) -> None:
    users = [f"user-{number}" for number in range(6)]
    answers = await asyncio.gather(*(calling.sign_in(user) for user in users))
    current = await calling.store.phone(HUB, PHONE)
    assert current is not None
    assert current.sign_in is not None
    winner = current.sign_in.user_id
    assert await calling.pushed(" || ".join(f"customer:of-{user}" for user in users)) == ["handle-1"]
    assert current.registration_id in {answer["registrationId"] for answer in answers}
    topics = [("offers", None), ("security", None), ("debits", {"level": 500})]
    path = f"/{current.registration_id}/topics"
    await asyncio.gather(*(calling.call("PUT", f"{path}/{topic}", winner, body) for topic, body in topics))
    shown = await calling.call("GET", f"/{current.registration_id}", winner)
    assert shown.json()["topics"] == {"offers": {}, "security": {}, "debits": {"level": 500}}
    assert len(await calling.tags()) == 5


async def test_a_user_has_so_many_phones_and_no_more(calling: Calling) -> None:
    for number in range(3):
        await calling.sign_in("ann", phone=f"phone-of-ann-000{number}", pushChannel=f"h{number}")
    refused = await calling.call("POST", "", "ann", registration(pushChannel="h9"))
    assert (refused.status_code, refused.json()["error"]) == (409, "too_many_phones")
    await calling.sign_in("ann", phone="phone-of-ann-0002", pushChannel="h2")
    assert await calling.pushed("customer:of-ann") == ["h0", "h1", "h2"]


async def test_a_failing_store_changes_nothing_and_says_to_come_again(calling: Calling) -> None:
    calling.store.failures["put_phone"] = 1
    response = await calling.call("POST", "", "ann", registration())
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert await calling.store.phone(HUB, PHONE) is None
    assert (await calling.store.devices(HUB, limit=9)).items == ()


async def test_a_sign_off_that_was_kept_is_carried_out_though_the_process_could_not(calling: Calling) -> None:
    id_ = (await calling.sign_in("ann"))["registrationId"]
    calling.engine.failures.append(EngineError("away"))
    assert (await calling.call("DELETE", f"/{id_}", "ann")).status_code == 503
    calling.clock.advance(60)
    assert await calling.writing.once() == 1
    assert await calling.pushed("customer:of-ann") == []
    assert await calling.store.phone(HUB, PHONE) is None


async def test_an_engine_that_is_away_gets_the_phone_later(calling: Calling) -> None:
    calling.engine.failures += [EngineError("away")] * 2
    refused = await calling.call("POST", "", "ann", registration(topics={"offers": True}))
    assert (refused.status_code, refused.json()["error"]) == (503, "unavailable")
    assert calling.observer.answers_to_phones[-1].detail == "away"
    assert "away" not in refused.text
    calling.clock.advance(60)
    assert await calling.writing.once() == 0
    assert len(calling.failed) == 1
    assert await calling.writing.once() == 1
    assert await calling.pushed("topic:offers") == ["handle-1"]


async def test_an_engine_that_says_gone_gets_the_phone_under_a_new_id(calling: Calling) -> None:
    first = await calling.sign_in("ann", topics={"offers": True})
    calling.engine.failures.append(GoneError("gone"))
    second = await calling.call("PUT", f"/{first['registrationId']}", "ann", registration(pushChannel="handle-2"))
    assert second.json()["registrationId"] == first["registrationId"]
    *_, old, new = calling.engine.ids
    assert old == f"phone:{PHONE}" != new
    kept = await calling.store.phone(HUB, PHONE)
    assert kept is not None
    assert (kept.installation_id, bool(kept.written)) == (new, True)
    assert "handle-2" in await calling.pushed("topic:offers")
    await calling.call("DELETE", f"/{first['registrationId']}", "ann")
    assert calling.engine.ids[-1] == new


async def test_all_phones_are_written_again_after_the_engine_has_lost_them(calling: Calling) -> None:
    for number in range(3):
        await calling.sign_in(f"user-{number}", phone=f"phone-number-000{number}", pushChannel=f"h{number}")
    off = (await calling.sign_in("ann"))["registrationId"]
    await calling.call("DELETE", f"/{off}", "ann")
    for number in range(3):
        await calling.hub.delete_installation(HUB, f"phone:phone-number-000{number}")
    assert await calling.pushed("everyone") == []
    assert await calling.store.rewrite_phones(HUB, limit=10) == (3, "")
    calling.clock.advance(60)
    assert await calling.writing.once() == 3
    assert await calling.writing.once() == 0
    assert await calling.pushed("everyone") == ["h0", "h1", "h2"]


async def test_what_is_not_below_the_path_is_another_s(calling: Calling) -> None:
    for path in (f"/{HUB}/registerx", f"/{HUB}", "/other/register", f"/{HUB}/registrations/7"):
        assert (await calling.client.get(f"https://hub.example{path}")).status_code == 418, path
    assert calling.outcomes == []


async def test_of_two_that_sign_in_at_once_with_one_push_channel_one_is_left(
    calling: Calling, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_phone, both = calling.store.put_phone, asyncio.Barrier(2)

    async def put_after_one_another(hub: str, phone: Phone, *, topics: Topics | None = None) -> Phone:
        calling.clock.advance(0.001)
        kept = await put_phone(hub, phone, topics=topics)
        if topics is not None:  # and none looks for others before both are kept
            await both.wait()
        return kept

    monkeypatch.setattr(calling.store, "put_phone", put_after_one_another)
    answers = await asyncio.gather(
        calling.call("POST", "", "ann", registration()),
        calling.call("POST", "", "ann", registration(phone=OTHER_PHONE)),
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 200], [200, 410])
    (kept,) = (await calling.call("GET", "", "ann")).json()["phones"]
    assert await calling.pushed("$UserId:{ann}") == ["handle-1"]
    assert await calling.pushed(f"$InstallationId:{{phone:{kept['phone']}}}") == ["handle-1"]


@pytest.mark.parametrize("next_user", ["", "bob"])
async def test_a_sign_off_that_overtakes_a_sign_in_in_another_process_leaves_nothing_of_it(
    calling: Calling, monkeypatch: pytest.MonkeyPatch, next_user: str
) -> None:
    elsewhere = PhoneService(
        HUB, calling.service.offer, calling.hub.store, calling.engine, reporting=calling.hub, now=calling.store.now
    )
    ann, bob = User(id="ann", tags=("customer:of-ann",)), User(id="bob", tags=("customer:of-bob",))
    put = calling.engine.put

    async def overtaken(installation: Installation) -> None:
        monkeypatch.undo()
        (phone,) = await calling.store.phones_of(HUB, "ann")
        assert await elsewhere.sign_off(ann, phone.registration_id)
        if next_user:
            await elsewhere.register(bob, Asked(phone_id=PHONE, platform=Platform.FCM, push_channel="handle-1"))
        await put(installation)

    monkeypatch.setattr(calling.engine, "put", overtaken)
    answer = await calling.call("POST", "", "ann", registration())
    assert (answer.status_code, answer.json()["error"]) == (410, "gone")
    assert "bob" not in answer.text
    assert await calling.pushed("customer:of-ann || $UserId:{ann}") == []
    assert await calling.pushed("customer:of-bob") == (["handle-1"] if next_user else [])


async def test_phones_that_the_engine_refuses_hold_up_no_sign_off(
    calling: Calling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_PART", 2)
    put = calling.engine.put

    async def refuse(installation: Installation) -> None:
        if installation.push_channel.startswith("bad"):
            raise InvalidRequestError("no such channel")
        await put(installation)

    id_ = (await calling.sign_in("ann"))["registrationId"]
    monkeypatch.setattr(calling.engine, "put", refuse)
    for number in range(5):
        body = registration(phone=f"{OTHER_PHONE}{number}", pushChannel=f"bad-{number}")
        assert (await calling.call("POST", "", f"user-{number}", body)).status_code == 400
    calling.clock.advance(1)
    calling.engine.failures = [EngineError("away")]
    assert (await calling.call("DELETE", f"/{id_}", "ann")).status_code == 503
    calling.clock.advance(60)
    assert await calling.writing.once() == 1
    assert await calling.pushed("customer:of-ann") == []
    assert calling.failed == ["no such channel"] * 3


async def test_all_phones_with_a_push_channel_are_signed_off_though_the_engine_is_away(calling: Calling) -> None:
    await calling.sign_in("ann")
    kept = await calling.store.phone(HUB, PHONE)
    assert kept is not None
    for number in range(3):  # more than a user may have: the new one replaces them all
        twin = replace(
            kept, id=f"twin-{number}", etag=0, registration_id=f"twin-{number}", installation_id=f"t{number}"
        )
        await calling.store.put_phone(HUB, twin)
    calling.engine.failures = [EngineError("away")]
    answer = await calling.call("POST", "", "ann", registration(phone=OTHER_PHONE))
    assert answer.status_code == 503
    assert [each["phone"] for each in (await calling.call("GET", "", "ann")).json()["phones"]] == [OTHER_PHONE]
