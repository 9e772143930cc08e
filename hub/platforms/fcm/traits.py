"""FCM as the rest of the house knows it (Firebase, "REST Resource: projects.messages")."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from hub.notification import NativeContent, Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.fcm.advice import advise
from hub.platforms.fcm.body import MAX_PAYLOAD, is_fcm_text, v1_body
from hub.platforms.fcm.handle import push_channel_of
from hub.platforms.fcm.settings import FcmSettings
from hub.platforms.fcm.soundless import silence
from hub.platforms.shown import Shown
from hub.platforms.soundless import Soundless, changed
from hub.platforms.traits import Description, PayloadKind, Seen, TemplateBody, Traits, text_of

_DRY_RUN: Final = b'{"message":{"data":{"pushbridge":"doctor"}},"validate_only":true}'


class FcmTraits(Traits):
    """A push channel is a registration token, an installation id (`fid:ID`), or an object of both.

    Tokens and bodies of Google's legacy API, which is gone, go by HTTP v1.
    """

    name = "fcm"
    title = "FCM"
    platform = Platform.FCM
    settings = FcmSettings
    wire_format = "fcmv1"
    other_names = ("gcm", "fcm")
    other_formats = ("gcm",)
    counts_element = "FcmV1OutcomeCounts"
    descriptions = (Description("FcmV1", ("FcmV1RegistrationId",)), Description("Gcm", ("GcmRegistrationId",)))
    payload_root = "message"
    data_path = ("message", "data")
    payload_reference = "FCM HTTP v1, projects.messages.send"
    header_advice = "hints for FCM stand in message.android, .apns and .webpush"
    sample_template = '{"message":{"notification":{"title":"$(title)","body":"$(body)"}}}'
    wants_text = staticmethod(is_fcm_text)
    shown_size = MAX_PAYLOAD

    def sender(self, settings: FcmSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.fcm.sender import FcmSender

        return FcmSender(settings)

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        return push_channel_of(text)

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`."""
        notification = {"title": shown.title, "body": shown.text}
        if shown.image:
            notification["image"] = shown.image
        android = {"channel_id": shown.channel, "sound": "" if shown.sound == "none" else shown.sound}
        said = {name: text for name, text in android.items() if text}
        message: dict[str, Any] = {"notification": notification}
        return orjson.dumps({"message": {**message, "android": {"notification": said}} if said else message})

    async def look(self, settings: FcmSettings, *, push_channel: str = "") -> Sequence[Seen]:
        """See `Traits.look`."""
        from hub.platforms.fcm.sender import FcmSender

        sender = FcmSender(settings)
        try:
            return await sender.look(dry_run=_DRY_RUN, push_channel=push_channel)
        finally:
            await sender.close()

    def template_body(self, body: str, headers: Mapping[str, Any]) -> TemplateBody:
        """See `Traits.template_body`; the `message` around it may be missing."""
        return TemplateBody(text=v1_body(body), kind=PayloadKind.JSON)

    def native_content(self, headers: Mapping[str, str], body: bytes) -> NativeContent:
        """See `Traits.native_content`."""
        return NativeContent(platform=self.platform, payload=v1_body(text_of(body)).encode())

    can_be_soundless = True

    def soundless(self, fields: Mapping[str, str], payload: bytes) -> Soundless | None:
        """See `Traits.soundless`. From Android 8 on the app's channel has the last word."""
        return Soundless(fields, changed(payload, silence))

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        advise(payload, headers, complaints)
