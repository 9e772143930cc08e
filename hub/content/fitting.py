"""Texts made short enough for a payload, and the payload that a text held here becomes for a push service."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hub.characters import cut_text
from hub.content.identifying import with_data
from hub.errors import FilledTooLargeError
from hub.notification import Platform
from hub.platforms.shown import Shown
from hub.platforms.table import traits_of


def payload_of(shown: Shown, platform: Platform, own: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """The payload for a push service and its headers, with what we put there of our `own`.

    A body that is too long for the service is cut. Raises: FilledTooLargeError: so is all the rest of it.
    """
    traits = traits_of(platform)

    def made(body: str) -> bytes:
        payload = traits.shown_payload(replace(shown, body=body))
        data = {**shown.for_app, **own}
        return with_data(payload, platform, data) if data else payload

    payload = made(shown.body)
    if len(payload) > traits.shown_size:
        payload = _longest(made, shown.body, traits.shown_size)
    return payload, traits.shown_headers


def _longest(made: Callable[[str], bytes], body: str, size: int) -> bytes:
    """The payload with as much of the body as fits."""
    short, long = 0, len(body)
    best = made("")
    if len(best) > size:
        raise FilledTooLargeError
    while long - short > 1:
        middle = (short + long) // 2
        payload = made(cut_text(body, middle))
        if len(payload) <= size:
            short, best = middle, payload
        else:
            long = middle
    return best
