"""What ADM refuses (Amazon, "Send a message")."""

from collections.abc import Mapping

from hub.platforms.adm.body import FIELDS, MAX_DATA
from hub.platforms.advice import Complaints, Written, check_size, has_placeholder, json_size
from hub.spelling import did_you_mean


def advise(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """See `Traits.advise`."""
    for name, entry in payload.value.items():
        if name not in FIELDS:
            hint = did_you_mean(name, FIELDS, all_if_few=False) or "keys of the app stand in data"
            complaints.warn(entry, "no field that ADM knows", hint, mark=entry.key_mark)
    data = payload.value.get("data")
    if data is None or has_placeholder(data):
        return
    if not isinstance(data.value, dict):
        complaints.add(data, "expected texts by name")
        return
    for entry in data.value.values():
        if isinstance(entry.value, dict | list) or entry.value is None:
            complaints.add(entry, "ADM takes texts only here", 'write one text of JSON: \'{ "a": "{{ data.a }}" }\'')
    check_size(json_size(data), MAX_DATA, data, complaints)
