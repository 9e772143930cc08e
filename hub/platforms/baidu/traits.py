"""Baidu Cloud Push as the rest of the house knows it."""

from collections.abc import Sequence

import orjson

from hub.notification import Platform
from hub.platforms.baidu.settings import BaiduSettings
from hub.platforms.base import Sender
from hub.platforms.shown import Shown
from hub.platforms.traits import Description, Traits


class BaiduTraits(Traits):
    """A push channel is `USER-CHANNEL`."""

    name = "baidu"
    title = "Baidu"
    platform = Platform("baidu")
    settings = BaiduSettings
    is_rare = True
    retired = "Baidu Cloud Push is deprecated, and may take no pushes any more"
    wire_format = "baidu"
    counts_element = "BaiduOutcomeCounts"
    descriptions = (
        Description("Baidu", ("BaiduUserId", "BaiduChannelId"), ("BodyTemplate", "TemplateName", "MessageType")),
    )
    header_prefix = "X-Baidu-"
    data_path = ("custom_content",)
    sample_template = '{"title":"$(title)","description":"$(body)"}'

    def sender(self, settings: BaiduSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.baidu.sender import BaiduSender

        return BaiduSender(settings)

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`."""
        return orjson.dumps({"title": shown.title, "description": shown.text})

    def joined_handles(self, handles: Sequence[str]) -> str:
        """See `Traits.joined_handles`."""
        user, channel = handles
        return f"{user}-{channel}"

    def split_handles(self, push_channel: str) -> Sequence[str]:
        """See `Traits.split_handles`; a user's id has no hyphen."""
        user, _, channel = push_channel.partition("-")
        return user, channel
