"""Phones say with their user's token what became of their pushes."""

from dataclasses import replace

from hub.phone import PhoneOperation, PhoneOutcome
from tests.hub.examples import HUB, notification
from tests.hub.registration.calling import Calling


async def test_a_phone_reports_what_it_got_once_and_nothing_of_another_user(calling: Calling) -> None:
    ann = (await calling.sign_in("ann"))["registrationId"]
    one = replace(notification("customer:of-ann"), id="ab" * 16)
    await calling.hub.send(one)
    await calling.observer.until_ended(1)
    body = {"reports": [{"push": "ab" * 16, "event": "received"}, {"push": "ab" * 16, "event": "opened"}]}
    answer = await calling.call("POST", f"/{ann}/reports", "ann", body)
    assert (answer.status_code, answer.json()) == (200, {"reports": [{"outcome": "accepted"}] * 2})
    answer = await calling.call("POST", f"/{ann}/reports", "ann", body)
    assert answer.json() == {"reports": [{"outcome": "repeated"}] * 2}
    assert (await calling.hub.store.notification(one.id)).reports == {"fcmv1": {"received": 1, "opened": 1}}
    assert (await calling.call("POST", f"/{ann}/reports", "bob", body)).status_code == 403
    assert (await calling.call("POST", "/unknown/reports", "ann", body)).status_code == 410
    refused = await calling.call("POST", f"/{ann}/reports", "ann", {"reports": [{"push": "x", "event": "opened"}]})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid")
    assert (await calling.call("GET", f"/{ann}/reports", "ann")).status_code == 405
    assert (PhoneOperation.REPORT, PhoneOutcome.DONE) in calling.outcomes


async def test_a_phone_that_reports_without_end_waits(calling: Calling) -> None:
    ann = (await calling.sign_in("ann"))["registrationId"]
    body = {"reports": [{"push": "ab" * 16, "event": "opened"}]}
    statuses = [(await calling.call("POST", f"/{ann}/reports", "ann", body)).status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]
    assert (await calling.call("GET", f"/{ann}", "ann")).status_code == 200
    calling.clock.advance(10.0)
    assert (await calling.call("POST", f"/{ann}/reports", "ann", body)).status_code == 200


async def test_a_phone_that_its_hub_has_lost_is_told_to_put_itself_again(calling: Calling) -> None:
    signed = await calling.sign_in("ann")
    await calling.hub.delete_installation(HUB, f"phone:{signed['phone']}")
    body = {"reports": [{"push": "ab" * 16, "event": "opened"}]}
    answer = await calling.call("POST", f"/{signed['registrationId']}/reports", "ann", body)
    assert (answer.status_code, "put it again" in answer.json()["message"]) == (400, True)
