"""Huawei Push Kit as the rest of the house knows it (Huawei, HTTPS send API).

Notification Hubs does not know it, so there is no description of its registrations: its phones are installations.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from hub.notification import Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.huawei.advice import advise
from hub.platforms.huawei.body import MAX_MESSAGE, is_huawei_text
from hub.platforms.huawei.settings import HuaweiSettings
from hub.platforms.shown import Shown
from hub.platforms.traits import Seen, Traits

_DRY_RUN: Final = b'{"message":{"data":{"pushbridge":"doctor"}},"validate_only":true}'


class HuaweiTraits(Traits):
    """A push channel is the token of an app on a phone of Huawei's."""

    name = "huawei"
    title = "Huawei"
    platform = Platform("huawei")
    settings = HuaweiSettings
    is_rare = True
    wire_format = "huawei"
    other_names = ("hms",)
    other_formats = ("hms",)
    payload_root = "message"
    payload_reference = "Huawei Push Kit, HTTPS send API"
    header_advice = "hints for Huawei stand in message.android"
    data_path = ("message", "data")
    sample_template = '{"message":{"notification":{"title":"$(title)","body":"$(body)"}}}'
    wants_text = staticmethod(is_huawei_text)
    shown_size = MAX_MESSAGE - 200

    def sender(self, settings: HuaweiSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.huawei.sender import HuaweiSender

        return HuaweiSender(settings)

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`."""
        said = {"title": shown.title, "body": shown.text, "image": shown.image}
        return orjson.dumps({"message": {"notification": {name: text for name, text in said.items() if text}}})

    async def look(self, settings: HuaweiSettings, *, push_channel: str = "") -> Sequence[Seen]:
        """See `Traits.look`."""
        from hub.platforms.huawei.sender import HuaweiSender

        sender = HuaweiSender(settings)
        try:
            return await sender.look(dry_run=_DRY_RUN, push_channel=push_channel)
        finally:
            await sender.close()

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        advise(payload, headers, complaints)
