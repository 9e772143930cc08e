"""Keys of ours put into a JSON payload where an app looks for data, such as the id that the app names in its reports."""

from collections.abc import Mapping
from typing import Any

from hub import exact_json
from hub.notification import Platform
from hub.platforms.table import platforms
from hub.platforms.traits import PayloadKind


def with_data(payload: bytes, platform: Platform, data: Mapping[str, str]) -> bytes:
    """The payload with `data` as texts; a key that is there already stays as the sender wrote it.

    What is no JSON object, or has something else than an object on the way, stays as it is: WNS takes XML, and a template
    for it names the key as a property.
    """
    traits = next((each for each in platforms() if each.platform is platform), None)
    if traits is not None and traits.payload is PayloadKind.XML:
        return payload
    try:
        document = exact_json.loads(payload)
    except ValueError:
        return payload
    place: Any = document
    for name in () if traits is None else traits.data_path:
        if not isinstance(place, dict):
            return payload
        place = place.setdefault(name, {})
    if not isinstance(place, dict):
        return payload
    place.update({key: text for key, text in data.items() if key not in place})
    return exact_json.dumps(document, wide=True)
