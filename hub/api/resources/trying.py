"""Test sends: what the engine says of each push, with the registration that it was for."""

from collections.abc import Sequence

from hub.api.service import HubService
from hub.api.wire.tested import Tested
from hub.delivery.probing import TestResult
from hub.installation import Registration
from hub.notification import Notification, Platform
from hub.outcome import ENDED_WELL
from hub.platforms.table import traits_of
from hub.store.decide.device import template_id

_NONE = "-"
_MANY = 1000


async def tested(service: HubService, notification: Notification, push_channel: str) -> Sequence[Tested]:
    """Send, and say of each what the push service said. Raises: StoreError."""
    results = await service.send_test(notification, push_channel=push_channel)
    ids: dict[tuple[Platform, str, int | None], str] = {}
    if results and not push_channel:
        channels = list({(each.platform, each.push_channel) for each in results})
        found = await service.registrations_of(notification.hub, channels, limit=_MANY)
        ids = {_key_of(registration): registration.registration_id for registration in found.items}
    await service.end_test(notification.hub, results)  # behind the look for the ids: what is dead is listed no more
    return [
        Tested(
            application_platform=traits_of(each.platform).wire_format,
            pns_handle=each.push_channel,
            registration_id=ids.get((each.platform, each.push_channel, each.template), _NONE),
            outcome=_words(each),
            is_success=each.outcome in ENDED_WELL,
        )
        for each in results
    ]


def _key_of(registration: Registration) -> tuple[Platform, str, int | None]:
    template = registration.template
    return registration.platform, registration.push_channel, None if template is None else template_id(template)


def _words(result: TestResult) -> str:
    """The name of the outcome, and the service's own word."""
    if result.outcome in ENDED_WELL:
        return f"{result.outcome.value}: the push service took the push"
    return f"{result.outcome.value}: {result.reason}" if result.reason else result.outcome.value
