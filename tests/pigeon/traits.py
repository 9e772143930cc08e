"""A service whose channels are names of lofts, and whose payloads are JSON."""

from collections.abc import Mapping

from hub.errors import InvalidRequestError
from hub.notification import Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.traits import Traits
from tests.pigeon.sender import PigeonSender
from tests.pigeon.settings import PigeonSettings


class PigeonTraits(Traits):
    """A push channel is `loft:NAME`, in lower case."""

    name = "pigeon"
    title = "Pigeon post"
    platform = Platform("carrierpigeon")
    settings = PigeonSettings
    wire_format = "pigeon"
    counts_element = "PigeonOutcomeCounts"
    header_prefix = "pigeon-"
    expiry_header = "pigeon-until"
    sample_template = '{"cargo":{"title":"$(title)","body":"$(body)"}}'

    def sender(self, settings: PigeonSettings) -> Sender:
        """See `Traits.sender`."""
        return PigeonSender(self.platform, settings)

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        if not text.lower().startswith("loft:"):
            raise InvalidRequestError("pushChannel: a pigeon flies to loft:NAME")
        return text.lower()

    def sample_push_channel(self, device: str) -> str:
        """See `Traits.sample_push_channel`."""
        return f"loft:{device.lower()}"

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        cargo = payload.value.get("cargo")
        if cargo is not None and cargo.text == "brick":
            complaints.add(cargo, "a pigeon carries no brick", "write a letter")
        if "pigeon-hurry" in headers:
            hurry = headers["pigeon-hurry"]
            complaints.warn(hurry, "no pigeon hurries", "write pigeon-speed: fast", mark=hurry.key_mark)
