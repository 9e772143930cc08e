"""What Apple says of a credential: it says so with a push alone, and here that push is for no phone."""

from typing import Final

from hub.notification import Priority
from hub.outcome import OutcomeName
from hub.platforms.base import Sender
from hub.platforms.traits import Seen
from hub.push import PushGroup, PushPage

_PATIENCE: Final = 20.0  # seconds
_ID: Final = "00000000-0000-4000-8000-000000000000"
_NO_PHONE: Final = "0" * 64
"""A device token that is well formed and no phone's."""

_SILENT: Final = PushGroup(
    payload=b'{"aps":{"content-available":1}}', headers={"apns-push-type": "background"}, priority=Priority.NORMAL
)
"""What a phone would show nothing of, if there were one."""

_REFUSES_TOKEN: Final = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered"})
"""What Apple says of a token that is no phone's. Apple does not promise to look at the credential before the token, so this
is no proof of a good one."""


async def look(sender: Sender, origin: str) -> Seen:
    """Push to no phone, and say what Apple's answer means; `sender` is closed afterwards."""
    page = PushPage()
    page.add(_SILENT, [_NO_PHONE], [_ID])
    try:
        result = (await sender.send(page, deadline=_PATIENCE)).exceptions.get(0)
    finally:
        await sender.close()
    if result is None or result.reason in _REFUSES_TOKEN:
        return Seen(text=f"{origin} answers a push to no phone, and finds no fault with the credential")
    if result.outcome is OutcomeName.INVALID_CREDENTIALS:
        cure = "look at key, key_id, team_id and topic, and whether the endpoint is that of the key's environment"
    else:
        cure = "see that the endpoint can be reached from here, by proxy if there is one, and ask again"
    return Seen(text=f"{origin}: {result.outcome.value} ({result.reason})", cure=cure)
