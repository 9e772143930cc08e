"""Pushes made soundless, for phones in their quiet hours: what push services have in common there."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hub import exact_json


class Soundless(NamedTuple):
    """Headers and payload of a push that is shown and makes no sound."""

    headers: Mapping[str, str]
    payload: bytes


def with_header(headers: Mapping[str, str], name: str, value: str) -> dict[str, str]:
    """The headers with this one, whatever they said before: names compare without case."""
    others = {key: said for key, said in headers.items() if key.lower() != name.lower()}
    return {**others, name: value}


def changed(payload: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A JSON object after a change in place; what is none stays as it is."""
    try:
        document = exact_json.loads(payload)
    except ValueError:
        return payload
    if not isinstance(document, dict):
        return payload
    change(document)
    return exact_json.dumps(document, wide=True)


def silence_aps(document: dict[str, Any]) -> None:
    """Take the sound out of a payload of APNs, and light up no screen (Apple, "Generating a remote notification")."""
    aps = document.get("aps")
    if not isinstance(aps, dict):
        return
    shows = not aps.keys().isdisjoint(("alert", "badge", "sound"))
    aps.pop("sound", None)
    if isinstance(aps.get("alert"), dict):
        aps["alert"].pop("sound", None)  # of a Live Activity
    if shows:
        aps["interruption-level"] = "passive"
