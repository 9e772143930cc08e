"""Calls every method of the two Python clients and prints a line of JSON for each: the client, the method, the error.

Environment: CONNECTION_STRING, HUB. The check of each call is what the client itself promises, and what it reads back.
"""

import json
import os
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from azure_notification_hub import NotificationHubsClient  # type: ignore[import-not-found]
from azure_notification_hub import notifications as make
from azure_notification_hub.client import AzureNHError, create_browser_installation  # type: ignore[import-not-found]
from notificationhubs_rest_python.NotificationHub import AzureNotificationHub  # type: ignore[import-not-found]

CONNECTION, HUB = os.environ["CONNECTION_STRING"], os.environ["HUB"]
APS = {"aps": {"alert": "hi"}}
LATER = datetime.now(UTC) + timedelta(hours=1)
ENTRY = (
    "<entry><content><AppleRegistrationDescription><DeviceToken>AA02</DeviceToken></AppleRegistrationDescription>"
    "</content></entry>"
)
"""A registration, which the second client can read and delete, but not make."""
CHANNEL = {
    "endpoint": "https://browser.example/1",
    "p256dh": "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    "auth": "AAECAwQFBgcICQoLDA0ODw",
}


OTHERS = {
    "adm": ("amzn-1", {"AdmRegistrationId": "amzn-1"}),
    "baidu": ("user-channel", {"BaiduUserId": "user", "BaiduChannelId": "channel"}),
    "mpns": ("https://s.notify.live.net/u/1", {"ChannelUri": "https://s.notify.live.net/u/1"}),
    "xiaomi": ("mi-1", {"XiaomiRegistrationId": "mi-1"}),
}
"""Of platforms without a device SDK in use: a push channel, and what a registration says of it."""


def call(package: str, method: str, check: Callable[[], Any]) -> None:
    error = ""
    try:
        check()
    except Exception:
        error = traceback.format_exc(limit=-1).replace("\n", " ")
    print(json.dumps({"package": package, "method": method, "error": error}))


def is_refused(status: int, action: Callable[[], Any]) -> bool:
    try:
        action()
    except AzureNHError as error:
        return bool(error.status_code == status)
    return False


def rest_python() -> None:
    """`notificationhubs-rest-python`: sends alone; each answers the status."""
    name, client = "notificationhubs-rest-python", AzureNotificationHub(CONNECTION, HUB)
    toast = "<toast><visual><binding><text>hi</text></binding></visual></toast>"

    def succeeds(method: str, *arguments: Any, **options: Any) -> None:
        def check() -> None:
            status, _ = getattr(client, method)(*arguments, **options)
            assert status == 201, status

        call(name, method, check)

    def apple() -> None:
        for options in ({"tags": {"a", "b"}}, {"scheduled_time": LATER}, {"is_direct": True, "device_handle": "aabb"}):
            status, _ = client.send_apple_notification(**{"is_direct": False, "payload": APS, **options})
            assert status == 201, status

    call(name, "send_apple_notification", apple)
    succeeds("send_google_notification", False, {"data": {"message": "hi"}}, tags="a")
    succeeds("send_windows_notification", False, toast)
    succeeds("send_template_notification", {"m": "hi"}, tags="a && !b")
    succeeds("send_amazon_notification", False, {"data": {"m": "hi"}})
    succeeds("send_baidu_notification", False, {"title": "hi"})
    succeeds("send_windows_phone_notification", False, "<wp:Toast>hi</wp:Toast>")


def unofficial() -> None:
    """`azure-notification-hub-unofficial`: installations, sends, registrations; made after the JavaScript SDK."""
    name, client = "azure-notification-hub-unofficial", NotificationHubsClient(CONNECTION, HUB)
    apple = make.create_apple_notification(json.dumps(APS))

    def put() -> None:
        client.create_or_update_installation(create_browser_installation("web", CHANNEL, tags=["web"]))
        client.create_or_update_installation(
            {"installationId": "phone", "platform": "apns", "pushChannel": "AA01", "tags": ["t"]}
        )

    def get() -> None:
        assert client.get_installation("web")["pushChannel"] == CHANNEL

    def update() -> None:
        client.update_installation("phone", [{"op": "add", "path": "/tags", "value": "u"}])
        assert client.get_installation("phone")["tags"] == ["t", "u"]

    def listed() -> None:
        found = {entry["Tags"][0]: entry for entry in client.list_registrations()}
        assert set(found) == {"$InstallationId:{web}", "$InstallationId:{phone}"}

    def one() -> None:
        for entry in client.list_registrations(top=1):
            assert client.get_registration(entry["RegistrationId"])["Tags"] == entry["Tags"]

    def remove_registration() -> None:
        client._client.put(client._request_url("/registrations/1-1-1"), content=ENTRY, headers=client._create_headers())
        assert client.get_registration("1-1-1")["DeviceToken"] == "AA02"
        client.delete_registration("1-1-1")
        assert is_refused(404, lambda: client.get_registration("1-1-1"))

    def send() -> None:
        assert client.send_notification(apple, tag_expression="t && !v") == {}
        assert "<Success>1</Success>" in client.send_notification(apple, "t", test_send=True)["_raw_xml"]

    def cancel() -> None:
        assert is_refused(404, lambda: client.cancel_scheduled_notification("0" * 32))

    def details() -> None:
        assert is_refused(404, lambda: client.get_notification_outcome_details("0" * 32))

    def feedback() -> None:
        assert client.get_feedback_container_url().startswith("https://"), "no URL"

    def delete() -> None:
        client.delete_installation("web")
        assert is_refused(404, lambda: client.get_installation("web"))

    checks: dict[str, Callable[[], Any]] = {
        "create_or_update_installation": put,
        "get_installation": get,
        "update_installation": update,
        "list_registrations": listed,
        "get_registration": one,
        "delete_registration": remove_registration,
        "send_notification": send,
        "send_broadcast_notification": lambda: client.send_broadcast_notification(apple),
        "schedule_notification": lambda: client.schedule_notification(LATER, apple, tag_expression="t"),
        "schedule_broadcast_notification": lambda: client.schedule_broadcast_notification(LATER, apple),
        "cancel_scheduled_notification": cancel,
        "get_notification_outcome_details": details,
        "get_feedback_container_url": feedback,
        "delete_installation": delete,
    }
    for method, check in checks.items():
        call(name, method, check)
    for platform, (channel, members) in OTHERS.items():
        call(
            name,
            f"registration of {platform}: put, list, get, delete the phone",
            partial(kept, client, platform, channel, members),
        )
    public = {each for each in vars(NotificationHubsClient) if not each.startswith("_")} - {"close"}
    assert public == set(checks), public ^ set(checks)


def kept(client: NotificationHubsClient, platform: str, channel: str, members: dict[str, str]) -> None:
    """A phone is put as an installation, read as a registration, and deleted as one."""
    id = f"phone-{platform}"
    client.create_or_update_installation(
        {"installationId": id, "platform": platform, "pushChannel": channel, "tags": ["other"]}
    )
    assert client.get_installation(id)["pushChannel"] == channel
    (listed,) = [each for each in client.list_registrations() if f"$InstallationId:{{{id}}}" in each["Tags"]]
    found = client.get_registration(listed["RegistrationId"])
    assert {name: found.get(name) for name in members} == members, found
    assert "other" in found["Tags"], found
    client.delete_installation(id)
    assert is_refused(404, lambda: client.get_registration(listed["RegistrationId"]))


if __name__ == "__main__":
    rest_python()
    unofficial()
