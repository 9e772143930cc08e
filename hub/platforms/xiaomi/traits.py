"""Mi Push as the rest of the house knows it (Xiaomi, server SDK)."""

from collections.abc import Mapping

import orjson

from hub.notification import Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.shown import Shown
from hub.platforms.traits import Description, Traits
from hub.platforms.xiaomi.advice import advise
from hub.platforms.xiaomi.body import MAX_CONTENT, is_xiaomi_text
from hub.platforms.xiaomi.settings import XiaomiSettings


class XiaomiTraits(Traits):
    """A push channel is the registration id of an app on a phone of Xiaomi's."""

    name = "xiaomi"
    title = "Xiaomi"
    platform = Platform("xiaomi")
    settings = XiaomiSettings
    is_rare = True
    wire_format = "xiaomi"
    counts_element = "XiaomiOutcomeCounts"
    descriptions = (Description("Xiaomi", ("XiaomiRegistrationId",)),)
    header_advice = "hints for Xiaomi stand beside title and description: time_to_live, notify_id, extra"
    data_path = ("extra",)
    sample_template = '{"title":"$(title)","description":"$(body)"}'
    wants_text = staticmethod(is_xiaomi_text)
    shown_size = MAX_CONTENT

    def sender(self, settings: XiaomiSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.xiaomi.sender import XiaomiSender

        return XiaomiSender(settings)

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`."""
        return orjson.dumps({"title": shown.title, "description": shown.text})

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        advise(payload, headers, complaints)
