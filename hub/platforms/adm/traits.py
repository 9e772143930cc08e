"""ADM as the rest of the house knows it (Amazon, "Send a message")."""

from collections.abc import Mapping, Sequence

import orjson

from hub.notification import Platform
from hub.platforms.adm.advice import advise
from hub.platforms.adm.body import MAX_DATA, is_adm_text
from hub.platforms.adm.settings import AdmSettings
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.shown import Shown
from hub.platforms.traits import Description, Seen, Traits


class AdmTraits(Traits):
    """A push channel is the registration id of an app on a device of Amazon's."""

    name = "adm"
    title = "ADM"
    platform = Platform("adm")
    settings = AdmSettings
    is_rare = True
    wire_format = "adm"
    counts_element = "AdmOutcomeCounts"
    descriptions = (Description("Adm", ("AdmRegistrationId",)),)
    payload_root = "data"
    payload_reference = "ADM, Send a message"
    header_advice = "hints for ADM stand beside data: consolidationKey, expiresAfter"
    data_path = ("data",)
    sample_template = '{"data":{"title":"$(title)","body":"$(body)"}}'
    wants_text = staticmethod(is_adm_text)
    shown_size = MAX_DATA

    def sender(self, settings: AdmSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.adm.sender import AdmSender

        return AdmSender(settings)

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`: the app shows what it gets."""
        said = {"title": shown.title, "body": shown.text, "image": shown.image}
        return orjson.dumps({"data": {name: text for name, text in said.items() if text}})

    async def look(self, settings: AdmSettings, *, push_channel: str = "") -> Sequence[Seen]:
        """See `Traits.look`."""
        from hub.platforms.adm.sender import AdmSender

        sender = AdmSender(settings)
        try:
            return await sender.look()
        finally:
            await sender.close()

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        advise(payload, headers, complaints)
